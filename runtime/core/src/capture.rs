//! A capture: records that fail, with everything that a call of them needs, in one file.
//!
//! A file is lines of JSON, so that it can be looked at: first a [`CaptureHead`], then [`CaptureLine`]s, the
//! last of them an end with the SHA-256 of all bytes in front of it. Values of configuration and payloads are
//! in it as they are, of secrets their names alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    commit::ErrorKind,
    status::{DataText, Encoding},
};

/// The format that is written. A reader refuses a larger one.
pub const CAPTURE_FORMAT: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureHead {
    /// [`CAPTURE_FORMAT`]: what makes a file a capture.
    pub fnctl_capture: u32,
    /// The version of fnctl that wrote it.
    pub written_by: String,
    /// When, RFC 3339.
    pub captured_at: String,
    /// The mapping, `<function>/<stream>`.
    pub mapping: String,
    /// Its function.
    pub function: String,
    /// Its stream.
    pub stream: String,
    /// What random numbers of a replay are made from.
    pub seed: u64,
    /// The versions of the function that its records were called with.
    pub versions: Vec<CapturedVersion>,
}

/// A version of the function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapturedVersion {
    /// Its number.
    pub version: u64,
    /// The component, `sha256:` and 64 hex digits.
    pub digest: String,
    /// Plain configuration.
    pub config: BTreeMap<String, String>,
    /// Names of its secrets.
    pub secrets: Vec<String>,
    /// Memory limit of an instance, bytes.
    pub memory_bytes: u64,
    /// Time limit of a call, ms.
    pub timeout_ms: u64,
    /// The outputs that the mapping binds, in the order in which the component is told of them.
    pub outputs: Vec<CapturedOutput>,
}

/// An output that the mapping binds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapturedOutput {
    /// Its name.
    pub name: String,
    /// The largest body that its stream takes, bytes.
    pub row_bytes_max: u64,
}

/// Every line but the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CaptureLine {
    /// Records of one call.
    Batch(CapturedBatch),
    /// A piece of a component.
    Component(CapturedPiece),
    /// The last line.
    End(CaptureEnd),
}

/// Records of one call, and how they ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapturedBatch {
    /// The version they were called with.
    pub version: u64,
    /// Their shard, `shardId-000000000000`.
    pub shard_id: String,
    /// What a replay takes for the time of day: when the failure was last known of, RFC 3339.
    pub at: String,
    /// The dead letter's id; `null`: it waits for a retry.
    pub dead_letter: Option<String>,
    /// The records, in shard order.
    pub records: Vec<CapturedRecord>,
    /// Why each of them that failed did.
    pub failures: Vec<CapturedFailure>,
}

/// A record as the function is given it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedRecord {
    /// The partition key.
    pub partition_key: String,
    /// How the key is written.
    pub key_encoding: Encoding,
    /// Its sequence number.
    pub sequence_number: String,
    /// What names it for ever.
    pub record_id: String,
    /// Its number in the shard.
    pub ordinal: u64,
    /// When it arrived, ms since 1970.
    pub arrival_ms: u64,
    /// The attempt that failed last, from 1.
    pub attempt: u32,
    /// It has no payload: the function is told so, of one that is not merely empty.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_tombstone: bool,
    /// The payload.
    #[serde(flatten)]
    pub data: DataText,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Why a record failed, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapturedFailure {
    /// Its index in the batch.
    pub index: u32,
    /// As a dead letter's; `null` while it waits for a retry.
    pub error_kind: Option<String>,
    /// The author's code, else the kind; `null`: it failed before the shard's present owner began.
    pub code: Option<String>,
    /// Words; `null` as `code`.
    pub error: Option<String>,
}

impl CapturedFailure {
    /// Whether the record was given up by other than its last call: there is nothing that a replay could reproduce.
    #[must_use]
    pub fn is_without_call(&self) -> bool {
        let kind = self.error_kind.as_deref().and_then(ErrorKind::from_name);
        kind.is_some_and(ErrorKind::is_without_call)
    }
}

/// A piece of a component; pieces of one follow each other from the first byte to the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapturedPiece {
    /// Whose, `sha256:` and 64 hex digits.
    pub digest: String,
    /// The bytes.
    pub base64: String,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureEnd {
    /// Batches in the file.
    pub batches: u64,
    /// Their records.
    pub records: u64,
    /// Whether more was failing than was asked for.
    pub has_more: bool,
    /// SHA-256 of every byte in front of this line, 64 hex digits.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_as_the_format_says() {
        let batch = CaptureLine::Batch(CapturedBatch {
            version: 7,
            shard_id: "shardId-000000000000".to_owned(),
            at: "2026-03-01T12:30:00.250Z".to_owned(),
            dead_letter: None,
            records: vec![CapturedRecord {
                partition_key: "a".to_owned(),
                key_encoding: Encoding::Text,
                sequence_number: "49".to_owned(),
                record_id: "1-0-1".to_owned(),
                ordinal: 1,
                arrival_ms: 5,
                attempt: 2,
                is_tombstone: false,
                data: DataText::of(b"x", |_| String::new()),
            }],
            failures: vec![CapturedFailure {
                index: 0,
                error_kind: None,
                code: Some("busy".to_owned()),
                error: Some("words".to_owned()),
            }],
        });
        let text = serde_json::to_string(&batch).unwrap();
        assert_eq!(
            text,
            r#"{"batch":{"version":7,"shard_id":"shardId-000000000000","at":"2026-03-01T12:30:00.250Z","dead_letter":null,"records":[{"partition_key":"a","key_encoding":"text","sequence_number":"49","record_id":"1-0-1","ordinal":1,"arrival_ms":5,"attempt":2,"data":"x","encoding":"text"}],"failures":[{"index":0,"error_kind":null,"code":"busy","error":"words"}]}}"#
        );
        assert_eq!(serde_json::from_str::<CaptureLine>(&text).unwrap(), batch);
        let later = text.replace("\"version\":7", "\"version\":7,\"window\":1");
        assert!(serde_json::from_str::<CaptureLine>(&later).is_err());
    }

    #[test]
    fn what_was_given_up_without_a_call_is_known() {
        let of = |kind: Option<&str>| CapturedFailure {
            index: 0,
            error_kind: kind.map(str::to_owned),
            code: None,
            error: None,
        };
        for (kind, is_without_call) in [
            (Some("skip"), false),
            (Some("output-too-large"), false),
            (Some("loop"), true),
            (Some("record-too-old"), true),
            (Some("record-too-large"), true),
            (Some("window-failed"), true),
            (Some("by-hand"), true),
            // Parked, and a kind of a later version.
            (None, false),
            (Some("later"), false),
        ] {
            assert_eq!(of(kind).is_without_call(), is_without_call, "{kind:?}");
        }
    }
}

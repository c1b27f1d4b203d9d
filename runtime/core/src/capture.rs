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
    window::WindowCall,
};

/// The newest format. A reader refuses a larger one.
pub const CAPTURE_FORMAT: u32 = 2;

/// The format of a file without windows, as it was before there were some: older readers take it.
pub const CAPTURE_FORMAT_PLAIN: u32 = 1;

/// The format that a file with these batches is written in: the oldest that has a word for them.
#[must_use]
pub fn format_of(batches: &[CapturedBatch]) -> u32 {
    match batches.iter().any(|batch| batch.window.is_some()) {
        true => CAPTURE_FORMAT,
        false => CAPTURE_FORMAT_PLAIN,
    }
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureHead {
    /// [`format_of`] its batches: what makes a file a capture.
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
    /// It asks for the states of windows, so that what it does may hang on them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reads_states: bool,
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

/// Records of one call, and how they ended; none of a call that ends a window.
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
    /// Why each of them that failed did; of a call that ends a window one, of index 0.
    pub failures: Vec<CapturedFailure>,
    /// The window that the call is of; none where the mapping has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<CapturedWindow>,
}

impl CapturedBatch {
    /// Whether it is the call that ends a window.
    #[must_use]
    pub fn is_close(&self) -> bool {
        self.window.as_ref().is_some_and(CapturedWindow::is_close)
    }

    /// Whether it is a call that is ever made: records, or the end of a window.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_there = |index: u32| (index as usize) < self.records.len();
        match self.is_close() {
            true => self.records.is_empty() && self.failures.iter().all(|one| one.index == 0),
            false => !self.records.is_empty() && self.failures.iter().all(|f| is_there(f.index)),
        }
    }
}

/// The window of a call, and what was handed on to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapturedWindow {
    /// The group of keys.
    pub group: u32,
    /// The window's first millisecond, since 1970.
    pub start_ms: u64,
    /// The first millisecond behind it.
    pub end_ms: u64,
    /// The call ends it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_final: bool,
    /// The call ends it early, for the size of its state.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_terminated_early: bool,
    /// The state that the call is given; `null`: it was not kept, and a replay gives none.
    pub state: Option<DataText>,
}

impl CapturedWindow {
    /// Of a call of a group, as it would be made now.
    #[must_use]
    pub fn of(group: u32, call: &WindowCall, base64: impl FnOnce(&[u8]) -> String) -> Self {
        Self {
            group,
            start_ms: call.window.start.0,
            end_ms: call.window.end.0,
            is_final: call.is_final,
            is_terminated_early: call.is_terminated_early,
            state: Some(DataText::of(&call.state, base64)),
        }
    }

    /// Whether the call ends it.
    #[must_use]
    pub const fn is_close(&self) -> bool {
        self.is_final || self.is_terminated_early
    }
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
mod tests;

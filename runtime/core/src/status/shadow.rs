//! Two versions side by side, as `shadow` shows them.

use serde::{Deserialize, Serialize};

use super::{DataText, Encoding};

/// A row that was emitted for a record, and captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowRow {
    /// The output.
    pub output: String,
    /// Its key.
    pub partition_key: String,
    /// Its payload.
    #[serde(flatten)]
    pub data: DataText,
}

/// Why a record failed, as a dead letter would say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowFailure {
    /// `skip error trap timeout out-of-memory output-too-large fatal`.
    pub error_kind: String,
    /// The author's code, else the kind.
    pub code: String,
    /// Words.
    pub error: String,
}

/// How a record ended with one version: in rows, or in a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowEnd {
    /// Rows in the order of their emission; none of a record that failed.
    pub rows: Vec<ShadowRow>,
    /// Why it failed; `null`: it did not.
    pub failure: Option<ShadowFailure>,
}

impl ShadowEnd {
    /// Whether a record ended alike: the same rows, or a failure of the same kind and code. A failure's words
    /// may differ: they name lines of the source.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let named = |end: &Self| {
            let failure = end.failure.as_ref();
            failure.map(|failure| (failure.error_kind.clone(), failure.code.clone()))
        };
        self.rows == other.rows && named(self) == named(other)
    }
}

/// A record that ended otherwise with the other version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowRecord {
    /// Its shard.
    pub shard_id: String,
    /// Its sequence number.
    pub sequence_number: String,
    /// Its partition key.
    pub partition_key: String,
    /// How the key is written.
    pub key_encoding: Encoding,
    /// With the live version.
    pub live: ShadowEnd,
    /// With the other one.
    pub shadow: ShadowEnd,
}

/// A window whose end came to something else with the other version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowWindow {
    /// Its shard.
    pub shard_id: String,
    /// The group of keys.
    pub group: u32,
    /// Its first millisecond, RFC 3339.
    pub starts_at: String,
    /// The first millisecond behind it, RFC 3339.
    pub ends_at: String,
    /// With the live version: what all calls that ended it or its state came to.
    pub live: ShadowEnd,
    /// With the other one.
    pub shadow: ShadowEnd,
}

/// What came of the records so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowSummary {
    /// The version that was live when it began.
    pub live_version: u64,
    /// The other one; `null`: a component that is not deployed.
    pub shadow_version: Option<u64>,
    /// Records that both versions were given.
    pub records: u64,
    /// Those that ended alike.
    pub same: u64,
    /// Those that did not.
    pub different: u64,
    /// Records that the mapping's filter let fall: neither version was given them.
    pub filtered: u64,
    /// Records that failed with the live version.
    pub live_failed: u64,
    /// Records that failed with the other one.
    pub shadow_failed: u64,
    /// Windows that ended with one version or both.
    #[serde(default)]
    pub windows: u64,
    /// Those whose ends came to something else.
    #[serde(default)]
    pub windows_different: u64,
    /// Windows that are open: what their ends come to is not compared yet.
    #[serde(default)]
    pub open_windows: u64,
    /// Records of windows whose beginning is not kept any more: neither version was given them.
    #[serde(default)]
    pub left_out: u64,
}

/// A line of `GET /v1/mappings/{m}/shadow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowLine {
    /// A record that ended otherwise.
    Different(Box<ShadowRecord>),
    /// A window whose end came to something else.
    DifferentWindow(Box<ShadowWindow>),
    /// So far; after every batch.
    Progress(ShadowSummary),
    /// The last line.
    End(ShadowSummary),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: &str, code: &str, error: &str) -> ShadowEnd {
        ShadowEnd {
            rows: Vec::new(),
            failure: Some(ShadowFailure {
                error_kind: kind.to_owned(),
                code: code.to_owned(),
                error: error.to_owned(),
            }),
        }
    }

    fn emitted(data: &str) -> ShadowEnd {
        ShadowEnd {
            rows: vec![ShadowRow {
                output: "default".to_owned(),
                partition_key: "a".to_owned(),
                data: DataText::of(data.as_bytes(), |_| String::new()),
            }],
            failure: None,
        }
    }

    #[test]
    fn ends_are_compared_by_rows_kind_and_code() {
        let busy = failed("error", "busy", "line 1");
        assert!(busy.is_like(&failed("error", "busy", "line 2")));
        assert!(emitted("x").is_like(&emitted("x")));
        for other in [
            failed("skip", "busy", "line 1"),
            failed("error", "other", "line 1"),
            ShadowEnd::default(),
            emitted("x"),
        ] {
            assert!(!busy.is_like(&other), "{other:?}");
        }
        assert!(
            !emitted("x").is_like(&emitted("y")) && !emitted("x").is_like(&ShadowEnd::default())
        );
    }
}

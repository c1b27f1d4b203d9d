//! One call, as `invoke` shows it.

use serde::{Deserialize, Serialize};

use super::DataText;

/// A row that was emitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRow {
    /// The output.
    pub output: String,
    /// Index of the source record; `null`: the whole call.
    pub source: Option<u32>,
    /// Its key.
    pub partition_key: String,
    /// Its payload.
    #[serde(flatten)]
    pub data: DataText,
}

/// A record that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFailure {
    /// Index of the record; `null`: the whole call.
    pub index: Option<u32>,
    /// `retry skip fatal`, or the outcome of a call that did not return.
    pub kind: String,
    /// The author's code, else the kind.
    pub code: String,
    /// Words.
    pub message: String,
}

/// A line that the function wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLog {
    /// `error warn info debug trace`.
    pub level: String,
    /// `log stdout stderr panic`.
    pub source: String,
    /// The words.
    pub message: String,
}

/// `invoke`: what a call came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// `ok partial error trap timeout out-of-memory output-too-large throttled`.
    pub outcome: String,
    /// How long it ran.
    pub duration_ms: f64,
    /// Most memory it had.
    pub memory_bytes: u64,
    /// What was emitted.
    pub rows: Vec<CallRow>,
    /// What failed.
    pub failures: Vec<CallFailure>,
    /// What was written.
    pub logs: Vec<CallLog>,
}

//! Records, acknowledgements, dead letters and log lines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How bytes are written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// As they are: they are UTF-8.
    Text,
    /// In base64.
    Base64,
}

/// Bytes in JSON: text where they are UTF-8, else base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataText {
    /// The text.
    pub data: String,
    /// How it is written.
    pub encoding: Encoding,
}

impl DataText {
    /// Writes bytes; `base64` is asked only where they are no UTF-8.
    #[must_use]
    pub fn of(bytes: &[u8], base64: impl FnOnce(&[u8]) -> String) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self {
                data: text.to_owned(),
                encoding: Encoding::Text,
            },
            Err(_) => Self {
                data: base64(bytes),
                encoding: Encoding::Base64,
            },
        }
    }
}

/// `put`: one acknowledged line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutLine {
    /// Its number in the input, from 1.
    pub line: u64,
    /// The shard it went to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shard_id: Option<String>,
    /// Its sequence number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sequence_number: Option<String>,
    /// Instead of both, where the producer id says that it is there already.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub duplicate: bool,
    /// Whether the line had no readable key field and went under a key of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub without_key: bool,
}

/// `tail`: one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailLine {
    /// Its partition key.
    pub partition_key: String,
    /// Its sequence number.
    pub sequence_number: String,
    /// Its shard.
    pub shard_id: String,
    /// When it arrived, RFC 3339.
    pub arrival: String,
    /// Ms from the arrival of the record it was made of to its own, where that was asked for and is
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Its payload.
    #[serde(flatten)]
    pub data: DataText,
}

/// `tail` of several shards: one of them has a hole and is not shown any further; the others go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailHole {
    /// The shard.
    pub shard_id: String,
    /// Number in its shard of the first record that cannot be read; `null`: not known.
    pub first_record: Option<u64>,
    /// Number of the last one.
    pub last_record: Option<u64>,
    /// Sequence number of the record in front of them, where that can be read.
    pub after_sequence_number: Option<String>,
    /// Sequence number of the record behind them, where that can be read.
    pub before_sequence_number: Option<String>,
    /// What is wrong, and where.
    pub message: String,
}

/// A [`TailHole`] among the lines of a tail: `{"hole":{…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailHoleLine {
    /// The hole.
    pub hole: TailHole,
}

/// `dlq list`, `dlq show`: one dead letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterStatus {
    /// Its id within the mapping.
    pub id: String,
    /// The record's partition key.
    pub partition_key: String,
    /// The record's sequence number.
    pub sequence_number: String,
    /// The shard it was read from.
    pub shard_id: String,
    /// Why: `skip error trap timeout out-of-memory …`.
    pub error_kind: String,
    /// The author's code, else the kind.
    pub code: String,
    /// Words.
    pub error: String,
    /// Charged attempts.
    pub attempts: u32,
    /// The version that gave up.
    pub function_version: u64,
    /// When the record arrived, RFC 3339.
    pub arrival: String,
    /// When it was given up, RFC 3339.
    pub failed_at: String,
    /// How long the call took that it was given up after, ms; `null`: there was none.
    #[serde(default)]
    pub duration_ms: Option<f64>,
    /// The most memory that the function had in that call, bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// `open resolved purged`.
    pub status: String,
    /// The payload.
    #[serde(flatten)]
    pub data: DataText,
}

/// `dlq list`: the dead letters of one code and kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterCode {
    /// The author's code, else the kind; `null`: all codes beyond those that are told one by one.
    pub code: Option<String>,
    /// Why: `skip error trap timeout out-of-memory …`; `null` with the code.
    pub error_kind: Option<String>,
    /// How many.
    pub letters: u64,
    /// When the first of them was given up, RFC 3339.
    pub oldest_failed_at: String,
    /// When the last of them was.
    pub newest_failed_at: String,
}

/// Open dead letters that cannot be read: stored bytes are damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedLetters {
    /// How many.
    pub letters: u64,
    /// Their ids; the first [`DAMAGED_LETTERS_NAMED_MAX`](crate::limits::DAMAGED_LETTERS_NAMED_MAX) of them.
    pub ids: Vec<String>,
    /// What is damaged, and where.
    pub message: String,
}

/// `dlq purge`: what was thrown away, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeStatus {
    /// How many dead letters.
    pub purged: u64,
    /// Bytes of their payloads.
    pub data_bytes: u64,
    /// The newest id that was meant: what has come since was not.
    pub through: String,
    /// Open ones that cannot be read. Of all, and of ids, they are among those purged; whether a filter takes them
    /// nobody knows, and they are left. `null`: there is none.
    #[serde(default)]
    pub damaged: Option<DamagedLetters>,
    /// Where there was none: the codes of the letters that are open, and how many have each. `null`: some
    /// were meant, or the mapping is deleted.
    #[serde(default)]
    pub open_codes: Option<BTreeMap<String, u64>>,
    /// Nothing was done.
    pub dry_run: bool,
}

/// `dlq redrive`: what became of the letters that were given to the function again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveStatus {
    /// How many dead letters are meant.
    pub redriven: u64,
    /// Those that succeeded: resolved, their outputs published. `null`: nobody waited.
    pub processed: Option<u64>,
    /// Those that failed again: still open, with their new cause. `null`: nobody waited.
    pub dead_lettered: Option<u64>,
    /// Those that nothing was done with: not open any more, or kept without their payload. `null`: nobody
    /// waited.
    pub skipped: Option<u64>,
    /// Those that still wait for their turn. `null`: nobody waited.
    pub pending: Option<u64>,
    /// Open ones of the same selection that hold no record, and are passed over: states of windows, and
    /// records too large to be kept.
    #[serde(default)]
    pub without_record: u64,
    /// Open ones that cannot be read, and are left: nobody knows whether a filter takes them. `null`: there is none.
    #[serde(default)]
    pub damaged: Option<DamagedLetters>,
    /// Where none is meant: the codes of the letters that are open, and how many have each; else `null`.
    #[serde(default)]
    pub open_codes: Option<BTreeMap<String, u64>>,
    /// The server stops: what is pending goes on when it starts again.
    #[serde(default)]
    pub is_stopping: bool,
    /// Somebody called it off: what is pending stays open.
    #[serde(default)]
    pub is_cancelled: bool,
    /// Nothing was done.
    pub dry_run: bool,
}

/// What is redriven of a mapping now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedrivingStatus {
    /// Letters that still wait for their turn; those that somebody else closed meanwhile are counted until the
    /// redrive ends.
    pub letters: u64,
    /// At most so many a second; `null`: as fast as they end.
    pub rate: Option<u64>,
}

/// A redrive that is under way: what was asked for, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveLine {
    /// When it was asked for, RFC 3339.
    pub asked_at: String,
    /// By whom: an address.
    pub asked_by: String,
    /// Of letters that were named one by one, how many; else `null`.
    pub named: Option<u64>,
    /// Only those of this code.
    pub code: Option<String>,
    /// Only those of this kind of error.
    pub kind: Option<String>,
    /// Only those of this partition key.
    pub key: Option<String>,
    /// Only those given up since then, RFC 3339.
    pub since: Option<String>,
    /// The version that is called; `null`: the one that is live.
    pub version: Option<u64>,
    /// At most so many letters a second; `null`: as fast as they end.
    pub rate: Option<u64>,
    /// Letters that were resolved: since the server started, like the next two.
    pub processed: u64,
    /// Those that failed again.
    pub dead_lettered: u64,
    /// Those that nothing was done with.
    pub skipped: u64,
    /// Those that wait for their turn; of a redrive that goes on after a start 0 until they are counted.
    pub pending: u64,
}

/// The answer to `POST /v1/mappings/{m}/dead-letters/redrives/cancel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelledRedrives {
    /// How many were called off.
    pub cancelled: u64,
    /// Each, as it stood then. What is pending stays open, but for letters that the function had in hand.
    pub redrives: Vec<RedriveLine>,
}

/// A dead letter as a relay brings it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayedLetter {
    /// Id of the mapping: with the letter's own id it names the letter for ever.
    pub mapping_id: String,
    /// `<function>/<stream>`.
    pub mapping: String,
    /// The letter.
    #[serde(flatten)]
    pub letter: DeadLetterStatus,
}

/// A record that was charged and waits for its next attempt, as it is told when it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryStatus {
    /// When the attempt was judged, RFC 3339.
    pub time: String,
    /// The record's partition key.
    pub partition_key: String,
    /// The record's sequence number.
    pub sequence_number: String,
    /// The shard it was read from.
    pub shard_id: String,
    /// Why: `error trap timeout out-of-memory`.
    pub error_kind: String,
    /// The author's code, else the kind.
    pub code: String,
    /// Words.
    pub error: String,
    /// Charged attempts; the next one is this plus 1.
    pub attempts: u32,
    /// Attempts in all; `null`: unlimited.
    pub max_attempts: Option<u32>,
    /// When it is tried again, at the earliest, RFC 3339.
    pub next_retry_at: String,
    /// From `time` until then, ms.
    pub delay_ms: u64,
    /// The version that failed.
    pub function_version: u64,
}

/// A line of `GET /v1/mappings/{m}/retries?follow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryLine {
    /// A retry.
    Retry(Box<RetryStatus>),
    /// The reader was too slow for some.
    Missed {
        /// How many.
        missed: u64,
    },
}

/// `logs`: one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, RFC 3339.
    pub time: String,
    /// `error warn info debug trace`.
    pub level: String,
    /// The function.
    #[serde(default)]
    pub function: String,
    /// The version that wrote it; 0: the host did, of lines that are lost.
    pub version: u64,
    /// `<function>/<stream>`; `null` outside a mapping.
    pub mapping: Option<String>,
    /// The shard.
    pub shard_id: Option<String>,
    /// The record in hand.
    pub sequence_number: Option<String>,
    /// `log stdout stderr panic`.
    pub source: String,
    /// The words.
    pub message: String,
}

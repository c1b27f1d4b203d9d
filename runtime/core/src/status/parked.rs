//! Keys that wait for a retry.

use serde::{Deserialize, Serialize};

use super::Encoding;

/// `mappings parked`: one key that waits, or a window that cannot be closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedStatus {
    /// The shard, `shardId-000000000000`.
    pub shard_id: String,
    /// Keys and windows of the shard that wait, those that are not listed included: where that is more than
    /// there are lines of the shard, the list was cut. `null`: more than are listed, and nobody counted.
    #[serde(default)]
    pub shard_keys: Option<u64>,
    /// The partition key; empty: it is a window.
    pub partition_key: String,
    /// How the key is written.
    pub key_encoding: Encoding,
    /// Sequence number of its oldest failing record, or of its oldest one where none failed; empty: it is a
    /// window.
    pub sequence_number: String,
    /// The window whose last call fails; `null`: it is a key.
    #[serde(default)]
    pub window: Option<ParkedWindow>,
    /// Failing records of the key; 0: it is held by no fault of its own.
    pub failing_records: u64,
    /// Records that wait behind the oldest, as far as they were read; `null`: not read, or nobody runs
    /// the shard.
    pub waiting_records: Option<u64>,
    /// Charged attempts of the oldest, or calls that were to close the window.
    pub attempts: u32,
    /// What it waits for: `retry`, `circuit-open`, `throttled`.
    #[serde(default)]
    pub why: String,
    /// When it is tried at the earliest, RFC 3339; `null`: that hangs on a call under way or on `blocked_by`, or the
    /// mapping does not run.
    pub next_retry_at: Option<String>,
    /// The mapping does not run: nothing is tried until it is resumed.
    #[serde(default)]
    pub waits_for_resume: bool,
    /// Its time has come, and commits of its shard are refused until there is room: `dead-letters-full`, `disk-full`,
    /// `output-full`; or an output stream: `blocked-output`. `null` otherwise.
    #[serde(default)]
    pub blocked_by: Option<String>,
    /// Kind of its last failure; `null` as `code` is.
    #[serde(default)]
    pub error_kind: Option<String>,
    /// Code of its last failure; `null`: it did not fail, or that is not known, as of very many failing records,
    /// or of one that an older version of the server charged.
    pub code: Option<String>,
    /// Words of it.
    pub error: Option<String>,
}

/// The window of a group of keys that waits for a call that ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedWindow {
    /// The group.
    pub group: u32,
    /// Its first millisecond, RFC 3339.
    pub starts_at: String,
    /// The first millisecond behind it, RFC 3339.
    pub ends_at: String,
}

/// `mappings release`: which keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseKeys {
    /// This one, as `mappings parked` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Everything that waits, windows too.
    #[serde(default)]
    pub all: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseStatus {
    /// Id of the mapping.
    pub id: String,
    /// The mapping, `<function>/<stream>`.
    pub name: String,
    /// The key; `null`: all that waited.
    pub partition_key: Option<String>,
    /// Keys, groups of keys or shards that waited.
    #[serde(default)]
    pub released_keys: u64,
    /// Records of the key whose wait is over; 0 where everything was released.
    pub released_records: u64,
    /// Of them those that were not tried yet and wait in a lane whose circuit is open: the next probe is of
    /// whatever is first there.
    #[serde(default)]
    pub untried_in_lanes: u64,
}

/// `mappings dead-letter`: which records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveUpKey {
    /// As `mappings parked` writes it.
    pub key: String,
    /// Everything of the key that is not done, not its failing records alone. Without, a key of which none
    /// failed is refused.
    #[serde(default)]
    pub all: bool,
    /// Only say what it would be.
    #[serde(default)]
    pub dry_run: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveUpStatus {
    /// Id of the mapping.
    pub id: String,
    /// The mapping, `<function>/<stream>`.
    pub name: String,
    /// The key.
    pub partition_key: String,
    /// Its records that are dead letters now, or would be.
    pub dead_lettered_records: u64,
    /// Those that had ended otherwise before their turn came.
    pub ended_records: u64,
    /// Those that a call has in hand: they are given up when it ends, if they are not done then.
    pub pending_records: u64,
    /// Those whose shard's worker ended before their turn came: they wait as before.
    #[serde(default)]
    pub left_records: u64,
    /// Records of the key that were read, are not done, and are none of those: they go on as before. `null`:
    /// nobody could tell.
    #[serde(default)]
    pub remaining_records: Option<u64>,
    /// Nothing was done.
    pub dry_run: bool,
}

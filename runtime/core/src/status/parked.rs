//! Keys that wait for a retry.

use serde::{Deserialize, Serialize};

use super::Encoding;

/// `mappings parked`: one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedStatus {
    /// The shard, `shardId-000000000000`.
    pub shard_id: String,
    /// The partition key.
    pub partition_key: String,
    /// How the key is written.
    pub key_encoding: Encoding,
    /// Sequence number of its oldest failing record.
    pub sequence_number: String,
    /// Failing records of the key.
    pub failing_records: u64,
    /// Records that wait behind the oldest, as far as they were read; `null`: not read, or nobody runs
    /// the shard.
    pub waiting_records: Option<u64>,
    /// Charged attempts of the oldest.
    pub attempts: u32,
    /// When it is tried again at the earliest, RFC 3339; `null` while the mapping does not run.
    pub next_retry_at: Option<String>,
    /// Code of its last failure; `null`: not known, as of very many failing records, or of one that an older
    /// version of the server charged.
    pub code: Option<String>,
    /// Words of it.
    pub error: Option<String>,
}

/// `mappings release`: which key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParkedKey {
    /// As `mappings parked` writes it.
    pub key: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseStatus {
    /// Id of the mapping.
    pub id: String,
    /// The mapping, `<function>/<stream>`.
    pub name: String,
    /// The key.
    pub partition_key: String,
    /// Its failing records whose wait is over.
    pub released_records: u64,
}

/// `mappings dead-letter`: which records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveUpKey {
    /// As `mappings parked` writes it.
    pub key: String,
    /// Everything of the key that is not done, not its failing records alone.
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
    /// Nothing was done.
    pub dry_run: bool,
}

//! Shards of our own streams: hash-key ranges and their lineage.

mod reshard;

pub use reshard::{Reshard, ReshardError};

use std::collections::BTreeMap;

use crate::{
    id::{ShardNumber, StreamId, StreamName, Timestamp},
    limits::STREAM_RECORD_BYTES_DEFAULT,
};

/// A shard's part of the 128-bit hash-key space, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashKeyRange {
    /// First hash key.
    pub start: u128,
    /// Last hash key.
    pub end: u128,
}

impl HashKeyRange {
    /// Whether `hash_key` belongs here.
    #[must_use]
    pub const fn contains(&self, hash_key: u128) -> bool {
        self.start <= hash_key && hash_key <= self.end
    }

    /// The initial ranges of a stream with `shards` shards, exactly as Kinesis cuts them: shard i
    /// starts at i × floor(2^128 / n), the last one ends at 2^128 − 1 (Kinesis reference B7).
    ///
    /// # Panics
    /// If `shards` is 0.
    #[must_use]
    pub fn initial(shards: u32) -> Vec<Self> {
        assert!(shards > 0, "a stream has at least one shard");
        if shards == 1 {
            return vec![Self {
                start: 0,
                end: u128::MAX,
            }];
        }
        let n = u128::from(shards);
        // floor(2^128 / n) without 129 bits: 2^128 = MAX + 1.
        let width = u128::MAX / n + u128::from(u128::MAX % n == n - 1);
        (0..n)
            .map(|i| Self {
                start: i * width,
                end: if i + 1 == n {
                    u128::MAX
                } else {
                    (i + 1) * width - 1
                },
            })
            .collect()
    }
}

/// One shard as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number.
    pub number: ShardNumber,
    /// Its part of the hash-key space.
    pub range: HashKeyRange,
    /// When it was made; part of its sequence numbers.
    pub created_at: Timestamp,
    /// The shards it came from: none, one (split) or two (merge).
    pub parents: Vec<ShardNumber>,
    /// Whether it takes no more records.
    pub is_closed: bool,
}

/// When a put is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ack {
    /// Once it is synced.
    #[default]
    Synced,
    /// Once it is written; readers still see it only when synced.
    Written,
}

/// How a stream's capacity was asked for. Only told again: no stream here has a rate (Kinesis reference
/// B12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamMode {
    /// By its number of shards.
    #[default]
    Provisioned,
    /// By what is written to it.
    OnDemand,
}

/// What else there is to say of a stream, besides shards, retention by time and acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Most bytes of data and partition key of one record: 1 to 10 MiB.
    pub record_bytes_max: u64,
    /// How its capacity was asked for.
    pub mode: StreamMode,
    /// Tags: at most 50, keys of 1 to 128 characters, values of at most 256.
    pub tags: BTreeMap<String, String>,
    /// Most bytes that its logs may take: at it, puts and outputs are refused. `None`: the disk alone
    /// bounds it.
    pub quota_bytes: Option<u64>,
    /// Bytes of log beyond which the oldest records are shown no more. `None`: age alone decides.
    pub retention_bytes: Option<u64>,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            record_bytes_max: STREAM_RECORD_BYTES_DEFAULT,
            mode: StreamMode::Provisioned,
            tags: BTreeMap::new(),
            quota_bytes: None,
            retention_bytes: None,
        }
    }
}

/// A stream as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its id.
    pub id: StreamId,
    /// Its name.
    pub name: StreamName,
    /// Its shards by number, closed ones included until retention has passed all of their records. A
    /// number is never used twice: that of a new shard is one above the highest, and the shard with
    /// the highest is always open.
    pub shards: Vec<Shard>,
    /// How long records are kept, ms.
    pub retention_ms: u64,
    /// When puts are answered.
    pub ack: Ack,
    /// When it was made.
    pub created_at: Timestamp,
    /// A dead-letter stream: hidden from lists, no record limit, no time retention.
    pub is_internal: bool,
    /// What else there is to say.
    pub options: StreamOptions,
}

impl Stream {
    /// The shard of this number.
    #[must_use]
    pub fn shard(&self, number: ShardNumber) -> Option<&Shard> {
        let at = self
            .shards
            .binary_search_by_key(&number, |shard| shard.number);
        at.ok().map(|at| &self.shards[at])
    }

    /// The shards that take records, by number.
    pub fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| !shard.is_closed)
    }

    /// The shards that came from this one, by number.
    pub fn children(&self, parent: ShardNumber) -> impl Iterator<Item = &Shard> {
        // A child's number is above its parents'.
        let from = self.shards.partition_point(|shard| shard.number <= parent);
        let younger = self.shards[from..].iter();
        younger.filter(move |shard| shard.parents.contains(&parent))
    }

    /// When a shard was closed: its children were made by the same entry. `None`: it is open, or there
    /// is no such shard.
    #[must_use]
    pub fn closed_at(&self, number: ShardNumber) -> Option<Timestamp> {
        self.shard(number).filter(|shard| shard.is_closed)?;
        self.children(number).next().map(|child| child.created_at)
    }

    /// The open shard that `hash_key` belongs to.
    #[must_use]
    pub fn route(&self, hash_key: u128) -> Option<ShardNumber> {
        self.shards
            .iter()
            .find(|shard| !shard.is_closed && shard.range.contains(hash_key))
            .map(|shard| shard.number)
    }
}

#[cfg(test)]
mod tests;

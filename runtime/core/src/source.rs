//! The contract of the thing that reads a shard.

use std::sync::Arc;

use crate::{
    filter::FilterVerdict,
    id::{Ordinal, Timestamp},
    pipeline::{BlockId, BlockMeta, RecordMeta},
    record::RecordBlock,
};

/// Where a shard cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, as the log spells it.
    pub path: String,
    /// Where in it, in bytes.
    pub offset: u64,
    /// All of it in a person's words: the file, what it is, stream, shard and records.
    pub words: String,
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not now: the read is made again after a pause.
    #[error("reading failed, and may succeed later: {0}")]
    Transient(String),
    /// What lies there cannot be read: the unit stops as damaged.
    #[error("the shard is damaged: {}", .0.words)]
    Damaged(Box<Damage>),
    /// Everything up to the horizon is gone; the unit's owner is fenced by the entry that expired it.
    #[error("records before {horizon} are gone")]
    Trimmed {
        /// Oldest position that can be read.
        horizon: Ordinal,
    },
    /// The stream or shard does not exist any more.
    #[error("the shard is gone")]
    Gone,
}

/// Reads one shard for one worker. Only published records are ever seen.
pub trait ShardSource: Send + 'static {
    /// Reads records above `after`: at most `records_max` of them, stopping at `bytes_max` bytes of
    /// keys and payloads (the first record always fits). Blocks are in shard order; the first may
    /// hold records up to `after` and the last more than was asked for. Empty at the tail.
    ///
    /// # Errors
    /// As [`SourceError`] says; nothing is skipped.
    fn fetch(
        &self,
        after: Ordinal,
        records_max: u32,
        bytes_max: u64,
    ) -> impl Future<Output = Result<Vec<Arc<RecordBlock>>, SourceError>> + Send;

    /// The last published position. Cheap.
    fn tail(&self) -> Ordinal;

    /// Waits until the tail is above `tail`, and returns it. Pushed, never polled. Cancel-safe.
    ///
    /// # Errors
    /// [`SourceError::Gone`] when the shard will never have more.
    fn tail_above(
        &mut self,
        tail: Ordinal,
    ) -> impl Future<Output = Result<Ordinal, SourceError>> + Send;
}

/// Describes the records of `block` above `after` to a pipeline, at most `records_max` of them,
/// appending to `records`; hashes each key once. No filter has judged them.
pub fn describe(
    block: &RecordBlock,
    id: BlockId,
    after: Ordinal,
    records_max: u32,
    records: &mut Vec<RecordMeta>,
) -> BlockMeta {
    let skipped = after.0.saturating_add(1).saturating_sub(block.first.0);
    let skipped = usize::try_from(skipped)
        .unwrap_or(usize::MAX)
        .min(block.len());
    let taken = block.len().min(skipped + records_max as usize);
    records.reserve(taken - skipped);
    for index in skipped..taken {
        let position = block.ordinal(index);
        let bytes = block.records.keys.range(index).len() + block.records.data.range(index).len();
        records.push(RecordMeta {
            position,
            key: block.key_hash(index),
            arrival: Timestamp(block.records.arrival_ms[index]),
            block: id,
            index: u32::try_from(index).expect("a column has u32 indices"),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            hops: block.hops(index),
            verdict: FilterVerdict::Match,
        });
    }
    BlockMeta {
        id,
        bytes: block.records.byte_len() as u64,
    }
}

#[cfg(test)]
mod tests;

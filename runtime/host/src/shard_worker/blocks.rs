//! The records a worker holds: blocks as the store handed them out, shared, by the pipeline's number.
//!
//! A batch is cut from them without touching a payload twice: a batch inside one block is a slice,
//! one over several blocks is one copy per column and run.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    id::{Ordinal, Timestamp},
    pipeline::{BlockId, Payloads, RecordRef},
    record::{RecordBlock, Records},
};
use fnctl_streams::sequence;

/// Blocks by number, ascending; released ones leave a hole until they are the oldest.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// When the shard was made: part of every sequence number.
    shard_created_at: Timestamp,
    first: u64,
    blocks: VecDeque<Option<Arc<RecordBlock>>>,
}

/// Records of one block that follow one another.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    block: Arc<RecordBlock>,
    range: Range<usize>,
}

/// One record where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    /// Its block.
    pub(crate) block: &'a RecordBlock,
    /// Its index there.
    pub(crate) index: usize,
}

impl<'a> Held<'a> {
    /// Its partition key.
    pub(crate) fn key(&self) -> &'a [u8] {
        self.block.records.keys.get(self.index)
    }

    /// Its 128-bit hash key.
    pub(crate) fn hash_key(&self) -> u128 {
        self.block.hash_keys[self.index]
    }

    /// Its place in the shard.
    pub(crate) fn ordinal(&self) -> Ordinal {
        self.block.ordinal(self.index)
    }

    /// When it arrived.
    pub(crate) fn arrival(&self) -> Timestamp {
        self.block.arrival(self.index)
    }
}

impl Blocks {
    /// Holds nothing yet; `shard_created_at` is part of the shard's sequence numbers.
    pub(crate) const fn new(shard_created_at: Timestamp) -> Self {
        Self {
            shard_created_at,
            first: 1,
            blocks: VecDeque::new(),
        }
    }

    /// Keeps a block and numbers it, densely from 1.
    pub(crate) fn push(&mut self, block: Arc<RecordBlock>) -> BlockId {
        let id = BlockId(self.first + self.blocks.len() as u64);
        self.blocks.push_back(Some(block));
        id
    }

    /// Lets go of a block.
    pub(crate) fn release(&mut self, id: BlockId) {
        if let Some(index) = self.index(id) {
            self.blocks[index] = None;
        }
        while let Some(None) = self.blocks.front() {
            self.blocks.pop_front();
            self.first += 1;
        }
    }

    /// The record meant.
    ///
    /// # Panics
    /// If its block was released: a pipeline names no such record.
    pub(crate) fn get(&self, record: &RecordRef) -> Held<'_> {
        Held {
            block: self.block(record.block),
            index: record.index as usize,
        }
    }

    /// The runs that hold `records`, in the order given.
    ///
    /// # Panics
    /// If a block was released: a pipeline names no such record.
    pub(crate) fn runs(&self, records: &[RecordRef]) -> Vec<Run> {
        let mut runs = Vec::new();
        for record in records {
            Run::add(&mut runs, self.block(record.block), record.index as usize);
        }
        runs
    }

    fn block(&self, id: BlockId) -> &Arc<RecordBlock> {
        self.index(id)
            .and_then(|index| self.blocks[index].as_ref())
            .expect("a pipeline names only blocks that it has not released")
    }

    fn index(&self, id: BlockId) -> Option<usize> {
        let index = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        (index < self.blocks.len()).then_some(index)
    }
}

impl Payloads for Blocks {
    fn key(&self, record: &RecordRef) -> Bytes {
        let held = self.get(record);
        held.block.records.keys.share(held.index)
    }

    fn data(&self, record: &RecordRef) -> Bytes {
        let held = self.get(record);
        held.block.records.data.share(held.index)
    }

    fn hash_key(&self, record: &RecordRef) -> u128 {
        self.get(record).hash_key()
    }

    fn sequence_number(&self, record: &RecordRef) -> Arc<str> {
        let held = self.get(record);
        let (shard, at) = (held.block.shard, held.arrival());
        sequence::encode(self.shard_created_at, shard, held.ordinal(), at).into()
    }
}

impl Run {
    /// Adds record `index` of a block to runs: to the last one, if it follows there.
    pub(crate) fn add(runs: &mut Vec<Self>, block: &Arc<RecordBlock>, index: usize) {
        match runs.last_mut() {
            Some(run) if run.range.end == index && Arc::ptr_eq(&run.block, block) => {
                run.range.end += 1;
            }
            _ => runs.push(Self {
                block: Arc::clone(block),
                range: index..index + 1,
            }),
        }
    }

    /// The records of a range of all runs.
    pub(crate) fn cut(runs: &[Self], range: &Range<usize>) -> Vec<Self> {
        let mut first = 0;
        let pieces = runs.iter().filter_map(|run| {
            let within = |at: usize| at.clamp(first, first + run.len()) - first + run.range.start;
            let piece = within(range.start)..within(range.end);
            first += run.len();
            (!piece.is_empty()).then(|| Self {
                block: Arc::clone(&run.block),
                range: piece,
            })
        });
        pieces.collect()
    }

    /// The runs' records as what a function receives.
    pub(crate) fn gather(runs: &[Self]) -> Records {
        if let [run] = runs {
            let records = &run.block.records;
            if run.range == (0..records.len()) {
                return records.clone();
            }
            return Records {
                keys: records.keys.slice(run.range.clone()),
                data: records.data.slice(run.range.clone()),
                arrival_ms: records.arrival_ms[run.range.clone()].to_vec(),
            };
        }
        let parts = runs.iter();
        Records::gather(parts.map(|run| (&run.block.records, run.range.clone())))
    }

    /// Record `index` of all runs.
    pub(crate) fn nth(runs: &[Self], index: usize) -> Option<Held<'_>> {
        let mut left = index;
        for run in runs {
            if left < run.len() {
                return Some(run.held(left));
            }
            left -= run.len();
        }
        None
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// Record `offset` of this run.
    pub(crate) fn held(&self, offset: usize) -> Held<'_> {
        Held {
            block: &self.block,
            index: self.range.start + offset,
        }
    }
}

#[cfg(test)]
mod tests;

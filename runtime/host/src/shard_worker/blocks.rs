//! The records a worker holds: blocks as the store handed them out, shared, by the pipeline's number.
//!
//! A batch is cut from them without touching a payload twice: a batch inside one block is a slice,
//! one over several blocks is one copy per column and run. Of a block that is needed for a few parked records
//! only copies of these are held.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    id::{Ordinal, Timestamp},
    lane::KeyHash,
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
    blocks: VecDeque<Option<Vec<Part>>>,
}

/// Records of a block that follow one another: all of it, or what is kept of it.
#[derive(Clone, Debug)]
struct Part {
    /// Index in the block of its first record.
    from: usize,
    records: Arc<RecordBlock>,
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
        self.blocks.push_back(Some(vec![Part {
            from: 0,
            records: block,
        }]));
        id
    }

    /// Keeps of a block the records of these indices alone, ascending, under the same indices.
    ///
    /// # Panics
    /// If it does not hold one of them: a pipeline keeps what it has not let go.
    pub(crate) fn keep_only(&mut self, id: BlockId, records: &[u32]) {
        let Some(at) = self.index(id) else {
            return;
        };
        let mut kept = Vec::new();
        for run in records.chunk_by(|one, next| one + 1 == *next) {
            let from = run[0] as usize;
            let (held, index) = self.part(id, from);
            let whole = index == 0 && run.len() == held.len();
            let records = match whole {
                true => Arc::clone(held),
                false => Arc::new(held.copied(index..index + run.len())),
            };
            kept.push(Part { from, records });
        }
        self.blocks[at] = Some(kept);
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
        let (block, index) = self.part(record.block, record.index as usize);
        Held { block, index }
    }

    /// The runs that hold `records`, in the order given.
    ///
    /// # Panics
    /// If a block was released: a pipeline names no such record.
    pub(crate) fn runs(&self, records: &[RecordRef]) -> Vec<Run> {
        // Each with its block, and the index there that it goes on with.
        let mut runs: Vec<(BlockId, usize, Run)> = Vec::new();
        for record in records {
            let index = record.index as usize;
            match runs.last_mut() {
                Some((block, next, run))
                    if *block == record.block
                        && *next == index
                        && run.range.end < run.block.len() =>
                {
                    *next += 1;
                    run.range.end += 1;
                }
                _ => {
                    let (block, at) = self.part(record.block, index);
                    let run = Run {
                        block: Arc::clone(block),
                        range: at..at + 1,
                    };
                    runs.push((record.block, index + 1, run));
                }
            }
        }
        runs.into_iter().map(|(_, _, run)| run).collect()
    }

    /// Where a record of a block lies.
    fn part(&self, id: BlockId, index: usize) -> (&Arc<RecordBlock>, usize) {
        let parts = self.index(id).and_then(|at| self.blocks[at].as_ref());
        let part = parts.and_then(|parts| {
            let behind = parts.partition_point(|part| part.from <= index);
            let part = &parts[behind.checked_sub(1)?];
            (index - part.from < part.records.len()).then_some(part)
        });
        let part = part.expect("a pipeline names only records that it has not let go");
        (&part.records, index - part.from)
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

    /// The records of these indices in all runs, ascending.
    pub(crate) fn choose(runs: &[Self], indices: &[usize]) -> Vec<Self> {
        let (mut chosen, mut first) = (Vec::new(), 0);
        let mut indices = indices.iter().copied().peekable();
        for run in runs {
            while let Some(index) = indices.next_if(|index| *index < first + run.len()) {
                Self::add(&mut chosen, &run.block, run.range.start + index - first);
            }
            first += run.len();
        }
        chosen
    }

    /// The hashes of the records' keys, and when they arrived.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (KeyHash, Timestamp)> {
        let records = self.range.clone();
        records.map(|index| (self.block.key_hash(index), self.block.arrival(index)))
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

//! The records a worker holds: blocks as the store handed them out, shared, by the pipeline's number.
//!
//! A batch is cut from them without touching a payload twice: a batch inside one block is a slice,
//! one over several blocks is one copy per column and run. Of a block that is needed for a few parked records
//! only copies of these are held.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    id::{Ordinal, Timestamp},
    lane::{self, KeyHash},
    limits::RETRIES_TOGETHER_MAX,
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

/// Records of a block that follow one another: all of it, or some that are kept of it.
#[derive(Clone, Debug)]
struct Part {
    /// Index in the block of its first record.
    from: usize,
    run: Run,
}

/// Records of one block that follow one another.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The block, or what is kept of it: its own ordinals are not asked for.
    block: Arc<RecordBlock>,
    /// Where they lie there.
    range: Range<usize>,
    /// Ordinal of the first of them.
    first: Ordinal,
}

/// One record where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    /// Its block, or what is kept of it.
    pub(crate) block: &'a RecordBlock,
    /// Its index there.
    index: usize,
    ordinal: Ordinal,
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
    pub(crate) const fn ordinal(&self) -> Ordinal {
        self.ordinal
    }

    /// What its lane and its group come from.
    fn key_hash(&self) -> KeyHash {
        let keys = &self.block.records.keys;
        let key = (!keys.is_null(self.index)).then(|| keys.get(self.index));
        lane::key_hash(key, self.ordinal)
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
        let run = Run {
            range: 0..block.len(),
            first: block.first,
            block,
        };
        self.blocks.push_back(Some(vec![Part { from: 0, run }]));
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
        // In one copy: a record by itself would take more for its columns than for what is in them.
        let runs = records.chunk_by(|one, next| one + 1 == *next);
        let kept: Vec<Part> = runs
            .map(|run| {
                let from = run[0] as usize;
                let (held, offset) = self.part(id, from);
                let run = held.cut_out(offset..offset + run.len());
                Part { from, run }
            })
            .collect();
        let ranges: Vec<Range<usize>> = kept.iter().map(|part| part.run.range.clone()).collect();
        let kept = self.blocks[at].insert(kept);
        let Some(held) = kept.first().map(|part| Arc::clone(&part.run.block)) else {
            return;
        };
        if ranges.iter().map(Range::len).sum::<usize>() == held.len() {
            return;
        }
        let copied = Arc::new(held.copied(&ranges));
        let mut end = 0;
        for Part { run, .. } in kept {
            run.range = end..end + run.len();
            run.block = Arc::clone(&copied);
            end = run.range.end;
        }
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
        let (part, offset) = self.part(record.block, record.index as usize);
        part.held(offset)
    }

    /// The runs that hold `records`, in the order given.
    ///
    /// # Panics
    /// If a block was released: a pipeline names no such record.
    pub(crate) fn runs(&self, records: &[RecordRef]) -> Vec<Run> {
        // One mostly; of retries as many as records. Each with its block, the index there that it goes on with, and
        // where in what is held its part ends.
        let mut runs: Vec<(BlockId, usize, usize, Run)> =
            Vec::with_capacity(records.len().min(RETRIES_TOGETHER_MAX as usize));
        for record in records {
            let index = record.index as usize;
            match runs.last_mut() {
                Some((block, next, end, run))
                    if *block == record.block && *next == index && run.range.end < *end =>
                {
                    *next += 1;
                    run.range.end += 1;
                }
                _ => {
                    let (part, offset) = self.part(record.block, index);
                    let run = part.cut_out(offset..offset + 1);
                    runs.push((record.block, index + 1, part.range.end, run));
                }
            }
        }
        runs.into_iter().map(|(_, _, _, run)| run).collect()
    }

    /// What is held of a block around a record, and which of it that is.
    fn part(&self, id: BlockId, index: usize) -> (&Run, usize) {
        let parts = self.index(id).and_then(|at| self.blocks[at].as_ref());
        let part = parts.and_then(|parts| {
            let behind = parts.partition_point(|part| part.from <= index);
            let part = &parts[behind.checked_sub(1)?];
            (index - part.from < part.run.len()).then_some(part)
        });
        let part = part.expect("a pipeline names only records that it has not let go");
        (&part.run, index - part.from)
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
        Self::push(runs, block, index, block.ordinal(index));
    }

    fn push(runs: &mut Vec<Self>, block: &Arc<RecordBlock>, index: usize, ordinal: Ordinal) {
        match runs.last_mut() {
            Some(run)
                if run.range.end == index
                    && run.ordinal(run.len()) == ordinal
                    && Arc::ptr_eq(&run.block, block) =>
            {
                run.range.end += 1;
            }
            _ => runs.push(Self {
                block: Arc::clone(block),
                range: index..index + 1,
                first: ordinal,
            }),
        }
    }

    /// The records of a range of all runs.
    pub(crate) fn cut(runs: &[Self], range: &Range<usize>) -> Vec<Self> {
        let mut first = 0;
        let pieces = runs.iter().filter_map(|run| {
            let within = |at: usize| at.clamp(first, first + run.len()) - first;
            let piece = within(range.start)..within(range.end);
            first += run.len();
            (!piece.is_empty()).then(|| run.cut_out(piece))
        });
        pieces.collect()
    }

    /// The records of a range of this one.
    fn cut_out(&self, offsets: Range<usize>) -> Self {
        Self {
            block: Arc::clone(&self.block),
            first: self.ordinal(offsets.start),
            range: self.range.start + offsets.start..self.range.start + offsets.end,
        }
    }

    /// That of record `offset` of this run.
    const fn ordinal(&self, offset: usize) -> Ordinal {
        Ordinal(self.first.0 + offset as u64)
    }

    /// The records of these indices in all runs, ascending.
    pub(crate) fn choose(runs: &[Self], indices: &[usize]) -> Vec<Self> {
        let (mut chosen, mut first) = (Vec::new(), 0);
        let mut indices = indices.iter().copied().peekable();
        for run in runs {
            while let Some(index) = indices.next_if(|index| *index < first + run.len()) {
                let offset = index - first;
                let at = run.range.start + offset;
                Self::push(&mut chosen, &run.block, at, run.ordinal(offset));
            }
            first += run.len();
        }
        chosen
    }

    /// The hashes of the records' keys, and when they arrived.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (KeyHash, Timestamp)> {
        let records = (0..self.len()).map(|offset| self.held(offset));
        records.map(|held| (held.key_hash(), held.arrival()))
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
            ordinal: self.ordinal(offset),
        }
    }
}

#[cfg(test)]
mod tests;

//! Reads that the pipeline asked for.

use std::sync::Arc;

use fnctl_core::{
    id::Ordinal,
    limits,
    pipeline::{BlockId, BlockMeta, Event, Fetched, Relocated},
    record::RecordBlock,
    source::describe,
};
use fnctl_store::{ReadError, Store};

use super::{ReadOutcome, Worker};
use crate::{guest::Nature, node::facts::Facts};

impl Worker {
    /// Makes the read asked for.
    pub(in crate::node) fn fetch(
        &mut self,
        store: &Store,
        facts: &Facts,
        saw: impl FnMut(&RecordBlock),
    ) -> ReadOutcome {
        let read = self.fetch.take().expect("a read");
        let bytes = usize::try_from(read.bytes_max).unwrap_or(usize::MAX);
        let found = store.read(
            self.unit.stream,
            self.unit.shard,
            read.after,
            read.records_max as usize,
            bytes,
        );
        let blocks = match taken(found, || Event::FetchFailed) {
            Ok(blocks) => blocks,
            Err(outcome) => return outcome,
        };
        blocks.iter().map(|block| &**block).for_each(saw);
        let mut fetched = Fetched::default();
        for block in blocks {
            let count = u32::try_from(fetched.records.len()).expect("few");
            let left = read.records_max.saturating_sub(count);
            if left == 0 || block.last() <= read.after {
                continue;
            }
            let id = self.hold(&block);
            let first = fetched.records.len();
            let meta = describe(&block, id, read.after, left, &mut fetched.records);
            fetched.blocks.push(meta);
            if self.is_first {
                for record in &mut fetched.records[first..] {
                    match facts.nature(&block, record.index as usize) {
                        Nature::Huge => {
                            record.bytes =
                                u32::try_from(limits::RECORD_BYTES_MAX + 1).expect("it fits");
                        }
                        Nature::Loop => record.hops = limits::HOPS_MAX + 1,
                        _ => {}
                    }
                }
            }
        }
        ReadOutcome::Event(Event::Fetched(fetched))
    }

    /// Reads parked payload again.
    pub(in crate::node) fn reread(
        &mut self,
        store: &Store,
        mut saw: impl FnMut(&RecordBlock),
    ) -> ReadOutcome {
        let (slot, positions) = self.rereads.pop_front().expect("a read");
        let (mut blocks, mut records): (Vec<BlockMeta>, Vec<Relocated>) = Default::default();
        let mut last: Option<(BlockId, Arc<RecordBlock>)> = None;
        for position in positions {
            if last
                .as_ref()
                .is_none_or(|(_, block)| position > block.last())
            {
                let before = Ordinal(position.0 - 1);
                let found = store.read(self.unit.stream, self.unit.shard, before, 3, 4_000);
                let found = match taken(found, || Event::RereadFailed { slot }) {
                    Ok(found) => found,
                    Err(outcome) => return outcome,
                };
                let block = Arc::clone(found.first().expect("it is below the tail"));
                saw(&block);
                let id = self.hold(&block);
                let bytes = block.records.byte_len() as u64;
                blocks.push(BlockMeta { id, bytes });
                last = Some((id, block));
            }
            let (id, block) = last.as_ref().expect("it was just read");
            records.push(Relocated {
                position,
                block: *id,
                index: u32::try_from(position.0 - block.first.0).expect("few"),
            });
        }
        ReadOutcome::Event(Event::Reread {
            slot,
            blocks,
            records,
        })
    }
}

/// What a read found, or what the worker makes of its failure.
#[expect(
    clippy::result_large_err,
    reason = "an event is told at once, never kept"
)]
fn taken(
    found: Result<Vec<Arc<RecordBlock>>, ReadError>,
    failed: impl FnOnce() -> Event,
) -> Result<Vec<Arc<RecordBlock>>, ReadOutcome> {
    found.map_err(|error| match error {
        ReadError::Io { .. } => ReadOutcome::Event(failed()),
        ReadError::Trimmed { .. } | ReadError::NoSuchShard => ReadOutcome::End,
        ReadError::Damaged { .. } => ReadOutcome::Damaged(error.to_string()),
    })
}

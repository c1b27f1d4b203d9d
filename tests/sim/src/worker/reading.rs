//! What a worker reads: blocks of the log, and again what it has let go of.

use fnctl_core::{
    filter::FilterVerdict,
    id::Ordinal,
    lane::key_hash,
    limits,
    pipeline::{BlockId, BlockMeta, Event, Fetched, RecordMeta, Relocated},
};

use super::{Worker, checks, hops_of};
use crate::{
    guest::{Nature, key_bytes},
    journal::{Journal, Put},
    random::Random,
};

impl Worker {
    /// Ends the read asked for: in one block or in many, whole or cut short.
    ///
    /// # Panics
    /// If none was asked for.
    pub fn fetched(&mut self, journal: &Journal, bytes_max: u64, random: &mut Random) -> Event {
        let read = self.fetch.take().expect("a read");
        self.record_bytes = checks::record_bytes(bytes_max);
        let mut fetched = Fetched::default();
        let mut bytes = 0;
        let mut after = read.after;
        let stop = random.between(1, 40);
        while after < journal.published_tail() && (fetched.records.len() as u64) < stop {
            let position = after.next();
            let put = journal.put_at(position);
            let meta = self.describe(position, put);
            bytes += u64::from(meta.bytes.min(100));
            let is_full =
                fetched.records.len() >= read.records_max as usize || bytes > read.bytes_max;
            if is_full && !fetched.records.is_empty() {
                break;
            }
            let starts_block = fetched.blocks.is_empty() || random.chance(300);
            if starts_block {
                let id = self.hold(bytes_max, random, &mut fetched.blocks);
                debug_assert!(self.blocks[&id].is_empty());
            }
            let (block, index) = self.shelve(position);
            fetched.records.push(RecordMeta {
                block,
                index,
                ..meta
            });
            after = position;
        }
        Event::Fetched(fetched)
    }

    /// Ends a read of parked payload.
    ///
    /// # Panics
    /// If none was asked for.
    pub fn reread(&mut self, bytes_max: u64, random: &mut Random) -> Event {
        let (slot, positions) = self.rereads.pop_front().expect("a read");
        let mut blocks = Vec::new();
        let mut records = Vec::new();
        for position in positions {
            if blocks.is_empty() || random.chance(300) {
                self.hold(bytes_max, random, &mut blocks);
            }
            let (block, index) = self.shelve(position);
            records.push(Relocated {
                position,
                block,
                index,
            });
        }
        Event::Reread {
            slot,
            blocks,
            records,
        }
    }

    pub(super) fn hold(
        &mut self,
        bytes_max: u64,
        random: &mut Random,
        into: &mut Vec<BlockMeta>,
    ) -> BlockId {
        let id = self.next_block;
        self.next_block.0 += 1;
        self.blocks.insert(id, Vec::new());
        into.push(BlockMeta {
            id,
            bytes: random.between(1, bytes_max),
        });
        id
    }

    pub(super) fn shelve(&mut self, position: Ordinal) -> (BlockId, u32) {
        let mut last = self.blocks.last_entry().expect("a block");
        let index = u32::try_from(last.get().len()).expect("few");
        last.get_mut().push(position);
        (*last.key(), index)
    }

    fn describe(&self, position: Ordinal, put: Put) -> RecordMeta {
        let is_huge = put.nature == Nature::Huge;
        let huge = u32::try_from(limits::RECORD_BYTES_MAX + 1).expect("fits");
        RecordMeta {
            position,
            key: key_hash(Some(&key_bytes(put.key)), position),
            arrival: put.arrival,
            block: BlockId(0),
            index: 0,
            bytes: if is_huge { huge } else { self.record_bytes },
            hops: match put.nature {
                Nature::Loop => limits::HOPS_MAX + 1,
                _ => hops_of(position),
            },
            verdict: match put.nature {
                _ if self.settings.filter.is_none() => FilterVerdict::Match,
                Nature::Fallen => FilterVerdict::NoMatch,
                Nature::Unparsable => FilterVerdict::Unparsable,
                _ => FilterVerdict::Match,
            },
        }
    }
}

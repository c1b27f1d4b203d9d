//! Which blocks of payload are still needed.
//!
//! A record in a lane or a call keeps its block in memory. Of a block that only parked records need the
//! worker keeps those alone, once that is less than half of it: one record in hundreds would hold all of them
//! otherwise. What is kept for parked records stays within `PARKED_BYTES_MAX`; beyond that blocks are
//! released, and records read again when their time comes (commit and storage rules §4).

use std::{collections::VecDeque, ops::Range};

use super::{Action, BlockId, BlockMeta};
use crate::limits;

/// What a record needs its block for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pin {
    /// Nothing.
    None,
    /// It waits in a lane or is in a call.
    Live,
    /// It is parked.
    Parked,
}

/// A record needs its block for something else now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repin {
    pub(super) block: BlockId,
    /// Bytes of the record.
    pub(super) bytes: u32,
    pub(super) from: Pin,
    pub(super) to: Pin,
}

#[derive(Clone, Debug)]
struct Block {
    /// What it takes, in bytes.
    bytes: u64,
    live: u32,
    parked: u32,
    /// Bytes of the parked records.
    needed: u64,
    /// The records that were read with it, by their place in the order of reading.
    records: Range<u64>,
}

impl Block {
    /// Bytes that it holds for parked records alone.
    const fn parked_alone(&self) -> u64 {
        if self.live == 0 && self.parked > 0 {
            self.bytes
        } else {
            0
        }
    }

    /// What its parked records take without the others.
    fn kept(&self) -> u64 {
        self.needed + u64::from(self.parked) * limits::PARKED_RECORD_BYTES
    }
}

/// The blocks that the worker holds for this pipeline.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    first: BlockId,
    held: VecDeque<Option<Block>>,
    /// Bytes of blocks that only parked records need.
    parked_bytes: u64,
}

impl Blocks {
    pub(super) const fn new() -> Self {
        Self {
            first: BlockId(1),
            held: VecDeque::new(),
            parked_bytes: 0,
        }
    }

    /// Bytes of blocks that only parked records need.
    pub(super) const fn parked_bytes(&self) -> u64 {
        self.parked_bytes
    }

    /// Takes over a block that was read, and keeps it until it is let go: before all its records are placed,
    /// it is not known what it is needed for.
    ///
    /// # Panics
    /// If its number is not above all earlier ones.
    pub(super) fn hold(&mut self, block: BlockMeta) {
        let next = self.first.0 + self.held.len() as u64;
        assert!(block.id.0 >= next, "blocks are numbered upwards");
        if self.held.is_empty() {
            self.first = block.id;
        } else {
            // A number left out is a block that is not there.
            for _ in next..block.id.0 {
                self.held.push_back(None);
            }
        }
        self.held.push_back(Some(Block {
            bytes: block.bytes,
            live: 1,
            parked: 0,
            needed: 0,
            records: 0..0,
        }));
    }

    /// A record was read with a block that is held.
    pub(super) fn has_record(&mut self, id: BlockId, serial: u64) {
        if let Some(block) = self.get_mut(id) {
            if block.records.is_empty() {
                block.records.start = serial;
            }
            block.records.end = serial + 1;
        }
    }

    /// Whether the payload is in memory.
    pub(super) fn is_resident(&self, id: BlockId) -> bool {
        self.get(id).is_some()
    }

    /// One record needs its block for something else now. A block that is not held stays so. `parked` tells
    /// the indices of the parked records in it, ascending, of those that were read with it.
    pub(super) fn repin(
        &mut self,
        Repin {
            block: id,
            bytes,
            from,
            to,
        }: Repin,
        parked: impl FnOnce(Range<u64>) -> Vec<u32>,
        actions: &mut Vec<Action>,
    ) {
        let Some(block) = self.get_mut(id) else {
            return;
        };
        let before = block.parked_alone();
        match from {
            Pin::None => {}
            Pin::Live => block.live -= 1,
            Pin::Parked => {
                block.parked -= 1;
                block.needed -= u64::from(bytes);
            }
        }
        match to {
            Pin::None => {}
            Pin::Live => block.live += 1,
            Pin::Parked => {
                block.parked += 1;
                block.needed += u64::from(bytes);
            }
        }
        let is_needed = block.live > 0 || block.parked > 0;
        let is_loose = block.live == 0 && block.kept() <= block.bytes / 2;
        if is_needed && is_loose && !block.records.is_empty() {
            block.bytes = block.kept();
            let records = parked(block.records.clone());
            actions.push(Action::KeepOnly { block: id, records });
        }
        let after = block.parked_alone();
        let others = self.parked_bytes - before;
        let has_room = before > 0 || others + after <= limits::PARKED_BYTES_MAX;
        if is_needed && has_room {
            self.parked_bytes = others + after;
        } else {
            self.parked_bytes = others;
            self.release(id, actions);
        }
    }

    fn release(&mut self, id: BlockId, actions: &mut Vec<Action>) {
        let index = usize::try_from(id.0 - self.first.0).expect("a held block has an index");
        self.held[index] = None;
        while let Some(None) = self.held.front() {
            self.held.pop_front();
            self.first.0 += 1;
        }
        actions.push(Action::ReleaseBlock(id));
    }

    fn get(&self, id: BlockId) -> Option<&Block> {
        let index = usize::try_from(id.0.checked_sub(self.first.0)?).ok()?;
        self.held.get(index)?.as_ref()
    }

    fn get_mut(&mut self, id: BlockId) -> Option<&mut Block> {
        let index = usize::try_from(id.0.checked_sub(self.first.0)?).ok()?;
        self.held.get_mut(index)?.as_mut()
    }
}

#[cfg(test)]
mod tests;

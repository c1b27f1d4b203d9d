//! Which blocks of payload are still needed.
//!
//! A record in a lane or a call keeps its block in memory. A parked record keeps it too, as long as
//! the blocks kept for parked records alone stay within `PARKED_BYTES_MAX`; beyond that they are
//! released and read again when their time comes (commit and storage rules §4).

use std::collections::VecDeque;

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

#[derive(Clone, Copy, Debug)]
struct Block {
    bytes: u64,
    live: u32,
    parked: u32,
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

    /// Takes over a block that was read, and keeps it until [`Self::let_go`]: before all its records
    /// are placed, it is not known what it is needed for.
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
        }));
    }

    /// All records of a block that was read are placed.
    pub(super) fn let_go(&mut self, id: BlockId, actions: &mut Vec<Action>) {
        self.repin(id, Pin::Live, Pin::None, actions);
    }

    /// Whether the payload is in memory.
    pub(super) fn is_resident(&self, id: BlockId) -> bool {
        self.get(id).is_some()
    }

    /// One record needs its block for something else now. A block that is not held stays so.
    pub(super) fn repin(&mut self, id: BlockId, from: Pin, to: Pin, actions: &mut Vec<Action>) {
        let Some(block) = self.get_mut(id) else {
            return;
        };
        let was_parked_only = block.live == 0 && block.parked > 0;
        match from {
            Pin::None => {}
            Pin::Live => block.live -= 1,
            Pin::Parked => block.parked -= 1,
        }
        match to {
            Pin::None => {}
            Pin::Live => block.live += 1,
            Pin::Parked => block.parked += 1,
        }
        let block = *block;
        let is_parked_only = block.live == 0 && block.parked > 0;
        if was_parked_only && !is_parked_only {
            self.parked_bytes -= block.bytes;
        }
        if block.live == 0 && block.parked == 0 {
            self.release(id, actions);
        } else if is_parked_only && !was_parked_only {
            if self.parked_bytes + block.bytes > limits::PARKED_BYTES_MAX {
                self.release(id, actions);
            } else {
                self.parked_bytes += block.bytes;
            }
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
mod tests {
    use super::*;

    fn hold(blocks: &mut Blocks, id: u64, bytes: u64) -> BlockId {
        let id = BlockId(id);
        blocks.hold(BlockMeta { id, bytes });
        id
    }

    fn repin(blocks: &mut Blocks, id: BlockId, from: Pin, to: Pin) -> Vec<Action> {
        let mut actions = Vec::new();
        blocks.repin(id, from, to, &mut actions);
        actions
    }

    #[test]
    fn a_block_goes_with_its_last_record() {
        let mut blocks = Blocks::new();
        let one = hold(&mut blocks, 1, 10);
        let two = hold(&mut blocks, 2, 10);
        for id in [one, one, two] {
            assert!(repin(&mut blocks, id, Pin::None, Pin::Live).is_empty());
        }
        for id in [one, two] {
            blocks.let_go(id, &mut Vec::new());
        }
        assert!(repin(&mut blocks, one, Pin::Live, Pin::None).is_empty());
        let released = repin(&mut blocks, one, Pin::Live, Pin::None);
        assert_eq!(released, [Action::ReleaseBlock(one)]);
        assert!(!blocks.is_resident(one) && blocks.is_resident(two));
    }

    #[test]
    fn parked_records_keep_blocks_up_to_the_bound() {
        let mut blocks = Blocks::new();
        let small = hold(&mut blocks, 1, limits::PARKED_BYTES_MAX - 1);
        let large = hold(&mut blocks, 4, 2);
        assert!(repin(&mut blocks, small, Pin::Live, Pin::Parked).is_empty());
        let released = repin(&mut blocks, large, Pin::Live, Pin::Parked);
        assert_eq!(released, [Action::ReleaseBlock(large)]);
        assert!(repin(&mut blocks, large, Pin::Parked, Pin::None).is_empty());
        assert_eq!(blocks.parked_bytes(), limits::PARKED_BYTES_MAX - 1);
        assert!(repin(&mut blocks, small, Pin::Parked, Pin::Live).is_empty());
        assert_eq!(blocks.parked_bytes(), 0);
    }

    #[test]
    fn a_block_of_live_and_parked_records_stays_whatever_the_bound() {
        let mut blocks = Blocks::new();
        let id = hold(&mut blocks, 1, limits::PARKED_BYTES_MAX + 1);
        assert!(repin(&mut blocks, id, Pin::None, Pin::Parked).is_empty());
        assert!(repin(&mut blocks, id, Pin::None, Pin::Live).is_empty());
        let mut actions = Vec::new();
        blocks.let_go(id, &mut actions);
        assert!(actions.is_empty());
        let released = repin(&mut blocks, id, Pin::Live, Pin::None);
        assert_eq!(released, [Action::ReleaseBlock(id)]);
    }
}

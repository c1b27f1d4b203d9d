//! The newest records of every shard, in memory: what pollers read while they keep up, and all there is
//! of records that the applier has not written yet.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, RwLock},
};

use fnctl_core::{
    id::{Ordinal, StreamId},
    record::RecordBlock,
};
use tokio::sync::watch;

use crate::block::{ShardKey, block_bytes};

/// The tails of all shards, within one budget.
#[derive(Debug)]
pub(crate) struct Tail {
    shards: RwLock<HashMap<ShardKey, Arc<ShardBlocks>>>,
    budget: Mutex<Budget>,
    bytes_max: u64,
}

#[derive(Debug, Default)]
struct Budget {
    bytes: u64,
    /// Every block held, in the order of publishing, which is that of applying.
    order: VecDeque<(ShardKey, Ordinal, u64)>,
}

#[derive(Debug)]
struct ShardBlocks {
    state: Mutex<ShardState>,
    /// Last visible ordinal.
    last: watch::Sender<Ordinal>,
}

#[derive(Debug)]
struct ShardState {
    blocks: VecDeque<Arc<RecordBlock>>,
    /// Everything below is in segments.
    applied: Ordinal,
}

impl ShardBlocks {
    fn lock(&self) -> MutexGuard<'_, ShardState> {
        self.state.lock().expect("nothing panics under this lock")
    }
}

/// Shards that have new records, and the last of them, for those who wait for it.
#[derive(Debug)]
pub(crate) struct Announcement(Vec<(Arc<ShardBlocks>, Ordinal)>);

impl Announcement {
    /// Wakes them.
    pub(crate) fn make(self) {
        for (shard, newest) in self.0 {
            shard.last.send_if_modified(|last| {
                let is_new = *last < newest;
                *last = newest.max(*last);
                is_new
            });
        }
    }
}

impl Tail {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            shards: RwLock::default(),
            budget: Mutex::default(),
            bytes_max,
        }
    }

    fn shard(&self, key: ShardKey, last: Ordinal) -> Arc<ShardBlocks> {
        if let Some(shard) = self.find(key) {
            return shard;
        }
        let mut shards = self.shards.write().expect("nothing panics under this lock");
        Arc::clone(shards.entry(key).or_insert_with(|| {
            Arc::new(ShardBlocks {
                state: Mutex::new(ShardState {
                    blocks: VecDeque::new(),
                    applied: last.next(),
                }),
                last: watch::Sender::new(last),
            })
        }))
    }

    fn find(&self, key: ShardKey) -> Option<Arc<ShardBlocks>> {
        let shards = self.shards.read().expect("nothing panics under this lock");
        shards.get(&key).cloned()
    }

    /// Takes synced blocks, those of one shard in order; answers whom to tell of them.
    pub(crate) fn publish(&self, blocks: &[Arc<RecordBlock>]) -> Announcement {
        let key = |block: &RecordBlock| (block.stream, block.shard);
        // Before they are counted: what is counted of a shard that is not there is let go.
        let of = |block: &Arc<RecordBlock>| {
            let shard = self.shard(key(block), Ordinal(block.first.0 - 1));
            (shard, block.last())
        };
        let announcement = Announcement(blocks.iter().map(of).collect());
        let mut budget = self.budget.lock().expect("nothing panics under this lock");
        for block in blocks {
            let bytes = block_bytes(block) as u64;
            budget.bytes += bytes;
            budget.order.push_back((key(block), block.last(), bytes));
        }
        drop(budget);
        for (block, (shard, _)) in blocks.iter().zip(&announcement.0) {
            let mut state = shard.lock();
            debug_assert!(
                state
                    .blocks
                    .back()
                    .is_none_or(|last| last.last().next() == block.first),
                "the tail of a shard has no gap"
            );
            state.blocks.push_back(Arc::clone(block));
        }
        announcement
    }

    /// Wakes who waits for a shard's records, though there are none.
    pub(crate) fn wake(&self, key: ShardKey) {
        if let Some(shard) = self.find(key) {
            shard.last.send_modify(|_| {});
        }
    }

    /// Drops the shards of deleted streams, and shards that are gone: watchers see the end.
    pub(crate) fn forget(&self, gone: &[StreamId], gone_shards: &[ShardKey]) {
        if gone.is_empty() && gone_shards.is_empty() {
            return;
        }
        let mut shards = self.shards.write().expect("nothing panics under this lock");
        shards.retain(|key, _| !gone.contains(&key.0) && !gone_shards.contains(key));
    }

    /// Watches a shard's last visible ordinal; `last` is what the view says now.
    pub(crate) fn watch(&self, key: ShardKey, last: Ordinal) -> watch::Receiver<Ordinal> {
        self.shard(key, last).last.subscribe()
    }

    /// Blocks from the one that holds the record after `after`, as long as `more` says so; `None` when
    /// that record is not in memory.
    pub(crate) fn read(
        &self,
        key: ShardKey,
        after: Ordinal,
        mut more: impl FnMut(&Arc<RecordBlock>) -> bool,
    ) -> Option<Vec<Arc<RecordBlock>>> {
        let shard = self.find(key)?;
        let state = shard.lock();
        let wanted = after.next();
        let start = state.blocks.partition_point(|block| block.last() < wanted);
        if state.blocks.get(start)?.first > wanted {
            return None;
        }
        let mut found = Vec::new();
        for block in state.blocks.range(start..) {
            found.push(Arc::clone(block));
            if !more(block) {
                break;
            }
        }
        Some(found)
    }

    /// Notes that everything of a shard below `next` is in segments.
    pub(crate) fn applied(&self, key: ShardKey, next: Ordinal) {
        if let Some(shard) = self.find(key) {
            let mut state = shard.lock();
            state.applied = state.applied.max(next);
        }
    }

    /// Lets go of the oldest applied blocks until the budget holds.
    pub(crate) fn release(&self) {
        loop {
            let mut budget = self.budget.lock().expect("nothing panics under this lock");
            let Some(&(key, last, bytes)) = budget.order.front() else {
                return;
            };
            let shard = self.find(key);
            let is_applied = shard
                .as_ref()
                .is_none_or(|shard| shard.lock().applied > last);
            let is_gone = shard.is_none();
            if !is_gone && (budget.bytes <= self.bytes_max || !is_applied) {
                return;
            }
            budget.order.pop_front();
            budget.bytes -= bytes;
            drop(budget);
            if let Some(shard) = shard {
                let mut state = shard.lock();
                while state
                    .blocks
                    .front()
                    .is_some_and(|block| block.last() <= last)
                {
                    state.blocks.pop_front();
                }
            }
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.budget
            .lock()
            .expect("nothing panics under this lock")
            .bytes
    }
}

#[cfg(test)]
mod tests;

//! Makes a synced frame visible: tail, view together with the applier's queue, watchers, in this order.

use std::{collections::BTreeSet, sync::Arc};

use fnctl_core::{
    entry::Entry,
    id::{Lsn, StreamId},
    record::RecordBlock,
    view::{NodeView, ValueKey},
};

use crate::{
    block::{Blocks, ShardKey},
    codec,
    journal::scan::Place,
    sequencer::gather::Gathering,
    shared::Shared,
};

/// What readers see: the synced prefix, nothing of what is ahead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) view: NodeView,
    /// LSN after the last entry that is visible.
    pub(crate) next: Lsn,
    /// The last frame that is visible; `None` until this life has written one.
    pub(crate) place: Option<Place>,
    /// Values touched since the last cut.
    pub(crate) dirty: BTreeSet<ValueKey>,
}

/// A synced frame on its way to the segments.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublishedFrame {
    /// LSN after its last entry.
    pub(crate) next: Lsn,
    /// Records, those of one shard in order.
    pub(crate) blocks: Vec<Arc<RecordBlock>>,
    /// Streams that it deletes.
    pub(crate) gone: Vec<StreamId>,
    /// Closed shards that it forgets.
    pub(crate) gone_shards: Vec<ShardKey>,
    /// What it weighs in the budget of unapplied bytes.
    pub(crate) budget_bytes: u64,
    /// Bytes of journal.
    pub(crate) journal_bytes: u64,
}

impl PublishedFrame {
    /// The applier's part of some entries.
    pub(crate) fn of(entries: &[Entry], next: Lsn, journal_bytes: u64) -> Self {
        let (mut blocks, mut budget_bytes) = (Blocks::expecting(entries), 0);
        let (mut gone, mut gone_shards) = (Vec::new(), Vec::new());
        for entry in entries {
            blocks.take(entry);
            budget_bytes += codec::entry_bytes(entry) as u64;
            match entry {
                Entry::Meta { change, .. } => gone.extend_from_slice(&change.deleted_streams),
                Entry::Forget { stream, shards, .. } => {
                    gone_shards.extend(shards.iter().map(|&shard| (*stream, shard)));
                }
                Entry::Append { .. }
                | Entry::Commit { .. }
                | Entry::Lease { .. }
                | Entry::Trim { .. }
                | Entry::Purge { .. }
                | Entry::Seek { .. }
                | Entry::Change { .. } => {}
            }
        }
        Self {
            next,
            blocks: blocks.finish(),
            gone,
            gone_shards,
            budget_bytes,
            journal_bytes,
        }
    }
}

pub(super) fn publish(shared: &Shared, first: Lsn, place: Place, frame: &Gathering) {
    let entries = &frame.entries;
    let next = Lsn(first.0 + entries.len() as u64);
    let journaled = PublishedFrame::of(entries, next, frame.buffer.len() as u64);
    let gone = journaled.gone.clone();
    let gone_shards = journaled.gone_shards.clone();
    let mut is_control = false;
    // Records first: whoever learns of them from the view finds them.
    let announcement = shared.tail.publish(&journaled.blocks);
    let wakes_applier = {
        let mut published = shared.write_published();
        let Published {
            view,
            next: end,
            place: last,
            dirty,
        } = &mut *published;
        debug_assert_eq!(*end, first, "frames are published without a gap");
        for entry in entries {
            view.apply_noting(entry, &mut |key| {
                dirty.insert(key);
            });
            // A parent's last commit is what its children wait for.
            is_control |= match entry {
                Entry::Commit { commit, .. } => view.has_ended(commit.unit),
                Entry::Append { .. } | Entry::Trim { .. } | Entry::Purge { .. } => false,
                Entry::Lease { .. }
                | Entry::Meta { .. }
                | Entry::Forget { .. }
                | Entry::Seek { .. }
                | Entry::Change { .. } => true,
            };
        }
        (*end, *last) = (next, Some(place));
        // Before anybody sees the new end: a cut takes what is in front of it from this queue.
        let is_short = !shared.space.has_budget();
        shared.lock_applier_queue().push(journaled, is_short)
    };
    announcement.make();
    shared.tail.forget(&gone, &gone_shards);
    wake_readers_of_closed(shared, entries);
    if is_control {
        shared.registry_changed.send_modify(|changes| *changes += 1);
    }
    if wakes_applier {
        shared.applier_work.notify_one();
    }
}

/// Wakes who waits for records of a shard that takes no more: its readers go on with its children.
fn wake_readers_of_closed(shared: &Shared, entries: &[Entry]) {
    for entry in entries {
        if let Entry::Meta { change, .. } = entry {
            for stream in &change.streams {
                let closed = stream.shards.iter().filter(|shard| shard.is_closed);
                closed.for_each(|shard| shared.tail.wake((stream.id, shard.number)));
            }
        }
    }
}

//! A damaged place in the shard: what was read in front of it is worked off before the worker ends.

use std::sync::Arc;

use fnctl_core::{
    clock::Clock, committer::Committer, id::Timestamp, invoker::Invoker, source::Damage,
};

use crate::shard_worker::{Exit, ShardWorker};

/// A place that a worker cannot read on from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// What lies there.
    pub(crate) damage: Damage,
    /// When the worker met it: what it holds up waits since then.
    pub(crate) since: Timestamp,
}

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// What was read in front of a damaged place is settled like every record, however long a retry takes: whoever
    /// goes on behind that place passes over nothing else.
    pub(super) fn ends_in_front_of_a_hole(&self) -> Option<Exit> {
        let hole = self.hole.as_ref()?;
        // Whoever reads that the shard is damaged reads the last figures with it.
        let is_done = self.pipeline.has_settled_all_read() && self.commits.are_visible();
        is_done.then(|| Exit::Damaged(Arc::clone(hole)))
    }

    pub(super) fn met(&self, damage: Damage) -> Arc<Hole> {
        let since = self.clock.now();
        Arc::new(Hole { damage, since })
    }
}

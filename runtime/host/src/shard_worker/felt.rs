//! What the calls of all units of a mapping say of what its function needs (`fnctl_core::breaker`): few shards have
//! as many keys at once as an outage is told by.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use fnctl_core::{
    breaker::{MappingWitnesses, Sign},
    clock::Clock,
    committer::Committer,
    id::{FunctionVersion, Timestamp},
    invoker::Invoker,
    pipeline::Event,
};

use crate::shard_worker::ShardWorker;

/// The witnesses of a mapping, shared by its workers.
#[derive(Debug, Default)]
pub(crate) struct Felt {
    witnesses: Mutex<MappingWitnesses>,
    /// Some failed: as long as none did, no call takes the lock.
    is_any: AtomicBool,
}

impl Felt {
    /// A call of a version ended that says this.
    fn felt(&self, version: FunctionVersion, sign: &Sign, now: Timestamp) {
        if matches!(sign, Sign::Well { .. }) && !self.is_any.load(Ordering::Relaxed) {
            return;
        }
        let mut witnesses = self.lock();
        witnesses.felt(version, sign, now);
        self.is_any.store(!witnesses.is_empty(), Ordering::Relaxed);
    }

    /// Whether those of a version are enough.
    fn are_enough(&self, version: FunctionVersion, now: Timestamp) -> bool {
        self.is_any.load(Ordering::Relaxed) && self.lock().are_enough(version, now)
    }

    fn lock(&self) -> MutexGuard<'_, MappingWitnesses> {
        self.witnesses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// Tells the other units of the mapping what a call said.
    pub(super) fn tell_others(&self, version: FunctionVersion, sign: &Sign) {
        let felt = self.metrics.recent.felt();
        felt.felt(version, sign, self.clock.now());
    }

    /// What the calls of the whole mapping say, where that is something else than the pipeline was told last.
    pub(super) fn hear_others(&mut self) -> Option<Event> {
        let felt = self.metrics.recent.felt();
        let now = self.clock.now();
        let (live, canary) = self.pipeline.versions();
        let live = felt.are_enough(live, now);
        let canary = canary.is_some_and(|version| felt.are_enough(version, now));
        let is_news = self.heard != (live, canary);
        self.heard = (live, canary);
        is_news.then_some(Event::MappingSick { live, canary })
    }
}

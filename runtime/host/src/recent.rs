//! The last minutes of every mapping, as its workers tell of them: once a call and once a commit, never once
//! a record.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fnctl_core::{
    commit::UnitTotals,
    id::{FunctionVersion, MappingId, Timestamp},
    invoker::CallStats,
    outcome::Outcome,
    recent::{Cutting, EndedCall, RecentCalls, RecentFigures},
};
use tokio::time::Instant;

use crate::{metrics::MEASURES, shard_worker::Felt};

/// Milliseconds of this process: a clock that never goes back.
#[derive(Clone, Copy, Debug)]
struct Uptime(Instant);

impl Uptime {
    /// When that was.
    fn at(self, at: Instant) -> Timestamp {
        let passed = at.saturating_duration_since(self.0).as_millis();
        Timestamp(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn now(self) -> Timestamp {
        self.at(Instant::now())
    }
}

/// The mappings of a node that ran since the server started.
#[derive(Debug)]
pub(crate) struct Recents {
    uptime: Uptime,
    mappings: Mutex<HashMap<MappingId, Arc<MappingRecent>>>,
}

impl Default for Recents {
    fn default() -> Self {
        Self {
            uptime: Uptime(Instant::now()),
            mappings: Mutex::default(),
        }
    }
}

impl Recents {
    /// That of a mapping, for its workers.
    pub(crate) fn of(&self, mapping: MappingId) -> Arc<MappingRecent> {
        let uptime = self.uptime;
        let mut mappings = self.lock();
        let made = mappings.entry(mapping);
        Arc::clone(made.or_insert_with(|| Arc::new(MappingRecent::new(uptime))))
    }

    /// The figures of a mapping, its lanes asked over the last `busy_over_ms`; `None`: it did not run yet.
    pub(crate) fn figures(&self, mapping: MappingId, busy_over_ms: u64) -> Option<RecentFigures> {
        let recent = self.lock().get(&mapping).cloned()?;
        Some(recent.figures(busy_over_ms))
    }

    /// Whether the host has been at fault since the last call of the mapping that ended.
    pub(crate) fn is_faulted(&self, mapping: MappingId) -> bool {
        let recent = self.lock().get(&mapping).cloned();
        recent.is_some_and(|recent| MappingRecent::lock(&recent).is_faulted())
    }

    /// Forgets mappings that are gone.
    pub(crate) fn retain(&self, is_kept: impl Fn(MappingId) -> bool) {
        self.lock().retain(|mapping, _| is_kept(*mapping));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MappingId, Arc<MappingRecent>>> {
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last minutes of one mapping, shared by its workers.
#[derive(Debug)]
pub(crate) struct MappingRecent {
    uptime: Uptime,
    calls: Mutex<RecentCalls>,
    felt: Felt,
}

impl MappingRecent {
    fn new(uptime: Uptime) -> Self {
        Self {
            uptime,
            calls: Mutex::new(RecentCalls::new(uptime.now())),
            felt: Felt::default(),
        }
    }

    /// What its calls say of what its function needs.
    pub(crate) const fn felt(&self) -> &Felt {
        &self.felt
    }

    /// A call is wanted.
    pub(crate) fn began(&self, call: &Wanted) {
        if !MEASURES {
            return;
        }
        let began = self.uptime.at(call.at);
        self.lock().began(call.version, call.records, began);
    }

    /// A call was taken back.
    pub(crate) fn left(&self, call: &Wanted) {
        if !MEASURES {
            return;
        }
        let (began, now) = (self.uptime.at(call.at), self.uptime.now());
        self.lock().left(call.version, call.records, began, now);
    }

    /// A call ended, after what it cost, or the host was at fault, for a reason of its own.
    pub(crate) fn ended(&self, call: &Wanted, result: Result<(&Outcome, CallStats), &str>) {
        if !MEASURES {
            return;
        }
        let (began, now) = (self.uptime.at(call.at), self.uptime.now());
        let taken_ns = u64::try_from(call.at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut calls = self.lock();
        calls.left(call.version, call.records, began, now);
        match result {
            Ok((outcome, stats)) => {
                let call = EndedCall {
                    version: call.version,
                    outcome,
                    records: call.records,
                    is_first: call.is_first,
                    cutting: call.cutting,
                    taken_ns,
                    stats,
                };
                calls.ended(&call, now);
            }
            Err(fault) => calls.faulted(fault, now),
        }
    }

    /// A commit was accepted that adds this to the totals.
    pub(crate) fn settled(&self, adds: UnitTotals) {
        if !MEASURES {
            return;
        }
        let now = self.uptime.now();
        self.lock().settled(adds, now);
    }

    /// A commit was accepted that gives up so many records for their age.
    pub(crate) fn aged(&self, records: u64) {
        if !MEASURES {
            return;
        }
        let now = self.uptime.now();
        self.lock().aged(records, now);
    }

    fn figures(&self, busy_over_ms: u64) -> RecentFigures {
        let now = self.uptime.now();
        // Summed outside of the lock: workers wait for it.
        let calls = self.lock().clone();
        calls.figures(busy_over_ms, now)
    }

    fn lock(&self) -> MutexGuard<'_, RecentCalls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way, as it is counted when it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The version that is called.
    pub(crate) version: FunctionVersion,
    /// Its records.
    pub(crate) records: u32,
    /// None of them was tried before.
    pub(crate) is_first: bool,
    /// Which failures of it have its records called again in parts.
    pub(crate) cutting: Cutting,
    /// Since when.
    pub(crate) at: Instant,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_workers_tell_of_is_told_of_their_mapping_until_it_is_gone() {
        let recents = Recents::default();
        assert_eq!(recents.figures(MappingId(1), 1), None);
        let worker = recents.of(MappingId(1));
        let wanted = Wanted {
            version: FunctionVersion(1),
            records: 2,
            is_first: true,
            cutting: Cutting {
                bisects: true,
                by_name: true,
            },
            at: Instant::now(),
        };
        worker.began(&wanted);
        tokio::time::advance(Duration::from_secs(3)).await;
        let told = recents.figures(MappingId(1), 1).expect("it runs");
        let longest = told.under_way.iter().map(|of| of.ran_ms).max();
        assert_eq!((told.running, longest), (1, Some(3_000)));
        let stats = CallStats {
            duration_ns: 1_000_000_000,
            ..CallStats::default()
        };
        worker.ended(&wanted, Ok((&Outcome::Timeout { after_ms: 1_000 }, stats)));
        worker.settled(UnitTotals {
            dead_lettered: 2,
            ..UnitTotals::default()
        });
        worker.aged(1);
        let told = recents.figures(MappingId(1), 3_000).expect("it ran");
        assert_eq!((told.calls(), told.failed_calls()), (1, 1));
        assert_eq!(told.under_way, []);
        assert_eq!(told.aged.map(|aged| aged.records), Some(1));
        assert_eq!(told.cut.map(|cut| cut.since_ago_ms), Some(3_000));
        worker.began(&wanted);
        worker.left(&wanted);
        assert_eq!(worker.figures(1).running, 0, "it was taken back");
        assert_eq!((told.run_ms, told.wait_ms), (1_000, 2_000));
        assert_eq!((told.busy_permille, told.settled()), (1_000, 2));
        recents.retain(|_| false);
        assert_eq!(recents.figures(MappingId(1), 1), None);
    }
}

//! How many records of a mapping were read: those that are settled, which is stored, and those that its workers
//! have read and are not done with.
//!
//! What a worker had read is read again by the next one, and is the same records: it stays counted once.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use fnctl_core::{
    commit::UnitTotals,
    id::{MappingId, UnitId},
};

use crate::node::HostNode;

/// What was last said of each unit, so that none ever says less.
#[derive(Debug, Default)]
pub(super) struct Polled(Mutex<HashMap<UnitId, Seen>>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    settled: u64,
    polled: u64,
}

impl Seen {
    /// Takes over what is so now. Totals that begin anew were sent elsewhere: so does this.
    fn now(&mut self, settled: u64, reading: u64) -> u64 {
        if settled < self.settled {
            self.polled = 0;
        }
        self.settled = settled;
        self.polled = self.polled.max(settled + reading);
        self.polled
    }
}

impl Polled {
    /// Forgets units that are gone.
    pub(super) fn retain(&self, is_kept: impl Fn(UnitId) -> bool) {
        self.lock().retain(|unit, _| is_kept(*unit));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UnitId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostNode {
    /// Records that the units of a mapping have read since it was made or last sent elsewhere, `gone` being
    /// what units of shards that are gone had settled. Never less than what they have settled.
    pub(super) fn polled(&self, mapping: MappingId, gone: &UnitTotals) -> u64 {
        // One after the other, each with the newest view: what was seen once is never taken back.
        let mut seen = self.polled.lock();
        let read = |unit| {
            let standing = self.supervisor().statuses().standing(unit);
            standing.map_or_else(Default::default, |standing| standing.read_position)
        };
        let units: Vec<UnitId> =
            self.view(|view| view.units_of(mapping).map(|(unit, _)| unit).collect());
        // Asked first: what is settled of it until the view is looked at counts as settled.
        let read: HashMap<UnitId, _> = units.into_iter().map(|unit| (unit, read(unit))).collect();
        let of_units = self.view(|view| {
            let units = view.units_of(mapping);
            let polled = units.map(|(unit, progress)| {
                let read = read.get(&unit).copied().unwrap_or_default();
                let settled = progress.totals.settled();
                let reading = progress.unsettled_through(read);
                seen.entry(unit).or_default().now(settled, reading)
            });
            polled.sum::<u64>()
        });
        gone.settled() + of_units
    }

    /// Counts what units of a mapping read from nothing again: they were sent elsewhere.
    pub(crate) fn polled_anew(&self, sought: impl Fn(UnitId) -> bool) {
        self.polled.lock().retain(|unit, _| !sought(*unit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_never_taken_back_but_by_a_seek() {
        let mut seen = Seen::default();
        assert_eq!(seen.now(0, 5), 5);
        assert_eq!(seen.now(3, 4), 7);
        // Paused: nobody reads, and what was read is not settled.
        assert_eq!(seen.now(3, 0), 7);
        assert_eq!(seen.now(7, 0), 7);
        assert_eq!(seen.now(7, 2), 9);
        // Sent elsewhere.
        assert_eq!(seen.now(0, 1), 1);
    }
}

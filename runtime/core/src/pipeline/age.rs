//! Which records have grown too old for another attempt (Lambda ESM specification §8).
//!
//! Age runs from a record's arrival to now, on the clock that arrivals are written by: it never goes
//! back. It is asked before every call, the first included. Arrivals never decrease within a shard, so
//! of a call's records the oldest come first: they alone end, the rest is called.

use super::{ShardPipeline, backlog::Serial};
use crate::{commit::ErrorKind, id::Timestamp, mapping::MappingSettings, spec::duration::Duration};

/// The bound, and the latest time that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    max_ms: Option<u64>,
    latest: Timestamp,
}

impl Age {
    pub(super) const fn new(settings: &MappingSettings) -> Self {
        Self {
            max_ms: settings.max_record_age_ms,
            latest: Timestamp(0),
        }
    }

    /// It is `now`, or a record arrived then.
    pub(super) fn passes(&mut self, now: Timestamp) {
        self.latest = self.latest.max(now);
    }

    /// The latest time that is known.
    pub(super) const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// From when on a record that arrived at `arrival` is given no more attempt; the end of time where
    /// there is no bound.
    pub(super) fn expires_at(&self, arrival: Timestamp) -> Timestamp {
        match self.max_ms {
            Some(max) => arrival.plus_ms(max).plus_ms(1),
            None => Timestamp(u64::MAX),
        }
    }

    /// Whether a record that arrived at `arrival` is given no more attempt.
    pub(super) fn is_too_old(&self, arrival: Timestamp) -> bool {
        self.max_ms.is_some() && self.expires_at(arrival) <= self.latest
    }
}

impl ShardPipeline {
    /// How many of a call's records are too old for it: the first ones.
    pub(super) fn too_old(&self, records: &[Serial]) -> usize {
        let is_too_old = |serial: &&Serial| self.age.is_too_old(self.backlog.get(**serial).arrival);
        records.iter().take_while(is_too_old).count()
    }

    /// Records that are too old: dead letters without a call, at the attempts they had.
    pub(super) fn expire(&mut self, slot: usize, records: Vec<Serial>, now: Timestamp) {
        let age = self.age;
        self.give_up(slot, records, now, |this, entry| {
            let old = Duration::from_ms(age.latest.since_ms(entry.arrival));
            let max = Duration::from_ms(age.max_ms.unwrap_or_default());
            let failed = this.last_failed(entry.position);
            let error =
                format!("{old} old before its next attempt, above max_record_age, {max}{failed}");
            (ErrorKind::RecordTooOld, error)
        });
    }
}

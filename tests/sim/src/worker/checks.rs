//! What a worker must never be asked to do.

use std::collections::{BTreeMap, BTreeSet};

use fnctl_core::{
    commit::ErrorKind,
    id::{FunctionVersion, Ordinal, SlotId, Timestamp},
    lane::key_hash,
    limits,
    mapping::{MaxAttempts, Ordering},
    pipeline::{CommitPlan, Invocation},
    settled::SettledRange,
};

use super::Worker;
use crate::{
    guest::key_bytes,
    journal::{Journal, Put},
    versions,
};

/// What an owner did while a circuit recovered and pauses were at their longest.
#[derive(Debug, Default)]
pub(super) struct Long {
    /// When it was told something; of the live version, and of the canary.
    moments: [BTreeSet<Timestamp>; 2],
    /// Retries begun, by record.
    calls: BTreeMap<Ordinal, u32>,
}

impl Worker {
    /// In caution a retry, and a call of a lane's first batch, has one record, whose mark is synced.
    pub(super) fn check_mark(&mut self, call: &Invocation, journal: &Journal) {
        let first_batch = self.settings.batch_size.min(limits::CAREFUL_RECORDS_MAX);
        let made = self.careful_calls.entry(call.slot).or_default();
        if call.slot != SlotId::Retry && *made >= first_batch {
            return;
        }
        *made += 1;
        assert_eq!(call.records.len(), 1, "one record a call: {call:?}");
        let unit = journal.published.unit(self.unit);
        let mark = unit.and_then(|unit| unit.attempts.get(&call.records[0].position));
        // A former owner may be too late: then its commit was not accepted, and it has no mark.
        let is_synced =
            mark.is_some_and(|mark| mark.is_in_hand && mark.count == call.records[0].attempts + 1);
        let is_former = unit.is_none_or(|unit| unit.epoch != self.epoch);
        assert!(
            is_synced || is_former,
            "called before its mark was synced: {call:?}"
        );
    }

    /// What is given up, and why. While a circuit is open nobody is charged, and nobody given up for attempts, but
    /// by probes of one record behind the longest pause: as many of it as it has attempts. The head of a shard in
    /// order may be, in the end.
    pub(super) fn check_letters(&mut self, plan: &CommitPlan, journal: &Journal) {
        let side = usize::from(self.canary() == Some(plan.version));
        // The clock may have gone back since a plan was made.
        let is_open = self.opened_by[side].is_some_and(|by| by < plan.decided_at);
        let is_held = is_open && self.settings.ordering != Ordering::Shard;
        let is_long =
            self.long.moments[side].contains(&plan.decided_at) && plan.slot == SlotId::Retry;
        let is_for_what_is_down = |kind| matches!(kind, ErrorKind::Error | ErrorKind::Timeout);
        for retry in &plan.retries {
            assert!(
                !(is_held && is_for_what_is_down(retry.kind))
                    || is_long
                    || retry.attempts <= retry.record.attempts,
                "charged while the circuit is open: {plan:?}"
            );
        }
        for letter in &plan.letters {
            let is_for_attempts = is_held && is_for_what_is_down(letter.kind);
            if is_for_attempts && plan.redriven.is_none() {
                let calls = self.long.calls.get(&letter.record.position);
                let least = match self.settings.max_attempts {
                    MaxAttempts::Count(count) => count,
                    MaxAttempts::Unlimited => u32::MAX,
                };
                assert!(
                    is_long && calls.is_some_and(|calls| *calls >= least),
                    "given up while the circuit is open: {plan:?}"
                );
            }
            let put = self.shelf(journal).put(letter.record.position);
            let is_for_age = letter.kind == ErrorKind::RecordTooOld;
            assert!(!is_for_age || self.is_too_old(put), "{plan:?}");
            let unit = journal.published.unit(self.unit);
            let marks = unit.map(|unit| &unit.attempts);
            let mark = marks.and_then(|marks| marks.get(&letter.record.position));
            if is_for_age && mark.is_some_and(|mark| mark.is_in_hand) {
                // Grown too old behind its mark: it was of the first batch, and is not called.
                *self.careful_calls.entry(plan.slot).or_default() += 1;
            }
        }
    }

    /// Whether a circuit recovers and pauses between its probes are at their longest.
    pub(super) fn is_long(&self, is_canary: bool) -> bool {
        let open = match is_canary {
            true => self.pipeline.canary_circuit(),
            false => self.pipeline.circuit(),
        };
        open.is_some_and(|open| open.is_recovering() && open.is_long())
    }

    /// It is told something.
    pub(super) fn note_moment(&mut self, now: Timestamp) {
        for is_canary in [false, true] {
            if self.is_long(is_canary) {
                self.long.moments[usize::from(is_canary)].insert(now);
            }
        }
    }

    /// A retry begins: whether it may cost an attempt though a circuit is open.
    pub(super) fn note_long(&mut self, call: &Invocation) {
        let is_long = self.is_long(self.canary() == Some(call.version));
        if call.slot == SlotId::Retry && call.redrive.is_none() && is_long {
            for record in &call.records {
                *self.long.calls.entry(record.position).or_default() += 1;
            }
        }
    }

    /// An owner begins with the circuit that the last one left open: an outage charges nobody anew for that.
    pub(super) fn check_begun(&self, journal: &Journal) {
        let Some(unit) = journal.published.unit(self.unit) else {
            return;
        };
        let is_left = |version| {
            let left = unit.outages.of(version).is_some();
            left && self.settings.circuit_breaker
        };
        let begins = [Some(self.met.0), self.canary()].map(|of| of.is_some_and(is_left));
        let open = [false, true].map(|is_canary| self.is_circuit_open(is_canary));
        assert_eq!(open, begins, "{:?}", unit.outages);
    }

    /// Whether the circuit of the version that is called is open.
    pub(crate) fn is_held(&self, call: &Invocation) -> bool {
        self.is_circuit_open(self.canary() == Some(call.version))
    }

    /// Whether the circuit of the live version, or of the canary, is open.
    pub(crate) fn is_circuit_open(&self, is_canary: bool) -> bool {
        match is_canary {
            true => self.pipeline.canary_circuit().is_some(),
            false => self.pipeline.circuit().is_some(),
        }
    }

    /// Every commit leaves to the next owner what the circuit is.
    pub(super) fn check_told(&self, plan: &CommitPlan, journal: &Journal) {
        let accepted = journal.view.unit(self.unit);
        if let Some(accepted) = accepted.filter(|unit| unit.epoch == self.epoch) {
            let told = plan.outages.as_ref().unwrap_or(&accepted.outages);
            let told = [&told.live, &told.canary].map(Option::is_some);
            let open = [false, true].map(|is_canary| self.is_circuit_open(is_canary));
            assert_eq!(told, open, "{plan:?}");
        }
    }

    /// Order within the shard: one call at a time, and nothing settles in front of an unsettled record.
    /// What the filter lets fall settles whenever it may: nothing is called for it.
    pub(super) fn check_order(&self, plan: &CommitPlan, has_fallen: impl Fn(Ordinal) -> bool) {
        let settles = plan.settles.as_slice();
        let ranges = settles.iter().rev();
        let mut settled = ranges.flat_map(|range| (range.after.0 + 1..=range.through.0).rev());
        let last = settled.find(|position| !has_fallen(Ordinal(*position)));
        let Some(last) = last.map(Ordinal) else {
            return;
        };
        assert!(self.calls.is_empty() && plan.slot == SlotId::Lane(0));
        let is_settled = |position: Ordinal| {
            let covers = |range: &SettledRange| range.after < position && position <= range.through;
            settles.iter().any(covers)
        };
        let unsettled = self.pipeline.inspect().unsettled;
        let passed = unsettled
            .into_iter()
            .find(|&p| p < last && !is_settled(p) && !has_fallen(p));
        assert_eq!(passed, None, "{plan:?}");
    }

    /// Whether no attempt may be made of a record (Lambda ESM specification §8).
    pub(super) fn is_too_old(&self, put: Put) -> bool {
        let age = self.latest.since_ms(put.arrival);
        self.settings.max_record_age_ms.is_some_and(|max| age > max)
    }

    /// A key meets one version, and what is called together meets the same. A letter may be given to any.
    pub(super) fn check_version(&self, call: &Invocation, journal: &Journal) {
        if call.redrive.is_some() {
            return;
        }
        for record in &call.records {
            let put = self.shelf(journal).put(record.position);
            let key = key_hash(Some(&key_bytes(put.key)), record.position);
            assert_eq!(
                call.version,
                versions::met(&self.met, &self.settings, key),
                "{call:?}"
            );
        }
    }

    /// Whether it has a canary beside the version that most keys meet, and which.
    pub(crate) fn canary(&self) -> Option<FunctionVersion> {
        self.met.1.as_ref().map(|canary| canary.version.version)
    }

    pub(super) fn check_size(&self, call: &Invocation) {
        assert!(!call.records.is_empty());
        assert!(call.records.len() <= self.settings.batch_size as usize);
        let bytes = call.records.len() as u64 * u64::from(self.record_bytes);
        assert!(call.records.len() == 1 || bytes <= self.settings.batch_bytes.max(1));
    }

    /// Whether a call of the retry slot is of several keys.
    pub(crate) fn is_of_suspect(&self, call: &Invocation) -> bool {
        let holdings = self.pipeline.inspect().holdings;
        let mut keys: Vec<_> = holdings
            .iter()
            .filter(|(slot, _)| *slot == SlotId::Retry)
            .map(|(_, key)| *key)
            .collect();
        keys.dedup();
        call.slot == SlotId::Retry && keys.len() > 1
    }
}

/// Bytes of a record where a block has so many at most: so large that few of them are kept in memory while
/// they are parked, or ten and its key.
pub(super) const fn record_bytes(block_bytes_max: u64) -> u32 {
    if block_bytes_max > limits::PARKED_BYTES_MAX {
        5 << 20
    } else {
        11
    }
}

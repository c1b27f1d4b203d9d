//! What a circuit that is open does to calls ([`crate::breaker`]).
//!
//! While it is open nothing is called but a probe: work that would be due anyway, so backoffs are kept. Where
//! keys wait by themselves it is one record, and what fails parks its key. So what the lanes have was not tried
//! yet: they probe first, each in its turn, and wait for no probe of the retry slot, which may have nothing but
//! poison. What failed so stands as it did: no attempt is
//! charged, nobody is given up for it, a call is not bisected, a window that was to end waits. Records that
//! are too old, or that a person gives up, become letters as ever: that takes no call.
//!
//! With order within the shard the head alone can be probed. An outage and a poison head look the same then, and
//! a head that costs nothing would hold the shard for ever: from the longest pause on, its probes cost attempts.
//!
//! A redriven letter opens no circuit: it failed before. It waits until the circuit is closed, or nothing else
//! is left to probe; one that is well closes it.

use super::{Action, ShardPipeline, backlog::Serial, judge::Judgement};
use crate::{
    breaker::{Breaker, Open, Outages, Probe, Sign},
    commit::UnitTotals,
    id::{AttemptId, FunctionVersion, Timestamp},
    lane::KeyHash,
    limits,
    mapping::{MappingSettings, MaxAttempts},
    outcome::{Cause, FailureKind, Outcome},
    retry::RetryPolicy,
};

/// The circuit of a unit.
#[derive(Clone, Debug)]
pub(super) struct Circuit {
    is_on: bool,
    breaker: Breaker,
    /// Calls from this one on are probes, while it is open.
    first_probe: AttemptId,
    /// The lane that may probe first.
    turn: usize,
    /// The call that is being judged costs nobody an attempt.
    is_free: bool,
    /// What the last commit that was accepted leaves to the unit's next owner.
    told: Outages,
}

impl Circuit {
    pub(super) fn new(settings: &MappingSettings) -> Self {
        Self {
            is_on: settings.circuit_breaker,
            breaker: Breaker::default(),
            first_probe: AttemptId(0),
            turn: 0,
            is_free: false,
            told: Outages::default(),
        }
    }

    /// An owner begins with what the last one left open.
    pub(super) fn begin(&mut self, left: Outages, version: FunctionVersion, now: Timestamp) {
        if let Some(outage) = left.of(version).filter(|_| self.is_on) {
            self.breaker = Breaker::inherited(outage, now);
        }
        self.told = left;
    }

    /// What the next commit says, if the last one said something else.
    pub(super) fn untold(&self, version: FunctionVersion) -> Option<Outages> {
        let Outages { live, canary } = &self.told;
        let is_told = self.breaker.is_told(version, live.as_ref()) && canary.is_none();
        (!is_told).then(|| Outages {
            live: self.breaker.outage(version),
            canary: None,
        })
    }

    /// A commit that says so was accepted.
    pub(super) fn tell(&mut self, outages: Outages) {
        self.told = outages;
    }

    pub(super) fn is_open(&self) -> bool {
        self.breaker.open().is_some()
    }

    pub(super) fn clock_went_back(&mut self, now: Timestamp) {
        self.breaker.clock_went_back(now);
    }

    /// Whether the call that is being judged costs nobody an attempt.
    pub(super) const fn is_free(&self) -> bool {
        self.is_free
    }

    /// By what a call is judged that costs nobody an attempt: nobody is given up for it, nothing is cut.
    pub(super) fn free_rules(
        &self,
        settings: &MappingSettings,
        seed: u64,
    ) -> Option<(MappingSettings, RetryPolicy)> {
        self.is_free.then(|| {
            let rules = MappingSettings {
                max_attempts: MaxAttempts::Unlimited,
                bisect_on_error: false,
                ..settings.clone()
            };
            let policy = RetryPolicy::new(&rules, seed);
            (rules, policy)
        })
    }
}

impl ShardPipeline {
    /// The circuit, while it is open.
    #[must_use]
    pub fn circuit(&self) -> Option<&Open> {
        self.circuit.breaker.open()
    }

    /// How often the circuit has opened under this owner.
    #[must_use]
    pub const fn circuit_opens(&self) -> u64 {
        self.circuit.breaker.opens()
    }

    /// Whether some call may start.
    pub(super) fn may_call(&self, now: Timestamp) -> bool {
        self.circuit()
            .is_none_or(|open| open.next_untried.min(open.next_probe) <= now && !self.is_probing())
    }

    /// Whether a call of a slot may start.
    pub(super) fn may_call_in(&self, index: usize, now: Timestamp) -> bool {
        self.calls_from(index).is_some_and(|from| from <= now)
    }

    /// From when on a call of a slot may start; `None`: not before something happens.
    pub(super) fn calls_from(&self, index: usize) -> Option<Timestamp> {
        match self.circuit() {
            None => Some(Timestamp(0)),
            Some(open) => (!self.is_probing()).then(|| open.next(self.probe_of(index))),
        }
    }

    /// What a probe of a slot is of: what failed is parked, so a lane has what was not tried, but where the
    /// lane itself waits with it.
    fn probe_of(&self, index: usize) -> Probe {
        match index < self.lanes.len() && !self.waits_in_order() {
            true => Probe::Untried,
            false => Probe::Tried,
        }
    }

    /// Whether a probe is under way, or is about to be. A call from before the circuit opened is none: it may
    /// hang for as long as its timeout lets it.
    fn is_probing(&self) -> bool {
        let is_busy = |slot: &super::Slot| {
            let mut call = slot.call.iter();
            call.any(|call| self.circuit.first_probe <= call.attempt) || slot.reread.is_some()
        };
        self.caution.has_marked() || self.slots.iter().any(is_busy)
    }

    /// The slots in the order in which they may start calls: while the circuit is open, each lane has its
    /// turn, in front of the retry slot.
    pub(super) fn in_turn(&self, step: usize) -> usize {
        let lanes = self.lanes.len();
        match self.circuit.is_open() && step < lanes {
            true => (self.circuit.turn + step) % lanes,
            false => step,
        }
    }

    /// A probe is one record where keys wait by themselves.
    pub(super) fn cut_to_probe(&mut self, index: usize, records: &mut Vec<Serial>) {
        if self.circuit.is_open() && records.len() > 1 && !self.waits_in_order() {
            let slot = &mut self.slots[index];
            slot.presumes = false;
            slot.pieces.push_front(records.split_off(1));
        }
    }

    /// A person has what waits tried now.
    pub(super) fn probe_now(&mut self, now: Timestamp) {
        self.circuit.breaker.probe_now(now);
    }

    /// A call of `slot` ended: what it says of what the function needs, and whether it costs an attempt.
    pub(super) fn feel(
        &mut self,
        attempt: AttemptId,
        slot: usize,
        records: &[Serial],
        outcome: &Outcome,
        now: Timestamp,
    ) {
        self.circuit.is_free = false;
        let is_redrive = records.is_empty() && slot == self.lanes.len();
        if is_redrive && is_well(outcome) {
            // What failed before and is well now is as good a probe as any.
            let sign = Sign::Well { records: 1 };
            self.circuit.breaker.probed(Probe::Tried, sign, now);
        }
        if !self.circuit.is_on || is_redrive {
            return;
        }
        let sign = self.sign(slot, records, outcome);
        let is_sick = matches!(sign, Sign::Sick { .. });
        let Some(open) = self.circuit.breaker.open() else {
            let is_last = is_sick && self.would_give_up(slot, records, outcome);
            self.circuit.breaker.called(sign, is_last, now);
            self.circuit.first_probe = self.next_attempt;
            self.circuit.is_free = is_sick && self.circuit.is_open();
            return;
        };
        let is_probe = self.circuit.first_probe <= attempt;
        let is_charged = is_probe && open.is_long() && self.holds_the_shard();
        if is_probe {
            if slot < self.lanes.len() {
                self.circuit.turn = slot + 1;
            }
            let probe = self.probe_of(slot);
            self.circuit.breaker.probed(probe, sign, now);
        }
        // Few of many that failed are no less likely to have failed for that.
        self.circuit.is_free = self.circuit.is_open() && !is_charged && asks_again(outcome);
    }

    fn sign(&self, slot: usize, records: &[Serial], outcome: &Outcome) -> Sign {
        let cause = match outcome {
            Outcome::Returned { failures, .. } => {
                let retries = || {
                    let failures = failures.iter();
                    failures.filter(|item| item.failure.kind == FailureKind::Retry)
                };
                let count = retries().count();
                if count * 2 > records.len() {
                    let failed = retries().map(|item| records[item.index as usize]);
                    let first = retries().next().map(|item| Cause::named(&item.failure));
                    return match first {
                        Some(cause) => Sign::Sick {
                            keys: self.new_witnesses(failed),
                            cause,
                        },
                        None => Sign::None,
                    };
                }
                return match records.len().saturating_sub(failures.len()) {
                    // Nothing was done: whether it could have been is not known.
                    0 if !records.is_empty() => Sign::None,
                    done => Sign::Well {
                        records: done.max(1) as u64,
                    },
                };
            }
            Outcome::Error(failure) if failure.kind == FailureKind::Retry => Cause::named(failure),
            Outcome::Timeout { after_ms } => Cause::timeout(*after_ms),
            _ => return Sign::None,
        };
        let keys = match records {
            [] => match self.closing_failures(slot) {
                // A group is a key of its own to the calls that end its windows.
                Some((group, 0)) => vec![KeyHash(group.into())],
                _ => Vec::new(),
            },
            [_] => self.new_witnesses(records.iter().copied()),
            // No call of fewer records follows that would name one.
            _ if self.waits_in_order() && !self.config.settings.bisect_on_error => {
                self.new_witnesses(records.iter().copied())
            }
            _ => Vec::new(),
        };
        Sign::Sick { keys, cause }
    }

    /// Keys of records that failed by name now and had not before, as far as owners know.
    fn new_witnesses(&self, failed: impl Iterator<Item = Serial>) -> Vec<KeyHash> {
        let entries = failed.map(|serial| self.backlog.get(serial));
        let fresh = entries.filter(|entry| !entry.is_named);
        let mut keys: Vec<KeyHash> = Vec::new();
        for entry in fresh {
            if keys.len() as u64 == limits::CIRCUIT_KEYS {
                break;
            }
            if !keys.contains(&entry.key) {
                keys.push(entry.key);
            }
        }
        keys
    }

    /// Whether a sick call gives up what it was about, by attempts.
    fn would_give_up(&self, slot: usize, records: &[Serial], outcome: &Outcome) -> bool {
        let is_exhausted = |attempts: u32| self.policy.is_exhausted(attempts + 1);
        let is_last = |&serial: &Serial| is_exhausted(self.backlog.get(serial).attempts);
        match outcome {
            Outcome::Returned { failures, .. } if self.config.settings.partial_failures => {
                let retries = failures
                    .iter()
                    .filter(|item| item.failure.kind == FailureKind::Retry);
                let mut failed = retries.map(|item| records[item.index as usize]);
                failed.any(|serial| is_last(&serial))
            }
            _ if records.is_empty() => {
                let closing = self.closing_failures(slot);
                closing.is_some_and(|(_, failures)| is_exhausted(failures))
            }
            _ => {
                // It may be one record's fault, of which other calls, or none, will tell.
                let is_unnamed = self.waits_in_order() || self.config.settings.bisect_on_error;
                !(is_unnamed && records.len() > 1) && records.iter().any(is_last)
            }
        }
    }

    /// Takes the charges back of a call that costs nobody an attempt: its records wait as long as if it had.
    pub(super) fn uncharge(
        &self,
        records: &[Serial],
        judgement: &mut Judgement,
        adds: &mut UnitTotals,
    ) {
        for charge in &mut judgement.charges {
            let before = self.backlog.get(records[charge.index]).attempts;
            charge.attempts = charge.attempts.min(before);
        }
        adds.failed = judgement.letters.len() as u64;
    }

    /// What is called with care keeps the node's turn no longer than it needs it.
    pub(super) fn hold_careful_calls(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.caution.is_ending() {
            self.wait_cautiously(now, actions);
        }
    }
}

/// Whether nothing of a call failed.
fn is_well(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Returned { failures, .. } if failures.is_empty())
}

/// Whether a call, or some record of it, is to be tried again for what may be the fault of what is down.
fn asks_again(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Returned { failures, .. } => failures
            .iter()
            .any(|item| item.failure.kind == FailureKind::Retry),
        Outcome::Error(failure) => failure.kind == FailureKind::Retry,
        Outcome::Timeout { .. } => true,
        _ => false,
    }
}

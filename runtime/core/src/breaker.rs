//! When a unit holds its calls because what its function needs is sick.
//!
//! A function that answers `retry`, or times out, for key after key does not tell of bad records: what it
//! depends on is down. Attempts would be used up on good records then, so the circuit *opens*: nothing is
//! called but one *probe* at a time, whose failure costs no attempt, after pauses that double up to a bound.
//!
//! A record that failed before may be poison, which tells nothing of the outage's end. So records that were
//! not tried yet are probed too, after shorter pauses of their own: a good one waits for no probe of a bad one.
//!
//! A probe that is well tells as little: its key may not need what is down. So it does not close the circuit, it
//! has it *recover*. What was not tried yet is called freely then, and costs no attempt; what failed before is
//! still probed one by one. So it is seen whether others are well too (`breaker/recovery.rs`), and the circuit closes, or
//! holds calls again. Only with order within the shard, where nothing else can be tried, one probe closes it.
//!
//! What tells an outage from poison is who fails for the *first* time. A record that failed before was chosen
//! by that, and says nothing new: a thousand retries of bad records never open the circuit, however little else
//! is called. So two things must hold at once: of the last [`limits::CIRCUIT_KEYS`] keys that were tried,
//! [`limits::CIRCUIT_SICK_KEYS`] failed by name and for the first time; and of the last
//! [`limits::CIRCUIT_CALLS`] calls, retries among them, [`limits::CIRCUIT_SICK_CALLS`] failed. Where the first
//! holds and a call would give records up, the second is not waited for. What was seen longer than
//! [`limits::CIRCUIT_WITNESS_MS`] ago tells nothing of now: two bursts of bad records, hours apart, are no
//! outage.
//!
//! Every unit decides for itself, and no other shard waits for it. But the keys of an outage may lie in many shards, few
//! in each: those of the whole mapping tell of one as well as its own ([`Witnesses`]).

mod outage;
mod recovery;
mod witnesses;

use std::sync::Arc;

use crate::{
    id::{FunctionVersion, Timestamp},
    lane::KeyHash,
    limits,
    outcome::Cause,
};

use self::recovery::{Judged, Recovery};
pub use self::{
    outage::{Outage, Outages},
    witnesses::{MappingWitnesses, Witnesses},
};

/// What a call that ended says of what the function needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Nothing: it was taken back, or failed for another reason.
    None,
    /// It is well: it had these records done, or a window closed, and most did not fail.
    Well {
        /// How many, at least 1.
        records: u64,
    },
    /// It may be sick: most records failed with `retry`, or the call did, or it timed out.
    Sick {
        /// Keys that failed by name and had not before; a call that failed as a whole names none but that of
        /// its only record.
        keys: Vec<KeyHash>,
        /// How.
        cause: Cause,
    },
}

/// What a probe is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A record that was not tried yet.
    Untried,
    /// What failed before, or may have.
    Tried,
}

/// How far a circuit that is open has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is called but probes.
    Holding,
    /// What was not tried yet is called freely, and what failed before is probed.
    Recovering {
        /// Since when.
        since: Timestamp,
    },
}

/// A circuit that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Since when.
    pub since: Timestamp,
    /// How far it has come.
    pub phase: Phase,
    /// When the next probe may be made of what failed before.
    pub next_probe: Timestamp,
    /// Such probes that failed, one after the other, in this phase.
    pub probes: u32,
    /// Somebody wants the next of them before its pause is over.
    pub is_hastened: bool,
    /// When the next probe may be made of a record that was not tried yet; while it recovers none is needed.
    pub next_untried: Timestamp,
    /// Such probes that failed, one after the other.
    pub probes_untried: u32,
    /// Probes of either sort that failed since it opened.
    pub probes_failed: u32,
    /// How the last call failed.
    pub cause: Cause,
    /// The unit's owner began with it.
    pub is_inherited: bool,
}

impl Open {
    /// One that holds calls, and may be probed from then on.
    const fn holding(since: Timestamp, next: Timestamp, cause: Cause) -> Self {
        Self {
            since,
            phase: Phase::Holding,
            next_probe: next,
            probes: 0,
            is_hastened: false,
            next_untried: next,
            probes_untried: 0,
            probes_failed: 0,
            cause,
            is_inherited: false,
        }
    }

    /// Since when it recovers; `None`: it holds calls.
    #[must_use]
    pub const fn recovering_since(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Holding => None,
            Phase::Recovering { since } => Some(since),
        }
    }

    /// Whether what was not tried yet is called freely.
    #[must_use]
    pub const fn is_recovering(&self) -> bool {
        self.recovering_since().is_some()
    }

    /// When the next probe of a sort may be made.
    #[must_use]
    pub const fn next(&self, probe: Probe) -> Timestamp {
        match probe {
            Probe::Untried => self.next_untried,
            Probe::Tried => self.next_probe,
        }
    }

    /// By when something may be probed, whatever it is.
    #[must_use]
    pub fn next_at_latest(&self) -> Timestamp {
        match self.phase {
            Phase::Holding => self.next_untried.max(self.next_probe),
            Phase::Recovering { .. } => self.next_probe,
        }
    }

    /// Whether pauses between probes of what failed before are at their longest.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        self.probes >= limits::CIRCUIT_PROBES_TO_MAX
    }

    /// A phase begins, and pauses of both sorts with it: from `next` on.
    const fn enter(&mut self, phase: Phase, next: Timestamp) {
        self.phase = phase;
        self.is_hastened = false;
        (self.next_probe, self.probes) = (next, 0);
        (self.next_untried, self.probes_untried) = (next, 0);
    }

    /// A probe failed: the next of its sort waits twice as long.
    fn failed(&mut self, probe: Probe, cause: Cause, now: Timestamp) {
        let (probes, next, longest) = match probe {
            Probe::Untried => (
                &mut self.probes_untried,
                &mut self.next_untried,
                limits::CIRCUIT_UNTRIED_MS_MAX,
            ),
            Probe::Tried => (
                &mut self.probes,
                &mut self.next_probe,
                limits::CIRCUIT_PROBE_MS_MAX,
            ),
        };
        *probes = probes.saturating_add(1);
        let pause = limits::CIRCUIT_PROBE_MS << (*probes).min(limits::CIRCUIT_PROBES_TO_MAX);
        *next = now.plus_ms(pause.min(longest));
        self.is_hastened &= probe == Probe::Untried;
        self.probes_failed = self.probes_failed.saturating_add(1);
        self.cause = cause;
    }
}

/// The circuit of one unit. What was seen is memory alone; that it is open outlives the owner ([`Outage`]).
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    /// The last calls, the newest lowest: set where one was sick.
    calls: u32,
    /// The unit's own.
    witnesses: Witnesses,
    /// Whether those of the whole mapping are enough.
    is_mapping_sick: bool,
    open: Option<Box<Open>>,
    /// What was seen since it recovers.
    recovery: Recovery,
    opens: u64,
}

impl Breaker {
    /// The circuit that an earlier owner left open. A probe may be made at once: the outage may be over.
    #[must_use]
    pub fn inherited(outage: &Outage, now: Timestamp) -> Self {
        let open = Open {
            is_inherited: true,
            ..Open::holding(outage.since, now, outage.cause.clone())
        };
        Self {
            open: Some(Box::new(open)),
            ..Self::default()
        }
    }

    /// Whether the unit's next owner would begin with this circuit as it is, told what it is told now.
    #[must_use]
    pub fn is_told(&self, version: FunctionVersion, told: Option<&Outage>) -> bool {
        match (self.open(), told) {
            (None, None) => true,
            (Some(open), Some(told)) => (open.since, version) == (told.since, told.version),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// What is told the unit's next owner; `None`: the circuit is closed.
    #[must_use]
    pub fn outage(&self, version: FunctionVersion) -> Option<Arc<Outage>> {
        let open = self.open()?;
        Some(Arc::new(Outage {
            version,
            since: open.since,
            cause: open.cause.in_brief(),
        }))
    }

    /// The circuit, while it is open.
    #[must_use]
    pub fn open(&self) -> Option<&Open> {
        self.open.as_deref()
    }

    /// How often it has opened under this owner.
    #[must_use]
    pub const fn opens(&self) -> u64 {
        self.opens
    }

    /// A call ended that was made while the circuit was closed; `is_last`: if it is sick, records are given
    /// up for it. What began before the circuit opened and ends later says nothing.
    pub fn called(&mut self, sign: Sign, is_last: bool, now: Timestamp) {
        if self.open.is_some() {
            return;
        }
        match sign {
            Sign::None => {}
            Sign::Well { records } => {
                self.calls <<= 1;
                self.witnesses.was_well(records, now);
            }
            Sign::Sick { keys, cause } => {
                self.calls = self.calls << 1 | 1;
                self.witnesses.failed(&keys, now);
                if self.is_sick(is_last) {
                    self.calls = 0;
                    self.witnesses = Witnesses::default();
                    self.opens += 1;
                    let next = now.plus_ms(limits::CIRCUIT_PROBE_MS);
                    self.open = Some(Box::new(Open::holding(now, next, cause)));
                }
            }
        }
    }

    /// Whether the witnesses of the whole mapping, the unit's among them, are enough.
    pub const fn mapping_is_sick(&mut self, is_so: bool) {
        self.is_mapping_sick = is_so;
    }

    /// A probe ended. One that says nothing may be followed by another at once, and so may one that is well.
    pub fn probed(&mut self, probe: Probe, sign: Sign, now: Timestamp) {
        let Some(open) = &mut self.open else {
            return;
        };
        match (sign, open.phase) {
            (Sign::None, _) => {}
            (Sign::Well { .. }, Phase::Holding) => {
                open.enter(Phase::Recovering { since: now }, now);
                self.recovery = Recovery::default();
            }
            (Sign::Well { .. }, Phase::Recovering { .. }) => {
                (open.next_probe, open.probes) = (now, 0);
                open.is_hastened = false;
                let judged = self.recovery.probe_was_well();
                self.take(judged, now);
            }
            (Sign::Sick { cause, .. }, _) => {
                open.failed(probe, cause, now);
                self.recovery.probe_was_sick();
            }
        }
    }

    /// A call of records that were not tried yet ended while the circuit recovers; which of its keys were well,
    /// in their order.
    pub fn tried_anew(
        &mut self,
        sign: Sign,
        keys: impl IntoIterator<Item = (KeyHash, bool)>,
        now: Timestamp,
    ) {
        let Some(open) = self.open.as_mut().filter(|open| open.is_recovering()) else {
            return;
        };
        let is_sick = match sign {
            Sign::None => None,
            Sign::Well { .. } => Some(false),
            Sign::Sick { cause, .. } => {
                open.cause = cause;
                Some(true)
            }
        };
        let recovers_for = open
            .recovering_since()
            .map_or(0, |since| now.since_ms(since));
        let is_long = recovers_for >= limits::CIRCUIT_RECOVERY_MS;
        let judged = self.recovery.tried_anew(is_sick, keys, is_long);
        self.take(judged, now);
    }

    /// The outage is over.
    pub fn close(&mut self) {
        self.open = None;
    }

    fn take(&mut self, judged: Option<Judged>, now: Timestamp) {
        match (judged, &mut self.open) {
            (Some(Judged::Over), _) => self.close(),
            (Some(Judged::NotOver), Some(open)) => {
                open.enter(Phase::Holding, now.plus_ms(limits::CIRCUIT_PROBE_MS));
            }
            (Some(Judged::NotOver), None) | (None, _) => {}
        }
    }

    /// Somebody wants a probe now.
    pub fn probe_now(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open {
            open.is_hastened |= now < open.next_probe;
            open.next_probe = open.next_probe.min(now);
            open.next_untried = open.next_untried.min(now);
        }
    }

    /// The clock went back to `now`: no wait is longer, and nothing is remembered longer, than if it had
    /// begun now.
    pub fn clock_went_back(&mut self, now: Timestamp) {
        self.witnesses.clock_went_back(now);
        if let Some(open) = &mut self.open {
            let latest = |pause_ms| now.plus_ms(pause_ms);
            open.next_probe = (open.next_probe).min(latest(limits::CIRCUIT_PROBE_MS_MAX));
            open.next_untried = (open.next_untried).min(latest(limits::CIRCUIT_UNTRIED_MS_MAX));
            if let Phase::Recovering { since } = &mut open.phase {
                *since = (*since).min(now);
            }
        }
    }

    fn is_sick(&self, is_last: bool) -> bool {
        let last = u32::MAX >> (u32::BITS - limits::CIRCUIT_CALLS);
        let calls = (self.calls & last).count_ones();
        (self.witnesses.are_enough() || self.is_mapping_sick)
            && (is_last || calls >= limits::CIRCUIT_SICK_CALLS)
    }
}

#[cfg(test)]
mod tests;

//! When a unit holds its calls because what its function needs is sick.
//!
//! A function that answers `retry`, or times out, for key after key does not tell of bad records: what it
//! depends on is down. Attempts would be used up on good records then, so the circuit *opens*: nothing is
//! called but one *probe* at a time, whose failure costs no attempt, after pauses that double up to a bound.
//! The first probe that is well closes it.
//!
//! A record that failed before may be poison, which tells nothing of the outage's end. So records that were
//! not tried yet are probed first, after pauses of their own: a good one waits for no probe of a bad one.
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
//! Every unit decides for itself: it has all that it needs, and no other shard waits for it.

mod outage;

use crate::{
    id::{FunctionVersion, Timestamp},
    lane::KeyHash,
    limits,
    outcome::Cause,
};

pub use self::outage::{Outage, Outages};

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

/// A circuit that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Since when.
    pub since: Timestamp,
    /// When the next probe may be made of what failed before.
    pub next_probe: Timestamp,
    /// Such probes that failed.
    pub probes: u32,
    /// When the next probe may be made of a record that was not tried yet.
    pub next_untried: Timestamp,
    /// Such probes that failed.
    pub probes_untried: u32,
    /// How the last call failed.
    pub cause: Cause,
    /// The unit's owner began with it.
    pub is_inherited: bool,
}

impl Open {
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
        self.next_untried.max(self.next_probe)
    }

    /// Probes of either sort that failed.
    #[must_use]
    pub const fn probes_failed(&self) -> u32 {
        self.probes.saturating_add(self.probes_untried)
    }

    /// Whether pauses between probes of what failed before are at their longest.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        self.probes >= limits::CIRCUIT_PROBES_TO_MAX
    }
}

/// A key that failed by name for the first time.
#[derive(Clone, Copy, Debug)]
struct Witness {
    key: KeyHash,
    /// How many keys had been tried then.
    tried: u64,
    at: Timestamp,
}

/// The circuit of one unit. What was seen is memory alone; that it is open outlives the owner ([`Outage`]).
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    /// The last calls, the newest lowest: set where one was sick.
    calls: u32,
    /// Keys that were tried so far; a call that was well counts its records.
    tried: u64,
    /// Those that failed by name for the first time, in that order.
    sick: Vec<Witness>,
    open: Option<Box<Open>>,
    opens: u64,
}

impl Breaker {
    /// The circuit that an earlier owner left open. A probe may be made at once: the outage may be over.
    #[must_use]
    pub fn inherited(outage: &Outage, now: Timestamp) -> Self {
        let open = Open {
            since: outage.since,
            next_probe: now,
            probes: 0,
            next_untried: now,
            probes_untried: 0,
            cause: outage.cause.clone(),
            is_inherited: true,
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
    pub fn outage(&self, version: FunctionVersion) -> Option<Outage> {
        self.open().map(|open| Outage {
            version,
            since: open.since,
            cause: open.cause.in_brief(),
        })
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
                self.tried += records;
                self.forget(now);
            }
            Sign::Sick { keys, cause } => {
                self.calls = self.calls << 1 | 1;
                for key in keys {
                    // One key is one witness, whatever becomes of its records.
                    if self.sick.iter().all(|known| known.key != key) {
                        self.tried += 1;
                        let (tried, at) = (self.tried, now);
                        self.sick.push(Witness { key, tried, at });
                    }
                }
                self.forget(now);
                if self.is_sick(is_last) {
                    self.calls = 0;
                    self.sick = Vec::new();
                    self.opens += 1;
                    let next = now.plus_ms(limits::CIRCUIT_PROBE_MS);
                    self.open = Some(Box::new(Open {
                        since: now,
                        next_probe: next,
                        probes: 0,
                        next_untried: next,
                        probes_untried: 0,
                        cause,
                        is_inherited: false,
                    }));
                }
            }
        }
    }

    /// A probe ended. One that says nothing may be followed by another at once.
    pub fn probed(&mut self, probe: Probe, sign: Sign, now: Timestamp) {
        let Some(open) = &mut self.open else {
            return;
        };
        match sign {
            Sign::None => {}
            Sign::Well { .. } => self.open = None,
            Sign::Sick { cause, .. } => {
                let (probes, next) = match probe {
                    Probe::Untried => (&mut open.probes_untried, &mut open.next_untried),
                    Probe::Tried => (&mut open.probes, &mut open.next_probe),
                };
                *probes = probes.saturating_add(1);
                let pause =
                    limits::CIRCUIT_PROBE_MS << (*probes).min(limits::CIRCUIT_PROBES_TO_MAX);
                *next = now.plus_ms(pause.min(limits::CIRCUIT_PROBE_MS_MAX));
                open.cause = cause;
            }
        }
    }

    /// Somebody wants a probe now.
    pub fn probe_now(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open {
            open.next_probe = open.next_probe.min(now);
            open.next_untried = open.next_untried.min(now);
        }
    }

    /// The clock went back to `now`: no wait is longer, and nothing is remembered longer, than if it had
    /// begun now.
    pub fn clock_went_back(&mut self, now: Timestamp) {
        for witness in &mut self.sick {
            witness.at = witness.at.min(now);
        }
        if let Some(open) = &mut self.open {
            let latest = now.plus_ms(limits::CIRCUIT_PROBE_MS_MAX);
            open.next_probe = open.next_probe.min(latest);
            open.next_untried = open.next_untried.min(latest);
        }
    }

    /// Forgets keys behind which enough others were tried, and those that failed too long ago.
    fn forget(&mut self, now: Timestamp) {
        let tried = self.tried;
        self.sick.retain(|witness| {
            let is_near = witness.tried + limits::CIRCUIT_KEYS > tried;
            is_near && now.since_ms(witness.at) < limits::CIRCUIT_WITNESS_MS
        });
    }

    fn is_sick(&self, is_last: bool) -> bool {
        let last = u32::MAX >> (u32::BITS - limits::CIRCUIT_CALLS);
        let calls = (self.calls & last).count_ones();
        self.sick.len() >= limits::CIRCUIT_SICK_KEYS
            && (is_last || calls >= limits::CIRCUIT_SICK_CALLS)
    }
}

#[cfg(test)]
mod tests;

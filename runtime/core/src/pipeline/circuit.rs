//! What a circuit that is open does to calls ([`crate::breaker`]).
//!
//! While it holds calls nothing is called but probes: work that would be due anyway, so backoffs are kept. Where
//! keys wait by themselves a probe is one record, and what fails parks its key. So what the lanes have was not
//! tried yet: they probe too, each in its turn, and wait for no probe of the retry slot, which may have nothing
//! but poison. While it recovers the lanes call as ever, and only the retry slot probes ([`recovering`]).
//!
//! What fails so stands as it did: no attempt is charged, nobody is given up for it, a call is not bisected, a
//! window that was to end waits. What a person gives up becomes a letter as ever, which takes no call; what is too
//! old becomes one when it is due to be called.
//!
//! With order within the shard the head alone can be probed. An outage and a poison head look the same then, and
//! a head that costs nothing would hold the shard for ever: from the longest pause on, its probes cost attempts.
//! The first of its probes that is well closes its circuit: there is nothing else to try. While another one
//! recovers poison may be all that is left, so probes of what failed before cost attempts then, behind such pauses;
//! nobody is given up who was not probed so as often as attempts are allowed, and three times at least, whatever was
//! charged before.
//!
//! A canary has a circuit of its own: what it alone cannot do without holds no key of the live version. Its
//! lanes are its own, and the retry slot does what the circuit of the key in turn lets it.
//!
//! A redriven letter opens no circuit: it failed before. It waits until the circuit is closed, or nothing else
//! is left to probe; one that is well is a probe that is.

mod asked;
mod evidence;
mod gate;
mod recovering;

use self::{asked::Asked, recovering::LongProbes};
use super::{Action, ShardPipeline, backlog::Serial, judge::Judgement};
use crate::{
    breaker::{Breaker, Open, Outages, Probe, Sign},
    commit::UnitTotals,
    id::{AttemptId, FunctionVersion, Ordinal, Timestamp},
    mapping::{MappingSettings, MaxAttempts},
    outcome::{FailureKind, Outcome},
    retry::RetryPolicy,
};

/// The version that most keys meet, and the canary's.
type Versions = (FunctionVersion, Option<FunctionVersion>);

/// The circuit of the calls of one version.
#[derive(Clone, Debug)]
struct Side {
    breaker: Breaker,
    /// Calls from this one on are probes, while it is open.
    first_probe: AttemptId,
}

/// The circuits of a unit: that of the version that most keys meet, and that of its canary.
#[derive(Clone, Debug)]
pub(super) struct Circuit {
    is_on: bool,
    live: Side,
    canary: Side,
    /// The lane that may probe first.
    turn: usize,
    /// What a person wants probed first.
    asked: Asked,
    /// An owner before may have tried what is up to here.
    tried_through: Ordinal,
    /// What was probed behind the longest pause.
    long_probes: LongProbes,
    /// The call that is being judged costs nobody an attempt.
    is_free: bool,
    /// What the last commit that was accepted leaves to the unit's next owner.
    told: Outages,
}

impl Circuit {
    pub(super) fn new(settings: &MappingSettings) -> Self {
        let side = Side {
            breaker: Breaker::default(),
            first_probe: AttemptId(0),
        };
        Self {
            is_on: settings.circuit_breaker,
            live: side.clone(),
            canary: side,
            turn: 0,
            asked: Asked::default(),
            tried_through: Ordinal(0),
            long_probes: LongProbes::default(),
            is_free: false,
            told: Outages::default(),
        }
    }

    /// An owner begins with what the last one left open.
    fn begin(&mut self, left: Outages, (live, canary): Versions, now: Timestamp) {
        let inherited = |version: Option<FunctionVersion>| {
            let outage = version.and_then(|version| left.of(version));
            let outage = outage.filter(|_| self.is_on);
            outage.map_or_else(Breaker::default, |outage| Breaker::inherited(outage, now))
        };
        let (of_live, of_canary) = (inherited(Some(live)), inherited(canary));
        self.live.breaker = of_live;
        self.canary.breaker = of_canary;
        self.told = left;
    }

    /// What the next commit says, if the last one said something else.
    fn untold(&self, (live, canary): Versions) -> Option<Outages> {
        let of_canary = canary.unwrap_or(live);
        let (told, live_side, canary_side) = (&self.told, &self.live.breaker, &self.canary.breaker);
        let is_told = live_side.is_told(live, told.live.as_deref())
            && canary_side.is_told(of_canary, told.canary.as_deref());
        (!is_told).then(|| Outages {
            live: live_side.outage(live),
            canary: canary_side.outage(of_canary),
        })
    }

    /// A commit that says so was accepted.
    pub(super) fn tell(&mut self, outages: Outages) {
        self.told = outages;
    }

    const fn side(&self, is_canary: bool) -> &Side {
        match is_canary {
            true => &self.canary,
            false => &self.live,
        }
    }

    const fn side_mut(&mut self, is_canary: bool) -> &mut Side {
        match is_canary {
            true => &mut self.canary,
            false => &mut self.live,
        }
    }

    /// The circuit of one side, while it is open.
    fn open(&self, is_canary: bool) -> Option<&Open> {
        self.side(is_canary).breaker.open()
    }

    /// Whether that of one side is open.
    pub(super) fn is_open_for(&self, is_canary: bool) -> bool {
        self.open(is_canary).is_some()
    }

    /// Whether that of one side is open, and what was not tried yet is called freely.
    pub(super) fn is_recovering_for(&self, is_canary: bool) -> bool {
        self.open(is_canary).is_some_and(Open::is_recovering)
    }

    /// Whether that of one side is open, and nothing is called but probes.
    pub(super) fn is_holding_for(&self, is_canary: bool) -> bool {
        self.open(is_canary)
            .is_some_and(|open| !open.is_recovering())
    }

    /// Whether one is open.
    pub(super) fn is_open(&self) -> bool {
        self.open(false).is_some() || self.open(true).is_some()
    }

    /// Whether the witnesses of the whole mapping are enough, of the calls of each version.
    pub(super) const fn mapping_is_sick(&mut self, live: bool, canary: bool) {
        self.live.breaker.mapping_is_sick(live);
        self.canary.breaker.mapping_is_sick(canary);
    }

    pub(super) fn clock_went_back(&mut self, now: Timestamp) {
        self.live.breaker.clock_went_back(now);
        self.canary.breaker.clock_went_back(now);
    }

    /// The call that is judged next says nothing of what the function needs.
    pub(super) const fn feels_nothing(&mut self) {
        self.is_free = false;
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
    /// The circuit of the version that most keys meet, while it is open.
    #[must_use]
    pub fn circuit(&self) -> Option<&Open> {
        self.circuit.open(false)
    }

    /// The circuit of the canary, while it is open.
    #[must_use]
    pub fn canary_circuit(&self) -> Option<&Open> {
        self.circuit.open(true)
    }

    /// How often a circuit has opened under this owner.
    #[must_use]
    pub const fn circuit_opens(&self) -> u64 {
        self.circuit.live.breaker.opens() + self.circuit.canary.breaker.opens()
    }

    /// The owner begins with what the last one left open.
    pub(super) fn begin_circuits(&mut self, left: Outages, now: Timestamp) {
        let versions = self.versions();
        self.circuit.begin(left, versions, now);
        self.circuit.tried_through = self.reading.tail;
    }

    /// What the next commit says of circuits, if the last one said something else.
    pub(super) fn untold_circuits(&self) -> Option<Outages> {
        self.circuit.untold(self.versions())
    }

    /// The version that most keys meet, and that of the canary.
    #[must_use]
    pub fn versions(&self) -> (FunctionVersion, Option<FunctionVersion>) {
        let canary = self.config.canary.as_ref();
        let canary = canary.map(|canary| canary.version.version);
        (self.config.version, canary)
    }

    /// A call of `slot` ended: what it says of what the function needs, and whether it costs an attempt.
    pub(super) fn feel(
        &mut self,
        attempt: AttemptId,
        slot: usize,
        records: &[Serial],
        outcome: &Outcome,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        self.circuit.is_free = false;
        let is_redrive = records.is_empty() && slot == self.lanes.len();
        let is_canary = self.is_canarys(slot, records);
        if is_redrive && is_well(outcome) {
            // What failed before and is well now is as good a probe as any.
            let sign = Sign::Well { records: 1 };
            let in_order = self.holds_the_shard();
            let breaker = &mut self.circuit.side_mut(is_canary).breaker;
            breaker.probed(Probe::Tried, sign, now);
            if in_order {
                breaker.close();
            }
        }
        if !self.circuit.is_on || is_redrive {
            return;
        }
        let sign = self.sign(slot, records, outcome);
        if sign != Sign::None {
            let (live, canary) = self.versions();
            let version = if is_canary {
                canary.unwrap_or(live)
            } else {
                live
            };
            let sign = sign.clone();
            actions.push(Action::Felt { version, sign });
        }
        let is_sick = matches!(sign, Sign::Sick { .. });
        let Some(open) = self.circuit.open(is_canary) else {
            let is_last = is_sick && self.would_give_up(slot, records, outcome);
            let first_probe = self.next_attempt;
            let side = self.circuit.side_mut(is_canary);
            side.breaker.called(sign, is_last, now);
            side.first_probe = first_probe;
            self.circuit.is_free = is_sick && self.circuit.open(is_canary).is_some();
            return;
        };
        let was_recovering = open.is_recovering();
        let is_probe = self.circuit.side(is_canary).first_probe <= attempt;
        let sort = self.sort_of(is_canary, slot, records);
        let is_long = open.is_long() && (!was_recovering || !open.is_hastened);
        let is_charged = is_probe
            && is_long
            && (self.holds_the_shard()
                || was_recovering
                    && sort == Probe::Tried
                    && is_sick
                    && self.costs_an_attempt(slot, records));
        if is_probe {
            self.probe_ended(is_canary, (slot, sort), records, (outcome, sign), now);
        }
        // Few of many that failed are no less likely to have failed for that.
        let is_open = self.circuit.open(is_canary).is_some() || was_recovering;
        self.circuit.is_free = is_open && !is_charged && asks_again(outcome);
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

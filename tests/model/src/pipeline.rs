//! The same protocol with the production pipeline as its worker: small, because a pipeline's state
//! is large, and exact, because nothing of it is modelled.

mod by_hand;
mod disturb;
mod owner;
mod step;

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    commit::CommitAnswer,
    id::{Lsn, Ordinal, StreamName},
    invoker::CallStats,
    lane::key_hash,
    mapping::OutputBinding,
    pipeline::Event,
};
use xxhash_rust::xxh3::xxh3_128;

use self::{
    owner::Owner,
    step::{Ending, Step},
};
use crate::{
    check::Violation,
    config::{Config, UNITS_MAX},
    explore::{Report, Successors, System, search},
    journal::Journal,
    views::{Answer, Views},
};

#[derive(Clone)]
struct State {
    journal: Journal,
    owners: Vec<Rc<Owner>>,
    /// By unit, the epoch granted to an owner that has not started.
    granted: [u8; UNITS_MAX],
    crashes: u8,
    takeovers: u8,
    expiries: u8,
    outages: u8,
    seeks: u8,
    redrives: u8,
    purges: u8,
    refusals: u8,
}

struct Driven {
    config: Config,
    views: Views,
    keys: Vec<Bytes>,
    outputs: Arc<[OutputBinding]>,
}

/// Explores a configuration with the production pipeline; weakened rules of a worker are ignored.
#[must_use]
pub fn explore_pipeline(config: &Config) -> Report {
    let (views, first) = Views::new(config, true);
    let output = StreamName::parse("out").expect("a valid name");
    let mut driven = Driven {
        config: config.clone(),
        views,
        keys: keys(config),
        outputs: Arc::new([OutputBinding::Stream(output)]),
    };
    let start = State {
        journal: Journal::synced(first),
        owners: Vec::new(),
        granted: [0; UNITS_MAX],
        crashes: config.crashes,
        takeovers: config.takeovers,
        expiries: config.expiries,
        outages: config.outages,
        seeks: config.seeks,
        redrives: config.redrives,
        purges: config.purges,
        refusals: config.refusals,
    };
    search(config.name, config.states_max, &mut driven, &start)
}

/// A key per key number whose lane is the configuration's.
fn keys(config: &Config) -> Vec<Bytes> {
    let mut names = (0u8..).map(|n| Bytes::copy_from_slice(&[n]));
    let factor = factor(config);
    let lanes = config.lane.iter().map(|&lane| lane % usize::from(factor));
    lanes
        .map(|lane| {
            names
                .find(|name| usize::from(key_hash(Some(name), Ordinal(0)).lane(factor)) == lane)
                .expect("every lane has keys")
        })
        .collect()
}

fn factor(config: &Config) -> u16 {
    let highest = config.lane.iter().max().expect("there are keys");
    u16::try_from(highest + 1).expect("there are two lanes")
}

impl Driven {
    fn end_calls(&self, state: &State, index: usize, out: &mut Successors<Self>) {
        let owner = &state.owners[index];
        for call in &owner.calls {
            let count = call.records.len();
            let returned = (0..3usize.pow(count as u32)).map(Ending::Returned);
            let failed = [Ending::Error, Ending::TrapNamed, Ending::Trap];
            for ending in returned.chain(failed) {
                if count == 0 && matches!(ending, Ending::TrapNamed) {
                    // A window's final call has no record that it could name.
                    continue;
                }
                let mut next = Owner::clone(owner);
                next.calls.retain(|other| other.attempt != call.attempt);
                let ended = Event::Invoked {
                    attempt: call.attempt,
                    outcome: self.outcome(owner.unit, call, ending),
                    state: self.state_after(owner.unit, call, ending),
                    cost: CallStats::default().into(),
                };
                self.tell(&mut next, ended);
                let records = call.records.iter().map(|record| record.position.0);
                let step = Step::End(owner.unit, owner.epoch, records.collect(), ending);
                out.push((step, Ok(state.with(index, next))));
            }
        }
    }

    fn answer(&mut self, state: &State, index: usize, out: &mut Successors<Self>) {
        let owner = &state.owners[index];
        let Some(commit) = &owner.commit else {
            return;
        };
        let step = Step::Answer(owner.unit, owner.epoch, commit.slot, commit.number);
        let mut next = state.clone();
        let outcome = match self.views.take(state.journal.ahead(), commit) {
            Answer::Broken(violation) => Err(violation),
            Answer::Fenced(fault) if fault.is_bug() => Err(Violation::AssertionFired(fault)),
            Answer::Unavailable => return self.refuse(state, index, out),
            Answer::Fenced(_) => {
                next.owners.remove(index);
                Ok(next)
            }
            Answer::Refused(closed) => {
                let owner = Rc::make_mut(&mut next.owners[index]);
                let commit = owner.commit.take().expect("a commit is answered");
                let (slot, number) = (commit.slot, commit.number);
                owner.refused.push(commit);
                let answer = CommitAnswer::Refused { closed };
                let answered = Event::CommitAnswered {
                    slot,
                    number,
                    answer,
                };
                self.tell(owner, answered);
                Ok(next)
            }
            Answer::Accepted(view) => {
                next.journal.take(view, None, true);
                let owner = Rc::make_mut(&mut next.owners[index]);
                owner.commit = None;
                owner.unsynced.push((commit.slot, commit.number, false));
                let answered = Event::CommitAnswered {
                    slot: commit.slot,
                    number: commit.number,
                    answer: CommitAnswer::Accepted(Lsn(1)),
                };
                self.tell(owner, answered);
                Ok(next)
            }
        };
        out.push((step, outcome));
    }

    fn appoint(&mut self, unit: usize, state: &State, out: &mut Successors<Self>) {
        let ahead = state.journal.ahead();
        let epoch = self.views.facts(ahead).units[unit].epoch;
        let owners = || state.owners.iter().filter(|owner| owner.unit == unit);
        let is_held = owners().any(|owner| owner.epoch == epoch);
        let has_room = owners().count() < 2;
        let granted = state.granted[unit];
        if (1..epoch).contains(&granted) {
            let mut next = state.clone();
            next.granted[unit] = 0;
            out.push((Step::GiveUp(unit, granted), Ok(next)));
            return;
        }
        if granted == 0 && has_room && (!is_held || state.takeovers > 0) {
            let view = self.views.lease(ahead, unit);
            if view == ahead {
                // Its turn has not come.
                return;
            }
            let mut next = state.clone();
            next.takeovers -= u8::from(is_held);
            let epoch = self.views.facts(view).units[unit].epoch;
            next.granted[unit] = epoch;
            next.journal.take(view, None, true);
            out.push((Step::Lease(unit, epoch), Ok(next)));
        }
        let published = state.journal.visible(&self.config);
        let is_synced = self.views.facts(published).units[unit].epoch == granted;
        if granted != 0 && is_synced && has_room {
            let mut next = state.clone();
            next.granted[unit] = 0;
            let owner = self.start(unit, granted, published);
            next.owners.push(Rc::new(owner));
            // Who started first makes no difference.
            next.owners.sort_by_key(|owner| (owner.unit, owner.epoch));
            out.push((Step::Start(unit, granted), Ok(next)));
        }
    }

    fn store(&self, state: &State, out: &mut Successors<Self>) {
        if let Some(journal) = state.journal.write(&self.config) {
            let mut next = State {
                journal,
                ..state.clone()
            };
            for owner in &mut next.owners {
                let owner = Rc::make_mut(owner);
                owner.unsynced.iter_mut().for_each(|commit| commit.2 = true);
            }
            out.push((Step::Write, Ok(next)));
        }
        if let Some(journal) = state.journal.sync() {
            let mut next = State {
                journal,
                ..state.clone()
            };
            for owner in &mut next.owners {
                let owner = Rc::make_mut(owner);
                let synced: Vec<_> = owner.unsynced.extract_if(.., |commit| commit.2).collect();
                for (slot, number, _) in synced {
                    self.tell(owner, Event::CommitDurable { slot, number });
                }
            }
            out.push((Step::Sync, Ok(next)));
        }
        if state.crashes == 0 {
            return;
        }
        for keeps_frame in [false, true] {
            if let Some(journal) = state.journal.crash(&self.config, keeps_frame) {
                let seen = self.views.facts(state.journal.visible(&self.config));
                let is_kept = seen.is_kept_by(self.views.facts(journal.ahead()));
                let next = State {
                    journal,
                    owners: Vec::new(),
                    granted: [0; UNITS_MAX],
                    crashes: state.crashes - 1,
                    ..*state
                };
                let outcome = is_kept.then_some(next).ok_or(Violation::Retracted);
                out.push((Step::Crash(keeps_frame), outcome));
            }
        }
    }
}

impl System for Driven {
    type State = State;
    type Step = Step;

    fn successors(&mut self, state: &State, out: &mut Successors<Self>) {
        out.clear();
        for unit in 0..self.config.units() {
            self.appoint(unit, state, out);
        }
        let units = self.views.facts(state.journal.ahead()).units;
        for index in 0..state.owners.len() {
            let owner = &state.owners[index];
            if owner.epoch < units[owner.unit].epoch && self.config.collapses_former {
                let mut next = state.clone();
                next.owners.remove(index);
                out.push((Step::FindOut(owner.unit, owner.epoch), Ok(next)));
                continue;
            }
            assert!(
                !owner.is_stopped,
                "nothing stops a pipeline that is not fenced"
            );
            self.end_calls(state, index, out);
            self.answer(state, index, out);
            self.wait(state, index, out);
            self.redrive(state, index, out);
        }
        self.disturb(state, out);
        self.seek_and_purge(state, out);
        self.store(state, out);
    }

    fn fingerprint(&mut self, state: &State) -> u128 {
        let mut buffer = Vec::new();
        state.journal.encode(&mut buffer);
        buffer.extend_from_slice(&state.granted);
        buffer.extend_from_slice(&[
            state.crashes,
            state.takeovers,
            state.expiries,
            state.outages,
            state.seeks,
            state.redrives,
            state.purges,
            state.refusals,
        ]);
        let units = self.views.facts(state.journal.ahead()).units;
        for owner in &state.owners {
            buffer.extend_from_slice(&[owner.unit as u8, owner.epoch]);
            // A former owner that only finds out is like any other.
            if owner.epoch == units[owner.unit].epoch || !self.config.collapses_former {
                buffer.extend_from_slice(&owner.fingerprint.to_le_bytes());
                for (_, number, is_framed) in &owner.unsynced {
                    buffer.extend_from_slice(&[*number as u8, u8::from(*is_framed)]);
                }
            }
        }
        xxh3_128(&buffer)
    }

    fn is_goal(&self, state: &State) -> bool {
        let visible = state.journal.visible(&self.config);
        let facts = self.views.facts(visible);
        let are_told = !self.config.has_windows() || facts.windows.told == facts.outputs;
        facts.settled == self.config.all() && are_told
    }

    fn counts(&self) -> (usize, usize) {
        self.views.counts()
    }
}

impl State {
    fn with(&self, index: usize, owner: Owner) -> Self {
        let mut next = self.clone();
        next.owners[index] = Rc::new(owner);
        next
    }
}

//! What can happen next, with the worker modelled.

use crate::{
    check::Violation,
    config::{Config, SLOTS, bits},
    explore::{Report, System, search},
    journal::Journal,
    schedule::Step,
    state::{SentParts, State, Worker},
    views::{Answer, ViewId, Views},
    worker,
};

type Successors = crate::explore::Successors<Protocol>;

/// The protocol with the modelled worker.
struct Protocol {
    config: Config,
    views: Views,
    buffer: Vec<u8>,
}

impl System for Protocol {
    type State = State;
    type Step = Step;

    fn successors(&mut self, state: &State, out: &mut Successors) {
        successors(&self.config, &mut self.views, state, out);
    }

    fn fingerprint(&mut self, state: &State) -> u128 {
        state.fingerprint(&mut self.buffer)
    }

    fn is_goal(&self, state: &State) -> bool {
        let visible = state.journal.visible(&self.config);
        self.views.facts(visible).settled == self.config.all()
    }

    fn counts(&self) -> (usize, usize) {
        self.views.counts()
    }
}

/// Explores a configuration to exhaustion, or to its first violation.
#[must_use]
pub fn explore(config: &Config) -> Report {
    assert_eq!(config.units(), 1, "the modelled worker owns one unit");
    let (views, first) = Views::new(config, false);
    let start = initial(config, first);
    let mut protocol = Protocol {
        config: config.clone(),
        views,
        buffer: Vec::new(),
    };
    search(config.name, config.states_max, &mut protocol, &start)
}

fn successors(config: &Config, views: &mut Views, state: &State, out: &mut Successors) {
    out.clear();
    appoint(config, views, state, out);
    for (index, worker) in state.workers() {
        if config.guards_epoch
            && config.collapses_former
            && worker.epoch < views.facts(state.journal.ahead()).units[0].epoch
        {
            let mut next = *state;
            next.stop(index);
            let epoch = worker.epoch;
            out.push((Step::FindOut { epoch }, Ok(next)));
            continue;
        }
        for slot in 0..SLOTS {
            invoke(config, state, index, slot, out);
            conclude(config, state, index, slot, out);
            answer(config, views, state, index, slot, out);
        }
        let late_slot = usize::from(worker.late.1);
        if worker.late.0 != 0 && worker.slots[late_slot].has_room(config.depth) {
            let mut next = *state;
            worker::answer_late(next.worker_mut(index));
            let epoch = worker.epoch;
            out.push((Step::AnswerLate { epoch }, Ok(next)));
        }
    }
    disturb(config, views, state, out);
    seek(config, views, state, out);
    remap(views, state, out);
    store(config, views, state, out);
    for (_, next) in out {
        if let Ok(next) = next {
            let epoch = views.facts(next.journal.ahead()).units[0].epoch;
            next.normalize(config, epoch);
        }
    }
}

fn appoint(config: &Config, views: &mut Views, state: &State, out: &mut Successors) {
    let ahead = state.journal.ahead();
    let epoch = views.facts(ahead).units[0].epoch;
    let is_held = state.workers().any(|(_, worker)| worker.epoch == epoch);
    let is_wanted = !views.facts(ahead).is_unmapped && (!is_held || state.takeovers > 0);
    if state.granted == 0 && state.has_room_for_worker() && is_wanted {
        let mut next = *state;
        next.takeovers -= u8::from(is_held);
        let view = views.lease(ahead, 0);
        let epoch = views.facts(view).units[0].epoch;
        next.granted = epoch;
        next.journal.take(view, None, true);
        out.push((Step::Lease { epoch }, Ok(next)));
    }
    if state.granted == 0 {
        return;
    }
    let granted = state.granted;
    if granted < epoch {
        let mut next = *state;
        next.granted = 0;
        out.push((Step::GiveUp { epoch: granted }, Ok(next)));
        return;
    }
    let visible = state.journal.visible(config);
    let is_usable = !config.leases_synced || views.facts(visible).units[0].epoch == granted;
    if is_usable && state.has_room_for_worker() {
        // A synced lease has everything of the former owner in front of it, so the published view
        // is enough; an early one must be read with all that is in front of it.
        let from = if config.leases_synced || !config.starts_behind_lease {
            visible
        } else {
            ahead
        };
        let mut next = *state;
        next.granted = 0;
        next.start(Worker {
            epoch: granted,
            settled: views.facts(from).settled,
            expired: views.facts(from).units[0].totals[3],
            attempts: views.facts(from).attempts,
            ..Worker::default()
        });
        out.push((Step::Start { epoch: granted }, Ok(next)));
    }
}

fn invoke(config: &Config, state: &State, index: usize, slot: usize, out: &mut Successors) {
    let Some(worker) = &state.workers[index] else {
        return;
    };
    let lane = &worker.slots[slot];
    let waiting = u8::try_from(lane.sent().count()).expect("a slot sends few");
    let may_start = if config.waits_for_acceptance {
        !lane.is_waiting()
    } else {
        lane.has_room(config.depth)
    };
    if lane.running != 0 || !may_start || state.journal.unsynced(slot) + waiting >= config.depth {
        return;
    }
    let available = worker.available(config, slot);
    let mut records = 0;
    for &record in available.iter().take(config.batch) {
        records |= 1 << record;
        let mut next = *state;
        next.worker_mut(index).slots[slot].running = records;
        let epoch = worker.epoch;
        out.push((
            Step::Invoke {
                epoch,
                slot,
                records,
            },
            Ok(next),
        ));
    }
}

fn conclude(config: &Config, state: &State, index: usize, slot: usize, out: &mut Successors) {
    let Some(worker) = &state.workers[index] else {
        return;
    };
    let running = worker.slots[slot].running;
    if running == 0 {
        return;
    }
    let (epoch, records) = (worker.epoch, running.count_ones() as usize);
    let mut next = *state;
    next.worker_mut(index).slots[slot].running = 0;
    out.push((Step::TakeBack { epoch, slot }, Ok(next)));

    for code in worker::outcomes(config, records) {
        let mut next = *state;
        worker::conclude(config, next.worker_mut(index), slot, code);
        let parts = last_sent(&next, index, slot);
        let (outputs, dead) = (parts.outputs, parts.dead);
        out.push((
            Step::Conclude {
                epoch,
                slot,
                outputs,
                dead,
            },
            Ok(next),
        ));
    }
    if !config.discards_late && worker.late.0 == 0 {
        let mut next = *state;
        let worker = next.worker_mut(index);
        worker::conclude(config, worker, slot, worker::all_retry(config, records));
        worker.late = (running, u8::try_from(slot).expect("there are three slots"));
        out.push((Step::TimeOut { epoch, slot }, Ok(next)));
    }
}

fn last_sent(state: &State, index: usize, slot: usize) -> SentParts {
    state.workers[index]
        .as_ref()
        .and_then(|worker| worker.slots[slot].sent().last())
        .map(|(_, sent)| sent.parts())
        .expect("a commit was just handed in")
}

fn answer(
    config: &Config,
    views: &mut Views,
    state: &State,
    index: usize,
    slot: usize,
    out: &mut Successors,
) {
    let Some(worker) = &state.workers[index] else {
        return;
    };
    let epoch = worker.epoch;
    let owner = (epoch, worker.expired);
    for (at, sent) in worker.slots[slot].sent() {
        let parts = sent.parts();
        let step = |is_accepted, is_heard| Step::Answer {
            epoch,
            slot,
            number: parts.number,
            settles: parts.settles,
            is_accepted,
            is_heard,
        };
        let ahead = state.journal.ahead();
        match views.commit(ahead, owner, slot, sent.question(), &parts) {
            // Nothing is written and the number is not consumed: the same commit is sent again.
            Answer::Unavailable if config.refusal_keeps_number => {}
            Answer::Unavailable => {
                let mut next = *state;
                let sent = &mut next.worker_mut(index).slots[slot].sent[at];
                *sent = sent.renumbered();
                out.push((step(false, true), Ok(next)));
            }
            Answer::Fenced(fault) => {
                // A repetition after a lost answer may meet a guard: that is what it is for.
                let is_ours = fault.is_bug() && config.asserts && parts.number != 0;
                let mut next = *state;
                next.stop(index);
                let violation = Violation::AssertionFired(fault);
                out.push((
                    step(false, true),
                    if is_ours { Err(violation) } else { Ok(next) },
                ));
            }
            Answer::Refused(_) => unreachable!("no letter is redriven"),
            Answer::Broken(violation) => out.push((step(true, true), Err(violation))),
            Answer::Accepted(view) => {
                let mut next = *state;
                next.journal.take(view, Some(slot), parts.settles != 0);
                for other in &mut next.worker_mut(index).slots[slot].sent {
                    *other = other.after_acceptance();
                }
                if state.lost_answers > 0 {
                    let mut unheard = next;
                    unheard.lost_answers -= 1;
                    out.push((step(true, false), Ok(unheard)));
                }
                worker::accepted(config, next.worker_mut(index), slot, at);
                out.push((step(true, true), Ok(next)));
            }
        }
    }
}

fn disturb(config: &Config, views: &mut Views, state: &State, out: &mut Successors) {
    let ahead = state.journal.ahead();
    let facts = *views.facts(ahead);
    if state.expiries > 0 {
        for record in bits(config.all() & !facts.settled) {
            let outcome = views.expire(ahead, record).map(|expired| {
                expired.map(|view| {
                    let mut next = *state;
                    next.expiries -= 1;
                    next.journal.take(view, None, true);
                    next
                })
            });
            out.extend(outcome.map(|outcome| (Step::Expire { through: record }, outcome)));
        }
    }
    // Whoever deleted it makes it anew: its readers wait for it, but not for ever.
    if state.outages > 0 || !facts.output.exists {
        let mut next = *state;
        next.outages -= u8::from(facts.output.exists);
        next.journal.take(views.outage(ahead), None, true);
        let step = if facts.output.exists {
            Step::DeleteOutput
        } else {
            Step::MakeOutput
        };
        out.push((step, Ok(next)));
    }
}

/// Somebody sends the unit elsewhere.
fn seek(config: &Config, views: &mut Views, state: &State, out: &mut Successors) {
    let ahead = state.journal.ahead();
    if state.seeks == 0 || views.facts(ahead).is_unmapped {
        return;
    }
    for after in config.places_of(0) {
        let sought = views.seek(ahead, 0, after).map(|view| {
            let mut next = *state;
            next.seeks -= 1;
            next.journal.take(view, None, true);
            next
        });
        out.push((Step::Seek { after: after.0 }, sought));
    }
}

/// The mapping is deleted; whoever did it makes one of its name.
fn remap(views: &mut Views, state: &State, out: &mut Successors) {
    let ahead = state.journal.ahead();
    let is_unmapped = views.facts(ahead).is_unmapped;
    if state.deletions == 0 && !is_unmapped {
        return;
    }
    let mut next = *state;
    next.deletions -= u8::from(!is_unmapped);
    next.journal.take(views.remap(ahead), None, true);
    let step = if is_unmapped {
        Step::MakeMapping
    } else {
        Step::DeleteMapping
    };
    out.push((step, Ok(next)));
}

fn store(config: &Config, views: &Views, state: &State, out: &mut Successors) {
    let mut settle = |step, journal: Option<Journal>| {
        if let Some(journal) = journal {
            out.push((step, Ok(State { journal, ..*state })));
        }
    };
    settle(Step::Write, state.journal.write(config));
    settle(Step::Sync, state.journal.sync());
    if state.crashes == 0 {
        return;
    }
    for keeps_frame in [false, true] {
        let Some(journal) = state.journal.crash(config, keeps_frame) else {
            continue;
        };
        let seen = views.facts(state.journal.visible(config));
        let is_kept = seen.is_kept_by(views.facts(journal.ahead()));
        out.push((
            Step::Crash { keeps_frame },
            if is_kept {
                Ok(State {
                    journal,
                    workers: [None; 2],
                    granted: 0,
                    crashes: state.crashes - 1,
                    ..*state
                })
            } else {
                Err(Violation::Retracted)
            },
        ));
    }
}

/// Where everything starts.
fn initial(config: &Config, view: ViewId) -> State {
    State {
        journal: Journal::synced(view),
        crashes: config.crashes,
        takeovers: config.takeovers,
        lost_answers: config.lost_answers,
        expiries: config.expiries,
        outages: config.outages,
        deletions: config.deletions,
        seeks: config.seeks,
        ..State::default()
    }
}

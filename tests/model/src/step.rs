//! What can happen next.

use std::fmt;

use crate::{
    config::{Config, SLOTS},
    journal::Journal,
    state::{SentParts, State, Worker},
    views::{Answer, OutputStream, ViewId, Views, Violation},
    worker,
};

/// One step of a schedule, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A lease is accepted.
    Lease {
        /// The epoch granted.
        epoch: u8,
    },
    /// A granted owner hears that another was appointed, and never starts.
    GiveUp {
        /// The epoch that was granted.
        epoch: u8,
    },
    /// An owner starts.
    Start {
        /// Its epoch.
        epoch: u8,
    },
    /// A former owner finds out.
    FindOut {
        /// Its epoch.
        epoch: u8,
    },
    /// A batch goes to the function.
    Invoke {
        /// The owner.
        epoch: u8,
        /// The slot.
        slot: usize,
        /// The records, as a mask.
        records: u8,
    },
    /// A call ends, its commit is handed in.
    Conclude {
        /// The owner.
        epoch: u8,
        /// The slot.
        slot: usize,
        /// Records that end as outputs.
        outputs: u8,
        /// Records that end as dead letters.
        dead: u8,
    },
    /// A call is taken back, uncharged.
    TakeBack {
        /// The owner.
        epoch: u8,
        /// The slot.
        slot: usize,
    },
    /// A call's deadline passes; its answer may still come.
    TimeOut {
        /// The owner.
        epoch: u8,
        /// The slot.
        slot: usize,
    },
    /// The answer of a call that timed out comes, and is believed.
    AnswerLate {
        /// The owner.
        epoch: u8,
    },
    /// The sequencer answers a commit.
    Answer {
        /// The owner.
        epoch: u8,
        /// The slot.
        slot: usize,
        /// Its number, from the slot's last accepted one.
        number: u8,
        /// Records it settles.
        settles: u8,
        /// Whether it was accepted.
        is_accepted: bool,
        /// Whether the answer arrived.
        is_heard: bool,
    },
    /// Retention takes a record.
    Expire,
    /// The output stream goes, or comes back.
    Outage,
    /// A frame is written.
    Write,
    /// Its sync returns.
    Sync,
    /// The node stops and starts again.
    Crash {
        /// Whether the unsynced frame is found again.
        keeps_frame: bool,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot_name = |slot: usize| ["lane 0", "lane 1", "retry"][slot];
        match *self {
            Self::Lease { epoch } => write!(f, "lease {epoch} is accepted"),
            Self::GiveUp { epoch } => write!(f, "owner {epoch} never starts"),
            Self::Start { epoch } => write!(f, "owner {epoch} starts"),
            Self::FindOut { epoch } => write!(f, "owner {epoch} is fenced"),
            Self::Invoke {
                epoch,
                slot,
                records,
            } => write!(f, "owner {epoch} {}: calls {records:05b}", slot_name(slot)),
            Self::Conclude {
                epoch,
                slot,
                outputs,
                dead,
            } => write!(
                f,
                "owner {epoch} {}: outputs {outputs:05b}, dead letters {dead:05b}",
                slot_name(slot)
            ),
            Self::TakeBack { epoch, slot } => {
                write!(f, "owner {epoch} {}: takes its call back", slot_name(slot))
            }
            Self::TimeOut { epoch, slot } => {
                write!(f, "owner {epoch} {}: its call times out", slot_name(slot))
            }
            Self::AnswerLate { epoch } => write!(f, "owner {epoch}: the late answer comes"),
            Self::Answer {
                epoch,
                slot,
                number,
                settles,
                is_accepted,
                is_heard,
            } => write!(
                f,
                "owner {epoch} {}: commit +{number} settling {settles:05b} is {}{}",
                slot_name(slot),
                if is_accepted { "accepted" } else { "fenced" },
                if is_heard { "" } else { ", unheard" }
            ),
            Self::Expire => f.write_str("retention takes the oldest unsettled record"),
            Self::Outage => f.write_str("the output stream goes or comes"),
            Self::Write => f.write_str("a frame is written"),
            Self::Sync => f.write_str("its sync returns"),
            Self::Crash { keeps_frame: true } => f.write_str("crash; the frame is found again"),
            Self::Crash { keeps_frame: false } => f.write_str("crash; what is unsynced is lost"),
        }
    }
}

/// Where steps lead.
pub(crate) type Successors = Vec<(Step, Result<State, Violation>)>;

/// All that can happen in `state`.
pub(crate) fn successors(config: &Config, views: &mut Views, state: &State, out: &mut Successors) {
    out.clear();
    appoint(config, views, state, out);
    for (index, worker) in state.workers() {
        if config.guards_epoch
            && config.collapses_former
            && worker.epoch < views.facts(state.journal.ahead()).epoch
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
    disturb(views, state, out);
    store(config, views, state, out);
    for (_, next) in out {
        if let Ok(next) = next {
            let epoch = views.facts(next.journal.ahead()).epoch;
            next.normalize(config, epoch);
        }
    }
}

fn appoint(config: &Config, views: &mut Views, state: &State, out: &mut Successors) {
    let ahead = state.journal.ahead();
    let epoch = views.facts(ahead).epoch;
    let is_held = state.workers().any(|(_, worker)| worker.epoch == epoch);
    if state.granted == 0 && state.has_room_for_worker() && (!is_held || state.takeovers > 0) {
        let mut next = *state;
        next.takeovers -= u8::from(is_held);
        let view = views.lease(ahead);
        let epoch = views.facts(view).epoch;
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
    let is_usable = !config.leases_synced || views.facts(visible).epoch == granted;
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
        match views.commit(ahead, epoch, slot, sent.question(), &parts) {
            // Nothing is written and the number is not consumed: the same commit is sent again.
            Answer::Unavailable => {}
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

fn disturb(views: &mut Views, state: &State, out: &mut Successors) {
    let ahead = state.journal.ahead();
    let mut take = |step, view: Option<ViewId>, spend: fn(&mut State)| {
        if let Some(view) = view {
            let mut next = *state;
            spend(&mut next);
            next.journal.take(view, None, true);
            out.push((step, Ok(next)));
        }
    };
    if state.expiries > 0 {
        take(Step::Expire, views.expire(ahead), |next| next.expiries -= 1);
    }
    match views.facts(ahead).output {
        OutputStream::First if state.outages > 0 => {
            take(Step::Outage, views.outage(ahead), |next| next.outages -= 1);
        }
        // Whoever deleted it makes it anew: its readers wait for it, but not for ever.
        OutputStream::Deleted => take(Step::Outage, views.outage(ahead), |_| {}),
        OutputStream::First | OutputStream::MadeAnew => {}
    }
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
        let seen = views.facts(state.journal.visible(config)).effects();
        let kept = views.facts(journal.ahead()).effects();
        let is_kept = seen.0 & !kept.0 == 0 && seen.1 & !kept.1 == 0;
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
pub(crate) fn initial(config: &Config, view: ViewId) -> State {
    State {
        journal: Journal::synced(view),
        crashes: config.crashes,
        takeovers: config.takeovers,
        lost_answers: config.lost_answers,
        expiries: config.expiries,
        outages: config.outages,
        ..State::default()
    }
}

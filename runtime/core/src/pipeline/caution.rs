//! Calls after unclean stops: what a lane calls first, and every retry, goes record by record, its
//! attempt marked durably in front of the call. So a record that kills the process is found out and
//! charged like any other (commit and storage rules §4).
//!
//! One record on the whole node is called so at a time: the node has one *turn*. With it, a record's mark is committed, synced, and only then the record is
//! called; the turn ends when the commit that says what became of the record is accepted. The next mark
//! is synced behind it, so a record found in hand at a start is the one that the process died with.
//!
//! Only a slot's *first* calls are made so: what a process died with lies in the batch that a lane had in
//! hand, and after a start that batch is the lane's first. Behind it batches are whole again, so a node
//! that was killed twice still drains. Were it killed by a record further on, that record would be in the
//! first batch of the next start. Retries stay careful while the node is.

use super::{
    Action, CommitPlan, ShardPipeline, StopReason,
    backlog::Serial,
    judge::{Charge, Ending, Fault, Judgement, Letter},
    slot::{Purpose, Slot},
};
use crate::{
    commit::{AttemptMark, ErrorKind, Unavailable, UnitTotals},
    id::Timestamp,
    limits,
    retry::{exponential, full_jitter},
};

/// Code of the letter of a record that the process died with until it had no attempt left.
pub const PROCESS_DIED: &str = "process-died";

/// The node's turn, as this unit knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    /// Not wanted.
    #[default]
    Away,
    /// Wanted.
    Asked,
    /// Granted; the slot that it is for, once there is one.
    Held(Option<usize>),
}

/// Which calls are made record by record, and where the turn is.
#[derive(Clone, Debug, Default)]
pub(super) struct Caution {
    is_on: bool,
    /// Records of its first batch that a lane still calls alone, by lane.
    left: Vec<u32>,
    turn: Turn,
    /// The slot served last: the one behind it is the first that may use the next turn.
    last: usize,
    /// The mapping stops when the mark of the record that said so is taken back: which slot has it, and why
    /// it stops.
    ending: Option<(usize, StopReason)>,
}

impl Caution {
    /// Whether the calls of a slot are made one record at a time.
    pub(super) fn covers(&self, index: usize) -> bool {
        // The retry slot is behind the lanes, and never done.
        self.is_on && self.left.get(index).is_none_or(|left| *left > 0)
    }

    /// Whether what is due in a slot waits for the turn, not for time.
    pub(super) fn waits_for_turn(&self, index: usize) -> bool {
        self.is_ending() || self.covers(index) && self.turn != Turn::Away
    }

    /// Whether a slot has the turn: its record is marked, or is about to be.
    pub(super) const fn has_marked(&self) -> bool {
        matches!(self.turn, Turn::Held(Some(_)))
    }

    /// The mapping is about to stop: no call starts.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }
}

impl ShardPipeline {
    /// Caution begins or ends. Calls under way go on as they are.
    pub(super) fn be_cautious(&mut self, is_on: bool, actions: &mut Vec<Action>) {
        self.caution.is_on = is_on;
        let first_batch = self
            .config
            .settings
            .batch_size
            .min(limits::CAREFUL_RECORDS_MAX);
        self.caution.left = vec![first_batch; self.lanes.len()];
        if !is_on {
            self.end_turn(actions);
        }
    }

    /// The node grants the turn.
    pub(super) fn turn_granted(&mut self, actions: &mut Vec<Action>) {
        match self.caution.turn {
            Turn::Asked => self.caution.turn = Turn::Held(None),
            Turn::Away => actions.push(Action::EndTurn),
            Turn::Held(_) => debug_assert!(false, "a turn is granted once"),
        }
    }

    /// Starts what may start with the turn, or asks for the turn.
    pub(super) fn start_cautiously(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if let Turn::Held(Some(index)) = self.caution.turn {
            self.call_marked(index, now, actions);
            return;
        }
        let is_pressed = self.is_pressed();
        let first = self.caution.last + 1;
        let count = self.slots.len();
        let mut is_wanted = false;
        // Twice: a lane may park a key that the retry slot, in front of it, may have at once.
        for index in (first..first + 2 * count).map(|index| index % count) {
            if is_wanted && index == first % count {
                break;
            }
            if !self.may_call(now) {
                break;
            }
            if self.bring_up(index, is_pressed, now, actions) {
                is_wanted = true;
                if self.caution.turn == Turn::Held(None) {
                    self.mark(index, now);
                    return;
                }
            }
        }
        match self.caution.turn {
            Turn::Away if is_wanted => {
                self.caution.turn = Turn::Asked;
                actions.push(Action::AskTurn);
            }
            // What it was asked for went elsewhere meanwhile: another asks anew.
            Turn::Held(_) if !is_wanted => self.end_turn(actions),
            Turn::Away | Turn::Asked | Turn::Held(_) => {}
        }
    }

    /// No other call may start now: what is marked is called, and a turn that nothing is marked with goes.
    pub(super) fn wait_cautiously(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        match self.caution.turn {
            Turn::Held(Some(index)) => self.call_marked(index, now, actions),
            Turn::Held(None) => self.end_turn(actions),
            Turn::Away | Turn::Asked => {}
        }
    }

    /// Puts one record in front of a free slot's pieces that may be called now; whether there is one.
    /// Records that end without a call do.
    fn bring_up(
        &mut self,
        index: usize,
        is_pressed: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> bool {
        let slot = &self.slots[index];
        if !self.caution.covers(index)
            || !slot.is_free()
            || slot.not_before > now
            || slot.mark.is_some()
            || !self.may_call_in(index, now)
        {
            return false;
        }
        if slot.pieces.is_empty() || index < self.lanes.len() && self.has_windows() {
            let Some((batch, is_fresh)) = self.next_batch(index, is_pressed, now, actions) else {
                return false;
            };
            if batch.is_empty() {
                // It has no record that could be marked.
                self.begin_close(index, is_fresh, actions);
                return false;
            }
            self.slots[index].pieces.push_front(batch);
        }
        let pieces = &mut self.slots[index].pieces;
        let mut records = pieces.pop_front().expect("it was filled");
        let first = *self.backlog.get(records[0]);
        if first.condemned().is_some() {
            self.begin(index, records, true, now, actions);
            return false;
        }
        if records.len() > 1 {
            let rest = records.split_off(1);
            pieces.push_front(rest);
        }
        if !self.age.is_too_old(first.arrival)
            && let Some((_, until)) = self.first_waiting(&records, now)
        {
            self.wait_in_order(index, records, until, actions);
            return false;
        }
        // Read again in front of the mark: nobody waits for a read with the turn.
        let (reference, is_resident) = self.backlog.begin(records[0], actions);
        if !is_resident {
            let slot = &mut self.slots[index];
            slot.reread = Some(records);
            actions.push(Action::Reread {
                slot: slot.id,
                records: vec![reference.position],
            });
            return false;
        }
        if self.age.is_too_old(first.arrival) {
            self.expire(index, records, now);
            return false;
        }
        if first.has_died {
            self.judge_died(index, records, now);
            return false;
        }
        self.slots[index].pieces.push_front(records);
        true
    }

    /// Commits the mark of the record in front of a slot's pieces.
    fn mark(&mut self, index: usize, now: Timestamp) {
        let pieces = &mut self.slots[index].pieces;
        let records = pieces.pop_front().expect("a record was brought up");
        self.caution.turn = Turn::Held(Some(index));
        self.caution.last = index;
        let count = self.backlog.get(records[0]).attempts + 1;
        self.commit_mark(index, records, Purpose::Mark, count, now);
    }

    /// Makes the call of the slot that has the turn, once the mark is synced.
    fn call_marked(&mut self, index: usize, now: Timestamp, actions: &mut Vec<Action>) {
        let slot = &mut self.slots[index];
        let is_synced = slot.mark.is_some_and(|number| number <= slot.durable);
        if !is_synced || !slot.is_free() {
            return;
        }
        let records = slot.pieces.pop_front().expect("the marked record waits");
        let is_fresh = slot.faults > 0 || self.backlog.get(records[0]).attempts > 0;
        self.begin(index, records, is_fresh, now, actions);
    }

    /// The records of a slot's marked call run again, uncharged: the mark is taken back first.
    pub(super) fn unmark(&mut self, index: usize, records: Vec<Serial>, now: Timestamp) {
        self.pause_uncharged(index, now);
        self.unmark_at_once(index, records, now);
    }

    /// The same, without a pause.
    pub(super) fn unmark_at_once(&mut self, index: usize, records: Vec<Serial>, now: Timestamp) {
        let count = self.backlog.get(records[0]).attempts;
        self.commit_mark(index, records, Purpose::Unmark, count, now);
    }

    /// A call of a marked record said `fatal`: nothing of it commits, and its mark goes.
    pub(super) fn end_marked(
        &mut self,
        index: usize,
        records: Vec<Serial>,
        reason: StopReason,
        now: Timestamp,
    ) {
        self.caution.ending = Some((index, reason));
        self.unmark(index, records, now);
    }

    fn commit_mark(
        &mut self,
        index: usize,
        records: Vec<Serial>,
        purpose: Purpose,
        count: u32,
        now: Timestamp,
    ) {
        let version = self.version_in(index, &records);
        let position = self.backlog.get(records[0]).position;
        let mark = AttemptMark {
            position,
            count,
            version,
            next_retry: now,
            is_in_hand: purpose == Purpose::Mark,
            cause: self.failures.last_of(position),
        };
        let plan = CommitPlan {
            attempts: vec![mark],
            version,
            ..self.empty_plan(index, now)
        };
        let judgement = Judgement {
            endings: vec![Ending::Again; records.len()],
            ..Judgement::default()
        };
        self.queue(
            index,
            plan,
            records,
            judgement,
            UnitTotals::default(),
            purpose,
        );
    }

    /// A record that the last process died with: charged without a call, or given up.
    pub(super) fn judge_died(&mut self, index: usize, records: Vec<Serial>, now: Timestamp) {
        debug_assert_eq!(records.len(), 1, "it goes alone");
        let entry = self.backlog.get(records[0]);
        let attempts = entry.attempts + 1;
        let is_dead = self.policy.is_exhausted(attempts);
        let mut judgement = Judgement {
            endings: vec![if is_dead {
                Ending::Dead
            } else {
                Ending::Charged
            }],
            ..Judgement::default()
        };
        let words = "the process died while the function had this record";
        if is_dead {
            judgement.letters.push(Letter {
                index: 0,
                kind: ErrorKind::Trap,
                code: PROCESS_DIED.into(),
                error: words.into(),
                attempts,
            });
        } else {
            let next_retry = self
                .policy
                .next_retry(now, entry.position, attempts, None)
                .min(self.age.expires_at(entry.arrival));
            judgement.charges.push(Charge {
                index: 0,
                attempts,
                next_retry,
                fault: Fault::Record,
                kind: ErrorKind::Trap,
                code: PROCESS_DIED.into(),
                error: words.into(),
            });
        }
        let adds = UnitTotals {
            failed: 1,
            dead_lettered: u64::from(is_dead),
            ..UnitTotals::default()
        };
        self.decide(index, records, judgement, adds, now);
    }

    /// A commit of a slot was accepted: a mark stands now, or the turn is over.
    pub(super) fn turn_goes_on(
        &mut self,
        index: usize,
        purpose: Purpose,
        actions: &mut Vec<Action>,
    ) {
        let slot = &mut self.slots[index];
        if purpose == Purpose::Mark {
            slot.mark = Some(slot.accepted);
            return;
        }
        if slot.mark.take().is_some()
            && purpose == Purpose::Outcome
            && let Some(left) = self.caution.left.get_mut(index)
        {
            *left = left.saturating_sub(1);
        }
        self.turn_is_over(index, actions);
    }

    /// A commit of a slot with a mark, or of the mark itself, is refused. The turn is not kept until
    /// it is accepted: the result is dropped, its record runs again, uncharged.
    pub(super) fn refused_cautiously(
        &mut self,
        index: usize,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let slot = &mut self.slots[index];
        let commit = slot.unaccepted.take().expect("it was refused");
        self.filtered.give_back(commit.filtered);
        actions.push(Action::DropCommit {
            slot: slot.id,
            number: slot.accepted + 1,
        });
        slot.refusals += 1;
        let refusals = slot.refusals;
        if commit.purpose == Purpose::Outcome {
            self.unmark(index, commit.records, now);
        } else {
            // Not even a mark is taken. One that stays is void while this process lives.
            slot.pieces.push_front(commit.records);
            slot.mark = None;
            self.turn_is_over(index, actions);
        }
        let ceiling = exponential(limits::RESEND_MS, limits::RESEND_MS_MAX, refusals);
        let pause = full_jitter(self.config.seed, index as u64, refusals, ceiling).max(1);
        let slot = &mut self.slots[index];
        slot.not_before = slot.not_before.max(now.plus_ms(pause));
    }

    /// No call starts any more: marks that stand are taken back, and the turn ends.
    pub(super) fn retract_marks(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            let is_idle = slot.call.is_none() && slot.unaccepted.is_none();
            // Waits for syncs like every other commit of the slot.
            let may_commit =
                slot.accepted - slot.durable < u64::from(limits::COMMITS_IN_FLIGHT_MAX);
            if is_idle && may_commit && slot.mark.is_some() && slot.reread.is_none() {
                let records = slot.pieces.pop_front().expect("the marked record waits");
                self.unmark(index, records, now);
            }
        }
        let is_idle = match self.caution.turn {
            Turn::Held(Some(index)) => {
                let slot = &self.slots[index];
                slot.call.is_none() && slot.unaccepted.is_none() && slot.mark.is_none()
            }
            Turn::Away | Turn::Asked | Turn::Held(None) => true,
        };
        if is_idle {
            self.end_turn(actions);
        }
    }

    fn turn_is_over(&mut self, index: usize, actions: &mut Vec<Action>) {
        if self.caution.turn == Turn::Held(Some(index)) {
            self.end_turn(actions);
        }
        let ending = &mut self.caution.ending;
        if let Some((_, reason)) = ending.take_if(|(said, _)| *said == index) {
            self.stop(reason, actions);
        }
    }

    fn end_turn(&mut self, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.caution.turn) != Turn::Away {
            actions.push(Action::EndTurn);
        }
    }

    /// Why a commit of the unit is refused at present.
    pub(super) fn refusal(&self) -> Option<&Unavailable> {
        // One that nothing waits in any more was given up meanwhile, or passed over.
        let waits = |slot: &&Slot| !slot.is_at_rest() || !slot.pieces.is_empty();
        let waiting = self.slots.iter().filter(waits);
        waiting.filter_map(|slot| slot.refusal.as_ref()).next()
    }
}

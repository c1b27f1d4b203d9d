//! Commits on their way: sent one at a time, taken over when they are accepted.
//!
//! A unit has at most one commit with the sequencer. Its totals are absolute, so they must be exactly
//! those of the entries in front of it in the log; with two under way a refusal of the first would
//! leave its counts in the second.

use super::{
    Action, ShardPipeline, StopReason,
    backlog::{Place, Serial},
    judge::{Charge, Ending, Fault, Judgement},
    slot::{Phase, Purpose, Unaccepted},
    together::Behind,
};
use crate::{
    commit::{CommitAnswer, Unavailable},
    id::{SlotId, Timestamp},
    limits,
    mapping::OnFailureFull,
    park::{KeyMap, ParkedCharge, ParkedRecord},
    retry::{exponential, full_jitter},
};

impl ShardPipeline {
    /// Sends the next commit when none is with the sequencer.
    pub(super) fn send_next(&mut self, actions: &mut Vec<Action>) {
        if self.unanswered.is_some() {
            return;
        }
        let Some(index) = self.send_queue.pop_front() else {
            return;
        };
        let mut untold = self.untold_circuits();
        let slot = &mut self.slots[index];
        let number = slot.accepted + 1;
        let commit = slot.unaccepted.as_mut().expect("a queued slot has one");
        if let (Phase::Queued(plan), Purpose::Outcome) = (&mut commit.phase, commit.purpose) {
            commit.filtered = self.filtered.ride(plan, &self.backlog, self.last_now);
            commit.adds.filtered = commit.filtered.len() as u64;
        }
        let totals = self.totals + commit.adds;
        if let Phase::Queued(plan) = &mut commit.phase {
            plan.outages = untold.take();
            commit.outages.clone_from(&plan.outages);
        }
        match std::mem::replace(&mut commit.phase, Phase::Sent) {
            Phase::Queued(mut plan) => {
                plan.number = number;
                plan.totals = totals;
                actions.push(Action::Commit(plan));
            }
            Phase::Requeued | Phase::Refused { .. } | Phase::Sent => {
                let (slot, drops_letters) = (slot.id, commit.drops_letters);
                actions.push(Action::Resend {
                    slot,
                    number,
                    totals,
                    drops_letters,
                });
            }
        }
        self.unanswered = Some(index);
    }

    /// The sequencer answered.
    pub(super) fn answered(
        &mut self,
        slot: SlotId,
        number: u64,
        answer: CommitAnswer,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let index = self.slot_index(slot);
        let is_awaited = self.unanswered == Some(index) && self.slots[index].accepted + 1 == number;
        debug_assert!(is_awaited, "an answer to a commit that was not sent");
        if !is_awaited {
            return;
        }
        self.unanswered = None;
        match answer {
            CommitAnswer::Accepted(_) => {
                let slot = &mut self.slots[index];
                slot.accepted = number;
                let commit = slot.unaccepted.take().expect("the answer's commit");
                if !matches!(commit.purpose, Purpose::Mark | Purpose::Unmark) {
                    // That a mark is taken says nothing of results: what they need may have no room.
                    slot.refusal = None;
                    slot.refusals = 0;
                }
                self.totals = self.totals + commit.adds;
                if let Some(outages) = commit.outages {
                    self.circuit.tell(outages);
                }
                self.take_over_filtered(&commit.filtered, actions);
                self.take_over(index, &commit.records, &commit.judgement, now, actions);
                if let Some(planned) = &commit.window {
                    self.window_changed(&planned.change, now, actions);
                }
                if commit.purpose == Purpose::Outcome {
                    self.goes_on(index, &commit.judgement);
                }
                self.turn_goes_on(index, commit.purpose, actions);
                if let Purpose::Redrive { is_dead } = commit.purpose {
                    self.redrive_accepted(is_dead, now, actions);
                }
            }
            CommitAnswer::Fenced => self.stop(StopReason::Fenced, actions),
            CommitAnswer::Unavailable(Unavailable::DeadLettersFull) if self.may_drop(index) => {
                self.drop_letters(index);
            }
            CommitAnswer::Refused { .. } => self.redrive_refused(index, now, actions),
            CommitAnswer::Unavailable(reason) => {
                let slot = &mut self.slots[index];
                slot.refusal = Some(reason);
                let commit = slot.unaccepted.as_mut().expect("the answer's commit");
                let is_mark = matches!(commit.purpose, Purpose::Mark | Purpose::Unmark);
                if slot.mark.is_some() || is_mark {
                    return self.refused_cautiously(index, now, actions);
                }
                commit.refusals += 1;
                let ceiling =
                    exponential(limits::RESEND_MS, limits::RESEND_MS_MAX, commit.refusals);
                let pause =
                    full_jitter(self.config.seed, index as u64, commit.refusals, ceiling).max(1);
                commit.phase = Phase::Refused {
                    resend_at: now.plus_ms(pause),
                };
            }
        }
    }

    /// Whether a commit that the dead letters have no room for goes without them (commit and storage rules
    /// §7, `on_failure_full`).
    fn may_drop(&self, index: usize) -> bool {
        let commit = self.slots[index].unaccepted.as_ref();
        self.config.settings.on_failure_full == OnFailureFull::DropAndCount
            && commit.is_some_and(|commit| {
                let lost = commit
                    .window
                    .as_ref()
                    .is_some_and(|window| window.lost.is_some());
                commit.adds.dead_lettered > 0 || lost
            })
    }

    /// What a commit gives up is dropped and counted; the rest of it is sent at once.
    fn drop_letters(&mut self, index: usize) {
        let commit = self.slots[index].unaccepted.as_mut();
        let commit = commit.expect("the answer's commit");
        commit.adds.dropped = std::mem::take(&mut commit.adds.dead_lettered);
        commit.drops_letters = true;
        commit.phase = Phase::Requeued;
        self.send_queue.push_front(index);
    }

    /// Queues refused commits whose pause is over.
    pub(super) fn requeue_refused(&mut self, now: Timestamp) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(commit) = &mut slot.unaccepted else {
                continue;
            };
            if matches!(commit.phase, Phase::Refused { resend_at } if resend_at <= now) {
                commit.phase = Phase::Requeued;
                self.send_queue.push_back(index);
            }
        }
    }

    /// Drops a commit that is refused (or, when `any`, merely not with the sequencer): its batch runs
    /// again, uncharged. What the commit says never happened, so nothing is taken back.
    pub(super) fn drop_commit(&mut self, index: usize, any: bool, actions: &mut Vec<Action>) {
        let slot = &mut self.slots[index];
        let number = slot.accepted + 1;
        let dropped = slot.unaccepted.take_if(|commit| match commit.phase {
            Phase::Refused { .. } | Phase::Requeued => true,
            Phase::Queued(_) => match commit.purpose {
                Purpose::Outcome | Purpose::Redrive { .. } => any,
                Purpose::Mark => true,
                Purpose::Unmark => false,
            },
            Phase::Sent => false,
        });
        let Some(Unaccepted {
            records,
            filtered,
            phase,
            ..
        }) = dropped
        else {
            return;
        };
        self.filtered.give_back(filtered);
        slot.refusal = None;
        if !records.is_empty() {
            slot.pieces.push_front(records);
        }
        if !matches!(phase, Phase::Queued(_)) {
            let slot = slot.id;
            actions.push(Action::DropCommit { slot, number });
        }
        self.send_queue.retain(|&queued| queued != index);
    }

    /// A call of a slot decided something: what that says of the piece behind it.
    fn goes_on(&mut self, index: usize, judgement: &Judgement) {
        if judgement.endings.is_empty() {
            self.presume(index);
        } else {
            self.slots[index].presumes = false;
        }
    }

    /// What an accepted commit said is so now.
    fn take_over(
        &mut self,
        index: usize,
        records: &[Serial],
        judgement: &Judgement,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        self.note_failures(records, judgement);
        if records.is_empty() {
            // Nothing but records that the filter let fall.
        } else if self.backlog.get(records[0]).condemned().is_some() {
            self.take_over_condemned(index, records, now, actions);
        } else if judgement.endings.is_empty() && index < self.lanes.len() {
            for &serial in records {
                if !self.marks.is_empty() {
                    self.marks.remove(&self.backlog.get(serial).position);
                }
                self.done_in_lane(index, serial, actions);
            }
        } else {
            for charge in &judgement.charges {
                let serial = records[charge.index];
                self.backlog.charge(serial, charge.attempts, charge.fault);
            }
            if self.waits_in_order() {
                self.take_over_in_order(index, records, judgement, actions);
            } else if index < self.lanes.len() {
                self.take_over_in_lane(index, records, judgement, now, actions);
            } else {
                self.take_over_in_retry(records, judgement, now, actions);
            }
        }
        self.given_up_accepted(index, records);
        self.backlog.advance();
    }

    fn take_over_in_lane(
        &mut self,
        index: usize,
        records: &[Serial],
        judgement: &Judgement,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let mut parking: KeyMap<Vec<ParkedRecord<Serial>>> = KeyMap::default();
        let mut charges = judgement.charges.iter().peekable();
        let mut rest = Vec::new();
        for (at, (&serial, ending)) in records.iter().zip(&judgement.endings).enumerate() {
            match ending {
                Ending::Done | Ending::Dead => self.done_in_lane(index, serial, actions),
                Ending::Again => rest.push(serial),
                Ending::Charged | Ending::Void => {
                    let charge = charges.next_if(|charge| charge.index == at).map(parked);
                    let entry = self.backlog.get(serial);
                    parking.entry(entry.key).or_default().push(ParkedRecord {
                        item: serial,
                        bytes: entry.bytes,
                        charge,
                    });
                    self.backlog.place(serial, Place::Parked, actions);
                }
            }
        }
        if !rest.is_empty() {
            self.slots[index].pieces.push_front(rest);
        }
        if !parking.is_empty() {
            self.sweep(index, &mut parking, actions);
            self.failed(parking.keys().copied());
            for (key, records) in parking {
                self.park.park(key, records, now);
            }
        }
    }

    /// Collects every record of the `parking` keys that still waits in the lane, in a piece of its batch or
    /// to be fed to it: a key moves whole.
    pub(super) fn sweep(
        &mut self,
        lane: usize,
        parking: &mut KeyMap<Vec<ParkedRecord<Serial>>>,
        actions: &mut Vec<Action>,
    ) {
        let mut swept = Vec::new();
        let backlog = &self.backlog;
        let is_parking = |serial| {
            let entry = backlog.get(serial);
            // A record that becomes a letter without a call stays: it has no place in its key's order.
            parking.contains_key(&entry.key) && entry.condemned().is_none()
        };
        // Of keys that are fed the call may have had all that the lane has: then nothing is looked for.
        let feed = &self.lanes[lane].feed;
        let is_all = parking.iter().all(|(&key, records)| {
            let last = records.last();
            last.is_some_and(|last| feed.ends_with(key, last.item))
        });
        let mut pieces = 0;
        if !is_all {
            self.slots[lane].pieces.retain_mut(|piece| {
                swept.extend(piece.extract_if(.., |serial| is_parking(*serial)));
                !piece.is_empty()
            });
            pieces = swept.len();
            self.lanes[lane].batcher.extract(is_parking, &mut swept);
        }
        self.leave_lane(lane, &swept[pieces..]);
        for serial in swept {
            let record = self.parking_record(serial);
            self.lanes[lane].marked -= u32::from(record.charge.is_some());
            let key = self.backlog.place(serial, Place::Parked, actions);
            let records = parking.get_mut(&key).expect("it is of a parking key");
            records.push(record);
        }
        for (&key, records) in parking {
            // What was to be fed to the lane counts as parked already.
            let fed = self.lanes[lane].feed.take(key);
            records.reserve(fed.len());
            for serial in fed {
                records.push(self.parking_record(serial));
            }
        }
    }

    /// A record that parks with its key; charged if an earlier owner charged it.
    fn parking_record(&mut self, serial: Serial) -> ParkedRecord<Serial> {
        let entry = self.backlog.get(serial);
        let charge = (entry.attempts > 0).then(|| {
            // Whether it was blamed was not written down: charged ones are tried together.
            let mark = self.marks.remove(&entry.position);
            ParkedCharge {
                next_retry: mark.map_or(Timestamp(0), |mark| mark.next_retry),
                is_blamed: false,
            }
        });
        ParkedRecord {
            item: serial,
            bytes: entry.bytes,
            charge,
        }
    }

    fn take_over_in_retry(
        &mut self,
        records: &[Serial],
        judgement: &Judgement,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let index = self.lanes.len();
        let mut charges = judgement.charges.iter().peekable();
        let mut rest = Vec::new();
        // Keys that wait, and whether for a record that had not failed before.
        let mut held: KeyMap<bool> = KeyMap::default();
        let mut behind = Behind::default();
        for (at, &serial) in records.iter().enumerate() {
            let entry = self.backlog.get(serial);
            let key = entry.key;
            let is_over = matches!(
                judgement.endings.get(at),
                None | Some(Ending::Done | Ending::Dead)
            );
            behind.ended(entry, is_over);
            match judgement.endings.get(at) {
                None | Some(Ending::Done | Ending::Dead) => {
                    self.park.remove(key, serial);
                    self.backlog.place(serial, Place::Done, actions);
                }
                Some(Ending::Again) => rest.push(serial),
                Some(Ending::Charged | Ending::Void) => {
                    let mut is_first = false;
                    if let Some(charge) = charges.next_if(|charge| charge.index == at) {
                        self.park.charge(key, serial, parked(charge));
                        is_first = charge.attempts == 1;
                    }
                    *held.entry(key).or_default() |= is_first;
                    self.backlog.place(serial, Place::Parked, actions);
                }
            }
        }
        self.went_along(behind);
        let failed = held.iter().filter(|(_, is_first)| **is_first);
        self.failed(failed.map(|(key, _)| *key));
        let slot = &mut self.slots[index];
        if !rest.is_empty() {
            // In front of the other pieces: they hold later records of the same key.
            slot.pieces.push_front(rest);
        }
        if !held.is_empty() {
            // What is left of their keys waits behind the charged records, or is called in front of them.
            self.wait_behind_charged(&held, actions);
        }
        self.give_keys_back(now, actions);
    }
}

fn parked(charge: &Charge) -> ParkedCharge {
    ParkedCharge {
        next_retry: charge.next_retry,
        is_blamed: charge.fault != Fault::Call,
    }
}

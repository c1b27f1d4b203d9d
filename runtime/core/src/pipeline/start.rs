//! Starting calls.

use super::{Action, Invocation, RecordRef, ShardPipeline, backlog::Serial, slot::Call};
use crate::{id::Timestamp, park::KeyMap};

impl ShardPipeline {
    /// Starts every call that may start now.
    pub(super) fn start_calls(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.caution.is_ending() || !self.may_call(now) {
            return self.hold_careful_calls(now, actions);
        }
        if self.windows.is_some() && self.ends_old_windows(now, actions) {
            return;
        }
        self.set_held_aside(actions);
        self.start_redrive(now, actions);
        let is_pressed = self.is_pressed();
        let mut is_careful = false;
        for step in 0..self.slots.len() {
            let index = self.in_turn(step);
            if self.caution.covers(index) {
                is_careful = true;
                continue;
            }
            if index < self.lanes.len() && self.has_windows() {
                self.start_in_windows(index, is_pressed, now, actions);
                continue;
            }
            let slot = &self.slots[index];
            if !slot.is_free() || slot.not_before > now || !self.may_call_in(index, now) {
                continue;
            }
            let next = match self.slots[index].pieces.pop_front() {
                Some(piece) => Some((piece, true)),
                None => self.next_batch(index, is_pressed, now, actions),
            };
            if let Some((records, is_fresh)) = next {
                self.begin(index, records, is_fresh, now, actions);
            }
        }
        match self.may_call(now) {
            true if is_careful => self.start_cautiously(now, actions),
            true => {}
            // The probe that started is not one that needs the node's turn.
            false => self.hold_careful_calls(now, actions),
        }
        if self.has_windows() && !is_pressed && self.is_pressed() {
            // Groups that waited wait for calls now: batches wait for no more records.
            self.start_calls(now, actions);
        }
    }

    /// Starts what a lane may call in windows now. A group that waits makes room for the next one.
    fn start_in_windows(
        &mut self,
        index: usize,
        is_pressed: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        while self.slots[index].is_free()
            && self.slots[index].not_before <= now
            && self.may_call_in(index, now)
        {
            match self.next_batch(index, is_pressed, now, actions) {
                Some((records, is_fresh)) if records.is_empty() => {
                    self.begin_close(index, is_fresh, actions);
                }
                Some((records, is_fresh)) => self.begin(index, records, is_fresh, now, actions),
                None => return,
            }
        }
    }

    /// Takes the next batch of a free slot, and whether it is called in a fresh instance: a lane's that
    /// is due, or the records of the parked key that is. No records: a call that ends a window.
    pub(super) fn next_batch(
        &mut self,
        index: usize,
        is_pressed: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Option<(Vec<Serial>, bool)> {
        if index == self.lanes.len() {
            if self.redrives.has_slot() {
                return None;
            }
            let next = self.next_retry_batch(now)?;
            self.redrives.gave_way();
            return Some(next);
        }
        if self.has_too_many_suspects(index) || self.waits_for_redrive() {
            return None;
        }
        if self.has_windows() {
            return self.next_in_windows(index, is_pressed, now, actions);
        }
        if self.lanes[index].marked > 0 && !self.holds_the_shard() {
            self.park_marked(index, now, actions);
        }
        let lane = &mut self.lanes[index];
        if lane.batcher.is_empty() || !(is_pressed || lane.batcher.is_due(now)) {
            return None;
        }
        let mut batch = Vec::new();
        let backlog = &self.backlog;
        let is_condemned = |serial| backlog.get(serial).condemned().is_some();
        let reason = lane.batcher.take(&mut batch, is_condemned);
        if lane.is_unsorted {
            // Released records went in front of older ones of other keys.
            batch.sort_unstable();
            lane.is_unsorted = !lane.batcher.is_empty();
        }
        self.leave_lane(index, &batch);
        self.flushed(reason);
        Some((batch, false))
    }

    /// Parks the keys of records that an earlier owner had charged. The lane holds no key now, and no
    /// key that waits in it is in the retry slot, so each moves whole.
    fn park_marked(&mut self, index: usize, now: Timestamp, actions: &mut Vec<Action>) {
        let mut parking = KeyMap::default();
        for serial in self.lanes[index].batcher.iter() {
            let entry = self.backlog.get(serial);
            if entry.attempts > 0 && entry.condemned().is_none() {
                parking.insert(entry.key, Vec::new());
            }
        }
        self.sweep(index, &mut parking, actions);
        for (key, records) in parking {
            self.park.park(key, records, now);
        }
        self.lanes[index].marked = 0;
    }

    /// Begins a call of `records` in a free slot: a batch, a retry, or a piece of one.
    pub(super) fn begin(
        &mut self,
        index: usize,
        mut records: Vec<Serial>,
        is_fresh: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        debug_assert!(!records.is_empty() && records.is_sorted());
        if self.backlog.get(records[0]).condemned().is_some() {
            // What was parked until a person gave it up may have to be read again: a letter holds it.
            if let Some((records, _)) = self.bring_in(index, records, actions) {
                self.condemn(index, records, now);
            }
            return;
        }
        let too_old = self.too_old(&records);
        if 0 < too_old && too_old < records.len() {
            self.cut(index, records, &[too_old]);
            let pieces = &mut self.slots[index].pieces;
            records = pieces.pop_front().expect("it was cut into pieces");
        }
        // What is marked has waited: where the clock went back since, nobody would come for it again.
        let is_marked = self.slots[index].mark.is_some();
        if too_old == 0
            && !is_marked
            && let Some((at, until)) = self.first_waiting(&records, now)
        {
            if at == 0 {
                return self.wait_in_order(index, records, until, actions);
            }
            self.cut(index, records, &[at]);
            let pieces = &mut self.slots[index].pieces;
            records = pieces.pop_front().expect("it was cut into pieces");
        }
        let died = |serial: &Serial| self.backlog.get(*serial).has_died;
        let died_at = records.iter().position(died).filter(|_| too_old == 0);
        if let Some(at) = died_at
            && records.len() > 1
        {
            self.cut(index, records, &[at, at + 1]);
            let pieces = &mut self.slots[index].pieces;
            records = pieces.pop_front().expect("it was cut into pieces");
            return self.begin(index, records, is_fresh || at == 0, now, actions);
        }
        if too_old == 0 && died_at.is_none() {
            self.cut_to_probe(index, &mut records);
        }
        let Some((records, references)) = self.bring_in(index, records, actions) else {
            return;
        };
        if too_old > 0 {
            // A letter holds the payload, so that was read first.
            return self.expire(index, records, now);
        }
        if died_at.is_some() {
            // A letter of it holds its payload, so that was read first.
            return self.judge_died(index, records, now);
        }
        let window = match self.has_windows() {
            true => self.fold_call(index, &records),
            false => None,
        };
        let version = self.version_in(index, &records);
        let slot = &mut self.slots[index];
        let attempt = self.next_attempt;
        self.next_attempt = attempt.next();
        slot.call = Some(Call { attempt, records });
        actions.push(Action::Invoke(Invocation {
            attempt,
            slot: slot.id,
            records: references,
            version,
            is_fresh,
            redrive: None,
            window,
        }));
    }

    /// A slot takes records in hand: them and their references if their payload is in memory. Else it is
    /// read again, and they wait for that.
    fn bring_in(
        &mut self,
        index: usize,
        records: Vec<Serial>,
        actions: &mut Vec<Action>,
    ) -> Option<(Vec<Serial>, Vec<RecordRef>)> {
        let mut references = Vec::with_capacity(records.len());
        let mut missing = Vec::new();
        for &serial in &records {
            let (reference, is_resident) = self.backlog.begin(serial, actions);
            references.push(reference);
            if !is_resident {
                missing.push(reference.position);
            }
        }
        if missing.is_empty() {
            return Some((records, references));
        }
        let slot = &mut self.slots[index];
        slot.reread = Some(records);
        actions.push(Action::Reread {
            slot: slot.id,
            records: missing,
        });
        None
    }

    /// Takes every running call back; their records run again, uncharged.
    pub(super) fn interrupt_calls(&mut self, actions: &mut Vec<Action>) {
        for slot in &mut self.slots {
            if let Some(Call { attempt, records }) = slot.call.take() {
                actions.push(Action::Interrupt { attempt });
                // The record of a redrive is none of the unit's.
                if !records.is_empty() {
                    slot.pieces.push_front(records);
                }
            }
        }
    }
}

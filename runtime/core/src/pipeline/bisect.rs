//! Bisect on function error (Lambda ESM specification §9, §20 rows 2 and 3).
//!
//! A call that failed as a whole does not say whose fault that is. It is cut in two, the lower half first
//! and `n / 2` records long, until it succeeds or has one record: that one is charged. A cut is free, and
//! the age of records is asked before every piece.
//!
//! With order per key a lane does not do this itself: the batch, a *suspect*, goes to the retry slot with
//! all its keys, and the lane goes on with others. Nothing of the batch is committed or under way then,
//! so the keys may move at once (commit and storage rules §2, "one key, one slot"). A record charged on
//! the way takes its key out of the suspect: what is left of the key waits behind it. A key of which no
//! piece is left is free again.

use std::collections::VecDeque;

use super::{
    Action, ShardPipeline,
    backlog::{Place, Serial},
};
use crate::{
    id::Timestamp,
    lane::KeyHash,
    limits,
    park::{Due, KeyMap, ParkedRecord},
};

/// A batch whose call failed as a whole.
#[derive(Clone, Debug)]
struct Suspect {
    records: Vec<Serial>,
    /// Whether a culprit that is not in one half is presumed in the other.
    presumes: bool,
    is_canary: bool,
}

/// Batches that wait for the retry slot, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspects {
    waiting: VecDeque<Suspect>,
    /// The retry slot's last turn went to a suspect.
    was_last: bool,
}

impl Suspects {
    /// Whether the lanes of a version may make no more of them: a function that fails at everything would be called to the
    /// bound of the done-set, and bisected only then.
    pub(super) fn is_full(&self, is_canary: bool) -> bool {
        // Counted one by one only where the canary's may be among them.
        self.waiting.len() >= limits::SUSPECT_BATCHES_MAX
            && self
                .waiting
                .iter()
                .filter(|suspect| suspect.is_canary == is_canary)
                .count()
                >= limits::SUSPECT_BATCHES_MAX
    }

    /// Whether one waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether one of the canary waits, or of the version beside it.
    pub(super) fn is_waiting_of(&self, is_canary: bool) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|suspect| suspect.is_canary == is_canary)
    }

    /// Takes the records that are meant, as far as one of them has some: they are called by themselves.
    pub(super) fn take_out(&mut self, is_meant: impl Fn(Serial) -> bool) -> Option<Vec<Serial>> {
        let mut waiting = self.waiting.iter();
        let at = waiting.position(|suspect| suspect.records.iter().any(|&one| is_meant(one)))?;
        let suspect = &mut self.waiting[at];
        suspect.presumes = false;
        let taken = suspect.records.extract_if(.., |one| is_meant(*one));
        let taken = taken.collect();
        if suspect.records.is_empty() {
            self.waiting.remove(at);
        }
        Some(taken)
    }

    /// The next one that may be called, if it has its turn: suspects and keys whose backoff is over take
    /// turns, so that neither waits for all of the others.
    fn next(&mut self, is_key_due: bool, may_call: impl Fn(bool) -> bool) -> Option<Suspect> {
        let mut waiting = self.waiting.iter();
        let next = waiting.position(|suspect| may_call(suspect.is_canary));
        self.was_last = next.is_some() && !(self.was_last && is_key_due);
        self.waiting.remove(next.filter(|_| self.was_last)?)
    }
}

/// Records of the lower half.
const fn lower_half(records: usize) -> usize {
    records / 2
}

impl ShardPipeline {
    /// Whether a lane starts no batch because too many wait to be bisected. While its circuit is open none of its
    /// calls is.
    pub(super) fn has_too_many_suspects(&self, lane: usize) -> bool {
        let is_canary = self.is_canary_lane(lane);
        self.suspects.is_full(is_canary) && !self.circuit.is_open_for(is_canary)
    }

    /// A call of more than one record failed as a whole, and nobody is charged for it yet.
    pub(super) fn bisect(
        &mut self,
        slot: usize,
        records: Vec<Serial>,
        presumes: bool,
        actions: &mut Vec<Action>,
    ) {
        if self.waits_in_order() || slot == self.lanes.len() {
            return self.halve(slot, records, presumes);
        }
        self.slots[slot].faults = 0;
        let mut parking: KeyMap<Vec<ParkedRecord<Serial>>> = KeyMap::default();
        for &serial in &records {
            let entry = self.backlog.get(serial);
            parking.entry(entry.key).or_default().push(ParkedRecord {
                item: serial,
                bytes: entry.bytes,
                charge: None,
            });
            self.backlog.place(serial, Place::Parked, actions);
        }
        self.sweep(slot, &mut parking, actions);
        for (key, records) in parking {
            self.park.hold(key, records);
        }
        let suspect = Suspect {
            records,
            presumes,
            is_canary: self.is_canary_lane(slot),
        };
        self.suspects.waiting.push_back(suspect);
    }

    /// Cuts what failed as a whole; both halves run again at once, the lower first.
    pub(super) fn halve(&mut self, slot: usize, records: Vec<Serial>, presumes: bool) {
        let half = lower_half(records.len());
        self.slots[slot].faults = 0;
        self.cut(slot, records, &[half]);
        self.slots[slot].presumes = presumes;
    }

    /// A piece of a slot succeeded. If it was the lower half, the culprit is presumed in the upper one,
    /// which is cut without a call that would only say so: so one bad record of `n` is found within
    /// `2 * log2(n)` calls.
    pub(super) fn presume(&mut self, slot: usize) {
        let holder = &mut self.slots[slot];
        if !std::mem::take(&mut holder.presumes) {
            return;
        }
        if let Some(upper) = holder.pieces.pop_front_if(|piece| piece.len() > 1) {
            self.halve(slot, upper, true);
        }
    }

    /// What the free retry slot calls next, and its keys: a suspect's lower half, or the records of the
    /// parked key that is due longest, and what goes with them. And whether in a fresh instance.
    pub(super) fn next_retry_batch(&mut self, now: Timestamp) -> Option<(Vec<Serial>, bool)> {
        let index = self.lanes.len();
        debug_assert!(
            self.slots[index].keys.is_empty(),
            "a key without pieces was given back"
        );
        let may = [false, true].map(|is_canary| self.may_retry(is_canary, now));
        if let Some(asked) = self.take_asked(may, now) {
            return Some(asked);
        }
        let may_call = |is_canary: bool| may[usize::from(is_canary)];
        let is_key_due = self.is_key_due(may, now);
        if let Some(Suspect {
            records, presumes, ..
        }) = self.suspects.next(is_key_due, may_call)
        {
            let keys = records.iter().map(|&serial| self.backlog.get(serial).key);
            let mut keys: Vec<KeyHash> = keys.collect();
            keys.sort_unstable();
            keys.dedup();
            self.slots[index].keys = keys;
            self.halve(index, records, presumes);
            let lower = self.slots[index].pieces.pop_front()?;
            return Some((lower, true));
        }
        let is_mine = |due: &Due<Serial>| may_call(self.meets_canary(due.key));
        let due = self.park.due(now).find(is_mine)?;
        Some(self.retry(due, now))
    }

    /// Whether a parked key is due that may be called: of the live version, of the canary.
    fn is_key_due(&self, may_call: [bool; 2], now: Timestamp) -> bool {
        let is_mine = |key| may_call[usize::from(self.meets_canary(key))];
        match self.circuit.is_open() {
            true => self.park.next_retry_of(is_mine),
            false => self.park.next_retry(),
        }
        .is_some_and(|at| at <= now)
    }

    /// Whether the retry slot may call something now that is no redrive.
    pub(super) fn is_retry_due(&self, now: Timestamp) -> bool {
        let may = [false, true].map(|is_canary| self.may_retry(is_canary, now));
        let is_suspect = |of: bool| may[usize::from(of)] && self.suspects.is_waiting_of(of);
        self.is_key_due(may, now) || is_suspect(false) || is_suspect(true)
    }

    /// What the retry slot holds of a side whose circuit is open waits as a suspect, so that the other side's
    /// retries go on, or the key that is to be probed next.
    pub(super) fn set_held_aside(&mut self, actions: &mut Vec<Action>) {
        if !self.holds_one_side() && !self.is_other_asked() {
            return;
        }
        let index = self.lanes.len();
        let slot = &self.slots[index];
        let is_idle = slot.is_at_rest() && slot.mark.is_none() && !self.redrives.has_slot();
        let mut pieces = slot.pieces.iter().flatten();
        // What becomes a letter without a call is not held.
        let is_called = pieces.all(|&serial| self.backlog.get(serial).condemned().is_none());
        let Some(is_canary) = self.held_in_retry().filter(|_| is_idle && is_called) else {
            return;
        };
        let slot = &mut self.slots[index];
        slot.keys.clear();
        let mut records: Vec<Serial> = slot.pieces.drain(..).flatten().collect();
        records.sort_unstable();
        for &serial in &records {
            self.backlog.place(serial, Place::Parked, actions);
        }
        self.suspects.waiting.push_front(Suspect {
            records,
            presumes: false,
            is_canary,
        });
    }

    /// Records of these keys that the retry slot was to call wait behind one that was charged.
    pub(super) fn wait_behind_charged(&mut self, keys: &KeyMap<bool>, actions: &mut Vec<Action>) {
        let index = self.lanes.len();
        let backlog = &self.backlog;
        let is_behind = |serial: &mut Serial| keys.contains_key(&backlog.get(*serial).key);
        let mut behind = Vec::new();
        self.slots[index].pieces.retain_mut(|piece| {
            behind.extend(piece.extract_if(.., is_behind));
            !piece.is_empty()
        });
        for serial in behind {
            self.backlog.place(serial, Place::Parked, actions);
        }
    }

    /// Keys of which the retry slot has no piece left are given back.
    pub(super) fn give_keys_back(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let slot = &self.slots[self.lanes.len()];
        let pieces = slot.pieces.iter().flatten();
        let left: KeyMap<()> = pieces
            .map(|&serial| (self.backlog.get(serial).key, ()))
            .collect();
        let index = self.lanes.len();
        let keys = std::mem::take(&mut self.slots[index].keys);
        let (kept, done) = keys.into_iter().partition(|key| left.contains_key(key));
        self.slots[index].keys = kept;
        let done: Vec<KeyHash> = done;
        for key in done {
            let released = self.park.give_back(key, now);
            if !self.park.contains(key) {
                self.release(key, &released, actions);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_half_is_the_smaller_one() {
        for (records, lower) in [(2, 1), (3, 1), (4, 2), (5, 2), (10_000, 5_000)] {
            assert_eq!(lower_half(records), lower);
        }
    }

    #[test]
    fn suspects_and_due_keys_take_turns() {
        let mut suspects = Suspects::default();
        for _ in 0..3 {
            suspects.waiting.push_back(Suspect {
                records: Vec::new(),
                presumes: false,
                is_canary: false,
            });
        }
        let turns = [true, true, true, false, false, true];
        let went: Vec<bool> = turns
            .iter()
            .map(|&is_key_due| suspects.next(is_key_due, |_| true).is_some())
            .collect();
        assert_eq!(went, [true, false, true, true, false, false]);
    }
}

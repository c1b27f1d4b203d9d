//! Which retries share a call, and what they take along.
//!
//! A record that failed by the function's own answer, in a call that did the others, does its neighbours no harm
//! when it is called again. So such records are retried together as far as they are due at once, and in an
//! instance that was used before. They are judged key by key like any batch: each is charged for itself.
//!
//! On its last attempt such a record settles whatever comes of it, so what follows it in its key is not called
//! in vain: as many as its lane would get next go along. A key of many bad records costs a call less for each,
//! and stays with the retry slot until a portion went well. The last attempt is made in an instance of its own:
//! nothing is given up for what other calls left behind in one.
//!
//! Where such a call fails as a whole nobody is charged for it. The records that were retried are called again
//! one by one, and from then on alone; what went along waits behind them.

use super::{
    Action, ShardPipeline,
    backlog::{Entry, Place, Serial},
    give_up::Room,
};
use crate::{
    id::Timestamp,
    limits,
    outcome::{FailureKind, Outcome},
    park::{Due, KeyMap},
};

/// What became of records that went along, by key: how many are over, and whether all are.
#[derive(Debug, Default)]
pub(super) struct Behind(KeyMap<(usize, bool)>);

impl Behind {
    /// A record of a call of the retry slot ended, told in their order; whether it is over.
    pub(super) fn ended(&mut self, entry: &Entry, is_over: bool) {
        match self.0.get_mut(&entry.key) {
            Some((over, _)) if is_over => *over += 1,
            Some((_, is_all)) => *is_all = false,
            None if is_over && entry.is_harmless => {
                self.0.insert(entry.key, (0, true));
            }
            None => {}
        }
    }
}

impl ShardPipeline {
    /// The free retry slot takes a key that is due: what it calls, and whether in a fresh instance.
    pub(super) fn retry(&mut self, due: Due<Serial>, now: Timestamp) -> (Vec<Serial>, bool) {
        let index = self.lanes.len();
        let mut call = Vec::new();
        self.park.take(due, &mut call);
        self.slots[index].keys = vec![due.key];
        if !self.backlog.get(due.oldest).is_harmless {
            return (call, true);
        }
        debug_assert_eq!(call, [due.oldest], "what failed alone is retried alone");
        // A probe is one record, and so is what is called with care.
        if !self.is_held(due.key) && !self.caution.covers(index) {
            let mut room = Room::of(&self.config.settings, &call, &self.backlog);
            self.take_other_keys(due, now, &mut room, &mut call);
            let mut room = room.at_most(limits::RETRIES_FOLLOWED_MAX);
            self.take_what_follows(&mut room, &mut call);
            call.sort_unstable();
        }
        let is_fresh = call.iter().any(|&serial| self.is_last_attempt(serial));
        (call, is_fresh)
    }

    /// Retries of other keys that are due and do no harm either, of the same version.
    fn take_other_keys(
        &mut self,
        first: Due<Serial>,
        now: Timestamp,
        room: &mut Room,
        call: &mut Vec<Serial>,
    ) {
        let version = self.version_of(first.key);
        let is_meant = |due: &Due<Serial>| {
            let entry = self.backlog.get(due.oldest);
            let is_alike = entry.is_harmless && self.version_of(due.key) == version;
            is_alike && room.takes(entry.bytes)
        };
        let most = limits::RETRIES_TOGETHER_MAX as usize - 1;
        let due = self.park.due(now).take(most);
        let others: Vec<Due<Serial>> = due.filter(is_meant).collect();
        let keys = &mut self.slots[self.lanes.len()].keys;
        for due in others {
            self.park.take(due, call);
            keys.push(due.key);
        }
        keys.sort_unstable();
    }

    /// What follows the records that are tried for the last time, a portion of each key.
    fn take_what_follows(&self, room: &mut Room, call: &mut Vec<Serial>) {
        let mut following = Vec::new();
        for &serial in call.iter().filter(|serial| self.is_last_attempt(**serial)) {
            let key = self.backlog.get(serial).key;
            let portion = self.lanes[self.lane_of(key)].feed.next(key);
            let behind = self.park.behind(key).take(portion);
            following.extend(behind.take_while(|&serial| {
                let entry = self.backlog.get(serial);
                // An earlier owner may have charged it, or died with it.
                let is_new = entry.attempts == 0 && !entry.has_died;
                is_new && entry.condemned().is_none() && room.takes(entry.bytes)
            }));
        }
        call.extend(following);
    }

    /// Whether a record that was charged settles with its next attempt.
    fn is_last_attempt(&self, serial: Serial) -> bool {
        let attempts = self.backlog.get(serial).attempts;
        self.policy.is_exhausted(attempts + 1)
    }

    /// What went along with retries counts as if its lane had called it.
    pub(super) fn went_along(&mut self, behind: Behind) {
        for (key, (over, is_all)) in behind.0 {
            if over > 0 {
                let lane = self.lane_of(key);
                self.lanes[lane].feed.went_well(key, over, is_all);
            }
        }
    }

    /// Whether a call of the retry slot had several records of which some would not have failed alone, and
    /// does not say whose fault it was.
    pub(super) fn must_part(&self, slot: usize, records: &[Serial], outcome: &Outcome) -> bool {
        let is_nobodys = match outcome {
            Outcome::Error(failure) => failure.kind == FailureKind::Retry,
            Outcome::Trap { record, .. } => {
                record.is_none_or(|record| record as usize >= records.len())
            }
            Outcome::Timeout { .. } | Outcome::OutOfMemory { .. } => true,
            Outcome::Returned { .. } | Outcome::OutputTooLarge { .. } | Outcome::Interrupted => {
                false
            }
        };
        let is_harmless = |&serial: &Serial| self.backlog.get(serial).is_harmless;
        is_nobodys
            && slot == self.lanes.len()
            && records.len() > 1
            && records.iter().any(is_harmless)
    }

    /// Retries that failed together are called again one by one; what went along waits behind them.
    pub(super) fn part(
        &mut self,
        slot: usize,
        records: Vec<Serial>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        self.slots[slot].faults = 0;
        self.slots[slot].presumes = false;
        for serial in records.into_iter().rev() {
            if self.backlog.get(serial).is_harmless {
                self.backlog.set_apart(serial);
                self.slots[slot].pieces.push_front(vec![serial]);
            } else {
                self.backlog.place(serial, Place::Parked, actions);
            }
        }
        self.give_keys_back(now, actions);
    }
}

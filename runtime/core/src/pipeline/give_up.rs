//! Records that a person gives up: they become dead letters without another call.
//!
//! Such a wish is an event to the owning unit, serialised with the record's key (commit and storage rules
//! §2, "one key, one slot"): what a call has in hand is left to it, and is given up when that ends, if it
//! is not done then. A letter goes with the slot that holds the key, or with the retry slot where none
//! does, and what waits behind it runs on when its commit is accepted. No attempt is charged, and pause
//! holds calls, not this.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Action, ShardPipeline,
    backlog::{Backlog, Entry, Place, Serial},
};
use crate::{
    batch::BatchLimits,
    id::{Ordinal, Timestamp},
    lane::KeyHash,
    mapping::MappingSettings,
    outcome::Cause,
    park::KeyMap,
};

/// What is to be given up, and how far that has come.
#[derive(Clone, Debug, Default)]
pub(super) struct GivenUp {
    /// Asked for and not to be had yet, and who asked.
    wishes: BTreeMap<Ordinal, Arc<str>>,
    /// With a slot that makes letters of them.
    taken: BTreeMap<Ordinal, Arc<str>>,
    /// Settled and not known to be synced: slot, number of its commit, position, whether given up.
    unsynced: Vec<(usize, u64, Ordinal, bool)>,
}

impl GivenUp {
    /// Whether a record ended that somebody wished so, and they were not told yet.
    pub(super) fn owes_an_answer(&self) -> bool {
        !self.unsynced.is_empty()
    }
}

/// What is left of one batch.
pub(super) struct Room {
    records: u32,
    bytes: u64,
    is_empty: bool,
}

impl Room {
    pub(super) fn of(settings: &MappingSettings, taken: &[Serial], backlog: &Backlog) -> Self {
        let limits = BatchLimits::of(settings);
        let mut room = Self {
            records: limits.records_max,
            bytes: limits.bytes_max,
            is_empty: true,
        };
        for &serial in taken {
            room.takes(backlog.get(serial).bytes);
        }
        room
    }

    /// The same, but for no more records than that.
    pub(super) fn at_most(self, records: u32) -> Self {
        let records = self.records.min(records);
        Self { records, ..self }
    }

    /// Whether one more fits; one alone always does.
    pub(super) fn takes(&mut self, bytes: u32) -> bool {
        let fits = self.records > 0 && self.bytes >= u64::from(bytes);
        if !fits && !self.is_empty {
            return false;
        }
        self.is_empty = false;
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(u64::from(bytes));
        true
    }
}

impl ShardPipeline {
    /// A person gives records up. Where windows are open that the mapping has no more, that waits until they
    /// are closed.
    pub(super) fn wish_given_up(&mut self, positions: &[Ordinal], by: &Arc<str>) {
        for &position in positions {
            let given_up = &mut self.given_up;
            let is_over = given_up.unsynced.iter().any(|ended| ended.2 == position);
            if !is_over && !given_up.taken.contains_key(&position) {
                let wish = given_up.wishes.entry(position);
                wish.or_insert_with(|| Arc::clone(by));
            }
        }
    }

    /// The records that are not done of the keys that these have, ascending; one that was not read yet is
    /// among them, its neighbours are not.
    #[must_use]
    pub fn records_of_keys(&self, positions: &[Ordinal]) -> Vec<Ordinal> {
        let found = positions.iter().filter_map(|&at| self.backlog.find(at));
        let keys: KeyMap<()> = found
            .map(|serial| (self.backlog.get(serial).key, ()))
            .collect();
        let is_open = |entry: &&Entry| {
            let is_over = matches!(entry.place, Place::Done | Place::Fallen);
            !is_over && entry.condemned().is_none() && keys.contains_key(&entry.key)
        };
        let read = self.backlog.iter().filter(is_open).map(|e| e.position);
        let mut all: Vec<Ordinal> = read.collect();
        let unread = |at: &&Ordinal| **at > self.backlog.read_position();
        all.extend(positions.iter().filter(unread));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Makes letters of what is to be given up, wherever that is not in hand now.
    pub(super) fn take_given_up(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.given_up.wishes.is_empty() {
            return;
        }
        if let Some(windows) = &self.windows {
            if self.has_windows() && !windows.has_old() {
                self.forget_what_is_over(actions);
                self.take_given_up_of_groups(now, actions);
            }
            return;
        }
        self.forget_what_is_over(actions);
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            // A marked record is called in a moment; the key of a redrive stays with that.
            let is_redrive = index == self.lanes.len() && self.redrives.has_slot();
            if !slot.is_free() || slot.mark.is_some() || is_redrive {
                continue;
            }
            let mut taken = Vec::new();
            if self.holds_the_shard() {
                self.pull_from_lane(index, &mut taken);
            }
            self.pull_from_pieces(index, now, &mut taken);
            let is_retry = index == self.lanes.len() && !self.holds_the_shard();
            if taken.is_empty() && is_retry && self.slots[index].pieces.is_empty() {
                self.seize_given_up(&mut taken, actions);
            }
            if taken.is_empty() {
                continue;
            }
            taken.sort_unstable();
            self.condemn_by_hand(&taken);
            self.begin(index, taken, true, now, actions);
        }
    }

    /// Letters are made of wished records that a slot has.
    pub(super) fn condemn_by_hand(&mut self, taken: &[Serial]) {
        for &serial in taken {
            self.backlog.give_up(serial);
            let position = self.backlog.get(serial).position;
            if let Some(by) = self.given_up.wishes.remove(&position) {
                self.given_up.taken.insert(position, by);
            }
        }
    }

    fn forget_what_is_over(&mut self, actions: &mut Vec<Action>) {
        let is_over = |position: Ordinal| match self.backlog.find(position) {
            Some(serial) => {
                let place = self.backlog.get(serial).place;
                matches!(place, Place::Done | Place::Fallen)
            }
            None => position <= self.backlog.read_position() || self.done.contains(position),
        };
        let positions = self.given_up.wishes.keys().copied();
        let over: Vec<Ordinal> = positions.filter(|&at| is_over(at)).collect();
        for position in over {
            self.given_up.wishes.remove(&position);
            let is_letter = false;
            actions.push(Action::GivenUp {
                position,
                is_letter,
            });
        }
    }

    /// The wished records that no letter is made of anyway, ascending.
    pub(super) fn wished(&self) -> impl Iterator<Item = Serial> {
        let positions = self.given_up.wishes.keys();
        let found = positions.filter_map(|&at| self.backlog.find(at));
        found.filter(|&serial| self.backlog.get(serial).condemned().is_none())
    }

    /// Takes wished records out of the pieces of a slot, up to a batch.
    fn pull_from_pieces(&mut self, index: usize, now: Timestamp, taken: &mut Vec<Serial>) {
        let wishes = &self.given_up.wishes;
        let backlog = &self.backlog;
        let slot = &mut self.slots[index];
        let mut room = Room::of(&self.config.settings, taken, backlog);
        let before = taken.len();
        let mut is_wished = |serial: &mut Serial| {
            let entry = backlog.get(*serial);
            let is_wished = wishes.contains_key(&entry.position) && entry.condemned().is_none();
            is_wished && room.takes(entry.bytes)
        };
        slot.pieces.retain_mut(|piece| {
            taken.extend(piece.extract_if(.., &mut is_wished));
            !piece.is_empty()
        });
        if taken.len() == before {
            return;
        }
        slot.presumes = false;
        // What is left waits for no one else's backoff; if for its own, it is told so when it begins.
        if slot.faults == 0 {
            slot.not_before = slot.not_before.min(now);
        }
    }

    /// With order within the shard its lane has all: what waits is taken out in front.
    fn pull_from_lane(&mut self, index: usize, taken: &mut Vec<Serial>) {
        if index >= self.lanes.len() {
            return;
        }
        let wishes = &self.given_up.wishes;
        let backlog = &self.backlog;
        let mut room = Room::of(&self.config.settings, taken, backlog);
        let mut chosen = Vec::new();
        for serial in self.lanes[index].batcher.iter() {
            let entry = backlog.get(serial);
            let is_wished = wishes.contains_key(&entry.position) && entry.condemned().is_none();
            if is_wished && room.takes(entry.bytes) {
                chosen.push(serial);
            }
        }
        let batcher = &mut self.lanes[index].batcher;
        if !chosen.is_empty() {
            batcher.extract(|serial| chosen.binary_search(&serial).is_ok(), taken);
        }
        self.leave_lane(index, &chosen);
    }

    /// The idle retry slot takes wished records that no slot has, up to a batch, and their keys with them:
    /// the keys' other records wait behind them.
    fn seize_given_up(&mut self, taken: &mut Vec<Serial>, actions: &mut Vec<Action>) {
        let mut room = Room::of(&self.config.settings, taken, &self.backlog);
        let mut keys: KeyMap<bool> = KeyMap::default();
        let wished: Vec<Serial> = self.wished().collect();
        // A commit says which version it is of: those of the other one are next.
        let mut version = None;
        for serial in wished {
            let entry = *self.backlog.get(serial);
            let meets = self.version_of(entry.key);
            if version.is_some_and(|of| of != meets) {
                continue;
            }
            let is_had = match keys.get(&entry.key) {
                Some(is_had) => *is_had,
                None => {
                    let is_had = self.seize_key(entry.key, actions);
                    keys.insert(entry.key, is_had);
                    is_had
                }
            };
            if is_had {
                version = Some(meets);
                if !room.takes(entry.bytes) {
                    break;
                }
                taken.push(serial);
            }
        }
        let had = keys.into_iter().filter(|(_, is_had)| *is_had);
        let mut had: Vec<KeyHash> = had.map(|(key, _)| key).collect();
        had.sort_unstable();
        let retry = self.lanes.len();
        self.slots[retry].keys = had;
    }

    /// Takes a key for the retry slot, unless another slot or a suspect has it.
    fn seize_key(&mut self, key: KeyHash, actions: &mut Vec<Action>) -> bool {
        if self.park.contains(key) {
            return self.park.seize(key);
        }
        let lane = self.lane_of(key);
        let of_key = |serial: Serial| self.backlog.get(serial).key == key;
        if self.slots[lane].held().any(of_key) {
            return false;
        }
        let mut parking = KeyMap::from_iter([(key, Vec::new())]);
        self.sweep(lane, &mut parking, actions);
        self.park
            .hold(key, parking.remove(&key).unwrap_or_default());
        true
    }

    /// Records that were given up are done: their keys go on.
    pub(super) fn take_over_condemned(
        &mut self,
        index: usize,
        records: &[Serial],
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let is_retry = index == self.lanes.len();
        for &serial in records {
            let entry = *self.backlog.get(serial);
            self.marks.remove(&entry.position);
            if is_retry && self.slots[index].keys.contains(&entry.key) {
                self.park.remove(entry.key, serial);
            }
            if is_retry {
                self.backlog.place(serial, Place::Done, actions);
            } else {
                self.done_in_lane(index, serial, actions);
            }
        }
        if is_retry && !self.redrives.has_slot() {
            self.give_keys_back(now, actions);
        }
    }

    /// The words of the letter of a record that is given up: by whom, and what it last failed with.
    pub(super) fn given_up_words(&self, position: Ordinal) -> String {
        let by = self.given_up.taken.get(&position);
        let by = by.map_or("a person", |by| by);
        format!("given up by hand, by {by}{}", self.last_failed(position))
    }

    /// What the words of a letter that no call made end with: what the record last failed with, as far as that is kept.
    pub(super) fn last_failed(&self, position: Ordinal) -> String {
        self.failure_of(position)
            .map_or_else(String::new, |Cause { code, error, .. }| {
                format!("; it last failed with {code}: {error}")
            })
    }

    /// A commit was accepted: what of its records was to be given up is over, one way or the other.
    pub(super) fn given_up_accepted(&mut self, index: usize, records: &[Serial]) {
        let given_up = &mut self.given_up;
        if given_up.wishes.is_empty() && given_up.taken.is_empty() {
            return;
        }
        let number = self.slots[index].accepted;
        for &serial in records {
            let entry = self.backlog.get(serial);
            if entry.place != Place::Done {
                continue;
            }
            let position = entry.position;
            let is_letter = given_up.taken.remove(&position).is_some();
            if is_letter || given_up.wishes.remove(&position).is_some() {
                let ended = (index, number, position, is_letter);
                given_up.unsynced.push(ended);
            }
        }
    }

    /// Commits of a slot up to `number` are synced.
    pub(super) fn given_up_durable(
        &mut self,
        index: usize,
        number: u64,
        actions: &mut Vec<Action>,
    ) {
        let is_synced = |ended: &mut (usize, u64, Ordinal, bool)| {
            let (slot, of, ..) = *ended;
            slot == index && of <= number
        };
        for (_, _, position, is_letter) in self.given_up.unsynced.extract_if(.., is_synced) {
            actions.push(Action::GivenUp {
                position,
                is_letter,
            });
        }
    }
}

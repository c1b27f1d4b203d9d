//! How a key that failed gets back to its lane: a portion at a time.
//!
//! While a record waits for its retry, those behind it gather. Were the lane given all of them when that is
//! over, the next bad one among them would park the rest again, and what was called behind it would be called
//! again: with one bad record in ten a thousand of them would be called a hundred times over. So the lane
//! gets one, and what follows waits until it is done; then two, then four. A key that fails again goes on
//! with as many as went well in front of that, and one: bad records that come regularly are met with nothing
//! behind them. A key that has nothing waiting any more is like every other.
//!
//! What waits here is in no slot: the lane has the key (commit and storage rules §2, "one key, one slot"),
//! and what takes the key from the lane takes this along. No other key waits for it.

use std::collections::VecDeque;

use super::{
    Action, ShardPipeline,
    backlog::{Place, Serial},
};
use crate::{
    lane::KeyHash,
    park::{KeyGlance, KeyMap, ParkedRecord},
};

/// A key that has failed.
#[derive(Clone, Debug)]
struct Fed {
    /// The last record that its lane has; none while the key is parked.
    through: Option<Serial>,
    /// What waits behind that.
    waiting: VecDeque<Serial>,
    /// How many records the lane gets next, at most.
    portion: usize,
    /// Records that the lane was done with since the key failed last.
    run: usize,
}

/// The keys of a lane that failed and are not through yet with what has gathered behind that.
#[derive(Clone, Debug, Default)]
pub(super) struct Feed {
    keys: KeyMap<Fed>,
    /// Asked first of every record that the lane is done with.
    glance: KeyGlance,
}

impl Feed {
    /// Whether every key has all its records in the lane, or parked.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that failed, in no order.
    pub(super) fn keys(&self) -> impl Iterator<Item = KeyHash> {
        self.keys.keys().copied()
    }

    /// A key parks because one of its records failed.
    fn failed(&mut self, key: KeyHash) {
        let fed = self.keys.entry(key).or_insert_with(|| Fed {
            through: None,
            waiting: VecDeque::new(),
            portion: 1,
            run: 0,
        });
        fed.portion = fed.run + 1;
        fed.run = 0;
        self.glance.add(key);
    }

    /// Whether a key has its turn in the lane by portions.
    pub(super) fn has(&self, key: KeyHash) -> bool {
        !self.is_empty() && self.keys.get(&key).is_some_and(|fed| fed.through.is_some())
    }

    /// Whether a lane has no record of a key behind this one.
    pub(super) fn ends_with(&self, key: KeyHash, serial: Serial) -> bool {
        let fed = self.keys.get(&key);
        fed.is_some_and(|fed| fed.through == Some(serial))
    }

    /// Puts a record that was read behind those of its key, which [`Self::has`] its turn.
    pub(super) fn wait_behind(&mut self, key: KeyHash, serial: Serial) {
        let fed = self.keys.get_mut(&key).expect("the key is fed");
        fed.waiting.push_back(serial);
    }

    /// Takes what waits of a key that is taken from the lane.
    pub(super) fn take(&mut self, key: KeyHash) -> VecDeque<Serial> {
        self.keys.get_mut(&key).map_or_else(VecDeque::new, |fed| {
            fed.through = None;
            std::mem::take(&mut fed.waiting)
        })
    }

    /// The lane is to have these records of a key: keeps back what is more than a portion.
    fn portion(&mut self, key: KeyHash, records: &mut VecDeque<Serial>) {
        let Some(fed) = self.keys.get_mut(&key) else {
            return;
        };
        debug_assert!(fed.waiting.is_empty(), "the key comes back whole");
        if records.len() > fed.portion {
            fed.waiting = records.split_off(fed.portion);
        }
        fed.through = records.back().copied();
        if fed.through.is_none() {
            self.keys.remove(&key);
            self.glance = KeyGlance::of(self.keys());
        }
    }

    /// The lane is done with a record: what it gets next of the key, if that was the last one it had.
    fn done(&mut self, key: KeyHash, serial: Serial) -> VecDeque<Serial> {
        let mut next = VecDeque::new();
        if !self.glance.may_have(key) {
            return next;
        }
        if let Some(fed) = self.keys.get_mut(&key) {
            fed.run += 1;
            if fed.through == Some(serial) {
                fed.portion = fed.portion.saturating_mul(2);
                next = std::mem::take(&mut fed.waiting);
                self.portion(key, &mut next);
            }
        }
        next
    }

    /// How many records of a key that failed its lane gets next.
    pub(super) fn next(&self, key: KeyHash) -> usize {
        self.keys.get(&key).map_or(0, |fed| fed.portion)
    }

    /// So many records of a key went well in front of its lane; whether that were all that were called.
    pub(super) fn went_well(&mut self, key: KeyHash, records: usize, is_all: bool) {
        if let Some(fed) = self.keys.get_mut(&key) {
            fed.run += records;
            if is_all {
                fed.portion = fed.portion.saturating_mul(2);
            }
        }
    }

    /// What waits, and the record that it waits for: for inspection.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Option<Serial>, Serial)> {
        let of = |fed: &Fed| (fed.through, fed.waiting.clone());
        let keys = self.keys.values().map(of);
        keys.flat_map(|(through, waiting)| waiting.into_iter().map(move |serial| (through, serial)))
    }
}

impl ShardPipeline {
    /// Keys of a lane fail: they come back to it a portion at a time.
    pub(super) fn failed(&mut self, keys: impl Iterator<Item = KeyHash>) {
        for key in keys {
            let lane = self.lane_of(key);
            self.lanes[lane].feed.failed(key);
        }
    }

    /// A lane is done with a record.
    pub(super) fn done_in_lane(&mut self, index: usize, serial: Serial, actions: &mut Vec<Action>) {
        let key = self.backlog.place(serial, Place::Done, actions);
        let feed = &mut self.lanes[index].feed;
        if !feed.is_empty() {
            let next = feed.done(key, serial);
            self.put_in_lane(index, &next, actions);
        }
    }

    /// A key is parked no more: its records go back to their lane, as far as it takes them now.
    pub(super) fn release(
        &mut self,
        key: KeyHash,
        released: &[ParkedRecord<Serial>],
        actions: &mut Vec<Action>,
    ) {
        let index = self.lane_of(key);
        let mut records = released.iter().map(|record| record.item).collect();
        self.lanes[index].feed.portion(key, &mut records);
        self.put_in_lane(index, &records, actions);
    }

    /// Records go to a lane in front of the others there: they have waited.
    fn put_in_lane(&mut self, index: usize, records: &VecDeque<Serial>, actions: &mut Vec<Action>) {
        let lane = &mut self.lanes[index];
        lane.is_unsorted |= !records.is_empty() && !lane.batcher.is_empty();
        for &serial in records.iter().rev() {
            let (bytes, attempts) = {
                let entry = self.backlog.get(serial);
                (entry.bytes, entry.attempts)
            };
            lane.batcher.push_front(serial, bytes);
            lane.marked += u32::from(attempts > 0);
            self.waiting.enter(bytes);
            self.backlog.place(serial, Place::Waiting, actions);
        }
    }
}

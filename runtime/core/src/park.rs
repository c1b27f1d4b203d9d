//! Which keys wait for a retry, and which of their records go into the next call.
//!
//! A key parks when one of its records is charged and not done. From then on all its records are
//! here and nowhere else, until none of them is charged any more: then they go back to their lane.
//! Moves happen only when a commit is accepted, so a key is never in two slots
//! (commit and storage rules §2).

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
};

use crate::{batch::BatchLimits, id::Timestamp, lane::KeyHash, limits};

/// Keys are hashes already: nothing is won by hashing them again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HashOfHash(u64);

impl Hasher for HashOfHash {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A map by key.
pub(crate) type KeyMap<V> = HashMap<KeyHash, V, BuildHasherDefault<HashOfHash>>;

/// A set of keys that says at once of most others that they are not in it: few wait, and every record that
/// is read is asked about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyGlance(u64);

impl KeyGlance {
    /// Looked at no further once it would say nothing.
    pub(crate) fn of(keys: impl Iterator<Item = KeyHash>) -> Self {
        let bits = keys.take(limits::GLANCE_KEYS_MAX + 1).map(Self::bit);
        let (count, bits) = bits.fold((0, 0), |(count, all), bit| (count + 1, all | bit));
        Self(if count > limits::GLANCE_KEYS_MAX {
            u64::MAX
        } else {
            bits
        })
    }

    /// One more key.
    pub(crate) const fn add(&mut self, key: KeyHash) {
        self.0 |= Self::bit(key);
    }

    /// Whether a key may be among them. `false`: it is not.
    pub(crate) const fn may_have(self, key: KeyHash) -> bool {
        self.0 & Self::bit(key) != 0
    }

    /// Of the upper bits: the lower ones choose the lane.
    const fn bit(key: KeyHash) -> u64 {
        1 << (key.0 >> 58)
    }
}

/// A charge on a parked record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedCharge {
    /// When it may be tried again.
    pub next_retry: Timestamp,
    /// The record itself was named as the culprit, so it is retried without the others that its key has
    /// charged; without, all of these are retried together.
    pub is_blamed: bool,
}

/// A record of a parked key. `T` orders records as the shard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedRecord<T> {
    /// The record.
    pub item: T,
    /// Its bytes, key and payload.
    pub bytes: u32,
    /// Set when it was charged; unset while it only waits behind one that was.
    pub charge: Option<ParkedCharge>,
}

#[derive(Clone, Debug)]
struct ParkedKey<T> {
    records: VecDeque<ParkedRecord<T>>,
    /// How many of them are charged.
    charged: usize,
}

/// A key that waits for time: ordered by when it is due, then by its oldest record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due<T> {
    /// When.
    pub at: Timestamp,
    /// Its oldest record, with which its next call begins.
    pub oldest: T,
    /// The key.
    pub key: KeyHash,
}

/// The parked keys of a unit, queued by the time of their next retry.
#[derive(Clone, Debug)]
pub struct Park<T> {
    limits: BatchLimits,
    keys: KeyMap<ParkedKey<T>>,
    /// How many of them have a charged record.
    failing: usize,
    /// Keys that the retry slot does not hold: by when they are due, then by oldest record. A key that
    /// comes back is due now at the earliest, so it stands behind all that were due before: while one
    /// key fails again and again, every other one has its turn in between.
    queue: BTreeSet<Due<T>>,
}

impl<T: Copy + Ord> Park<T> {
    /// No key waits. A retry is no larger than a batch.
    #[must_use]
    pub fn new(limits: BatchLimits) -> Self {
        Self {
            limits,
            keys: KeyMap::default(),
            failing: 0,
            queue: BTreeSet::new(),
        }
    }

    /// Number of keys here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Number of those that have a charged record. The others are with the retry slot, or wait for it, and
    /// failed only as part of a call.
    #[must_use]
    pub const fn failing(&self) -> usize {
        self.failing
    }

    /// Whether no key is parked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether `key` is parked.
    #[must_use]
    pub fn contains(&self, key: KeyHash) -> bool {
        !self.keys.is_empty() && self.keys.contains_key(&key)
    }

    /// The parked keys, in no order.
    pub fn keys(&self) -> impl Iterator<Item = KeyHash> {
        self.keys.keys().copied()
    }

    /// The charged records of a parked key, oldest first.
    pub fn charged(&self, key: KeyHash) -> impl Iterator<Item = T> {
        let records = self.keys.get(&key).into_iter();
        let records = records.flat_map(|parked| &parked.records);
        let charged = records.filter(|record| record.charge.is_some());
        charged.map(|record| record.item)
    }

    /// A key that waits for time; `None`: it does not.
    #[must_use]
    pub fn waiting(&self, key: KeyHash) -> Option<Due<T>> {
        // A person asks for it: the queue need not be found by key otherwise.
        self.queue.iter().find(|due| due.key == key).copied()
    }

    /// Parks a key with all its records that are not done, at `now`.
    ///
    /// # Panics
    /// If the key is parked already or none of the records is charged.
    pub fn park(&mut self, key: KeyHash, records: Vec<ParkedRecord<T>>, now: Timestamp) {
        assert!(
            records.iter().any(|record| record.charge.is_some()),
            "a key parks for a record that was charged"
        );
        self.insert(key, records);
        self.enqueue(key, now);
    }

    /// Takes a key in with all its records that are not done, for the retry slot: it waits for no time, and
    /// is with the slot until that gives it back.
    ///
    /// # Panics
    /// If the key is parked already.
    pub fn hold(&mut self, key: KeyHash, records: Vec<ParkedRecord<T>>) {
        self.insert(key, records);
    }

    fn insert(&mut self, key: KeyHash, mut records: Vec<ParkedRecord<T>>) {
        records.sort_unstable_by_key(|record| record.item);
        let is_charged = |record: &&ParkedRecord<T>| record.charge.is_some();
        let charged = records.iter().filter(is_charged).count();
        let parked = ParkedKey {
            records: records.into(),
            charged,
        };
        let before = self.keys.insert(key, parked);
        assert!(before.is_none(), "a key parks once");
        self.failing += usize::from(charged > 0);
    }

    /// Puts a record that was read behind the others of its parked key.
    ///
    /// # Panics
    /// If the key is not parked, or the record is not its newest.
    pub fn wait_behind(&mut self, key: KeyHash, item: T, bytes: u32) {
        let parked = self.parked_mut(key);
        assert!(
            parked.records.back().is_none_or(|last| last.item < item),
            "records are read in order"
        );
        parked.records.push_back(ParkedRecord {
            item,
            bytes,
            charge: None,
        });
    }

    /// When the next key may be retried.
    #[must_use]
    pub fn next_retry(&self) -> Option<Timestamp> {
        self.queue.first().map(|due| due.at)
    }

    /// When the next of the keys that are `mine` may be retried.
    #[must_use]
    pub fn next_retry_of(&self, mine: impl Fn(KeyHash) -> bool) -> Option<Timestamp> {
        let mut queued = self.queue.iter();
        queued.find(|due| mine(due.key)).map(|due| due.at)
    }

    /// The keys that are due, the one that is due longest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = Due<T>> {
        let due = self.queue.iter().take_while(move |due| due.at <= now);
        due.copied()
    }

    /// Takes a key that waits for time for the retry slot, and appends to `call` the records of its next
    /// call, oldest first.
    pub fn take(&mut self, due: Due<T>, call: &mut Vec<T>) {
        let was_queued = self.queue.remove(&due);
        debug_assert!(was_queued, "the key waits");
        let limits = self.limits;
        let parked = self.parked_mut(due.key);
        let records = parked.next_call(limits);
        call.extend(parked.records.range(..records).map(|record| record.item));
    }

    /// The records of a parked key behind its oldest one, as far as they wait for nothing else.
    pub fn behind(&self, key: KeyHash) -> impl Iterator<Item = T> {
        let records = self.keys.get(&key).into_iter();
        let behind = records.flat_map(|parked| parked.records.iter().skip(1));
        let waiting = behind.take_while(|record| record.charge.is_none());
        waiting.map(|record| record.item)
    }

    /// A key that waits for time waits no longer; one that is with the retry slot, or not parked, is left.
    pub fn due_now(&mut self, key: KeyHash, now: Timestamp) {
        if let Some(queued) = self.waiting(key) {
            self.make_due(queued, now);
        }
    }

    /// All keys that wait for time wait no longer.
    pub fn all_due_now(&mut self, now: Timestamp) {
        for queued in self.queue.clone() {
            self.make_due(queued, now);
        }
    }

    fn make_due(&mut self, queued: Due<T>, now: Timestamp) {
        if queued.at <= now {
            return;
        }
        self.queue.remove(&queued);
        for record in &mut self.parked_mut(queued.key).records {
            if let Some(charge) = &mut record.charge {
                charge.next_retry = charge.next_retry.min(now);
            }
        }
        self.enqueue(queued.key, now);
    }

    /// When the keys are due that wait for time.
    #[must_use]
    pub(crate) fn due_times(&self) -> KeyMap<Timestamp> {
        let times = self.queue.iter().map(|due| (due.key, due.at));
        times.collect()
    }

    /// The charge of a record, if its key is parked and it is charged.
    #[must_use]
    pub fn charge_of(&self, key: KeyHash, item: T) -> Option<ParkedCharge> {
        if self.keys.is_empty() {
            return None;
        }
        let records = &self.keys.get(&key)?.records;
        let at = records.binary_search_by_key(&item, |record| record.item);
        records[at.ok()?].charge
    }

    /// Of the keys that are `mine` the one that is due next waits no longer.
    pub fn hurry(&mut self, mine: impl Fn(KeyHash) -> bool, now: Timestamp) {
        let next = self.queue.iter().find(|due| mine(due.key)).copied();
        if let Some(next) = next {
            self.make_due(next, now);
        }
    }

    /// Takes a key that waits for time for the retry slot, until that gives it back; whether it waited so.
    pub fn seize(&mut self, key: KeyHash) -> bool {
        let queued = self.waiting(key);
        queued.is_some_and(|queued| self.queue.remove(&queued))
    }

    /// Removes a record of a parked key that is done.
    ///
    /// # Panics
    /// If it is not there.
    pub fn remove(&mut self, key: KeyHash, item: T) {
        let parked = self.parked_mut(key);
        let index = parked.index_of(item);
        let record = parked.records.remove(index);
        if record.is_some_and(|record| record.charge.is_some()) {
            parked.charged -= 1;
            self.failing -= usize::from(parked.charged == 0);
        }
    }

    /// Charges a record of a parked key.
    ///
    /// # Panics
    /// If it is not there.
    pub fn charge(&mut self, key: KeyHash, item: T, charge: ParkedCharge) {
        let parked = self.parked_mut(key);
        let index = parked.index_of(item);
        let before = parked.records[index].charge.replace(charge);
        if before.is_none() {
            parked.charged += 1;
            self.failing += usize::from(parked.charged == 1);
        }
    }

    /// The retry slot gives the key back at `now`. It waits for its next retry, or, with no charged record
    /// left, stops being parked: then its records are returned, oldest first.
    pub fn give_back(&mut self, key: KeyHash, now: Timestamp) -> Vec<ParkedRecord<T>> {
        if self.parked_mut(key).charged > 0 {
            self.enqueue(key, now);
            return Vec::new();
        }
        self.keys
            .remove(&key)
            .map_or_else(Vec::new, |parked| parked.records.into())
    }

    /// The clock went back to `now`: no retry is later than `latest`.
    pub fn clock_went_back(&mut self, now: Timestamp, latest: Timestamp) {
        for parked in self.keys.values_mut() {
            for charge in parked.records.iter_mut().filter_map(|r| r.charge.as_mut()) {
                charge.next_retry = charge.next_retry.min(latest);
            }
        }
        let queued = std::mem::take(&mut self.queue);
        for due in queued {
            self.enqueue(due.key, now);
        }
    }

    fn enqueue(&mut self, key: KeyHash, now: Timestamp) {
        let limits = self.limits;
        let parked = self.parked_mut(key);
        let records = parked.next_call(limits);
        let at = parked
            .records
            .range(..records)
            .filter_map(|record| record.charge)
            .map(|charge| charge.next_retry)
            .max()
            // Records in front of a blamed one were not at fault: nothing to wait for but others.
            .unwrap_or(now);
        let oldest = parked.records[0].item;
        self.queue.insert(Due { at, oldest, key });
    }

    fn parked_mut(&mut self, key: KeyHash) -> &mut ParkedKey<T> {
        self.keys.get_mut(&key).expect("the key is parked")
    }
}

impl<T: Copy + Ord> ParkedKey<T> {
    fn index_of(&self, item: T) -> usize {
        // Calls begin with the oldest.
        if self.records.front().is_some_and(|first| first.item == item) {
            return 0;
        }
        self.records
            .binary_search_by_key(&item, |record| record.item)
            .unwrap_or_else(|_| panic!("the record waits under its key"))
    }

    /// How many records, from the oldest, make the next call: a blamed one alone, otherwise all up to
    /// the last charged one, stopping in front of a blamed one and at the size of a batch.
    fn next_call(&self, limits: BatchLimits) -> usize {
        let is_blamed =
            |record: &ParkedRecord<T>| record.charge.is_some_and(|charge| charge.is_blamed);
        assert!(self.charged > 0, "a parked key has a charged record");
        let mut charged = 0;
        let mut bytes = 0;
        let mut records = 0;
        // Thousands may wait behind the last charged one: they are not looked at.
        for record in &self.records {
            bytes += u64::from(record.bytes);
            let fits = records < limits.records_max as usize && bytes <= limits.bytes_max;
            if records > 0 && (!fits || is_blamed(record)) {
                break;
            }
            records += 1;
            charged += usize::from(record.charge.is_some());
            if charged == self.charged || is_blamed(record) {
                break;
            }
        }
        records
    }
}

#[cfg(test)]
mod tests;

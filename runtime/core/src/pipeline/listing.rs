//! Which keys wait, for what and until when: what a person is shown before doing something about them.
//!
//! A key waits when a record of it failed, charged or not, or when nothing of it is called though it was read:
//! its shard's circuit is open, or its slot pauses after something that cost nobody an attempt. With order
//! within the shard all waits for one record, and only that is told; with windows the groups are told, each by
//! its first record, or by its window where the call that ends that fails.

use super::{
    ShardPipeline,
    backlog::{Entry, Place, Serial},
    slot::Slot,
    windows::GroupWithRecords,
};
use crate::{
    breaker::Probe,
    id::{FunctionVersion, Ordinal, Timestamp},
    lane::KeyHash,
    outcome::Cause,
    park::KeyMap,
    window::Window,
};

/// What a key waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Its backoff, or for its turn behind that.
    Retry,
    /// A probe, because its shard's circuit is open.
    Circuit,
    /// A place for its call, or a host that is well: a pause that costs no attempt.
    Host,
}

impl WaitsFor {
    /// The word in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Circuit => "circuit-open",
            Self::Host => "throttled",
        }
    }
}

/// A record that a key waits with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRecord {
    /// Where it is.
    pub position: Ordinal,
    /// Charged attempts.
    pub attempts: u32,
    /// Whether it failed: one that did not is the oldest of its key, which waits by no fault of its own.
    pub has_failed: bool,
    /// How it last failed; `None`: it did not, it did so before this owner began, or there were too many to
    /// keep.
    pub failure: Option<Cause>,
}

/// A group of keys whose window cannot be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingWindow {
    /// Which group.
    pub group: u32,
    /// Its window.
    pub window: Window,
    /// Calls that were to end it and failed, in a row, as far as they cost an attempt.
    pub attempts: u32,
    /// How the last one failed.
    pub failure: Cause,
    /// The version that is called to end it.
    pub version: FunctionVersion,
}

/// A key that waits; with windows a group of keys, with order within the shard the shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingKey {
    /// Its records that failed, or the oldest where none did, ascending; none of a window.
    pub records: Vec<WaitingRecord>,
    /// Records behind the first of them that wait with it, as far as was read.
    pub behind: u64,
    /// What it waits for.
    pub why: WaitsFor,
    /// When it is tried, at the earliest; `None`: that hangs on a call under way.
    pub until: Option<Timestamp>,
    /// The window whose last call fails.
    pub window: Option<WaitingWindow>,
    /// It was not tried yet and waits in its lane for a probe, which is of whatever is first there.
    pub is_behind_lane: bool,
}

/// The keys of a unit that wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingKeys {
    /// Those that failed first, then by their first record.
    pub keys: Vec<WaitingKey>,
    /// How many there are, those left out included.
    pub count: u64,
    /// How many of them wait because they failed.
    pub failed: u64,
    /// Everything up to here was read: charged records above are known by their marks alone.
    pub read_position: Ordinal,
}

/// A key while its records are gone through.
struct Seen {
    first: Ordinal,
    failing: Vec<WaitingRecord>,
    until: Option<Timestamp>,
    /// Records in all, and those up to the first that failed.
    all: u64,
    through_first: u64,
}

impl ShardPipeline {
    /// The keys that wait, at most so many, and with `of` only those of one of these hashes.
    #[must_use]
    pub fn waiting_keys(&self, of: Option<&[KeyHash]>, most: usize) -> WaitingKeys {
        let is_asked = |key: KeyHash| of.is_none_or(|of| of.contains(&key));
        let mut keys = if self.has_windows() {
            self.waiting_groups(is_asked)
        } else if self.holds_the_shard() {
            self.waiting_shard(is_asked).into_iter().collect()
        } else {
            self.waiting_by_key(is_asked)
        };
        if of.is_none() {
            keys.extend(self.waiting_windows());
        }
        let has_failed = |key: &WaitingKey| key.records.first().is_none_or(|one| one.has_failed);
        keys.sort_by_key(|key| {
            let first = key.records.first().map(|record| record.position);
            (!has_failed(key), first)
        });
        let count = keys.len() as u64;
        let failed = keys.iter().filter(|key| has_failed(key)).count() as u64;
        keys.truncate(most);
        WaitingKeys {
            keys,
            count,
            failed,
            read_position: self.backlog.read_position(),
        }
    }

    fn waiting_by_key(&self, is_asked: impl Fn(KeyHash) -> bool) -> Vec<WaitingKey> {
        let due = self.park.due_times();
        let mut seen: KeyMap<Seen> = KeyMap::default();
        for serial in self.backlog.serials() {
            let entry = self.backlog.get(serial);
            if !is_open(entry) || !is_asked(entry.key) {
                continue;
            }
            let of_key = seen.entry(entry.key).or_insert_with(|| Seen {
                first: entry.position,
                failing: Vec::new(),
                until: due.get(&entry.key).copied(),
                all: 0,
                through_first: 1,
            });
            of_key.all += 1;
            let charge = self.park.charge_of(entry.key, serial);
            let mark = self.marks.get(&entry.position).map(|mark| mark.next_retry);
            let next = charge.map(|charge| charge.next_retry).or(mark);
            if next.is_none() && entry.attempts == 0 {
                continue;
            }
            if of_key.failing.is_empty() {
                of_key.through_first = of_key.all;
                of_key.until = of_key.until.or(next);
            }
            of_key.failing.push(self.failed_record(entry));
        }
        let (in_hand, paused) = (self.keys_in_hand(), self.keys_of_pauses());
        let waits = |(key, seen): (KeyHash, Seen)| {
            let pause = paused.get(&key).copied();
            let is_canary = self.meets_canary(key);
            // What failed, or may have, is with the retry slot; the rest is with the lanes.
            let (is_circuit, probe) = match self.park.contains(key) {
                true => (self.circuit.is_open_for(is_canary), Probe::Tried),
                false => (self.circuit.is_holding_for(is_canary), Probe::Untried),
            };
            let is_held = pause.is_some() || is_circuit && !in_hand.contains_key(&key);
            if seen.failing.is_empty() && !is_held {
                return None;
            }
            let is_behind_lane = is_held && is_circuit && probe == Probe::Untried;
            let (why, until) = self.why((is_canary, probe), seen.until, pause);
            let oldest = WaitingRecord {
                position: seen.first,
                attempts: 0,
                has_failed: false,
                failure: None,
            };
            Some(WaitingKey {
                records: match seen.failing.is_empty() {
                    true => vec![oldest],
                    false => seen.failing,
                },
                behind: seen.all - seen.through_first,
                why,
                until,
                window: None,
                is_behind_lane,
            })
        };
        seen.into_iter().filter_map(waits).collect()
    }

    /// The record that the shard waits for.
    fn waiting_shard(&self, is_asked: impl Fn(KeyHash) -> bool) -> Option<WaitingKey> {
        let slot = &self.slots[0];
        let pause = self.pause_of(slot);
        let failed = self.first_failed();
        let is_canary = false;
        let is_circuit = self.circuit.is_open_for(is_canary);
        let is_held = pause.is_some() || is_circuit && slot.is_at_rest();
        let mut open = self.backlog.iter().filter(|entry| is_open(entry));
        let head = match failed {
            Some(mark) => open.find(|entry| entry.position == mark.position)?,
            None if is_held => open.next()?,
            None => return None,
        };
        if !is_asked(head.key) {
            return None;
        }
        let own = failed.map(|mark| mark.next_retry);
        let (why, until) = self.why((is_canary, Probe::Tried), own, pause);
        Some(WaitingKey {
            records: vec![match failed {
                Some(_) => self.failed_record(head),
                None => self.unharmed(head),
            }],
            behind: open.count() as u64,
            why,
            until,
            window: None,
            is_behind_lane: false,
        })
    }

    fn waiting_groups(&self, is_asked: impl Fn(KeyHash) -> bool) -> Vec<WaitingKey> {
        let windows = self.windows.iter();
        let groups = windows.flat_map(|windows| windows.groups_with_records(&self.slots));
        let waits = |group: GroupWithRecords| {
            let slot = &self.slots[group.lane];
            let pause = self.pause_of(slot).filter(|_| group.is_in_hand);
            let is_under_way = group.is_in_hand && !slot.is_at_rest();
            let entry = self.backlog.get(group.first);
            let mark = self.marks.get(&entry.position);
            let has_failed = mark.is_some() || entry.attempts > 0;
            let is_canary = self.is_canary_lane(group.lane);
            let is_circuit = self.circuit.is_holding_for(is_canary);
            let is_held = pause.is_some() || is_circuit && !is_under_way;
            if !has_failed && !is_held || group.is_closing || !is_asked(entry.key) {
                return None;
            }
            let own = mark.map_or(group.not_before, |mark| {
                mark.next_retry.max(group.not_before)
            });
            let (why, until) = self.why((is_canary, Probe::Tried), Some(own), pause);
            Some(WaitingKey {
                records: vec![match has_failed {
                    true => self.failed_record(entry),
                    false => self.unharmed(entry),
                }],
                behind: group.behind,
                why,
                until,
                window: None,
                is_behind_lane: false,
            })
        };
        groups.filter_map(waits).collect()
    }

    /// Windows whose last call fails.
    fn waiting_windows(&self) -> Vec<WaitingKey> {
        let windows = self.windows.iter();
        let closing =
            windows.flat_map(|windows| windows.failing_closes(|lane| self.version_in(lane, &[])));
        let told = closing.map(|(window, behind, not_before)| {
            let side = (self.is_canarys_group(window.group), Probe::Tried);
            let (why, until) = self.why(side, Some(not_before), None);
            WaitingKey {
                records: Vec::new(),
                behind,
                why,
                until,
                window: Some(window),
                is_behind_lane: false,
            }
        });
        told.collect()
    }

    /// What is waited for, and until when, where the wait itself ends at `own`.
    fn why(
        &self,
        (is_canary, probe): (bool, Probe),
        own: Option<Timestamp>,
        pause: Option<Timestamp>,
    ) -> (WaitsFor, Option<Timestamp>) {
        let latest = own.max(pause);
        match (self.circuit.is_open_for(is_canary), pause) {
            (true, _) => {
                // Behind a probe that is under way nobody knows.
                let from = self.side_from(is_canary, probe);
                let until = from.map(|from| latest.map_or(from, |latest| latest.max(from)));
                (WaitsFor::Circuit, until)
            }
            (false, Some(_)) => (WaitsFor::Host, latest),
            (false, None) => (WaitsFor::Retry, latest),
        }
    }

    fn failed_record(&self, entry: &Entry) -> WaitingRecord {
        WaitingRecord {
            position: entry.position,
            attempts: entry.attempts,
            has_failed: true,
            failure: self.failure_of(entry.position).cloned(),
        }
    }

    fn unharmed(&self, entry: &Entry) -> WaitingRecord {
        WaitingRecord {
            has_failed: false,
            ..self.failed_record(entry)
        }
    }

    /// Until when a slot pauses after what cost nobody an attempt.
    fn pause_of(&self, slot: &Slot) -> Option<Timestamp> {
        let is_pause = slot.faults > 0 && slot.is_at_rest() && slot.not_before > self.last_now;
        is_pause.then_some(slot.not_before)
    }

    /// Keys of calls and commits under way.
    fn keys_in_hand(&self) -> KeyMap<()> {
        let busy = self.slots.iter().filter(|slot| !slot.is_at_rest());
        let under_way = busy.flat_map(Slot::under_way);
        let keys = under_way.map(|serial| self.backlog.get(serial).key);
        keys.chain(self.redrives.key())
            .map(|key| (key, ()))
            .collect()
    }

    /// Keys of records whose call was taken back, and until when it is not made again.
    fn keys_of_pauses(&self) -> KeyMap<Timestamp> {
        let paused = self
            .slots
            .iter()
            .filter_map(|slot| Some((slot, self.pause_of(slot)?)));
        let keys = paused.flat_map(|(slot, until)| {
            let pieces = slot.pieces.iter().flatten();
            pieces.map(move |&serial: &Serial| (self.backlog.get(serial).key, until))
        });
        keys.collect()
    }
}

/// Whether a record is not done, and is called or waits for that.
fn is_open(entry: &Entry) -> bool {
    !matches!(entry.place, Place::Done | Place::Fallen) && entry.condemned().is_none()
}

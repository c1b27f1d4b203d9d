//! Where the entries of a backlog are kept: all that are not done, and those read last.
//!
//! One record that waits for hours holds the low watermark, and a quarter of a million are read behind it. All
//! but a few of them are done: to keep those would cost memory that is touched once and never looked at again.
//! So what is not done among old entries is moved aside, and the memory of the others is used for what is read
//! next. What is aside has to be looked for. So records stay where they are while more than a few of their
//! neighbours are on their way through a lane: each of those is asked for several times, what is parked seldom.

use std::{collections::VecDeque, ops::Range};

use super::{Entry, Place, Serial};
use crate::{id::Ordinal, limits};

/// Entries in the order of reading.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// What was not done when it was moved aside, ascending.
    aside: VecDeque<(Serial, Entry)>,
    /// How many of those are done by now.
    aside_done: usize,
    /// Everything read behind that.
    recent: VecDeque<Entry>,
    /// The first of them.
    recent_first: u64,
    /// How many of them there are when it is looked next what can be moved aside.
    look_at: usize,
}

impl Entries {
    pub(super) const fn new() -> Self {
        Self {
            aside: VecDeque::new(),
            aside_done: 0,
            recent: VecDeque::new(),
            recent_first: 0,
            look_at: 2 * limits::BACKLOG_CHUNK_RECORDS,
        }
    }

    /// Records from the oldest that is kept to the last, those between that are not kept any more included.
    pub(super) fn len(&self) -> u64 {
        let end = self.recent_first + self.recent.len() as u64;
        let first = self.aside.front().map(|(serial, _)| serial.0);
        end - first.unwrap_or(self.recent_first)
    }

    /// Takes over a record that was read, behind all others.
    pub(super) fn push(&mut self, entry: Entry) -> Serial {
        let serial = Serial(self.recent_first + self.recent.len() as u64);
        self.recent.push_back(entry);
        serial
    }

    /// The oldest one.
    pub(super) fn front(&self) -> Option<&Entry> {
        let aside = self.aside.front().map(|(_, entry)| entry);
        aside.or_else(|| self.recent.front())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Serial, &Entry)> {
        let aside = self.aside.iter().map(|(serial, entry)| (*serial, entry));
        let recent = (self.recent_first..).map(Serial).zip(&self.recent);
        aside.chain(recent)
    }

    /// Those that are kept of some.
    pub(super) fn range(&self, records: Range<Serial>) -> impl Iterator<Item = &Entry> {
        let aside = |serial: Serial| self.aside.partition_point(|(at, _)| *at < serial);
        let recent = |serial: Serial| {
            let index = serial.0.saturating_sub(self.recent_first);
            usize::try_from(index).map_or(self.recent.len(), |index| index.min(self.recent.len()))
        };
        let moved = self.aside.range(aside(records.start)..aside(records.end));
        let others = self
            .recent
            .range(recent(records.start)..recent(records.end));
        moved.map(|(_, entry)| entry).chain(others)
    }

    /// `None`: it is done and not kept.
    pub(super) fn get(&self, serial: Serial) -> Option<&Entry> {
        match self.index(serial) {
            Some(index) => self.recent.get(index),
            None => Some(&self.aside[self.moved(serial)?].1),
        }
    }

    /// `None`: it is done and not kept. Who makes it done says so ([`Self::note_done`]).
    pub(super) fn get_mut(&mut self, serial: Serial) -> Option<&mut Entry> {
        match self.index(serial) {
            Some(index) => self.recent.get_mut(index),
            None => {
                let at = self.moved(serial)?;
                Some(&mut self.aside[at].1)
            }
        }
    }

    /// A record is done.
    pub(super) fn note_done(&mut self, serial: Serial) {
        self.aside_done += usize::from(serial.0 < self.recent_first);
    }

    /// The record at a position.
    pub(super) fn find(&self, position: Ordinal) -> Option<Serial> {
        let aside = self
            .aside
            .binary_search_by_key(&position, |(_, entry)| entry.position);
        if let Ok(at) = aside {
            return Some(self.aside[at].0);
        }
        let recent = self
            .recent
            .binary_search_by_key(&position, |entry| entry.position);
        recent
            .ok()
            .map(|index| Serial(self.recent_first + index as u64))
    }

    /// Lets go of what is done in front of the oldest record that is not, and of most that is behind it.
    pub(super) fn pass_over_done(&mut self) {
        while self
            .aside
            .pop_front_if(|(_, entry)| entry.place == Place::Done)
            .is_some()
        {
            self.aside_done -= 1;
        }
        if self.aside_done > limits::IDLE_CAPACITY_MAX.max(self.aside.len() / 2) {
            self.aside.retain(|(_, entry)| entry.place != Place::Done);
            self.aside_done = 0;
        }
        if self.aside.is_empty() {
            let is_done = |entry: &mut Entry| entry.place == Place::Done;
            while self.recent.pop_front_if(is_done).is_some() {
                self.recent_first += 1;
            }
        }
        // Where too much is open it is looked again once as much has come as would be looked through.
        let again = |recent: usize| {
            recent.max(limits::BACKLOG_CHUNK_RECORDS) + limits::BACKLOG_CHUNK_RECORDS
        };
        self.look_at = self.look_at.min(again(self.recent.len()));
        while self.recent.len() >= self.look_at {
            self.look_at = match self.move_aside() {
                true => again(0),
                false => again(self.recent.len()),
            };
        }
        shrink(&mut self.recent);
        shrink(&mut self.aside);
    }

    /// Moves what is not done of the oldest recent entries aside, if that is less than half of them and few
    /// are on their way.
    fn move_aside(&mut self) -> bool {
        let old = limits::BACKLOG_CHUNK_RECORDS.min(self.recent.len());
        let is_open = |entry: &&Entry| entry.place != Place::Done;
        let (mut open, mut moving) = (0, 0);
        for entry in self.recent.range(..old) {
            open += usize::from(is_open(&entry));
            moving += usize::from(matches!(entry.place, Place::Waiting | Place::Busy));
        }
        let is_full = old == limits::BACKLOG_CHUNK_RECORDS;
        let is_worth_it =
            is_full && open < old / 2 && moving <= limits::BACKLOG_CHUNK_MOVING_RECORDS;
        if is_worth_it {
            let first = self.recent_first;
            let old = (first..).map(Serial).zip(self.recent.drain(..old));
            self.aside.extend(old.filter(|(_, entry)| is_open(&entry)));
            self.recent_first += limits::BACKLOG_CHUNK_RECORDS as u64;
        }
        is_worth_it
    }

    /// Among the recent ones.
    fn index(&self, serial: Serial) -> Option<usize> {
        let index = serial.0.checked_sub(self.recent_first)?;
        usize::try_from(index).ok()
    }

    /// Among those moved aside. Records of keys that wait come at some pace, so it is looked where this one
    /// would be if all came evenly, then around that: a search from the ends would touch a dozen others.
    fn moved(&self, serial: Serial) -> Option<usize> {
        let (first, last) = (self.aside.front()?.0, self.aside.back()?.0);
        if serial < first || serial > last {
            return None;
        }
        let at = |index: usize| self.aside[index].0;
        let len = self.aside.len();
        // Both are below `UNSETTLED_RECORDS_MAX`, so is the place.
        let before = (serial.0 - first.0) * (len as u64 - 1) / (last.0 - first.0).max(1);
        // It is in `from..to`, if anywhere.
        let mut from = usize::try_from(before).map_or(len - 1, |index| index.min(len - 1));
        let mut to = from + 1;
        let mut step = 1;
        while from > 0 && at(from) > serial {
            to = from;
            from = from.saturating_sub(step);
            step *= 2;
        }
        while to < len && at(to) <= serial {
            from = to;
            to = len.min(to + step);
            step *= 2;
        }
        while to - from > 1 {
            let middle = usize::midpoint(from, to);
            if at(middle) <= serial {
                from = middle;
            } else {
                to = middle;
            }
        }
        (at(from) == serial).then_some(from)
    }
}

/// Gives memory back. Seldom: what is left is not to be moved at every commit.
fn shrink<T>(entries: &mut VecDeque<T>) {
    let (len, room) = (entries.len(), entries.capacity());
    if room > limits::IDLE_CAPACITY_MAX && len <= room / 4 {
        entries.shrink_to(limits::IDLE_CAPACITY_MAX.max(len * 2));
    }
}

#[cfg(test)]
mod tests;

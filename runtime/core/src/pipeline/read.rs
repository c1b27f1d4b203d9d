//! Reading on, and reading parked payload again. Backpressure is that no read is asked for.

use super::{
    Action, BlockMeta, Fetched, Mode, RecordMeta, Relocated, ShardPipeline,
    backlog::{Place, is_condemned},
};
use crate::{
    commit::ErrorKind,
    filter::FilterVerdict,
    id::{Ordinal, SlotId, Timestamp},
    limits,
    park::KeyGlance,
    retry::{exponential, full_jitter},
};

/// Records waiting in lanes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waiting {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Waiting {
    pub(super) fn enter(&mut self, bytes: u32) {
        self.records += 1;
        self.bytes += u64::from(bytes);
    }

    pub(super) fn leave(&mut self, bytes: u32) {
        self.records -= 1;
        self.bytes -= u64::from(bytes);
    }
}

/// The read under way, and the pause after one that failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// The shard's last published position, as far as is known.
    pub(super) tail: Ordinal,
    /// The tail when the read under way was asked for.
    pub(super) asked_at: Option<Ordinal>,
    pub(super) not_before: Timestamp,
    pub(super) failures: u32,
}

impl ShardPipeline {
    /// Whether memory for waiting records, or the bound of the done-set, is used up. Then nothing is
    /// read, and windows do not wait for more.
    pub(super) fn is_pressed(&self) -> bool {
        self.backlog.len() >= limits::UNSETTLED_RECORDS_MAX
            || self.waiting.records >= self.read_ahead_records
            || self.waiting.bytes >= self.read_ahead_bytes
    }

    /// Whether there is something to read and room for it.
    pub(super) fn wants_read(&self) -> bool {
        self.reading.asked_at.is_none()
            && self.reading.tail > self.backlog.read_position()
            && !self.is_pressed()
    }

    /// Asks for the next read.
    pub(super) fn read_on(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.wants_read() || self.reading.not_before > now {
            return;
        }
        let room = limits::UNSETTLED_RECORDS_MAX - self.backlog.len();
        // A little more than fits now is better than many small reads.
        let records = (self.read_ahead_records - self.waiting.records)
            .max(self.read_ahead_records / 4)
            .min(room);
        let bytes = (self.read_ahead_bytes - self.waiting.bytes).max(self.read_ahead_bytes / 4);
        self.reading.asked_at = Some(self.reading.tail);
        actions.push(Action::Fetch {
            after: self.backlog.read_position(),
            records_max: u32::try_from(records).unwrap_or(u32::MAX),
            bytes_max: bytes,
        });
    }

    /// A read ended.
    pub(super) fn fetched(&mut self, fetched: &Fetched, now: Timestamp, actions: &mut Vec<Action>) {
        let asked_at = self.reading.asked_at.take();
        self.reading.failures = 0;
        if fetched.records.is_empty() && asked_at == Some(self.reading.tail) {
            // Nothing is there: wait to be woken.
            self.reading.tail = self.backlog.read_position();
        }
        for &block in &fetched.blocks {
            self.backlog.blocks.hold(block);
        }
        let waiting = self.keys_that_wait();
        for record in &fetched.records {
            self.admit(record, waiting, now, actions);
        }
        if let (Some(windows), Some(last)) = (&mut self.windows, fetched.records.last()) {
            windows.read_through(last.arrival);
        }
        for block in &fetched.blocks {
            self.backlog.let_go(block.id, actions);
        }
        // What follows and was settled before this owner may be trimmed at any time: it is not read.
        let read = self.backlog.read_position();
        if read < self.done_through {
            self.backlog.skip_through(self.done.reach(read));
        }
        self.backlog.advance();
        debug_assert!(self.backlog.len() <= limits::UNSETTLED_RECORDS_MAX);
    }

    /// What records that are read may have to wait behind.
    fn keys_that_wait(&self) -> KeyGlance {
        let lanes = self.lanes.iter().flat_map(|lane| lane.feed.keys());
        KeyGlance::of(self.park.keys().chain(lanes))
    }

    fn admit(
        &mut self,
        record: &RecordMeta,
        waiting: KeyGlance,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        self.age.passes(record.arrival);
        let before = self.backlog.read_position();
        let mut settled_before = before;
        if before < self.done_through {
            settled_before = self.done.reach(before);
            if self.done.contains(record.position) {
                self.backlog
                    .push(record, settled_before, 0, Place::Done, actions);
                return;
            }
        }
        let record = &RecordMeta {
            verdict: self.judged(record),
            ..*record
        };
        if record.verdict == FilterVerdict::NoMatch {
            self.marks.remove(&record.position);
            self.failures.forget(record.position);
            let serial = self
                .backlog
                .push(record, settled_before, 0, Place::Fallen, actions);
            return self.filtered.push(serial);
        }
        self.forget_mark_of_other(record);
        let (attempts, has_died) = match self.marks.get(&record.position) {
            // The attempt that the process died in is not charged yet.
            Some(mark) if mark.is_in_hand => (mark.count - 1, true),
            Some(mark) => (mark.count, false),
            None => (0, false),
        };
        let lane = self.lane_of(record.key);
        let may_wait = waiting.may_have(record.key);
        let is_fed = may_wait && self.lanes[lane].feed.has(record.key);
        let mut place = Place::Waiting;
        // A record that no function is given becomes a letter: it has no place in its key's order. With
        // order within the shard the lane itself waits: nothing in it may be overtaken.
        let waits_behind_its_key =
            is_fed || may_wait && !self.holds_the_shard() && self.park.contains(record.key);
        if waits_behind_its_key && !is_condemned(record) {
            place = Place::Parked;
        }
        let serial = self
            .backlog
            .push(record, settled_before, attempts, place, actions);
        if has_died {
            self.backlog.died(serial);
        }
        if self.has_windows() {
            self.admit_to_group(serial, now, actions);
        } else if place == Place::Parked && is_fed {
            self.lanes[lane].feed.wait_behind(record.key, serial);
        } else if place == Place::Parked {
            self.park.wait_behind(record.key, serial, record.bytes);
        } else {
            let lane = &mut self.lanes[lane];
            lane.marked += u32::from(attempts > 0);
            lane.batcher.push(serial, record.bytes, now);
            self.waiting.enter(record.bytes);
        }
    }

    /// A charge by a version that the record's key does not meet any more counts for nothing.
    fn forget_mark_of_other(&mut self, record: &RecordMeta) {
        let mark = self.marks.get(&record.position);
        if mark.is_some_and(|mark| mark.version != self.version_of(record.key)) {
            self.marks.remove(&record.position);
            self.failures.forget(record.position);
        }
    }

    /// The read under way failed.
    pub(super) fn fetch_failed(&mut self, now: Timestamp) {
        self.reading.asked_at = None;
        self.reading.failures += 1;
        let failures = self.reading.failures;
        self.reading.not_before = now.plus_ms(self.read_pause(u64::MAX, failures));
    }

    /// Parked payload was read again: the call it was for goes ahead, or the letters it was for are made.
    pub(super) fn reread(
        &mut self,
        slot: SlotId,
        blocks: &[BlockMeta],
        records: &[Relocated],
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        for &block in blocks {
            self.backlog.blocks.hold(block);
        }
        let index = self.slot_index(slot);
        if let Some(call) = self.slots[index].reread.take() {
            let mut found = records.iter().peekable();
            for &serial in &call {
                let position = self.backlog.get(serial).position;
                if let Some(record) = found.next_if(|record| record.position == position) {
                    self.backlog
                        .relocate(serial, record.block, record.index, actions);
                }
            }
            debug_assert!(found.next().is_none(), "only what was asked for, in order");
            self.slots[index].faults = 0;
            let kind = self.backlog.get(call[0]).condemned();
            let is_paused = matches!(
                self.mode,
                Mode::Quiet {
                    is_drain: false,
                    ..
                }
            );
            let is_held = is_paused || self.circuit.is_open();
            if is_held && kind == Some(ErrorKind::ByHand) {
                // A pause and an open circuit hold calls, and this is none.
                self.begin(index, call, true, now, actions);
            } else {
                self.slots[index].pieces.push_front(call);
            }
        }
        for block in blocks {
            self.backlog.let_go(block.id, actions);
        }
    }

    /// Parked payload could not be read again now.
    pub(super) fn reread_failed(&mut self, slot: SlotId, now: Timestamp) {
        let index = self.slot_index(slot);
        let Some(call) = self.slots[index].reread.take() else {
            return;
        };
        self.slots[index].faults += 1;
        let pause = self.read_pause(index as u64, self.slots[index].faults);
        self.slots[index].not_before = now.plus_ms(pause);
        self.slots[index].pieces.push_front(call);
    }

    fn read_pause(&self, subject: u64, failures: u32) -> u64 {
        let ceiling = exponential(limits::READ_RETRY_MS, limits::READ_RETRY_MS_MAX, failures);
        full_jitter(self.config.seed, subject, failures, ceiling).max(1)
    }
}

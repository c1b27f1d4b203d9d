//! The records between low watermark and read position, in the order of the shard.

mod entries;

use std::{collections::VecDeque, ops::Range};

use self::entries::Entries;
use super::{
    Action, BlockId, RecordMeta, RecordRef,
    blocks::{Blocks, Pin, Repin},
    judge::Fault,
};
use crate::{
    commit::ErrorKind,
    filter::FilterVerdict,
    id::{Ordinal, Timestamp},
    lane::KeyHash,
    limits,
    settled::SettledRange,
};

/// A record's place in the order of reading: dense, never reused by a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Serial(u64);

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In its lane's batcher.
    Waiting,
    /// With a slot: in a call, in a commit that is not accepted, or in a piece to be run again.
    Busy,
    /// Behind a charged record of its key, or charged itself; or in its lane's batcher, set aside while the
    /// circuit of its version holds it.
    Parked,
    /// Let fall by the filter: settles with a commit that is not accepted yet.
    Fallen,
    /// Settled, and accepted.
    Done,
}

impl Place {
    const fn pin(self) -> Pin {
        match self {
            Self::Waiting | Self::Busy => Pin::Live,
            Self::Parked => Pin::Parked,
            Self::Fallen | Self::Done => Pin::None,
        }
    }
}

/// A record, without its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) position: Ordinal,
    /// Where the range that settles this record begins: it covers a gap in front of the record.
    after: Ordinal,
    pub(super) key: KeyHash,
    pub(super) arrival: Timestamp,
    block: BlockId,
    index: u32,
    pub(super) bytes: u32,
    /// Charged attempts, accepted.
    pub(super) attempts: u32,
    /// It was charged by this owner, and it alone.
    pub(super) is_named: bool,
    /// It failed last by the function's own answer, which did the others of the call.
    pub(super) is_harmless: bool,
    /// A call of it and others failed as a whole: it is retried alone.
    is_apart: bool,
    pub(super) hops: u8,
    /// A process died with it in hand, which is not charged yet.
    pub(super) has_died: bool,
    /// The filter cannot judge it, which makes it a dead letter.
    is_unparsable: bool,
    /// A person gave it up.
    is_given_up: bool,
    pub(super) place: Place,
}

impl Entry {
    /// The range that settles exactly this record.
    pub(super) const fn range(&self) -> SettledRange {
        SettledRange {
            after: self.after,
            through: self.position,
        }
    }

    /// What a call or a letter refers to it by.
    pub(super) const fn reference(&self) -> RecordRef {
        RecordRef {
            position: self.position,
            block: self.block,
            index: self.index,
            attempts: self.attempts,
        }
    }

    /// Why no function may be given this record.
    pub(super) fn condemned(&self) -> Option<ErrorKind> {
        let by_hand = self.is_given_up.then_some(ErrorKind::ByHand);
        condemned(self.bytes, self.hops, self.is_unparsable).or(by_hand)
    }
}

/// Why no function may be given such a record, judged when it is read
/// (commit and storage rules §4).
fn condemned(bytes: u32, hops: u8, is_unparsable: bool) -> Option<ErrorKind> {
    if u64::from(bytes) > limits::RECORD_BYTES_MAX {
        Some(ErrorKind::RecordTooLarge)
    } else if hops > limits::HOPS_MAX {
        Some(ErrorKind::Loop)
    } else if is_unparsable {
        Some(ErrorKind::Unparsable)
    } else {
        None
    }
}

/// Whether no function may be given such a record.
pub(super) fn is_condemned(record: &RecordMeta) -> bool {
    let is_unparsable = record.verdict == FilterVerdict::Unparsable;
    condemned(record.bytes, record.hops, is_unparsable).is_some()
}

const IS_OPEN: &str = "the record is not done";

/// All records that were read and are not below the low watermark.
#[derive(Clone, Debug)]
pub(super) struct Backlog {
    entries: Entries,
    low_watermark: Ordinal,
    read_position: Ordinal,
    /// Records above the low watermark that were settled before this owner and are not read again: the
    /// last one of each run, and how many.
    skipped: VecDeque<(Ordinal, u64)>,
    skipped_records: u64,
    pub(super) blocks: Blocks,
}

impl Backlog {
    pub(super) const fn starting_after(low_watermark: Ordinal) -> Self {
        Self {
            entries: Entries::new(),
            low_watermark,
            read_position: low_watermark,
            skipped: VecDeque::new(),
            skipped_records: 0,
            blocks: Blocks::new(),
        }
    }

    pub(super) const fn low_watermark(&self) -> Ordinal {
        self.low_watermark
    }

    pub(super) const fn read_position(&self) -> Ordinal {
        self.read_position
    }

    /// Records between low watermark and read position, those that were passed over included: the
    /// bound of the done-set is theirs too.
    pub(super) fn len(&self) -> u64 {
        self.entries.len() + self.skipped_records
    }

    /// Passes over what is settled already, up to `through`: nobody reads it again, so retention may
    /// take it away meanwhile.
    pub(super) fn skip_through(&mut self, through: Ordinal) {
        if through <= self.read_position {
            return;
        }
        // A source with gaps counts too many: then it waits for the low watermark, no more.
        let room = limits::UNSETTLED_RECORDS_MAX.saturating_sub(self.len());
        let records = (through.0 - self.read_position.0).min(room);
        self.skipped.push_back((through, records));
        self.skipped_records += records;
        self.read_position = through;
    }

    /// The record at a position, if it was read and is not done, or not for long.
    pub(super) fn find(&self, position: Ordinal) -> Option<Serial> {
        self.entries.find(position)
    }

    /// The oldest record that is not done.
    pub(super) fn oldest(&self) -> Option<&Entry> {
        self.entries.front()
    }

    /// All that are not done, and some that are, in the order of the shard.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// The same.
    pub(super) fn serials(&self) -> impl Iterator<Item = Serial> {
        self.entries.iter().map(|(serial, _)| serial)
    }

    /// Takes over a record that was read; `settled_before` is how far what is settled already reaches
    /// from the record in front of it.
    pub(super) fn push(
        &mut self,
        record: &RecordMeta,
        settled_before: Ordinal,
        attempts: u32,
        place: Place,
        actions: &mut Vec<Action>,
    ) -> Serial {
        assert!(
            record.position > self.read_position,
            "records are read once, in order"
        );
        let serial = self.entries.push(Entry {
            position: record.position,
            after: self.read_position.max(settled_before),
            key: record.key,
            arrival: record.arrival,
            block: record.block,
            index: record.index,
            bytes: record.bytes,
            attempts,
            is_named: false,
            is_harmless: false,
            is_apart: false,
            hops: record.hops,
            has_died: false,
            is_unparsable: record.verdict == FilterVerdict::Unparsable,
            is_given_up: false,
            place,
        });
        self.read_position = record.position;
        self.blocks.has_record(record.block, serial.0);
        self.repin(
            record.block,
            record.bytes,
            (Pin::None, place.pin()),
            actions,
        );
        serial
    }

    /// # Panics
    /// If the record was done when the low watermark was moved last.
    pub(super) fn get(&self, serial: Serial) -> &Entry {
        self.entries.get(serial).expect(IS_OPEN)
    }

    fn get_mut(&mut self, serial: Serial) -> &mut Entry {
        self.entries.get_mut(serial).expect(IS_OPEN)
    }

    /// Whether a record is not done.
    pub(super) fn is_open(&self, serial: Serial) -> bool {
        let entry = self.entries.get(serial);
        entry.is_some_and(|entry| entry.place != Place::Done)
    }

    /// Moves a record; of which key it is. A done one can be looked at until [`Self::advance`].
    pub(super) fn place(
        &mut self,
        serial: Serial,
        place: Place,
        actions: &mut Vec<Action>,
    ) -> KeyHash {
        let entry = self.get_mut(serial);
        debug_assert!(entry.place != Place::Done, "what is done stays done");
        let (from, to) = (entry.place.pin(), place.pin());
        entry.place = place;
        let (key, block, bytes) = (entry.key, entry.block, entry.bytes);
        if place == Place::Done {
            self.entries.note_done(serial);
        }
        if from != to {
            self.repin(block, bytes, (from, to), actions);
        }
        key
    }

    /// A slot takes a record into a call: its reference, and whether its payload is in memory.
    pub(super) fn begin(&mut self, serial: Serial, actions: &mut Vec<Action>) -> (RecordRef, bool) {
        let entry = self.get_mut(serial);
        let from = std::mem::replace(&mut entry.place, Place::Busy).pin();
        let (reference, bytes) = (entry.reference(), entry.bytes);
        if from != Pin::Live {
            self.repin(reference.block, bytes, (from, Pin::Live), actions);
        }
        (reference, self.blocks.is_resident(reference.block))
    }

    /// Sets the accepted charge of a record; whose the failure was.
    pub(super) fn charge(&mut self, serial: Serial, attempts: u32, fault: Fault) {
        let entry = self.get_mut(serial);
        entry.is_named |= fault != Fault::Call && attempts > entry.attempts;
        entry.is_harmless = fault == Fault::Answered && !entry.is_apart;
        entry.attempts = attempts;
        entry.has_died = false;
    }

    /// From now on this record is retried alone.
    pub(super) fn set_apart(&mut self, serial: Serial) {
        let entry = self.get_mut(serial);
        entry.is_harmless = false;
        entry.is_apart = true;
    }

    /// A process died with this record in hand.
    pub(super) fn died(&mut self, serial: Serial) {
        self.get_mut(serial).has_died = true;
    }

    /// A person gave this record up.
    pub(super) fn give_up(&mut self, serial: Serial) {
        self.get_mut(serial).is_given_up = true;
    }

    /// The payload of a record was read again.
    pub(super) fn relocate(
        &mut self,
        serial: Serial,
        block: BlockId,
        index_in_block: u32,
        actions: &mut Vec<Action>,
    ) {
        let entry = self.get_mut(serial);
        let pin = entry.place.pin();
        let before = std::mem::replace(&mut entry.block, block);
        entry.index = index_in_block;
        let bytes = entry.bytes;
        self.repin(before, bytes, (pin, Pin::None), actions);
        self.repin(block, bytes, (Pin::None, pin), actions);
    }

    /// All records of a block that was read are placed.
    pub(super) fn let_go(&mut self, block: BlockId, actions: &mut Vec<Action>) {
        self.repin(block, 0, (Pin::Live, Pin::None), actions);
    }

    fn repin(
        &mut self,
        block: BlockId,
        bytes: u32,
        (from, to): (Pin, Pin),
        actions: &mut Vec<Action>,
    ) {
        let entries = &self.entries;
        let parked = |records: Range<u64>| {
            let its = entries.range(Serial(records.start)..Serial(records.end));
            let parked =
                its.filter(|entry| entry.block == block && entry.place.pin() == Pin::Parked);
            parked.map(|entry| entry.index).collect()
        };
        let repin = Repin {
            block,
            bytes,
            from,
            to,
        };
        self.blocks.repin(repin, parked, actions);
    }

    /// Moves the low watermark over everything done.
    pub(super) fn advance(&mut self) {
        self.entries.pass_over_done();
        // All in front of the oldest record is settled, what was passed over included.
        let front = self.entries.front();
        let reached = front.map_or(self.read_position, |entry| entry.after);
        self.low_watermark = self.low_watermark.max(reached);
        let low_watermark = self.low_watermark;
        while let Some((_, records)) = self
            .skipped
            .pop_front_if(|(through, _)| *through <= low_watermark)
        {
            self.skipped_records -= records;
        }
    }
}

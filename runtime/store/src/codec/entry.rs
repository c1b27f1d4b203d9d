//! Journal entries.

use std::sync::Arc;

use bytes::Bytes;
use fnctl_core::{
    commit::{AttemptMark, Commit, OutputRecords, Redriven, UnitTotals},
    entry::{Entry, Placement, ProducerMark, ShardRun, UnitChange, UnitSeek},
    id::{
        AttemptId, FunctionId, FunctionName, FunctionVersion, LeaseEpoch, Lsn, MappingId, Ordinal,
        OutputName, ShardNumber, SlotId, StreamId, StreamName, Timestamp, UnitId,
    },
    record::NewRecords,
    settled::{SettledRange, SettledRanges},
    window::WindowChange,
};

use crate::codec::{
    DecodeError, Decoder, Value, fields, newtypes, put_length, put_u32s, take_u32s,
};

newtypes!(
    StreamId,
    FunctionId,
    MappingId,
    FunctionVersion,
    ShardNumber,
    Ordinal,
    Lsn,
    LeaseEpoch,
    Timestamp,
    AttemptId,
);

macro_rules! names {
    ($($type:ty),*) => { $(
        impl Value for $type {
            fn put(&self, out: &mut Vec<u8>) {
                put_length(self.as_str().len(), out);
                out.extend_from_slice(self.as_str().as_bytes());
            }
            fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
                let text = Arc::<str>::take(from)?;
                Self::parse(&text).map_err(|_| from.fail("a name breaks its rule"))
            }
        }
    )* };
}

names!(StreamName, FunctionName, OutputName);

fields!(UnitId {
    mapping,
    stream,
    shard
});
fields!(AttemptMark {
    position,
    count,
    version,
    next_retry,
    is_in_hand
});
fields!(OutputRecords { stream, records });
fields!(ProducerMark { producer, last });
fields!(UnitChange {
    unit,
    epoch,
    expired
});
fields!(Placement {
    stream,
    arrival,
    shards
});
fields!(UnitSeek { unit, epoch, after });
fields!(Redriven { id, body, bytes });
fields!(WindowChange { group, becomes });

/// Without the letter that it redrives, and without windows: a commit that has them is an entry of its own
/// kind.
impl Value for Commit {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            unit,
            epoch,
            slot,
            number,
            settles,
            attempts,
            totals,
            dead_letters,
            outputs,
            function_version,
            redriven: _,
            window: _,
        } = self;
        unit.put(out);
        epoch.put(out);
        slot.put(out);
        number.put(out);
        settles.put(out);
        attempts.put(out);
        totals.put(out);
        dead_letters.put(out);
        outputs.put(out);
        function_version.put(out);
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            unit: Value::take(from)?,
            epoch: Value::take(from)?,
            slot: Value::take(from)?,
            number: Value::take(from)?,
            settles: Value::take(from)?,
            attempts: Value::take(from)?,
            totals: Value::take(from)?,
            dead_letters: Value::take(from)?,
            outputs: Value::take(from)?,
            function_version: Value::take(from)?,
            redriven: None,
            window: None,
        })
    }
}

/// Set in the stored number of filtered records, which no unit ever reaches: the number of dropped ones
/// follows. Totals without any are encoded as before there were such.
const HAS_DROPPED: u64 = 1 << 63;

impl Value for UnitTotals {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            filtered,
            processed,
            failed,
            dead_lettered,
            expired,
            emitted,
            dropped,
        } = self;
        let flag = if *dropped > 0 { HAS_DROPPED } else { 0 };
        for total in [
            &(filtered | flag),
            processed,
            failed,
            dead_lettered,
            expired,
            emitted,
        ] {
            total.put(out);
        }
        if *dropped > 0 {
            dropped.put(out);
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let filtered = u64::take(from)?;
        let mut totals = Self {
            filtered: filtered & !HAS_DROPPED,
            processed: Value::take(from)?,
            failed: Value::take(from)?,
            dead_lettered: Value::take(from)?,
            expired: Value::take(from)?,
            emitted: Value::take(from)?,
            dropped: 0,
        };
        if filtered & HAS_DROPPED != 0 {
            totals.dropped = Value::take(from)?;
        }
        Ok(totals)
    }
}

impl Value for SlotId {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Lane(lane) => {
                out.push(0);
                lane.put(out);
            }
            Self::Retry => out.push(1),
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            0 => Ok(Self::Lane(u16::take(from)?)),
            1 => Ok(Self::Retry),
            _ => Err(from.fail("a slot is neither lane nor retry slot")),
        }
    }
}

impl Value for SettledRange {
    fn put(&self, out: &mut Vec<u8>) {
        self.after.put(out);
        self.through.put(out);
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (after, through) = (Ordinal::take(from)?, Ordinal::take(from)?);
        if after >= through {
            return Err(from.fail("a settled range is empty"));
        }
        Ok(Self { after, through })
    }
}

impl Value for SettledRanges {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.as_slice().len(), out);
        for range in self.as_slice() {
            range.put(out);
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let count = from.count(16)?;
        let (mut ranges, mut last) = (Self::new(), None);
        for _ in 0..count {
            let range = SettledRange::take(from)?;
            if last.is_some_and(|last| range.after <= last) {
                return Err(from.fail("settled ranges touch or do not ascend"));
            }
            last = Some(range.through);
            ranges.push(range);
        }
        Ok(ranges)
    }
}

impl Value for ShardRun {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { shard, first, rows } = self;
        shard.put(out);
        first.put(out);
        rows.is_some().put(out);
        if let Some(rows) = rows {
            put_length(rows.len(), out);
            put_u32s(rows, out);
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (shard, first) = (ShardNumber::take(from)?, Ordinal::take(from)?);
        let rows = if bool::take(from)? {
            let count = from.count(4)?;
            Some(take_u32s(from, count)?)
        } else {
            None
        };
        Ok(Self { shard, first, rows })
    }
}

/// Refuses a placement that names rows its records do not have.
fn check(placement: &Placement, count: usize, from: &Decoder) -> Result<(), DecodeError> {
    let is_sound = placement.shards.iter().all(|run| {
        run.rows.as_ref().is_none_or(|rows| {
            rows.is_sorted_by(|a, b| a < b) && rows.last().is_none_or(|&r| (r as usize) < count)
        })
    });
    if is_sound {
        Ok(())
    } else {
        Err(from.fail("a placement names rows that are not there"))
    }
}

const APPEND: u8 = 1;
const COMMIT: u8 = 2;
const LEASE: u8 = 3;
const META: u8 = 4;
const TRIM: u8 = 5;
const CHANGE: u8 = 6;
const FORGET: u8 = 7;
/// A commit that redrives a letter.
const REDRIVE: u8 = 16;
const PURGE: u8 = 17;
const SEEK: u8 = 18;
/// A commit that changes a window, and may redrive a letter.
const WINDOW: u8 = 19;

/// Appends an entry: its kind (which is also its format), then its value.
pub(crate) fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    match entry {
        Entry::Append {
            placement,
            records,
            producer,
        } => {
            out.push(APPEND);
            placement.put(out);
            producer.put(out);
            records.put(out);
        }
        Entry::Commit {
            commit,
            outputs,
            dead_letters,
        } => {
            out.push(match (&commit.window, &commit.redriven) {
                (None, None) => COMMIT,
                (None, Some(_)) => REDRIVE,
                (Some(_), _) => WINDOW,
            });
            commit.put(out);
            if let Some(change) = &commit.window {
                change.put(out);
                commit.redriven.is_some().put(out);
            }
            if let Some(redriven) = &commit.redriven {
                redriven.put(out);
            }
            outputs.put(out);
            dead_letters.put(out);
        }
        Entry::Lease { grants } => {
            out.push(LEASE);
            grants.put(out);
        }
        Entry::Meta { change, units } => {
            out.push(META);
            change.put(out);
            units.put(out);
        }
        Entry::Trim {
            stream,
            shard,
            horizon,
            floor,
        } => {
            out.push(TRIM);
            stream.put(out);
            shard.put(out);
            horizon.put(out);
            floor.put(out);
        }
        Entry::Forget {
            stream,
            shards,
            totals,
        } => {
            out.push(FORGET);
            stream.put(out);
            shards.put(out);
            totals.put(out);
        }
        Entry::Change { units } => {
            out.push(CHANGE);
            units.put(out);
        }
        Entry::Seek { seeks, units } => {
            out.push(SEEK);
            seeks.put(out);
            units.put(out);
        }
        Entry::Purge {
            stream,
            letters,
            bytes,
        } => {
            out.push(PURGE);
            stream.put(out);
            letters.put(out);
            bytes.put(out);
        }
    }
}

/// Decodes what [`encode_entry`] wrote; records are slices of `bytes`.
pub(crate) fn decode_entry(bytes: Bytes) -> Result<Entry, DecodeError> {
    let mut from = Decoder::new(bytes);
    let entry = match u8::take(&mut from)? {
        APPEND => {
            let placement = Placement::take(&mut from)?;
            let producer = Value::take(&mut from)?;
            let records = Arc::<NewRecords>::take(&mut from)?;
            check(&placement, records.len(), &from)?;
            Entry::Append {
                placement,
                records,
                producer,
            }
        }
        kind @ (COMMIT | REDRIVE | WINDOW) => {
            let mut commit = Commit::take(&mut from)?;
            let mut is_redriven = kind == REDRIVE;
            if kind == WINDOW {
                commit.window = Some(Value::take(&mut from)?);
                is_redriven = Value::take(&mut from)?;
            }
            if is_redriven {
                let redriven = Redriven::take(&mut from)?;
                if redriven.id == Ordinal(0) || redriven.body < redriven.id {
                    return Err(from.fail("a redriven letter lies before itself"));
                }
                if commit.dead_letters.len() > 1 {
                    return Err(from.fail("a redriven letter becomes several"));
                }
                commit.redriven = Some(redriven);
            }
            let commit = Arc::new(commit);
            let outputs = Vec::<Placement>::take(&mut from)?;
            if outputs.len() != commit.outputs.len() {
                return Err(from.fail("a commit's outputs and their places differ in number"));
            }
            for (placement, output) in outputs.iter().zip(&commit.outputs) {
                check(placement, output.records.len(), &from)?;
            }
            let dead_letters: Option<Placement> = Value::take(&mut from)?;
            if let Some(placement) = &dead_letters {
                check(placement, commit.dead_letters.len(), &from)?;
            }
            Entry::Commit {
                commit,
                outputs,
                dead_letters,
            }
        }
        LEASE => Entry::Lease {
            grants: Value::take(&mut from)?,
        },
        META => Entry::Meta {
            change: Value::take(&mut from)?,
            units: Value::take(&mut from)?,
        },
        TRIM => Entry::Trim {
            stream: Value::take(&mut from)?,
            shard: Value::take(&mut from)?,
            horizon: Value::take(&mut from)?,
            floor: Value::take(&mut from)?,
        },
        FORGET => Entry::Forget {
            stream: Value::take(&mut from)?,
            shards: Value::take(&mut from)?,
            totals: Value::take(&mut from)?,
        },
        CHANGE => Entry::Change {
            units: Value::take(&mut from)?,
        },
        SEEK => Entry::Seek {
            seeks: Value::take(&mut from)?,
            units: Value::take(&mut from)?,
        },
        PURGE => Entry::Purge {
            stream: Value::take(&mut from)?,
            letters: Value::take(&mut from)?,
            bytes: Value::take(&mut from)?,
        },
        _ => return Err(from.fail("an entry's kind is not known")),
    };
    from.end()?;
    Ok(entry)
}

/// About how many bytes the records of an entry take in a frame: what bounds and budgets count.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    const RECORD: usize = 40;
    const ENTRY: usize = 128;
    match entry {
        Entry::Append { records, .. } => ENTRY + records.byte_len() + records.len() * RECORD,
        Entry::Commit { commit, .. } => ENTRY + commit_bytes(commit),
        Entry::Lease { grants } => ENTRY + grants.len() * RECORD,
        Entry::Purge { letters, .. } => ENTRY + letters.as_slice().len() * RECORD,
        Entry::Seek { seeks, units } => ENTRY + (seeks.len() + units.len()) * RECORD,
        Entry::Change { units } => ENTRY + units.len() * RECORD,
        Entry::Forget { shards, totals, .. } => ENTRY + (shards.len() + totals.len()) * RECORD,
        Entry::Meta { .. } | Entry::Trim { .. } => ENTRY,
    }
}

/// As [`entry_bytes`], of a commit that is not placed yet.
pub(crate) fn commit_bytes(commit: &Commit) -> usize {
    const ROW: usize = 64;
    const LETTER: usize = 256;
    let rows = |output: &OutputRecords| output.records.byte_len() + output.records.len() * ROW;
    let window = commit.window.as_ref();
    let state = window.and_then(|window| Some(window.becomes.open.as_ref()?.state.len()));
    commit.outputs.iter().map(rows).sum::<usize>()
        + state.unwrap_or_default()
        + commit
            .dead_letters
            .iter()
            .map(|l| l.data.len() + l.key.len() + l.error.len() + LETTER)
            .sum::<usize>()
        + (commit.settles.as_slice().len() + commit.attempts.len()) * ROW
}

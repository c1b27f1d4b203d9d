//! Journal entries.

use std::sync::Arc;

use bytes::Bytes;
use fnctl_core::{
    commit::{AttemptMark, Commit, OutputRecords, UnitTotals},
    entry::{Entry, Placement, ProducerMark, ShardRun, UnitChange},
    id::{
        AttemptId, FunctionId, FunctionName, FunctionVersion, LeaseEpoch, Lsn, MappingId, Ordinal,
        OutputName, ShardNumber, SlotId, StreamId, StreamName, Timestamp, UnitId,
    },
    record::NewRecords,
    settled::{SettledRange, SettledRanges},
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
fields!(UnitTotals {
    filtered,
    processed,
    failed,
    dead_lettered,
    expired,
    emitted
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
fields!(Commit {
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
});

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
            out.push(COMMIT);
            commit.put(out);
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
        COMMIT => {
            let commit = Arc::<Commit>::take(&mut from)?;
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
        Entry::Meta { .. } | Entry::Trim { .. } | Entry::Forget { .. } | Entry::Change { .. } => {
            ENTRY
        }
    }
}

/// As [`entry_bytes`], of a commit that is not placed yet.
pub(crate) fn commit_bytes(commit: &Commit) -> usize {
    const ROW: usize = 64;
    const LETTER: usize = 256;
    let rows = |output: &OutputRecords| output.records.byte_len() + output.records.len() * ROW;
    commit.outputs.iter().map(rows).sum::<usize>()
        + commit
            .dead_letters
            .iter()
            .map(|l| l.data.len() + l.key.len() + l.error.len() + LETTER)
            .sum::<usize>()
        + (commit.settles.as_slice().len() + commit.attempts.len()) * ROW
}

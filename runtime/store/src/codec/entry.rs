//! Journal entries.

use std::sync::Arc;

use bytes::Bytes;
use fnctl_core::{
    commit::{Commit, Redriven},
    entry::{Entry, Placement, ProducerMark, ShardRun, UnitChange, UnitSeek},
    id::{
        AttemptId, FunctionId, FunctionName, FunctionVersion, LeaseEpoch, Lsn, MappingId, Ordinal,
        OutputName, ShardNumber, StreamId, StreamName, Timestamp, UnitId,
    },
    record::NewRecords,
};

use crate::codec::{
    DecodeError, Decoder, Value, commit::commit_bytes, fields, newtypes, put_length, put_u32s,
    take_u32s,
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
/// A seek from before a mapping kept what its units had counted.
const UNCOUNTED_SEEK: u8 = 18;
/// A commit that changes a window, and may redrive a letter.
const WINDOW: u8 = 19;
/// A commit that says which circuits are open, and may change a window or redrive a letter.
const CIRCUIT: u8 = 20;
const SEEK: u8 = 21;

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
            out.push(match (&commit.outages, &commit.window, &commit.redriven) {
                (Some(_), _, _) => CIRCUIT,
                (None, None, None) => COMMIT,
                (None, None, Some(_)) => REDRIVE,
                (None, Some(_), _) => WINDOW,
            });
            commit.put(out);
            if let Some(outages) = &commit.outages {
                outages.put(out);
                commit.window.is_some().put(out);
            }
            if let Some(change) = &commit.window {
                change.put(out);
            }
            if commit.outages.is_some() || commit.window.is_some() {
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
        Entry::Seek {
            seeks,
            totals,
            units,
        } => {
            out.push(SEEK);
            seeks.put(out);
            totals.put(out);
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
        kind @ (COMMIT | REDRIVE | WINDOW | CIRCUIT) => {
            let mut commit = Commit::take(&mut from)?;
            let mut is_windowed = kind == WINDOW;
            if kind == CIRCUIT {
                commit.outages = Some(Value::take(&mut from)?);
                is_windowed = Value::take(&mut from)?;
            }
            if is_windowed {
                commit.window = Some(Value::take(&mut from)?);
            }
            let is_redriven = match kind {
                WINDOW | CIRCUIT => Value::take(&mut from)?,
                _ => kind == REDRIVE,
            };
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
        kind @ (SEEK | UNCOUNTED_SEEK) => Entry::Seek {
            seeks: Value::take(&mut from)?,
            totals: match kind {
                SEEK => Value::take(&mut from)?,
                _ => Vec::new(),
            },
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
        Entry::Seek {
            seeks,
            totals,
            units,
        } => ENTRY + (seeks.len() + totals.len() + units.len()) * RECORD,
        Entry::Change { units } => ENTRY + units.len() * RECORD,
        Entry::Forget { shards, totals, .. } => ENTRY + (shards.len() + totals.len()) * RECORD,
        Entry::Meta { .. } | Entry::Trim { .. } => ENTRY,
    }
}

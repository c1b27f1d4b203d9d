//! A commit, and what is in it.

use fnctl_core::{
    breaker::{Outage, Outages},
    commit::{AttemptMark, Commit, OutputRecords, Redriven, UnitTotals},
    id::{Ordinal, SlotId},
    outcome::Cause,
    settled::{SettledRange, SettledRanges},
    window::WindowChange,
};

use crate::codec::{DecodeError, Decoder, Value, fields, put_length};

fields!(OutputRecords { stream, records });
fields!(Redriven { id, body, bytes });
fields!(WindowChange { group, becomes });
fields!(Cause { kind, code, error });
fields!(Outage {
    version,
    since,
    cause
});
fields!(Outages { live, canary });

/// Set in the flags of a mark whose record is in hand.
const IN_HAND: u8 = 1;
/// Set in the flags of a mark that its cause follows. Without one it is encoded as before there were causes.
const HAS_CAUSE: u8 = 2;

impl Value for AttemptMark {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            position,
            count,
            version,
            next_retry,
            is_in_hand,
            cause,
        } = self;
        position.put(out);
        count.put(out);
        version.put(out);
        next_retry.put(out);
        let in_hand = if *is_in_hand { IN_HAND } else { 0 };
        let has_cause = if cause.is_some() { HAS_CAUSE } else { 0 };
        out.push(in_hand | has_cause);
        if let Some(cause) = cause {
            cause.put(out);
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let mut mark = Self {
            position: Value::take(from)?,
            count: Value::take(from)?,
            version: Value::take(from)?,
            next_retry: Value::take(from)?,
            is_in_hand: false,
            cause: None,
        };
        let flags = u8::take(from)?;
        if flags & !(IN_HAND | HAS_CAUSE) != 0 {
            return Err(from.fail("a mark's flags are not known"));
        }
        mark.is_in_hand = flags & IN_HAND != 0;
        if flags & HAS_CAUSE != 0 {
            mark.cause = Some(Value::take(from)?);
        }
        Ok(mark)
    }
}

/// Without the letter that it redrives, and without windows and circuits: a commit that has them is an entry
/// of its own kind.
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
            outages: _,
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
            outages: None,
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

/// As [`entry_bytes`], of a commit that is not placed yet.
pub(crate) fn commit_bytes(commit: &Commit) -> usize {
    const ROW: usize = 64;
    const LETTER: usize = 256;
    let rows = |output: &OutputRecords| output.records.byte_len() + output.records.len() * ROW;
    let window = commit.window.as_ref();
    let state = window.and_then(|window| Some(window.becomes.open.as_ref()?.state.len()));
    let cause = |mark: &AttemptMark| Some(mark.cause.as_ref()?.error.len() + ROW);
    let causes = commit.attempts.iter().filter_map(cause);
    commit.outputs.iter().map(rows).sum::<usize>()
        + causes.sum::<usize>()
        + state.unwrap_or_default()
        + commit
            .dead_letters
            .iter()
            .map(|l| l.data.len() + l.key.len() + l.error.len() + LETTER)
            .sum::<usize>()
        + (commit.settles.as_slice().len() + commit.attempts.len()) * ROW
}

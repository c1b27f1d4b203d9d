//! A dead letter as the payload of a record of its mapping's dead-letter stream.

use bytes::Bytes;
use fnctl_core::commit::{CallCost, DeadLetter, ErrorKind};

use crate::codec::{DecodeError, Decoder, Value, decode, encode, fields};

const FORMAT: u8 = 1;
/// Bit of the kind: what the call took stands behind the other fields. Letters from before that was kept do
/// not have it, and a version that does not know it refuses the kind.
const HAS_COST: u8 = 0x80;

impl Value for ErrorKind {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Skip => 1,
            Self::Error => 2,
            Self::Trap => 3,
            Self::Timeout => 4,
            Self::OutOfMemory => 5,
            Self::OutputTooLarge => 6,
            Self::RecordTooLarge => 7,
            Self::Loop => 8,
            Self::Unparsable => 16,
            Self::RecordTooOld => 10,
            Self::Fatal => 11,
            Self::WindowFailed => 17,
            Self::ByHand => 12,
        });
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let number = u8::take(from)?;
        kind_of(number, from)
    }
}

fn kind_of(number: u8, from: &Decoder) -> Result<ErrorKind, DecodeError> {
    Ok(match number {
        1 => ErrorKind::Skip,
        2 => ErrorKind::Error,
        3 => ErrorKind::Trap,
        4 => ErrorKind::Timeout,
        5 => ErrorKind::OutOfMemory,
        6 => ErrorKind::OutputTooLarge,
        7 => ErrorKind::RecordTooLarge,
        8 => ErrorKind::Loop,
        16 => ErrorKind::Unparsable,
        10 => ErrorKind::RecordTooOld,
        11 => ErrorKind::Fatal,
        17 => ErrorKind::WindowFailed,
        12 => ErrorKind::ByHand,
        _ => return Err(from.fail("an error kind is not known")),
    })
}

fields!(CallCost {
    duration_us,
    memory_bytes,
});

impl Value for DeadLetter {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            shard,
            position,
            arrival,
            sequence_number,
            key,
            hash_key,
            data,
            kind,
            code,
            error,
            attempts,
            version,
            failed_at,
            cost,
        } = self;
        shard.put(out);
        position.put(out);
        arrival.put(out);
        sequence_number.put(out);
        key.put(out);
        hash_key.put(out);
        data.put(out);
        let at = out.len();
        kind.put(out);
        if cost.is_some() {
            out[at] |= HAS_COST;
        }
        code.put(out);
        error.put(out);
        attempts.put(out);
        version.put(out);
        failed_at.put(out);
        if let Some(cost) = cost {
            cost.put(out);
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let shard = Value::take(from)?;
        let position = Value::take(from)?;
        let arrival = Value::take(from)?;
        let sequence_number = Value::take(from)?;
        let key = Value::take(from)?;
        let hash_key = Value::take(from)?;
        let data = Value::take(from)?;
        let kind = u8::take(from)?;
        let has_cost = kind & HAS_COST != 0;
        Ok(Self {
            shard,
            position,
            arrival,
            sequence_number,
            key,
            hash_key,
            data,
            kind: kind_of(kind & !HAS_COST, from)?,
            code: Value::take(from)?,
            error: Value::take(from)?,
            attempts: Value::take(from)?,
            version: Value::take(from)?,
            failed_at: Value::take(from)?,
            cost: match has_cost {
                true => Some(Value::take(from)?),
                false => None,
            },
        })
    }
}

/// The payload under which a letter is stored.
#[must_use]
pub fn encode_dead_letter(letter: &DeadLetter) -> Vec<u8> {
    encode(FORMAT, letter)
}

/// Reads a stored letter; key and payload are slices of `payload`.
///
/// # Errors
/// It is no letter, or of a format that this version does not know.
pub fn decode_dead_letter(payload: Bytes) -> Result<DeadLetter, DecodeError> {
    decode(FORMAT, payload)
}

//! A dead letter as the payload of a record of its mapping's dead-letter stream.

use bytes::Bytes;
use fnctl_core::commit::{DeadLetter, ErrorKind};

use crate::codec::{DecodeError, Decoder, Value, decode, encode, fields};

const FORMAT: u8 = 1;

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
        Ok(match u8::take(from)? {
            1 => Self::Skip,
            2 => Self::Error,
            3 => Self::Trap,
            4 => Self::Timeout,
            5 => Self::OutOfMemory,
            6 => Self::OutputTooLarge,
            7 => Self::RecordTooLarge,
            8 => Self::Loop,
            16 => Self::Unparsable,
            10 => Self::RecordTooOld,
            11 => Self::Fatal,
            17 => Self::WindowFailed,
            12 => Self::ByHand,
            _ => return Err(from.fail("an error kind is not known")),
        })
    }
}

fields!(DeadLetter {
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
});

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

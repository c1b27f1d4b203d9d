//! Sequence numbers: a record's place as Kinesis spells it, a decimal of 186 bits
//! (Kinesis reference B8, version 2).
//!
//! | nibbles | field |
//! |---|---|
//! | 1 | `2` |
//! | 9 | creation of the shard, s |
//! | 1 | low nibble of the shard's number |
//! | 16 | index: our ordinal, so it rises by 1 a record and the shard's start, 0, sorts below all |
//! | 2 | `00` |
//! | 9 | arrival, s |
//! | 8 | shard's number |
//! | 1 | `2`, the version |

mod decimal;
#[cfg(test)]
mod tests;

use fnctl_core::id::{Ordinal, ShardNumber, Timestamp};

use decimal::{Digits, Wide};

/// Characters of a sequence number.
pub const SEQUENCE_CHARS: usize = 56;
/// The index that ends a closed shard.
pub const INDEX_END: u64 = 0x7fff_ffff_ffff_ffff;
/// Creation times at or above this many seconds are refused, as Kinesis refuses them.
const CREATED_S_MAX: u64 = 16_025_175_000;

const VERSION: u128 = 2;
const SHARD_SHIFT: u32 = 4;
const ARRIVAL_SHIFT: u32 = 36;
const INDEX_SHIFT: u32 = 80;
/// Bits of the upper half.
const INDEX_HIGH_BITS: u32 = 48;
const NIBBLE_SHIFT: u32 = 16;
const CREATED_SHIFT: u32 = 20;
const MARK_SHIFT: u32 = 56;
const SECONDS_MASK: u64 = (1 << 36) - 1;

/// What a sequence number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// 0, 1 or 2; ours are 2.
    pub version: u8,
    /// When its shard was made, seconds since the Unix epoch.
    pub created_s: u64,
    /// Its shard's number; a signed field on the wire.
    pub shard: i32,
    /// Its index in the shard (version 2 only).
    pub index: u64,
    /// When it arrived, seconds since the Unix epoch (versions 1 and 2).
    pub arrival_s: u64,
}

/// Why a sequence number was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sequence number")]
pub struct SequenceError;

/// The sequence number of one record.
#[must_use]
pub fn encode(
    shard_created_at: Timestamp,
    shard: ShardNumber,
    ordinal: Ordinal,
    arrival: Timestamp,
) -> String {
    let mut out = Vec::with_capacity(SEQUENCE_CHARS);
    Run::new(shard_created_at, shard, ordinal, arrival).write_next(&mut out);
    String::from_utf8(out).expect("digits are text")
}

/// Where a shard's numbers start: below its first record.
#[must_use]
pub fn start_of_shard(shard_created_at: Timestamp, shard: ShardNumber) -> String {
    encode(shard_created_at, shard, Ordinal(0), shard_created_at)
}

/// Where a closed shard's numbers end: above its last record.
#[must_use]
pub fn end_of_shard(
    shard_created_at: Timestamp,
    shard: ShardNumber,
    closed_at: Timestamp,
) -> String {
    encode(shard_created_at, shard, Ordinal(INDEX_END), closed_at)
}

/// Reads a sequence number of any version.
///
/// # Errors
/// It is none: not `0|([1-9]\d{0,128})`, an unknown version, an index or a date out of range.
pub fn decode(text: &str) -> Result<Decoded, SequenceError> {
    let wide = Wide::parse(text).ok_or(SequenceError)?;
    let decoded = if wide.is_below_power(129) {
        version_zero(wide)
    } else if wide.nibble_count() == 47 && wide.nibble(0) == 2 {
        // The leading nibble 2 is Kinesis' own test: between 2^185 and 1.5 times that.
        match wide.field(46..47) {
            2 => version_two(wide),
            1 => version_one(wide),
            _ => return Err(SequenceError),
        }
    } else {
        return Err(SequenceError);
    };
    if decoded.version != 1 && decoded.created_s >= CREATED_S_MAX {
        return Err(SequenceError);
    }
    if decoded.index > INDEX_END {
        return Err(SequenceError);
    }
    Ok(decoded)
}

/// Version 0: `1`, creation (9), two unknown, 16 random, shard (4). Small numbers lack the `1`.
fn version_zero(wide: Wide) -> Decoded {
    let wide = if wide.is_below_power(124) {
        wide.plus_power_124()
    } else {
        wide
    };
    Decoded {
        version: 0,
        created_s: wide.field(1..10),
        shard: signed(wide.field(28..32)),
        index: 0,
        arrival_s: 0,
    }
}

/// Version 1: `2`, creation (9), nibble, two unknown, arrival (9), 14 random, index (2), shard (8), `1`.
fn version_one(wide: Wide) -> Decoded {
    Decoded {
        version: 1,
        created_s: wide.field(1..10),
        shard: signed(wide.field(38..46)),
        index: wide.field(36..38),
        arrival_s: wide.field(13..22),
    }
}

fn version_two(wide: Wide) -> Decoded {
    Decoded {
        version: 2,
        created_s: wide.field(1..10),
        shard: signed(wide.field(38..46)),
        index: wide.field(11..27),
        arrival_s: wide.field(29..38),
    }
}

/// The shard field: 32 bits, signed.
fn signed(field: u64) -> i32 {
    let bytes = field.to_be_bytes();
    i32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// Consecutive sequence numbers of one shard within one second of arrival: each costs an addition
/// instead of a conversion of 186 bits.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    digits: Digits,
}

impl Run {
    /// A run that begins at `first`.
    #[must_use]
    pub fn new(
        shard_created_at: Timestamp,
        shard: ShardNumber,
        first: Ordinal,
        arrival: Timestamp,
    ) -> Self {
        let created_s = (shard_created_at.0 / 1_000) & SECONDS_MASK;
        let arrival_s = (arrival.0 / 1_000) & SECONDS_MASK;
        let index = first.0 & INDEX_END;
        let wide = Wide {
            high: 2 << MARK_SHIFT
                | created_s << CREATED_SHIFT
                | u64::from(shard.0 & 0xf) << NIBBLE_SHIFT
                | index >> INDEX_HIGH_BITS,
            low: u128::from(index) << INDEX_SHIFT
                | u128::from(arrival_s) << ARRIVAL_SHIFT
                | u128::from(shard.0) << SHARD_SHIFT
                | VERSION,
        };
        Self {
            digits: Digits::of(wide),
        }
    }

    /// Writes the next number's digits, [`SEQUENCE_CHARS`] of them.
    pub fn write_next(&mut self, out: &mut Vec<u8>) {
        self.digits.write(out);
        self.digits.add_index_step();
    }
}

//! Records as columns: what is moved by the megabyte, so every array is one copy.

use fnctl_core::record::{ByteColumn, NewRecords, Origin};

use crate::codec::{DecodeError, Decoder, Value, fields, put_length};

macro_rules! arrays {
    ($($put:ident, $take:ident, $type:ty;)*) => { $(
        /// Appends the numbers without their count.
        pub(crate) fn $put(values: &[$type], out: &mut Vec<u8>) {
            const WIDTH: usize = size_of::<$type>();
            let start = out.len();
            // Sized first, then filled: the loop below becomes one copy.
            out.resize(start + values.len() * WIDTH, 0);
            for (to, value) in out[start..].chunks_exact_mut(WIDTH).zip(values) {
                to.copy_from_slice(&value.to_le_bytes());
            }
        }

        /// Reads `count` numbers.
        pub(crate) fn $take(from: &mut Decoder, count: usize) -> Result<Vec<$type>, DecodeError> {
            const WIDTH: usize = size_of::<$type>();
            let bytes = from.slice(count.saturating_mul(WIDTH))?;
            Ok(bytes
                .chunks_exact(WIDTH)
                .map(|b| <$type>::from_le_bytes(b.try_into().expect("chunks have this length")))
                .collect())
        }
    )* };
}

arrays! {
    put_u32s, take_u32s, u32;
    put_u64s, take_u64s, u64;
    put_u128s, take_u128s, u128;
}

impl Value for ByteColumn {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { bytes, ends, nulls } = self;
        put_length(ends.len(), out);
        put_length(nulls.len(), out);
        put_length(bytes.len(), out);
        put_u32s(ends, out);
        put_u32s(nulls, out);
        out.extend_from_slice(bytes);
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (count, nulls, length) = (u32::take(from)?, u32::take(from)?, u32::take(from)?);
        let column = Self {
            ends: take_u32s(from, count as usize)?,
            nulls: take_u32s(from, nulls as usize)?,
            bytes: from.share(length as usize)?,
        };
        match column.check() {
            Ok(()) => Ok(column),
            Err(_) => Err(from.fail("a column's ends or nulls are wrong")),
        }
    }
}

fields!(Origin {
    stream,
    shard,
    position
});

const HAS_HOPS: u8 = 1;
const HAS_ORIGINS: u8 = 2;

/// Appends the optional columns: a flag byte, then those there are.
fn put_optional(hops: &[u8], origins: &[Origin], out: &mut Vec<u8>) {
    let has_hops = if hops.is_empty() { 0 } else { HAS_HOPS };
    let has_origins = if origins.is_empty() { 0 } else { HAS_ORIGINS };
    out.push(has_hops | has_origins);
    out.extend_from_slice(hops);
    for origin in origins {
        origin.put(out);
    }
}

fn take_optional(from: &mut Decoder, count: usize) -> Result<(Vec<u8>, Vec<Origin>), DecodeError> {
    let flags = u8::take(from)?;
    if flags & !(HAS_HOPS | HAS_ORIGINS) != 0 {
        return Err(from.fail("an optional column is not known"));
    }
    let hops = if flags & HAS_HOPS == 0 {
        Vec::new()
    } else {
        from.slice(count)?.to_vec()
    };
    let mut origins = Vec::new();
    if flags & HAS_ORIGINS != 0 {
        for _ in 0..count {
            origins.push(Origin::take(from)?);
        }
    }
    Ok((hops, origins))
}

impl Value for NewRecords {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            keys,
            data,
            hash_keys,
            hops,
            origins,
        } = self;
        keys.put(out);
        data.put(out);
        put_u128s(hash_keys, out);
        put_optional(hops, origins, out);
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (keys, data) = (ByteColumn::take(from)?, ByteColumn::take(from)?);
        if keys.len() != data.len() {
            return Err(from.fail("keys and payloads differ in number"));
        }
        let hash_keys = take_u128s(from, keys.len())?;
        let (hops, origins) = take_optional(from, keys.len())?;
        Ok(Self {
            keys,
            data,
            hash_keys,
            hops,
            origins,
        })
    }
}

/// A block's columns without its place: what a segment frame holds.
pub(crate) mod block {
    use std::sync::Arc;

    use fnctl_core::record::{ByteColumn, RecordBlock, Records};

    use super::{
        HAS_HOPS, HAS_ORIGINS, put_u32s, put_u64s, put_u128s, take_optional, take_u64s, take_u128s,
    };
    use crate::codec::{DecodeError, Decoder, Value, put_length};

    /// Appends the columns of blocks that follow each other, as those of one: every byte is copied
    /// once, from where it lies to where it is written from.
    pub(crate) fn put(blocks: &[Arc<RecordBlock>], out: &mut Vec<u8>) {
        put_joined(blocks, |block| &block.records.keys, out);
        put_joined(blocks, |block| &block.records.data, out);
        for block in blocks {
            put_u64s(&block.records.arrival_ms, out);
        }
        for block in blocks {
            put_u128s(&block.hash_keys, out);
        }
        let has_hops = blocks.iter().any(|block| !block.hops.is_empty());
        let has_origins = blocks.iter().any(|block| !block.origins.is_empty());
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        out.push(flag(has_hops, HAS_HOPS) | flag(has_origins, HAS_ORIGINS));
        if has_hops {
            for block in blocks {
                out.extend_from_slice(&block.hops);
                // None means no hops at all.
                out.resize(out.len() + block.len() - block.hops.len(), 0);
            }
        }
        for origin in blocks.iter().flat_map(|block| &block.origins) {
            origin.put(out);
        }
    }

    fn put_joined<'a>(
        blocks: &'a [Arc<RecordBlock>],
        column: impl Fn(&'a RecordBlock) -> &'a ByteColumn,
        out: &mut Vec<u8>,
    ) {
        let columns = || blocks.iter().map(|block| column(block));
        let total = |size: fn(&ByteColumn) -> usize| columns().map(size).sum::<usize>();
        put_length(total(|column| column.ends.len()), out);
        put_length(total(|column| column.nulls.len()), out);
        put_length(total(|column| column.bytes.len()), out);
        let mut before = 0;
        for column in columns() {
            put_u32s_above(&column.ends, before, out);
            before += column.bytes.len();
        }
        let mut rows = 0;
        for column in columns() {
            put_u32s_above(&column.nulls, rows, out);
            rows += column.ends.len();
        }
        for column in columns() {
            out.extend_from_slice(&column.bytes);
        }
    }

    /// Appends numbers that count from `base`.
    fn put_u32s_above(values: &[u32], base: usize, out: &mut Vec<u8>) {
        if base == 0 {
            return put_u32s(values, out);
        }
        let base = u32::try_from(base).expect("an arena stays below 4 GiB");
        let start = out.len();
        out.resize(start + size_of_val(values), 0);
        for (to, value) in out[start..].chunks_exact_mut(4).zip(values) {
            to.copy_from_slice(&(value + base).to_le_bytes());
        }
    }

    /// Reads columns into `place`, an empty block with its stream, shard and first ordinal.
    pub(crate) fn take(
        from: &mut Decoder,
        mut place: RecordBlock,
    ) -> Result<RecordBlock, DecodeError> {
        let (keys, data) = (ByteColumn::take(from)?, ByteColumn::take(from)?);
        let count = data.len();
        if keys.len() != count {
            return Err(from.fail("keys and payloads differ in number"));
        }
        place.records = Records {
            keys,
            data,
            arrival_ms: take_u64s(from, count)?,
        };
        place.hash_keys = take_u128s(from, count)?;
        (place.hops, place.origins) = take_optional(from, count)?;
        Ok(place)
    }
}

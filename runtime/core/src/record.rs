//! Records as columns: one byte arena and end offsets per variable-length field, from the socket to
//! the function and back, so that nothing is allocated per record.

mod gather;

use std::ops::Range;

use bytes::Bytes;

use crate::{
    id::{Ordinal, ShardNumber, StreamId, Timestamp},
    lane::{KeyHash, key_hash},
};

/// Values laid end to end: value `i` is `bytes[ends[i - 1]..ends[i]]`, the first starts at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteColumn {
    /// All values, one after another. Shared, never copied to be sliced.
    pub bytes: Bytes,
    /// Where each value ends; never decreasing, the last is `bytes.len()`.
    pub ends: Vec<u32>,
    /// Indices of values that are null, ascending; usually empty.
    pub nulls: Vec<u32>,
}

/// Why a column is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// An end lies before its predecessor.
    #[error("end {index} lies before the one in front of it")]
    EndsDecrease {
        /// Which end.
        index: usize,
    },
    /// The last end is not the arena's length.
    #[error("the ends cover {covered} bytes of {length}")]
    Uncovered {
        /// The last end.
        covered: usize,
        /// The arena's length.
        length: usize,
    },
    /// Null indices are out of range, repeated or unordered.
    #[error("null index {index} is out of range or out of order")]
    BadNull {
        /// The offending index.
        index: u32,
    },
}

impl ByteColumn {
    /// Number of values.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Where value `index` lies in the arena.
    ///
    /// # Panics
    /// If there is no such value.
    #[inline]
    #[must_use]
    pub fn range(&self, index: usize) -> Range<usize> {
        let start = if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize
        };
        start..self.ends[index] as usize
    }

    /// Value `index`; a null is the empty slice.
    ///
    /// # Panics
    /// If there is no such value.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.range(index)]
    }

    /// Value `index` as shared bytes: no copy.
    ///
    /// # Panics
    /// If there is no such value.
    #[must_use]
    pub fn share(&self, index: usize) -> Bytes {
        self.bytes.slice(self.range(index))
    }

    /// Whether value `index` is null.
    #[inline]
    #[must_use]
    pub fn is_null(&self, index: usize) -> bool {
        !self.nulls.is_empty()
            && u32::try_from(index).is_ok_and(|index| self.nulls.binary_search(&index).is_ok())
    }

    /// Checks a column that came from outside (a guest, a file).
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn check(&self) -> Result<(), ColumnError> {
        let mut last = 0;
        for (index, &end) in self.ends.iter().enumerate() {
            if end < last {
                return Err(ColumnError::EndsDecrease { index });
            }
            last = end;
        }
        if last as usize != self.bytes.len() {
            return Err(ColumnError::Uncovered {
                covered: last as usize,
                length: self.bytes.len(),
            });
        }
        let mut before = None;
        for &index in &self.nulls {
            if index as usize >= self.ends.len() || before.is_some_and(|b| b >= index) {
                return Err(ColumnError::BadNull { index });
            }
            before = Some(index);
        }
        Ok(())
    }

    /// The values `range` as a column of their own; the arena is shared.
    ///
    /// # Panics
    /// If the range lies outside.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        if range.is_empty() {
            return Self::default();
        }
        let base = if range.start == 0 {
            0
        } else {
            self.ends[range.start - 1]
        };
        let bytes = self
            .bytes
            .slice(base as usize..self.ends[range.end - 1] as usize);
        let ends = self.ends[range.clone()]
            .iter()
            .map(|end| end - base)
            .collect();
        let nulls = self
            .nulls
            .iter()
            .filter(|&&index| range.contains(&(index as usize)))
            .map(|&index| index - u32::try_from(range.start).expect("a column has u32 indices"))
            .collect();
        Self { bytes, ends, nulls }
    }
}

/// Builds a [`ByteColumn`] value by value.
#[derive(Debug, Default)]
pub struct ColumnBuilder {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    nulls: Vec<u32>,
}

impl ColumnBuilder {
    /// With room for `values` values of `bytes` bytes in all.
    #[must_use]
    pub fn with_capacity(values: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(values),
            nulls: Vec::new(),
        }
    }

    /// Appends a value.
    ///
    /// # Panics
    /// If the arena would pass 4 GiB; every caller is bounded far below (`limits`).
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.end();
    }

    /// Appends a null.
    ///
    /// # Panics
    /// As [`Self::push`].
    pub fn push_null(&mut self) {
        self.nulls
            .push(u32::try_from(self.ends.len()).expect("a column has u32 indices"));
        self.end();
    }

    /// Number of values so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing was appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes so far.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The finished column.
    #[must_use]
    pub fn finish(self) -> ByteColumn {
        ByteColumn {
            bytes: self.bytes.into(),
            ends: self.ends,
            nulls: self.nulls,
        }
    }

    #[inline]
    fn end(&mut self) {
        self.ends
            .push(u32::try_from(self.bytes.len()).expect("an arena stays below 4 GiB"));
    }
}

/// Records as a function receives them, in shard order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Partition keys. A null key: the record has none.
    pub keys: ByteColumn,
    /// Payloads. A null payload: a tombstone.
    pub data: ByteColumn,
    /// When each record arrived at its stream, ms since the Unix epoch.
    pub arrival_ms: Vec<u64>,
}

impl Records {
    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Bytes of keys and payloads.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.keys.bytes.len() + self.data.bytes.len()
    }
}

/// Where an output row came from (commit and storage rules §6: outputs always carry it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The stream read.
    pub stream: StreamId,
    /// The shard read.
    pub shard: ShardNumber,
    /// The source record; for a row of the whole call, the batch's last record.
    pub position: Ordinal,
}

/// Consecutive records of one shard as they are stored and read: ordinals `first..first + len`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBlock {
    /// The stream.
    pub stream: StreamId,
    /// The shard.
    pub shard: ShardNumber,
    /// Ordinal of the first record.
    pub first: Ordinal,
    /// Keys, payloads, arrival times.
    pub records: Records,
    /// 128-bit hash keys, one a record.
    pub hash_keys: Vec<u128>,
    /// Hops of each record; empty means all 0 (nothing in it is an output).
    pub hops: Vec<u8>,
    /// Origins of each record; empty means none has one.
    pub origins: Vec<Origin>,
}

impl RecordBlock {
    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Ordinal of record `index`.
    #[must_use]
    pub fn ordinal(&self, index: usize) -> Ordinal {
        Ordinal(self.first.0 + index as u64)
    }

    /// Ordinal of the last record; `first - 1` when empty.
    #[must_use]
    pub fn last(&self) -> Ordinal {
        Ordinal(self.first.0 + self.len() as u64 - 1)
    }

    /// The hash of the key of record `index`: what its lane and its group come from.
    #[must_use]
    pub fn key_hash(&self, index: usize) -> KeyHash {
        let keys = &self.records.keys;
        let key = (!keys.is_null(index)).then(|| keys.get(index));
        key_hash(key, self.ordinal(index))
    }

    /// Arrival of record `index`.
    #[must_use]
    pub fn arrival(&self, index: usize) -> Timestamp {
        Timestamp(self.records.arrival_ms[index])
    }

    /// Hops of record `index`.
    #[must_use]
    pub fn hops(&self, index: usize) -> u8 {
        self.hops.get(index).copied().unwrap_or(0)
    }

    /// The records of these ranges copied out, one behind another: nothing else of this block stays in memory for
    /// them. Of what stands behind a gap [`Self::ordinal`] tells nothing true any more: who keeps it knows where it
    /// came from.
    ///
    /// # Panics
    /// If there is no range, or one lies outside.
    #[must_use]
    pub fn copied(&self, ranges: &[Range<usize>]) -> Self {
        let parts = ranges.iter().map(|range| (&self.records, range.clone()));
        Self {
            stream: self.stream,
            shard: self.shard,
            first: self.ordinal(ranges[0].start),
            records: Records::gather(parts),
            hash_keys: picked(&self.hash_keys, ranges),
            hops: picked(&self.hops, ranges),
            origins: picked(&self.origins, ranges),
        }
    }
}

/// What a column without a value a record, which is one of the same for all, has of these ranges.
fn picked<T: Clone>(values: &[T], ranges: &[Range<usize>]) -> Vec<T> {
    let of = ranges.iter().filter_map(|range| values.get(range.clone()));
    of.collect::<Vec<_>>().concat()
}

/// Records on their way into a stream: not yet placed on shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecords {
    /// Partition keys, never null: a record without a key was given one by its producer.
    pub keys: ByteColumn,
    /// Payloads.
    pub data: ByteColumn,
    /// 128-bit hash keys: MD5 of the key or the producer's explicit one. Computed by the caller, so
    /// that MD5 stays off the sequencer's thread.
    pub hash_keys: Vec<u128>,
    /// Hops of each; empty: all 0.
    pub hops: Vec<u8>,
    /// Origin of each; empty: none.
    pub origins: Vec<Origin>,
}

impl NewRecords {
    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Bytes of keys and payloads.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.keys.bytes.len() + self.data.bytes.len()
    }
}

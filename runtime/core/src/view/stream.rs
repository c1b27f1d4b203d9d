//! The ends of a stream's shards, and which shard a row goes to.

use std::collections::{BTreeMap, BTreeSet};

use super::producer::Producers;
use crate::{
    entry::{Placement, ShardRun},
    id::{Ordinal, ShardNumber, Timestamp},
    shard::Stream,
};

/// Where a shard ends and begins: journaled, never inferred from files
/// (commit and storage rules §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardTail {
    /// Ordinal of the next record.
    pub next: Ordinal,
    /// Arrival of the last record; arrival never decreases.
    pub last_arrival: Timestamp,
    /// Oldest ordinal that the API still shows.
    pub horizon: Ordinal,
    /// Oldest ordinal that is still stored.
    pub floor: Ordinal,
    /// Keys and payloads ever appended, bytes.
    pub bytes: u64,
}

impl ShardTail {
    /// The tail of a shard that never held a record.
    pub(super) const EMPTY: Self = Self {
        next: Ordinal(1),
        last_arrival: Timestamp(0),
        horizon: Ordinal(1),
        floor: Ordinal(1),
        bytes: 0,
    };

    /// Ordinal of the last record; 0 when there never was one.
    #[must_use]
    pub const fn last(&self) -> Ordinal {
        Ordinal(self.next.0 - 1)
    }

    /// Takes an append over. Ordinals say whether it was taken before: redo may bring an old one.
    fn extend(&mut self, next: Ordinal, arrival: Timestamp, bytes: u64) {
        if next > self.next {
            self.next = next;
            self.bytes += bytes;
        }
        self.last_arrival = self.last_arrival.max(arrival);
    }
}

/// A stream as the view keeps it.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamView {
    pub(super) tails: BTreeMap<ShardNumber, ShardTail>,
    pub(super) producers: Producers,
    /// The shards that take no more records.
    pub(super) closed: BTreeSet<ShardNumber>,
    routes: Routes,
    /// The last arrival of any shard: a put asks for it, and there may be a thousand of them.
    latest: Timestamp,
}

/// The open shards by hash-key range, for a binary search per row.
#[derive(Clone, Debug, Default)]
struct Routes {
    ends: Vec<u128>,
    shards: Vec<ShardNumber>,
}

impl StreamView {
    /// Follows the catalogue's value: new shards begin empty, gone ones are forgotten.
    /// Answers the shards whose tail came or went.
    pub(super) fn follow(&mut self, stream: &Stream) -> Vec<ShardNumber> {
        let mut changed = Vec::new();
        for shard in &stream.shards {
            self.tails.entry(shard.number).or_insert_with(|| {
                changed.push(shard.number);
                ShardTail::EMPTY
            });
        }
        if self.tails.len() > stream.shards.len() {
            self.tails.retain(|number, _| {
                let is_kept = stream.shards.iter().any(|shard| shard.number == *number);
                if !is_kept {
                    changed.push(*number);
                }
                is_kept
            });
        }
        let closed = stream.shards.iter().filter(|shard| shard.is_closed);
        self.closed = closed.map(|shard| shard.number).collect();
        let mut open: Vec<_> = stream
            .open_shards()
            .map(|shard| (shard.range.end, shard.number))
            .collect();
        open.sort_unstable();
        self.routes.ends = open.iter().map(|(end, _)| *end).collect();
        self.routes.shards = open.iter().map(|(_, shard)| *shard).collect();
        changed
    }

    /// Sets the tail of a shard; answers whether there is such a shard.
    pub(super) fn set_tail(&mut self, shard: ShardNumber, value: ShardTail) -> bool {
        let Some(tail) = self.tails.get_mut(&shard) else {
            return false;
        };
        *tail = value;
        self.latest = self.latest.max(value.last_arrival);
        true
    }

    /// Takes an append to a shard over; answers whether there is such a shard.
    pub(super) fn extend(
        &mut self,
        shard: ShardNumber,
        next: Ordinal,
        arrival: Timestamp,
        bytes: u64,
    ) -> bool {
        let Some(tail) = self.tails.get_mut(&shard) else {
            return false;
        };
        tail.extend(next, arrival, bytes);
        self.latest = self.latest.max(tail.last_arrival);
        true
    }

    /// Arrival of the last record of any shard.
    pub(super) const fn last_arrival(&self) -> Timestamp {
        self.latest
    }

    /// Whether rows can be placed at all.
    pub(super) fn is_open(&self) -> bool {
        !self.routes.shards.is_empty()
    }

    /// Picks the shard and the ordinals of each row. `earlier` are placements of the same entry
    /// with their numbers of rows: those on this stream come first.
    ///
    /// Arrival is that of the whole placement and never decreases within the stream, whatever the
    /// wall clock does.
    pub(super) fn place<'a>(
        &self,
        stream: crate::id::StreamId,
        hash_keys: &[u128],
        now: Timestamp,
        earlier: impl Iterator<Item = (&'a Placement, usize)> + Clone,
    ) -> Placement {
        let next = |shard: ShardNumber| {
            let tail = self.tails.get(&shard).expect("every shard has a tail");
            earlier
                .clone()
                .filter(|(placement, _)| placement.stream == stream)
                .flat_map(|(placement, rows)| placement.shards.iter().map(move |run| (run, rows)))
                .filter(|(run, _)| run.shard == shard)
                .map(|(run, rows)| run.next(rows))
                .fold(tail.next, Ordinal::max)
        };
        let arrival = self.latest.max(now);
        let shards = match hash_keys {
            [] => Vec::new(),
            [hash_key] => vec![ShardRun::all(self.routes.shard(*hash_key), next)],
            _ if self.routes.shards.len() == 1 => vec![ShardRun::all(self.routes.shards[0], next)],
            _ => self.routes.split(hash_keys, next),
        };
        Placement {
            stream,
            arrival,
            shards,
        }
    }
}

impl Routes {
    fn index(&self, hash_key: u128) -> usize {
        let index = self.ends.partition_point(|end| *end < hash_key);
        assert!(
            index < self.shards.len(),
            "the open shards cover the hash-key space"
        );
        index
    }

    fn shard(&self, hash_key: u128) -> ShardNumber {
        self.shards[self.index(hash_key)]
    }

    fn split(&self, hash_keys: &[u128], next: impl Fn(ShardNumber) -> Ordinal) -> Vec<ShardRun> {
        let expected = hash_keys.len() / self.shards.len() + 1;
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); self.shards.len()];
        for (row, hash_key) in (0u32..).zip(hash_keys) {
            let of = &mut rows[self.index(*hash_key)];
            if of.is_empty() {
                of.reserve(expected);
            }
            of.push(row);
        }
        self.shards
            .iter()
            .zip(rows)
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(&shard, rows)| ShardRun {
                shard,
                first: next(shard),
                rows: (rows.len() < hash_keys.len()).then_some(rows),
            })
            .collect()
    }
}

impl ShardRun {
    fn all(shard: ShardNumber, next: impl Fn(ShardNumber) -> Ordinal) -> Self {
        Self {
            shard,
            first: next(shard),
            rows: None,
        }
    }
}

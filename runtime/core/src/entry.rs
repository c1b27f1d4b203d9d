//! What the journal holds: resolved, absolute values, so that redo never judges
//! (commit and storage rules §5–6).

use std::sync::Arc;

use crate::{
    commit::{Commit, UnitTotals},
    id::{LeaseEpoch, MappingId, Ordinal, ShardNumber, StreamId, Timestamp, UnitId},
    record::NewRecords,
    registry::RegistryChange,
    settled::{SettledRange, SettledRanges},
};

/// Which rows of a [`NewRecords`] went to one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRun {
    /// The shard.
    pub shard: ShardNumber,
    /// Ordinal of the first of them.
    pub first: Ordinal,
    /// Row indices, ascending; `None`: all rows.
    pub rows: Option<Vec<u32>>,
}

impl ShardRun {
    /// How many of the `total` rows went here.
    #[must_use]
    pub fn len(&self, total: usize) -> usize {
        self.rows.as_ref().map_or(total, Vec::len)
    }

    /// The shard's next ordinal after this run of a [`NewRecords`] of `total` rows.
    #[must_use]
    pub fn next(&self, total: usize) -> Ordinal {
        Ordinal(self.first.0 + self.len(total) as u64)
    }
}

/// Where new records were placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The stream that the name meant at this entry.
    pub stream: StreamId,
    /// Arrival of every one of them.
    pub arrival: Timestamp,
    /// The shards, each at most once.
    pub shards: Vec<ShardRun>,
}

/// A producer's mark for idempotent puts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerMark {
    /// The producer's id.
    pub producer: Arc<str>,
    /// Its sequence after the last record of this append.
    pub last: u64,
}

/// A change of a unit from outside its worker (commit and storage rules §2): also bumps its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitChange {
    /// The unit.
    pub unit: UnitId,
    /// Its epoch from now on.
    pub epoch: LeaseEpoch,
    /// Positions settled from outside because retention took them, and the unit's `expired` total
    /// after that: absolute, so that redo may repeat it.
    pub expired: Option<(SettledRange, u64)>,
}

/// A unit that starts anew elsewhere in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitSeek {
    /// The unit.
    pub unit: UnitId,
    /// Its epoch from now on: whoever owned it is fenced.
    pub epoch: LeaseEpoch,
    /// Everything up to here is settled, nothing above; attempts and the unit's totals start anew.
    pub after: Ordinal,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Records put by a producer.
    Append {
        /// Where they went.
        placement: Placement,
        /// The records.
        records: Arc<NewRecords>,
        /// The producer's mark, if it gave one.
        producer: Option<ProducerMark>,
    },
    /// The result of a batch.
    Commit {
        /// The commit.
        commit: Arc<Commit>,
        /// Where each of `commit.outputs` went, in the same order.
        outputs: Vec<Placement>,
        /// Where the dead letters went.
        dead_letters: Option<Placement>,
    },
    /// Owners appointed.
    Lease {
        /// Each unit's new epoch.
        grants: Vec<(UnitId, LeaseEpoch)>,
    },
    /// The catalogue changed; the changes of units ride along, so that both happen or neither.
    Meta {
        /// What changed.
        change: Arc<RegistryChange>,
        /// Units whose owners are fenced by it.
        units: Vec<UnitChange>,
    },
    /// Retention moved on.
    Trim {
        /// The stream.
        stream: StreamId,
        /// The shard.
        shard: ShardNumber,
        /// Oldest ordinal that the API still shows.
        horizon: Ordinal,
        /// Oldest ordinal that is still stored.
        floor: Ordinal,
    },
    /// Dead letters thrown away by hand.
    Purge {
        /// Their stream.
        stream: StreamId,
        /// Where they were stored: all of them were open.
        letters: SettledRanges,
        /// Their bytes.
        bytes: u64,
    },
    /// Units sent elsewhere in their shards by hand.
    Seek {
        /// Where to.
        seeks: Vec<UnitSeek>,
        /// Totals that each of them had in front of all its seeks, this one included: absolute, so that
        /// redo may repeat it.
        totals: Vec<(UnitId, UnitTotals)>,
        /// Units whose owners are fenced by it.
        units: Vec<UnitChange>,
    },
    /// Closed shards whose records are all gone, and their units with them.
    Forget {
        /// The stream.
        stream: StreamId,
        /// The shards, by number.
        shards: Vec<ShardNumber>,
        /// Totals of each mapping's units whose shards are gone, these included: absolute, so that redo
        /// may repeat it.
        totals: Vec<(MappingId, UnitTotals)>,
    },
    /// Units changed from outside.
    Change {
        /// The units.
        units: Vec<UnitChange>,
    },
}

impl Entry {
    /// What it appends to streams that people see, with where that goes: a put, or the outputs of a
    /// commit. Dead letters are stored in another form and are not among it.
    pub fn appended(&self) -> impl Iterator<Item = (&Placement, &NewRecords)> {
        let (put, commit) = match self {
            Self::Append {
                placement, records, ..
            } => (Some((placement, &**records)), None),
            Self::Commit {
                commit, outputs, ..
            } => (None, Some((outputs, commit))),
            Self::Lease { .. }
            | Self::Meta { .. }
            | Self::Trim { .. }
            | Self::Purge { .. }
            | Self::Seek { .. }
            | Self::Forget { .. }
            | Self::Change { .. } => (None, None),
        };
        let rows = commit.into_iter().flat_map(|(outputs, commit)| {
            let records = commit.outputs.iter().map(|output| &output.records);
            outputs.iter().zip(records)
        });
        put.into_iter().chain(rows)
    }
}

//! Parents and children: when a unit's turn has come, and when a closed shard goes.
//!
//! All of it is asked of the view whenever it matters and noted nowhere, so that it is right after any
//! crash and any change from outside (commit and storage rules §9).

use std::collections::{BTreeMap, BTreeSet};

use super::{NodeView, ValueKey};
use crate::{
    commit::UnitTotals,
    entry::Entry,
    id::{MappingId, ShardNumber, StreamId, Timestamp, UnitId},
    mapping::Mapping,
    shard::{Shard, Stream},
};

/// Whether a unit is to be worked on. Order per key over splits and merges is this and nothing else: a
/// key's records of the parent are settled before the first of a child is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitTurn {
    /// Not yet: this ancestor has unsettled records. Of several, the oldest.
    Waiting(UnitId),
    /// Its parents, if it had any, are settled to their end, and their windows are closed.
    Due,
    /// Its shard is closed, and settled to its end: nothing will ever be left to do, unless somebody
    /// unsettles it.
    Ended,
}

impl NodeView {
    /// Whether a unit is to be worked on now; `None`: its stream, its shard or itself is gone.
    ///
    /// A shard without records is settled as soon as it is closed, so all ancestors count, not the
    /// parents alone. A parent that retention took is settled.
    #[must_use]
    pub fn turn(&self, unit: UnitId) -> Option<UnitTurn> {
        self.unit(unit)?;
        let stream = self.registry.stream(unit.stream)?;
        let shard = stream.shard(unit.shard)?;
        let of = |shard| UnitId { shard, ..unit };
        let unsettled = ancestors(stream, shard)
            .into_iter()
            .find(|&ancestor| !self.is_settled(of(ancestor)));
        Some(match unsettled {
            // The lowest number: all of its own ancestors, which have lower ones, are settled.
            Some(ancestor) => UnitTurn::Waiting(of(ancestor)),
            None if shard.is_closed && self.is_settled(unit) => UnitTurn::Ended,
            None => UnitTurn::Due,
        })
    }

    /// As [`Self::turn`], of every unit of a mapping at once.
    #[must_use]
    pub fn turns(&self, mapping: &Mapping) -> BTreeMap<UnitId, UnitTurn> {
        let Some(stream) = self.registry.stream(mapping.stream) else {
            return BTreeMap::new();
        };
        let of = |shard| UnitId {
            mapping: mapping.id,
            stream: stream.id,
            shard,
        };
        let mut turns = BTreeMap::new();
        // By number, so parents first.
        for shard in &stream.shards {
            let unit = of(shard.number);
            if self.unit(unit).is_none() {
                continue;
            }
            let waits_for = |parent: &ShardNumber| match turns.get(&of(*parent))? {
                UnitTurn::Waiting(ancestor) => Some(*ancestor),
                UnitTurn::Due => Some(of(*parent)),
                UnitTurn::Ended => None,
            };
            let turn = match shard.parents.iter().filter_map(waits_for).min() {
                Some(ancestor) => UnitTurn::Waiting(ancestor),
                None if shard.is_closed && self.is_settled(unit) => UnitTurn::Ended,
                None => UnitTurn::Due,
            };
            turns.insert(unit, turn);
        }
        turns
    }

    /// Whether a unit's shard is closed and the unit settled to its end. Cheap: asked after every
    /// commit, because it may be what children wait for.
    #[must_use]
    pub fn has_ended(&self, unit: UnitId) -> bool {
        let is_closed = self
            .streams
            .get(&unit.stream)
            .is_some_and(|stream| stream.closed.contains(&unit.shard));
        is_closed && self.is_settled(unit)
    }

    fn is_settled(&self, unit: UnitId) -> bool {
        let (Some(view), Some(tail)) = (self.unit(unit), self.tail(unit.stream, unit.shard)) else {
            return true;
        };
        // At the end of a shard its open windows have their final call (commit and storage rules §8).
        view.settled.low_watermark() >= tail.last() && view.open_windows().next().is_none()
    }

    /// The units of the same mapping that wait for this one while it is unsettled: whoever unsettles it
    /// from outside fences their owners by the same entry.
    #[must_use]
    pub fn descendants(&self, unit: UnitId) -> Vec<UnitId> {
        let Some(stream) = self.registry.stream(unit.stream) else {
            return Vec::new();
        };
        let mut family = BTreeSet::from([unit.shard]);
        // By number, so that a child is looked at after its parents.
        for shard in &stream.shards {
            if shard.parents.iter().any(|parent| family.contains(parent)) {
                family.insert(shard.number);
            }
        }
        family.remove(&unit.shard);
        let of = |shard| UnitId { shard, ..unit };
        family.into_iter().map(of).collect()
    }

    /// Forgets closed shards of which nothing is left: every record trimmed, and their retention over,
    /// so that whoever read them has had its time to learn of their children. Parents go before their
    /// children. `None`: there is none.
    #[must_use]
    pub fn evaluate_forget(&self, stream: StreamId, now: Timestamp) -> Option<Entry> {
        let stream = self.registry.stream(stream)?;
        let mut gone: Vec<ShardNumber> = Vec::new();
        for shard in stream.shards.iter().filter(|shard| shard.is_closed) {
            let has_parent = shard.parents.iter().any(|parent| {
                stream.shard(*parent).is_some() && gone.binary_search(parent).is_err()
            });
            if !has_parent && self.is_over(stream, shard, now) {
                gone.push(shard.number);
            }
        }
        if gone.is_empty() {
            return None;
        }
        let totals = self
            .registry
            .mappings_of(stream.id)
            .map(|mapping| (mapping.id, self.totals_with(mapping.id, stream.id, &gone)));
        Some(Entry::Forget {
            stream: stream.id,
            totals: totals.collect(),
            shards: gone,
        })
    }

    fn is_over(&self, stream: &Stream, shard: &Shard, now: Timestamp) -> bool {
        let closed_at = stream.closed_at(shard.number);
        let tail = self.tail(stream.id, shard.number);
        // The floor waits for every mapping.
        tail.is_some_and(|tail| tail.floor == tail.next)
            && closed_at.is_some_and(|closed_at| now.since_ms(closed_at) >= stream.retention_ms)
            && !self.has_open_window(stream.id, shard.number)
    }

    fn has_open_window(&self, stream: StreamId, shard: ShardNumber) -> bool {
        self.registry.mappings_of(stream).any(|mapping| {
            let unit = self.unit(UnitId {
                mapping: mapping.id,
                stream,
                shard,
            });
            unit.is_some_and(|unit| unit.open_windows().next().is_some())
        })
    }

    fn totals_with(
        &self,
        mapping: MappingId,
        stream: StreamId,
        gone: &[ShardNumber],
    ) -> UnitTotals {
        let units = gone.iter().filter_map(|&shard| {
            self.unit(UnitId {
                mapping,
                stream,
                shard,
            })
        });
        units.fold(self.gone_totals(mapping), |sum, unit| sum + unit.totals)
    }

    pub(super) fn forget_shards(
        &mut self,
        stream: StreamId,
        shards: &[ShardNumber],
        totals: &[(MappingId, UnitTotals)],
        dirty: &mut impl FnMut(ValueKey),
    ) {
        self.registry.forget_shards(stream, shards);
        dirty(ValueKey::Stream(stream));
        if let (Some(view), Some(value)) =
            (self.streams.get_mut(&stream), self.registry.stream(stream))
        {
            for shard in view.follow(value) {
                dirty(ValueKey::Tail(stream, shard));
            }
        }
        // Redo may have given a unit of such a shard to a mapping that came later.
        let later = self.registry.mappings_of(stream).map(|mapping| mapping.id);
        let mappings: BTreeSet<MappingId> = totals
            .iter()
            .map(|(mapping, _)| *mapping)
            .chain(later)
            .collect();
        for &mapping in &mappings {
            for &shard in shards {
                let unit = UnitId {
                    mapping,
                    stream,
                    shard,
                };
                self.forget_unit(unit, dirty);
            }
        }
        for &(mapping, totals) in totals {
            // A later entry may have deleted it, where redo brings this one over newer values.
            if self.registry.mapping(mapping).is_some() {
                self.gone.insert(mapping, totals);
                dirty(ValueKey::Gone(mapping));
            }
        }
    }
}

/// The shards that a shard came from, as far as they are still listed, by number.
fn ancestors(stream: &Stream, shard: &Shard) -> BTreeSet<ShardNumber> {
    let mut found = BTreeSet::new();
    let mut left: Vec<ShardNumber> = shard.parents.clone();
    while let Some(number) = left.pop() {
        if let Some(shard) = stream.shard(number)
            && found.insert(number)
        {
            left.extend_from_slice(&shard.parents);
        }
    }
    found
}

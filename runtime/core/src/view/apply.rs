//! Takes an entry over. Never judges: every value is absolute, and what a later entry removed is
//! silently passed by (commit and storage rules §6).

use std::sync::Arc;

use super::{
    NodeView, ProducerState, ValueKey,
    stream::{ShardTail, StreamView},
    unit::{self, UnitEntry, UnitView},
};
use crate::{
    commit::{Commit, DeadLetter},
    entry::{Entry, Placement, ProducerMark, UnitChange},
    id::{MappingId, Ordinal, ShardNumber, StreamId, UnitId},
    record::NewRecords,
    registry::RegistryChange,
};

impl NodeView {
    /// Takes an entry over.
    pub fn apply(&mut self, entry: &Entry) {
        self.apply_noting(entry, &mut |_| {});
    }

    /// Takes an entry over and names every value that it touched, some perhaps more than once: what
    /// the next image must hold.
    pub fn apply_noting(&mut self, entry: &Entry, dirty: &mut impl FnMut(ValueKey)) {
        match entry {
            Entry::Append {
                placement,
                records,
                producer,
            } => {
                self.extend(placement, records, dirty);
                if let Some(mark) = producer {
                    self.remember(placement, mark, dirty);
                }
            }
            Entry::Commit {
                commit,
                outputs,
                dead_letters,
            } => {
                for (placement, output) in outputs.iter().zip(&commit.outputs) {
                    self.extend(placement, &output.records, dirty);
                }
                if let Some(placement) = dead_letters {
                    self.extend_dead_letters(placement, &commit.dead_letters, dirty);
                }
                self.follow_letter(commit, dead_letters.as_ref(), dirty);
                self.progress(commit, dirty);
            }
            Entry::Lease { grants } => {
                for &(unit, epoch) in grants {
                    if let Some(entry) = self.units.get_mut(&unit) {
                        entry.set_epoch(epoch);
                        dirty(ValueKey::Unit(unit));
                    }
                }
            }
            Entry::Meta { change, units } => {
                self.follow(change, dirty);
                self.change_units(units, dirty);
            }
            Entry::Trim {
                stream,
                shard,
                horizon,
                floor,
            } => {
                if let Some(tail) = self.tail_mut(*stream, *shard) {
                    tail.horizon = tail.horizon.max(*horizon);
                    tail.floor = tail.floor.max(*floor);
                    let floor = tail.floor;
                    dirty(ValueKey::Tail(*stream, *shard));
                    if self.trim_letters(*stream, floor) {
                        dirty(ValueKey::Letters(*stream));
                    }
                }
            }
            Entry::Purge {
                stream,
                letters,
                bytes,
            } => {
                self.purge_letters(*stream, letters, *bytes);
                dirty(ValueKey::Letters(*stream));
            }
            Entry::Seek {
                seeks,
                totals,
                units,
            } => {
                self.seek(seeks, totals, dirty);
                self.change_units(units, dirty);
            }
            Entry::Forget {
                stream,
                shards,
                totals,
            } => self.forget_shards(*stream, shards, totals, dirty),
            Entry::Change { units } => self.change_units(units, dirty),
        }
    }

    fn tail_mut(&mut self, stream: StreamId, shard: ShardNumber) -> Option<&mut ShardTail> {
        self.streams.get_mut(&stream)?.tails.get_mut(&shard)
    }

    fn extend(
        &mut self,
        placement: &Placement,
        records: &NewRecords,
        dirty: &mut impl FnMut(ValueKey),
    ) {
        for run in &placement.shards {
            let bytes = match &run.rows {
                None => records.byte_len(),
                Some(rows) => rows
                    .iter()
                    .map(|&row| {
                        let row = row as usize;
                        records.keys.range(row).len() + records.data.range(row).len()
                    })
                    .sum(),
            };
            if let Some(stream) = self.streams.get_mut(&placement.stream)
                && stream.extend(
                    run.shard,
                    run.next(records.len()),
                    placement.arrival,
                    bytes as u64,
                )
            {
                dirty(ValueKey::Tail(placement.stream, run.shard));
            }
        }
    }

    fn extend_dead_letters(
        &mut self,
        placement: &Placement,
        letters: &[DeadLetter],
        dirty: &mut impl FnMut(ValueKey),
    ) {
        for run in &placement.shards {
            let bytes = match &run.rows {
                None => letters.iter().map(DeadLetter::byte_len).sum(),
                Some(rows) => rows
                    .iter()
                    .map(|&row| letters[row as usize].byte_len())
                    .sum(),
            };
            if let Some(stream) = self.streams.get_mut(&placement.stream)
                && stream.extend(run.shard, run.next(letters.len()), placement.arrival, bytes)
            {
                dirty(ValueKey::Tail(placement.stream, run.shard));
            }
        }
    }

    /// A redriven letter is resolved, or lies where the commit stored it anew.
    fn follow_letter(
        &mut self,
        commit: &Commit,
        placed: Option<&Placement>,
        dirty: &mut impl FnMut(ValueKey),
    ) {
        let Some(redriven) = &commit.redriven else {
            return;
        };
        let stream = match placed {
            Some(placement) => placement.stream,
            None => match self.registry.mapping(commit.unit.mapping) {
                Some(mapping) => mapping.dead_letters,
                // Deleted since: what became of the letter is in the newer value already.
                None => return,
            },
        };
        let moved_to = placed.and_then(|placement| Some(placement.shards.first()?.first));
        self.settle_letter(stream, redriven, moved_to);
        dirty(ValueKey::Letters(stream));
    }

    fn remember(
        &mut self,
        placement: &Placement,
        mark: &ProducerMark,
        dirty: &mut impl FnMut(ValueKey),
    ) {
        let Some(stream) = self.streams.get_mut(&placement.stream) else {
            return;
        };
        let state = ProducerState {
            last: mark.last,
            seen: placement.arrival,
        };
        let forgotten = stream.producers.remember(&mark.producer, state);
        let key = |producer: &Arc<str>| ValueKey::Producer(placement.stream, Arc::clone(producer));
        dirty(key(&mark.producer));
        if let Some(forgotten) = forgotten {
            dirty(key(&forgotten));
        }
    }

    fn progress(&mut self, commit: &Commit, dirty: &mut impl FnMut(ValueKey)) {
        let Some(entry) = self.units.get_mut(&commit.unit) else {
            return;
        };
        let unit = entry.edit();
        for &range in commit.settles.as_slice() {
            unit.settle(range);
        }
        for mark in &commit.attempts {
            unit.mark(mark.clone());
        }
        unit.totals = commit.totals;
        if let Some(change) = &commit.window {
            unit.change_window(change);
            dirty(ValueKey::Window(commit.unit, change.group));
        }
        if let Some(outages) = &commit.outages {
            unit.outages = outages.clone();
        }
        // Redo may pass an owner that a newer value has already replaced: its numbers mean nothing.
        if unit.epoch == commit.epoch {
            entry.set_number(commit.slot, commit.number);
        }
        dirty(ValueKey::Unit(commit.unit));
    }

    fn change_units(&mut self, changes: &[UnitChange], dirty: &mut impl FnMut(ValueKey)) {
        for change in changes {
            let Some(entry) = self.units.get_mut(&change.unit) else {
                continue;
            };
            entry.set_epoch(change.epoch);
            if let Some((range, total)) = change.expired {
                let unit = entry.edit();
                unit.settle(range);
                unit.totals.expired = total;
            }
            dirty(ValueKey::Unit(change.unit));
        }
    }

    /// Follows the catalogue: tails of new shards, units of new mappings and shards; what belongs to
    /// deleted ones goes, letters excepted (they are a stream of their own).
    fn follow(&mut self, change: &RegistryChange, dirty: &mut impl FnMut(ValueKey)) {
        self.registry.apply(change);
        dirty(ValueKey::Ids);
        for &mapping in &change.deleted_mappings {
            dirty(ValueKey::Mapping(mapping));
            self.forget_units(mapping, dirty);
            if self.gone.remove(&mapping).is_some() {
                dirty(ValueKey::Gone(mapping));
            }
            let of_it = unit::first_of(mapping)..=unit::last_of(mapping);
            let sought: Vec<UnitId> = self.before_seeks.range(of_it).map(|(id, _)| *id).collect();
            for unit in sought {
                self.before_seeks.remove(&unit);
                dirty(ValueKey::BeforeSeeks(unit));
            }
        }
        for &function in &change.deleted_functions {
            dirty(ValueKey::Function(function));
        }
        for &stream in &change.deleted_streams {
            dirty(ValueKey::Stream(stream));
            self.forget_stream(stream, dirty);
        }
        for stream in &change.streams {
            dirty(ValueKey::Stream(stream.id));
            let view = self.streams.entry(stream.id).or_default();
            for shard in view.follow(stream) {
                dirty(ValueKey::Tail(stream.id, shard));
            }
            let readers: Vec<MappingId> = self
                .registry
                .mappings_of(stream.id)
                .map(|mapping| mapping.id)
                .collect();
            for mapping in readers {
                self.make_units(mapping, dirty);
            }
        }
        for function in &change.functions {
            dirty(ValueKey::Function(function.id));
        }
        for mapping in &change.mappings {
            dirty(ValueKey::Mapping(mapping.id));
            self.make_units(mapping.id, dirty);
        }
    }

    /// A mapping starts where its `Meta` entry said; at the beginning of a shard born later.
    fn make_units(&mut self, mapping: MappingId, dirty: &mut impl FnMut(ValueKey)) {
        let Some(mapping) = self.registry.mapping(mapping) else {
            return;
        };
        let Some(stream) = self.registry.stream(mapping.stream) else {
            return;
        };
        for shard in &stream.shards {
            let id = UnitId {
                mapping: mapping.id,
                stream: stream.id,
                shard: shard.number,
            };
            self.units.entry(id).or_insert_with(|| {
                let start = mapping.starting_after.get(&shard.number);
                dirty(ValueKey::Unit(id));
                UnitEntry::new(Arc::new(UnitView::starting_after(
                    start.copied().unwrap_or(Ordinal(0)),
                )))
            });
        }
    }

    fn forget_units(&mut self, mapping: MappingId, dirty: &mut impl FnMut(ValueKey)) {
        let gone: Vec<UnitId> = self
            .units
            .range(unit::first_of(mapping)..=unit::last_of(mapping))
            .map(|(&id, _)| id)
            .collect();
        for id in gone {
            self.forget_unit(id, dirty);
        }
    }

    /// A unit goes, with its windows.
    pub(super) fn forget_unit(&mut self, id: UnitId, dirty: &mut impl FnMut(ValueKey)) {
        if let Some(unit) = self.units.remove(&id) {
            dirty(ValueKey::Unit(id));
            for &group in unit.view().windows.keys() {
                dirty(ValueKey::Window(id, group));
            }
        }
    }

    fn forget_stream(&mut self, id: StreamId, dirty: &mut impl FnMut(ValueKey)) {
        let Some(StreamView {
            tails, producers, ..
        }) = self.streams.remove(&id)
        else {
            return;
        };
        if self.letters.remove(&id).is_some() {
            dirty(ValueKey::Letters(id));
        }
        for shard in tails.into_keys() {
            dirty(ValueKey::Tail(id, shard));
        }
        for (producer, _) in producers.iter() {
            dirty(ValueKey::Producer(id, Arc::clone(producer)));
        }
    }
}

//! What the journal means: the one value that every guard is asked of.
//!
//! The sequencer owns a `NodeView` that runs ahead of the sync; readers see one that follows the
//! published prefix. `evaluate_*` judges a wish and resolves it into an absolute [`Entry`];
//! [`NodeView::apply`] takes an entry over and never judges, so that redo from an older LSN over
//! newer values ends the same (commit and storage rules §3 and §6).

mod append;
mod apply;
mod change;
mod commit;
mod letters;
mod lineage;
mod producer;
mod seek;
mod stream;
mod unit;
mod value;

use std::{collections::BTreeMap, sync::Arc};

pub use self::{
    append::{AppendRefusal, ProducerSequence, StreamRef},
    commit::CommitFault,
    letters::{LETTERS_SHARD, LetterStatus, LettersParts, LettersView},
    lineage::UnitTurn,
    producer::ProducerState,
    seek::Sought,
    stream::ShardTail,
    unit::UnitView,
    value::{InconsistentView, Value, ValueKey},
};
use self::{stream::StreamView, unit::UnitEntry};
use crate::{
    commit::{AttemptMark, UnitTotals},
    id::{MappingId, Ordinal, ShardNumber, SlotId, StreamId, UnitId},
    limits,
    registry::Registry,
};

#[cfg(doc)]
use crate::entry::Entry;

/// The state that the journal adds up to: catalogue, ends of shards, producers and the progress of
/// every unit. Large values are shared, so a clone costs by the number of values, not by their size.
#[derive(Clone, Debug)]
pub struct NodeView {
    registry: Registry,
    streams: BTreeMap<StreamId, StreamView>,
    /// Of dead-letter streams of which a letter was closed.
    letters: BTreeMap<StreamId, Arc<LettersView>>,
    units: BTreeMap<UnitId, UnitEntry>,
    /// Totals of units whose shards are gone, by mapping: what a mapping did is told for as long as it
    /// is there.
    gone: BTreeMap<MappingId, UnitTotals>,
    /// Totals of units in front of their seeks, also of those whose shards are gone since: a counter never falls.
    before_seeks: BTreeMap<UnitId, UnitTotals>,
    /// A guard's bound, not journaled.
    dead_letter_bytes_max: u64,
}

impl Default for NodeView {
    fn default() -> Self {
        Self {
            registry: Registry::default(),
            streams: BTreeMap::new(),
            letters: BTreeMap::new(),
            units: BTreeMap::new(),
            gone: BTreeMap::new(),
            before_seeks: BTreeMap::new(),
            dead_letter_bytes_max: limits::DEAD_LETTER_STREAM_BYTES_MAX,
        }
    }
}

impl NodeView {
    /// The view of an empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds the bytes of one mapping's dead letters ([`limits::DEAD_LETTER_STREAM_BYTES_MAX`] unless
    /// it is called).
    pub const fn set_dead_letter_bytes_max(&mut self, bytes: u64) {
        self.dead_letter_bytes_max = bytes;
    }

    /// The catalogue.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The end and the floors of a shard.
    #[must_use]
    pub fn tail(&self, stream: StreamId, shard: ShardNumber) -> Option<&ShardTail> {
        self.streams.get(&stream)?.tails.get(&shard)
    }

    /// The shards of a stream with their tails, by number.
    pub fn tails(&self, stream: StreamId) -> impl Iterator<Item = (ShardNumber, &ShardTail)> {
        self.streams
            .get(&stream)
            .into_iter()
            .flat_map(|stream| stream.tails.iter().map(|(&shard, tail)| (shard, tail)))
    }

    /// What a producer of a stream last put, if it is remembered.
    #[must_use]
    pub fn producer(&self, stream: StreamId, producer: &str) -> Option<&ProducerState> {
        self.streams.get(&stream)?.producers.get(producer)
    }

    /// A unit's committed progress.
    #[must_use]
    pub fn unit(&self, unit: UnitId) -> Option<&UnitView> {
        self.units.get(&unit).map(UnitEntry::view)
    }

    /// All units with their progress, by id.
    pub fn units(&self) -> impl Iterator<Item = (UnitId, &UnitView)> {
        self.units.iter().map(|(&id, unit)| (id, unit.view()))
    }

    /// The units of a mapping with their progress, by shard.
    pub fn units_of(&self, mapping: MappingId) -> impl Iterator<Item = (UnitId, &UnitView)> {
        self.units
            .range(unit::first_of(mapping)..=unit::last_of(mapping))
            .map(|(&id, unit)| (id, unit.view()))
    }

    /// Totals of a mapping's units whose shards are gone.
    #[must_use]
    pub fn gone_totals(&self, mapping: MappingId) -> UnitTotals {
        self.gone.get(&mapping).copied().unwrap_or_default()
    }

    /// Totals that a unit had in front of its seeks: what it did, and does not count any more.
    #[must_use]
    pub fn totals_before_seeks(&self, unit: UnitId) -> UnitTotals {
        self.before_seeks.get(&unit).copied().unwrap_or_default()
    }

    /// Whether a seek put a unit where it counts from.
    #[must_use]
    pub fn is_sought(&self, unit: UnitId) -> bool {
        self.before_seeks.contains_key(&unit)
    }

    /// What a mapping did since it was made: its units, those whose shards are gone, and what they had
    /// counted in front of their seeks. No entry lets it fall.
    #[must_use]
    pub fn totals_ever(&self, mapping: MappingId) -> UnitTotals {
        let sought = self
            .before_seeks
            .range(unit::first_of(mapping)..=unit::last_of(mapping));
        let former = sought.fold(self.gone_totals(mapping), |sum, (_, totals)| sum + *totals);
        let units = self.units_of(mapping);
        units.fold(former, |sum, (_, unit)| sum + unit.totals)
    }

    /// The number of the last commit that a slot of the unit's present owner had accepted; 0 before
    /// the first. Volatile: an owner does not outlive its process.
    #[must_use]
    pub fn last_number(&self, unit: UnitId, slot: SlotId) -> u64 {
        self.units
            .get(&unit)
            .map_or(0, |unit| unit.last_number(slot))
    }

    /// Records of the unit's shard that are neither settled nor expired; `None` for no such unit.
    #[must_use]
    pub fn pending(&self, unit: UnitId) -> Option<u64> {
        let view = self.unit(unit)?;
        let last = self
            .tail(unit.stream, unit.shard)
            .map_or(Ordinal(0), |tail| tail.last());
        Some(view.unsettled_through(last))
    }

    /// The marks of records whose call was about to be made, by unit. After an unclean stop these are
    /// the records that the process died with; there is rarely more than one.
    pub fn marks_in_hand(&self) -> impl Iterator<Item = (UnitId, AttemptMark)> {
        self.units().flat_map(|(id, unit)| {
            let marks = unit.attempts.values().filter(|mark| mark.is_in_hand);
            marks.map(move |mark| (id, mark.clone()))
        })
    }
}

#[cfg(test)]
mod tests;

//! The view in pieces: what an image or a snapshot stores, and how it becomes a view again.

use std::sync::Arc;

use super::{LettersView, NodeView, ProducerState, ShardTail, UnitView, unit::UnitEntry};
use crate::{
    commit::UnitTotals,
    function::Function,
    id::{FunctionId, MappingId, ShardNumber, StreamId, UnitId},
    mapping::Mapping,
    registry::RegistryChange,
    shard::Stream,
    window::GroupWindow,
};

/// The stable name of one value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueKey {
    /// The ids that come next.
    Ids,
    /// A stream.
    Stream(StreamId),
    /// A function with its versions.
    Function(FunctionId),
    /// A mapping.
    Mapping(MappingId),
    /// The end of a shard.
    Tail(StreamId, ShardNumber),
    /// A producer of a stream.
    Producer(StreamId, Arc<str>),
    /// A unit's progress, without its windows.
    Unit(UnitId),
    /// The window of a unit's group.
    Window(UnitId, u32),
    /// What became of the letters of a dead-letter stream.
    Letters(StreamId),
    /// Totals of a mapping's units whose shards are gone.
    Gone(MappingId),
    /// Totals that a unit had in front of its seeks.
    BeforeSeeks(UnitId),
}

/// One value; sharing it costs nothing, so a cut never stops the sequencer for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Next stream, function and mapping id.
    Ids(StreamId, FunctionId, MappingId),
    /// A stream.
    Stream(Arc<Stream>),
    /// A function.
    Function(Arc<Function>),
    /// A mapping.
    Mapping(Arc<Mapping>),
    /// The end of a shard.
    Tail(ShardTail),
    /// A producer.
    Producer(ProducerState),
    /// A unit.
    Unit(Arc<UnitView>),
    /// A group's window.
    Window(Arc<GroupWindow>),
    /// A dead-letter stream's settled set.
    Letters(Arc<LettersView>),
    /// Totals of units whose shards are gone.
    Gone(UnitTotals),
    /// Totals of a unit in front of its seeks.
    BeforeSeeks(UnitTotals),
}

/// The values are not those of one moment: a stored view is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InconsistentView {
    /// A value is of another kind than its key.
    #[error("{0:?} holds a value of another kind")]
    WrongKind(ValueKey),
    /// A value that must be there is not.
    #[error("{0:?} is missing")]
    Missing(ValueKey),
    /// A value belongs to something that is not there.
    #[error("{0:?} belongs to nothing")]
    Orphan(ValueKey),
}

impl NodeView {
    /// One value as it is now; `None` when it is gone, and an image removes it.
    #[must_use]
    pub fn value(&self, key: &ValueKey) -> Option<Value> {
        Some(match key {
            ValueKey::Ids => self.ids(),
            ValueKey::Stream(id) => Value::Stream(Arc::clone(self.registry.stream(*id)?)),
            ValueKey::Function(id) => Value::Function(Arc::clone(self.registry.function(*id)?)),
            ValueKey::Mapping(id) => Value::Mapping(Arc::clone(self.registry.mapping(*id)?)),
            ValueKey::Tail(stream, shard) => Value::Tail(*self.tail(*stream, *shard)?),
            ValueKey::Producer(stream, producer) => {
                Value::Producer(*self.producer(*stream, producer)?)
            }
            ValueKey::Unit(id) => Value::Unit(self.units.get(id)?.share()),
            ValueKey::Window(id, group) => {
                Value::Window(Arc::clone(self.unit(*id)?.windows.get(group)?))
            }
            ValueKey::Letters(stream) => Value::Letters(Arc::clone(self.letters.get(stream)?)),
            ValueKey::Gone(mapping) => Value::Gone(*self.gone.get(mapping)?),
            ValueKey::BeforeSeeks(mapping) => Value::BeforeSeeks(*self.before_seeks.get(mapping)?),
        })
    }

    /// Every value. The order is the same for equal views.
    pub fn values(&self) -> impl Iterator<Item = (ValueKey, Value)> {
        let registry = &self.registry;
        let streams = registry.streams().map(|stream| {
            (
                ValueKey::Stream(stream.id),
                Value::Stream(Arc::clone(stream)),
            )
        });
        let functions = registry.functions().map(|function| {
            (
                ValueKey::Function(function.id),
                Value::Function(Arc::clone(function)),
            )
        });
        let mappings = registry.mappings().map(|mapping| {
            (
                ValueKey::Mapping(mapping.id),
                Value::Mapping(Arc::clone(mapping)),
            )
        });
        let ends = self.streams.iter().flat_map(|(&id, stream)| {
            let tails = stream
                .tails
                .iter()
                .map(move |(&shard, tail)| (ValueKey::Tail(id, shard), Value::Tail(*tail)));
            let producers = stream.producers.iter().map(move |(name, state)| {
                (
                    ValueKey::Producer(id, Arc::clone(name)),
                    Value::Producer(*state),
                )
            });
            tails.chain(producers)
        });
        let units = self
            .units
            .iter()
            .map(|(&id, unit)| (ValueKey::Unit(id), Value::Unit(unit.share())));
        let windows = self.units().flat_map(|(id, unit)| {
            unit.windows.iter().map(move |(&group, window)| {
                let value = Value::Window(Arc::clone(window));
                (ValueKey::Window(id, group), value)
            })
        });
        let letters = self
            .letters
            .iter()
            .map(|(&id, letters)| (ValueKey::Letters(id), Value::Letters(Arc::clone(letters))));
        let gone = self.gone.iter();
        let gone = gone.map(|(&mapping, totals)| (ValueKey::Gone(mapping), Value::Gone(*totals)));
        let sought = self.before_seeks.iter();
        let sought = sought
            .map(|(&unit, totals)| (ValueKey::BeforeSeeks(unit), Value::BeforeSeeks(*totals)));
        std::iter::once((ValueKey::Ids, self.ids()))
            .chain(streams)
            .chain(functions)
            .chain(mappings)
            .chain(ends)
            .chain(units)
            .chain(windows)
            .chain(letters)
            .chain(gone)
            .chain(sought)
    }

    fn ids(&self) -> Value {
        let (stream, function, mapping) = self.registry.next_ids();
        Value::Ids(stream, function, mapping)
    }

    /// The view that [`Self::values`] came from, in whatever order they come back.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn from_values(
        values: impl IntoIterator<Item = (ValueKey, Value)>,
    ) -> Result<Self, InconsistentView> {
        let mut change = RegistryChange::default();
        let (mut tails, mut producers) = (Vec::new(), Vec::new());
        let (mut units, mut gone, mut sought) = (Vec::new(), Vec::new(), Vec::new());
        let (mut letters, mut windows) = (Vec::new(), Vec::new());
        for (key, value) in values {
            match (key, value) {
                (ValueKey::Ids, Value::Ids(stream, function, mapping)) => {
                    change.next_stream = stream;
                    change.next_function = function;
                    change.next_mapping = mapping;
                }
                (ValueKey::Stream(id), Value::Stream(stream)) if id == stream.id => {
                    change.streams.push(stream);
                }
                (ValueKey::Function(id), Value::Function(function)) if id == function.id => {
                    change.functions.push(function);
                }
                (ValueKey::Mapping(id), Value::Mapping(mapping)) if id == mapping.id => {
                    change.mappings.push(mapping);
                }
                (ValueKey::Tail(stream, shard), Value::Tail(tail)) => {
                    tails.push((stream, shard, tail));
                }
                (ValueKey::Producer(stream, name), Value::Producer(state)) => {
                    producers.push((stream, name, state));
                }
                (ValueKey::Unit(id), Value::Unit(unit)) => units.push((id, unit)),
                (ValueKey::Window(id, group), Value::Window(window)) => {
                    windows.push((id, group, window));
                }
                (ValueKey::Letters(stream), Value::Letters(value)) => letters.push((stream, value)),
                (ValueKey::Gone(mapping), Value::Gone(totals)) => gone.push((mapping, totals)),
                (ValueKey::BeforeSeeks(unit), Value::BeforeSeeks(totals)) => {
                    sought.push((unit, totals));
                }
                (key, _) => return Err(InconsistentView::WrongKind(key)),
            }
        }

        let mut view = Self::new();
        let mut missing = std::collections::BTreeSet::new();
        view.apply_noting(
            &crate::entry::Entry::Meta {
                change: Arc::new(change),
                units: Vec::new(),
            },
            &mut |key| {
                if matches!(key, ValueKey::Tail(..) | ValueKey::Unit(_)) {
                    missing.insert(key);
                }
            },
        );
        for (stream, shard, tail) in tails {
            let key = ValueKey::Tail(stream, shard);
            missing.remove(&key);
            let is_there = view
                .streams
                .get_mut(&stream)
                .is_some_and(|stream| stream.set_tail(shard, tail));
            if !is_there {
                return Err(InconsistentView::Orphan(key));
            }
        }
        for (stream, name, state) in producers {
            view.streams
                .get_mut(&stream)
                .ok_or_else(|| {
                    InconsistentView::Orphan(ValueKey::Producer(stream, Arc::clone(&name)))
                })?
                .producers
                .remember(&name, state);
        }
        for (id, unit) in units {
            let key = ValueKey::Unit(id);
            if view.registry.mapping(id.mapping).is_none() {
                return Err(InconsistentView::Orphan(key));
            }
            missing.remove(&key);
            view.units.insert(id, UnitEntry::new(unit));
        }
        for (id, group, window) in windows {
            let unit = view.units.get_mut(&id);
            let unit = unit.ok_or(InconsistentView::Orphan(ValueKey::Window(id, group)))?;
            unit.edit().windows.insert(group, window);
        }
        for (stream, value) in letters {
            if view.registry.stream(stream).is_none() {
                return Err(InconsistentView::Orphan(ValueKey::Letters(stream)));
            }
            view.letters.insert(stream, value);
        }
        for (mapping, totals) in gone {
            if view.registry.mapping(mapping).is_none() {
                return Err(InconsistentView::Orphan(ValueKey::Gone(mapping)));
            }
            view.gone.insert(mapping, totals);
        }
        for (unit, totals) in sought {
            if view.registry.mapping(unit.mapping).is_none() {
                return Err(InconsistentView::Orphan(ValueKey::BeforeSeeks(unit)));
            }
            view.before_seeks.insert(unit, totals);
        }
        match missing.pop_first() {
            Some(key) => Err(InconsistentView::Missing(key)),
            None => Ok(view),
        }
    }
}

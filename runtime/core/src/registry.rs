//! The catalogue of streams, functions and mappings: a deterministic state machine fed by the
//! journal. [`Registry::evaluate`] turns a command into an absolute change or a refusal,
//! [`Registry::apply`] is what redo runs.

mod address;
mod canary;
mod change;
mod command;
mod cycle;
mod deploy;
mod draft;
mod evaluate;
mod refusal;
mod reshard;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    function::Function,
    id::{FunctionId, FunctionName, MappingId, StreamId, StreamName},
    mapping::Mapping,
    shard::Stream,
};

pub use address::AddressError;
pub use change::{Change, ChangeValue, Note};
pub use command::{
    Applied, Command, ComponentFacts, Deploy, Deployed, Evaluated, FoundPosition, MappingIs, Tails,
};
pub use refusal::Refusal;

/// An absolute change of the catalogue: whole new values, so that applying it twice is applying it
/// once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryChange {
    /// Streams made or altered, whole.
    pub streams: Vec<Arc<Stream>>,
    /// Streams deleted.
    pub deleted_streams: Vec<StreamId>,
    /// Functions made or altered, whole.
    pub functions: Vec<Arc<Function>>,
    /// Functions deleted.
    pub deleted_functions: Vec<FunctionId>,
    /// Mappings made or altered, whole.
    pub mappings: Vec<Arc<Mapping>>,
    /// Mappings deleted; their letters outlive them.
    pub deleted_mappings: Vec<MappingId>,
    /// Next stream id after this.
    pub next_stream: StreamId,
    /// Next function id after this.
    pub next_function: FunctionId,
    /// Next mapping id after this.
    pub next_mapping: MappingId,
}

/// Streams, functions and mappings by id and by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    streams: BTreeMap<StreamId, Arc<Stream>>,
    functions: BTreeMap<FunctionId, Arc<Function>>,
    mappings: BTreeMap<MappingId, Arc<Mapping>>,
    next_stream: StreamId,
    next_function: FunctionId,
    next_mapping: MappingId,
    // Derived from the values above, so that a name is one look-up.
    stream_names: BTreeMap<StreamName, StreamId>,
    function_names: BTreeMap<FunctionName, FunctionId>,
    by_stream: BTreeSet<(StreamId, MappingId)>,
}

impl Registry {
    /// The stream of this id.
    #[must_use]
    pub fn stream(&self, id: StreamId) -> Option<&Arc<Stream>> {
        self.streams.get(&id)
    }

    /// The stream that the name means now.
    #[must_use]
    pub fn stream_by_name(&self, name: &StreamName) -> Option<&Arc<Stream>> {
        self.streams.get(self.stream_names.get(name)?)
    }

    /// All streams by id, internal ones included.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.values()
    }

    /// The function of this id.
    #[must_use]
    pub fn function(&self, id: FunctionId) -> Option<&Arc<Function>> {
        self.functions.get(&id)
    }

    /// The function that the name means now.
    #[must_use]
    pub fn function_by_name(&self, name: &FunctionName) -> Option<&Arc<Function>> {
        self.functions.get(self.function_names.get(name)?)
    }

    /// All functions by id.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values()
    }

    /// The mapping of this id.
    #[must_use]
    pub fn mapping(&self, id: MappingId) -> Option<&Arc<Mapping>> {
        self.mappings.get(&id)
    }

    /// All mappings by id.
    pub fn mappings(&self) -> impl Iterator<Item = &Arc<Mapping>> {
        self.mappings.values()
    }

    /// The mappings that read a stream, by id, whatever their state.
    pub fn mappings_of(&self, stream: StreamId) -> impl Iterator<Item = &Arc<Mapping>> {
        self.by_stream
            .range((stream, MappingId(0))..=(stream, MappingId(u64::MAX)))
            .filter_map(|(_, mapping)| self.mappings.get(mapping))
    }

    /// Whether what a mapping writes to `output` may come round to the stream that it reads.
    #[must_use]
    pub fn leads_back(&self, mapping: MappingId, output: &StreamName) -> bool {
        self.mapping(mapping).is_some_and(|mapping| {
            let all = self.mappings().map(|mapping| &**mapping);
            cycle::leads(output, &mapping.stream_name, all)
        })
    }

    /// The ids that the next stream, function and mapping get; never reused.
    #[must_use]
    pub const fn next_ids(&self) -> (StreamId, FunctionId, MappingId) {
        (self.next_stream, self.next_function, self.next_mapping)
    }

    /// Takes a change over: whole values replace their predecessors, so that redo may repeat it.
    pub fn apply(&mut self, change: &RegistryChange) {
        for id in &change.deleted_mappings {
            if let Some(mapping) = self.mappings.remove(id) {
                self.by_stream.remove(&(mapping.stream, mapping.id));
            }
        }
        for id in &change.deleted_functions {
            // A redo may have given the name to a later function already.
            if let Some(function) = self.functions.remove(id)
                && self.function_names.get(&function.name) == Some(id)
            {
                self.function_names.remove(&function.name);
            }
        }
        for id in &change.deleted_streams {
            if let Some(stream) = self.streams.remove(id)
                && self.stream_names.get(&stream.name) == Some(id)
            {
                self.stream_names.remove(&stream.name);
            }
        }
        for stream in &change.streams {
            // Internal streams answer to no name: one of the same name may be anybody's.
            if !stream.is_internal {
                self.stream_names.insert(stream.name.clone(), stream.id);
            }
            self.streams.insert(stream.id, Arc::clone(stream));
        }
        for function in &change.functions {
            self.function_names
                .insert(function.name.clone(), function.id);
            self.functions.insert(function.id, Arc::clone(function));
        }
        for mapping in &change.mappings {
            self.by_stream.insert((mapping.stream, mapping.id));
            self.mappings.insert(mapping.id, Arc::clone(mapping));
        }
        self.next_stream = change.next_stream;
        self.next_function = change.next_function;
        self.next_mapping = change.next_mapping;
    }
}

#[cfg(test)]
mod tests;

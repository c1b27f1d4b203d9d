//! The catalogue of streams, functions and mappings: a deterministic state machine fed by the
//! journal. [`Registry::evaluate`] turns a command into an absolute change or a refusal,
//! [`Registry::apply`] is what redo runs.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    function::Function,
    id::{FunctionId, MappingId, StreamId},
    mapping::Mapping,
    shard::Stream,
};

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
}

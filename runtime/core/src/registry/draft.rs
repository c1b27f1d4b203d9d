//! A change under construction: allocates ids and shows the catalogue as it will be.

use std::{collections::BTreeMap, sync::Arc};

use super::{Applied, Evaluated, Registry, RegistryChange};
use crate::{
    function::Function,
    id::{FunctionId, MappingId, ShardNumber, StreamId, StreamName, Timestamp, UnitId},
    mapping::Mapping,
    shard::{HashKeyRange, Shard, Stream},
    spec::resolve::StreamSettings,
};

/// A change under construction.
pub(super) struct Draft<'a> {
    base: &'a Registry,
    pub(super) change: RegistryChange,
    pub(super) fenced: Vec<UnitId>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(base: &'a Registry) -> Self {
        let (next_stream, next_function, next_mapping) = base.next_ids();
        Self {
            base,
            // Ids start at 1, so that 0 never names anything.
            change: RegistryChange {
                next_stream: StreamId(next_stream.0.max(1)),
                next_function: FunctionId(next_function.0.max(1)),
                next_mapping: MappingId(next_mapping.0.max(1)),
                ..RegistryChange::default()
            },
            fenced: Vec::new(),
        }
    }

    /// The change as an answer.
    pub(super) fn done(self, applied: Applied) -> Evaluated {
        Evaluated {
            change: Some(self.change),
            fenced: self.fenced,
            applied,
        }
    }

    /// Whether nothing would change.
    pub(super) fn is_empty(&self) -> bool {
        let change = &self.change;
        change.streams.is_empty()
            && change.deleted_streams.is_empty()
            && change.functions.is_empty()
            && change.deleted_functions.is_empty()
            && change.mappings.is_empty()
            && change.deleted_mappings.is_empty()
    }

    /// The stream that the name will mean.
    pub(super) fn stream_by_name(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.change
            .streams
            .iter()
            .find(|stream| stream.name == *name && !stream.is_internal)
            .or_else(|| self.base.stream_by_name(name))
            .cloned()
    }

    pub(super) fn create_stream(
        &mut self,
        name: StreamName,
        settings: StreamSettings,
        is_internal: bool,
        now: Timestamp,
    ) -> Arc<Stream> {
        let id = self.change.next_stream;
        self.change.next_stream = id.next();
        let shards = HashKeyRange::initial(settings.shards)
            .into_iter()
            .zip(0..)
            .map(|(range, number)| Shard {
                number: ShardNumber(number),
                range,
                created_at: now,
                parents: Vec::new(),
                is_closed: false,
            })
            .collect();
        let stream = Arc::new(Stream {
            id,
            name,
            shards,
            retention_ms: settings.retention_ms,
            ack: settings.ack,
            created_at: now,
            is_internal,
            options: settings.options,
        });
        self.change.streams.push(Arc::clone(&stream));
        stream
    }

    pub(super) fn next_function(&mut self) -> FunctionId {
        let id = self.change.next_function;
        self.change.next_function = id.next();
        id
    }

    pub(super) fn next_mapping(&mut self) -> MappingId {
        let id = self.change.next_mapping;
        self.change.next_mapping = id.next();
        id
    }

    pub(super) fn put_function(&mut self, function: &Arc<Function>) {
        self.change.functions.push(Arc::clone(function));
    }

    pub(super) fn put_mapping(&mut self, mapping: &Arc<Mapping>) {
        self.change.mappings.retain(|other| other.id != mapping.id);
        self.change.mappings.push(Arc::clone(mapping));
    }

    /// Fences the owners of a mapping's units.
    pub(super) fn fence(&mut self, mapping: &Mapping) {
        let Some(stream) = self.base.stream(mapping.stream) else {
            return;
        };
        for shard in &stream.shards {
            let unit = UnitId {
                mapping: mapping.id,
                stream: stream.id,
                shard: shard.number,
            };
            if !self.fenced.contains(&unit) {
                self.fenced.push(unit);
            }
        }
    }

    /// The mappings as they will be.
    pub(super) fn mappings(&self) -> BTreeMap<MappingId, Arc<Mapping>> {
        let mut all: BTreeMap<_, _> = self
            .base
            .mappings()
            .chain(&self.change.mappings)
            .map(|mapping| (mapping.id, Arc::clone(mapping)))
            .collect();
        all.retain(|id, _| !self.change.deleted_mappings.contains(id));
        all
    }
}

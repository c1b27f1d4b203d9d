//! What people do to the catalogue: streams, mappings, owners.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use fnctl_core::{
    entry::Entry,
    id::{FunctionId, OutputName, ShardNumber, StreamName, Timestamp},
    mapping::{Mapping, MappingSettings, MappingState, OutputBinding},
    registry::{Command, RegistryChange},
    shard::{Ack, HashKeyRange, Shard, Stream, StreamOptions},
    spec::resolve::StreamSettings,
    view::NodeView,
};
use fnctl_store::{DecideError, Store};

use super::{
    World,
    life::{Node, Over},
    profile::{FOR_EVER_MS, SHORT_MS},
    windows::CLOSED,
};

pub(super) fn name(text: &str) -> StreamName {
    StreamName::parse(text).expect("a name")
}

pub(super) fn create_stream(text: &str, shards: u32, retention_ms: u64) -> Command {
    Command::CreateStream {
        name: name(text),
        settings: StreamSettings {
            shards,
            retention_ms,
            ack: Ack::Synced,
            options: StreamOptions::default(),
        },
    }
}

/// The bindings of a mapping that writes to `to`: an output, one that is bound to nothing, and that of lists
/// of windows.
pub(super) fn bindings(to: &str) -> Arc<[OutputBinding]> {
    [
        OutputBinding::Stream(name(to)),
        OutputBinding::None,
        OutputBinding::Stream(name(CLOSED)),
    ]
    .into()
}

/// A mapping with a dead-letter stream of its own.
async fn add_mapping(
    store: &Store,
    from: &'static str,
    to: &'static str,
    settings: MappingSettings,
) -> Result<(), DecideError<Infallible>> {
    let make = move |view: &NodeView, now: Timestamp| {
        let registry = view.registry();
        let source = registry.stream_by_name(&name(from)).expect("it was made");
        let (next_stream, next_function, next_mapping) = registry.next_ids();
        let letters = Stream {
            id: next_stream,
            name: name(&format!("letters-of-{from}")),
            shards: vec![Shard {
                number: ShardNumber(0),
                range: HashKeyRange::initial(1)[0],
                created_at: now,
                parents: Vec::new(),
                is_closed: false,
            }],
            retention_ms: u64::MAX,
            ack: Ack::Synced,
            created_at: now,
            is_internal: true,
            options: StreamOptions::default(),
        };
        let output = OutputName::parse("default").expect("a name");
        let mapping = Mapping {
            id: next_mapping,
            function: FunctionId(1),
            stream: source.id,
            stream_name: source.name.clone(),
            dead_letters: letters.id,
            settings,
            outputs: BTreeMap::from([(output, OutputBinding::Stream(name(to)))]),
            state: MappingState::Running,
            state_since: now,
            starting_after: BTreeMap::new(),
            created_at: now,
        };
        let change = RegistryChange {
            streams: vec![Arc::new(letters)],
            mappings: vec![Arc::new(mapping)],
            next_stream: next_stream.next(),
            next_function,
            next_mapping: next_mapping.next(),
            ..RegistryChange::default()
        };
        let entry = Entry::Meta {
            change: Arc::new(change),
            units: Vec::new(),
        };
        Ok((Some(entry), ()))
    };
    store.decide(make).await
}

impl World {
    /// The streams and mappings, unless they are there.
    pub(super) fn set_up(&mut self, node: &mut Node) -> Result<(), Over> {
        let streams = [
            ("in", self.profile.shards, self.profile.retention_ms),
            ("short", 1, SHORT_MS),
            ("out", self.profile.out_shards, FOR_EVER_MS),
            ("end", 1, FOR_EVER_MS),
        ];
        let closed = self.windows.has_windows();
        let closed = closed.then_some((CLOSED, 1, FOR_EVER_MS));
        for (text, shards, retention_ms) in streams.into_iter().chain(closed) {
            let is_there = |view: &NodeView| view.registry().stream_by_name(&name(text)).is_some();
            if !node.store.view(is_there) {
                let store = node.store.clone();
                let command = create_stream(text, shards, retention_ms);
                let made = self.run_request(node, store.command(command))?;
                if made.is_err() {
                    return Err(Over);
                }
            }
        }
        let mut wanted = vec![("in", "out")];
        if self.profile.has_chain {
            wanted.push(("out", "end"));
        }
        for (from, to) in wanted {
            let is_there = |view: &NodeView| {
                let mut mappings = view.registry().mappings();
                mappings.any(|mapping| mapping.stream_name == name(from))
            };
            if !node.store.view(is_there) {
                let store = node.store.clone();
                let settings = self.profile.settings.clone();
                let made = self.run_request(node, add_mapping(&store, from, to, settings))?;
                if made.is_err() {
                    return Err(Over);
                }
            }
        }
        Ok(())
    }
}

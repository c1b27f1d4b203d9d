//! What is known of records that were seen.

use std::collections::BTreeMap;

use fnctl_core::{
    id::{MappingId, StreamId},
    limits,
    mapping::MappingSettings,
    record::Origin,
    view::NodeView,
};

use super::{Seen, SeenShard, Shard, id_of};
use crate::{
    guest::Nature,
    ledger,
    node::{facts::Facts, key_number},
};

/// Everything that was ever seen, and what the function does with it.
pub(super) struct Known<'a> {
    seen: &'a BTreeMap<Shard, SeenShard>,
    facts: &'a Facts,
    letters: BTreeMap<MappingId, StreamId>,
    /// No mapping has a filter; all have windows on days with some.
    settings: MappingSettings,
}

impl<'a> Known<'a> {
    pub(super) fn new(
        seen: &'a BTreeMap<Shard, SeenShard>,
        facts: &'a Facts,
        view: &NodeView,
        has_windows: bool,
    ) -> Self {
        let settings = MappingSettings {
            tumbling_window_ms: u32::from(has_windows),
            ..MappingSettings::default()
        };
        let mappings = view.registry().mappings();
        Self {
            seen,
            facts,
            letters: mappings.map(|of| (of.id, of.dead_letters)).collect(),
            settings,
        }
    }

    fn seen(&self, at: &Origin) -> &(Seen, Option<u64>) {
        let of_shard = self.seen.get(&(at.stream, at.shard));
        let found = of_shard.and_then(|shard| shard.records.get(&at.position));
        found.unwrap_or_else(|| panic!("nobody read {at:?}"))
    }

    /// The number of a record that was put from outside.
    pub(super) fn number(&self, at: &Origin) -> Option<u64> {
        let (record, since) = self.seen(at);
        since.map(|_| id_of(&record.data))
    }
}

impl ledger::Surroundings for Known<'_> {
    fn record(&self, at: &Origin) -> ledger::Known {
        let (record, since) = self.seen(at);
        ledger::Known {
            key: key_number(&record.key),
            nature: match since {
                _ if record.hops > limits::HOPS_MAX => Nature::Loop,
                Some(_) => self.facts.of(id_of(&record.data)),
                None => Nature::Good,
            },
            hops: record.hops,
        }
    }

    fn settings(&self, _: MappingId) -> &MappingSettings {
        &self.settings
    }

    fn letters_of(&self, mapping: MappingId) -> StreamId {
        self.letters[&mapping]
    }
}

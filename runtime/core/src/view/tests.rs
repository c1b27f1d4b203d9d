//! Table tests, and the schedules of commit and storage rules §10 that a view alone can show.

mod appends;
mod commits;
mod letters;
mod life_cycle;
mod lineage;
mod quotas;
mod redo;
mod retention;
mod schedules;
mod seeks;
mod windows;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{AppendRefusal, CommitFault, NodeView, ProducerSequence, StreamRef, Value, ValueKey};
use crate::{
    commit::{
        AttemptMark, Commit, CommitAnswer, DeadLetter, ErrorKind, OutputRecords, Redriven,
        UnitTotals,
    },
    entry::{Entry, Placement},
    function::SecretValue,
    id::{
        FunctionName, FunctionVersion, LeaseEpoch, MappingId, Ordinal, OutputName, ShardNumber,
        SlotId, StreamId, StreamName, Timestamp, UnitId,
    },
    record::{ColumnBuilder, NewRecords},
    registry::{Applied, Command, ComponentFacts, Deploy},
    settled::{SettledRange, SettledRanges},
    shard::{Ack, Reshard, StreamOptions},
    spec::resolve::StreamSettings,
};

/// A view with the log that led to it.
#[derive(Default)]
struct Bench {
    view: NodeView,
    log: Vec<Entry>,
    now: u64,
}

impl Bench {
    fn take(&mut self, entry: Entry) -> &Entry {
        self.view.apply(&entry);
        self.log.push(entry);
        self.log.last().unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    fn command(&mut self, command: &Command) -> Applied {
        let (entry, applied) = self.view.evaluate_command(command, self.now()).unwrap();
        if let Some(entry) = entry {
            self.take(entry);
        }
        applied
    }

    fn create_stream(&mut self, stream: &str, shards: u32) -> StreamId {
        let settings = StreamSettings {
            shards,
            retention_ms: 86_400_000,
            ack: Ack::Synced,
            options: StreamOptions::default(),
        };
        match self.command(&Command::CreateStream {
            name: name(stream),
            settings,
        }) {
            Applied::Stream(stream) => stream.id,
            other => panic!("creating a stream says {other:?}"),
        }
    }

    fn delete_stream(&mut self, stream: &str) {
        self.command(&Command::DeleteStream {
            name: name(stream),
            force: true,
        });
    }

    /// Splits a shard in the middle.
    fn split(&mut self, stream: &str, shard: u32) {
        let shard = ShardNumber(shard);
        self.reshard(stream, Reshard::Split { shard, at: None });
    }

    fn merge(&mut self, stream: &str, shard: u32, adjacent: u32) {
        let (shard, adjacent) = (ShardNumber(shard), ShardNumber(adjacent));
        self.reshard(stream, Reshard::Merge { shard, adjacent });
    }

    fn reshard(&mut self, stream: &str, how: Reshard) {
        let name = name(stream);
        self.command(&Command::Reshard { name, how });
    }

    /// Settles records of a unit in its owner's name.
    fn settle(&mut self, unit: UnitId, after: u64, through: u64) {
        let mut commit = self.settling(unit, after, through);
        commit.totals.processed = through;
        self.commit(commit).unwrap();
    }

    /// Deploys `function` with one mapping's layer; answers the mapping.
    fn deploy(&mut self, function: &str, layer: serde_json::Value) -> MappingId {
        let deploy = deploy(function, "a", layer);
        match self.command(&Command::Deploy(Box::new(deploy))) {
            Applied::Deployed(deployed) => deployed.mappings[0].id,
            other => panic!("a deploy says {other:?}"),
        }
    }

    fn put(&mut self, stream: &str, records: NewRecords) -> Placement {
        let entry = self
            .view
            .evaluate_append(
                StreamRef::Name(&name(stream)),
                &Arc::new(records),
                None,
                self.now(),
            )
            .unwrap();
        match self.take(entry) {
            Entry::Append { placement, .. } => placement.clone(),
            other => panic!("a put becomes {other:?}"),
        }
    }

    fn lease(&mut self, unit: UnitId) -> LeaseEpoch {
        let entry = self.view.evaluate_lease(&[unit]);
        self.take(entry);
        self.view.unit(unit).unwrap().epoch
    }

    fn commit(&mut self, commit: Commit) -> Result<Entry, CommitAnswer> {
        let entry = self.view.evaluate_commit(&Arc::new(commit), self.now())?;
        Ok(self.take(entry).clone())
    }

    fn unit(&self, mapping: MappingId, shard: u32) -> UnitId {
        let stream = self.view.registry().mapping(mapping).unwrap().stream;
        UnitId {
            mapping,
            stream,
            shard: ShardNumber(shard),
        }
    }

    fn stream_id(&self, stream: &str) -> StreamId {
        self.view
            .registry()
            .stream_by_name(&name(stream))
            .unwrap()
            .id
    }

    fn next(&self, stream: StreamId, shard: u32) -> u64 {
        self.view.tail(stream, ShardNumber(shard)).unwrap().next.0
    }

    /// A commit of the unit's present owner with the slot's next number, that says nothing yet.
    fn blank(&self, unit: UnitId) -> Commit {
        let slot = SlotId::Lane(0);
        Commit {
            unit,
            epoch: self.view.unit(unit).unwrap().epoch,
            slot,
            number: self.view.last_number(unit, slot) + 1,
            settles: SettledRanges::new(),
            attempts: vec![],
            totals: UnitTotals::default(),
            dead_letters: vec![],
            outputs: vec![],
            function_version: FunctionVersion(1),
            redriven: None,
            window: None,
            outages: None,
        }
    }

    fn settling(&self, unit: UnitId, after: u64, through: u64) -> Commit {
        Commit {
            settles: [range(after, through)].into_iter().collect(),
            ..self.blank(unit)
        }
    }
}

fn deploy(function: &str, digest: &str, layer: serde_json::Value) -> Deploy {
    Deploy {
        function: FunctionName::parse(function).unwrap(),
        component: Some(ComponentFacts {
            digest: digest.into(),
            bytes: 10,
            outputs: vec![OutputName::parse("default").unwrap()],
            uses: vec![],
        }),
        spec: Default::default(),
        mappings: vec![serde_json::from_value(layer).unwrap()],
        streams: BTreeMap::new(),
        new_streams: Default::default(),
        secrets: BTreeMap::from([("token".to_owned(), SecretValue(Arc::from(*b"s")))]),
        is_manifest: false,
        unset: vec![],
        allow_loop: true,
        found: vec![],
        mapping_is: None,
        canary: None,
    }
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

const fn range(after: u64, through: u64) -> SettledRange {
    SettledRange {
        after: Ordinal(after),
        through: Ordinal(through),
    }
}

fn mark(position: u64, count: u32) -> AttemptMark {
    AttemptMark {
        position: Ordinal(position),
        count,
        version: FunctionVersion(1),
        next_retry: Timestamp(0),
        is_in_hand: false,
        cause: None,
    }
}

/// Records with these hash keys, two bytes each.
fn records(hash_keys: &[u128]) -> NewRecords {
    let mut keys = ColumnBuilder::with_capacity(0, 0);
    let mut data = ColumnBuilder::with_capacity(0, 0);
    for _ in hash_keys {
        keys.push(b"k");
        data.push(b"d");
    }
    NewRecords {
        keys: keys.finish(),
        data: data.finish(),
        hash_keys: hash_keys.to_vec(),
        hops: vec![],
        origins: vec![],
    }
}

/// `count` records of the first shard.
fn some(count: usize) -> NewRecords {
    records(&vec![0; count])
}

fn output(stream: &str, records: NewRecords) -> OutputRecords {
    OutputRecords {
        stream: name(stream),
        records,
    }
}

fn letter(position: u64, data: &'static [u8]) -> DeadLetter {
    DeadLetter {
        shard: ShardNumber(0),
        position: Ordinal(position),
        arrival: Timestamp(0),
        sequence_number: "1".into(),
        key: Bytes::from_static(b"k"),
        hash_key: 0,
        data: Bytes::from_static(data),
        kind: ErrorKind::Skip,
        code: "skip".into(),
        error: "no".into(),
        attempts: 1,
        version: FunctionVersion(1),
        failed_at: Timestamp(0),
        cost: None,
    }
}

fn all_values(view: &NodeView) -> Vec<(ValueKey, Value)> {
    view.values().collect()
}

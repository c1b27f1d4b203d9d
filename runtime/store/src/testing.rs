//! What the tests of this crate share: a clock that stands still, stores that are stepped by hand, and
//! records to put.

pub(crate) mod engines;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use fnctl_core::{
    clock::Clock,
    commit::{DeadLetter, ErrorKind},
    committer::Stopped,
    entry::Entry,
    id::{
        FunctionId, FunctionVersion, MappingId, Ordinal, ShardNumber, StreamId, StreamName,
        Timestamp,
    },
    mapping::{Mapping, MappingSettings, MappingState},
    record::{ColumnBuilder, NewRecords, RecordBlock},
    registry::{Command, RegistryChange},
    shard::{Ack, HashKeyRange, Shard, Stream, StreamOptions},
    spec::resolve::StreamSettings,
    view::NodeView,
};

use crate::{DecideError, Loops, Options, Step, Store, disk::Disk, open};

/// A clock that moves when told.
#[derive(Debug)]
pub(crate) struct ManualClock {
    wall: AtomicU64,
    boot: AtomicU64,
}

impl ManualClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            wall: AtomicU64::new(1_700_000_000_000),
            boot: AtomicU64::new(1_000),
        })
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
        self.boot.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) fn jump(&self, ms: i64) {
        self.wall.fetch_add(ms.cast_unsigned(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::Relaxed))
    }

    fn boot_ms(&self) -> u64 {
        self.boot.load(Ordering::Relaxed)
    }
}

/// A store whose loops are stepped by the test.
pub(crate) struct Node {
    pub(crate) store: Store,
    pub(crate) loops: Loops,
}

impl Node {
    pub(crate) fn open(
        directory: &std::path::Path,
        disk: impl Disk,
        clock: &Arc<ManualClock>,
    ) -> Self {
        Self::open_with(Options::new(directory), disk, clock)
    }

    pub(crate) fn open_with(options: Options, disk: impl Disk, clock: &Arc<ManualClock>) -> Self {
        let (store, loops) = open(options, disk, Arc::clone(clock)).expect("it opens");
        Self { store, loops }
    }

    /// Writes, syncs and publishes what gathered.
    pub(crate) fn write(&mut self) -> Result<(), Stopped> {
        while self.loops.sequencer.step()? == Step::Worked {}
        Ok(())
    }

    /// Steps both loops until there is nothing to do.
    pub(crate) fn settle(&mut self) -> Result<(), Stopped> {
        loop {
            let written = self.loops.sequencer.step()?;
            let applied = self.loops.applier.step()?;
            if written != Step::Worked && applied != Step::Worked {
                return Ok(());
            }
        }
    }

    /// Runs a request to its answer.
    pub(crate) fn run<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Stopped> {
        let mut future = pin!(future);
        for _ in 0..100 {
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return Ok(value);
            }
            self.write()?;
        }
        panic!("a request was never answered");
    }

    pub(crate) fn put(&mut self, stream: &str, records: NewRecords) -> crate::Appended {
        let store = self.store.clone();
        let name = StreamName::parse(stream).expect("a name");
        self.run(store.append(name, records, None))
            .expect("it runs")
            .expect("it is taken")
    }

    pub(crate) fn create_stream(&mut self, name: &str, shards: u32) -> StreamId {
        let store = self.store.clone();
        let command = create_stream(name, shards);
        self.run(store.command(command))
            .expect("it runs")
            .expect("it is taken");
        let name = StreamName::parse(name).expect("a name");
        self.store.view(|view| {
            view.registry()
                .stream_by_name(&name)
                .expect("it is there")
                .id
        })
    }

    /// Every record of a shard that can be read, by payload.
    pub(crate) fn read_all(&self, stream: StreamId, shard: u32) -> Vec<Vec<u8>> {
        let mut after = self.store.view(|view| {
            let tail = view
                .tail(stream, ShardNumber(shard))
                .expect("the shard is there");
            Ordinal(tail.floor.0 - 1)
        });
        let mut found = Vec::new();
        loop {
            let blocks: Vec<Arc<RecordBlock>> = self
                .store
                .read(stream, ShardNumber(shard), after, 1_000, 1 << 20)
                .expect("it can be read");
            let Some(last) = blocks.last() else {
                return found;
            };
            for block in &blocks {
                assert_eq!(block.first, after.next(), "blocks follow each other");
                after = block.last();
                found.extend((0..block.len()).map(|i| block.records.data.get(i).to_vec()));
            }
            assert_eq!(after, last.last());
        }
    }
}

pub(crate) fn create_stream(name: &str, shards: u32) -> Command {
    Command::CreateStream {
        name: StreamName::parse(name).expect("a name"),
        settings: StreamSettings {
            shards,
            retention_ms: 24 * 60 * 60 * 1000,
            ack: Ack::Synced,
            options: StreamOptions::default(),
        },
    }
}

/// Records with these payloads, keys spread over the hash-key space by the first byte.
pub(crate) fn records<T: AsRef<[u8]>>(payloads: &[T]) -> NewRecords {
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    let mut hash_keys = Vec::new();
    for payload in payloads {
        let payload = payload.as_ref();
        let first = payload.first().copied().unwrap_or(0);
        keys.push(&[b'k', first]);
        data.push(payload);
        hash_keys.push(u128::from(first.reverse_bits()) << 120);
    }
    NewRecords {
        keys: keys.finish(),
        data: data.finish(),
        hash_keys,
        hops: Vec::new(),
        origins: Vec::new(),
    }
}

/// A mapping on a stream, with a function and a dead-letter stream of its own.
pub(crate) async fn add_mapping(
    store: &Store,
    stream: &str,
) -> Result<MappingId, DecideError<std::convert::Infallible>> {
    let stream = StreamName::parse(stream).expect("a name");
    let make = move |view: &NodeView, now: Timestamp| {
        let registry = view.registry();
        let source = registry.stream_by_name(&stream).expect("it is there");
        let (next_stream, next_function, next_mapping) = registry.next_ids();
        let letters = Stream {
            id: next_stream,
            name: StreamName::parse("letters").expect("a name"),
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
        let mapping = Mapping {
            id: next_mapping,
            function: FunctionId(1),
            stream: source.id,
            stream_name: source.name.clone(),
            dead_letters: letters.id,
            settings: MappingSettings::default(),
            outputs: std::collections::BTreeMap::new(),
            state: MappingState::Running,
            state_since: now,
            starting_after: std::collections::BTreeMap::new(),
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
        Ok((Some(entry), next_mapping))
    };
    store.decide(make).await
}

pub(crate) fn dead_letter(shard: ShardNumber, position: Ordinal) -> DeadLetter {
    DeadLetter {
        shard,
        position,
        arrival: Timestamp(1),
        sequence_number: "49".into(),
        key: Bytes::from_static(b"k"),
        hash_key: 0,
        data: Bytes::from_static(b"payload"),
        kind: ErrorKind::Skip,
        code: "bad".into(),
        error: "it is bad".into(),
        attempts: 1,
        version: FunctionVersion(1),
        failed_at: Timestamp(2),
        cost: None,
    }
}

/// A directory whose files roll soon and whose readers go to the disk: a few records fill several.
#[cfg(test)]
pub(crate) fn small_files() -> Options {
    Options {
        ballast_bytes: 0,
        tail_bytes_max: 0,
        sizes: crate::Sizes {
            journal_file: 8 << 10,
            segment: 1 << 10,
            segment_frame: 64,
            ..crate::Sizes::default()
        },
        ..Options::new("/data")
    }
}

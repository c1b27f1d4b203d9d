//! What the streams, the mapping and the commits of the model are made of.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    commit::{AttemptMark, Commit, DeadLetter, ErrorKind, OutputRecords, UnitTotals},
    entry::Entry,
    id::{
        FunctionId, FunctionVersion, MappingId, Ordinal, OutputName, ShardNumber, SlotId, StreamId,
        StreamName, Timestamp, UnitId,
    },
    mapping::{Mapping, MappingSettings, MappingState, OutputBinding},
    record::{ColumnBuilder, NewRecords},
    registry::RegistryChange,
    settled::{SettledRange, SettledRanges},
    shard::{Ack, HashKeyRange, Shard, Stream, StreamOptions},
};

use crate::{
    config::{Config, Family, RETRY, bits},
    facts::{Facts, local_epoch},
    state::SentParts,
    window::SPAN_MS,
};

/// The time: it stands still, and no backoff waits.
pub(crate) const NOW: Timestamp = Timestamp(1_000);
/// The stream read.
pub(crate) const SOURCE: StreamId = StreamId(1);
const LETTERS: StreamId = StreamId(2);
/// What is said of a letter's bytes: nobody asks for room here.
pub(crate) const LETTER_BYTES: u64 = 1;
/// The output stream, until one of its name follows it.
pub(crate) const OUTPUT: StreamId = StreamId(3);
/// A unit of the mapping that was made after `generation` others of its name.
pub(crate) fn unit_of(config: &Config, generation: u8, shard: usize) -> UnitId {
    let before = if config.fresh_ids { generation } else { 0 };
    UnitId {
        mapping: MappingId(1 + u64::from(before)),
        stream: SOURCE,
        shard: ShardNumber(u32::try_from(shard).expect("few shards")),
    }
}

pub(crate) const fn single(before: u64) -> SettledRange {
    SettledRange {
        after: Ordinal(before),
        through: Ordinal(before + 1),
    }
}

pub(crate) fn real_commit(
    config: &Config,
    facts: &Facts,
    (epoch, expired): (u8, u8),
    slot: usize,
    parts: &SentParts,
) -> Commit {
    let outputs = u64::from((facts.outputs | parts.outputs).count_ones());
    // What an owner counts that takes everything settled before it for its predecessors' work.
    let expired = u64::from(expired);
    let (processed, expired) = if config.carries_expired {
        (outputs, expired)
    } else {
        (outputs + expired, 0)
    };
    let (generation, epoch) = local_epoch(epoch);
    Commit {
        unit: unit_of(config, generation, 0),
        epoch,
        slot: match slot {
            RETRY => SlotId::Retry,
            lane => SlotId::Lane(u16::try_from(lane).expect("there are two lanes")),
        },
        number: u64::from(parts.number),
        settles: bits(parts.settles)
            .map(|record| single(record as u64))
            .collect::<SettledRanges>(),
        attempts: (0..config.records)
            .filter(|&record| parts.marks[record] > 0)
            .map(|record| AttemptMark {
                position: Ordinal(record as u64 + 1),
                count: u32::from(parts.marks[record]),
                version: FunctionVersion(1),
                next_retry: NOW,
                is_in_hand: false,
                cause: None,
            })
            .collect(),
        totals: UnitTotals {
            processed,
            emitted: outputs,
            dead_lettered: u64::from((facts.dead | parts.dead).count_ones()),
            expired,
            ..UnitTotals::default()
        },
        dead_letters: bits(parts.dead)
            .map(|record| letter(config, record))
            .collect(),
        outputs: if parts.outputs == 0 {
            Vec::new()
        } else {
            vec![OutputRecords {
                stream: name("out"),
                records: rows(config, parts.outputs),
            }]
        },
        function_version: FunctionVersion(1),
        redriven: None,
        window: None,
        outages: None,
    }
}

pub(crate) fn rows(config: &Config, mask: u8) -> NewRecords {
    let mut keys = ColumnBuilder::with_capacity(0, 0);
    let mut data = ColumnBuilder::with_capacity(0, 0);
    let mut hash_keys = Vec::new();
    for record in bits(mask) {
        keys.push(&[b'a' + config.key[record] as u8]);
        data.push(&[b'0' + record as u8]);
        // The child of a split is the lower half.
        let is_low = config.family == Family::Split || config.shard[record] == 0;
        hash_keys.push(match is_low {
            true => config.key[record] as u128,
            false => u128::MAX - config.key[record] as u128,
        });
    }
    NewRecords {
        keys: keys.finish(),
        data: data.finish(),
        hash_keys,
        hops: Vec::new(),
        origins: Vec::new(),
    }
}

/// The letter of a record. Its bytes are [`LETTER_BYTES`] in the model.
pub(crate) fn letter(config: &Config, record: usize) -> DeadLetter {
    DeadLetter {
        shard: ShardNumber(u32::try_from(config.shard[record]).expect("few shards")),
        position: config.position(record),
        arrival: NOW,
        sequence_number: "1".into(),
        key: Bytes::copy_from_slice(&[b'a' + config.key[record] as u8]),
        hash_key: config.key[record] as u128,
        data: Bytes::from_static(b"r"),
        kind: ErrorKind::Error,
        code: "e".into(),
        error: "e".into(),
        attempts: 1,
        version: FunctionVersion(1),
        failed_at: NOW,
        cost: None,
    }
}

pub(crate) fn name(text: &str) -> StreamName {
    StreamName::parse(text).expect("a valid name")
}

fn stream(id: StreamId, text: &str, is_internal: bool, shards: usize) -> Arc<Stream> {
    Arc::new(Stream {
        id,
        name: name(text),
        shards: HashKeyRange::initial(u32::try_from(shards).expect("few shards"))
            .into_iter()
            .zip(0..)
            .map(|(range, number)| Shard {
                number: ShardNumber(number),
                range,
                created_at: NOW,
                parents: Vec::new(),
                is_closed: false,
            })
            .collect(),
        retention_ms: 86_400_000,
        ack: Ack::Synced,
        created_at: NOW,
        is_internal,
        options: StreamOptions::default(),
    })
}

pub(crate) fn catalogue(config: &Config) -> Entry {
    Entry::Meta {
        change: Arc::new(RegistryChange {
            streams: vec![
                stream(SOURCE, "in", false, config.shards_at_first()),
                stream(LETTERS, "letters", true, 1),
                stream(OUTPUT, "out", false, 1),
            ],
            mappings: vec![mapping(config, 0, LETTERS)],
            next_stream: OUTPUT.next(),
            next_function: FunctionId(2),
            next_mapping: MappingId(2),
            ..RegistryChange::default()
        }),
        units: Vec::new(),
    }
}

fn mapping(config: &Config, generation: u8, letters: StreamId) -> Arc<Mapping> {
    let output = OutputName::parse("default").expect("a valid name");
    Arc::new(Mapping {
        id: unit_of(config, generation, 0).mapping,
        function: FunctionId(1),
        stream: SOURCE,
        stream_name: name("in"),
        dead_letters: letters,
        settings: settings(config),
        outputs: BTreeMap::from([(output, OutputBinding::Stream(name("out")))]),
        state: MappingState::Running,
        state_since: NOW,
        starting_after: (0..)
            .take(config.shards_at_first())
            .map(|shard| (ShardNumber(shard), Ordinal(0)))
            .collect(),
        created_at: NOW,
    })
}

/// Settings of the mapping, as far as the log goes by them.
pub(crate) fn settings(config: &Config) -> MappingSettings {
    let mut settings = MappingSettings::default();
    if config.has_windows() {
        settings.tumbling_window_ms = SPAN_MS;
        settings.key_groups = config.key_groups;
    }
    settings
}

/// A mapping of the same name, with dead letters of its own, after `generation` others.
pub(crate) fn mapping_again(config: &Config, generation: u8) -> Entry {
    let letters = StreamId(OUTPUT.0 + u64::from(generation));
    let mapping = mapping(config, generation, letters);
    Entry::Meta {
        change: Arc::new(RegistryChange {
            streams: vec![stream(letters, &format!("letters-{generation}"), true, 1)],
            next_stream: letters.next(),
            next_function: FunctionId(2),
            next_mapping: mapping.id.next(),
            mappings: vec![mapping],
            ..RegistryChange::default()
        }),
        units: Vec::new(),
    }
}

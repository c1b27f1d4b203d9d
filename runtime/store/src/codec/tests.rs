use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    commit::{AttemptMark, Commit, OutputRecords, UnitTotals},
    entry::{Entry, Placement, ProducerMark, ShardRun, UnitChange},
    function::{Function, Isolation, SecretValue, Version, VersionSettings},
    id::{
        FunctionId, FunctionName, FunctionVersion, LeaseEpoch, MappingId, Ordinal, OutputName,
        ShardNumber, SlotId, StreamId, StreamName, Timestamp, UnitId,
    },
    mapping::{Mapping, MappingSettings, MappingState, MaxAttempts, OutputBinding},
    record::{ColumnBuilder, NewRecords, Origin, RecordBlock, Records},
    registry::RegistryChange,
    settled::{Settled, SettledRange, SettledRanges},
    shard::{Ack, HashKeyRange, Shard, Stream, StreamMode, StreamOptions},
    view::{ProducerState, ShardTail, UnitView, Value as ViewValue, ValueKey},
};
use proptest::prelude::*;

use super::{
    DecodeError, Decoder, Value, block, decode_dead_letter, decode_entry, decode_key, decode_value,
    encode_dead_letter, encode_entry, encode_key, encode_value,
};
use crate::{block::slice, testing::dead_letter};

prop_compose! {
    fn column(count: usize)(
        values in prop::collection::vec(
            prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), count
        )
    ) -> fnctl_core::record::ByteColumn {
        let mut column = ColumnBuilder::default();
        for value in &values {
            match value {
                Some(value) => column.push(value),
                None => column.push_null(),
            }
        }
        column.finish()
    }
}

fn origin() -> impl Strategy<Value = Origin> {
    any::<(u64, u32, u64)>().prop_map(|(stream, shard, position)| Origin {
        stream: StreamId(stream),
        shard: ShardNumber(shard),
        position: Ordinal(position),
    })
}

fn new_records() -> impl Strategy<Value = NewRecords> {
    (0..8_usize, any::<bool>(), any::<bool>()).prop_flat_map(|(count, has_hops, has_origins)| {
        (
            column(count),
            column(count),
            prop::collection::vec(any::<u128>(), count),
            prop::collection::vec(any::<u8>(), if has_hops { count } else { 0 }),
            prop::collection::vec(origin(), if has_origins { count } else { 0 }),
        )
            .prop_map(|(keys, data, hash_keys, hops, origins)| NewRecords {
                keys,
                data,
                hash_keys,
                hops,
                origins,
            })
    })
}

fn placement(count: usize) -> impl Strategy<Value = Placement> {
    (
        any::<u64>(),
        any::<u64>(),
        prop::collection::vec(any::<bool>(), count),
        any::<bool>(),
    )
        .prop_map(|(stream, arrival, side, is_whole)| {
            let rows = |wanted: bool| -> Vec<u32> {
                (0..)
                    .zip(&side)
                    .filter(|(_, side)| **side == wanted)
                    .map(|(row, _)| row)
                    .collect()
            };
            let run = |shard, rows| ShardRun {
                shard: ShardNumber(shard),
                first: Ordinal(7),
                rows,
            };
            let shards = if is_whole {
                vec![run(0, None)]
            } else {
                vec![run(0, Some(rows(false))), run(1, Some(rows(true)))]
            };
            Placement {
                stream: StreamId(stream),
                arrival: Timestamp(arrival),
                shards,
            }
        })
}

fn ranges() -> impl Strategy<Value = SettledRanges> {
    prop::collection::vec((1..5_u64, 1..5_u64), 0..6).prop_map(|steps| {
        let mut at = 0;
        let range = |(gap, length): (u64, u64)| {
            let after = at + gap;
            at = after + length;
            SettledRange {
                after: Ordinal(after),
                through: Ordinal(at),
            }
        };
        steps.into_iter().map(range).collect()
    })
}

fn unit() -> impl Strategy<Value = UnitId> {
    any::<(u64, u64, u32)>().prop_map(|(mapping, stream, shard)| UnitId {
        mapping: MappingId(mapping),
        stream: StreamId(stream),
        shard: ShardNumber(shard),
    })
}

fn mark() -> impl Strategy<Value = AttemptMark> {
    any::<(u64, u32, u64, u64, bool)>().prop_map(|(position, count, version, retry, is_in_hand)| {
        AttemptMark {
            position: Ordinal(position),
            count,
            version: FunctionVersion(version),
            next_retry: Timestamp(retry),
            is_in_hand,
        }
    })
}

fn totals() -> impl Strategy<Value = UnitTotals> {
    any::<[u64; 6]>().prop_map(
        |[filtered, processed, failed, dead_lettered, expired, emitted]| UnitTotals {
            filtered,
            processed,
            failed,
            dead_lettered,
            expired,
            emitted,
        },
    )
}

fn commit_entry() -> impl Strategy<Value = Entry> {
    (
        unit(),
        ranges(),
        prop::collection::vec(mark(), 0..4),
        totals(),
        new_records(),
        0..3_usize,
    )
        .prop_flat_map(|(unit, settles, attempts, totals, records, letters)| {
            let count = records.len();
            (placement(count), placement(letters)).prop_map(move |(outputs, places)| {
                Entry::Commit {
                    commit: Arc::new(Commit {
                        unit,
                        epoch: LeaseEpoch(3),
                        slot: if letters == 0 {
                            SlotId::Retry
                        } else {
                            SlotId::Lane(9)
                        },
                        number: 4,
                        settles: settles.clone(),
                        attempts: attempts.clone(),
                        totals,
                        dead_letters: vec![dead_letter(ShardNumber(1), Ordinal(5)); letters],
                        outputs: vec![OutputRecords {
                            stream: StreamName::parse("out").unwrap(),
                            records: records.clone(),
                        }],
                        function_version: FunctionVersion(2),
                    }),
                    outputs: vec![outputs],
                    dead_letters: (letters > 0).then_some(places),
                }
            })
        })
}

fn append_entry() -> impl Strategy<Value = Entry> {
    (new_records(), any::<Option<u64>>()).prop_flat_map(|(records, last)| {
        placement(records.len()).prop_map(move |placement| Entry::Append {
            placement,
            records: Arc::new(records.clone()),
            producer: last.map(|last| ProducerMark {
                producer: "producer".into(),
                last,
            }),
        })
    })
}

fn stream(id: u64) -> Stream {
    Stream {
        id: StreamId(id),
        name: StreamName::parse("a-stream.1").unwrap(),
        shards: vec![Shard {
            number: ShardNumber(2),
            range: HashKeyRange { start: 1, end: 9 },
            created_at: Timestamp(4),
            parents: vec![ShardNumber(0), ShardNumber(1)],
            is_closed: true,
        }],
        retention_ms: 5,
        ack: Ack::Written,
        created_at: Timestamp(6),
        is_internal: true,
        options: StreamOptions::default(),
    }
}

fn function(id: u64) -> Function {
    let version = Version {
        number: FunctionVersion(2),
        settings: VersionSettings {
            digest: "abc".into(),
            config: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            secrets: BTreeMap::from([("s".to_owned(), SecretValue(Arc::from(*b"hidden")))]),
            memory_bytes: 7,
            timeout_ms: 8,
            isolation: Isolation::Fresh,
        },
        component_bytes: 9,
        outputs: vec![OutputName::parse("default").unwrap()],
        uses: vec!["wasi:random".to_owned()],
        created_at: Timestamp(10),
    };
    Function {
        id: FunctionId(id),
        name: FunctionName::parse("enrich").unwrap(),
        versions: BTreeMap::from([(FunctionVersion(2), Arc::new(version))]),
        live: FunctionVersion(2),
        live_before: vec![FunctionVersion(1)],
        rolled_back: BTreeMap::from([(FunctionVersion(3), Timestamp(11))]),
        live_since: Timestamp(12),
        concurrency: Some(13),
        created_at: Timestamp(14),
    }
}

fn mapping(id: u64, state: MappingState) -> Mapping {
    Mapping {
        id: MappingId(id),
        function: FunctionId(1),
        stream: StreamId(2),
        stream_name: StreamName::parse("in").unwrap(),
        dead_letters: StreamId(3),
        settings: MappingSettings {
            max_attempts: MaxAttempts::Unlimited,
            ..MappingSettings::default()
        },
        outputs: BTreeMap::from([
            (OutputName::parse("a").unwrap(), OutputBinding::None),
            (
                OutputName::parse("b").unwrap(),
                OutputBinding::Stream(StreamName::parse("to").unwrap()),
            ),
        ]),
        state,
        state_since: Timestamp(1),
        starting_after: BTreeMap::from([(ShardNumber(0), Ordinal(4))]),
        created_at: Timestamp(2),
    }
}

fn control_entries() -> Vec<Entry> {
    let unit = UnitId {
        mapping: MappingId(1),
        stream: StreamId(2),
        shard: ShardNumber(3),
    };
    let changes = vec![
        UnitChange {
            unit,
            epoch: LeaseEpoch(4),
            expired: None,
        },
        UnitChange {
            unit,
            epoch: LeaseEpoch(5),
            expired: Some((
                SettledRange {
                    after: Ordinal(1),
                    through: Ordinal(9),
                },
                8,
            )),
        },
    ];
    let stopped = MappingState::Stopped {
        code: "boom".to_owned(),
        message: "it broke".to_owned(),
    };
    vec![
        Entry::Lease {
            grants: vec![(unit, LeaseEpoch(1))],
        },
        Entry::Meta {
            change: Arc::new(RegistryChange {
                streams: vec![Arc::new(stream(1))],
                deleted_streams: vec![StreamId(9)],
                functions: vec![Arc::new(function(1))],
                deleted_functions: vec![FunctionId(8)],
                mappings: vec![Arc::new(mapping(1, stopped))],
                deleted_mappings: vec![MappingId(7)],
                next_stream: StreamId(10),
                next_function: FunctionId(11),
                next_mapping: MappingId(12),
            }),
            units: changes.clone(),
        },
        Entry::Trim {
            stream: StreamId(1),
            shard: ShardNumber(2),
            horizon: Ordinal(4),
            floor: Ordinal(3),
        },
        Entry::Change { units: changes },
    ]
}

fn round_trip(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_entry(entry, &mut bytes);
    assert_eq!(decode_entry(bytes.clone().into()).as_ref(), Ok(entry));
    bytes
}

#[test]
fn every_kind_of_control_entry_comes_back() {
    for entry in control_entries() {
        round_trip(&entry);
    }
}

#[test]
fn every_value_of_a_view_comes_back_under_its_key() {
    let unit = UnitId {
        mapping: MappingId(1),
        stream: StreamId(2),
        shard: ShardNumber(3),
    };
    let done = SettledRanges::from_iter([SettledRange {
        after: Ordinal(6),
        through: Ordinal(8),
    }]);
    let mark = AttemptMark {
        position: Ordinal(6),
        count: 1,
        version: FunctionVersion(1),
        next_retry: Timestamp(5),
        is_in_hand: true,
    };
    let tail = ShardTail {
        next: Ordinal(5),
        last_arrival: Timestamp(4),
        horizon: Ordinal(3),
        floor: Ordinal(2),
        bytes: 1,
    };
    let states = [
        MappingState::Running,
        MappingState::Paused,
        MappingState::Failed,
    ];
    let mut values = vec![
        (
            ValueKey::Ids,
            ViewValue::Ids(StreamId(1), FunctionId(2), MappingId(3)),
        ),
        (
            ValueKey::Stream(StreamId(1)),
            ViewValue::Stream(Arc::new(stream(1))),
        ),
        (
            ValueKey::Function(FunctionId(1)),
            ViewValue::Function(Arc::new(function(1))),
        ),
        (
            ValueKey::Tail(StreamId(1), ShardNumber(300)),
            ViewValue::Tail(tail),
        ),
        (
            ValueKey::Producer(StreamId(1), "p".into()),
            ViewValue::Producer(ProducerState {
                last: 4,
                seen: Timestamp(5),
            }),
        ),
        (
            ValueKey::Unit(unit),
            ViewValue::Unit(Arc::new(UnitView {
                epoch: LeaseEpoch(3),
                settled: Settled::from_parts(Ordinal(4), &done),
                attempts: BTreeMap::from([(Ordinal(6), mark)]),
                totals: UnitTotals {
                    emitted: 3,
                    ..UnitTotals::default()
                },
            })),
        ),
    ];
    for (id, state) in (1..).zip(states) {
        let value = ViewValue::Mapping(Arc::new(mapping(id, state)));
        values.push((ValueKey::Mapping(MappingId(id)), value));
    }
    for (key, value) in values {
        assert_eq!(decode_key(encode_key(&key).into()).unwrap(), key);
        assert_eq!(decode_value(encode_value(&value).into()).unwrap(), value);
    }
}

#[test]
fn a_dead_letter_comes_back_from_its_payload() {
    let letter = dead_letter(ShardNumber(4), Ordinal(5));
    let payload = encode_dead_letter(&letter);
    assert_eq!(decode_dead_letter(payload.clone().into()), Ok(letter));
    for end in 0..payload.len() {
        assert!(decode_dead_letter(Bytes::copy_from_slice(&payload[..end])).is_err());
    }
}

proptest! {
    #[test]
    fn appends_and_commits_come_back(entry in prop_oneof![append_entry(), commit_entry()]) {
        let bytes = round_trip(&entry);
        // A shorter value is never taken for a whole one.
        prop_assert!(decode_entry(Bytes::copy_from_slice(&bytes[..bytes.len() - 1])).is_err());
    }

    #[test]
    fn columns_of_a_frame_come_back(
        records in new_records(),
        arrival in any::<u64>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let block = RecordBlock {
            stream: StreamId(1),
            shard: ShardNumber(2),
            first: Ordinal(3),
            records: Records {
                arrival_ms: vec![arrival; records.len()],
                keys: records.keys,
                data: records.data,
            },
            hash_keys: records.hash_keys,
            hops: records.hops,
            origins: records.origins,
        };
        let mut bytes = Vec::new();
        block::put(&[Arc::new(block.clone())], &mut bytes);
        // In one piece or in two, a frame is the same bytes.
        let cut = cut.index(block.len() + 1);
        let parts = [slice(&block, 0..cut), slice(&block, cut..block.len())].map(Arc::new);
        let mut joined = Vec::new();
        block::put(&parts, &mut joined);
        prop_assert_eq!(&joined, &bytes);
        let place = RecordBlock {
            records: Records::default(),
            hash_keys: Vec::new(),
            hops: Vec::new(),
            origins: Vec::new(),
            ..block.clone()
        };
        prop_assert_eq!(block::take(&mut Decoder::new(bytes.into()), place), Ok(block));
    }

    #[test]
    fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        for kind in 0..8 {
            let mut entry = vec![kind];
            entry.extend_from_slice(&bytes);
            drop(decode_entry(entry.clone().into()));
            entry.insert(0, 1);
            drop(decode_value(entry.clone().into()));
            drop(decode_dead_letter(entry.into()));
        }
        drop(decode_key(bytes));
    }

    #[test]
    fn a_damaged_entry_never_panics(
        entry in prop_oneof![append_entry(), commit_entry()],
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = Vec::new();
        encode_entry(&entry, &mut bytes);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(entry) = decode_entry(bytes.into()) {
            // What decodes can be taken over.
            let mut view = fnctl_core::view::NodeView::new();
            view.apply(&entry);
        }
    }
}

/// A stream as the first release wrote it, and as it is still written while it has no options.
#[test]
fn a_stream_of_before_there_were_options_is_read_and_one_with_all_of_them_comes_back() {
    let plain = stream(3);
    let mut bytes = Vec::new();
    plain.put(&mut bytes);
    assert_eq!(bytes.last(), Some(&1), "the flag of an internal stream");
    let read = |bytes: Vec<u8>| {
        let mut from = Decoder::new(bytes.into());
        let stream = Stream::take(&mut from)?;
        from.end()?;
        Ok::<_, DecodeError>(stream)
    };
    assert_eq!(read(bytes.clone()), Ok(plain.clone()));
    *bytes.last_mut().unwrap() = 0;
    assert!(!read(bytes.clone()).unwrap().is_internal);
    *bytes.last_mut().unwrap() = 1 << 6;
    assert!(read(bytes).unwrap_err().what.contains("does not know"));

    let mut full = plain;
    full.is_internal = false;
    full.options = StreamOptions {
        record_bytes_max: 10 << 20,
        mode: StreamMode::OnDemand,
        tags: BTreeMap::from([("team".to_owned(), String::new())]),
        quota_bytes: Some(2 << 30),
        retention_bytes: Some(1 << 30),
    };
    for record_bytes_max in [10 << 20, 1 << 20] {
        full.options.record_bytes_max = record_bytes_max;
        let mut bytes = Vec::new();
        full.put(&mut bytes);
        for cut in 0..bytes.len() {
            assert!(read(bytes[..cut].to_vec()).is_err(), "cut to {cut}");
        }
        assert_eq!(read(bytes), Ok(full.clone()));
    }
}

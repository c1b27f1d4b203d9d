//! Values to encode: any, and one of each kind.

use std::{collections::BTreeMap, sync::Arc};

use fnctl_core::{
    breaker::{Outage, Outages},
    canary::Rollout,
    commit::{AttemptMark, Commit, ErrorKind, OutputRecords, Redriven, UnitTotals},
    entry::{Entry, Placement, ProducerMark, ShardRun, UnitChange, UnitSeek},
    function::{Function, Isolation, SecretValue, Version, VersionSettings},
    id::{
        FunctionId, FunctionName, FunctionVersion, LeaseEpoch, MappingId, Ordinal, OutputName,
        ShardNumber, SlotId, StreamId, StreamName, Timestamp, UnitId,
    },
    mapping::{Mapping, MappingSettings, MappingState, MaxAttempts, OutputBinding},
    outcome::Cause,
    record::{ColumnBuilder, NewRecords, Origin},
    registry::RegistryChange,
    settled::{SettledRange, SettledRanges},
    shard::{Ack, HashKeyRange, Shard, Stream, StreamOptions},
    window::{GroupWindow, OpenWindow, Window, WindowChange},
};
use proptest::prelude::*;

use crate::testing::dead_letter;

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

pub(super) fn new_records() -> impl Strategy<Value = NewRecords> {
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
    let numbers = any::<(u64, u32, u64, u64, bool)>();
    (numbers, prop::option::of(cause())).prop_map(|(numbers, cause)| {
        let (position, count, version, retry, is_in_hand) = numbers;
        AttemptMark {
            position: Ordinal(position),
            count,
            version: FunctionVersion(version),
            next_retry: Timestamp(retry),
            is_in_hand,
            cause: cause.map(Arc::new),
        }
    })
}

fn cause() -> impl Strategy<Value = Cause> {
    let kind = prop::sample::select(ErrorKind::ALL.to_vec());
    (kind, "[a-z]{0,9}", ".{0,9}").prop_map(|(kind, code, error)| Cause {
        kind,
        code: code.into(),
        error: error.into(),
    })
}

/// Mostly nothing is said of circuits, as it is.
fn outages() -> impl Strategy<Value = Option<Outages>> {
    let outage = || {
        prop::option::of(
            (any::<(u64, u64)>(), cause()).prop_map(|((version, since), cause)| Outage {
                version: FunctionVersion(version),
                since: Timestamp(since),
                cause,
            }),
        )
    };
    let both = (outage(), outage()).prop_map(|(live, canary)| Outages {
        live: live.map(Arc::new),
        canary: canary.map(Arc::new),
    });
    prop::option::weighted(0.3, both)
}

fn totals() -> impl Strategy<Value = UnitTotals> {
    any::<[u64; 7]>().prop_map(
        |[
            filtered,
            processed,
            failed,
            dead_lettered,
            expired,
            emitted,
            dropped,
        ]| UnitTotals {
            filtered: filtered >> 1,
            processed,
            failed,
            dead_lettered,
            expired,
            emitted,
            // Mostly none, as it is.
            dropped: dropped.saturating_sub(1 << 63),
        },
    )
}

pub(super) fn commit_entry() -> impl Strategy<Value = Entry> {
    (
        unit(),
        ranges(),
        prop::collection::vec(mark(), 0..4),
        totals(),
        new_records(),
        0..3_usize,
        any::<(bool, bool)>(),
        outages(),
    )
        .prop_flat_map(
            |(unit, settles, attempts, totals, records, letters, of_letter_or_window, outages)| {
                let (is_redriven, is_windowed) = of_letter_or_window;
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
                            redriven: (letters < 2 && is_redriven).then_some(Redriven {
                                id: Ordinal(3),
                                body: Ordinal(7),
                                bytes: 90,
                            }),
                            window: is_windowed.then(|| WindowChange {
                                group: 63,
                                becomes: group_window(),
                            }),
                            outages: outages.clone(),
                        }),
                        outputs: vec![outputs],
                        dead_letters: (letters > 0).then_some(places),
                    }
                })
            },
        )
}

pub(super) fn outage() -> Arc<Outage> {
    Arc::new(Outage {
        version: FunctionVersion(7),
        since: Timestamp(8),
        cause: Cause::timeout(9),
    })
}

pub(super) fn group_window() -> GroupWindow {
    GroupWindow {
        version: 4,
        closed_through: Timestamp(1_000),
        open: Some(OpenWindow {
            window: Window::at(Timestamp(2_500), 1_000),
            state: bytes::Bytes::from_static(b"a state"),
            hops: 3,
            last: Ordinal(7),
            groups: 64,
            left_by: None,
        }),
    }
}

pub(super) fn append_entry() -> impl Strategy<Value = Entry> {
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

pub(super) fn stream(id: u64) -> Stream {
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

pub(in crate::codec) fn function(id: u64) -> Function {
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
        rollout: Rollout::default(),
    }
}

pub(super) fn mapping(id: u64, state: MappingState) -> Mapping {
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

pub(super) fn control_entries() -> Vec<Entry> {
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
        Entry::Forget {
            stream: StreamId(1),
            shards: vec![ShardNumber(0), ShardNumber(1)],
            totals: vec![(
                MappingId(1),
                UnitTotals {
                    processed: 5,
                    ..UnitTotals::default()
                },
            )],
        },
        Entry::Change {
            units: changes.clone(),
        },
        Entry::Seek {
            seeks: vec![UnitSeek {
                unit,
                epoch: LeaseEpoch(7),
                after: Ordinal(3),
            }],
            totals: vec![(
                unit,
                UnitTotals {
                    failed: 6,
                    ..UnitTotals::default()
                },
            )],
            units: changes.clone(),
        },
        Entry::Purge {
            stream: StreamId(1),
            letters: [(0, 2), (4, 5)]
                .map(|(after, through)| SettledRange {
                    after: Ordinal(after),
                    through: Ordinal(through),
                })
                .into_iter()
                .collect(),
            bytes: 300,
        },
    ]
}

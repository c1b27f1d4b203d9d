pub(super) mod given;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    breaker::Outages,
    commit::{AttemptMark, CallCost, UnitTotals},
    entry::Entry,
    id::{
        FunctionId, FunctionVersion, LeaseEpoch, MappingId, Ordinal, ShardNumber, StreamId,
        Timestamp, UnitId,
    },
    mapping::MappingState,
    outcome::Cause,
    record::{RecordBlock, Records},
    settled::{Settled, SettledRange, SettledRanges},
    shard::{Stream, StreamMode, StreamOptions},
    view::{
        LettersParts, LettersView, ProducerState, ShardTail, UnitView, Value as ViewValue, ValueKey,
    },
    window::GroupWindow,
};
use proptest::prelude::*;

use self::given::{
    append_entry, commit_entry, control_entries, function, mapping, new_records, stream,
};
use super::{
    DecodeError, Decoder, Value, block, decode_dead_letter, decode_entry, decode_key, decode_value,
    encode_dead_letter, encode_entry, encode_key, encode_value,
};
use crate::{block::slice, testing::dead_letter};

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
        cause: Some(Arc::new(Cause::timeout(5))),
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
                windows: BTreeMap::new(),
                outages: Outages {
                    live: None,
                    canary: Some(given::outage()),
                },
            })),
        ),
        (
            ValueKey::Window(unit, 300),
            ViewValue::Window(Arc::new(given::group_window())),
        ),
        (ValueKey::Window(unit, 1), ViewValue::Window(Arc::default())),
    ];
    let letters = LettersParts {
        closed: Settled::from_parts(Ordinal(4), &done),
        resolved: Settled::from_parts(Ordinal(0), &done),
        moved: Settled::from_parts(Ordinal(2), &SettledRanges::new()),
        ids: vec![(Ordinal(5), Ordinal(2)), (Ordinal(7), Ordinal(1))],
        closed_bytes: 9,
    };
    values.push((
        ValueKey::Letters(StreamId(3)),
        ViewValue::Letters(Arc::new(LettersView::from_parts(letters))),
    ));
    let totals = UnitTotals {
        processed: 7,
        ..UnitTotals::default()
    };
    values.push((ValueKey::Gone(MappingId(1)), ViewValue::Gone(totals)));
    let sought = ViewValue::BeforeSeeks(totals);
    let unit = UnitId {
        mapping: MappingId(1),
        stream: StreamId(2),
        shard: ShardNumber(3),
    };
    values.push((ValueKey::BeforeSeeks(unit), sought));
    for (id, state) in (1..).zip(states) {
        let value = ViewValue::Mapping(Arc::new(mapping(id, state)));
        values.push((ValueKey::Mapping(MappingId(id)), value));
    }
    for (key, value) in values {
        assert_eq!(decode_key(encode_key(&key).into()).unwrap(), key);
        assert_eq!(decode_value(encode_value(&value).into()).unwrap(), value);
    }
}

/// What waits without a known cause, and a unit without an open circuit, are encoded as before there were such.
#[test]
fn marks_and_units_of_before_there_were_causes_and_circuits_are_read() {
    let put = |value: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        value(&mut bytes);
        bytes
    };
    let mark = |cause| AttemptMark {
        position: Ordinal(6),
        count: 2,
        version: FunctionVersion(3),
        next_retry: Timestamp(5),
        is_in_hand: true,
        cause,
    };
    let mut old = Vec::new();
    for number in [6_u64, 3, 5] {
        if number == 3 {
            old.extend(2_u32.to_le_bytes());
        }
        old.extend(number.to_le_bytes());
    }
    old.push(1);
    assert_eq!(put(&|out| mark(None).put(out)), old);
    let told = put(&|out| mark(Some(Arc::new(Cause::timeout(5)))).put(out));
    assert_eq!(told[..old.len() - 1], old[..old.len() - 1]);
    assert_eq!(told[old.len() - 1], 3, "a flag that is not known before");
    let unknown = [&old[..old.len() - 1], &[4]].concat();
    assert!(AttemptMark::take(&mut Decoder::new(unknown.into())).is_err());

    let unit = UnitView::default();
    let bytes = encode_value(&ViewValue::Unit(Arc::new(unit.clone())));
    let open = UnitView {
        outages: Outages {
            live: Some(given::outage()),
            canary: None,
        },
        ..unit
    };
    let longer = encode_value(&ViewValue::Unit(Arc::new(open)));
    assert!(longer.starts_with(&bytes), "followed by the circuit");
    let empty = [&bytes[..], &[0, 0]].concat();
    assert!(decode_value(empty.into()).is_err());
}

/// Letters from before the cost of their call was kept end in front of it, and mean none.
#[test]
fn a_dead_letter_has_the_cost_of_its_call_where_that_is_known() {
    let before = dead_letter(ShardNumber(4), Ordinal(5));
    let mut letter = before.clone();
    letter.cost = Some(CallCost {
        duration_us: 1_500,
        memory_bytes: 1 << 20,
    });
    let (old, new) = (encode_dead_letter(&before), encode_dead_letter(&letter));
    assert_eq!(new.len(), old.len() + 16);
    let differ = old.iter().zip(&new).filter(|(old, new)| old != new);
    assert_eq!(differ.count(), 1, "the kind says that it is there");
    assert_eq!(decode_dead_letter(new.into()).unwrap(), letter);
    assert_eq!(decode_dead_letter(old.into()).unwrap().cost, None);
}

/// A window whose state is from before it was kept who left it is written as it was then; one that tells it is
/// refused by who does not know that.
#[test]
fn a_window_says_who_left_its_state_where_that_is_known() {
    let before = given::group_window();
    let mut window = before.clone();
    let open = window.open.as_mut().expect("it is open");
    open.left_by = Some(FunctionVersion(9));
    let encode = |window: &GroupWindow| encode_value(&ViewValue::Window(Arc::new(window.clone())));
    let (old, new) = (encode(&before), encode(&window));
    assert_eq!(new.len(), old.len() + 8);
    let differ: Vec<usize> = (0..old.len()).filter(|&at| old[at] != new[at]).collect();
    let [sort] = differ[..] else {
        panic!("the sort alone tells them apart: {differ:?}");
    };
    assert_eq!((old[sort], new[sort]), (1, 2));
    let back = decode_value(new.clone().into());
    assert_eq!(back, Ok(ViewValue::Window(Arc::new(window))));
    let mut later = new;
    later[sort] = 3;
    assert!(decode_value(later.into()).is_err());
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
    let resharded = stream(3);
    let mut bytes = Vec::new();
    resharded.put(&mut bytes);
    // A release that knows nothing of splits and merges refuses it.
    assert_eq!(bytes.last(), Some(&(1 | 1 << 6)));
    let mut plain = resharded;
    for shard in &mut plain.shards {
        (shard.is_closed, shard.parents) = (false, Vec::new());
    }
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
    *bytes.last_mut().unwrap() = 1 << 7;
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

use super::*;
use crate::{
    id::{ShardNumber, StreamId},
    lane::key_hash,
    record::{ColumnBuilder, Records},
};

/// Ordinals 11, 12 and 13; the second has no key.
fn block() -> RecordBlock {
    let mut keys = ColumnBuilder::default();
    keys.push(b"ann");
    keys.push_null();
    keys.push(b"");
    let mut data = ColumnBuilder::default();
    for value in [&b"12345"[..], b"", b"1"] {
        data.push(value);
    }
    RecordBlock {
        stream: StreamId(1),
        shard: ShardNumber(0),
        first: Ordinal(11),
        records: Records {
            keys: keys.finish(),
            data: data.finish(),
            arrival_ms: vec![100, 101, 102],
        },
        hash_keys: vec![0; 3],
        hops: vec![0, 2, 1],
        origins: Vec::new(),
    }
}

fn positions(after: u64, records_max: u32) -> Vec<(u64, u32)> {
    let mut records = Vec::new();
    describe(
        &block(),
        BlockId(4),
        Ordinal(after),
        records_max,
        &mut records,
    );
    records
        .iter()
        .map(|record| (record.position.0, record.index))
        .collect()
}

#[test]
fn records_above_the_position_are_described_and_no_more_than_wanted() {
    for (after, records_max, expected) in [
        (0, 9, &[(11, 0), (12, 1), (13, 2)][..]),
        (10, 2, &[(11, 0), (12, 1)]),
        (11, 9, &[(12, 1), (13, 2)]),
        (12, 1, &[(13, 2)]),
        (13, 9, &[]),
        (99, 9, &[]),
        (0, 0, &[]),
    ] {
        assert_eq!(
            positions(after, records_max),
            expected,
            "{after} {records_max}"
        );
    }
}

#[test]
fn a_record_is_described_by_what_decisions_need() {
    let mut records = Vec::new();
    let meta = describe(&block(), BlockId(4), Ordinal(0), 9, &mut records);
    assert_eq!((meta.id, meta.bytes), (BlockId(4), 9));
    let first = records[0];
    assert_eq!(
        (first.bytes, first.hops, first.arrival),
        (8, 0, Timestamp(100))
    );
    assert_eq!(first.key, key_hash(Some(b"ann"), Ordinal(11)));
    // No key is not the empty key: such a record is its own key.
    assert_eq!(records[1].key, key_hash(None, Ordinal(12)));
    assert_eq!(records[2].key, key_hash(Some(b""), Ordinal(0)));
    assert_eq!(records[1].hops, 2);
}

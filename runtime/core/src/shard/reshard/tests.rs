//! Kinesis reference B10: what a split, a merge and a resize make of a stream's shards.

use proptest::prelude::*;

use super::*;
use crate::{
    id::{StreamId, StreamName},
    shard::{Ack, StreamOptions},
};

const NOW: Timestamp = Timestamp(70);

fn stream(shards: u32) -> Stream {
    Stream {
        id: StreamId(1),
        name: StreamName::parse("s").unwrap(),
        shards: (0..)
            .zip(HashKeyRange::initial(shards))
            .map(|(number, range)| Shard {
                number: ShardNumber(number),
                range,
                created_at: Timestamp(5),
                parents: vec![],
                is_closed: false,
            })
            .collect(),
        retention_ms: 1,
        ack: Ack::Synced,
        created_at: Timestamp(5),
        is_internal: false,
        options: StreamOptions::default(),
    }
}

fn split(shard: u32, at: Option<u128>) -> Reshard {
    let shard = ShardNumber(shard);
    Reshard::Split { shard, at }
}

fn merge(shard: u32, adjacent: u32) -> Reshard {
    Reshard::Merge {
        shard: ShardNumber(shard),
        adjacent: ShardNumber(adjacent),
    }
}

fn open(stream: &Stream) -> Vec<u32> {
    stream.open_shards().map(|shard| shard.number.0).collect()
}

#[test]
fn a_split_closes_the_parent_and_makes_two_children_of_its_range() {
    let before = stream(1);
    let after = before.reshard(&split(0, None), NOW).unwrap();
    assert_eq!(after.shards.len(), 3);
    assert_eq!(open(&after), [1, 2]);
    let [parent, low, high] = &after.shards[..] else {
        panic!("three shards");
    };
    assert_eq!(
        parent,
        &Shard {
            is_closed: true,
            ..before.shards[0].clone()
        }
    );
    assert_eq!((low.range.start, low.range.end), (0, (1 << 127) - 1));
    assert_eq!((high.range.start, high.range.end), (1 << 127, u128::MAX));
    for child in [low, high] {
        assert_eq!(child.parents, [ShardNumber(0)]);
        assert_eq!(child.created_at, NOW);
    }
    assert_eq!(after.closed_at(ShardNumber(0)), Some(NOW));
    assert_eq!(after.closed_at(ShardNumber(1)), None);
    let children: Vec<u32> = after.children(ShardNumber(0)).map(|c| c.number.0).collect();
    assert_eq!(children, [1, 2]);
    assert_eq!(after.route(5), Some(ShardNumber(1)));
}

#[test]
fn a_merge_closes_both_parents_and_names_them_in_their_order() {
    let after = stream(3).reshard(&merge(1, 2), NOW).unwrap();
    assert_eq!(open(&after), [0, 3]);
    let child = &after.shards[3];
    assert_eq!(child.parents, [ShardNumber(1), ShardNumber(2)]);
    assert_eq!(child.range.start, stream(3).shards[1].range.start);
    assert_eq!(child.range.end, u128::MAX);
    for parent in [1, 2] {
        assert_eq!(after.closed_at(ShardNumber(parent)), Some(NOW));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut two = stream(2).reshard(&split(0, None), NOW).unwrap();
    // 0 is closed; 1 is open, with 2 and 3 below it.
    let range = two.shards[2].range;
    let point = |at| ReshardError::SplitPoint {
        shard: ShardNumber(2),
        at,
        range,
    };
    let apart = |shard, adjacent| ReshardError::NotAdjacent {
        shard: ShardNumber(shard),
        adjacent: ShardNumber(adjacent),
    };
    let missing = ReshardError::NoSuchShard(ShardNumber(9));
    let closed = ReshardError::Closed(ShardNumber(0));
    for (how, expected) in [
        (split(9, None), missing),
        (split(0, None), closed),
        (split(2, Some(0)), point(0)),
        (split(2, Some(1)), point(1)),
        (split(2, Some(range.end)), point(range.end)),
        (split(2, Some(u128::MAX)), point(u128::MAX)),
        (merge(9, 1), missing),
        (merge(1, 9), missing),
        (merge(0, 1), closed),
        (merge(3, 2), apart(3, 2)),
        (merge(1, 2), apart(1, 2)),
        (merge(2, 2), apart(2, 2)),
        (
            Reshard::Resize { shards: 0 },
            ReshardError::ShardCount { shards: 0 },
        ),
        (
            Reshard::Resize {
                shards: STREAM_SHARDS_MAX + 1,
            },
            ReshardError::ShardCount {
                shards: STREAM_SHARDS_MAX + 1,
            },
        ),
    ] {
        assert_eq!(two.reshard(&how, NOW), Err(expected), "{how:?}");
    }
    assert!(two.reshard(&split(2, Some(2)), NOW).is_ok());
    assert!(two.reshard(&split(2, Some(range.end - 1)), NOW).is_ok());

    // Four hash keys can be split once, three cannot.
    two.shards[2].range.end = two.shards[2].range.start + 3;
    assert!(two.reshard(&split(2, None), NOW).is_ok());
    two.shards[2].range.end = two.shards[2].range.start + 2;
    assert!(matches!(
        two.reshard(&split(2, None), NOW),
        Err(ReshardError::SplitPoint { .. })
    ));
}

#[test]
fn a_stream_whose_shards_are_all_narrow_cannot_grow() {
    let mut narrow = stream(1);
    narrow.shards[0].range.end = 2;
    let how = Reshard::Resize { shards: 2 };
    let expected = Err(ReshardError::TooNarrow { shards: 2 });
    assert_eq!(narrow.reshard(&how, NOW), expected);
}

/// Kinesis reference B10: open and closed shards after UpdateShardCount.
#[test]
fn a_resize_makes_as_many_shards_as_kinesis() {
    for (from, to, listed) in [
        (2, 4, 6),
        (4, 5, 15),
        (10, 13, 37),
        (4, 2, 6),
        (5, 3, 7),
        (10, 3, 17),
        (3, 3, 3),
    ] {
        let after = stream(from)
            .reshard(&Reshard::Resize { shards: to }, NOW)
            .unwrap();
        assert_eq!(open(&after).len() as u32, to, "{from} to {to}");
        assert_eq!(after.shards.len(), listed, "{from} to {to}");
    }
}

#[test]
fn closed_shards_are_bounded_until_retention_takes_them() {
    let mut stream = stream(5_000);
    let mut at = 0;
    let error = loop {
        let shards = if at % 2 == 0 { 10_000 } else { 5_000 };
        at += 1;
        match stream.reshard(&Reshard::Resize { shards }, NOW) {
            Ok(next) => stream = next,
            Err(error) => break error,
        }
    };
    assert!(stream.shards.len() <= STREAM_SHARDS_LISTED_MAX as usize);
    assert!(
        matches!(error, ReshardError::TooManyListed { .. }),
        "{error}"
    );
}

proptest! {
    /// Whatever is done, the open shards cover the hash-key space once, children lie inside their
    /// parents, and numbers ascend.
    #[test]
    fn open_shards_always_cover_the_space(
        from in 1..5u32,
        deeds in prop::collection::vec((0..3u8, any::<u8>(), any::<u8>()), 0..12),
    ) {
        let mut stream = stream(from);
        for (kind, a, b) in deeds {
            let pick = |at: u8| ShardNumber(u32::from(at) % stream.shards.len() as u32);
            let how = match kind {
                0 => Reshard::Split { shard: pick(a), at: None },
                1 => Reshard::Merge { shard: pick(a), adjacent: pick(b) },
                _ => Reshard::Resize { shards: u32::from(a) % 9 + 1 },
            };
            if let Ok(after) = stream.reshard(&how, NOW) {
                stream = after;
            }
        }
        let mut ranges: Vec<_> = stream.open_shards().map(|shard| shard.range).collect();
        ranges.sort_by_key(|range| range.start);
        prop_assert_eq!(ranges[0].start, 0);
        prop_assert_eq!(ranges[ranges.len() - 1].end, u128::MAX);
        prop_assert!(ranges.windows(2).all(|pair| pair[0].end + 1 == pair[1].start));
        for (at, shard) in stream.shards.iter().enumerate() {
            prop_assert_eq!(shard.number.0 as usize, at);
            prop_assert!(shard.parents.iter().all(|parent| *parent < shard.number));
            let is_parent = stream.children(shard.number).next().is_some();
            prop_assert_eq!(shard.is_closed, is_parent);
        }
        prop_assert!(!stream.shards[stream.shards.len() - 1].is_closed);
    }
}

//! Splits, merges and resizes, as the catalogue judges them.

use super::*;
use crate::shard::{Reshard, ReshardError};

/// A catalogue with stream `in` of so many shards.
fn bench(shards: u32) -> Bench {
    let mut bench = Bench::default();
    let settings = StreamSettings {
        shards,
        ..StreamSettings::default()
    };
    let name = name("in");
    bench
        .run(&Command::CreateStream { name, settings })
        .unwrap();
    bench
}

fn reshard(how: Reshard) -> Command {
    let name = name("in");
    Command::Reshard { name, how }
}

fn split(shard: u32) -> Command {
    let shard = ShardNumber(shard);
    reshard(Reshard::Split { shard, at: None })
}

#[test]
fn a_split_changes_the_stream_alone_and_fences_nobody() {
    let mut bench = bench(1);
    let evaluated = bench.ask(&split(0)).unwrap();
    assert_eq!(evaluated.fenced, []);
    let change = evaluated.change.unwrap();
    assert_eq!(change.streams.len(), 1);
    assert!(change.mappings.is_empty() && change.deleted_streams.is_empty());
    let Applied::Stream(stream) = bench.run(&split(0)).unwrap() else {
        panic!("a split answers the stream");
    };
    assert_eq!(stream.shards.len(), 3);
    assert_eq!(bench.registry.stream_by_name(&name("in")), Some(&stream));
}

#[test]
fn children_are_no_older_than_the_last_record_of_their_stream() {
    let mut bench = bench(1);
    bench.tails.last_arrival = 99_000_000;
    let Applied::Stream(stream) = bench.run(&split(0)).unwrap() else {
        panic!("a split answers the stream");
    };
    assert_eq!(stream.shards[1].created_at, Timestamp(99_000_000));
    assert_eq!(
        stream.closed_at(ShardNumber(0)),
        Some(Timestamp(99_000_000))
    );
}

#[test]
fn a_resize_to_what_is_there_changes_nothing() {
    let bench = bench(3);
    let same = bench.ask(&reshard(Reshard::Resize { shards: 3 })).unwrap();
    assert_eq!(same.change, None);
}

#[test]
fn refusals_say_what_to_do() {
    let mut bench = bench(2);
    bench.run(&split(0)).unwrap();
    let words = |command: &Command| {
        let error = bench.ask(command).unwrap_err().to_error();
        (error.code, error.message, error.fix.unwrap())
    };
    let (code, message, _) = words(&split(7));
    assert_eq!(code, "FN3020");
    assert_eq!(message, "stream `in`: it has no shard shardId-000000000007");
    assert_eq!(words(&split(0)).0, "FN3021");
    let (code, message, fix) = words(&reshard(Reshard::Split {
        shard: ShardNumber(2),
        at: Some(0),
    }));
    assert_eq!(code, "FN3022");
    assert!(
        message.contains("0 does not lie inside of shard shardId-000000000002"),
        "{message}"
    );
    assert!(fix.starts_with("--at 2 to "), "{fix}");
    assert_eq!(
        words(&reshard(Reshard::Resize { shards: 0 })).2,
        "name 1 to 10000 shards"
    );
    let nowhere = Command::Reshard {
        name: name("nowhere"),
        how: Reshard::Resize { shards: 2 },
    };
    assert_eq!(words(&nowhere).0, "FN3001");
    let apart = reshard(Reshard::Merge {
        shard: ShardNumber(3),
        adjacent: ShardNumber(2),
    });
    let refusal = Refusal::Reshard {
        stream: name("in"),
        error: ReshardError::NotAdjacent {
            shard: ShardNumber(3),
            adjacent: ShardNumber(2),
        },
    };
    assert_eq!(bench.ask(&apart), Err(refusal));
}

#[test]
fn forgotten_shards_stay_forgotten() {
    let mut bench = bench(1);
    bench.run(&split(0)).unwrap();
    let id = bench.registry.stream_by_name(&name("in")).unwrap().id;
    for _ in 0..2 {
        bench.registry.forget_shards(id, &[ShardNumber(0)]);
        let stream = bench.registry.stream(id).unwrap();
        let left: Vec<u32> = stream.shards.iter().map(|shard| shard.number.0).collect();
        assert_eq!(left, [1, 2]);
    }
    // Numbers go on.
    bench.run(&split(2)).unwrap();
    let last = bench
        .registry
        .stream(id)
        .unwrap()
        .shards
        .last()
        .unwrap()
        .number;
    assert_eq!(last, ShardNumber(4));
}

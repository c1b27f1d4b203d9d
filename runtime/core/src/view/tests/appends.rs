//! Placing records: ordinals, arrival, shards, producers (commit and storage rules §1).

use super::*;
use crate::{limits::PRODUCERS_MAX, shard::HashKeyRange};

#[test]
fn ordinals_of_a_shard_are_dense_and_start_at_one() {
    let mut bench = Bench::default();
    let stream = bench.create_stream("in", 1);
    let first = bench.put("in", some(3));
    let second = bench.put("in", some(2));
    assert_eq!(
        (first.shards[0].first, second.shards[0].first),
        (Ordinal(1), Ordinal(4))
    );
    assert_eq!(bench.next(stream, 0), 6);
    let tail = *bench.view.tail(stream, ShardNumber(0)).unwrap();
    assert_eq!((tail.last(), tail.bytes), (Ordinal(5), 10));
}

#[test]
fn rows_go_to_the_shard_of_their_hash_key_in_order() {
    let mut bench = Bench::default();
    let stream = bench.create_stream("in", 3);
    let starts: Vec<u128> = HashKeyRange::initial(3).iter().map(|r| r.start).collect();
    let keys = [starts[2], 0, starts[1], starts[1] - 1, u128::MAX];
    let placement = bench.put("in", records(&keys));
    let runs: Vec<_> = placement
        .shards
        .iter()
        .map(|run| (run.shard.0, run.first.0, run.rows.clone().unwrap()))
        .collect();
    assert_eq!(
        runs,
        [(0, 1, vec![1, 3]), (1, 1, vec![2]), (2, 1, vec![0, 4])]
    );
    assert_eq!([0, 1, 2].map(|shard| bench.next(stream, shard)), [3, 2, 3]);
    let bytes: Vec<u64> = bench
        .view
        .tails(stream)
        .map(|(_, tail)| tail.bytes)
        .collect();
    assert_eq!(bytes, [4, 2, 4]);
}

#[test]
fn rows_that_share_a_shard_are_one_run_without_indices() {
    let mut bench = Bench::default();
    bench.create_stream("in", 4);
    for rows in [1, 5] {
        let placement = bench.put("in", records(&vec![u128::MAX; rows]));
        assert_eq!(placement.shards.len(), 1);
        assert_eq!(placement.shards[0].shard, ShardNumber(3));
        assert_eq!(placement.shards[0].rows, None);
    }
}

#[test]
fn arrival_never_decreases_when_the_clock_does() {
    let mut bench = Bench::default();
    bench.create_stream("in", 2);
    bench.now = 1_000;
    assert_eq!(bench.put("in", records(&[0])).arrival, Timestamp(1_000));
    bench.now = 400;
    assert_eq!(bench.put("in", records(&[0])).arrival, Timestamp(1_000));
    // Nor within the stream: an idle shard follows.
    assert_eq!(
        bench.put("in", records(&[u128::MAX])).arrival,
        Timestamp(1_000)
    );
    bench.now = 1_001;
    assert_eq!(bench.put("in", records(&[0])).arrival, Timestamp(1_001));
}

#[test]
fn a_name_means_the_stream_that_has_it_now_and_an_id_only_its_own() {
    let mut bench = Bench::default();
    let first = bench.create_stream("in", 1);
    bench.put("in", some(5));
    bench.delete_stream("in");
    let append = |bench: &Bench, stream: StreamRef<'_>| {
        bench
            .view
            .evaluate_append(stream, &Arc::new(some(1)), None, Timestamp(0))
    };
    assert_eq!(
        append(&bench, StreamRef::Name(&name("in"))),
        Err(AppendRefusal::NoSuchStream)
    );
    let second = bench.create_stream("in", 1);
    assert_ne!(first, second);
    assert_eq!(
        append(&bench, StreamRef::Id(first)),
        Err(AppendRefusal::NoSuchStream)
    );
    assert!(append(&bench, StreamRef::Id(second)).is_ok());
    assert_eq!(bench.put("in", some(1)).shards[0].first, Ordinal(1));
}

#[test]
fn nobody_puts_into_an_internal_stream() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", serde_json::json!({"stream": "in"}));
    let letters = bench.view.registry().mapping(mapping).unwrap().dead_letters;
    assert_eq!(
        bench.view.evaluate_append(
            StreamRef::Id(letters),
            &Arc::new(some(1)),
            None,
            Timestamp(0)
        ),
        Err(AppendRefusal::NoSuchStream)
    );
}

fn claim(producer: &str, first: u64) -> ProducerSequence {
    ProducerSequence {
        producer: producer.into(),
        first,
    }
}

fn put_as(bench: &mut Bench, producer: &str, first: u64, rows: usize) -> Result<(), AppendRefusal> {
    let entry = bench.view.evaluate_append(
        StreamRef::Name(&name("in")),
        &Arc::new(some(rows)),
        Some(&claim(producer, first)),
        bench.now(),
    )?;
    bench.take(entry);
    Ok(())
}

#[test]
fn a_producers_next_sequence_is_taken_and_a_repetition_is_not() {
    let mut bench = Bench::default();
    let stream = bench.create_stream("in", 1);
    // Any sequence starts.
    assert_eq!(put_as(&mut bench, "p", 7, 3), Ok(()));
    let table = [
        (7, 3, Err(AppendRefusal::Duplicate { last: 9 })),
        (9, 1, Err(AppendRefusal::Duplicate { last: 9 })),
        (1, 2, Err(AppendRefusal::Duplicate { last: 9 })),
        (9, 2, Err(AppendRefusal::PartlyDuplicate { last: 9 })),
        (11, 1, Err(AppendRefusal::Gap { next: 10 })),
        (10, 2, Ok(())),
        (10, 2, Err(AppendRefusal::Duplicate { last: 11 })),
    ];
    for (first, rows, expected) in table {
        assert_eq!(
            put_as(&mut bench, "p", first, rows),
            expected,
            "{first} × {rows}"
        );
    }
    assert_eq!(bench.next(stream, 0), 6);
    assert_eq!(bench.view.producer(stream, "p").unwrap().last, 11);
    // Another producer, and the same one on another stream, count for themselves.
    assert_eq!(put_as(&mut bench, "q", 1, 1), Ok(()));
    bench.create_stream("other", 1);
    assert!(
        bench
            .view
            .evaluate_append(
                StreamRef::Name(&name("other")),
                &Arc::new(some(1)),
                Some(&claim("p", 1)),
                Timestamp(0)
            )
            .is_ok()
    );
}

#[test]
fn the_longest_silent_producer_is_forgotten_first() {
    let mut bench = Bench::default();
    let stream = bench.create_stream("in", 1);
    for index in 0..PRODUCERS_MAX {
        bench.now += 1;
        put_as(&mut bench, &format!("p{index}"), 1, 1).unwrap();
    }
    bench.now += 1;
    put_as(&mut bench, "p0", 2, 1).unwrap();
    put_as(&mut bench, "new", 1, 1).unwrap();
    assert_eq!(bench.view.producer(stream, "p1"), None);
    assert_eq!(bench.view.producer(stream, "p0").unwrap().last, 2);
    // Whoever was forgotten goes on with any sequence.
    assert_eq!(put_as(&mut bench, "p1", 500, 1), Ok(()));
    assert_eq!(bench.view.producer(stream, "p2"), None);
}

#[test]
fn redo_over_newer_producers_forgets_the_same_ones() {
    let mut bench = Bench::default();
    bench.create_stream("in", 1);
    for index in 0..PRODUCERS_MAX + 300 {
        bench.now += u64::from(index % 3 == 0);
        put_as(
            &mut bench,
            &format!("p{}", index * 7 % (PRODUCERS_MAX + 200)),
            index as u64 * 10,
            1,
        )
        .or_else(|_| put_as(&mut bench, &format!("q{index}"), 1, 1))
        .unwrap();
    }
    let end = all_values(&bench.view);
    for from in [0, 1, 100, PRODUCERS_MAX, PRODUCERS_MAX + 250] {
        let mut redone = NodeView::from_values(end.clone()).unwrap();
        for entry in &bench.log[from..] {
            redone.apply(entry);
        }
        assert_eq!(all_values(&redone), end, "redo from entry {from}");
    }
}

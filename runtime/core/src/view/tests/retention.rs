//! Horizon, floor and expiry (commit and storage rules §7; Lambda ESM specification §20 row 13, §22 row
//! Retry).

use serde_json::json;

use super::*;

fn trim(bench: &mut Bench, stream: StreamId, horizon: u64) -> Option<(u64, u64)> {
    let entry = bench
        .view
        .evaluate_trim(stream, ShardNumber(0), Ordinal(horizon))?;
    bench.take(entry);
    let tail = bench.view.tail(stream, ShardNumber(0)).unwrap();
    Some((tail.horizon.0, tail.floor.0))
}

#[test]
fn a_stream_nobody_reads_is_trimmed_to_its_horizon_and_never_back() {
    let mut bench = Bench::default();
    let stream = bench.create_stream("in", 1);
    bench.put("in", some(10));
    assert_eq!(trim(&mut bench, stream, 4), Some((4, 4)));
    assert_eq!(trim(&mut bench, stream, 4), None);
    assert_eq!(trim(&mut bench, stream, 2), None);
    // Never beyond the end: the next record is shown.
    assert_eq!(trim(&mut bench, stream, 99), Some((11, 11)));
    bench.put("in", some(1));
    assert_eq!(bench.next(stream, 0), 12);
}

#[test]
fn the_floor_waits_for_the_slowest_mapping_and_follows_it() {
    let mut bench = Bench::default();
    let fast = bench.deploy("fast", json!({"stream": "in"}));
    let slow = bench.deploy("slow", json!({"stream": "in"}));
    bench.put("in", some(10));
    let stream = bench.stream_id("in");
    let (fast, slow) = (bench.unit(fast, 0), bench.unit(slow, 0));
    bench.lease(fast);
    bench.lease(slow);
    bench.commit(bench.settling(fast, 0, 10)).unwrap();
    bench.commit(bench.settling(slow, 0, 3)).unwrap();
    assert_eq!(trim(&mut bench, stream, 8), Some((8, 4)));
    // The horizon stands still, the floor follows its mapping.
    bench.commit(bench.settling(slow, 3, 5)).unwrap();
    assert_eq!(trim(&mut bench, stream, 8), Some((8, 6)));
    bench.command(&Command::DeleteMapping {
        mapping: slow.mapping,
        force: true,
    });
    assert_eq!(trim(&mut bench, stream, 8), Some((8, 8)));
}

#[test]
fn a_mapping_that_starts_later_does_not_bring_trimmed_records_back() {
    let mut bench = Bench::default();
    let stream = bench.create_stream("in", 1);
    bench.put("in", some(10));
    trim(&mut bench, stream, 6);
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    let unit = bench.unit(mapping, 0);
    assert_eq!(
        bench.view.unit(unit).unwrap().settled.low_watermark(),
        Ordinal(5)
    );
    assert_eq!(bench.view.pending(unit), Some(5));
}

#[test]
fn dead_letters_have_no_time_retention() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(1));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    bench
        .commit(Commit {
            dead_letters: vec![letter(1, b"bad")],
            ..bench.settling(unit, 0, 1)
        })
        .unwrap();
    let letters = bench.view.registry().mapping(mapping).unwrap().dead_letters;
    assert_eq!(trim(&mut bench, letters, 2), None);
}

#[test]
fn an_expiry_counts_what_it_takes_and_fences_the_owner() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(10));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    let commit = Commit {
        settles: [range(0, 2), range(4, 5)].into_iter().collect(),
        attempts: vec![mark(4, 3), mark(8, 1)],
        ..bench.blank(unit)
    };
    bench.commit(commit).unwrap();
    let late = bench.settling(unit, 5, 6);

    let entry = bench.view.evaluate_expiry(unit, Ordinal(6)).unwrap();
    bench.take(entry.clone());
    // 3, 4 and 6 were open.
    let view = bench.view.unit(unit).unwrap().clone();
    assert_eq!(view.totals.expired, 3);
    assert_eq!(view.settled.low_watermark(), Ordinal(6));
    assert_eq!(
        view.attempts.keys().copied().collect::<Vec<_>>(),
        [Ordinal(8)]
    );
    assert_eq!(bench.commit(late), Err(CommitAnswer::Fenced));

    // Absolute: again changes nothing, and there is nothing left to expire.
    bench.view.apply(&entry);
    assert_eq!(bench.view.unit(unit), Some(&view));
    assert_eq!(bench.view.evaluate_expiry(unit, Ordinal(6)), None);
    // Not beyond the end.
    let entry = bench.view.evaluate_expiry(unit, Ordinal(99)).unwrap();
    bench.take(entry);
    assert_eq!(bench.view.unit(unit).unwrap().totals.expired, 7);
    assert_eq!(bench.view.pending(unit), Some(0));
}

#[test]
fn where_a_relay_stands_is_kept_and_never_goes_back() {
    let mut bench = Bench::default();
    let plain = bench.deploy("plain", json!({"stream": "in"}));
    assert_eq!(bench.view.copied_through(plain), None);
    assert_eq!(
        bench.view.evaluate_copied(plain, Ordinal(1), Timestamp(1)),
        None
    );
    let copied = bench.deploy(
        "copied",
        json!({"stream": "in", "on_failure": "stream:out"}),
    );
    assert_eq!(bench.view.copied_through(copied), Some(Ordinal(0)));
    // The wall clock goes back in between.
    for (through, now) in [(3, 9_000), (5, 1_000)] {
        let entry = bench
            .view
            .evaluate_copied(copied, Ordinal(through), Timestamp(now))
            .unwrap();
        bench.take(entry);
        assert_eq!(bench.view.copied_through(copied), Some(Ordinal(through)));
    }
    assert_eq!(
        bench
            .view
            .evaluate_copied(copied, Ordinal(5), Timestamp(9_999)),
        None
    );
    let again = NodeView::from_values(bench.view.values()).unwrap();
    assert_eq!(again.copied_through(copied), Some(Ordinal(5)));
}

//! Seeks: what they replace, whom they fence, where they end (commit and storage rules §2; schedule 32).

use serde_json::json;

use super::*;
use crate::{shard::Stream, view::Sought};

/// Ten records in `in`, five of them settled and one charged, the unit leased.
fn half_done() -> (Bench, UnitId) {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in", "outputs": {"default": "out"}}));
    bench.put("in", some(10));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    let commit = Commit {
        attempts: vec![mark(7, 2)],
        totals: UnitTotals {
            processed: 5,
            failed: 2,
            ..UnitTotals::default()
        },
        ..bench.settling(unit, 0, 5)
    };
    bench.commit(commit).unwrap();
    (bench, unit)
}

fn seek(bench: &mut Bench, unit: UnitId, after: u64) -> Sought {
    let (entry, sought) = bench.view.evaluate_seek(&[(unit, Ordinal(after))]).unwrap();
    bench.take(entry);
    sought[0]
}

#[test]
fn a_seek_replaces_progress_attempts_and_totals_and_fences_the_owner() {
    for (after, pending) in [(2, 8), (8, 2), (10, 0), (99, 0)] {
        let (mut bench, unit) = half_done();
        let under_way = bench.settling(unit, 5, 6);
        let before = bench.view.unit(unit).unwrap().epoch;
        let sought = seek(&mut bench, unit, after);
        assert_eq!((sought.from, sought.pending), (Ordinal(5), pending));
        assert_eq!(
            (sought.to, sought.is_clamped),
            (Ordinal(after.min(10)), false)
        );
        let view = bench.view.unit(unit).unwrap();
        assert_eq!(view.epoch, before.next());
        assert_eq!(view.settled.low_watermark(), Ordinal(after.min(10)));
        assert_eq!((view.settled.gaps(), view.attempts.len()), (0, 0));
        assert_eq!(view.totals, UnitTotals::default());
        let ever = bench.view.totals_ever(unit.mapping);
        assert_eq!(
            (ever.processed, ever.failed),
            (5, 2),
            "its mapping did that"
        );
        assert_eq!(bench.view.pending(unit), Some(pending));
        assert_eq!(bench.commit(under_way), Err(CommitAnswer::Fenced));
        // Nobody owns the new epoch until it is leased.
        bench.lease(unit);
        if pending > 0 {
            let next = after.min(10);
            bench.commit(bench.settling(unit, next, next + 1)).unwrap();
        }
    }
}

#[test]
fn counters_of_a_mapping_outlive_its_seeks_and_a_restart_and_go_with_it() {
    let (mut bench, unit) = half_done();
    for (round, after) in [(1, 0), (2, 5), (3, 10)] {
        seek(&mut bench, unit, after);
        bench.view = NodeView::from_values(bench.view.values()).unwrap();
        let kept = bench.view.totals_before_seeks(unit);
        assert_eq!((kept.processed, kept.failed), (4 + round, 2));
        bench.lease(unit);
        if after < 10 {
            let commit = Commit {
                totals: UnitTotals {
                    processed: 1,
                    ..UnitTotals::default()
                },
                ..bench.settling(unit, after, after + 1)
            };
            bench.commit(commit).unwrap();
            assert_eq!(bench.view.totals_ever(unit.mapping).processed, 5 + round);
        }
    }
    bench.command(&Command::DeleteMapping {
        mapping: unit.mapping,
        force: true,
    });
    assert_eq!(bench.view.totals_ever(unit.mapping), UnitTotals::default());
    assert_eq!(bench.view.value(&ValueKey::BeforeSeeks(unit)), None);
}

#[test]
fn a_seek_behind_the_horizon_ends_there_and_says_so() {
    let (mut bench, unit) = half_done();
    let trim = bench
        .view
        .evaluate_trim(unit.stream, unit.shard, Ordinal(4))
        .unwrap();
    bench.take(trim);
    let sought = seek(&mut bench, unit, 1);
    assert_eq!(
        (sought.to, sought.is_clamped, sought.pending),
        (Ordinal(3), true, 7)
    );
    // What is unsettled again is held again.
    let trim = bench
        .view
        .evaluate_trim(unit.stream, unit.shard, Ordinal(9))
        .unwrap();
    bench.take(trim);
    let tail = bench.view.tail(unit.stream, unit.shard).unwrap();
    assert_eq!((tail.floor, tail.horizon), (Ordinal(4), Ordinal(9)));
}

#[test]
fn schedule_32_a_seek_of_a_parent_fences_its_children_and_moves_none_of_them() {
    let mut bench = Bench::default();
    bench.create_stream("in", 3);
    let mapping = bench.deploy("f", json!({"stream": "in", "outputs": {"default": "out"}}));
    // 1 is the child of 0, 2 the child of 1.
    let mut stream = Stream::clone(bench.view.registry().stream_by_name(&name("in")).unwrap());
    stream.shards[1].parents = vec![ShardNumber(0)];
    stream.shards[2].parents = vec![ShardNumber(1)];
    let (next_stream, next_function, next_mapping) = bench.view.registry().next_ids();
    let change = crate::registry::RegistryChange {
        streams: vec![Arc::new(stream)],
        next_stream,
        next_function,
        next_mapping,
        ..Default::default()
    };
    bench.take(Entry::Meta {
        change: Arc::new(change),
        units: vec![],
    });
    let [parent, child, grandchild] = [0, 1, 2].map(|shard| bench.unit(mapping, shard));
    for unit in [parent, child, grandchild] {
        bench.lease(unit);
    }
    let late = bench.blank(grandchild);
    let of = |bench: &Bench, unit| bench.view.unit(unit).unwrap().clone();
    let before = of(&bench, grandchild);
    seek(&mut bench, parent, 0);
    let after = of(&bench, grandchild);
    assert_eq!(after.epoch, before.epoch.next());
    assert_eq!(
        (after.settled, after.totals),
        (before.settled, before.totals)
    );
    assert_eq!(bench.commit(late), Err(CommitAnswer::Fenced));
    // A child's seek leaves its parent alone.
    let before = of(&bench, parent).epoch;
    seek(&mut bench, child, 0);
    assert_eq!(of(&bench, parent).epoch, before);
}

#[test]
fn a_unit_that_does_not_exist_is_sent_nowhere() {
    let (bench, unit) = half_done();
    let other = UnitId {
        shard: ShardNumber(9),
        ..unit
    };
    assert!(bench.view.evaluate_seek(&[(other, Ordinal(1))]).is_none());
    let both = [(other, Ordinal(1)), (unit, Ordinal(1)), (unit, Ordinal(2))];
    let (_, sought) = bench.view.evaluate_seek(&both).unwrap();
    assert_eq!(sought.len(), 1);
}

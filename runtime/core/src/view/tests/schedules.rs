//! Schedules of commit and storage rules §10, by number, as far as the view decides them.

use serde_json::json;

use super::*;
use crate::{commit::Unavailable, mapping::MappingState, view::UnitTurn};

fn pause(bench: &mut Bench, mapping: MappingId) {
    bench.command(&Command::PauseMapping { mapping });
}

/// 13: all segments of an idle shard trimmed, image rebuilt: ordinals go on.
#[test]
fn s13_ordinals_go_on_after_everything_was_trimmed_and_the_image_rebuilt() {
    let mut bench = Bench::default();
    let stream = bench.create_stream("in", 1);
    bench.put("in", some(10));
    let entry = bench
        .view
        .evaluate_trim(stream, ShardNumber(0), Ordinal(11))
        .unwrap();
    bench.take(entry);
    let mut rebuilt = NodeView::new();
    for entry in &bench.log {
        rebuilt.apply(entry);
    }
    bench.view = NodeView::from_values(rebuilt.values()).unwrap();
    assert_eq!(bench.put("in", some(1)).shards[0].first, Ordinal(11));
}

/// 19: commit n is refused while n+1, disjoint, is ready: n+1 must not overtake it.
#[test]
fn s19_a_commit_does_not_overtake_a_refused_one_of_its_slot() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in", "outputs": {"default": "out"}}));
    bench.put("in", some(2));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    bench.delete_stream("out");
    let first = Commit {
        outputs: vec![output("out", some(1))],
        ..bench.settling(unit, 0, 1)
    };
    let second = Commit {
        number: 2,
        ..bench.settling(unit, 1, 2)
    };
    assert!(matches!(
        bench.commit(first.clone()),
        Err(CommitAnswer::Unavailable(Unavailable::NoSuchOutput(_)))
    ));
    assert_eq!(bench.commit(second.clone()), Err(CommitAnswer::Fenced));
    // Another slot of the unit goes on meanwhile.
    let elsewhere = Commit {
        slot: SlotId::Lane(1),
        number: 1,
        ..bench.settling(unit, 1, 2)
    };
    bench.commit(elsewhere).unwrap();
    bench.create_stream("out", 1);
    bench.commit(first).unwrap();
}

/// 21: retention passes a record in flight: it is expired and counted, and the commit of the call that
/// had it is fenced, so that it has one end.
#[test]
fn s21_a_record_that_expires_in_flight_ends_once() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(3));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    let in_flight = bench.settling(unit, 0, 3);
    let expiry = bench.view.evaluate_expiry(unit, Ordinal(2)).unwrap();
    bench.take(expiry);
    assert_eq!(bench.commit(in_flight), Err(CommitAnswer::Fenced));
    bench.lease(unit);
    let rest = bench.settling(unit, 2, 3);
    bench.commit(rest).unwrap();
    let progress = bench.view.unit(unit).unwrap();
    assert_eq!(progress.settled.low_watermark(), Ordinal(3));
    assert_eq!(bench.view.pending(unit), Some(0));
}

/// 22: factor 4 → 8 with a commit unaccepted, a done-set and parked keys; crash between. Lanes are
/// volatile: the change fences, and what is stored does not depend on the factor.
#[test]
fn s22_a_new_factor_fences_and_keeps_the_progress() {
    let mut bench = Bench::default();
    let layer = |factor| json!({"stream": "in", "parallelization_factor": factor});
    let mapping = bench.deploy("f", layer(4));
    bench.put("in", some(10));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    let done = Commit {
        settles: [range(0, 1), range(3, 5)].into_iter().collect(),
        attempts: vec![mark(2, 2)],
        slot: SlotId::Lane(3),
        ..bench.blank(unit)
    };
    bench.commit(done).unwrap();
    let unaccepted = Commit {
        slot: SlotId::Lane(3),
        number: 2,
        ..bench.settling(unit, 5, 6)
    };
    let before = bench.view.unit(unit).unwrap().clone();
    assert_eq!(bench.deploy("f", layer(8)), mapping);
    assert_eq!(bench.commit(unaccepted), Err(CommitAnswer::Fenced));
    // The crash: only what the image holds is left.
    bench.view = NodeView::from_values(bench.view.values()).unwrap();
    bench.lease(unit);
    let after = bench.view.unit(unit).unwrap();
    assert_eq!(after.settled, before.settled);
    assert_eq!(after.attempts, before.attempts);
    let again = Commit {
        slot: SlotId::Lane(7),
        ..bench.settling(unit, 5, 6)
    };
    bench.commit(again).unwrap();
}

/// 23: a version is deployed while commits with marks of the old one land: marks carry their
/// version, the deploy fences, and no mark is taken for the new version's.
#[test]
fn s23_marks_keep_the_version_they_were_charged_by() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(3));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    let charged = Commit {
        attempts: vec![mark(1, 4)],
        ..bench.blank(unit)
    };
    bench.commit(charged).unwrap();
    let late = Commit {
        attempts: vec![mark(2, 4)],
        ..bench.blank(unit)
    };
    bench.command(&Command::Deploy(Box::new(deploy(
        "f",
        "b",
        json!({"stream": "in"}),
    ))));
    assert_eq!(bench.commit(late), Err(CommitAnswer::Fenced));
    let function = bench.view.registry().mapping(mapping).unwrap().function;
    let live = bench.view.registry().function(function).unwrap().live;
    let marks = &bench.view.unit(unit).unwrap().attempts;
    assert_eq!(marks.len(), 1);
    assert_eq!(marks[&Ordinal(1)].version, FunctionVersion(1));
    assert_ne!(live, FunctionVersion(1));
}

/// 28: a mapping is deleted and recreated under the same name, commits under way.
#[test]
fn s28_a_recreated_mapping_is_another_one() {
    let mut bench = Bench::default();
    let first = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(3));
    let unit = bench.unit(first, 0);
    bench.lease(unit);
    let dead = Commit {
        dead_letters: vec![letter(1, b"bad")],
        ..bench.settling(unit, 0, 1)
    };
    bench.commit(dead).unwrap();
    let letters = bench.view.registry().mapping(first).unwrap().dead_letters;
    let under_way = bench.settling(unit, 1, 2);

    bench.command(&Command::DeleteMapping {
        mapping: first,
        force: true,
    });
    assert_eq!(
        bench.view.commit_fault(&under_way),
        Some(CommitFault::NoSuchUnit)
    );
    assert_eq!(bench.commit(under_way.clone()), Err(CommitAnswer::Fenced));
    assert!(bench.view.unit(unit).is_none());
    assert_eq!(
        bench.view.evaluate_lease(&[unit]),
        Entry::Lease { grants: vec![] }
    );
    // The letters outlive their mapping.
    assert_eq!(bench.next(letters, 0), 2);

    let second = bench.deploy("f", json!({"stream": "in"}));
    assert_ne!(second, first);
    let again = bench.unit(second, 0);
    bench.lease(again);
    assert_eq!(bench.commit(under_way), Err(CommitAnswer::Fenced));
    assert_eq!(bench.view.pending(again), Some(3));
    assert_eq!(bench.view.open_letters(second), 0);
}

/// 29: an output stream is deleted, or recreated, between invocation and commit.
#[test]
fn s29_outputs_go_to_the_stream_that_has_the_name_at_the_commit() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in", "outputs": {"default": "out"}}));
    bench.put("in", some(2));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    let old = bench.stream_id("out");
    bench.put("out", some(5));
    let commit = Commit {
        outputs: vec![output("out", records(&[0, u128::MAX]))],
        ..bench.settling(unit, 0, 1)
    };
    bench.delete_stream("out");
    assert_eq!(
        bench.commit(commit.clone()),
        Err(CommitAnswer::Unavailable(Unavailable::NoSuchOutput(name(
            "out"
        ))))
    );
    let new = bench.create_stream("out", 2);
    bench.commit(commit).unwrap();
    assert!(bench.view.tail(old, ShardNumber(0)).is_none());
    assert_eq!([bench.next(new, 0), bench.next(new, 1)], [2, 2]);
}

/// 30: a `latest` mapping is created, records are put, and only then the worker starts. The split in
/// between is the test after this one.
#[test]
fn s30_latest_is_resolved_where_the_mapping_was_made() {
    let mut bench = Bench::default();
    bench.create_stream("in", 2);
    bench.put("in", records(&[0, 0, 0, u128::MAX]));
    let mapping = bench.deploy("f", json!({"stream": "in", "starting_position": "latest"}));
    bench.put("in", records(&[0, u128::MAX]));
    let (low, high) = (bench.unit(mapping, 0), bench.unit(mapping, 1));
    // The worker starts after a restart from an image.
    bench.view = NodeView::from_values(bench.view.values()).unwrap();
    bench.lease(low);
    for (unit, start) in [(low, 3), (high, 1)] {
        let settled = &bench.view.unit(unit).unwrap().settled;
        assert_eq!(settled.low_watermark(), Ordinal(start));
        assert_eq!(bench.view.pending(unit), Some(1));
    }
    // Updating it never moves it.
    bench.deploy("f", json!({"stream": "in", "batch_size": 7}));
    assert_eq!(bench.view.pending(low), Some(1));
}

/// 30: a `latest` mapping is created, records are put, the shard is split, and only then a worker
/// starts: the parent goes on where the mapping was made, its children start at their beginning.
#[test]
fn s30_children_of_a_latest_mapping_start_at_their_beginning() {
    let mut bench = Bench::default();
    bench.create_stream("in", 1);
    bench.put("in", some(3));
    let mapping = bench.deploy("f", json!({"stream": "in", "starting_position": "latest"}));
    bench.put("in", some(2));
    bench.split("in", 0);
    bench.put("in", records(&[0, 1, u128::MAX]));
    bench.view = NodeView::from_values(bench.view.values()).unwrap();
    let pending = |shard| bench.view.pending(bench.unit(mapping, shard));
    assert_eq!(
        [pending(0), pending(1), pending(2)],
        [Some(2), Some(2), Some(1)]
    );
    // A mapping that is made now starts behind all of them, and has nothing to wait for.
    let late = bench.deploy("g", json!({"stream": "in", "starting_position": "latest"}));
    let turn = |shard| bench.view.turn(bench.unit(late, shard));
    assert_eq!(turn(0), Some(UnitTurn::Ended));
    assert_eq!([turn(1), turn(2)], [Some(UnitTurn::Due); 2]);
    assert_eq!(bench.view.pending(bench.unit(late, 1)), Some(0));
}

/// 33: a shard is split while a key is parked, then the node crashes: the children wait for that one
/// record, whatever else of the parent is settled, and not a moment longer.
#[test]
fn s33_a_parked_key_holds_the_children_over_a_crash() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(3));
    let [parent, low, high] = [0, 1, 2].map(|shard| UnitId {
        shard: ShardNumber(shard),
        ..bench.unit(mapping, 0)
    });
    bench.lease(parent);
    let others = Commit {
        settles: [range(0, 1), range(2, 3)].into_iter().collect(),
        attempts: vec![mark(2, 1)],
        ..bench.blank(parent)
    };
    bench.commit(others).unwrap();
    bench.split("in", 0);
    bench.put("in", records(&[0, u128::MAX]));

    bench.view = NodeView::from_values(bench.view.values()).unwrap();
    for child in [low, high] {
        assert_eq!(bench.view.turn(child), Some(UnitTurn::Waiting(parent)));
        assert_eq!(
            bench.view.evaluate_lease(&[child]),
            Entry::Lease { grants: vec![] }
        );
    }
    assert_eq!(bench.view.turn(parent), Some(UnitTurn::Due));
    bench.lease(parent);
    bench.settle(parent, 1, 2);
    assert_eq!(bench.view.turn(parent), Some(UnitTurn::Ended));
    assert!(bench.view.has_ended(parent));
    for child in [low, high] {
        assert_eq!(bench.view.turn(child), Some(UnitTurn::Due));
        bench.lease(child);
        assert_eq!(bench.view.pending(child), Some(1));
    }
}

/// 31: a mapping is paused past retention; one key is parked for ever. The API's horizon moves on,
/// the records stay.
#[test]
fn s31_a_paused_mapping_and_a_parked_key_hold_the_floor() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(10));
    let (stream, unit) = (bench.stream_id("in"), bench.unit(mapping, 0));
    bench.lease(unit);
    let all_but_the_third = Commit {
        settles: [range(0, 2), range(3, 10)].into_iter().collect(),
        attempts: vec![mark(3, 9)],
        ..bench.blank(unit)
    };
    bench.commit(all_but_the_third).unwrap();
    pause(&mut bench, mapping);
    let entry = bench
        .view
        .evaluate_trim(stream, ShardNumber(0), Ordinal(11))
        .unwrap();
    bench.take(entry);
    let tail = bench.view.tail(stream, ShardNumber(0)).unwrap();
    assert_eq!((tail.horizon, tail.floor), (Ordinal(11), Ordinal(3)));
    assert_eq!(bench.view.pending(unit), Some(1));
}

/// Commit and storage rules §7: deleting a source stream puts its mappings in state `failed`; their
/// owners are fenced by the same entry, and what they have done can still be told.
#[test]
fn deleting_a_source_fails_its_mappings_and_fences_their_owners() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    bench.put("in", some(3));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    bench.commit(bench.settling(unit, 0, 1)).unwrap();
    let late = bench.settling(unit, 1, 2);
    bench.delete_stream("in");
    assert_eq!(
        bench.view.registry().mapping(mapping).unwrap().state,
        MappingState::Failed
    );
    assert_eq!(bench.commit(late), Err(CommitAnswer::Fenced));
    assert_eq!(
        bench.view.unit(unit).unwrap().settled.low_watermark(),
        Ordinal(1)
    );
    // A new stream of the name is not its stream.
    bench.create_stream("in", 1);
    bench.put("in", some(5));
    let view = NodeView::from_values(bench.view.values()).unwrap();
    assert_eq!(all_values(&view), all_values(&bench.view));
}

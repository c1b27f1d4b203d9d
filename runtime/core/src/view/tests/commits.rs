//! The guards of commit and storage rules §3, in their order, and what an accepted commit does.

use serde_json::json;

use super::*;
use crate::{commit::Unavailable, limits::DEAD_LETTER_STREAM_BYTES_MAX};

/// Ten records in `in`, a mapping to `out`, its unit leased.
fn leased() -> (Bench, UnitId) {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in", "outputs": {"default": "out"}}));
    bench.put("in", some(10));
    let unit = bench.unit(mapping, 0);
    bench.lease(unit);
    (bench, unit)
}

#[test]
fn each_guard_answers_as_its_table_says() {
    let (mut bench, unit) = leased();
    bench.commit(bench.settling(unit, 0, 2)).unwrap();
    let other = UnitId {
        shard: ShardNumber(7),
        ..unit
    };
    let stale = |current| CommitFault::StaleEpoch {
        current: LeaseEpoch(current),
    };
    let table = [
        (
            Commit {
                unit: other,
                ..bench.settling(unit, 2, 3)
            },
            CommitFault::NoSuchUnit,
            false,
        ),
        (
            Commit {
                epoch: LeaseEpoch(0),
                ..bench.settling(unit, 2, 3)
            },
            stale(1),
            false,
        ),
        (
            Commit {
                epoch: LeaseEpoch(2),
                ..bench.settling(unit, 2, 3)
            },
            stale(1),
            false,
        ),
        (
            Commit {
                number: 1,
                ..bench.settling(unit, 2, 3)
            },
            CommitFault::NumberGap { expected: 2 },
            true,
        ),
        (
            Commit {
                number: 3,
                ..bench.settling(unit, 2, 3)
            },
            CommitFault::NumberGap { expected: 2 },
            true,
        ),
        (
            Commit {
                slot: SlotId::Retry,
                ..bench.settling(unit, 2, 3)
            },
            CommitFault::NumberGap { expected: 1 },
            true,
        ),
        (
            bench.settling(unit, 1, 3),
            CommitFault::SettledTwice { range: range(1, 3) },
            true,
        ),
        (
            bench.settling(unit, 0, 2),
            CommitFault::SettledTwice { range: range(0, 2) },
            true,
        ),
    ];
    for (commit, fault, is_bug) in table {
        assert_eq!(bench.view.commit_fault(&commit), Some(fault));
        assert_eq!(fault.is_bug(), is_bug, "{fault}");
        assert_eq!(bench.commit(commit), Err(CommitAnswer::Fenced), "{fault}");
    }
    assert_eq!(bench.view.commit_fault(&bench.settling(unit, 2, 3)), None);
}

#[test]
fn a_unit_that_nobody_leased_takes_no_commit() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in"}));
    let unit = bench.unit(mapping, 0);
    bench.put("in", some(1));
    assert_eq!(
        bench.commit(bench.settling(unit, 0, 1)),
        Err(CommitAnswer::Fenced)
    );
}

#[test]
fn an_epoch_fences_and_numbers_start_anew() {
    let (mut bench, unit) = leased();
    bench.commit(bench.settling(unit, 0, 1)).unwrap();
    let late = bench.settling(unit, 1, 2);
    assert_eq!(late.number, 2);
    bench.lease(unit);
    assert_eq!(bench.commit(late), Err(CommitAnswer::Fenced));
    let fresh = bench.settling(unit, 1, 2);
    assert_eq!((fresh.epoch, fresh.number), (LeaseEpoch(2), 1));
    bench.commit(fresh).unwrap();
}

#[test]
fn a_lease_skips_units_that_do_not_exist_and_names_each_once() {
    let (bench, unit) = leased();
    let gone = UnitId {
        mapping: MappingId(99),
        ..unit
    };
    assert_eq!(
        bench.view.evaluate_lease(&[unit, gone, unit]),
        Entry::Lease {
            grants: vec![(unit, LeaseEpoch(2))]
        }
    );
}

/// Unavailable is asked before the assertions: a commit that comes too early for its output is no
/// error of ours.
#[test]
fn a_missing_output_consumes_no_number_and_writes_nothing() {
    let (mut bench, unit) = leased();
    let commit = Commit {
        outputs: vec![output("out", some(1)), output("elsewhere", some(1))],
        ..bench.settling(unit, 0, 1)
    };
    let before = all_values(&bench.view);
    assert_eq!(
        bench.commit(commit.clone()),
        Err(CommitAnswer::Unavailable(Unavailable::NoSuchOutput(name(
            "elsewhere"
        ))))
    );
    assert_eq!(all_values(&bench.view), before);
    bench.create_stream("elsewhere", 1);
    bench.commit(commit).unwrap();
}

#[test]
fn an_internal_stream_is_no_output() {
    let (mut bench, unit) = leased();
    let letters = bench
        .view
        .registry()
        .mapping(unit.mapping)
        .unwrap()
        .dead_letters;
    let internal = bench.view.registry().stream(letters).unwrap().name.clone();
    let commit = Commit {
        outputs: vec![OutputRecords {
            stream: internal.clone(),
            records: some(1),
        }],
        ..bench.settling(unit, 0, 1)
    };
    assert_eq!(
        bench.commit(commit),
        Err(CommitAnswer::Unavailable(Unavailable::NoSuchOutput(
            internal
        )))
    );
}

#[test]
fn all_parts_of_a_commit_land_together() {
    let (mut bench, unit) = leased();
    let totals = UnitTotals {
        processed: 3,
        dead_lettered: 1,
        emitted: 2,
        ..UnitTotals::default()
    };
    let entry = bench
        .commit(Commit {
            settles: [range(0, 3), range(5, 6)].into_iter().collect(),
            attempts: vec![mark(4, 1)],
            totals,
            dead_letters: vec![letter(6, b"bad")],
            outputs: vec![output("out", some(2))],
            ..bench.blank(unit)
        })
        .unwrap();
    let Entry::Commit {
        outputs,
        dead_letters,
        ..
    } = entry
    else {
        panic!("a commit becomes a commit");
    };
    assert_eq!(outputs[0].shards[0].first, Ordinal(1));
    assert_eq!(dead_letters.unwrap().shards[0].first, Ordinal(1));
    let view = bench.view.unit(unit).unwrap();
    assert_eq!(view.settled.low_watermark(), Ordinal(3));
    assert!(view.settled.contains(Ordinal(6)) && !view.settled.contains(Ordinal(5)));
    assert_eq!(view.attempts[&Ordinal(4)].count, 1);
    assert_eq!(view.totals, totals);
    assert_eq!(bench.view.pending(unit), Some(6));
    assert_eq!(bench.view.open_letters(unit.mapping), 1);
    assert_eq!(bench.next(bench.stream_id("out"), 0), 3);
}

#[test]
fn two_outputs_of_one_commit_into_one_stream_follow_each_other() {
    let (mut bench, unit) = leased();
    bench.create_stream("wide", 2);
    let entry = bench
        .commit(Commit {
            outputs: vec![
                output("wide", records(&[0, u128::MAX, 0])),
                output("out", some(1)),
                output("wide", records(&[u128::MAX, 0])),
            ],
            ..bench.settling(unit, 0, 1)
        })
        .unwrap();
    let Entry::Commit { outputs, .. } = entry else {
        panic!("a commit becomes a commit");
    };
    let firsts = |output: usize| -> Vec<u64> {
        outputs[output]
            .shards
            .iter()
            .map(|run| run.first.0)
            .collect()
    };
    assert_eq!(
        (firsts(0), firsts(1), firsts(2)),
        (vec![1, 1], vec![1], vec![3, 2])
    );
    let wide = bench.stream_id("wide");
    assert_eq!([bench.next(wide, 0), bench.next(wide, 1)], [4, 3]);
}

#[test]
fn settling_a_record_forgets_its_mark_and_a_mark_of_a_settled_one_is_ignored() {
    let (mut bench, unit) = leased();
    bench
        .commit(Commit {
            attempts: vec![mark(1, 1), mark(2, 1), mark(3, 1)],
            ..bench.blank(unit)
        })
        .unwrap();
    bench
        .commit(Commit {
            attempts: vec![mark(3, 2)],
            ..bench.settling(unit, 0, 2)
        })
        .unwrap();
    let marks: Vec<_> = bench
        .view
        .unit(unit)
        .unwrap()
        .attempts
        .values()
        .cloned()
        .collect();
    assert_eq!(marks, [mark(3, 2)]);
    bench
        .commit(Commit {
            attempts: vec![mark(2, 9)],
            ..bench.blank(unit)
        })
        .unwrap();
    assert_eq!(bench.view.unit(unit).unwrap().attempts.len(), 1);
}

#[test]
fn a_full_dead_letter_stream_holds_the_commit() {
    let (mut bench, unit) = leased();
    let letters = bench
        .view
        .registry()
        .mapping(unit.mapping)
        .unwrap()
        .dead_letters;
    // As if a gibibyte had been written: the quota asks the tail.
    let full = bench.view.values().map(|(key, value)| match value {
        Value::Tail(tail) if key == ValueKey::Tail(letters, ShardNumber(0)) => {
            let bytes = DEAD_LETTER_STREAM_BYTES_MAX - 10;
            (key, Value::Tail(crate::view::ShardTail { bytes, ..tail }))
        }
        value => (key, value),
    });
    bench.view = NodeView::from_values(full).unwrap();
    bench.lease(unit);
    let with_letter = |bench: &Bench, data| Commit {
        dead_letters: vec![letter(1, data)],
        ..bench.settling(unit, 0, 1)
    };
    assert_eq!(
        bench.commit(with_letter(&bench, b"0123456789")),
        Err(CommitAnswer::Unavailable(Unavailable::DeadLettersFull))
    );
    bench.commit(with_letter(&bench, b"")).unwrap();
}

//! `ordering = "shard"` and partial failures (Lambda ESM specification §10, §22 row Partial).

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::harness::{
    Harness, TAKEN,
    given::{charged, mark, waiting_ms},
    running::failing,
    settings,
};
use crate::{
    id::{Ordinal, Timestamp},
    mapping::{MappingSettings, MaxAttempts, Ordering},
    outcome::{FailureKind::Retry, Outcome},
    pipeline::Event,
};

fn in_order(max_attempts: u32) -> MappingSettings {
    MappingSettings {
        ordering: Ordering::Shard,
        bisect_on_error: true,
        max_attempts: MaxAttempts::Count(max_attempts),
        ..settings()
    }
}

/// The recorded run of §10: batch size 3, 6 records, the last one always failing, 3 retries.
#[test]
fn progress_gives_the_rest_a_budget_of_its_own() {
    let mut shard = Harness::new(MappingSettings {
        batch_size: 3,
        ..in_order(4)
    });
    shard.put("a b c d e f");
    let calls = shard.run_all(|records| failing(records, |record| record == 6));
    let expected: [&[u64]; 6] = [&[1, 2, 3], &[4, 5, 6], &[6], &[6], &[6], &[6]];
    assert_eq!(calls, expected);
    let totals = shard.stats().totals;
    assert_eq!(
        (totals.processed, totals.dead_lettered, totals.failed),
        (5, 1, 4)
    );
}

#[test]
fn the_lowest_failed_record_is_the_checkpoint_and_later_successes_run_again() {
    let mut shard = Harness::new(in_order(5));
    shard.put("a b c d");
    shard.fail(1, &[(1, Retry), (3, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 3 4",
        "commit lane0#1 settles 0-1 marks 2:0",
    ]);
    assert_eq!(shard.stats().low_watermark, Ordinal(1));
    let due = shard.deadline().unwrap();
    let stats = shard.stats();
    let waits = (stats.parked_keys, stats.next_retry);
    assert_eq!(waits, (1, Some(Timestamp(due))));
    shard.at(due).tick();
    shard.expect(&["call 2 lane0: 2 3 4 fresh"]);
    let stats = shard.stats();
    assert_eq!((stats.parked_keys, stats.next_retry), (1, None));
    // No progress: the lowest one is charged, and nobody else.
    shard.fail(2, &[(0, Retry), (2, Retry)]);
    shard.answer("lane0", 2, TAKEN);
    shard.expect(&["commit lane0#2 marks 2:1"]);
}

/// Nothing of it is journaled: it is not charged.
#[test]
fn a_record_that_waits_behind_progress_is_seen_and_released_by_hand() {
    let mut shard = Harness::new(waiting_ms(in_order(5), 50_000));
    shard.put("a b c");
    shard.fail(1, &[(1, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 3",
        "commit lane0#1 settles 0-1 marks 2:0",
    ]);
    let due = shard.deadline().map(Timestamp);
    assert!(due > Some(Timestamp(0)));
    let until = due.expect("it waits");
    let told = format!("2:0 +1 retry {until} error code: words");
    assert_eq!(shard.waiting(), [told]);
    shard.tell(Event::Release {
        positions: vec![Ordinal(2)],
    });
    shard.expect(&["call 2 lane0: 2 3 fresh"]);
    shard.fail(2, &[(0, Retry)]);
    shard.answer("lane0", 2, TAKEN);
    let until = shard.stats().next_retry.expect("it waits");
    let told = format!("2:1 +1 retry {until} error code: words");
    assert_eq!(shard.waiting(), [told]);
}

#[test]
fn a_failing_record_holds_every_other_key_of_the_shard() {
    let mut shard = Harness::new(in_order(5));
    shard.put("a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.put("b c");
    shard.expect(&["call 1 lane0: 1", "commit lane0#1 marks 1:1"]);
    shard.at(100).tick();
    shard.expect(&["call 2 lane0: 1 fresh"]);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.forget_all_but(1);
    shard.expect(&["call 3 lane0: 2 3"]);
}

/// §20 row 2: both halves finish before later records.
#[test]
fn the_lane_bisects_its_batch_itself_before_anything_later() {
    let mut shard = Harness::new(MappingSettings {
        batch_size: 4,
        ..in_order(1)
    });
    shard.put("a b c d e");
    let calls = shard.run_trapping_at(&[2]);
    let expected: [&[u64]; 6] = [&[1, 2, 3, 4], &[1, 2], &[1], &[2], &[3, 4], &[5]];
    assert_eq!(calls, expected);
}

#[test]
fn a_panic_charges_its_record_and_what_is_in_front_of_it_runs_first() {
    let mut shard = Harness::new(in_order(2));
    shard.put("a b c");
    shard.panic(1, 1);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 3",
        "commit lane0#1 marks 2:1",
        "call 2 lane0: 1 fresh",
    ]);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.forget();
    let due = shard.deadline().unwrap_or(100);
    shard.at(due).tick();
    // Its last attempt: given up, nothing in front of it is left.
    if shard.running().is_none() {
        shard.at(100).tick();
    }
    shard.panic(3, 0);
    shard.answer("lane0", 3, TAKEN);
    shard.expect(&[
        "call 3 lane0: 2 3 fresh",
        "commit lane0#3 settles 1-2 letters 2:trap:2",
        "call 4 lane0: 3 fresh",
    ]);
}

#[test]
fn without_bisect_a_call_that_failed_is_retried_and_given_up_whole() {
    let mut shard = Harness::new(MappingSettings {
        bisect_on_error: false,
        ..in_order(2)
    });
    shard.put("a b");
    let calls = shard.run_trapping_at(&[1]);
    assert_eq!(calls, [[1, 2], [1, 2]]);
    assert_eq!(shard.stats().totals.dead_lettered, 2);
}

#[test]
fn without_partial_failures_a_failed_record_fails_its_call() {
    for (ordering, slot) in [(Ordering::Key, "retry"), (Ordering::Shard, "lane0")] {
        let mut shard = Harness::new(MappingSettings {
            ordering,
            partial_failures: false,
            ..in_order(1)
        });
        shard.put("a b c d");
        shard.fail(1, &[(2, Retry)]);
        // Cut in two, though the first two records had succeeded.
        let call = format!("call 2 {slot}: 1 2 fresh");
        shard.expect(&["call 1 lane0: 1 2 3 4", &call]);
        shard.ok(2);
        let calls = shard.run_all(|records| failing(records, |record| record == 3));
        assert_eq!(calls, [[3], [4]], "{ordering:?}");
        assert_eq!(shard.stats().totals.dead_lettered, 1);
        assert_eq!(shard.stats().totals.processed, 3);
    }
}

/// "With both on and a partial response the batch is split at the reported number": the rest is called, and
/// only a call that fails as a whole is cut in two.
#[test]
fn with_bisect_a_partial_answer_splits_at_its_record_and_a_trap_in_two() {
    let mut shard = Harness::new(in_order(5));
    shard.put("a b c d e f");
    let mut number = 0;
    let calls = shard.run_all(|records| {
        number += 1;
        match number {
            1 => failing(records, |record| record == 3),
            2 => Outcome::Trap {
                record: None,
                message: "trap".into(),
            },
            _ => failing(records, |_| false),
        }
    });
    let expected: [&[u64]; 4] = [&[1, 2, 3, 4, 5, 6], &[3, 4, 5, 6], &[3, 4], &[5]];
    assert_eq!(calls[..4], expected);
    let totals = shard.stats().totals;
    assert_eq!((totals.processed, totals.failed), (6, 0));
}

#[test]
fn an_owner_that_takes_over_waits_out_what_is_left_of_the_backoff() {
    let mut shard = Harness::started(in_order(4), charged(vec![mark(2, 3, 90)]));
    shard.put("a b c");
    shard.expect(&["call 1 lane0: 1"]);
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget();
    assert_eq!(shard.deadline(), Some(90));
    shard.at(90).tick();
    shard.expect(&["call 2 lane0: 2 3 fresh"]);
    shard.fail(2, &[(0, Retry)]);
    shard.expect(&["commit lane0#2 settles 1-3 letters 2:error:4"]);
}

#[test]
fn of_a_record_that_is_done_no_charge_is_remembered() {
    let by_key = MappingSettings {
        tumbling_window_ms: 1_000,
        ..settings()
    };
    for settings in [in_order(5), by_key] {
        let mut shard = Harness::new(settings);
        for (number, record) in [(1, "a"), (3, "b"), (5, "c")] {
            shard.put(record);
            shard.fail(number, &[(0, Retry)]);
            shard.answer("lane0", number, TAKEN);
            shard.durable("lane0", number);
            assert_eq!(shard.remembered_marks(), 1);
            let due = shard.now() + 100;
            shard.at(due).tick();
            shard.ok(number + 1);
            shard.answer("lane0", number + 1, TAKEN);
            shard.durable("lane0", number + 1);
            assert_eq!(shard.remembered_marks(), 0);
        }
    }
}

/// A record's nature: how often it fails, and whether with its whole call.
type Nature = (u32, bool);

/// What §10 and §9 say, without slots, commits or time: calls, and records given up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reference {
    calls: Vec<Vec<u64>>,
    given_up: Vec<u64>,
}

fn outcome(records: &[u64], natures: &[Nature], seen: &mut BTreeMap<u64, u32>) -> Outcome {
    let nature = |record: u64| natures[usize::try_from(record - 1).unwrap()];
    for &record in records {
        *seen.entry(record).or_default() += 1;
    }
    let is_failing = |record: u64| seen[&record] <= nature(record).0;
    if records.iter().any(|&r| nature(r).1 && is_failing(r)) {
        return Outcome::Timeout { after_ms: 1 };
    }
    failing(records, is_failing)
}

impl Reference {
    fn run(natures: &[Nature], settings: &MappingSettings) -> Self {
        let MaxAttempts::Count(max) = settings.max_attempts else {
            panic!("bounded");
        };
        let mut this = Self::default();
        let all: Vec<u64> = (1..=natures.len() as u64).collect();
        let size = usize::try_from(settings.batch_size).unwrap();
        // With each, whether it holds the culprit if what was called in front of it passes (§9).
        let mut pieces: VecDeque<(Vec<u64>, bool)> = all
            .chunks(size)
            .map(|piece| (piece.to_vec(), false))
            .collect();
        let mut charged: BTreeMap<u64, u32> = BTreeMap::new();
        let mut seen = BTreeMap::new();
        let mut has_passed = false;
        while let Some((piece, is_presumed)) = pieces.pop_front() {
            let (lower, upper) = piece.split_at(piece.len() / 2);
            if is_presumed && has_passed && piece.len() > 1 {
                pieces.push_front((upper.to_vec(), true));
                pieces.push_front((lower.to_vec(), false));
                has_passed = false;
                continue;
            }
            this.calls.push(piece.clone());
            let outcome = outcome(&piece, natures, &mut seen);
            has_passed =
                matches!(&outcome, Outcome::Returned { failures, .. } if failures.is_empty());
            if !has_passed && let Some((_, is_presumed)) = pieces.front_mut() {
                *is_presumed = false;
            }
            let (is_whole, first) = match &outcome {
                Outcome::Returned { failures, .. } if failures.is_empty() => continue,
                Outcome::Returned { failures, .. } => (
                    !settings.partial_failures && piece.len() > 1,
                    failures[0].index as usize,
                ),
                _ => (true, 0),
            };
            if is_whole && piece.len() > 1 && settings.bisect_on_error {
                let is_presumed = !matches!(outcome, Outcome::Timeout { .. });
                pieces.push_front((upper.to_vec(), is_presumed));
                pieces.push_front((lower.to_vec(), false));
            } else if is_whole {
                for record in &piece {
                    *charged.entry(*record).or_default() += 1;
                }
                // Attempts of a piece are those of its records, and all of it ends together.
                let left: Vec<u64> = piece
                    .iter()
                    .copied()
                    .filter(|record| charged[record] < max)
                    .collect();
                this.given_up
                    .extend(piece.iter().filter(|r| charged[r] >= max));
                if !left.is_empty() {
                    pieces.push_front((left, false));
                }
            } else if first > 0 {
                for record in &piece[first..] {
                    charged.remove(record);
                }
                pieces.push_front((piece[first..].to_vec(), false));
            } else {
                let count = charged.entry(piece[0]).or_default();
                *count += 1;
                if *count < max {
                    pieces.push_front((piece, false));
                    continue;
                }
                this.given_up.push(piece[0]);
                // What came behind it in the call counts, up to the next one that failed.
                let Outcome::Returned { failures, .. } = outcome else {
                    unreachable!("a partial failure");
                };
                if let Some(next) = failures.get(1) {
                    let rest = piece[next.index as usize..].to_vec();
                    for record in &rest {
                        charged.remove(record);
                    }
                    pieces.push_front((rest, false));
                }
            }
        }
        this
    }
}

proptest! {
    #[test]
    fn calls_and_ends_are_those_of_the_plain_model(
        natures in prop::collection::vec(
            prop_oneof![
                3 => Just((0, false)),
                1 => (1_u32..6, any::<bool>()),
                1 => (Just(99), any::<bool>()),
            ],
            1..14,
        ),
        batch_size in 1_u32..6,
        max_attempts in 1_u32..4,
        bisect_on_error in any::<bool>(),
        // Without bisect a whole failure charges records unequally when some had been charged before.
        partial_failures in any::<bool>(),
    ) {
        let settings = MappingSettings {
            batch_size,
            bisect_on_error,
            partial_failures,
            ..in_order(max_attempts)
        };
        prop_assume!(bisect_on_error || !natures.iter().any(|&(_, is_whole)| is_whole));
        let expected = Reference::run(&natures, &settings);
        let mut shard = Harness::new(settings);
        let names: Vec<String> = (b'a'..).take(natures.len()).map(|c| char::from(c).into()).collect();
        shard.put(&names.join(" "));
        let mut seen = BTreeMap::new();
        let calls = shard.run_all(|records| outcome(records, &natures, &mut seen));
        prop_assert_eq!(&calls, &expected.calls);
        let totals = shard.stats().totals;
        prop_assert_eq!(totals.dead_lettered, expected.given_up.len() as u64);
        prop_assert_eq!(totals.processed + totals.dead_lettered, natures.len() as u64);
    }
}

//! Bisect on function error (Lambda ESM specification §9, §20 rows 2 and 3, §22 row Bisect; commit and
//! storage rules §4).

use proptest::prelude::*;

use super::harness::{Harness, TAKEN, settings};
use crate::{
    mapping::{MappingSettings, MaxAttempts},
    outcome::FailureKind::Retry,
};

/// So many calls per record, retried at once.
fn bisecting(max_attempts: u32) -> MappingSettings {
    MappingSettings {
        bisect_on_error: true,
        batch_size: 10_000,
        max_attempts: MaxAttempts::Count(max_attempts),
        backoff_initial_ms: 0,
        ..settings()
    }
}

/// Keys, one a record.
fn keys(records: usize) -> String {
    let keys: Vec<String> = (b'a'..)
        .take(records)
        .map(|c| char::from(c).into())
        .collect();
    keys.join(" ")
}

fn sizes(calls: &[Vec<u64>]) -> Vec<usize> {
    calls.iter().map(Vec::len).collect()
}

/// Half of a batch that failed as a whole is with the retry slot until its turn: nothing of it waits for a
/// retry before a record of it alone failed.
#[test]
fn keys_of_halves_are_no_parked_ones_until_one_of_them_is_charged() {
    let mut shard = Harness::new(MappingSettings {
        backoff_initial_ms: 1_000,
        ..bisecting(3)
    });
    shard.put("a b c d");
    let parked = |shard: &Harness| (shard.stats().parked_keys, shard.waiting_keys(None, 9).count);
    shard.trap(1);
    shard.expect(&["call 1 lane0: 1 2 3 4", "call 2 retry: 1 2 fresh"]);
    assert_eq!(parked(&shard), (0, 0));
    shard.trap(2);
    shard.expect(&["call 3 retry: 1 fresh"]);
    shard.trap(3);
    shard.expect(&["commit retry#1 marks 1:1"]);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    assert_eq!(parked(&shard), (1, 1));
    let calls = shard.run_trapping_at(&[]);
    assert_eq!(calls.concat().len(), 4, "{calls:?}");
    assert_eq!(parked(&shard), (0, 0));
}

/// What a guest that traps at bad records is called with, from one batch, each record tried once.
fn reference(records: &[u64], bad: &[u64], is_presumed: bool, calls: &mut Vec<Vec<u64>>) -> bool {
    let is_bad = records.iter().any(|record| bad.contains(record));
    if !is_presumed || records.len() == 1 {
        calls.push(records.to_vec());
        if !is_bad || records.len() == 1 {
            return !is_bad;
        }
    }
    let (lower, upper) = records.split_at(records.len() / 2);
    let passed = reference(lower, bad, false, calls);
    reference(upper, bad, passed, calls);
    false
}

#[test]
fn four_records_with_the_second_bad_are_called_four_two_one_one_two() {
    let mut shard = Harness::new(bisecting(1));
    shard.put("a b c d");
    let calls = shard.run_trapping_at(&[2]);
    assert_eq!(sizes(&calls), [4, 2, 1, 1, 2]);
    let totals = shard.stats().totals;
    assert_eq!((totals.processed, totals.dead_lettered), (3, 1));
    assert_eq!(totals.failed, 1, "the cuts are free");
    assert_eq!(shard.flow().bisects, 2);
}

/// Poison at first, middle and last, odd sizes, two poisons, size 1.
#[test]
fn the_culprits_alone_are_charged_and_given_up() {
    for (records, bad, expected) in [
        (1, &[1][..], &[1][..]),
        (2, &[1], &[2, 1, 1]),
        (2, &[2], &[2, 1, 1]),
        (3, &[1], &[3, 1, 2]),
        (3, &[3], &[3, 1, 1, 1]),
        (5, &[1], &[5, 2, 1, 1, 3]),
        (5, &[3], &[5, 2, 1, 2]),
        (5, &[5], &[5, 2, 1, 1, 1]),
        (8, &[1, 8], &[8, 4, 2, 1, 1, 2, 4, 2, 1, 1]),
        (4, &[1, 2], &[4, 2, 1, 1, 2]),
        (4, &[1, 2, 3, 4], &[4, 2, 1, 1, 2, 1, 1]),
    ] {
        let mut shard = Harness::new(bisecting(1));
        shard.put(&keys(records));
        let calls = shard.run_trapping_at(bad);
        assert_eq!(sizes(&calls), expected, "{records} records, bad {bad:?}");
        let totals = shard.stats().totals;
        let given_up = bad.len() as u64;
        assert_eq!(
            (totals.failed, totals.dead_lettered, totals.processed),
            (given_up, given_up, records as u64 - given_up),
            "{records} records, bad {bad:?}"
        );
    }
}

/// Schedule 24: one bad record among 10,000 of different keys.
#[test]
fn one_bad_record_in_ten_thousand_is_found_within_two_log_n_calls_and_its_attempts() {
    const RECORDS: u64 = 10_000;
    const ATTEMPTS: u32 = 5;
    let bound = 2.0 * (RECORDS as f64).log2() + f64::from(ATTEMPTS);
    let anywhere = (0..40).map(|n| 1 + n * 7_919 % RECORDS);
    for bad in [1, 2, 4_999, 5_000, 5_001, 9_999, 10_000]
        .into_iter()
        .chain(anywhere)
    {
        let mut shard = Harness::new(bisecting(ATTEMPTS));
        shard.keys_of_many = RECORDS;
        shard.tail(RECORDS);
        let after = shard.fetch_asked().expect("a read");
        shard.fetched_many(after, RECORDS);
        let calls = shard.run_trapping_at(&[bad]).len();
        assert!(calls as f64 <= bound, "{calls} calls for record {bad}");
        let totals = shard.stats().totals;
        assert_eq!(totals.processed, RECORDS - 1, "record {bad}");
        assert_eq!(
            totals.failed,
            u64::from(ATTEMPTS),
            "innocents keep their attempts"
        );
        assert_eq!(totals.dead_lettered, 1);
    }
}

#[test]
fn a_lane_goes_on_with_other_keys_while_its_batch_is_bisected() {
    let mut shard = Harness::new(bisecting(5));
    shard.put("a b");
    shard.trap(1);
    shard.expect(&["call 1 lane0: 1 2", "call 2 retry: 1 fresh"]);
    shard.put("a c b");
    // 3 and 5 wait behind the records of their keys, 4 does not.
    shard.expect(&["call 3 lane0: 4"]);
    shard.ok(2);
    shard.answer("retry", 1, TAKEN);
    // "a" is free again, "b" is not yet.
    shard.expect(&["commit retry#1 settles 0-1", "call 4 retry: 2 fresh"]);
    shard.ok(3);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["commit lane0#1 settles 3-4", "call 5 lane0: 3"]);
}

#[test]
fn a_charged_record_takes_its_key_out_of_the_suspect_and_order_holds() {
    let mut shard = Harness::new(MappingSettings {
        backoff_initial_ms: 100,
        ..bisecting(5)
    });
    shard.put("a b a b");
    shard.trap(1);
    shard.trap(2);
    shard.forget();
    // 1 alone: charged. 3 of its key is left out of the upper half.
    shard.trap(3);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["commit retry#1 marks 1:1", "call 4 retry: 2 fresh"]);
    shard.ok(4);
    shard.answer("retry", 2, TAKEN);
    shard.durable("retry", 2);
    shard.expect(&["commit retry#2 settles 1-2", "call 5 retry: 4 fresh"]);
    shard.ok(5);
    shard.answer("retry", 3, TAKEN);
    shard.forget();
    let due = shard.deadline().unwrap().max(100);
    shard.at(due).tick();
    shard.durable("retry", 3);
    shard.expect(&["call 6 retry: 1 fresh"]);
    shard.ok(6);
    shard.answer("retry", 4, TAKEN);
    shard.forget_all_but(1);
    shard.expect(&["call 7 lane0: 3"]);
}

#[test]
fn a_key_that_is_due_has_its_turn_between_two_suspects() {
    let mut shard = Harness::new(MappingSettings {
        batch_size: 2,
        ..bisecting(5)
    });
    shard.put("c");
    shard.fail(1, &[(0, Retry)]);
    shard.put("a b d e");
    shard.answer("lane0", 1, TAKEN);
    shard.trap(2);
    shard.trap(4);
    shard.forget();
    // Two suspects wait, and "c" is due again.
    shard.fail(3, &[(0, Retry)]);
    let (two, three, four, five) = ("2 fresh", "3 fresh", "4 fresh", "5 fresh");
    for (number, records) in [(1, two), (2, three), (3, "1"), (4, four), (5, five)] {
        shard.answer("retry", number, TAKEN);
        shard.durable("retry", number);
        shard.forget_all_but(1);
        let call = 4 + number;
        shard.expect(&[&format!("call {call} retry: {records}")]);
        shard.ok(call);
    }
}

/// §20 row 3: age is checked before every piece.
#[test]
fn a_half_that_grew_too_old_is_given_up_without_a_call() {
    let mut shard = Harness::new(MappingSettings {
        max_record_age_ms: Some(50),
        ..bisecting(5)
    });
    shard.put("a b");
    shard.forget();
    shard.at(51);
    shard.trap(1);
    shard.expect(&["commit retry#1 settles 0-1 letters 1:record-too-old:0"]);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["commit retry#2 settles 1-2 letters 2:record-too-old:0"]);
}

#[test]
fn a_timeout_of_many_says_nothing_of_the_half_that_was_not_called() {
    let mut shard = Harness::new(bisecting(5));
    shard.put("a b c d");
    shard.timeout(1);
    shard.ok(2);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 3 4",
        "call 2 retry: 1 2 fresh",
        "commit retry#1 settles 0-2",
        "call 3 retry: 3 4 fresh",
    ]);
}

#[test]
fn a_function_that_fails_at_everything_is_called_no_further_than_it_is_bisected() {
    let mut shard = Harness::new(MappingSettings {
        batch_size: 2,
        ..bisecting(5)
    });
    let mut lanes = 0;
    for _ in 0..100 {
        shard.put("a b");
        for line in shard.lines() {
            let attempt = line
                .strip_prefix("call ")
                .filter(|_| line.contains("lane0"));
            if let Some(attempt) = attempt.and_then(|rest| rest.split(' ').next()) {
                lanes += 1;
                shard.trap(attempt.parse().unwrap());
            }
        }
        shard.renamed_keys();
    }
    let bound = crate::limits::SUSPECT_BATCHES_MAX + 1;
    assert!((2..=bound).contains(&lanes), "{lanes}");
}

proptest! {
    #[test]
    fn calls_are_those_of_the_plain_recursion(
        records in 1_usize..26,
        bad in prop::collection::btree_set(1_u64..26, 0..4),
    ) {
        let bad: Vec<u64> = bad.into_iter().filter(|&bad| bad <= records as u64).collect();
        let mut expected = Vec::new();
        let all: Vec<u64> = (1..=records as u64).collect();
        reference(&all, &bad, false, &mut expected);
        let mut shard = Harness::new(bisecting(1));
        shard.put(&keys(records));
        prop_assert_eq!(shard.run_trapping_at(&bad), expected);
    }
}

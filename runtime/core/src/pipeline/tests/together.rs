//! Which retries share a call, and what they take along (`pipeline/together.rs`).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::harness::{Harness, TAKEN, given::waiting_ms, running::failing, settings};
use crate::{
    id::Ordinal,
    limits,
    mapping::{MappingSettings, MaxAttempts},
    outcome::{Failure, FailureKind::Retry, Outcome},
    pipeline::Event,
};

/// What fails is due at once; it is given up at its failure of this number.
fn attempts(attempts: u32) -> MappingSettings {
    MappingSettings {
        max_attempts: MaxAttempts::Count(attempts),
        ..waiting_ms(settings(), 0)
    }
}

/// The retry slot's commit of this number is taken and synced.
fn retry_taken(shard: &mut Harness, number: u64) {
    shard.answer("retry", number, TAKEN);
    shard.durable("retry", number);
}

/// Records 1, 2 and 3, of three keys, failed by name and are called again.
fn three(settings: MappingSettings) -> Harness {
    let mut shard = Harness::new(settings);
    shard.put("a b c");
    shard.fail(1, &[(0, Retry), (1, Retry), (2, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.expect(&[
        "call 1 lane0: 1 2 3",
        "commit lane0#1 marks 1:1 2:1 3:1",
        "call 2 retry: 1 2 3",
    ]);
    shard
}

/// Every way for a call to fail without a word of whose fault it was.
fn ways() -> [Outcome; 4] {
    let failure = Failure {
        kind: Retry,
        retry_after_ms: None,
        code: "code".into(),
        message: "words".into(),
    };
    [
        trap(),
        Outcome::Error(failure),
        Outcome::Timeout { after_ms: 1 },
        Outcome::OutOfMemory { limit_bytes: 1 },
    ]
}

fn trap() -> Outcome {
    Outcome::Trap {
        record: None,
        message: "trap".into(),
    }
}

#[test]
fn retries_that_are_due_at_once_are_one_call_and_each_is_charged_for_itself() {
    let mut shard = three(attempts(3));
    shard.fail(2, &[(0, Retry), (2, Retry)]);
    retry_taken(&mut shard, 1);
    // The last attempt is made in an instance of its own.
    shard.expect(&[
        "commit retry#1 settles 1-2 marks 1:2 3:2",
        "call 3 retry: 1 3 fresh",
    ]);
    shard.fail(3, &[(0, Retry)]);
    retry_taken(&mut shard, 2);
    shard.expect(&[
        "commit retry#2 settles 0-1 2-3 letters 1:error:3",
        "release 1",
    ]);
    let totals = shard.stats().totals;
    let counted = (totals.failed, totals.dead_lettered, totals.processed);
    assert_eq!(counted, (6, 1, 2));
}

#[test]
fn a_record_that_broke_its_call_is_retried_alone_and_the_others_without_it() {
    let mut shard = Harness::new(attempts(5));
    shard.put("a b c");
    shard.panic(1, 1);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.fail(2, &[(0, Retry), (1, Retry)]);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.panic(3, 0);
    shard.forget();
    retry_taken(&mut shard, 1);
    shard.expect(&["call 4 retry: 1 3"]);
    shard.ok(4);
    shard.forget();
    retry_taken(&mut shard, 2);
    shard.expect(&["call 5 retry: 2 fresh"]);
}

#[test]
fn retries_that_fail_as_a_whole_cost_nobody_an_attempt_and_are_called_alone_for_good() {
    for bisect_on_error in [false, true] {
        for outcome in ways() {
            let mut shard = three(MappingSettings {
                bisect_on_error,
                ..attempts(5)
            });
            shard.end_with(2, outcome);
            shard.expect(&["call 3 retry: 1 fresh"]);
            shard.ok(3);
            retry_taken(&mut shard, 1);
            shard.expect(&["commit retry#1 settles 0-1", "call 4 retry: 2 fresh"]);
            shard.fail(4, &[(0, Retry)]);
            retry_taken(&mut shard, 2);
            shard.expect(&["commit retry#2 marks 2:2", "call 5 retry: 3 fresh"]);
            shard.fail(5, &[(0, Retry)]);
            retry_taken(&mut shard, 3);
            shard.expect(&["commit retry#3 marks 3:2", "call 6 retry: 2 fresh"]);
            assert_eq!(shard.stats().totals.failed, 5);
        }
    }
}

#[test]
fn a_panic_among_retries_is_charged_to_its_record_and_the_others_go_on_together() {
    let mut shard = three(attempts(5));
    shard.panic(2, 1);
    retry_taken(&mut shard, 1);
    shard.expect(&["commit retry#1 marks 2:2", "call 3 retry: 1 3 fresh"]);
    shard.ok(3);
    retry_taken(&mut shard, 2);
    shard.forget_all_but(1);
    shard.expect(&["call 4 retry: 2 fresh"]);
}

#[test]
fn retries_that_were_not_called_or_gave_too_much_are_called_again_free_of_charge() {
    let mut shard = three(attempts(5));
    shard.host_fault(2);
    let deadline = shard.deadline().unwrap();
    shard.at(deadline).tick();
    shard.expect(&["call 3 retry: 1 2 3 fresh"]);
    shard.too_large(3);
    shard.expect(&["call 4 retry: 1 fresh"]);
    shard.ok(4);
    retry_taken(&mut shard, 1);
    shard.forget_all_but(1);
    shard.expect(&["call 5 retry: 2 3 fresh"]);
    assert_eq!(shard.stats().totals.failed, 3);
}

#[test]
fn what_follows_a_last_attempt_goes_along_and_what_fails_of_it_is_charged() {
    let mut shard = Harness::new(attempts(2));
    shard.put("a a a a b");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget_all_but(1);
    shard.expect(&["call 2 retry: 1 2 fresh"]);
    shard.fail(2, &[(0, Retry), (1, Retry)]);
    retry_taken(&mut shard, 1);
    shard.expect(&[
        "commit retry#1 settles 0-1 marks 2:1 letters 1:error:2",
        "call 3 retry: 2 3 fresh",
    ]);
    shard.ok(3);
    retry_taken(&mut shard, 2);
    shard.expect(&["commit retry#2 settles 1-3", "call 4 lane0: 4"]);
}

#[test]
fn where_a_last_attempt_breaks_its_call_what_went_along_waits_behind_it() {
    for outcome in ways() {
        let mut shard = Harness::new(attempts(2));
        shard.put("a a a");
        shard.fail(1, &[(0, Retry)]);
        shard.answer("lane0", 1, TAKEN);
        shard.durable("lane0", 1);
        shard.end_with(2, outcome.clone());
        shard.forget_all_but(2);
        shard.expect(&["call 2 retry: 1 2 fresh", "call 3 retry: 1 fresh"]);
        shard.end_with(3, outcome);
        retry_taken(&mut shard, 1);
        let lines = shard.lines();
        assert!(lines[0].starts_with("commit retry#1 settles 0-1 letters 1:"));
        assert_eq!(lines[1..], ["call 4 lane0: 2"]);
        assert_eq!(shard.stats().totals.failed, 2);
    }
}

#[test]
fn a_panic_in_what_went_along_sends_the_record_in_front_of_it_ahead() {
    let mut shard = Harness::new(attempts(2));
    shard.put("a a a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget();
    shard.panic(2, 1);
    retry_taken(&mut shard, 1);
    shard.expect(&["commit retry#1 marks 2:1", "call 3 retry: 1 fresh"]);
    shard.fail(3, &[(0, Retry)]);
    retry_taken(&mut shard, 2);
    shard.expect(&[
        "commit retry#2 settles 0-1 letters 1:error:2",
        "call 4 retry: 2 fresh",
    ]);
}

#[test]
fn a_call_of_retries_is_a_batch_at_most_and_has_a_bound_of_its_own() {
    let bound = limits::RETRIES_TOGETHER_MAX as usize;
    for (batch_size, expected) in [(100, vec![bound, 40 - bound]), (10, vec![10; 4])] {
        let mut shard = Harness::new(MappingSettings {
            batch_size,
            ..attempts(5)
        });
        shard.keys_of_many = 40;
        shard.tail(40);
        let after = shard.fetch_asked().unwrap();
        shard.fetched_many(after, 40);
        let mut met = BTreeSet::new();
        let mut calls = shard.run_all(|called| {
            let outcome = failing(called, |record| !met.contains(&record));
            met.extend(called.iter().copied());
            outcome
        });
        // Only those of records that had been called before.
        let mut seen = BTreeSet::new();
        calls.retain(|call| !call.iter().all(|record| seen.insert(*record)));
        let sizes: Vec<usize> = calls.iter().map(Vec::len).collect();
        assert_eq!(sizes, expected, "{batch_size}");
    }
}

#[test]
fn what_goes_along_takes_no_room_of_those_that_are_retried() {
    let retried = u64::from(limits::RETRIES_TOGETHER_MAX);
    let mut shard = Harness::new(attempts(2));
    shard.keys_of_many = retried;
    shard.tail(2 * retried);
    let after = shard.fetch_asked().unwrap();
    shard.fetched_many(after, 2 * retried);
    let first: Vec<_> = (0..limits::RETRIES_TOGETHER_MAX)
        .map(|index| (index, Retry))
        .collect();
    shard.fail(1, &first);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget_all_but(1);
    let all: Vec<String> = (1..=2 * retried).map(|record| record.to_string()).collect();
    shard.expect(&[&format!("call 2 retry: {} fresh", all.join(" "))]);
}

#[test]
fn what_goes_along_has_a_bound_of_its_own() {
    // Of each of so many keys every twentieth record is bad: soon nineteen are done at once behind a bad one.
    let (keys, every) = (u64::from(limits::RETRIES_TOGETHER_MAX), 20);
    let records = 2_000;
    let mut shard = Harness::new(MappingSettings {
        batch_size: 10_000,
        ..attempts(2)
    });
    shard.keys_of_many = keys;
    shard.tail(records);
    let after = shard.fetch_asked().unwrap();
    shard.fetched_many(after, records);
    let is_bad = |record: u64| ((record - 1) / keys).is_multiple_of(every);
    let mut met = BTreeSet::new();
    let mut most = 0;
    shard.run_all(|called| {
        let retried = called.iter().filter(|record| met.contains(*record)).count();
        if retried > 0 {
            most = most.max(called.len() - retried);
        }
        // What fails behind another one of its key that is retried for it is void.
        let mut failed = BTreeSet::new();
        for &record in called.iter().filter(|&&record| is_bad(record)) {
            if !met.contains(&record) && failed.insert(record % keys) {
                met.insert(record);
            }
        }
        failing(called, is_bad)
    });
    assert_eq!(most, limits::RETRIES_FOLLOWED_MAX as usize);
}

#[test]
fn with_care_retries_are_called_one_by_one() {
    let mut shard = three(attempts(3));
    shard.fail(2, &[(0, Retry), (1, Retry), (2, Retry)]);
    shard.tell(Event::Caution { is_on: true });
    shard.forget();
    retry_taken(&mut shard, 1);
    let calls = shard.run_all(|called| failing(called, |_| true));
    assert_eq!(calls, [[1], [2], [3]]);
    assert_eq!(shard.stats().totals.dead_lettered, 3);
}

#[test]
fn an_open_circuit_probes_with_one_retry_alone() {
    let mut shard = Harness::new(attempts(2));
    let keys = "a b c d e f g h i j k l m n o p q r s t";
    shard.put(keys);
    let all: Vec<_> = (0..20).map(|index| (index, Retry)).collect();
    shard.fail(1, &all);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    // Twenty keys at their last attempt.
    shard.fail(2, &all);
    assert_eq!(shard.circuit_opens(), 1);
    retry_taken(&mut shard, 1);
    shard.forget();
    let probe = shard.deadline().unwrap();
    shard.at(probe).tick();
    let lines = shard.lines();
    assert_eq!(lines, ["call 3 retry: 1 fresh"]);
    assert_eq!(shard.stats().totals.dead_lettered, 0);
}

proptest! {
    /// Whatever fails alone or breaks calls in company: every bad record is charged its attempts and no good
    /// one any, records of a key end in their order.
    #[test]
    fn attempts_are_exact_and_keys_in_order_whoever_is_called_together(
        records in prop::collection::vec((0..5_u8, 0..8_u8), 1..120),
        attempts_max in 1..5_u32,
        batch_size in 1..40_u32,
        factor in 1..3_u16,
        bisect_on_error: bool,
        backoff_ms in prop::sample::select(vec![0_u64, 7]),
    ) {
        let mut shard = Harness::new(MappingSettings {
            batch_size,
            bisect_on_error,
            parallelization_factor: factor,
            ..waiting_ms(attempts(attempts_max), backoff_ms)
        });
        let names = ["a", "b", "c", "d", "e"];
        let keys: Vec<&str> = records.iter().map(|(key, _)| names[usize::from(*key)]).collect();
        shard.put(&keys.join(" "));
        let of = |record: u64| records[usize::try_from(record - 1).unwrap()];
        let is_bad = |record: u64| of(record).1 < 2;
        // It bears nobody beside it once it has failed.
        let is_fragile = |record: u64| of(record).1 == 0;
        let mut failed = BTreeSet::new();
        let calls = shard.run_until(u64::MAX, |called| {
            let breaks = |record: &u64| is_fragile(*record) && failed.contains(record);
            if called.len() > 1 && called.iter().any(breaks) {
                return trap();
            }
            // What fails behind another one of its key may be void.
            let mut keys = BTreeSet::new();
            let bad = called.iter().copied().filter(|&record| is_bad(record));
            failed.extend(bad.filter(|&record| keys.insert(of(record).0)));
            failing(called, is_bad)
        });
        let stats = shard.stats();
        let bad = records.iter().filter(|(_, nature)| *nature < 2).count() as u64;
        prop_assert_eq!(stats.low_watermark, Ordinal(records.len() as u64));
        prop_assert_eq!(stats.totals.dead_lettered, bad);
        prop_assert_eq!(stats.totals.failed, bad * u64::from(attempts_max));
        prop_assert_eq!(stats.parked_keys, 0);
        for key in 0..5 {
            // The last call of each record is the one that settled it.
            let mut last = BTreeMap::new();
            for (at, (_, call)) in calls.iter().enumerate() {
                for &record in call.iter().filter(|record| of(**record).0 == key) {
                    last.insert(record, at);
                }
            }
            prop_assert!(last.values().is_sorted(), "{:?}", calls);
        }
    }
}

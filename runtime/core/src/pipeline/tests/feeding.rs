//! How a key that failed gets back to its lane (`pipeline/feed.rs`).

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::harness::{
    Harness, TAKEN,
    given::{charged, mark},
    running::failing,
    settings,
};
use crate::{
    id::Ordinal,
    mapping::{MappingSettings, MaxAttempts},
    outcome::FailureKind::Retry,
};

/// A record is given up at its second failure.
fn twice() -> MappingSettings {
    MappingSettings {
        max_attempts: MaxAttempts::Count(2),
        backoff_initial_ms: 0,
        ..settings()
    }
}

fn of_a(records: usize) -> String {
    "a ".repeat(records)
}

/// First and last record of each call until all is settled, where these records of one key fail so often.
fn calls(records: usize, bad: &[u64], attempts: u32) -> Vec<(u64, u64)> {
    let mut shard = Harness::new(MappingSettings {
        max_attempts: MaxAttempts::Count(attempts),
        ..twice()
    });
    shard.put(&of_a(records));
    let calls = shard.run_all(|called| failing(called, |record| bad.contains(&record)));
    assert_eq!(shard.stats().low_watermark, Ordinal(records as u64));
    let span = |call: &Vec<u64>| (call[0], call[call.len() - 1]);
    calls.iter().map(span).collect()
}

/// The calls, and behind each the bad record that it met, unless that is 0: it is retried so often, alone but
/// for the last time, when the next call goes along.
fn with_retries(calls: &[((u64, u64), u64)], retries: usize) -> Vec<(u64, u64)> {
    let mut with = Vec::new();
    let mut last = None;
    for &((first, through), bad) in calls {
        with.push((last.take().unwrap_or(first), through));
        if bad > 0 {
            with.extend(std::iter::repeat_n((bad, bad), retries - 1));
            last = Some(bad);
        }
    }
    with.extend(last.map(|bad| (bad, bad)));
    with
}

#[test]
fn a_key_that_failed_gets_what_waits_behind_it_in_portions_that_double() {
    let expected = [
        ((1, 12), 1),
        ((2, 2), 0),
        ((3, 4), 0),
        ((5, 8), 0),
        ((9, 12), 0),
    ];
    for attempts in 2..5 {
        let expected = with_retries(&expected, attempts as usize - 1);
        assert_eq!(calls(12, &[1], attempts), expected);
    }
}

#[test]
fn a_key_that_fails_again_goes_on_with_as_many_as_went_well_and_one() {
    // Nine went well in front of the first failure, but nobody counts for a key that never failed.
    let mut expected = vec![((1, 60), 10), ((11, 11), 0), ((12, 13), 0), ((14, 17), 0)];
    expected.push(((18, 25), 20));
    expected.extend([30, 40, 50, 60].map(|bad| ((bad - 9, bad), bad)));
    for attempts in 2..5 {
        let expected = with_retries(&expected, attempts as usize - 1);
        assert_eq!(calls(60, &[10, 20, 30, 40, 50, 60], attempts), expected);
    }
}

#[test]
fn a_key_of_bad_records_alone_is_called_one_by_one() {
    let all: Vec<u64> = (1..=6).collect();
    let behind = (2..=6).map(|bad| ((bad, bad), bad));
    let expected: Vec<_> = [((1, 6), 1)].into_iter().chain(behind).collect();
    for attempts in 2..5 {
        let expected = with_retries(&expected, attempts as usize - 1);
        assert_eq!(calls(6, &all, attempts), expected);
    }
}

#[test]
fn a_key_that_is_through_with_what_waited_is_like_every_other() {
    let mut shard = Harness::new(twice());
    shard.put("a a a");
    shard.run_all(|called| failing(called, |record| record == 1));
    shard.put("a a a a");
    shard.expect(&["call 4 lane0: 4 5 6 7"]);
}

/// A record is given up at its third failure.
fn thrice() -> MappingSettings {
    MappingSettings {
        max_attempts: MaxAttempts::Count(3),
        ..twice()
    }
}

/// Record 1 of key "a" was done when it was retried, and 2 is with the lane, 3 to 5 behind it.
fn fed() -> Harness {
    fed_since(Harness::new(thrice()))
}

fn fed_since(mut shard: Harness) -> Harness {
    shard.put("a a a a a b");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.ok(2);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    let lines = shard.lines();
    assert_eq!(lines.last().unwrap(), "call 3 lane0: 2");
    assert_eq!(shard.stats().parked_keys, 0);
    shard
}

fn lane_done(shard: &mut Harness, attempt: u64, number: u64) {
    shard.ok(attempt);
    shard.answer("lane0", number, TAKEN);
    shard.durable("lane0", number);
}

#[test]
fn other_keys_are_called_meanwhile_and_what_is_read_of_the_key_waits_its_turn() {
    let mut shard = fed();
    shard.put("b a b");
    lane_done(&mut shard, 3, 2);
    shard.expect(&["commit lane0#2 settles 1-2", "call 4 lane0: 3 4 7 9"]);
    lane_done(&mut shard, 4, 3);
    let settles = "commit lane0#3 settles 2-4 6-7 8-9";
    shard.expect(&[settles, "call 5 lane0: 5 8"]);
}

#[test]
fn a_fed_key_that_fails_parks_whole() {
    let mut shard = fed();
    shard.fail(3, &[(0, Retry)]);
    shard.answer("lane0", 2, TAKEN);
    shard.expect(&["commit lane0#2 marks 2:1", "call 4 retry: 2"]);
    assert_eq!(shard.stats().parked_keys, 1);
    shard.put("a");
    shard.ok(4);
    shard.answer("retry", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.expect(&["commit retry#2 settles 1-2", "call 5 lane0: 3"]);
}

#[test]
fn what_a_person_gives_up_is_taken_out_of_what_waits() {
    let mut shard = fed();
    shard.give_up(&[4]);
    shard.expect(&[]);
    lane_done(&mut shard, 3, 2);
    let letter = "commit retry#2 settles 3-4 letters 4:by-hand:0";
    shard.expect(&["commit lane0#2 settles 1-2", letter]);
    shard.answer("retry", 2, TAKEN);
    shard.durable("retry", 2);
    shard.expect(&["call 4 lane0: 3 5", "given up 4"]);
}

#[test]
fn a_redrive_holds_what_waits_to_be_fed() {
    let mut shard = fed();
    shard.redrive(7, "a");
    lane_done(&mut shard, 3, 2);
    shard.expect(&[
        "commit lane0#2 settles 1-2",
        "call 4 retry: 1007 fresh letter 7",
    ]);
    shard.ok(4);
    shard.answer("retry", 2, TAKEN);
    shard.durable("retry", 2);
    let lines = shard.lines();
    assert!(lines.contains(&"call 5 lane0: 3 4".to_owned()), "{lines:?}");
}

#[test]
fn what_an_earlier_owner_charged_is_retried_when_its_turn_to_be_fed_comes() {
    for bad in [&[][..], &[3]] {
        let mut shard = fed_since(Harness::started(thrice(), charged(vec![mark(8, 1, 0)])));
        shard.put("a a a");
        shard.ok(3);
        let calls = shard.run_all(|called| failing(called, |record| bad.contains(&record)));
        assert_eq!(shard.stats().low_watermark, Ordinal(9), "{calls:?}");
        let totals = shard.stats().totals;
        assert_eq!(totals.dead_lettered, bad.len() as u64, "{calls:?}");
    }
}

proptest! {
    /// Whatever is bad: every record ends, those of a key in their order, and what is called in vain stays
    /// within a few times what there is.
    #[test]
    fn keys_that_fail_are_fed_in_order_and_seldom_in_vain(
        records in prop::collection::vec((0..3_u8, prop::bool::weighted(0.2)), 1..400),
        attempts in 1..4_u32,
        batch_size in 1..60_u32,
        factor in 1..3_u16,
    ) {
        let mut shard = Harness::new(MappingSettings {
            max_attempts: MaxAttempts::Count(attempts),
            batch_size,
            parallelization_factor: factor,
            ..twice()
        });
        let keys: Vec<&str> = records.iter().map(|(key, _)| ["a", "b", "c"][usize::from(*key)]).collect();
        shard.put(&keys.join(" "));
        let of = |record: u64| records[usize::try_from(record - 1).unwrap()];
        let is_bad = |record: u64| of(record).1;
        let calls = shard.run_all(|called| failing(called, is_bad));
        let stats = shard.stats();
        prop_assert_eq!(stats.low_watermark, Ordinal(records.len() as u64));
        let bad = records.iter().filter(|(_, is_bad)| *is_bad).count();
        prop_assert_eq!(stats.totals.dead_lettered, bad as u64);
        let given: usize = calls.iter().map(Vec::len).sum();
        prop_assert!(given <= 5 * records.len() + attempts as usize * bad, "{} given", given);
        for key in 0..3 {
            // The last call of each record is the one that settled it.
            let mut last = BTreeMap::new();
            for (at, call) in calls.iter().enumerate() {
                for &record in call.iter().filter(|record| of(**record).0 == key) {
                    last.insert(record, at);
                }
            }
            prop_assert!(last.values().is_sorted(), "{:?}", calls);
        }
    }
}

//! A circuit that opens, and what it does to calls, charges, windows and retries.

mod asked;
mod canary;
mod inherited;
mod others;
mod recovering;

use super::harness::{Harness, given::waiting_ms, settings};
use crate::{
    id::{Ordinal, Timestamp},
    limits,
    mapping::{MappingSettings, MaxAttempts, Ordering},
    outcome::{Failure, FailureKind, FailureKind::Retry, ItemFailure, Outcome},
    pipeline::Event,
};

const HOUR: u64 = 3_600_000;

fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        retry_after_ms: None,
        code: "busy".into(),
        message: "it is down".into(),
    }
}

/// The call returned, and of these records (by index) it says `retry`.
fn returned(failed: impl IntoIterator<Item = usize>) -> Outcome {
    let item = |index| ItemFailure {
        index: u32::try_from(index).unwrap(),
        failure: failure(Retry),
    };
    Outcome::Returned {
        rows: Vec::new(),
        failures: failed.into_iter().map(item).collect(),
    }
}

fn well(_: &[u64]) -> Outcome {
    returned([])
}

/// Each record fails.
fn down(records: &[u64]) -> Outcome {
    returned(0..records.len())
}

/// The call fails.
fn down_as_a_whole(_: &[u64]) -> Outcome {
    Outcome::Error(failure(Retry))
}

fn times_out(_: &[u64]) -> Outcome {
    Outcome::Timeout { after_ms: 1_000 }
}

/// These records (by position) fail.
fn poison(bad: &[u64]) -> impl FnMut(&[u64]) -> Outcome {
    move |records| {
        let failed = records.iter().enumerate();
        let failed = failed.filter(|(_, position)| bad.contains(position));
        returned(failed.map(|(index, _)| index).collect::<Vec<_>>())
    }
}

fn attempts(count: u32) -> MappingSettings {
    MappingSettings {
        max_attempts: MaxAttempts::Count(count),
        ..settings()
    }
}

/// A shard with this many records, each of a key of its own, in the lanes.
fn shard(settings: MappingSettings, records: u64) -> Harness {
    let mut shard = Harness::new(settings);
    shard.keys_of_many = records;
    shard.tail(records);
    shard.forget();
    shard.fetched_many(Ordinal(0), records);
    shard
}

/// Processed, dead-lettered, charged.
fn totals(shard: &Harness) -> [u64; 3] {
    let totals = shard.stats().totals;
    [totals.processed, totals.dead_lettered, totals.failed]
}

#[test]
fn an_outage_gives_nobody_up_and_behind_it_everything_is_done() {
    type Guest = fn(&[u64]) -> Outcome;
    let whole = MappingSettings {
        bisect_on_error: true,
        ..attempts(3)
    };
    let all_or_nothing = MappingSettings {
        partial_failures: false,
        ..attempts(5)
    };
    for (name, settings, guest) in [
        ("one attempt", attempts(1), down as Guest),
        ("three", attempts(3), down),
        ("bisected", whole.clone(), down_as_a_whole),
        ("timeouts, bisected", whole, times_out),
        ("as a whole", attempts(5), down_as_a_whole),
        ("all or nothing", all_or_nothing, down),
    ] {
        for factor in [1, 4] {
            let settings = MappingSettings {
                parallelization_factor: factor,
                ..settings.clone()
            };
            let mut shard = shard(settings, 200);
            let calls = shard.run_until(HOUR, guest);
            let is_open = shard.stats().circuit.is_some();
            assert!(is_open, "{name}, {factor} lanes");
            // Some to open it, then one in half a minute.
            assert!(calls.len() < 250, "{name}: {} calls", calls.len());
            let charged = totals(&shard)[2];
            shard.at(HOUR).run_until(2 * HOUR, well);
            assert_eq!(totals(&shard), [200, 0, charged], "{name}, {factor} lanes");
            let opens = shard.circuit_opens();
            assert_eq!((shard.stats().circuit, opens), (None, 1), "{name}");
        }
    }
}

#[test]
fn probes_go_alone_after_doubled_pauses_each_of_another_key_and_charge_nobody() {
    let mut shard = shard(attempts(3), 40);
    let calls = shard.run_until(60_000, down);
    let open = shard.stats().circuit.expect("it is open");
    let charged = totals(&shard)[2];
    let probes: Vec<_> = calls.iter().filter(|(at, _)| *at > open.since.0).collect();
    let pauses: Vec<u64> = probes.windows(2).map(|two| two[1].0 - two[0].0).collect();
    assert_eq!(probes[0].0 - open.since.0, limits::CIRCUIT_PROBE_MS);
    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000]);
    let mut tried: Vec<u64> = probes
        .iter()
        .flat_map(|(_, records)| records.clone())
        .collect();
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried.len(), probes.len(), "one record each, each another");
    assert_eq!(u64::from(open.probes), probes.len() as u64);
    shard.run_until(10 * HOUR, down);
    assert_eq!(totals(&shard), [0, 0, charged]);
}

#[test]
fn what_waits_in_a_lane_is_probed_too_and_goes_on_whole() {
    // Retries that are due at once open it while the lane has most of its records.
    let mut shard = shard(
        MappingSettings {
            batch_size: 50,
            ..waiting_ms(attempts(2), 0)
        },
        200,
    );
    let probed = shard.run_until(5_000, down);
    let since = shard.stats().circuit.expect("it is open").since.0;
    let is_probe = |(at, _): &&(u64, Vec<u64>)| *at > since;
    assert!(
        probed
            .iter()
            .filter(is_probe)
            .all(|(_, records)| records.len() == 1)
    );
    let calls = shard.run_until(HOUR, well);
    let whole = calls
        .iter()
        .filter(|(_, records)| records.len() > 40)
        .count();
    assert!(whole >= 2, "{calls:?}");
    assert_eq!(totals(&shard)[..2], [200, 0]);
}

#[test]
fn a_good_record_waits_for_no_poison_that_is_probed() {
    let bad: Vec<u64> = (2..=31).collect();
    let mut shard = shard(attempts(3), 31);
    shard.run_until(100_000, poison(&bad));
    let open = shard.stats().circuit.expect("nothing was well");
    assert!(open.next_probe > Timestamp(100_000));
    shard.at(100_000).tail(32);
    shard.forget();
    shard.fetched_many(Ordinal(31), 1);
    let calls = shard.run_until(100_000, poison(&bad));
    assert_eq!(calls[0], (100_000, vec![32]));
    let open = shard.stats().circuit.expect("what failed before waits");
    assert_eq!(open.recovering_since(), Some(Timestamp(100_000)));
}

#[test]
fn what_was_not_tried_and_what_failed_are_probed_each_after_pauses_of_its_own() {
    let small = MappingSettings {
        batch_size: 10,
        parallelization_factor: 2,
        ..attempts(3)
    };
    let mut shard = shard(small, 400);
    let calls = shard.run_until(40_000, down);
    let open = shard.stats().circuit.expect("it is open");
    let mut seen = std::collections::BTreeSet::new();
    let mut probes = [Vec::new(), Vec::new()];
    for (at, records) in &calls {
        let is_new = records.iter().all(|record| seen.insert(*record));
        if *at > open.since.0 {
            probes[usize::from(is_new)].push(at - open.since.0);
        }
    }
    let tried = vec![500, 1_500, 3_500, 7_500, 15_500, 31_500];
    let mut untried = tried[..4].to_vec();
    untried.extend([12_500, 17_500, 22_500, 27_500, 32_500, 37_500]);
    assert_eq!(probes, [tried, untried], "{calls:?}");
    assert_eq!((open.probes, open.probes_untried), (6, 10));
}

#[test]
fn few_poison_keys_and_many_poison_records_among_good_ones_never_open_it() {
    for (keys, bad) in [
        // Half of everything, of ten keys.
        (20, (1..=400).filter(|at| at % 2 == 0).collect::<Vec<u64>>()),
        // Ten in a hundred, each of a key of its own, and nothing else is called in the end.
        (400, (1..=400).filter(|at| at % 10 == 0).collect()),
    ] {
        for ordering in [Ordering::Key, Ordering::Shard] {
            let settings = MappingSettings {
                batch_size: 20,
                bisect_on_error: true,
                ordering,
                ..attempts(4)
            };
            let mut shard = Harness::new(settings);
            shard.keys_of_many = keys;
            shard.tail(400);
            shard.forget();
            shard.fetched_many(Ordinal(0), 400);
            shard.run_until(HOUR, poison(&bad));
            let given_up = bad.len() as u64;
            assert_eq!(shard.circuit_opens(), 0, "{keys} keys, {ordering:?}");
            assert_eq!(totals(&shard)[..2], [400 - given_up, given_up], "{keys}");
        }
    }
}

#[test]
fn poison_is_given_up_behind_an_outage() {
    let bad: Vec<u64> = (1..=100).filter(|at| at % 5 == 0).collect();
    let mut shard = shard(attempts(3), 100);
    shard.run_until(HOUR, down);
    shard.at(HOUR).run_until(2 * HOUR, poison(&bad));
    assert_eq!(totals(&shard)[..2], [80, 20]);
    assert_eq!(shard.stats().circuit, None);
}

#[test]
fn calls_in_flight_when_it_opens_cost_no_attempt_and_do_not_close_it() {
    let lanes = MappingSettings {
        parallelization_factor: 3,
        ..attempts(1)
    };
    let mut shard = shard(lanes, 90);
    assert_eq!(shard.stats().running_calls, 3);
    shard.forget();
    shard.end_with(1, down(&[0; 30]));
    assert!(shard.stats().circuit.is_some());
    shard.end_with(2, down(&[0; 30]));
    shard.end_with(3, returned([4]));
    let mut none = Vec::new();
    shard.run_until(0, |records| {
        none.push(records.to_vec());
        down(records)
    });
    assert_eq!(none, Vec::<Vec<u64>>::new(), "no probe yet");
    assert_eq!(totals(&shard), [29, 0, 0]);
    assert!(shard.stats().circuit.is_some());
}

#[test]
fn a_call_that_hangs_since_before_it_opened_holds_no_probe() {
    let lanes = MappingSettings {
        parallelization_factor: 3,
        ..attempts(1)
    };
    let mut shard = shard(lanes, 90);
    shard.forget();
    shard.end_with(1, down(&[0; 30]));
    assert!(shard.stats().circuit.is_some());
    let calls = shard.run_until(1_000, well);
    assert_eq!(calls[0].1.len(), 1, "{calls:?}");
    assert!(shard.stats().circuit.is_none());
}

#[test]
fn a_redrive_is_the_probe_where_nothing_else_is_left() {
    let aging = MappingSettings {
        max_record_age_ms: Some(60_000),
        ..attempts(3)
    };
    let mut shard = shard(aging, 100);
    shard.run_until(59_000, down);
    let due = shard.stats().circuit.expect("it is open").next_probe;
    shard.redrive(9, "a");
    assert!(due > Timestamp(59_000));
    let calls = shard.run_until(2 * HOUR, down);
    let letters: Vec<&u64> = calls.iter().map(|(_, records)| &records[0]).collect();
    assert_eq!(
        letters.iter().filter(|letter| ***letter == 1_009).count(),
        1
    );
    assert_eq!(letters.last(), Some(&&1_009), "behind all others");
    assert!(shard.stats().circuit.is_some(), "it failed again");
    shard.redrive(10, "b");
    let calls = shard.run_until(2 * HOUR, well);
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].1[0], 1_010);
    assert!(shard.stats().circuit.is_none());
}

#[test]
fn a_probe_that_is_taken_back_says_nothing() {
    let mut shard = shard(attempts(1), 30);
    shard.forget();
    shard.end_with(1, down(&[0; 30]));
    shard.run_until(0, well);
    let before = shard.stats().circuit;
    shard.at(limits::CIRCUIT_PROBE_MS).tick();
    assert_eq!(shard.running(), Some(2));
    shard.host_fault(2);
    assert_eq!(shard.stats().circuit, before);
    shard.forget();
    shard.run_until(HOUR, well);
    assert_eq!(totals(&shard), [30, 0, 0]);
}

#[test]
fn age_runs_on_while_it_is_open() {
    let mut shard = shard(
        MappingSettings {
            max_record_age_ms: Some(60_000),
            ..attempts(3)
        },
        100,
    );
    let calls = shard.run_until(2 * HOUR, down);
    assert_eq!(totals(&shard)[..2], [0, 100]);
    assert!(calls.iter().all(|(at, _)| *at <= 60_000), "{calls:?}");
}

#[test]
fn with_order_within_the_shard_an_outage_of_a_minute_gives_nobody_up() {
    for (guest, bisect_on_error) in [
        (down as fn(&[u64]) -> Outcome, true),
        (down_as_a_whole, false),
    ] {
        let settings = MappingSettings {
            ordering: Ordering::Shard,
            bisect_on_error,
            ..attempts(30)
        };
        let mut shard = shard(settings, 100);
        let calls = shard.run_until(60_000, guest);
        assert!(shard.stats().circuit.is_some(), "{} calls", calls.len());
        shard.run_until(HOUR, well);
        assert_eq!(totals(&shard)[..2], [100, 0]);
    }
}

#[test]
fn a_poison_head_does_not_hold_the_shard_for_ever() {
    let settings = MappingSettings {
        ordering: Ordering::Shard,
        batch_size: 1,
        ..attempts(3)
    };
    let mut shard = shard(settings, 100);
    shard.run_until(30_000, down);
    // It took so many records to know.
    let lost = limits::CIRCUIT_SICK_KEYS as u64 - 1;
    assert_eq!(totals(&shard)[..2], [0, lost]);
    assert!(shard.stats().circuit.is_some());
    // What is down is up again, and the head is poison by chance.
    shard.run_until(HOUR, poison(&[lost + 1]));
    assert_eq!(totals(&shard)[..2], [99 - lost, lost + 1]);
    assert_eq!(shard.stats().circuit, None);
}

#[test]
fn windows_wait_with_their_records_and_their_last_calls() {
    let settings = MappingSettings {
        tumbling_window_ms: 1_000,
        ..attempts(3)
    };
    let mut shard = shard(settings, 100);
    shard.run_until(500, well);
    assert_eq!(totals(&shard), [100, 0, 0]);
    // All windows are over: their last calls fail, and those of later records.
    shard.at(5_000).tail(200);
    shard.forget();
    shard.fetched_many(Ordinal(100), 100);
    shard.run_until(HOUR, down_as_a_whole);
    assert!(shard.stats().circuit.is_some());
    shard.at(HOUR).run_until(2 * HOUR, well);
    assert_eq!(totals(&shard)[..2], [200, 0]);
    assert_eq!(shard.stats().circuit, None);
    let lost = shard.commits.iter().filter(|line| line.contains(" lost "));
    assert_eq!(lost.count(), 0);
}

#[test]
fn calls_with_care_probe_too_and_keep_no_turn_meanwhile() {
    let mut shard = Harness::new(attempts(3));
    shard.tell(Event::Caution { is_on: true });
    shard.keys_of_many = 60;
    shard.tail(60);
    shard.forget();
    shard.fetched_many(Ordinal(0), 60);
    shard.run_until(HOUR, down);
    assert!(shard.stats().circuit.is_some());
    assert_eq!(
        shard.turns,
        (shard.turns.0, shard.turns.0),
        "others wait for it"
    );
    shard.at(HOUR).run_until(2 * HOUR, well);
    assert_eq!(totals(&shard)[0] + totals(&shard)[1], 60);
    assert_eq!(totals(&shard)[1], 0);
}

#[test]
fn a_redrive_waits_until_it_is_closed() {
    let mut shard = shard(attempts(3), 40);
    shard.run_until(40_000, down);
    shard.redrive(9, "a");
    let calls = shard.run_until(HOUR, down);
    assert!(calls.iter().all(|(_, records)| records[0] != 1_009));
    let calls = shard.run_until(2 * HOUR, well);
    assert!(calls.iter().any(|(_, records)| records[0] == 1_009));
}

#[test]
fn it_drains_at_once() {
    let mut shard = shard(attempts(3), 40);
    shard.run_until(40_000, down);
    let until = Timestamp(50_000);
    shard.tell(Event::Drain { until });
    shard.expect(&["stop Drained"]);
}

#[test]
fn charges_that_are_taken_back_leave_no_mark() {
    let mut shard = shard(attempts(1), 30);
    shard.forget();
    shard.end_with(1, down(&[0; 30]));
    shard.run_until(0, well);
    let marked = |line: &String| line.contains(":1");
    assert!(!shard.commits.iter().any(marked), "{:?}", shard.commits);
}

#[test]
fn without_a_breaker_records_are_given_up_as_ever() {
    let settings = MappingSettings {
        circuit_breaker: false,
        ..attempts(3)
    };
    let mut shard = shard(settings, 40);
    shard.run_until(HOUR, down);
    assert_eq!(totals(&shard), [0, 40, 120]);
}

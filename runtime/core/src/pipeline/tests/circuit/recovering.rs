//! How a circuit recovers: what is called, what it costs, and when it closes.

use std::collections::BTreeMap;

use super::{
    HOUR, attempts, down, down_as_a_whole, failure, poison, returned, shard, times_out, totals,
    well,
};
use crate::{
    breaker::Open,
    id::{Ordinal, Timestamp},
    limits,
    mapping::{MappingSettings, Ordering},
    outcome::{FailureKind::Retry, Outcome},
    pipeline::{Event, tests::harness::Harness},
};

const MINUTE: u64 = 60_000;

/// One more record of the first key, which is read at once.
fn one_more_of_the_first_key(shard: &mut Harness, position: u64) {
    shard.tail(position);
    shard.fetched_many(Ordinal(position - 1), 1);
}

fn is_recovering(shard: &Harness) -> bool {
    let open = shard.stats().circuit;
    open.is_some_and(|open| open.is_recovering())
}

/// All keys are down but the first: [`shard`] has its record 1, and all behind `records`.
fn but_the_first(records: u64, guest: fn(&[u64]) -> Outcome) -> impl FnMut(&[u64]) -> Outcome {
    move |called| {
        let is_well = |at: u64| at == 1 || at > records;
        if called.iter().all(|&at| is_well(at)) {
            return well(called);
        }
        match guest(called) {
            Outcome::Returned { .. } => {
                let failed = called.iter().enumerate().filter(|(_, at)| !is_well(**at));
                returned(failed.map(|(index, _)| index).collect::<Vec<_>>())
            }
            whole => whole,
        }
    }
}

#[test]
fn an_outage_that_one_key_does_not_feel_gives_nobody_up() {
    const KEYS: u64 = 60;
    let whole = MappingSettings {
        bisect_on_error: true,
        ..attempts(3)
    };
    for (name, settings, guest) in [
        ("three", attempts(3), down as fn(&[u64]) -> Outcome),
        ("one attempt", attempts(1), down),
        ("as a whole", whole.clone(), down_as_a_whole),
        ("timeouts", whole, times_out),
    ] {
        for (factor, batch_size) in [(1, 100), (1, 20), (4, 10), (4, 100)] {
            let settings = MappingSettings {
                parallelization_factor: factor,
                batch_size,
                ..settings.clone()
            };
            let mut shard = shard(settings, KEYS);
            let mut last = KEYS;
            let mut opened = None;
            for now in (0..10 * MINUTE).step_by(5_000) {
                last += 1;
                shard.at(now);
                one_more_of_the_first_key(&mut shard, last);
                shard.run_until(now + 4_999, but_the_first(KEYS, guest));
                opened.get_or_insert_with(|| totals(&shard));
            }
            let case = format!("{name}, {factor} lanes, batches of {batch_size}");
            let [processed, given_up, failed] = totals(&shard);
            let opened = opened.expect("time passed");
            // With one attempt fifteen keys may be gone until it is sure.
            let lost = if name == "one attempt" { 15 } else { 0 };
            assert!(opened[1] <= lost, "{case}: {}", opened[1]);
            assert_eq!(given_up, opened[1], "{case}");
            assert!(shard.stats().circuit.is_some(), "{case}");
            // None of the key that is well waits.
            assert!(processed > last - KEYS, "{case}: {processed}");
            // At most one a pause of the longest.
            let most = 10 * MINUTE / limits::CIRCUIT_PROBE_MS_MAX;
            let since = failed - opened[2];
            assert!(since <= most, "{case}: {since}");
            shard.at(10 * MINUTE).run_until(2 * HOUR, well);
            assert_eq!(totals(&shard)[..2], [last - given_up, given_up], "{case}");
            assert_eq!((shard.stats().circuit, shard.circuit_opens()), (None, 1));
        }
    }
}

/// Thirty keys of which all but the first are down, and the circuit recovers since `MINUTE`.
/// Sixty keys are down; good records of as many others come every five seconds.
fn among_good_ones(minutes: u64) -> Harness {
    let mut shard = shard(attempts(3), 60);
    shard.run_until(30_000, down);
    assert_eq!(totals(&shard)[..2], [0, 0]);
    shard.first_of_many = 2_000;
    let mut last = 60;
    for now in (30_000..minutes * MINUTE).step_by(5_000) {
        shard.at(now).tail(last + 60);
        shard.fetched_many(Ordinal(last), 60);
        last += 60;
        shard.run_until(now + 4_999, but_the_first(60, down));
        let processed = totals(&shard)[0];
        // The first of them are probed; then none waits.
        assert!(now < 40_000 || processed >= last - 60, "{now}: {processed}");
    }
    shard
}

#[test]
fn many_others_that_are_well_give_nobody_up_for_ten_minutes() {
    let mut shard = among_good_ones(10);
    assert_eq!(totals(&shard)[1], 0);
    assert!(is_recovering(&shard));
    shard.at(10 * MINUTE).run_until(HOUR, well);
    assert_eq!(totals(&shard)[1], 0);
    assert_eq!((shard.stats().circuit, shard.circuit_opens()), (None, 1));
    // Then it is taken for poison.
    let shard = among_good_ones(12);
    assert!(totals(&shard)[1] > 50);
    assert_eq!(shard.stats().circuit, None);
}

fn recovering(settings: MappingSettings) -> Harness {
    let mut shard = shard(settings, 30);
    shard.run_until(MINUTE - 1, down);
    shard.at(MINUTE);
    one_more_of_the_first_key(&mut shard, 31);
    // The first key waits behind its own record that failed: that is probed in its turn.
    shard.tell(Event::Release {
        positions: vec![Ordinal(1)],
    });
    shard.run_until(MINUTE, but_the_first(30, down));
    assert!(is_recovering(&shard));
    shard
}

#[test]
fn what_was_not_tried_is_called_in_whole_batches_by_all_lanes_and_costs_nothing() {
    let lanes = MappingSettings {
        parallelization_factor: 2,
        batch_size: 30,
        ..attempts(3)
    };
    let mut shard = recovering(lanes);
    let before = totals(&shard);
    shard.keys_of_many = 1_000_000;
    shard.tail(131);
    shard.forget();
    shard.at(MINUTE + 100).fetched_many(Ordinal(31), 100);
    // Records 32 and on are of the first hundred keys: those that wait, and seventy new ones.
    assert_eq!(shard.stats().running_calls, 2);
    // Half are well: nobody can tell.
    let half = |records: &[u64]| {
        let failed = records.iter().enumerate().filter(|(_, at)| **at % 4 < 2);
        returned(failed.map(|(index, _)| index).collect::<Vec<_>>())
    };
    let lines = shard.lines();
    let calls: Vec<&String> = lines.iter().filter(|line| line.contains("call ")).collect();
    assert_eq!(calls.len(), 2, "{lines:?}");
    for line in calls {
        let words: Vec<&str> = line.split(' ').collect();
        let records: Vec<u64> = words[3..].iter().filter_map(|at| at.parse().ok()).collect();
        assert!(records.len() > 20, "{line}");
        shard.end_with(words[1].parse().unwrap(), half(&records));
    }
    shard.run_until(MINUTE + 150, half);
    assert!(is_recovering(&shard));
    let [processed, given_up, failed] = totals(&shard);
    assert!(processed > before[0] + 30, "{processed}");
    assert_eq!([given_up, failed], before[1..]);
}

#[test]
fn it_holds_calls_again_where_the_lanes_have_nothing_but_failures() {
    let small = MappingSettings {
        batch_size: 2,
        ..attempts(3)
    };
    for guest in [down as fn(&[u64]) -> Outcome, down_as_a_whole, times_out] {
        let mut shard = recovering(small.clone());
        let before = totals(&shard);
        shard.keys_of_many = 1_000_000;
        shard.tail(1_031);
        shard.forget();
        shard.at(MINUTE + 100).fetched_many(Ordinal(31), 1_000);
        let calls = shard.run_until(MINUTE + 200, guest);
        let of_lanes = calls.iter().filter(|(_, records)| records.len() > 1);
        assert_eq!(of_lanes.count(), limits::CIRCUIT_LANES_SICK as usize);
        assert!(shard.stats().circuit.is_some() && !is_recovering(&shard));
        let calls = shard.run_until(2 * MINUTE, guest);
        assert!(calls.len() < 30, "{} probes", calls.len());
        assert!(calls.iter().all(|(_, records)| records.len() == 1));
        assert_eq!(totals(&shard), before, "nobody is charged");
        shard.run_until(u64::MAX, well);
        assert_eq!(totals(&shard)[..2], [1_031, 0]);
    }
}

#[test]
fn a_call_that_began_while_it_recovered_is_no_probe_of_what_holds_calls_again() {
    let lanes = MappingSettings {
        parallelization_factor: 2,
        batch_size: 20,
        ..attempts(3)
    };
    let mut shard = recovering(lanes);
    let before = totals(&shard);
    shard.keys_of_many = 1_000_000;
    shard.tail(131);
    shard.forget();
    shard.at(MINUTE + 100).fetched_many(Ordinal(31), 100);
    let first = shard.running().expect("both lanes call");
    shard.end_with(first, down(&[0; 20]));
    assert!(!is_recovering(&shard), "sixteen keys were sick");
    let held = shard.stats().circuit;
    let second = shard.running().expect("the other lane still does");
    shard.end_with(second, down(&[0; 20]));
    assert_eq!(shard.stats().circuit, held);
    shard.run_until(MINUTE + 200, down);
    assert_eq!(totals(&shard), before);
}

#[test]
fn it_closes_when_nothing_that_failed_waits_and_the_last_commit_says_so() {
    // Two keys alone failed before it opened by all that failed at once.
    let mut shard = shard(attempts(1), 20);
    let calls = shard.run_until(0, down);
    assert_eq!(calls.len(), 1);
    let keys: Vec<u64> = (3..=20).collect();
    shard.give_up(&keys);
    shard.run_until(400, down);
    assert_eq!(totals(&shard), [0, 18, 0]);
    let calls = shard.run_until(HOUR, well);
    assert_eq!(calls.len(), 2, "{calls:?}");
    // The second of them was the last that waited, not the fourth in a row.
    assert_eq!(totals(&shard)[0], 2);
    assert_eq!(shard.stats().circuit, None);
    assert!(shard.left.outages.is_none(), "the last commit tells");
}

#[test]
fn a_letter_that_is_well_closes_it_where_nothing_else_is_left() {
    for ordering in [Ordering::Key, Ordering::Shard] {
        let mut shard = shard(
            MappingSettings {
                ordering,
                ..attempts(1)
            },
            20,
        );
        shard.run_until(0, down);
        assert!(shard.stats().circuit.is_some());
        shard.give_up(&(1..=20).collect::<Vec<u64>>());
        shard.redrive(9, "a");
        let calls = shard.run_until(HOUR, well);
        assert_eq!(calls.len(), 1, "{ordering:?}: {calls:?}");
        assert_eq!(shard.stats().circuit, None, "{ordering:?}");
    }
}

#[test]
fn poison_that_is_left_is_given_up_once_pauses_are_at_their_longest() {
    let bad: Vec<u64> = (2..=21).collect();
    let mut shard = shard(attempts(2), 21);
    shard.run_until(MINUTE, poison(&bad));
    let opened = totals(&shard);
    shard.at(MINUTE);
    one_more_of_the_first_key(&mut shard, 22);
    let calls = shard.run_until(MINUTE + 60_999, poison(&bad));
    assert!(is_recovering(&shard), "{calls:?}");
    assert_eq!(totals(&shard)[1..], opened[1..], "all pauses grow first");
    let mut last = totals(&shard);
    let mut given_up_after = None;
    for _ in 0..120 {
        let now = shard.now();
        shard.run_until(now + limits::CIRCUIT_PROBE_MS_MAX, poison(&bad));
        shard.at(now + limits::CIRCUIT_PROBE_MS_MAX);
        let next = totals(&shard);
        assert!(next[2] - last[2] <= 2, "{last:?} {next:?}");
        last = next;
        if next[1] > 0 && given_up_after.is_none() {
            given_up_after = Some(shard.now() - MINUTE);
        }
    }
    // Each was probed so often, and all others in between.
    let rounds = u64::from(limits::CIRCUIT_LONG_PROBES_MIN) - 1;
    let least = rounds * 20 * limits::CIRCUIT_PROBE_MS_MAX;
    assert!(given_up_after >= Some(least), "{given_up_after:?}");
    assert_eq!(totals(&shard)[..2], [2, 20]);
    assert_eq!(shard.stats().circuit, None);
}

#[test]
fn what_a_person_has_tried_costs_nothing_while_it_recovers() {
    // So many that the circuit opens long before any has its last one.
    let mut shard = recovering(attempts(99));
    shard.run_until(5 * MINUTE, but_the_first(30, down));
    let open = shard.stats().circuit.expect("it is open");
    assert!(open.is_recovering() && open.is_long());
    let before = totals(&shard);
    for position in 2..=30 {
        shard.at(shard.now() + 10).tell(Event::Release {
            positions: vec![Ordinal(position)],
        });
        let calls = shard.run_until(shard.now(), but_the_first(30, down));
        assert_eq!(calls, [(shard.now(), vec![position])]);
    }
    assert_eq!(totals(&shard), before);
    // What nobody asked for does, once its backoff is over too.
    let until = shard.now() + 4 * limits::CIRCUIT_PROBE_MS_MAX;
    let calls = shard.run_until(until, but_the_first(30, down));
    let charged = totals(&shard)[2] - before[2];
    assert!((1..=calls.len() as u64).contains(&charged), "{calls:?}");
}

/// What an owner before left open.
fn left_open(records: u64, settings: MappingSettings) -> Harness {
    let mut last = shard(settings.clone(), records);
    last.run_until(20_000, down);
    assert!(last.stats().circuit.is_some());
    let mut next = Harness::started(settings, last.left.clone());
    next.keys_of_many = records;
    next.tail(records);
    next.forget();
    next.fetched_many(Ordinal(0), records);
    next
}

#[test]
fn an_owner_that_begins_with_it_holds_calls_and_takes_all_that_waits_for_tried() {
    // Nobody was charged: the next owner does not know what failed.
    let mut shard = left_open(20, attempts(1));
    let open = shard.stats().circuit.expect("it was left open");
    assert!(open.is_inherited && !open.is_recovering());
    let calls = shard.run_until(0, but_the_first(20, down));
    assert!(calls.len() > 1, "the first key is well");
    let open = shard.stats().circuit;
    assert!(open.is_some(), "nineteen keys wait that are sick");
    assert_eq!(totals(&shard), [1, 0, 0]);
    shard.run_until(10 * MINUTE, well);
    assert_eq!(totals(&shard), [20, 0, 0]);
    assert_eq!(shard.stats().circuit, None);
}

#[test]
fn groups_with_windows_go_on_that_did_not_fail_and_the_others_one_by_one() {
    let settings = MappingSettings {
        tumbling_window_ms: 900_000,
        key_groups: 64,
        parallelization_factor: 2,
        ..attempts(3)
    };
    let mut shard = shard(settings, 60);
    let mut last = 60;
    let mut before = 0;
    for now in (0..60 * MINUTE).step_by(5_000) {
        last += 1;
        shard.at(now);
        one_more_of_the_first_key(&mut shard, last);
        shard.run_until(now + 4_999, but_the_first(60, down));
        if !is_recovering(&shard) {
            before = last;
        }
    }
    let [processed, given_up, failed] = totals(&shard);
    assert_eq!(given_up, 0);
    assert!(is_recovering(&shard));
    // One probe in half a minute, each of another group.
    assert!(before < 60 + 60 * 7, "it is found out in time: {before}");
    assert_eq!(processed, 1 + last - 60, "the first group goes on");
    assert!(failed < 60 * 2 + 120, "{failed}");
    shard.at(60 * MINUTE).run_until(3 * HOUR, well);
    assert_eq!(totals(&shard)[..2], [last, 0]);
    assert_eq!(shard.stats().circuit, None);
}

#[test]
fn windows_that_cannot_be_closed_are_tried_one_by_one_and_lose_no_state() {
    let settings = MappingSettings {
        tumbling_window_ms: 1_000,
        key_groups: 64,
        ..attempts(3)
    };
    let mut shard = shard(settings, 60);
    shard.run_until(500, well);
    shard.at(5_000);
    let mut last = 60;
    // Records are well; calls that end windows are not.
    let mut closes: BTreeMap<u64, u32> = BTreeMap::new();
    for now in (5_000..5 * MINUTE).step_by(5_000) {
        last += 1;
        shard.at(now);
        one_more_of_the_first_key(&mut shard, last);
        for (at, records) in shard.run_until(now + 4_999, |records| match records.is_empty() {
            true => Outcome::Error(failure(Retry)),
            false => well(records),
        }) {
            if records.is_empty() {
                *closes.entry(at / 1_000).or_default() += 1;
            }
        }
    }
    let late = closes.iter().filter(|(at, _)| **at > 60);
    assert!(late.clone().all(|(_, calls)| *calls <= 2), "{closes:?}");
    let lost = shard.commits.iter().filter(|line| line.contains(" lost "));
    let lost = lost.count();
    shard.at(5 * MINUTE).run_until(2 * HOUR, well);
    assert_eq!(totals(&shard)[..2], [last, 0]);
    assert_eq!(lost, 0);
    assert_eq!(shard.stats().circuit, None);
}

#[test]
fn a_probe_that_hangs_holds_no_probe_of_what_was_not_tried() {
    let mut shard = shard(attempts(3), 30);
    shard.run_until(40_000, down);
    let due = shard.stats().circuit.expect("it is open").next_probe;
    shard.forget();
    shard.at(due.0).tick();
    assert!(shard.running().is_some(), "what failed is probed");
    shard.keys_of_many = 1_000_000;
    shard.tail(131);
    shard.forget();
    shard.fetched_many(Ordinal(30), 101);
    assert_eq!(shard.stats().running_calls, 2);
}

#[test]
fn what_is_told_of_it_is_what_is_called_next() {
    let open: Open = recovering(attempts(3)).stats().circuit.expect("it is open");
    assert_eq!(open.recovering_since(), Some(Timestamp(MINUTE)));
    assert_eq!(open.next_at_latest(), open.next_probe);
}

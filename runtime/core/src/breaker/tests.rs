mod recovering;

use super::*;
use crate::commit::ErrorKind;

fn cause() -> Cause {
    Cause::of(ErrorKind::Error, "down".into())
}

fn sick(keys: impl IntoIterator<Item = u64>) -> Sign {
    Sign::Sick {
        keys: keys.into_iter().map(KeyHash).collect(),
        cause: cause(),
    }
}

const fn well(records: u64) -> Sign {
    Sign::Well { records }
}

const SICK_CALLS: u64 = limits::CIRCUIT_SICK_CALLS as u64;
const SICK_KEYS: u64 = limits::CIRCUIT_SICK_KEYS as u64;

/// Whether calls of these signs, none of which gives a record up, open a circuit.
fn opens(signs: impl IntoIterator<Item = Sign>) -> bool {
    let mut breaker = Breaker::default();
    for sign in signs {
        breaker.called(sign, false, Timestamp(7));
    }
    breaker.open().is_some()
}

/// One that opened at 7.
fn open() -> Breaker {
    let mut breaker = Breaker::default();
    breaker.called(sick(0..SICK_KEYS), true, Timestamp(7));
    assert!(breaker.open().is_some());
    breaker
}

#[test]
fn it_opens_at_its_bounds_and_not_below() {
    let singles = |calls: u64| (0..calls).map(|key| sick([key]));
    assert!(opens(singles(SICK_CALLS)));
    assert!(!opens(singles(SICK_CALLS - 1)), "calls");
    // A batch fails, then its keys, one after the other.
    let batch = |keys: u64, retries: u64| {
        let retries = (0..retries).map(|_| sick([]));
        std::iter::once(sick(0..keys)).chain(retries)
    };
    assert!(opens(batch(SICK_KEYS, SICK_CALLS - 1)));
    assert!(!opens(batch(SICK_KEYS, SICK_CALLS - 2)), "calls");
    assert!(!opens(batch(SICK_KEYS - 1, 1_000)), "keys");
}

#[test]
fn of_the_last_calls_a_fifth_may_be_well() {
    let down = |calls: u64| (0..calls).map(|at| sick(at * 20..at * 20 + 20));
    let fifth = (0..5).flat_map(|_| down(4).chain([well(1)]));
    assert!(opens(fifth));
    let fourth = (0..50).flat_map(|_| down(3).chain([well(1)]));
    assert!(!opens(fourth));
}

#[test]
fn a_few_poison_keys_never_open_it() {
    // All of their records fail, and nothing else is called any more.
    for keys in [1, 2, SICK_KEYS - 1] {
        assert!(!opens((0..10_000).map(|at| sick([at % keys]))), "{keys}");
    }
}

#[test]
fn retries_of_many_bad_records_never_open_it() {
    // A hundred bad records among ten thousand good ones, in batches: then they alone are retried.
    let batches = (0..100).map(|_| well(99));
    let retries = (0..10_000).map(|_| sick([]));
    assert!(!opens(batches.chain(retries)));
    // One by one, a tenth of them bad.
    let singles = (0..10_000).map(|at| match at % 10 == 0 {
        true => sick([at]),
        false => well(1),
    });
    assert!(!opens(singles.chain((0..10_000).map(|_| sick([])))));
}

#[test]
fn what_was_well_since_outweighs_what_was_sick_before() {
    let outage = || std::iter::once(sick(0..100));
    let since = |records: u64| {
        outage()
            .chain([well(records)])
            .chain((0..100).map(|_| sick([])))
    };
    assert!(opens(since(4)));
    assert!(!opens(since(5)));
}

#[test]
fn with_enough_keys_it_opens_rather_than_that_records_are_given_up() {
    for (keys, is_open) in [(SICK_KEYS - 1, false), (SICK_KEYS, true)] {
        let mut breaker = Breaker::default();
        breaker.called(sick(0..keys), true, Timestamp(7));
        assert_eq!(breaker.open().is_some(), is_open, "{keys}");
        assert_eq!(breaker.opens(), u64::from(is_open));
    }
    assert!(!opens([sick(0..1_000)]), "no record is given up yet");
}

#[test]
fn what_failed_long_ago_tells_nothing_of_now() {
    let second = |gap: u64| {
        let mut breaker = Breaker::default();
        breaker.called(sick(0..SICK_KEYS - 1), true, Timestamp(7));
        breaker.called(sick(100..100 + SICK_KEYS - 1), true, Timestamp(7 + gap));
        breaker.open().is_some()
    };
    assert!(second(limits::CIRCUIT_WITNESS_MS - 1));
    assert!(!second(limits::CIRCUIT_WITNESS_MS));
    // A key that fails again is not seen anew: it was chosen by that.
    let mut breaker = Breaker::default();
    for at in [0, limits::CIRCUIT_WITNESS_MS / 2] {
        breaker.called(sick(0..SICK_KEYS - 1), true, Timestamp(at));
    }
    let later = Timestamp(limits::CIRCUIT_WITNESS_MS);
    breaker.called(sick([100]), true, later);
    assert!(breaker.open().is_none());
}

#[test]
fn what_was_seen_by_a_clock_that_was_ahead_is_forgotten_in_time() {
    let mut breaker = Breaker::default();
    breaker.called(sick(0..SICK_KEYS - 1), true, Timestamp(1_000_000_000));
    breaker.clock_went_back(Timestamp(0));
    let later = Timestamp(limits::CIRCUIT_WITNESS_MS);
    breaker.called(sick([100]), true, later);
    assert!(breaker.open().is_none());
}

#[test]
fn what_says_nothing_counts_for_nothing() {
    let signs = (0..SICK_CALLS).flat_map(|key| [sick([key]), Sign::None, Sign::None]);
    assert!(opens(signs));
    assert!(!opens((0..1_000).map(|_| Sign::None)));
}

#[test]
fn pauses_double_up_to_their_bound() {
    let mut breaker = open();
    let mut pauses = vec![breaker.open().unwrap().next_probe.0 - 7];
    for at in 1..=8 {
        assert_eq!(
            breaker.open().unwrap().is_long(),
            at > limits::CIRCUIT_PROBES_TO_MAX
        );
        breaker.probed(Probe::Tried, sick([]), Timestamp(100));
        let open = breaker.open().unwrap();
        assert_eq!((open.since, open.probes), (Timestamp(7), at));
        pauses.push(open.next_probe.0 - 100);
    }
    let doubled = [
        500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ];
    assert_eq!(pauses, doubled);
}

#[test]
fn a_record_that_was_not_tried_waits_for_no_probe_of_what_failed() {
    let mut breaker = open();
    for at in 1..=6 {
        breaker.probed(Probe::Tried, sick([]), Timestamp(at * 100));
    }
    let told = |breaker: &Breaker| {
        let open = breaker.open().unwrap();
        let next = [Probe::Untried, Probe::Tried].map(|probe| open.next(probe).0);
        (next, open.next_at_latest().0, open.probes_failed)
    };
    assert_eq!(told(&breaker), ([507, 30_600], 30_600, 6));
    breaker.probed(Probe::Untried, sick([]), Timestamp(600));
    assert_eq!(told(&breaker), ([1_600, 30_600], 30_600, 7));
    breaker.probe_now(Timestamp(700));
    assert_eq!(told(&breaker), ([700, 700], 700, 7));
}

#[test]
fn when_it_closes_counting_begins_anew() {
    let mut breaker = open();
    breaker.close();
    assert!(breaker.open().is_none());
    for key in 0..SICK_CALLS - 1 {
        breaker.called(sick([key]), false, Timestamp(700));
    }
    assert!(breaker.open().is_none());
    breaker.called(sick([1_000]), false, Timestamp(700));
    assert_eq!(breaker.open().unwrap().since, Timestamp(700));
    assert_eq!(breaker.opens(), 2);
}

#[test]
fn a_probe_that_says_nothing_changes_nothing_and_neither_do_late_calls() {
    let mut breaker = open();
    let before = breaker.open().cloned();
    breaker.probed(Probe::Tried, Sign::None, Timestamp(600));
    breaker.called(well(100), false, Timestamp(600));
    breaker.called(sick(0..100), true, Timestamp(600));
    assert_eq!(breaker.open().cloned(), before);
}

#[test]
fn a_probe_can_be_asked_for() {
    let mut breaker = open();
    breaker.probe_now(Timestamp(20));
    assert_eq!(breaker.open().unwrap().next_probe, Timestamp(20));
    breaker.probe_now(Timestamp(30));
    assert_eq!(breaker.open().unwrap().next_probe, Timestamp(20));
}

#[test]
fn a_clock_that_goes_back_makes_no_wait_longer() {
    let mut breaker = Breaker::default();
    breaker.called(sick(0..SICK_KEYS), true, Timestamp(1_000_000));
    breaker.clock_went_back(Timestamp(0));
    let latest = Timestamp(limits::CIRCUIT_PROBE_MS_MAX);
    let open = breaker.open().unwrap();
    let untried = Timestamp(limits::CIRCUIT_UNTRIED_MS_MAX);
    assert_eq!((open.next_probe, open.next_untried), (latest, untried));
}

use fnctl_core::canary::{CanaryCounts, Guard, Permille, VersionCalls};

use super::*;

fn watched(canary: u64) -> WatchedCanary {
    WatchedCanary {
        function: FunctionId(1),
        live: FunctionVersion(1),
        canary: Canary {
            version: FunctionVersion(canary),
            weight: Permille::new(100).expect("a share"),
            since: Timestamp(0),
            guard: Guard::default(),
        },
    }
}

fn ended(canaries: &Canaries, of: u64, version: u64, outcome: &Outcome, times: usize) {
    for _ in 0..times {
        canaries.ended(
            &watched(of),
            FunctionVersion(version),
            outcome,
            Timestamp(1),
        );
    }
}

fn totals(canaries: &Canaries) -> CanaryCounts {
    let all = canaries.lock();
    all[&FunctionId(1)].watch.totals()
}

const TIMED_OUT: Outcome = Outcome::Timeout { after_ms: 1 };

#[test]
fn calls_that_say_nothing_of_the_two_versions_are_not_counted() {
    let canaries = Canaries::default();
    ended(&canaries, 2, 2, &TIMED_OUT, 3);
    ended(&canaries, 2, 1, &TIMED_OUT, 4);
    // Taken back; and a letter that was given to a third version.
    ended(&canaries, 2, 2, &Outcome::Interrupted, 50);
    ended(&canaries, 2, 7, &TIMED_OUT, 50);
    let calls = |calls| VersionCalls {
        calls,
        failures: calls,
    };
    let counts = totals(&canaries);
    assert_eq!((counts.canary, counts.live), (calls(3), calls(4)));
}

#[test]
fn another_canary_is_counted_from_nothing_and_what_comes_late_of_the_one_before_is_dropped() {
    let canaries = Canaries::default();
    ended(&canaries, 2, 2, &TIMED_OUT, 19);
    ended(&canaries, 3, 3, &TIMED_OUT, 1);
    ended(&canaries, 2, 2, &TIMED_OUT, 19);
    assert_eq!(totals(&canaries).canary.calls, 1);
    assert_eq!(canaries.found(FunctionId(1), FunctionVersion(3)), None);
}

#[test]
fn what_the_guard_found_stays_until_the_canary_is_gone() {
    let canaries = Canaries::default();
    ended(&canaries, 2, 2, &TIMED_OUT, 40);
    for _ in 0..2 {
        let found = canaries.found(FunctionId(1), FunctionVersion(2));
        assert_eq!(found.map(|found| found.reason), Some(GuardReason::Errors));
    }
    assert_eq!(canaries.found(FunctionId(1), FunctionVersion(3)), None);
    canaries.retain(|_, _| false);
    assert_eq!(canaries.found(FunctionId(1), FunctionVersion(2)), None);
}

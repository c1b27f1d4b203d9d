//! How often a record is called (Lambda ESM specification §7 and §8, §22 row Retry). Ours counts calls,
//! Lambda the retries behind the first one: its `n` is our `n + 1`, its 0 our 1, its -1 `unlimited`.

use super::harness::{Harness, TAKEN, settings};
use crate::{
    commit::CommitAnswer,
    mapping::{MappingSettings, MaxAttempts, Ordering},
    outcome::{Failure, FailureKind, FailureKind::Retry, ItemFailure, Outcome},
    pipeline::StopReason,
};

fn at_once(max_attempts: MaxAttempts) -> MappingSettings {
    MappingSettings {
        max_attempts,
        backoff_initial_ms: 0,
        ..settings()
    }
}

fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        retry_after_ms: None,
        code: "code".into(),
        message: "words".into(),
    }
}

/// Every way to fail that is worth another call.
fn ways() -> [(&'static str, Outcome); 6] {
    let trap = |record| Outcome::Trap {
        record,
        message: "panicked".into(),
    };
    let item = ItemFailure {
        index: 0,
        failure: failure(Retry),
    };
    [
        (
            "a record",
            Outcome::Returned {
                rows: Vec::new(),
                failures: vec![item],
            },
        ),
        ("the call", Outcome::Error(failure(Retry))),
        ("a panic", trap(Some(0))),
        ("a trap", trap(None)),
        ("time", Outcome::Timeout { after_ms: 1 }),
        ("memory", Outcome::OutOfMemory { limit_bytes: 1 }),
    ]
}

#[test]
fn so_many_attempts_are_so_many_calls_whatever_fails() {
    for attempts in 1..=4 {
        for ordering in [Ordering::Key, Ordering::Shard] {
            for (what, outcome) in ways() {
                let mut shard = Harness::new(MappingSettings {
                    ordering,
                    ..at_once(MaxAttempts::Count(attempts))
                });
                shard.put("a");
                let calls = shard.run_all(|_| outcome.clone());
                let row = format!("{what}, {attempts} attempts, {ordering:?}");
                assert_eq!(calls.len(), attempts as usize, "{row}");
                let totals = shard.stats().totals;
                assert_eq!(
                    (totals.failed, totals.dead_lettered, totals.processed),
                    (u64::from(attempts), 1, 0),
                    "{row}"
                );
            }
        }
    }
}

/// Lambda's throttles and service errors: between charged attempts, too.
#[test]
fn calls_that_were_not_made_cost_no_attempt() {
    let mut shard = Harness::new(MappingSettings {
        backoff_initial_ms: 1,
        ..at_once(MaxAttempts::Count(2))
    });
    shard.put("a");
    let mut made = Vec::new();
    for is_made in [false, false, true, false, true] {
        let attempt = loop {
            match shard.running() {
                Some(attempt) => break attempt,
                None => {
                    let due = shard.deadline().expect("it is called again");
                    shard.at(due.max(shard.now() + 1)).tick();
                }
            }
        };
        shard.forget();
        if is_made {
            shard.fail(attempt, &[(0, Retry)]);
            let slot = ["lane0", "retry"][made.len()];
            shard.answer(slot, 1, TAKEN);
            made.extend(shard.lines().first().cloned());
        } else {
            shard.host_fault(attempt);
        }
    }
    assert_eq!(
        made,
        [
            "commit lane0#1 marks 1:1",
            "commit retry#1 settles 0-1 letters 1:error:2"
        ]
    );
}

/// Lambda's -1. What takes such a record in the end is retention, which fences the owner.
#[test]
fn without_a_bound_a_record_is_called_until_retention_takes_it() {
    let mut shard = Harness::new(at_once(MaxAttempts::Unlimited));
    shard.put("a");
    for number in 1..=1_000 {
        let attempt = shard.running().expect("it is called again");
        shard.fail(attempt, &[(0, Retry)]);
        let (slot, number) = match number {
            1 => ("lane0", 1),
            n => ("retry", n - 1),
        };
        shard.answer(slot, number, TAKEN);
        shard.durable(slot, number);
    }
    let totals = shard.stats().totals;
    assert_eq!((totals.failed, totals.dead_lettered), (1_000, 0));
    let attempt = shard.running().expect("it is called again");
    shard.forget();
    shard.fail(attempt, &[(0, Retry)]);
    shard.answer("retry", 1_000, CommitAnswer::Fenced);
    let stop = format!("stop {:?}", StopReason::Fenced);
    assert_eq!(shard.lines().last(), Some(&stop));
}

/// "Both limits set: whichever comes first discards."
#[test]
fn of_attempts_and_age_the_first_to_end_gives_the_record_up() {
    for (max_age, expected) in [
        (1_000, "commit retry#1 settles 0-1 letters 1:error:2"),
        (50, "commit retry#1 settles 0-1 letters 1:record-too-old:1"),
    ] {
        let mut shard = Harness::new(MappingSettings {
            max_record_age_ms: Some(max_age),
            ..at_once(MaxAttempts::Count(2))
        });
        shard.put("a");
        shard.forget();
        shard.at(60);
        shard.fail(1, &[(0, Retry)]);
        shard.answer("lane0", 1, TAKEN);
        shard.durable("lane0", 1);
        if let Some(attempt) = shard.running() {
            shard.fail(attempt, &[(0, Retry)]);
        }
        let lines = shard.lines();
        assert!(lines.iter().any(|line| line == expected), "{lines:?}");
    }
}

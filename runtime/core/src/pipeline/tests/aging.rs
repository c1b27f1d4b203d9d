//! Record age (Lambda ESM specification §8, §20 row 3, §22 row Retry).

use super::harness::{FULL, Harness, TAKEN, settings};
use crate::{
    mapping::{MappingSettings, MaxAttempts},
    outcome::FailureKind::Retry,
    pipeline::Event,
};

fn aging(max_record_age_ms: u64) -> MappingSettings {
    MappingSettings {
        max_record_age_ms: Some(max_record_age_ms),
        ..settings()
    }
}

/// "Age limit applies before the first call": nothing is invoked.
#[test]
fn a_record_that_is_too_old_before_its_first_call_is_never_called() {
    let mut shard = Harness::new(MappingSettings {
        batch_window_ms: 50,
        ..aging(49)
    });
    shard.put("a");
    shard.at(50).tick();
    shard.expect(&["commit lane0#1 settles 0-1 letters 1:record-too-old:0"]);
    shard.answer("lane0", 1, TAKEN);
    assert_eq!(shard.stats().totals.dead_lettered, 1);
    assert_eq!(shard.stats().totals.failed, 0, "no attempt was charged");
}

/// "Age **splits** a batch: 1 expired + 5 fresh records".
#[test]
fn the_expired_record_of_a_batch_ends_alone_and_the_others_are_delivered() {
    let mut shard = Harness::new(MappingSettings {
        batch_window_ms: 100,
        ..aging(60)
    });
    shard.put("a");
    shard.at(50).put("b a c a b");
    shard.at(100).tick();
    shard.expect(&["commit lane0#1 settles 0-1 letters 1:record-too-old:0"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["release 1", "call 1 lane0: 2 3 4 5 6 fresh"]);
}

#[test]
fn a_record_is_too_old_only_above_the_bound() {
    let mut shard = Harness::new(MappingSettings {
        batch_window_ms: 100,
        ..aging(100)
    });
    shard.put("a");
    shard.at(100).tick();
    shard.expect(&["call 1 lane0: 1"]);
}

/// "Both limits set: whichever comes first discards": the wait for a retry ends with the age.
#[test]
fn a_parked_record_is_given_up_when_it_grows_too_old_and_its_key_goes_on() {
    let mut shard = Harness::new(MappingSettings {
        max_attempts: MaxAttempts::Unlimited,
        backoff_initial_ms: 10_000,
        backoff_max_ms: 10_000,
        ..aging(300)
    });
    shard.put("a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.at(200).put("a");
    shard.forget();
    assert!(shard.deadline().unwrap() <= 301);
    shard.at(301).tick();
    if shard.running().is_some() {
        // Its jitter was shorter: the attempt was made before, and the next one is not.
        shard.fail(2, &[(0, Retry)]);
    }
    shard.expect(&["commit retry#1 settles 0-1 letters 1:record-too-old:1"]);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["release 1", "call 2 lane0: 2"]);
}

/// Class A failures cost no attempt, and the age limit applies to them (§7, §8).
#[test]
fn a_call_that_the_host_cannot_make_ends_with_the_records_age() {
    let mut shard = Harness::new(aging(5_000));
    shard.put("a");
    let mut calls = 0;
    while let Some(attempt) = shard.running() {
        calls += 1;
        shard.host_fault(attempt);
        if let Some(deadline) = shard.deadline() {
            shard.at(deadline).tick();
        }
    }
    assert!(calls > 5, "{calls}");
    let last = shard.lines().pop();
    let expected = "commit lane0#1 settles 0-1 letters 1:record-too-old:0";
    assert_eq!(last.as_deref(), Some(expected));
    assert!((5_001..=6_001).contains(&shard.now()), "{}", shard.now());
}

#[test]
fn a_clock_that_goes_back_makes_nothing_younger() {
    let mut shard = Harness::new(MappingSettings {
        batch_window_ms: 100,
        ..aging(50)
    });
    shard.at(1_000_000).put("a");
    shard.at(1_000_060).tick();
    shard.at(1_000_000).tick();
    shard.at(1_000_100).tick();
    shard.expect(&["commit lane0#1 settles 0-1 letters 1:record-too-old:0"]);
}

#[test]
fn a_refused_letter_of_age_waits_and_is_sent_again() {
    let mut shard = Harness::new(MappingSettings {
        batch_window_ms: 50,
        ..aging(1)
    });
    shard.put("a");
    shard.at(50).tick();
    shard.answer("lane0", 1, FULL);
    shard.forget();
    let resend = shard.deadline().unwrap();
    shard.at(resend).tick();
    shard.expect(&["resend lane0#1 processed 0"]);
}

/// Under caution the age is asked before the mark: no turn is spent on it.
#[test]
fn with_caution_a_record_that_is_too_old_is_not_marked() {
    let mut shard = Harness::new(MappingSettings {
        batch_window_ms: 50,
        ..aging(1)
    });
    shard.tell(Event::Caution { is_on: true });
    shard.put("a");
    shard.at(50).tick();
    shard.expect(&["commit lane0#1 settles 0-1 letters 1:record-too-old:0"]);
}

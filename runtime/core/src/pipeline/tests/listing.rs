//! Which keys a person is told that wait, and that all of them can be tried and given up by hand.

use super::harness::{
    Harness, TAKEN,
    given::{charged, mark, parked, slow, waiting_ms},
};
use crate::{
    id::{Ordinal, Timestamp},
    lane::KeyHash,
    limits,
    mapping::{MappingSettings, MaxAttempts, Ordering},
    outcome::{Failure, FailureKind::Retry, ItemFailure, Outcome},
    pipeline::Event,
};

const HOUR: u64 = 3_600_000;

fn in_order(settings: MappingSettings) -> MappingSettings {
    MappingSettings {
        ordering: Ordering::Shard,
        ..settings
    }
}

fn failure() -> Failure {
    Failure {
        kind: Retry,
        retry_after_ms: None,
        code: "busy".into(),
        message: "it is down".into(),
    }
}

/// Every record fails by name.
fn down(records: &[u64]) -> Outcome {
    let count = u32::try_from(records.len()).unwrap();
    let failed = (0..count).map(|index| ItemFailure {
        index,
        failure: failure(),
    });
    Outcome::Returned {
        rows: Vec::new(),
        failures: failed.collect(),
    }
}

fn well(_: &[u64]) -> Outcome {
    Outcome::Returned {
        rows: Vec::new(),
        failures: Vec::new(),
    }
}

/// A shard of so many records, each of a key of its own, whose circuit opens.
fn outage(settings: MappingSettings, records: u64) -> Harness {
    let mut shard = Harness::new(settings);
    shard.keys_of_many = records;
    shard.tail(records);
    shard.forget();
    shard.fetched_many(Ordinal(0), records);
    shard.run_until(limits::CIRCUIT_PROBE_MS - 1, down);
    assert!(shard.stats().circuit.is_some());
    shard
}

fn attempts(count: u32) -> MappingSettings {
    MappingSettings {
        max_attempts: MaxAttempts::Count(count),
        batch_size: 30,
        ..slow()
    }
}

#[test]
fn what_waits_behind_a_charged_record_and_why_is_told_until_it_is_done() {
    let mut shard = parked(slow());
    shard.put("a");
    let due = shard.deadline().expect("it waits");
    assert_eq!(
        shard.waiting(),
        [format!("1:1 +2 retry {due} error code: words")]
    );
    shard.tell(Event::Release {
        positions: vec![Ordinal(1)],
    });
    shard.ok(2);
    shard.answer("retry", 1, TAKEN);
    assert_eq!(shard.waiting(), [""; 0]);
}

#[test]
fn within_the_shard_everything_waits_behind_a_charged_record() {
    let shard = parked(in_order(slow()));
    let due = shard.deadline().expect("it waits");
    assert_eq!(
        shard.waiting(),
        [format!("1:1 +2 retry {due} error code: words")]
    );
}

#[test]
fn a_key_is_found_by_its_hash_and_an_earlier_owners_charges_without_their_words() {
    let mut shard = Harness::started(slow(), charged(vec![mark(2, 3, 90_000)]));
    shard.tail(2);
    shard.forget();
    shard.fetched("b a");
    let of_a = KeyHash(0);
    let others = [KeyHash(77), KeyHash(78)];
    let count = |of: &[KeyHash]| shard.waiting_keys(Some(of), 9).count;
    assert_eq!(
        (count(&[of_a]), count(&others)),
        (1, 0),
        "{:?}",
        shard.waiting()
    );
    assert_eq!(shard.waiting(), ["2:3 +0 retry 90000"]);
}

#[test]
fn an_open_circuit_holds_keys_that_never_failed_and_they_are_told_behind_those_that_did() {
    let mut shard = outage(attempts(1), 40);
    let open = shard.stats().circuit.expect("it is open");
    let told = shard.waiting();
    assert_eq!(told.len(), 40);
    let probe = open.next_probe;
    for (at, line) in told.iter().enumerate() {
        let position = at + 1;
        match at < 30 {
            // Nobody is charged, though its one attempt was made.
            true => assert!(
                line.starts_with(&format!("{position}:0 +0 circuit-open "))
                    && line.ends_with(" error busy: it is down"),
                "{line}"
            ),
            false => assert_eq!(*line, format!("{position} +0 circuit-open {probe}")),
        }
    }
    let few = shard.waiting_keys(None, 7);
    assert_eq!((few.keys.len(), few.count, few.failed), (7, 40, 30));
    // Behind a probe that is under way nobody knows until when.
    shard.at(probe.0).tick();
    let told = shard.waiting();
    let last = told.last().expect("all others wait");
    assert_eq!(last, "40 +0 circuit-open -");
}

#[test]
fn what_an_open_circuit_holds_is_given_up_by_hand_like_all_else() {
    for settings in [attempts(1), in_order(attempts(1))] {
        let mut shard = outage(settings, 40);
        let mut rounds = 0;
        while shard.stats().totals.dead_lettered < 40 && rounds < 41 {
            shard.give_up_what_waits();
            shard.run_until(shard.now(), down);
            rounds += 1;
        }
        assert_eq!(shard.stats().totals.dead_lettered, 40);
        assert_eq!(shard.waiting(), [""; 0]);
    }
}

#[test]
fn with_order_within_the_shard_the_head_is_what_an_open_circuit_holds() {
    let shard = outage(in_order(attempts(1)), 40);
    let told = shard.waiting();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("1:0 +39 circuit-open "), "{told:?}");
}

#[test]
fn a_call_that_was_taken_back_is_told_and_its_pause_is_ended_by_hand() {
    for settings in [slow(), in_order(slow())] {
        for all in [false, true] {
            let mut shard = Harness::new(settings.clone());
            shard.put("a");
            while shard.deadline() <= Some(shard.now()) {
                let attempt = shard.running().expect("it is called");
                shard.forget();
                shard.host_fault(attempt);
            }
            let until = shard.deadline().expect("it pauses");
            assert_eq!(shard.waiting(), [format!("1 +0 throttled {until}")]);
            shard.tell(match all {
                true => Event::ReleaseAll,
                false => Event::Release {
                    positions: vec![Ordinal(1)],
                },
            });
            assert!(shard.running().is_some(), "it is called at once");
        }
    }
}

#[test]
fn a_release_of_all_ends_every_wait_and_probes_at_once() {
    let mut shard = parked(waiting_ms(slow(), HOUR));
    shard.put("c");
    shard.fail(2, &[(0, Retry)]);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.forget();
    assert_eq!(shard.waiting().len(), 2);
    shard.tell(Event::ReleaseAll);
    shard.run_until(shard.now(), well);
    assert_eq!(shard.stats().totals.processed, 4);

    let mut shard = outage(attempts(1), 40);
    let open = shard.stats().circuit.expect("it is open");
    assert!(open.next_probe > Timestamp(shard.now()));
    shard.tell(Event::ReleaseAll);
    shard.run_until(shard.now(), well);
    let stats = shard.stats();
    assert_eq!((stats.circuit, stats.totals.processed), (None, 40));
}

#[test]
fn while_the_circuit_is_open_the_next_retry_is_the_next_probe_if_that_is_later() {
    let mut shard = outage(waiting_ms(attempts(1), 1), 40);
    shard.at(400).tick();
    let stats = shard.stats();
    let probe = stats.circuit.expect("it is open").next_probe;
    assert_eq!(stats.next_retry, Some(probe));
}

#[test]
fn a_group_whose_window_cannot_be_closed_is_told_with_its_failure() {
    let settings = MappingSettings {
        tumbling_window_ms: 1_000,
        key_groups: 4,
        ..waiting_ms(slow(), HOUR)
    };
    let mut shard = Harness::new(settings);
    shard.at(500).put("a");
    shard.leaving(b"1").ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.at(1_500).put("a");
    shard.end_with(2, Outcome::Error(failure()));
    let until = shard.stats().next_retry.expect("it waits");
    let told = format!("window 0 of group 0:1 +1 retry {until} error busy: it is down");
    assert_eq!(shard.waiting(), [told]);
    shard.forget();
    shard.tell(Event::ReleaseAll);
    shard.expect(&["call 3 lane0:  fresh final in 0-1000 [1]"]);
    shard.ok(3);
    shard.answer("lane0", 2, TAKEN);
    assert_eq!(shard.waiting(), [""; 0]);
}

#[test]
fn a_group_that_waits_is_told_by_the_record_that_failed() {
    let settings = MappingSettings {
        tumbling_window_ms: 1_000,
        key_groups: 4,
        ..waiting_ms(slow(), HOUR)
    };
    let mut shard = Harness::new(settings);
    shard.at(500).put("a a");
    shard.fail(1, &[(1, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    let until = shard.stats().next_retry.expect("it waits");
    shard.put("a");
    let told = format!("2:1 +1 retry {until} error code: words");
    assert_eq!(shard.waiting(), [told]);
}

//! What failing records and calls come to (commit and storage rules §4; Lambda ESM specification §20 row 6,
//! §22 row Retry).

use super::harness::{FULL, Harness, TAKEN, settings, too_large_to_keep};
use crate::{
    id::{AttemptId, SlotId},
    limits,
    mapping::{MappingSettings, MaxAttempts},
    outcome::FailureKind::{Retry, Skip},
    pipeline::Event,
};

#[test]
fn a_retry_parks_its_key_and_every_other_key_goes_on() {
    let mut shard = Harness::new(settings());
    shard.put("a b a");
    shard.fail(1, &[(0, Retry)]);
    shard.expect(&[
        "call 1 lane0: 1 2 3",
        "commit lane0#1 settles 1-2 marks 1:1",
    ]);
    shard.answer("lane0", 1, TAKEN);
    shard.put("a b");
    // 3 and 4 wait behind 1; 5 does not.
    shard.expect(&["call 2 lane0: 5"]);
    shard.at(100).tick();
    shard.expect(&["call 3 retry: 1"]);
    shard.ok(3);
    shard.answer("retry", 1, FULL);
    shard.expect(&["commit retry#1 settles 0-1"]);
}

/// Schedule 15: a key moves only when the old slot's commit is accepted, both ways.
#[test]
fn a_key_moves_between_slots_at_acceptance_alone() {
    let mut shard = Harness::new(MappingSettings {
        backoff_initial_ms: 0,
        ..settings()
    });
    shard.put("a");
    shard.fail(1, &[(0, Retry)]);
    shard.put("a b");
    shard.forget();
    shard.at(1_000).tick();
    shard.expect(&[]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["call 2 lane0: 3", "call 3 retry: 1"]);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.ok(3);
    shard.forget();
    shard.at(2_000).tick();
    shard.expect(&[]);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["release 1", "call 4 lane0: 2"]);
}

/// Schedule 16: every charge of a key on an idle node is a commit of its own.
#[test]
fn a_failing_key_on_an_idle_node_commits_marks_alone_until_it_is_given_up() {
    let mut shard = Harness::new(MappingSettings {
        max_attempts: MaxAttempts::Count(3),
        backoff_initial_ms: 0,
        ..settings()
    });
    shard.put("a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1",
        "commit lane0#1 marks 1:1",
        "call 2 retry: 1",
    ]);
    shard.fail(2, &[(0, Retry)]);
    shard.answer("retry", 1, TAKEN);
    // Its last attempt is made in an instance of its own.
    shard.expect(&["commit retry#1 marks 1:2", "call 3 retry: 1 fresh"]);
    shard.fail(3, &[(0, Retry)]);
    shard.answer("retry", 2, TAKEN);
    shard.expect(&["commit retry#2 settles 0-1 letters 1:error:3", "release 1"]);
}

/// Schedule 20: an attempt that timed out answers late, after its batch was cut again.
#[test]
fn a_late_answer_is_discarded() {
    let mut shard = Harness::new(MappingSettings {
        backoff_initial_ms: 0,
        ..settings()
    });
    shard.put("a b");
    shard.timeout(1);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2",
        "commit lane0#1 marks 1:1 2:1",
        "call 2 retry: 1 fresh",
    ]);
    shard.ok(1);
    shard.expect(&[]);
    shard.ok(2);
    shard.expect(&["commit retry#1 settles 0-1"]);
}

/// Schedule 24, for a trap that names its record: the 9,999 others keep their attempts.
#[test]
fn a_named_trap_in_ten_thousand_charges_one() {
    let mut shard = Harness::new(MappingSettings {
        batch_size: 10_000,
        ..settings()
    });
    shard.tail(10_000);
    let after = shard.fetch_asked().expect("a read");
    shard.fetched_many(after, 10_000);
    shard.forget();
    shard.panic(1, 4_711);
    shard.expect(&["commit lane0#1 marks 4712:1"]);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    let stats = shard.stats();
    assert_eq!((stats.totals.failed, stats.parked_keys), (1, 1));
    // Six of its seven keys go on at once; the seventh waits behind the one record.
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    let processed = shard.stats().totals.processed;
    assert!((8_570..8_573).contains(&processed), "{processed}");
}

#[test]
fn a_panic_is_charged_to_its_record_and_the_rest_runs_again_at_once() {
    let mut shard = Harness::new(settings());
    shard.put("a b a c");
    shard.panic(1, 1);
    shard.expect(&["call 1 lane0: 1 2 3 4", "commit lane0#1 marks 2:1"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["call 2 lane0: 1 3 4 fresh"]);
    assert_eq!(shard.stats().totals.failed, 1);
}

#[test]
fn the_records_in_front_of_one_that_panicked_are_called_at_once_and_it_alone_after_them() {
    let mut shard = Harness::new(settings());
    shard.put("a a a b");
    shard.panic(1, 1);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 3 4",
        "commit lane0#1 marks 2:1",
        "call 2 lane0: 4 fresh",
        "call 3 retry: 1 fresh",
    ]);
    shard.ok(3);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    shard.at(100).tick();
    shard.expect(&["commit retry#1 settles 0-1", "call 4 retry: 2 fresh"]);
    shard.ok(4);
    shard.answer("retry", 2, TAKEN);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    // 3 was never charged: it goes back to its lane.
    shard.expect(&[
        "commit retry#2 settles 1-2",
        "commit lane0#2 settles 3-4",
        "call 5 lane0: 3",
    ]);
}

#[test]
fn a_whole_call_failure_moves_the_keys_to_the_retry_slot_one_key_a_call() {
    let mut shard = Harness::new(MappingSettings {
        backoff_initial_ms: 0,
        ..settings()
    });
    shard.put("a b a");
    shard.timeout(1);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 3",
        "commit lane0#1 marks 1:1 2:1 3:1",
        "call 2 retry: 1 3 fresh",
    ]);
    shard.ok(2);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["commit retry#1 settles 0-1 2-3", "call 3 retry: 2 fresh"]);
}

#[test]
fn too_much_output_halves_the_batch_free_of_charge_left_half_first() {
    let mut shard = Harness::new(settings());
    shard.put("a b c d e");
    shard.too_large(1);
    shard.expect(&["call 1 lane0: 1 2 3 4 5", "call 2 lane0: 1 2 fresh"]);
    shard.too_large(2);
    shard.expect(&["call 3 lane0: 1 fresh"]);
    shard.too_large(3);
    // One record's rows alone: given up at once.
    shard.expect(&["commit lane0#1 settles 0-1 letters 1:output-too-large:1"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["call 4 lane0: 2 fresh"]);
    shard.ok(4);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.expect(&["commit lane0#2 settles 1-2", "call 5 lane0: 3 4 5 fresh"]);
    assert_eq!(shard.stats().totals.failed, 1);
}

#[test]
fn a_retry_in_the_left_half_takes_its_key_out_of_the_right_one() {
    let mut shard = Harness::new(settings());
    shard.put("a b a c");
    shard.too_large(1);
    shard.fail(2, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 3 4",
        "call 2 lane0: 1 2 fresh",
        "commit lane0#1 settles 1-2 marks 1:1",
        "call 3 lane0: 4 fresh",
    ]);
}

#[test]
fn skip_settles_as_a_letter_in_the_same_commit() {
    let mut shard = Harness::new(settings());
    shard.put("a a b");
    shard.fail(1, &[(0, Skip)]);
    shard.expect(&[
        "call 1 lane0: 1 2 3",
        "commit lane0#1 settles 0-3 letters 1:skip:1",
    ]);
}

#[test]
fn a_record_too_large_or_in_a_loop_becomes_a_letter_without_a_call() {
    let mut shard = Harness::new(settings());
    shard.put("a HUGE LOOP LOOP b");
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.expect(&[
        "call 1 lane0: 1",
        "commit lane0#1 settles 0-1",
        "commit lane0#2 settles 1-2 letters 2:record-too-large:0",
        "commit lane0#3 settles 2-4 letters 3:loop:0 4:loop:0",
    ]);
    shard.answer("lane0", 3, TAKEN);
    shard.expect(&["call 2 lane0: 5"]);
    assert_eq!(shard.stats().totals.failed, 0);
}

#[test]
fn a_host_at_fault_is_asked_again_after_a_pause_that_grows() {
    let mut shard = Harness::new(settings());
    shard.put("a");
    shard.forget();
    let mut calls = 0;
    while shard.now() < 5_000 {
        calls += 1;
        shard.tell(Event::HostFault {
            attempt: AttemptId(calls),
        });
        let deadline = shard.deadline().unwrap_or(shard.now());
        shard.at(deadline).tick();
    }
    assert!((5..60).contains(&calls), "{calls} calls in five seconds");
    assert_eq!(shard.stats().totals.failed, 0);
}

#[test]
fn parked_payload_beyond_the_bound_is_released_and_read_again() {
    let mut shard = too_large_to_keep(settings());
    shard.put("a b");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    assert_eq!(shard.stats().parked_bytes, 0);
    shard.at(100).tick();
    shard.expect(&["reread retry: 1"]);
    shard.tell(Event::RereadFailed {
        slot: SlotId::Retry,
    });
    let deadline = shard.deadline().unwrap();
    shard.at(deadline).tick();
    shard.expect(&["reread retry: 1"]);
    shard.reread(SlotId::Retry, &[1]);
    shard.expect(&["call 2 retry: 1 fresh"]);
}

#[test]
fn a_parked_record_keeps_itself_and_not_what_was_read_with_it() {
    let mut shard = Harness::new(settings());
    shard.block_bytes = limits::PARKED_BYTES_MAX + 1;
    shard.put("b a b a b");
    shard.forget();
    shard.fail(1, &[(1, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "commit lane0#1 settles 0-1 2-3 4-5 marks 2:1",
        "keep of 1: 1 3",
    ]);
    let kept = 2 * (10 + limits::PARKED_RECORD_BYTES);
    assert_eq!(shard.stats().parked_bytes, kept);
    shard.at(100).tick();
    shard.expect(&["call 2 retry: 2"]);
}

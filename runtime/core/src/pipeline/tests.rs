//! Schedules told event by event. The harness turns actions into short lines; a test shows the
//! schedule, not the plumbing.

mod harness;

use self::harness::{Harness, settings};
use super::*;
use crate::{
    commit::{CommitAnswer, Unavailable},
    id::Lsn,
    mapping::MaxAttempts,
    outcome::FailureKind::{Fatal, Retry, Skip},
};

const FULL: CommitAnswer = CommitAnswer::Unavailable(Unavailable::DiskFull);
const TAKEN: CommitAnswer = CommitAnswer::Accepted(Lsn(1));

#[test]
fn news_of_the_tail_wakes_a_read_and_records_start_a_call_at_once() {
    let mut shard = Harness::new(settings());
    shard.expect(&[]);
    shard.tail(2);
    shard.expect(&["fetch after 0"]);
    shard.fetched("a b");
    shard.expect(&["call 1 lane0: 1 2"]);
    assert_eq!(shard.deadline(), None, "nothing is polled");
    shard.ok(1);
    shard.expect(&["commit lane0#1 settles 0-2"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["release 1"]);
    assert_eq!(shard.stats().low_watermark, Ordinal(2));
}

#[test]
fn a_batch_waits_for_its_window_from_its_first_record() {
    let mut shard = Harness::new(MappingSettings {
        batch_window_ms: 250,
        ..settings()
    });
    shard.put("a");
    shard.expect(&[]);
    shard.at(100).put("b");
    assert_eq!(shard.deadline(), Some(250));
    shard.at(249).tick();
    shard.expect(&[]);
    shard.at(250).tick();
    shard.expect(&["call 1 lane0: 1 2"]);
}

#[test]
fn while_a_batch_is_not_accepted_the_next_one_gathers() {
    let mut shard = Harness::new(settings());
    shard.put("a");
    shard.put("b");
    shard.put("c");
    shard.expect(&["call 1 lane0: 1"]);
    shard.ok(1);
    shard.expect(&["commit lane0#1 settles 0-1"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["release 1", "call 2 lane0: 2 3"]);
}

#[test]
fn two_commits_of_a_slot_may_be_unsynced_and_no_third_batch_starts() {
    let mut shard = Harness::new(MappingSettings {
        batch_size: 1,
        ..settings()
    });
    shard.put("a b c");
    for number in 1..=2 {
        shard.ok(number);
        shard.answer("lane0", number, TAKEN);
    }
    shard.forget();
    shard.tick();
    shard.expect(&[]);
    shard.durable("lane0", 1);
    shard.expect(&["call 3 lane0: 3"]);
}

#[test]
fn lanes_run_beside_each_other_and_one_commit_is_with_the_sequencer() {
    let mut shard = Harness::new(MappingSettings {
        parallelization_factor: 2,
        ..settings()
    });
    // The harness hashes key "a" to 0, "b" to 1 …
    shard.put("a b c d");
    shard.expect(&["call 1 lane0: 1 3", "call 2 lane1: 2 4"]);
    shard.ok(2);
    shard.expect(&["commit lane1#1 settles 1-2 3-4"]);
    shard.ok(1);
    shard.expect(&[]);
    shard.answer("lane1", 1, TAKEN);
    shard.expect(&["commit lane0#1 settles 0-1 2-3"]);
    assert_eq!(shard.stats().low_watermark, Ordinal(0));
    shard.answer("lane0", 1, TAKEN);
    assert_eq!(shard.stats().low_watermark, Ordinal(4));
}

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
    shard.expect(&["call 3 retry: 1 fresh"]);
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
    shard.expect(&["call 2 lane0: 3", "call 3 retry: 1 fresh"]);
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
        "call 2 retry: 1 fresh",
    ]);
    shard.fail(2, &[(0, Retry)]);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["commit retry#1 marks 1:2", "call 3 retry: 1 fresh"]);
    shard.fail(3, &[(0, Retry)]);
    shard.answer("retry", 2, TAKEN);
    shard.expect(&["commit retry#2 settles 0-1 letters 1:error:3", "release 1"]);
}

/// Schedule 19: commit n is refused while the next one could be ready: the slot is held, nobody else.
#[test]
fn a_refused_commit_holds_its_slot_and_is_sent_again_with_the_totals_of_the_log() {
    let mut shard = Harness::new(MappingSettings {
        parallelization_factor: 2,
        ..settings()
    });
    shard.put("a b");
    shard.ok(1);
    shard.answer("lane0", 1, FULL);
    shard.put("a");
    shard.ok(2);
    shard.answer("lane1", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1",
        "call 2 lane1: 2",
        "commit lane0#1 settles 0-1",
        "commit lane1#1 settles 1-2",
    ]);
    assert_eq!(
        shard.stats().totals.processed,
        1,
        "the refused one did not happen"
    );
    assert_eq!(shard.stats().blocked, Some(Unavailable::DiskFull));
    let resend = shard.deadline().unwrap();
    shard.at(resend).tick();
    shard.expect(&["resend lane0#1 processed 2"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["release 1", "call 3 lane0: 3"]);
    assert_eq!(shard.stats().blocked, None);
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

/// Schedules 22 and 23: another factor, another version, over gaps, marks and a parked key.
#[test]
fn another_owner_goes_on_with_what_was_committed_whatever_its_factor() {
    let mark = |position, version| AttemptMark {
        position: Ordinal(position),
        count: 2,
        version: FunctionVersion(version),
        next_retry: Timestamp(500),
    };
    let mut settled = Settled::starting_after(Ordinal(3));
    settled.settle(crate::settled::SettledRange {
        after: Ordinal(4),
        through: Ordinal(5),
    });
    let start = Started {
        epoch: LeaseEpoch(9),
        settled,
        // The second is of a version that is called no more: it starts from nothing.
        attempts: vec![mark(4, 1), mark(6, 7)],
        totals: UnitTotals {
            processed: 4,
            ..UnitTotals::default()
        },
        tail: Ordinal(8),
    };
    let mut shard = Harness::started(
        MappingSettings {
            parallelization_factor: 2,
            ..settings()
        },
        start,
    );
    shard.expect(&["fetch after 3"]);
    shard.fetched("a b b a b");
    // 5 is done; 4 is parked with 7 behind it; 6 and 8 are free.
    shard.expect(&["call 1 lane1: 6 8"]);
    shard.at(500).tick();
    shard.expect(&["call 2 retry: 4 fresh"]);
    shard.fail(2, &[(0, Retry)]);
    shard.expect(&["commit retry#1 marks 4:3"]);
    shard.answer("retry", 1, TAKEN);
    shard.ok(1);
    shard.expect(&["commit lane1#1 settles 5-6 7-8"]);
    shard.answer("lane1", 1, TAKEN);
    assert_eq!(shard.stats().totals.processed, 6);
}

/// Schedule 28: the mapping was made anew, or another owner appointed.
#[test]
fn a_fenced_owner_takes_its_calls_back_and_stops() {
    let mut shard = Harness::new(MappingSettings {
        parallelization_factor: 2,
        ..settings()
    });
    shard.put("a b");
    shard.ok(1);
    shard.forget();
    shard.answer("lane0", 1, CommitAnswer::Fenced);
    shard.expect(&["interrupt 2", "stop Fenced"]);
    shard.ok(2);
    shard.tail(9);
    shard.expect(&[]);
    assert_eq!(shard.deadline(), None);
}

#[test]
fn fatal_stops_the_mapping_and_nothing_of_the_batch_commits() {
    let mut shard = Harness::new(MappingSettings {
        parallelization_factor: 2,
        ..settings()
    });
    shard.put("a b");
    shard.forget();
    shard.fail(2, &[(0, Fatal)]);
    shard.expect(&["interrupt 1", "stop Fatal code: words"]);
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
fn pause_starts_no_call_gives_running_ones_a_moment_and_takes_them_back_uncharged() {
    let mut shard = Harness::new(settings());
    shard.put("a");
    shard.put("b");
    shard.tell(Event::Pause {
        until: Timestamp(1_000),
    });
    shard.expect(&["call 1 lane0: 1"]);
    assert_eq!(shard.deadline(), Some(1_000));
    shard.at(1_000).tick();
    shard.expect(&["interrupt 1"]);
    shard.tail(5);
    shard.expect(&[]);
    assert_eq!(shard.deadline(), None);
    shard.tell(Event::Resume);
    shard.expect(&["call 2 lane0: 1 fresh", "fetch after 2"]);
}

#[test]
fn a_call_that_ends_in_its_moment_still_commits() {
    let mut shard = Harness::new(settings());
    shard.put("a b");
    shard.tell(Event::Drain {
        until: Timestamp(1_000),
    });
    shard.ok(1);
    shard.expect(&["call 1 lane0: 1 2", "commit lane0#1 settles 0-2"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["release 1", "stop Drained"]);
}

#[test]
fn a_refused_commit_is_dropped_at_pause_and_its_batch_runs_again_uncharged() {
    let mut shard = Harness::new(settings());
    shard.put("a b");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, FULL);
    shard.forget();
    shard.tell(Event::Pause {
        until: Timestamp(0),
    });
    shard.expect(&["drop lane0#1"]);
    shard.tell(Event::Resume);
    shard.expect(&["call 2 lane0: 1 2 fresh"]);
    assert_eq!(shard.stats().totals, UnitTotals::default());
    shard.ok(2);
    // The number was not consumed.
    shard.expect(&["commit lane0#1 settles 0-2"]);
}

#[test]
fn a_node_short_of_memory_drops_a_refused_commit_and_only_that() {
    let mut shard = Harness::new(settings());
    shard.put("a");
    shard.ok(1);
    shard.forget();
    let drop = Event::DropRefused {
        slot: SlotId::Lane(0),
    };
    shard.tell(drop.clone());
    shard.expect(&[]);
    shard.answer("lane0", 1, FULL);
    shard.tell(drop);
    shard.expect(&["drop lane0#1", "call 2 lane0: 1 fresh"]);
}

#[test]
fn a_drain_waits_for_no_answer_but_that_of_a_commit_with_the_sequencer() {
    let mut shard = Harness::new(settings());
    shard.put("a");
    shard.ok(1);
    shard.forget();
    shard.tell(Event::Drain {
        until: Timestamp(10),
    });
    shard.at(10).tick();
    shard.expect(&[]);
    assert_eq!(shard.deadline(), None);
    shard.answer("lane0", 1, FULL);
    shard.expect(&["drop lane0#1", "stop Drained"]);
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
fn a_failed_read_is_made_again_after_a_pause() {
    let mut shard = Harness::new(settings());
    shard.tail(1);
    shard.tell(Event::FetchFailed);
    shard.expect(&["fetch after 0"]);
    let deadline = shard.deadline().unwrap();
    shard.at(deadline).tick();
    shard.expect(&["fetch after 0"]);
}

#[test]
fn an_empty_read_waits_to_be_woken_but_not_for_news_that_came_meanwhile() {
    let mut shard = Harness::new(settings());
    shard.tail(1);
    shard.tell(Event::TailAdvanced { tail: Ordinal(2) });
    shard.tell(Event::Fetched(Fetched::default()));
    shard.expect(&["fetch after 0", "fetch after 0"]);
    shard.tell(Event::Fetched(Fetched::default()));
    shard.expect(&[]);
    assert_eq!(shard.deadline(), None);
    shard.tail(3);
    shard.expect(&["fetch after 0"]);
}

#[test]
fn parked_payload_beyond_the_bound_is_released_and_read_again() {
    let mut shard = Harness::new(settings());
    shard.block_bytes = limits::PARKED_BYTES_MAX + 1;
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
fn a_clock_that_goes_back_lengthens_no_wait() {
    let mut shard = Harness::new(MappingSettings {
        batch_window_ms: 200,
        backoff_max_ms: 1_000,
        ..settings()
    });
    shard.at(10_000_000).put("a");
    shard.at(10_000_200).tick();
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.put("b");
    shard.forget();
    shard.at(5).tick();
    assert!(shard.deadline().unwrap() <= 1_005);
    shard.at(205).tick();
    assert!(shard.lines().contains(&"call 2 lane0: 2".to_owned()));
}

/// The bound of the done-set is backpressure, never loss: one key that never succeeds.
#[test]
fn the_bound_of_the_done_set_stops_reading_and_windows_wait_no_longer() {
    let mut shard = Harness::new(MappingSettings {
        batch_size: 10_000,
        max_attempts: MaxAttempts::Unlimited,
        backoff_initial_ms: 1_000_000,
        backoff_max_ms: 1_000_000,
        ..settings()
    });
    shard.put("a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    let bound = limits::UNSETTLED_RECORDS_MAX;
    shard.tail(bound * 2);
    let mut number = 1;
    while let Some(after) = shard.fetch_asked() {
        shard.fetched_many(after, 10_000);
        while let Some(call) = shard.running() {
            number += 1;
            shard.ok(call);
            shard.answer("lane0", number, TAKEN);
            shard.durable("lane0", number);
        }
    }
    let stats = shard.stats();
    assert_eq!(stats.window_records, bound);
    assert_eq!(stats.low_watermark, Ordinal(0));
    shard.at(2_000_000).tick();
    let retry = shard.running().unwrap();
    shard.ok(retry);
    shard.answer("retry", 1, TAKEN);
    assert_eq!(shard.stats().low_watermark, Ordinal(bound));
    assert_eq!(shard.fetch_asked(), Some(Ordinal(bound)));
}

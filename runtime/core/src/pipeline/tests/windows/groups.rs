//! Groups beside each other: bisect, redrives, releases, refusals.

use super::{super::harness::FULL, *};

#[test]
fn groups_of_different_lanes_run_beside_each_other_and_a_call_has_one_group() {
    let mut shard = Harness::new(MappingSettings {
        parallelization_factor: 2,
        ..windowed()
    });
    shard.put("a b c d");
    shard.expect(&[
        "call 1 lane0: 1 in 0-1000 []",
        "call 2 lane1: 2 in 0-1000 []",
    ]);
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.forget_all_but(1);
    shard.expect(&["call 3 lane0: 3 in 0-1000 []"]);
}

#[test]
fn what_fails_as_a_whole_is_bisected_in_its_lane_and_the_halves_fold_in_order() {
    let mut shard = Harness::new(MappingSettings {
        bisect_on_error: true,
        ..windowed()
    });
    shard.put("a a a a");
    shard.trap(1);
    shard.expect(&[
        "call 1 lane0: 1 2 3 4 in 0-1000 []",
        "call 2 lane0: 1 2 fresh in 0-1000 []",
    ]);
    shard.leaving(b"2").ok(2);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "commit lane0#1 settles 0-2 window 0:1: 0-1000 [2]",
        "call 3 lane0: 3 fresh in 0-1000 [2]",
    ]);
    shard.trap(3);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.expect(&["commit lane0#2 marks 3:1"]);
    let deadline = shard.deadline().unwrap();
    shard.at(deadline).tick();
    shard.expect(&["call 4 lane0: 3 fresh in 0-1000 [2]"]);
}

#[test]
fn a_refused_commit_keeps_the_state_from_the_next_call_until_it_is_taken() {
    let mut shard = Harness::new(windowed());
    shard.put("a");
    shard.leaving(b"1").ok(1);
    shard.answer("lane0", 1, FULL);
    shard.put("a");
    shard.forget();
    let resend = shard.deadline().unwrap();
    shard.at(resend).tick();
    shard.forget();
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["release 1", "call 2 lane0: 2 in 0-1000 [1]"]);
}

#[test]
fn a_dropped_result_runs_again_from_the_state_before() {
    let mut shard = Harness::new(windowed());
    shard.put("a");
    shard.leaving(b"1").ok(1);
    shard.answer("lane0", 1, FULL);
    shard.forget();
    shard.tell(Event::DropRefused {
        slot: crate::id::SlotId::Lane(0),
    });
    shard.expect(&["drop lane0#1", "call 2 lane0: 1 fresh in 0-1000 []"]);
}

#[test]
fn a_redriven_record_runs_in_the_current_window_of_its_group_which_waits_for_it() {
    let mut shard = Harness::new(windowed());
    shard.put("a");
    shard.leaving(b"1").ok(1);
    shard.redrive(7, "a");
    shard.forget();
    shard.answer("lane0", 1, TAKEN);
    shard.put("a b");
    shard.expect(&[
        "release 1",
        "call 2 retry: 1007 fresh letter 7 in 0-1000 [1]",
        "call 3 lane0: 3 in 0-1000 []",
    ]);
    shard.leaving(b"2").ok(2);
    shard.expect(&["commit retry#1 redrives 7 window 0:2: 0-1000 [2]"]);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    shard.ok(3);
    shard.answer("lane0", 2, TAKEN);
    shard.forget_all_but(1);
    shard.expect(&["commit lane0#2 settles 2-3 window 1:1: 0-1000 []"]);
    shard.durable("lane0", 2);
    shard.expect(&["call 4 lane0: 2 in 0-1000 [2]"]);
}

/// A window that it opened would take in what waits in front of it.
#[test]
fn a_redriven_record_waits_for_what_its_group_retries() {
    let mut shard = Harness::new(waiting_ms(windowed(), 50_000));
    shard.put("a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget();
    let due = shard.deadline().unwrap();
    shard.at(1_000).redrive(7, "a");
    shard.expect(&[]);
    shard.at(due).tick();
    shard.expect(&["call 2 lane0: 1 fresh in 0-1000 []"]);
    shard.leaving(b"1").ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.forget_all_but(1);
    shard.expect(&["call 3 retry: 1007 fresh letter 7 in 0-1000 [1]"]);
}

/// An owner far behind the shard's end.
#[test]
fn a_redriven_record_takes_no_unread_ones_into_a_later_window() {
    let behind = || {
        let start = Started {
            tail: Ordinal(3),
            ..beginning()
        };
        let mut shard = Harness::started(windowed(), start);
        shard.at(3_600_000).redrive(7, "a");
        shard.expect(&["fetch after 0"]);
        shard
    };
    // The window of the last record that was read, or that of the first one that waits.
    for (read, first, called) in [
        (
            "b",
            "call 1 retry: 1007 fresh letter 7 in 2000-3000 []",
            "call 2 lane0: 1 in 2000-3000 []",
        ),
        (
            "a",
            "call 1 retry: 1007 fresh letter 7 in 2000-3000 []",
            "fetch after 1",
        ),
    ] {
        let mut shard = behind();
        shard.at(2_100).fetched(read);
        let lines = shard.lines();
        assert_eq!(lines[..2], [first, called], "{lines:?}");
    }
    // What comes while it waits to be called again is read first.
    let mut shard = Harness::new(windowed());
    shard.at(100).redrive(7, "a");
    shard.forget();
    shard.host_fault(1);
    shard.tail(1);
    let due = shard.deadline().unwrap();
    shard.forget();
    shard.at(due + 1_000).tick();
    shard.expect(&[]);
    shard.at(900).fetched("a");
    shard.expect(&["call 2 retry: 1007 fresh letter 7 in 0-1000 []"]);
}

#[test]
fn a_redrive_that_fails_again_changes_no_state() {
    let mut shard = following(windowed(), &[(0, open(0, 1_000, 4, b"s"))]);
    shard.redrive(7, "a");
    shard.leaving(b"bad").fail(1, &[(0, Retry)]);
    shard.forget_all_but(1);
    shard.expect(&["commit retry#1 letters 1007:error:6 redrives 7"]);
}

#[test]
fn a_person_ends_the_wait_of_a_group() {
    let mut shard = Harness::new(waiting_ms(windowed(), 50_000));
    shard.put("a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    let stats = shard.stats();
    assert_eq!(stats.parked_keys, 1, "its group is parked");
    assert_eq!(stats.next_retry.map(|at| at.0), shard.deadline());
    shard.forget();
    shard.tell(Event::Release {
        positions: vec![Ordinal(1)],
    });
    shard.expect(&["call 2 lane0: 1 fresh in 0-1000 []"]);
}

/// A group that waits takes no room of the others.
#[test]
fn while_one_group_waits_the_shard_is_read_on() {
    let mut shard = Harness::new(MappingSettings {
        max_attempts: MaxAttempts::Unlimited,
        ..waiting_ms(windowed(), 50_000)
    });
    shard.put("a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.put("a a a b");
    let stats = shard.stats();
    assert_eq!(stats.waiting_records, 0, "one is called, three wait parked");
    assert_eq!(stats.running_calls, 1);
}

/// Neither does one whose window cannot be ended, and it is seen to wait.
#[test]
fn while_a_final_call_fails_the_shard_is_read_on_and_its_group_is_parked() {
    let mut shard = Harness::new(MappingSettings {
        max_attempts: MaxAttempts::Unlimited,
        ..waiting_ms(windowed(), 50_000)
    });
    shard.put("a");
    shard.leaving(b"1").ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.at(1_000).put("a a");
    shard.forget_all_but(1);
    shard.expect(&["call 2 lane0:  final in 0-1000 [1]"]);
    shard.trap(2);
    shard.put("a");
    let stats = shard.stats();
    assert_eq!((stats.parked_keys, stats.waiting_records), (1, 0));
    let due = shard.deadline().unwrap();
    assert_eq!(stats.next_retry, Some(Timestamp(due)));
    // While it is tried again, and fails again, it is no different.
    shard.at(due).tick();
    shard.put("a");
    let stats = shard.stats();
    assert_eq!((stats.parked_keys, stats.waiting_records), (1, 0));
    assert_eq!(stats.next_retry, None, "it is being tried");
    shard.trap(3);
    shard.put("b");
    shard.forget_all_but(1);
    let window = due / 1_000 * 1_000;
    let of_b = format!("call 4 lane0: 6 in {window}-{} []", window + 1_000);
    shard.expect(&[of_b.as_str()]);
    shard.ok(4);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    let due = shard.stats().next_retry.unwrap();
    shard.at(due.0).tick();
    shard.forget();
    shard.ok(5);
    shard.answer("lane0", 3, TAKEN);
    shard.durable("lane0", 3);
    shard.expect(&[
        "commit lane0#3 window 0:2: closed 1000",
        "call 6 lane0: 2 3 4 in 1000-2000 []",
    ]);
    let stats = shard.stats();
    assert_eq!((stats.parked_keys, stats.waiting_records), (0, 1));
}

#[test]
fn what_is_given_up_waits_for_the_windows_that_were_before() {
    let mut shard = following(settings(), &[(0, open(0, 1_000, 4, b"s"))]);
    shard.put("a b");
    shard.forget();
    shard.give_up(&[1]);
    shard.expect(&[]);
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "commit lane0#1 window 0:4: closed 0",
        "call 2 lane0: 2",
        "commit retry#1 settles 0-1 letters 1:by-hand:0",
    ]);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    shard.forget_all_but(1);
    shard.expect(&["given up 1"]);
}

#[test]
fn without_room_for_letters_a_lost_state_is_dropped_where_the_mapping_asks_for_that() {
    let mut shard = Harness::new(MappingSettings {
        max_attempts: MaxAttempts::Count(1),
        on_failure_full: crate::mapping::OnFailureFull::DropAndCount,
        ..windowed()
    });
    shard.put("a");
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.at(1_000).put("b");
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.trap(3);
    shard.forget();
    let full = crate::commit::Unavailable::DeadLettersFull;
    shard.answer("lane0", 3, crate::commit::CommitAnswer::Unavailable(full));
    shard.expect(&["resend lane0#3 processed 2 dropped 0"]);
}

//! Tumbling windows (Lambda ESM specification §11, §20 row 11, §22 row Window; commit and storage rules §8).

use std::sync::Arc;

use bytes::Bytes;

use super::harness::{
    Harness, TAKEN,
    given::{beginning, charged, mark, waiting_ms},
    settings,
};
use crate::{
    id::{Ordinal, Timestamp},
    limits,
    mapping::{MappingSettings, MaxAttempts, Ordering},
    outcome::FailureKind::{Fatal, Retry, Skip},
    pipeline::{Event, Started},
    window::{GroupWindow, OpenWindow, Window},
};

mod giving_up;
mod groups;

/// Windows of 1 s, of four groups: the harness hashes key "a" to 0, "b" to 1 …
pub(super) fn windowed() -> MappingSettings {
    MappingSettings {
        tumbling_window_ms: 1_000,
        key_groups: 4,
        ..settings()
    }
}

fn in_order() -> MappingSettings {
    MappingSettings {
        ordering: Ordering::Shard,
        ..windowed()
    }
}

/// An owner that follows one that left this.
fn following(settings: MappingSettings, windows: &[(u32, GroupWindow)]) -> Harness {
    let windows = windows.iter().cloned();
    let start = Started {
        windows: windows.map(|(id, group)| (id, Arc::new(group))).collect(),
        ..beginning()
    };
    Harness::started(settings, start)
}

fn open(start: u64, span_ms: u32, groups: u32, state: &'static [u8]) -> GroupWindow {
    GroupWindow {
        version: 3,
        closed_through: Timestamp(0),
        open: Some(OpenWindow {
            window: Window::at(Timestamp(start), span_ms),
            state: Bytes::from_static(state),
            hops: 1,
            last: Ordinal(1),
            groups,
        }),
    }
}

#[test]
fn a_window_has_its_records_then_its_final_call_and_each_call_the_state_before() {
    let mut shard = Harness::new(windowed());
    shard.at(100).put("a a");
    shard.expect(&["call 1 lane0: 1 2 in 0-1000 []"]);
    shard.leaving(b"2").ok(1);
    shard.expect(&["commit lane0#1 settles 0-2 window 0:1: 0-1000 [2]"]);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    shard.at(900).put("a");
    shard.expect(&["call 2 lane0: 3 in 0-1000 [2]"]);
    shard.leaving(b"3").ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.forget();
    shard.at(1_000).put("a");
    shard.expect(&["call 3 lane0:  final in 0-1000 [3]"]);
    shard.ok(3);
    shard.expect(&["commit lane0#3 window 0:3: closed 1000"]);
    shard.answer("lane0", 3, TAKEN);
    shard.expect(&["call 4 lane0: 4 in 1000-2000 []"]);
}

#[test]
fn what_a_call_leaves_alone_stays_and_a_batch_never_crosses_a_window() {
    let mut shard = Harness::new(MappingSettings {
        batch_window_ms: 5_000,
        ..windowed()
    });
    shard.at(500).put("a a");
    shard.expect(&[]);
    shard.at(1_500).put("a");
    shard.expect(&["call 1 lane0: 1 2 in 0-1000 []"]);
    shard.leaving(b"x").ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.forget_all_but(1);
    shard.expect(&["call 2 lane0:  final in 0-1000 [x]"]);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    assert_eq!(shard.deadline(), Some(6_500), "the batch goes on waiting");
    shard.at(6_500).tick();
    shard.ok(3);
    shard.forget_all_but(1);
    shard.expect(&["commit lane0#3 settles 2-3 window 0:3: 1000-2000 []"]);
}

/// Lambda takes an answer without a state for a failed call: nothing can be forgotten here.
#[test]
fn a_call_that_sets_no_state_leaves_the_one_before() {
    let mut shard = Harness::new(windowed());
    shard.put("a");
    shard.leaving(b"1").ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.put("a");
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.forget();
    shard.put("a");
    shard.expect(&["call 3 lane0: 3 in 0-1000 [1]"]);
    assert_eq!(shard.stats().totals.failed, 0);
}

#[test]
fn a_quiet_shard_closes_its_window_two_minutes_after_its_end() {
    let mut shard = Harness::new(windowed());
    shard.at(100).put("a");
    shard.leaving(b"1").ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    let idle = 1_000 + limits::WINDOW_IDLE_MS;
    assert_eq!(shard.deadline(), Some(idle));
    shard.at(idle - 1).tick();
    shard.expect(&[]);
    shard.at(idle).tick();
    shard.expect(&["call 2 lane0:  final in 0-1000 [1]"]);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    assert_eq!(shard.deadline(), None, "nothing is left");
}

#[test]
fn a_record_of_another_group_behind_the_end_closes_the_window_too() {
    let mut shard = Harness::new(windowed());
    shard.at(100).put("a");
    shard.leaving(b"1").ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget();
    shard.at(1_200).put("b");
    shard.expect(&["call 2 lane0: 2 in 1000-2000 []"]);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.forget_all_but(1);
    shard.expect(&["call 3 lane0:  final in 0-1000 [1]"]);
}

/// The window's end may be years away when a clock went back.
#[test]
fn a_quiet_window_closes_after_its_length_where_the_clock_went_back() {
    let mut shard = Harness::new(windowed());
    shard.at(9_000_100).put("a");
    shard.leaving(b"1").ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    shard.at(50).tick();
    let idle = 1_050 + limits::WINDOW_IDLE_MS;
    assert_eq!(shard.deadline(), Some(idle));
    shard.at(idle).tick();
    shard.expect(&["call 2 lane0:  final in 9000000-9001000 [1]"]);
}

/// Unread records may belong to it.
#[test]
fn a_quiet_window_waits_for_what_is_not_read_yet() {
    let mut shard = Harness::new(windowed());
    shard.at(100).put("a");
    shard.leaving(b"1").ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    shard.tail(2);
    shard.forget();
    shard.at(1_000 + limits::WINDOW_IDLE_MS).tick();
    shard.expect(&[]);
    shard.at(900).fetched("a");
    shard.expect(&["call 2 lane0: 2 in 0-1000 [1]"]);
}

#[test]
fn at_the_end_of_its_shard_a_window_closes_at_once() {
    let start = Started {
        tail: Ordinal(2),
        is_closed: true,
        ..beginning()
    };
    let mut shard = Harness::started(windowed(), start);
    shard.at(100).fetched("a b");
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.forget_all_but(1);
    shard.expect(&["call 2 lane0: 2 in 0-1000 []"]);
    shard.durable("lane0", 1);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.ok(3);
    shard.answer("lane0", 3, TAKEN);
    shard.ok(4);
    shard.answer("lane0", 4, TAKEN);
    shard.forget_all_but(4);
    shard.expect(&[
        "call 3 lane0:  final in 0-1000 []",
        "commit lane0#3 window 0:2: closed 1000",
        "call 4 lane0:  final in 0-1000 []",
        "commit lane0#4 window 1:2: closed 1000",
    ]);
}

/// A failed attempt is discarded whole: the state that it left, and what it emitted.
#[test]
fn a_failing_record_discards_its_attempt_and_its_group_waits_in_front_of_it() {
    let mut shard = Harness::new(windowed());
    shard.put("a a a");
    shard.leaving(b"bad").fail(1, &[(1, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 3 in 0-1000 []",
        "commit lane0#1 marks 2:1",
        "call 2 lane0: 1 fresh in 0-1000 []",
    ]);
    shard.leaving(b"1").ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.expect(&["commit lane0#2 settles 0-1 window 0:1: 0-1000 [1]"]);
    shard.put("a b");
    shard.expect(&["call 3 lane0: 5 in 0-1000 []"]);
    shard.ok(3);
    shard.answer("lane0", 3, TAKEN);
    shard.durable("lane0", 3);
    shard.forget();
    let deadline = shard.deadline().unwrap();
    assert!(deadline <= 100);
    shard.at(deadline).tick();
    shard.expect(&["call 4 lane0: 2 3 fresh in 0-1000 [1]"]);
    shard.leaving(b"3").ok(4);
    shard.answer("lane0", 4, TAKEN);
    shard.forget_all_but(1);
    shard.expect(&["call 5 lane0: 4 in 0-1000 [3]"]);
}

#[test]
fn a_record_given_up_is_a_letter_and_the_rest_runs_again_at_once() {
    let mut shard = Harness::new(windowed());
    shard.put("a a a");
    shard.leaving(b"bad").fail(1, &[(1, Skip)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 3 in 0-1000 []",
        "commit lane0#1 settles 1-2 letters 2:skip:1",
        "call 2 lane0: 1 3 fresh in 0-1000 []",
    ]);
    let totals = shard.stats().totals;
    assert_eq!((totals.processed, totals.dead_lettered), (0, 1));
}

/// Schedule 17: one key asks for retry, its later records succeeded in the same call.
#[test]
fn out_of_attempts_a_record_is_a_letter_and_its_window_goes_on() {
    let mut shard = Harness::new(MappingSettings {
        max_attempts: MaxAttempts::Count(2),
        ..in_order()
    });
    shard.put("a b");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    let deadline = shard.deadline().unwrap();
    shard.at(deadline).tick();
    shard.fail(2, &[(0, Retry)]);
    shard.answer("lane0", 2, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 in 0-1000 []",
        "commit lane0#1 marks 1:1",
        "call 2 lane0: 1 2 fresh in 0-1000 []",
        "commit lane0#2 settles 0-1 letters 1:error:2",
        "call 3 lane0: 2 fresh in 0-1000 []",
    ]);
}

/// Nothing settles by a call that is discarded, so a record that fails behind others has no budget anew.
#[test]
fn what_a_discarded_call_did_well_is_no_progress() {
    let mut shard = Harness::new(MappingSettings {
        max_attempts: MaxAttempts::Count(2),
        ..in_order()
    });
    shard.put("a b c");
    shard.fail(1, &[(1, Retry), (2, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2 3 in 0-1000 []",
        "commit lane0#1 marks 2:1",
        "call 2 lane0: 1 fresh in 0-1000 []",
    ]);
    // What is given up settles.
    shard.fail(2, &[(0, Skip)]);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.at(100).tick();
    shard.forget_all_but(1);
    shard.expect(&["call 3 lane0: 2 3 fresh in 0-1000 []"]);
    shard.fail(3, &[(0, Skip), (1, Retry)]);
    shard.expect(&["commit lane0#3 settles 1-2 marks 3:0 letters 2:skip:2"]);
}

#[test]
fn a_state_above_its_limit_ends_the_window_early_and_the_next_call_has_a_fresh_one() {
    let mut shard = Harness::new(windowed());
    shard.put("a");
    let large = vec![b'x'; usize::try_from(limits::WINDOW_STATE_BYTES_MAX).unwrap() + 1];
    shard.leaving(&large).ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.put("a");
    shard.forget_all_but(1);
    shard.expect(&["call 2 lane0:  early in 0-1000 [1048577 bytes]"]);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.expect(&[
        "commit lane0#2 window 0:2: closed 0",
        "call 3 lane0: 2 in 0-1000 []",
    ]);
    // It ends with its final call where records came behind, and without another one where none did.
    shard.leaving(&large).ok(3);
    shard.answer("lane0", 3, TAKEN);
    shard.durable("lane0", 3);
    shard.ok(4);
    shard.answer("lane0", 4, TAKEN);
    shard.durable("lane0", 4);
    shard.forget_all_but(2);
    shard.expect(&[
        "call 4 lane0:  early in 0-1000 [1048577 bytes]",
        "commit lane0#4 window 0:4: closed 0",
    ]);
    assert_eq!(shard.deadline(), None);
    shard.at(1_000).put("b");
    shard.expect(&["call 5 lane0: 3 in 1000-2000 []"]);
}

#[test]
fn a_final_call_that_fails_waits_and_out_of_attempts_its_state_is_a_letter() {
    let mut shard = Harness::new(MappingSettings {
        max_attempts: MaxAttempts::Count(2),
        ..windowed()
    });
    shard.put("a");
    shard.leaving(b"sum").ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.at(1_000).put("a");
    shard.forget_all_but(1);
    shard.expect(&["call 2 lane0:  final in 0-1000 [sum]"]);
    shard.trap(2);
    let deadline = shard.deadline().unwrap();
    assert!((1_000..=1_100).contains(&deadline));
    shard.at(deadline).tick();
    shard.expect(&["call 3 lane0:  fresh final in 0-1000 [sum]"]);
    shard.trap(3);
    shard.expect(&["commit lane0#2 window 0:2: closed 1000 lost [sum] after 2"]);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.expect(&["call 4 lane0: 2 in 1000-2000 []"]);
}

#[test]
fn a_final_call_that_says_fatal_stops_the_mapping_and_the_window_stays() {
    let mut shard = following(windowed(), &[(0, open(0, 1_000, 4, b"s"))]);
    shard.at(1_000).put("a");
    shard.forget();
    let outcome = crate::outcome::Outcome::Error(crate::outcome::Failure {
        kind: Fatal,
        retry_after_ms: None,
        code: "code".into(),
        message: "words".into(),
    });
    shard.end_with(1, outcome);
    shard.expect(&["stop Fatal code: words"]);
}

/// The next owner goes on with the state, whatever the parallelization factor.
#[test]
fn windows_survive_owners_and_factors() {
    for factor in [1, 3] {
        let settings = MappingSettings {
            parallelization_factor: factor,
            ..windowed()
        };
        let mut shard = following(settings, &[(2, open(0, 1_000, 4, b"5"))]);
        shard.put("c");
        let lane = 2 % factor;
        shard.expect(&[&format!("call 1 lane{lane}: 1 in 0-1000 [5]")]);
        shard.leaving(b"6").ok(1);
        let line = format!("commit lane{lane}#1 settles 0-1 window 2:4: 0-1000 [6]");
        shard.expect(&[&line]);
    }
}

/// Commit and storage rules §8: a clock jump never reopens a window.
#[test]
fn a_clock_that_went_back_over_a_closed_window_puts_records_into_the_next() {
    let closed = GroupWindow {
        version: 2,
        closed_through: Timestamp(9_000),
        open: None,
    };
    let mut shard = following(windowed(), &[(0, closed)]);
    shard.at(300).put("a");
    shard.expect(&["call 1 lane0: 1 in 9000-10000 []"]);
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    shard.at(1_500).put("a");
    shard.expect(&["call 2 lane0: 2 in 9000-10000 []"]);
}

#[test]
fn windows_that_the_mapping_has_no_more_get_their_final_call_before_anything_is_called() {
    let off = MappingSettings {
        tumbling_window_ms: 0,
        ..windowed()
    };
    let longer = MappingSettings {
        tumbling_window_ms: 2_000,
        ..windowed()
    };
    let regrouped = MappingSettings {
        key_groups: 5,
        ..windowed()
    };
    for (settings, then) in [
        (off, "call 3 lane0: 1 2"),
        (longer, "call 3 lane0: 1 in 0-2000 []"),
        (regrouped, "call 3 lane0: 1 in 0-1000 []"),
    ] {
        let left = [
            (1, open(0, 1_000, 4, b"one")),
            (3, open(0, 1_000, 4, b"three")),
        ];
        let mut shard = following(settings, &left);
        shard.put("a b");
        shard.expect(&["call 1 lane0:  final in 0-1000 [one]"]);
        shard.ok(1);
        shard.expect(&["commit lane0#1 window 1:4: closed 0"]);
        shard.answer("lane0", 1, TAKEN);
        shard.expect(&["call 2 lane0:  final in 0-1000 [three]"]);
        shard.ok(2);
        shard.expect(&["commit lane0#2 window 3:4: closed 0"]);
        shard.answer("lane0", 2, TAKEN);
        shard.durable("lane0", 2);
        shard.expect(&[then]);
    }
}

/// A charge of an earlier owner makes its group wait.
#[test]
fn what_an_earlier_owner_charged_still_waits() {
    let mut shard = Harness::started(windowed(), charged(vec![mark(1, 2, 80)]));
    shard.put("a b");
    shard.expect(&["call 1 lane0: 2 in 0-1000 []"]);
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    assert_eq!(shard.deadline(), Some(80));
    shard.at(80).tick();
    shard.forget_all_but(1);
    shard.expect(&["call 2 lane0: 1 fresh in 0-1000 []"]);
}

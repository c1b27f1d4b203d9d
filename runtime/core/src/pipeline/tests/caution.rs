//! Calls after unclean stops (commit and storage rules §4, schedule 25).

use super::harness::{
    FULL, Harness, TAKEN,
    given::{charged, mark},
    settings,
};
use crate::{
    commit::{AttemptMark, UnitTotals},
    id::{AttemptId, Timestamp},
    mapping::{MappingSettings, MaxAttempts, Ordering},
    outcome::FailureKind::{Fatal, Retry},
    pipeline::{Event, Started},
};

fn careful(settings: MappingSettings) -> Harness {
    let mut shard = Harness::new(settings);
    shard.tell(Event::Caution { is_on: true });
    shard
}

/// One record, called with care: its mark was lane 0's first commit and is synced.
fn called_with_care() -> Harness {
    let mut shard = careful(settings());
    shard.put("a");
    shard.tell(Event::TurnGranted);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget();
    shard
}

#[test]
fn a_record_is_called_alone_and_only_once_its_mark_is_synced() {
    let mut shard = careful(settings());
    shard.put("a b");
    shard.expect(&["ask turn"]);
    assert_eq!(shard.deadline(), None, "it waits for the turn");
    shard.tell(Event::TurnGranted);
    shard.expect(&["commit lane0#1 marks 1:1 in hand"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[]);
    assert_eq!(shard.deadline(), None, "it waits for the sync");
    shard.durable("lane0", 1);
    shard.expect(&["call 1 lane0: 1"]);
    shard.ok(1);
    shard.expect(&["commit lane0#2 settles 0-1"]);
    // The next mark is synced behind this commit: its sync is not waited for.
    shard.answer("lane0", 2, TAKEN);
    shard.expect(&["end turn", "ask turn"]);
    shard.tell(Event::TurnGranted);
    shard.expect(&["commit lane0#3 marks 2:1 in hand"]);
    shard.answer("lane0", 3, TAKEN);
    shard.durable("lane0", 3);
    shard.expect(&["call 2 lane0: 2"]);
    assert_eq!(shard.stats().totals.failed, 0);
}

#[test]
fn lanes_and_the_retry_slot_take_turns() {
    let mut shard = careful(MappingSettings {
        parallelization_factor: 2,
        backoff_initial_ms: 0,
        ..settings()
    });
    shard.put("a b a b");
    shard.forget();
    let mut called = Vec::new();
    let mut numbers = [0, 0, 0];
    // Record 1 fails once: its second attempt comes between the lanes, not behind them all.
    for attempt in 1..=5 {
        shard.tell(Event::TurnGranted);
        let mark = shard.lines().pop().expect("a mark");
        let slot = ["lane0", "lane1", "retry"]
            .into_iter()
            .position(|slot| mark.contains(slot));
        let slot = slot.expect("a slot");
        let name = ["lane0", "lane1", "retry"][slot];
        numbers[slot] += 1;
        shard.answer(name, numbers[slot], TAKEN);
        shard.durable(name, numbers[slot]);
        called.push(shard.lines().pop().expect("a call"));
        match attempt {
            1 | 2 if called.last().is_some_and(|call| call.contains(": 1")) => {
                shard.fail(attempt, &[(0, Retry)]);
            }
            _ => shard.ok(attempt),
        }
        numbers[slot] += 1;
        shard.answer(name, numbers[slot], TAKEN);
        shard.durable(name, numbers[slot]);
    }
    assert_eq!(
        called,
        [
            "call 1 lane1: 2",
            "call 2 lane0: 1",
            "call 3 lane1: 4",
            "call 4 retry: 1 fresh",
            "call 5 lane0: 3",
        ]
    );
    assert_eq!(shard.stats().totals.processed, 4);
}

#[test]
fn behind_its_first_batch_a_lane_calls_whole_batches_again() {
    let mut shard = careful(MappingSettings {
        batch_size: 2,
        ..settings()
    });
    shard.put("a b c d e");
    for record in 1..=2 {
        shard.tell(Event::TurnGranted);
        shard.answer("lane0", 2 * record - 1, TAKEN);
        shard.durable("lane0", 2 * record - 1);
        shard.forget_all_but(1);
        shard.expect(&[&format!("call {record} lane0: {record}")]);
        shard.ok(record);
        shard.forget();
        shard.answer("lane0", 2 * record, TAKEN);
        shard.durable("lane0", 2 * record);
    }
    shard.expect(&["end turn", "call 3 lane0: 3 4"]);
    // What fails there is retried with care all the same.
    shard.fail(3, &[(0, Retry)]);
    shard.answer("lane0", 5, TAKEN);
    shard.durable("lane0", 5);
    shard.forget();
    let again = shard.deadline().expect("a key is parked");
    shard.at(again).tick();
    shard.expect(&["ask turn"]);
}

#[test]
fn a_failure_is_charged_once_mark_or_no_mark() {
    let mut shard = called_with_care();
    shard.fail(1, &[(0, Retry)]);
    shard.forget_all_but(1);
    shard.expect(&["commit lane0#2 marks 1:1"]);
    shard.answer("lane0", 2, TAKEN);
    shard.expect(&["end turn"]);
    assert_eq!(shard.stats().totals.failed, 1);
    assert_eq!(shard.stats().parked_keys, 1);
}

/// What a start after an unclean stop finds: record 1 was in hand at its `count`th attempt.
fn after_death(count: u32) -> Started {
    charged(vec![AttemptMark {
        is_in_hand: true,
        ..mark(1, count, 0)
    }])
}

#[test]
fn a_record_that_the_process_died_with_is_charged_without_a_call() {
    let mut shard = Harness::started(settings(), after_death(1));
    shard.tell(Event::Caution { is_on: true });
    shard.put("a b a");
    shard.expect(&["commit lane0#1 marks 1:1"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["ask turn"]);
    assert_eq!(shard.stats().totals.failed, 1);
    // Its key waits behind it, the other one goes on.
    shard.tell(Event::TurnGranted);
    shard.expect(&["commit lane0#2 marks 2:1 in hand"]);
}

#[test]
fn a_record_out_of_attempts_when_the_process_died_is_given_up_with_that_cause() {
    let settings = MappingSettings {
        max_attempts: MaxAttempts::Count(3),
        ..settings()
    };
    let mut shard = Harness::started(settings, after_death(3));
    shard.put("b a");
    // Attempts of earlier owners park its key: it is given up in the retry slot.
    shard.expect(&[
        "call 1 lane0: 2",
        "commit retry#1 settles 0-1 letters 1:trap:3",
    ]);
    shard.answer("retry", 1, TAKEN);
    let totals = shard.stats().totals;
    assert_eq!((totals.failed, totals.dead_lettered), (1, 1));
}

#[test]
fn without_caution_the_record_is_cut_out_of_its_batch() {
    let mut shard = Harness::started(settings(), after_death(1));
    shard.fetched_at_once("b a b", 3);
    shard.expect(&["commit lane0#1 marks 1:1"]);
    shard.answer("lane0", 1, TAKEN);
    // The third record is of its key and parks with it.
    shard.expect(&["call 1 lane0: 2 fresh"]);
}

#[test]
fn a_call_taken_back_takes_its_mark_back_before_the_turn_ends() {
    let mut shard = called_with_care();
    shard.tell(Event::HostFault {
        attempt: AttemptId(1),
    });
    shard.expect(&["commit lane0#2 marks 1:0"]);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.forget_all_but(1);
    let again = shard.deadline().unwrap_or(shard.now());
    shard.at(again).tick();
    shard.forget();
    shard.tell(Event::TurnGranted);
    shard.expect(&["commit lane0#3 marks 1:1 in hand"]);
}

#[test]
fn a_pause_takes_marks_back_and_gives_the_turn_away() {
    for is_called in [false, true] {
        let mut shard = careful(settings());
        shard.put("a");
        shard.tell(Event::TurnGranted);
        shard.answer("lane0", 1, TAKEN);
        if is_called {
            shard.durable("lane0", 1);
        }
        shard.forget();
        shard.tell(Event::Pause {
            until: Timestamp(0),
        });
        let mark = "commit lane0#2 marks 1:0";
        let expected: &[&str] = if is_called {
            &["interrupt 1", mark]
        } else {
            &[mark]
        };
        shard.expect(expected);
        shard.answer("lane0", 2, TAKEN);
        shard.expect(&["end turn"]);
        shard.durable("lane0", 2);
        shard.tell(Event::Resume);
        let again = shard.deadline().unwrap_or(shard.now());
        shard.at(again).tick();
        shard.expect(&["ask turn"]);
    }
}

#[test]
fn a_drain_waits_until_the_mark_is_taken_back() {
    let mut shard = called_with_care();
    shard.tell(Event::Drain {
        until: Timestamp(0),
    });
    shard.expect(&["interrupt 1", "commit lane0#2 marks 1:0"]);
    assert_eq!(shard.deadline(), None);
    shard.answer("lane0", 2, TAKEN);
    shard.expect(&["end turn", "stop Drained"]);
}

#[test]
fn fatal_takes_the_mark_back_and_then_stops() {
    let mut shard = called_with_care();
    shard.fail(1, &[(0, Fatal)]);
    shard.forget_all_but(1);
    shard.expect(&["commit lane0#2 marks 1:0"]);
    shard.answer("lane0", 2, TAKEN);
    shard.expect(&["end turn", "stop Fatal code: words"]);
}

#[test]
fn a_refused_result_is_dropped_so_that_the_turn_goes_on() {
    let mut shard = called_with_care();
    shard.ok(1);
    shard.forget();
    shard.answer("lane0", 2, FULL);
    shard.expect(&["drop lane0#2", "commit lane0#2 marks 1:0"]);
    assert!(shard.stats().blocked.is_some());
    // Not even that is taken: the turn ends all the same.
    shard.answer("lane0", 2, FULL);
    shard.expect(&["drop lane0#2", "end turn"]);
    assert_eq!(shard.stats().totals, UnitTotals::default());
    let again = shard.deadline().expect("it is tried again");
    shard.at(again).tick();
    shard.expect(&["ask turn"]);
    shard.tell(Event::TurnGranted);
    shard.expect(&["commit lane0#2 marks 1:1 in hand"]);
}

#[test]
fn what_has_no_room_stays_refused_while_marks_are_taken_and_is_called_ever_more_seldom() {
    let mut shard = called_with_care();
    let mut number = 2;
    let mut waits = Vec::new();
    for call in 1..=10 {
        shard.ok(call);
        shard.answer("lane0", number, FULL);
        // The mark goes, the refusal does not.
        shard.answer("lane0", number, TAKEN);
        shard.durable("lane0", number);
        assert!(shard.stats().blocked.is_some(), "call {call}");
        let (from, again) = (shard.now(), shard.deadline().expect("it is tried again"));
        waits.push(again - from);
        shard.at(again).tick();
        shard.tell(Event::TurnGranted);
        shard.answer("lane0", number + 1, TAKEN);
        shard.durable("lane0", number + 1);
        assert!(shard.stats().blocked.is_some(), "call {call}");
        number += 2;
    }
    let [first, second] = [&waits[..5], &waits[5..]].map(|waits| waits.iter().sum::<u64>());
    assert!(second > 4 * first && second > 2_000, "{waits:?}");
    shard.ok(11);
    shard.answer("lane0", number, TAKEN);
    assert_eq!(shard.stats().blocked, None);
}

#[test]
fn when_caution_ends_batches_are_whole_again() {
    let mut shard = careful(settings());
    shard.put("a b");
    shard.put("c");
    shard.tell(Event::TurnGranted);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    shard.tell(Event::Caution { is_on: false });
    shard.expect(&["end turn", "call 1 lane0: 1 fresh"]);
    shard.ok(1);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.forget_all_but(1);
    shard.expect(&["call 2 lane0: 2 fresh"]);
    shard.ok(2);
    shard.answer("lane0", 3, TAKEN);
    shard.put("d e");
    shard.forget_all_but(1);
    assert_eq!(shard.stats().totals.processed, 2);
}

#[test]
fn a_turn_granted_after_it_was_given_up_is_given_back() {
    let mut shard = careful(settings());
    shard.put("a");
    shard.forget();
    shard.tell(Event::Pause {
        until: Timestamp(0),
    });
    shard.expect(&["end turn"]);
    shard.tell(Event::TurnGranted);
    shard.expect(&["end turn"]);
}

#[test]
fn a_marked_record_is_called_though_the_clock_went_back_behind_its_wait() {
    let in_order = MappingSettings {
        ordering: Ordering::Shard,
        ..settings()
    };
    let mut charged = after_death(1);
    for mark in &mut charged.attempts {
        mark.is_in_hand = false;
        mark.next_retry = Timestamp(50);
    }
    let mut shard = Harness::started(in_order, charged);
    shard.at(60).tell(Event::Caution { is_on: true });
    shard.put("a");
    shard.tell(Event::TurnGranted);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    shard.at(10).durable("lane0", 1);
    shard.expect(&["call 1 lane0: 1 fresh"]);
}

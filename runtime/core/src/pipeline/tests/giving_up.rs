//! Records that a person gives up (commit and storage rules §2, "one key, one slot"; §9, "the hand tools
//! end it").

use super::harness::{
    FULL, Harness, TAKEN,
    given::{charged, mark, parked, slow},
    too_large_to_keep,
};
use crate::{
    commit::AttemptMark,
    id::{SlotId, Timestamp},
    mapping::{MappingSettings, Ordering},
    outcome::FailureKind::Retry,
    pipeline::Event,
};

#[test]
fn a_record_given_up_is_a_letter_without_a_call_and_what_waited_behind_it_runs_on() {
    let mut shard = parked(slow());
    shard.give_up(&[1]);
    shard.expect(&["commit retry#1 settles 0-1 letters 1:by-hand:1"]);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["call 2 lane0: 3"]);
    // Told when it is synced, not before.
    shard.durable("retry", 1);
    shard.expect(&["given up 1"]);
    let totals = shard.stats().totals;
    assert_eq!((totals.failed, totals.dead_lettered), (1, 1));
    assert_eq!(shard.stats().parked_keys, 0);
}

/// The last record of a closed shard: its owner is drained as soon as others see that it is settled.
#[test]
fn a_drain_waits_until_who_gave_up_a_record_has_heard_of_it() {
    let mut shard = parked(slow());
    shard.give_up(&[1]);
    shard.forget();
    shard.answer("retry", 1, TAKEN);
    shard.forget();
    shard.tell(Event::Drain {
        until: Timestamp(0),
    });
    let lines = shard.lines();
    assert!(
        !lines.iter().any(|line| line.starts_with("stop")),
        "{lines:?}"
    );
    shard.forget();
    shard.durable("retry", 1);
    shard.expect(&["given up 1", "stop Drained"]);
}

#[test]
fn all_records_of_its_key_are_given_up_where_that_is_asked() {
    let mut shard = parked(slow());
    shard.put("a b");
    let all = shard.records_of_keys(&[1]);
    // The lane has the other key's.
    assert_eq!(all, [1, 3, 4]);
    shard.forget();
    shard.give_up(&all);
    shard.expect(&["commit retry#1 settles 0-1 2-4 letters 1:by-hand:1 3:by-hand:0 4:by-hand:0"]);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    shard.expect(&["release 1", "given up 1", "given up 3", "given up 4"]);
    assert!(shard.records_of_keys(&[1]).is_empty());
}

#[test]
fn what_is_being_called_is_left_to_its_call() {
    // It fails again, or is done: then there is nothing to give up.
    for is_done in [false, true] {
        let mut shard = parked(slow());
        shard.at(100_000).tick();
        shard.expect(&["call 2 retry: 1"]);
        shard.give_up(&[1]);
        shard.give_up(&[1]);
        shard.expect(&[]);
        if is_done {
            shard.ok(2);
            shard.forget();
            shard.answer("retry", 1, TAKEN);
            shard.durable("retry", 1);
            shard.expect(&["call 3 lane0: 3", "over before 1"]);
        } else {
            shard.fail(2, &[(0, Retry)]);
            shard.expect(&["commit retry#1 marks 1:2"]);
            shard.answer("retry", 1, TAKEN);
            shard.expect(&["commit retry#2 settles 0-1 letters 1:by-hand:2"]);
            shard.answer("retry", 2, TAKEN);
            shard.expect(&["call 3 lane0: 3"]);
        }
    }
}

#[test]
fn what_never_failed_is_given_up_where_it_waits_and_what_a_lane_calls_when_that_ends() {
    let mut shard = Harness::new(slow());
    shard.put("a");
    shard.put("b a");
    shard.expect(&["call 1 lane0: 1"]);
    shard.give_up(&[1, 2]);
    shard.expect(&["commit retry#1 settles 1-2 letters 2:by-hand:0"]);
    shard.answer("retry", 1, TAKEN);
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "commit lane0#1 marks 1:1",
        "commit retry#2 settles 0-1 letters 1:by-hand:1",
    ]);
    shard.answer("retry", 2, TAKEN);
    shard.expect(&["release 1", "call 2 lane0: 3"]);
}

#[test]
fn what_is_done_or_unknown_is_over_at_once() {
    let mut shard = parked(slow());
    shard.give_up(&[2, 0]);
    shard.expect(&["over before 0", "over before 2"]);
}

#[test]
fn a_pause_holds_calls_and_not_this() {
    let mut shard = parked(slow());
    shard.put("a");
    shard.tell(Event::Pause {
        until: Timestamp(0),
    });
    shard.forget();
    shard.give_up(&[1]);
    shard.expect(&["commit retry#1 settles 0-1 letters 1:by-hand:1"]);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    shard.expect(&["given up 1"]);
    shard.tell(Event::Resume);
    shard.expect(&["call 2 lane0: 3"]);
}

#[test]
fn what_a_pause_took_back_is_given_up_before_it_is_called_again() {
    for ordering in [Ordering::Key, Ordering::Shard] {
        let mut shard = parked(MappingSettings { ordering, ..slow() });
        shard.at(100_000).tick();
        shard.tell(Event::Pause {
            until: Timestamp(0),
        });
        shard.forget();
        shard.give_up(&[1]);
        let (slot, number) = match ordering {
            Ordering::Key => ("retry", 1),
            Ordering::Shard => ("lane0", 2),
        };
        let letter = format!("commit {slot}#{number} settles 0-1 letters 1:by-hand:1");
        shard.expect(&[letter.as_str()]);
        shard.answer(slot, number, TAKEN);
        shard.durable(slot, number);
        shard.tell(Event::Resume);
        let lines = shard.lines();
        let next = match ordering {
            Ordering::Key => "call 3 lane0: 3",
            Ordering::Shard => "call 3 lane0: 2 3 fresh",
        };
        assert!(lines.iter().any(|line| line == next), "{lines:?}");
    }
}

#[test]
fn within_the_shard_everything_behind_it_runs_at_once() {
    let mut shard = parked(MappingSettings {
        ordering: Ordering::Shard,
        ..slow()
    });
    shard.give_up(&[1]);
    shard.expect(&["commit lane0#2 settles 0-1 letters 1:by-hand:1"]);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.expect(&["call 2 lane0: 2 3 fresh", "given up 1"]);
    // Not what waits for its own retry.
    shard.fail(2, &[(0, Retry)]);
    shard.answer("lane0", 3, TAKEN);
    shard.durable("lane0", 3);
    shard.forget();
    shard.give_up(&[3]);
    shard.expect(&["commit lane0#4 settles 2-3 letters 3:by-hand:0"]);
    shard.answer("lane0", 4, TAKEN);
    shard.expect(&[]);
    assert!(shard.deadline().is_some_and(|due| due > 0));
}

/// An owner that has just started and has read nothing yet.
#[test]
fn what_an_earlier_owner_charged_is_given_up_when_it_is_read() {
    for (ordering, is_in_hand) in [
        (Ordering::Key, false),
        (Ordering::Shard, false),
        (Ordering::Key, true),
    ] {
        let mark = AttemptMark {
            is_in_hand,
            ..mark(1, 3, 90_000)
        };
        let start = charged(vec![mark]);
        let mut shard = Harness::started(MappingSettings { ordering, ..slow() }, start);
        shard.give_up(&[1]);
        shard.expect(&[]);
        assert_eq!(shard.records_of_keys(&[1]), [1]);
        shard.put("a a");
        let attempts = if is_in_hand { 2 } else { 3 };
        let slot = match ordering {
            Ordering::Key => "retry",
            Ordering::Shard => "lane0",
        };
        let letter = format!("commit {slot}#1 settles 0-1 letters 1:by-hand:{attempts}");
        shard.expect(&[letter.as_str()]);
        shard.answer(slot, 1, TAKEN);
        shard.expect(&["call 1 lane0: 2"]);
    }
}

#[test]
fn with_care_a_marked_record_is_left_to_its_call_and_no_turn_is_needed_for_a_letter() {
    let mut shard = parked(slow());
    shard.tell(Event::Caution { is_on: true });
    shard.at(100_000).tick();
    shard.tell(Event::TurnGranted);
    shard.answer("retry", 1, TAKEN);
    shard.forget();
    // Marked, not called yet.
    shard.give_up(&[1]);
    shard.expect(&[]);
    shard.durable("retry", 1);
    shard.fail(2, &[(0, Retry)]);
    shard.answer("retry", 2, TAKEN);
    shard.expect(&[
        "call 2 retry: 1 fresh",
        "commit retry#2 marks 1:2",
        "end turn",
        "commit retry#3 settles 0-1 letters 1:by-hand:2",
    ]);
}

#[test]
fn payload_that_was_let_go_is_read_again_for_the_letter() {
    let mut shard = too_large_to_keep(slow());
    shard.put("a b");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    shard.give_up(&[1]);
    shard.expect(&["reread retry: 1"]);
    shard.reread(SlotId::Retry, &[1]);
    shard.expect(&["commit retry#1 settles 0-1 letters 1:by-hand:1"]);
}

/// A letter that waited for the end of the pause would hold the retry slot from those of other keys.
#[test]
fn payload_that_was_let_go_is_read_again_for_a_letter_while_the_mapping_is_paused() {
    let mut shard = too_large_to_keep(slow());
    shard.put("a b");
    shard.fail(1, &[(0, Retry), (1, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.tell(Event::Pause {
        until: Timestamp(0),
    });
    for (record, number) in [(1, 1), (2, 2)] {
        shard.forget();
        shard.give_up(&[record]);
        shard.expect(&[format!("reread retry: {record}").as_str()]);
        shard.reread(SlotId::Retry, &[record]);
        let lines = shard.lines();
        let before = record - 1;
        let letter =
            format!("commit retry#{number} settles {before}-{record} letters {record}:by-hand:1");
        assert!(lines.contains(&letter), "{lines:?}");
        shard.answer("retry", number, TAKEN);
        shard.durable("retry", number);
        let lines = shard.lines();
        assert!(lines.contains(&format!("given up {record}")), "{lines:?}");
    }
}

#[test]
fn a_refused_letter_is_sent_again_and_a_pause_drops_it_until_the_mapping_goes_on() {
    let mut shard = parked(slow());
    shard.give_up(&[1]);
    shard.forget();
    shard.answer("retry", 1, FULL);
    let due = shard.deadline().unwrap();
    shard.at(due).tick();
    shard.expect(&["resend retry#1 processed 1"]);
    shard.answer("retry", 1, FULL);
    shard.tell(Event::Pause {
        until: Timestamp(0),
    });
    shard.tell(Event::Resume);
    let lines = shard.lines();
    let again = "commit retry#1 settles 0-1 letters 1:by-hand:1";
    assert!(lines.iter().any(|line| line == again), "{lines:?}");
}

#[test]
fn what_waits_behind_a_redriven_letter_is_given_up_behind_it() {
    let mut shard = Harness::new(slow());
    shard.redrive(7, "a");
    shard.put("a b a");
    shard.forget();
    shard.give_up(&[1]);
    shard.expect(&[]);
    shard.ok(2);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["commit lane0#1 settles 1-2"]);
    shard.ok(1);
    shard.answer("retry", 1, TAKEN);
    // Not in front of the letter that was there before.
    let lines = shard.lines();
    let letters = "commit retry#2 settles 0-1 letters 1:by-hand:0";
    assert!(lines.iter().any(|line| line == letters), "{lines:?}");
    let is_called = lines.iter().any(|line| line.starts_with("call"));
    assert!(!is_called, "{lines:?}");
}

#[test]
fn what_is_about_to_be_bisected_is_given_up_before_its_piece_is_called_again() {
    let mut shard = Harness::new(MappingSettings {
        bisect_on_error: true,
        ..slow()
    });
    shard.put("a b c d");
    shard.forget();
    shard.trap(1);
    shard.expect(&["call 2 retry: 1 2 fresh"]);
    shard.give_up(&[1, 4]);
    shard.trap(2);
    shard.expect(&["commit retry#1 settles 0-1 3-4 letters 1:by-hand:0 4:by-hand:0"]);
    shard.answer("retry", 1, TAKEN);
    let lines = shard.lines();
    let next = "call 3 retry: 2 fresh";
    assert!(lines.iter().any(|line| line == next), "{lines:?}");
}

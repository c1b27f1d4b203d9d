//! Records of windows that a person gives up.

use super::*;

/// Record 1 of a group failed, 3 is behind it, both of window 0; 2 is of another group, and done.
fn parked(settings: MappingSettings) -> Harness {
    let mut shard = Harness::new(waiting_ms(settings, 50_000));
    shard.put("a b a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.leaving(b"b").ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.forget();
    shard
}

#[test]
fn a_record_given_up_is_a_letter_and_its_group_goes_on_without_it() {
    let mut shard = parked(windowed());
    assert_eq!(shard.stats().parked_keys, 1);
    shard.give_up(&[1]);
    shard.expect(&["commit lane0#3 settles 0-1 letters 1:by-hand:1"]);
    shard.answer("lane0", 3, TAKEN);
    shard.expect(&["call 3 lane0: 3 fresh in 0-1000 []"]);
    shard.durable("lane0", 3);
    shard.expect(&["given up 1"]);
    shard.leaving(b"3").ok(3);
    shard.answer("lane0", 4, TAKEN);
    let totals = shard.stats().totals;
    assert_eq!((totals.processed, totals.dead_lettered), (2, 1));
    assert_eq!(shard.stats().parked_keys, 0);
}

#[test]
fn what_waits_behind_the_failing_record_is_given_up_without_ending_its_wait() {
    let mut shard = parked(windowed());
    shard.put("a");
    let due = shard.deadline();
    shard.give_up(&[3, 4]);
    shard.expect(&["commit lane0#3 settles 2-4 letters 3:by-hand:0 4:by-hand:0"]);
    shard.answer("lane0", 3, TAKEN);
    shard.durable("lane0", 3);
    shard.forget();
    assert_eq!(shard.stats().parked_keys, 1);
    assert_eq!(shard.deadline(), due);
    shard.at(due.unwrap()).tick();
    shard.expect(&["call 3 lane0: 1 fresh in 0-1000 []"]);
}

#[test]
fn all_of_a_key_is_given_up_and_other_keys_of_its_group_go_on() {
    let settings = MappingSettings {
        key_groups: 1,
        ..windowed()
    };
    let mut shard = Harness::new(waiting_ms(settings, 50_000));
    shard.put("a b a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget();
    let all = shard.records_of_keys(&[1]);
    assert_eq!(all, [1, 3]);
    shard.give_up(&all);
    shard.expect(&["commit lane0#2 settles 0-1 2-3 letters 1:by-hand:1 3:by-hand:0"]);
    shard.answer("lane0", 2, TAKEN);
    shard.expect(&["call 2 lane0: 2 fresh in 0-1000 []"]);
}

#[test]
fn what_a_call_has_in_hand_is_left_to_it_and_given_up_when_it_fails() {
    let mut shard = Harness::new(waiting_ms(windowed(), 50_000));
    shard.put("a");
    shard.give_up(&[1]);
    shard.expect(&["call 1 lane0: 1 in 0-1000 []"]);
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "commit lane0#1 marks 1:1",
        "commit lane0#2 settles 0-1 letters 1:by-hand:1",
    ]);
    // A call that does it has the last word.
    let mut shard = Harness::new(windowed());
    shard.put("a");
    shard.give_up(&[1]);
    shard.leaving(b"1").ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    let lines = shard.lines();
    assert!(lines.contains(&"over before 1".to_owned()), "{lines:?}");
}

/// A pause holds calls, not this.
#[test]
fn while_the_mapping_is_paused_records_are_given_up_and_nothing_is_called() {
    let mut shard = parked(windowed());
    shard.tell(Event::Pause {
        until: Timestamp(5_000),
    });
    shard.forget();
    shard.give_up(&[1]);
    shard.expect(&["commit lane0#3 settles 0-1 letters 1:by-hand:1"]);
    shard.answer("lane0", 3, TAKEN);
    shard.durable("lane0", 3);
    shard.expect(&["given up 1"]);
    shard.tell(Event::Resume);
    shard.expect(&["call 3 lane0: 3 fresh in 0-1000 []"]);
}

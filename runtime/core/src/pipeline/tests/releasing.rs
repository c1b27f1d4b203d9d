//! What a person sees of charged records and does to them (commit and storage rules §2, "one key, one
//! slot").

use super::harness::{
    Harness, TAKEN,
    given::{charged, mark, parked, slow},
};
use crate::{
    id::{Ordinal, Timestamp},
    mapping::{MappingSettings, Ordering},
    outcome::FailureKind::Retry,
    pipeline::Event,
};

fn release(positions: &[u64]) -> Event {
    Event::Release {
        positions: positions.iter().copied().map(Ordinal).collect(),
    }
}

#[test]
fn a_released_key_is_tried_without_waiting_its_backoff() {
    let mut shard = parked(slow());
    assert!(shard.deadline().is_some_and(|due| due > 0));
    shard.tell(release(&[1]));
    shard.expect(&["call 2 retry: 1"]);
}

#[test]
fn releasing_what_is_done_unknown_or_not_charged_does_nothing() {
    for position in [2, 3, 9, 0] {
        let mut shard = parked(slow());
        let due = shard.deadline();
        shard.tell(release(&[position]));
        // 3 waits behind 1: its key has its turn now.
        if position == 3 {
            shard.expect(&["call 2 retry: 1"]);
        } else {
            shard.expect(&[]);
            assert_eq!(shard.deadline(), due, "{position}");
        }
    }
}

#[test]
fn a_key_that_is_being_called_is_left_to_its_call_and_waits_anew_when_that_fails() {
    let mut shard = parked(slow());
    shard.tell(release(&[1]));
    shard.tell(release(&[1]));
    shard.expect(&["call 2 retry: 1"]);
    shard.fail(2, &[(0, Retry)]);
    shard.tell(release(&[1]));
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["commit retry#1 marks 1:2"]);
    assert!(shard.deadline().is_some_and(|due| due > 0));
    shard.tell(release(&[1]));
    shard.expect(&["call 3 retry: 1"]);
}

#[test]
fn what_is_released_while_paused_is_tried_at_once_when_the_mapping_goes_on() {
    let mut shard = parked(slow());
    shard.tell(Event::Pause {
        until: Timestamp(0),
    });
    shard.tell(release(&[1]));
    shard.expect(&[]);
    shard.tell(Event::Resume);
    shard.expect(&["call 2 retry: 1"]);
}

#[test]
fn within_the_shard_a_release_ends_the_wait_as_well() {
    let mut shard = parked(MappingSettings {
        ordering: Ordering::Shard,
        ..slow()
    });
    let due = shard.deadline();
    shard.tell(release(&[2]));
    shard.expect(&[]);
    assert_eq!(shard.deadline(), due);
    shard.tell(release(&[1]));
    shard.expect(&["call 2 lane0: 1 2 3 fresh"]);
}

/// An owner that has just started, paused, has read nothing yet.
#[test]
fn what_an_earlier_owner_charged_is_released_before_it_is_read() {
    for ordering in [Ordering::Key, Ordering::Shard] {
        let settings = MappingSettings { ordering, ..slow() };
        let mut shard = Harness::started(settings, charged(vec![mark(1, 3, 90_000)]));
        shard.tell(release(&[1]));
        shard.put("a");
        let lines = shard.lines();
        let is_called = lines.iter().any(|line| line.starts_with("call 1 "));
        assert!(is_called, "{lines:?}");
    }
}

#[test]
fn what_waits_behind_a_charged_record_and_why_is_told_until_it_is_done() {
    let mut shard = parked(slow());
    shard.put("a");
    let told = shard.parked_records(&[1, 2, 9]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].position, told[0].waiting), (Ordinal(1), 2));
    assert!(told[0].failure.is_some());
    shard.tell(release(&[1]));
    shard.ok(2);
    shard.answer("retry", 1, TAKEN);
    assert_eq!(shard.parked_records(&[1]), []);
}

#[test]
fn within_the_shard_everything_waits_behind_a_charged_record() {
    let shard = parked(MappingSettings {
        ordering: Ordering::Shard,
        ..slow()
    });
    assert_eq!(shard.parked_records(&[1])[0].waiting, 2);
}

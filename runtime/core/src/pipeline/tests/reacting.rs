//! `on_fatal` and `on_failure_full` (commit and storage rules §4 and §7).

use super::harness::{Harness, TAKEN, running::returned, settings};
use crate::{
    commit::{CommitAnswer, Unavailable},
    mapping::{MappingSettings, OnFailureFull, OnFatal, Ordering},
    outcome::FailureKind::{Fatal, Skip},
    pipeline::Event,
};

const LETTERS_FULL: CommitAnswer = CommitAnswer::Unavailable(Unavailable::DeadLettersFull);

#[test]
fn a_fatal_record_is_a_dead_letter_where_the_mapping_asks_for_that() {
    let mut shard = Harness::new(MappingSettings {
        on_fatal: OnFatal::DeadLetter,
        ..settings()
    });
    shard.put("b a");
    shard.fail(1, &[(1, Fatal)]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "call 1 lane0: 1 2",
        "commit lane0#1 settles 0-2 letters 2:fatal:1",
        "release 1",
    ]);
    assert_eq!(shard.stats().totals.processed, 1);
}

/// A function that says so looks at nothing that is behind: it is called again, whatever is said of it.
#[test]
fn what_is_behind_a_fatal_record_is_called_again_and_costs_nothing() {
    for (settings, calls) in [
        (settings(), &[&[1, 2, 3, 4, 5][..], &[3, 4, 5], &[5]]),
        (
            MappingSettings {
                ordering: Ordering::Shard,
                ..settings()
            },
            &[&[1, 2, 3, 4, 5][..], &[3, 4, 5], &[5]],
        ),
        // A failed record discards its call there.
        (
            MappingSettings {
                tumbling_window_ms: 1_000,
                key_groups: 1,
                ..settings()
            },
            &[&[1, 2, 3, 4, 5][..], &[1, 3, 4, 5], &[1, 3, 5]],
        ),
    ] {
        let mut shard = Harness::new(MappingSettings {
            on_fatal: OnFatal::DeadLetter,
            ..settings
        });
        shard.put("a b c b d");
        let called = shard.run_until(0, |records| {
            let at = records.iter().position(|record| [2, 4].contains(record));
            match at.and_then(|at| u32::try_from(at).ok()) {
                Some(at) => returned(&[(at, Fatal), (at + 1, Skip)]),
                None => returned(&[]),
            }
        });
        let called: Vec<_> = called.into_iter().map(|(_, records)| records).collect();
        assert_eq!(called, calls);
        let totals = shard.stats().totals;
        assert_eq!((totals.processed, totals.dead_lettered), (3, 2));
        assert_eq!(totals.failed, 2, "the two that are letters");
    }
}

#[test]
fn letters_that_find_no_room_are_dropped_and_counted_at_once() {
    let mut shard = Harness::new(MappingSettings {
        on_failure_full: OnFailureFull::DropAndCount,
        ..settings()
    });
    shard.put("a b");
    shard.fail(1, &[(0, Skip)]);
    shard.answer("lane0", 1, LETTERS_FULL);
    shard.expect(&[
        "call 1 lane0: 1 2",
        "commit lane0#1 settles 0-2 letters 1:skip:1",
        "resend lane0#1 processed 1 dropped 1",
    ]);
    assert_eq!(shard.stats().blocked, None);
    // Another refusal waits as ever, and it is still sent without.
    shard.answer("lane0", 1, CommitAnswer::Unavailable(Unavailable::DiskFull));
    assert_eq!(shard.stats().blocked, Some(Unavailable::DiskFull));
    let due = shard.deadline().unwrap();
    shard.at(due).tick();
    shard.expect(&["resend lane0#1 processed 1 dropped 1"]);
    shard.answer("lane0", 1, TAKEN);
    let totals = shard.stats().totals;
    assert_eq!(
        (totals.processed, totals.dead_lettered, totals.dropped),
        (1, 0, 1)
    );
}

#[test]
fn with_hold_a_lane_waits_for_room() {
    let mut shard = Harness::new(settings());
    shard.put("a");
    shard.fail(1, &[(0, Skip)]);
    shard.answer("lane0", 1, LETTERS_FULL);
    assert_eq!(shard.stats().blocked, Some(Unavailable::DeadLettersFull));
    shard.forget();
    shard.tick();
    shard.expect(&[]);
}

/// The marked record of a careful call goes without its letter, too: the turn is not kept.
#[test]
fn with_caution_letters_are_dropped_as_well() {
    let mut shard = Harness::new(MappingSettings {
        on_failure_full: OnFailureFull::DropAndCount,
        ..settings()
    });
    shard.tell(Event::Caution { is_on: true });
    shard.put("a");
    shard.tell(Event::TurnGranted);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.fail(1, &[(0, Skip)]);
    shard.forget();
    shard.answer("lane0", 2, LETTERS_FULL);
    shard.expect(&["resend lane0#2 processed 0 dropped 1"]);
    shard.answer("lane0", 2, TAKEN);
    shard.expect(&["release 1", "end turn"]);
}

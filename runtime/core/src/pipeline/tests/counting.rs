//! What is counted when a record ends, and how old the oldest one is meanwhile (Lambda ESM specification
//! §18, §22 row Metrics).

use super::harness::{FULL, Harness, TAKEN, settings};
use crate::{
    commit::{CommitAnswer, Unavailable, UnitTotals},
    id::Timestamp,
    mapping::{MappingSettings, MaxAttempts, OnFailureFull, OnUnparsable},
    outcome::FailureKind::{Retry, Skip},
    pipeline::Event,
};

/// What happens, by what rules, and what has been counted then.
type Row = (&'static str, MappingSettings, fn(&mut Harness), UnitTotals);

fn take_first(shard: &mut Harness) {
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
}

fn rows() -> Vec<Row> {
    let once = MappingSettings {
        max_attempts: MaxAttempts::Count(1),
        ..settings()
    };
    let no_room = |shard: &mut Harness| {
        shard.put("a b");
        shard.fail(1, &[(0, Skip)]);
        let full = CommitAnswer::Unavailable(Unavailable::DeadLettersFull);
        shard.answer("lane0", 1, full);
        shard.answer("lane0", 1, TAKEN);
    };
    let nothing = UnitTotals::default();
    vec![
        (
            "success",
            settings(),
            |shard| {
                shard.put("a b");
                shard.ok(1);
                take_first(shard);
            },
            UnitTotals {
                processed: 2,
                ..nothing
            },
        ),
        (
            "a result that is not accepted yet",
            settings(),
            |shard| {
                shard.put("a b");
                shard.ok(1);
                shard.answer("lane0", 1, FULL);
            },
            nothing,
        ),
        (
            "a retry that waits",
            settings(),
            |shard| {
                shard.put("a b");
                shard.fail(1, &[(0, Retry)]);
                take_first(shard);
            },
            UnitTotals {
                processed: 1,
                failed: 1,
                ..nothing
            },
        ),
        (
            "a retry that succeeds",
            settings(),
            |shard| {
                shard.put("a");
                shard.fail(1, &[(0, Retry)]);
                take_first(shard);
                shard.at(100).tick();
                shard.ok(2);
                shard.answer("retry", 1, TAKEN);
            },
            UnitTotals {
                processed: 1,
                failed: 1,
                ..nothing
            },
        ),
        (
            "a call that failed as a whole: every record of it is charged",
            settings(),
            |shard| {
                shard.put("a b c");
                shard.timeout(1);
                take_first(shard);
            },
            UnitTotals {
                failed: 3,
                ..nothing
            },
        ),
        (
            "a call that was not made",
            settings(),
            |shard| {
                shard.put("a");
                shard.host_fault(1);
            },
            nothing,
        ),
        (
            "given up, out of attempts",
            once,
            |shard| {
                shard.put("a b");
                shard.fail(1, &[(0, Retry)]);
                take_first(shard);
            },
            UnitTotals {
                processed: 1,
                failed: 1,
                dead_lettered: 1,
                ..nothing
            },
        ),
        (
            "given up, too old: no attempt",
            MappingSettings {
                batch_window_ms: 50,
                max_record_age_ms: Some(49),
                ..settings()
            },
            |shard| {
                shard.put("a");
                shard.at(50).tick();
                take_first(shard);
            },
            UnitTotals {
                dead_lettered: 1,
                ..nothing
            },
        ),
        (
            "given up without room for the letter: dropped and counted as that",
            MappingSettings {
                on_failure_full: OnFailureFull::DropAndCount,
                ..settings()
            },
            no_room,
            UnitTotals {
                processed: 1,
                failed: 1,
                dropped: 1,
                ..nothing
            },
        ),
        (
            "filtered",
            settings(),
            |shard| {
                shard.put("a NO NO");
                shard.ok(1);
                shard.answer("retry", 1, TAKEN);
                take_first(shard);
            },
            UnitTotals {
                processed: 1,
                filtered: 2,
                ..nothing
            },
        ),
        (
            "not JSON, where that is dropped: filtered",
            MappingSettings {
                on_unparsable: OnUnparsable::Drop,
                ..settings()
            },
            |shard| {
                shard.put("BAD");
                shard.answer("retry", 1, TAKEN);
            },
            UnitTotals {
                filtered: 1,
                ..nothing
            },
        ),
    ]
}

#[test]
fn every_end_of_a_record_has_its_counter() {
    for (what, settings, happens, expected) in rows() {
        let mut shard = Harness::new(settings);
        happens(&mut shard);
        assert_eq!(shard.stats().totals, expected, "{what}");
    }
}

/// Lambda's iterator age is that of the last record sent, and says nothing while nothing is sent. Ours is
/// that of the oldest record that is not settled.
#[test]
fn the_age_of_a_shard_is_that_of_its_oldest_open_record_whatever_holds_it() {
    let oldest = |shard: &Harness| shard.stats().oldest_arrival.map(|Timestamp(at)| at);
    // A key that waits for its retry, while every other one goes on.
    let mut shard = Harness::new(MappingSettings {
        max_attempts: MaxAttempts::Count(2),
        ..settings()
    });
    assert_eq!(oldest(&shard), None);
    shard.at(1_000).put("a");
    assert_eq!(oldest(&shard), Some(1_000));
    shard.fail(1, &[(0, Retry)]);
    take_first(&mut shard);
    shard.at(1_010).put("b");
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    assert_eq!(oldest(&shard), Some(1_000), "b is done, a is not");
    shard.at(1_100).tick();
    shard.fail(3, &[(0, Retry)]);
    shard.answer("retry", 1, TAKEN);
    assert_eq!(oldest(&shard), None, "given up is settled");

    // A result that is not taken, and a pause.
    let mut shard = Harness::new(settings());
    shard.at(2_000).put("a");
    shard.ok(1);
    shard.answer("lane0", 1, FULL);
    shard.at(9_000).put("b");
    assert_eq!(oldest(&shard), Some(2_000));
    shard.tell(Event::Pause {
        until: Timestamp(9_000),
    });
    shard.at(99_000).tick();
    assert_eq!(oldest(&shard), Some(2_000));
}

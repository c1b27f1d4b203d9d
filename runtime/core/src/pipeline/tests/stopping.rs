//! Owners that pause, drain, are fenced, and hand over (commit and storage rules §2).

use super::harness::{
    FULL, Harness, TAKEN,
    given::{beginning, mark},
    settings,
};
use crate::{
    commit::{AttemptMark, CommitAnswer, UnitTotals},
    id::{FunctionVersion, LeaseEpoch, Ordinal, SlotId, Timestamp},
    mapping::MappingSettings,
    outcome::FailureKind::{Fatal, Retry},
    pipeline::{Event, Started},
    settled::{Settled, SettledRange},
};

/// Schedules 22 and 23: another factor, another version, over gaps, marks and a parked key.
#[test]
fn another_owner_goes_on_with_what_was_committed_whatever_its_factor() {
    let charged_by = |version, position| AttemptMark {
        version: FunctionVersion(version),
        ..mark(position, 2, 500)
    };
    let mut settled = Settled::starting_after(Ordinal(3));
    settled.settle(SettledRange {
        after: Ordinal(4),
        through: Ordinal(5),
    });
    let start = Started {
        epoch: LeaseEpoch(9),
        settled,
        // The second is of a version that is called no more: it starts from nothing.
        attempts: vec![charged_by(1, 4), charged_by(7, 6)],
        totals: UnitTotals {
            processed: 4,
            ..UnitTotals::default()
        },
        tail: Ordinal(8),
        ..beginning()
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

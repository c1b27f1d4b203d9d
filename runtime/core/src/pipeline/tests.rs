//! Schedules told event by event. The harness turns actions into short lines; a test shows the
//! schedule, not the plumbing.

mod aging;
mod batching;
mod bisecting;
mod canary;
mod caution;
mod circuit;
mod counting;
mod failing;
mod feeding;
mod filtered;
mod giving_up;
mod harness;
mod in_order;
mod ordering;
mod reacting;
mod redrive;
mod releasing;
mod retrying;
mod stopping;
mod together;
mod windows;

use self::harness::{FULL, Harness, TAKEN, settings};
use super::*;
use crate::{
    breaker::Outages, commit::Unavailable, mapping::MaxAttempts, outcome::FailureKind::Retry,
    settled::SettledRange,
};

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

/// An earlier owner settled ranges above its low watermark: nobody reads them again, so that retention
/// may trim them while this owner works, and they still count in the bound of the done-set.
#[test]
fn what_an_earlier_owner_settled_is_passed_over() {
    /// Ranges done above 0, records that a read brings, and where the reads go on from.
    type Row = (&'static [(u64, u64)], u64, &'static [u64]);
    let table: [Row; 5] = [
        (&[(1, 50)], 1, &[0, 50]),
        (&[(1, 50)], 3, &[0, 50]),
        (&[(2, 50)], 1, &[0, 1, 50]),
        (&[(1, 3), (4, 50)], 1, &[0, 3, 50]),
        (&[(1, 3), (4, 50)], 7, &[0, 50]),
    ];
    for (done, count, afters) in table {
        let mut settled = Settled::default();
        for &(after, through) in done {
            let (after, through) = (Ordinal(after), Ordinal(through));
            settled.settle(SettledRange { after, through });
        }
        let start = Started {
            epoch: LeaseEpoch(2),
            settled,
            attempts: Vec::new(),
            totals: UnitTotals::default(),
            tail: Ordinal(60),
            windows: BTreeMap::new(),
            outages: Outages::default(),
            is_closed: false,
        };
        let mut shard = Harness::started(settings(), start);
        let (last, reads) = afters.split_last().unwrap();
        for &after in reads {
            assert_eq!(shard.fetch_asked(), Some(Ordinal(after)), "{done:?}");
            shard.fetched_many(Ordinal(after), count);
        }
        assert_eq!(shard.fetch_asked(), Some(Ordinal(*last)), "{done:?}");
        let stats = shard.stats();
        assert_eq!(stats.low_watermark, Ordinal(0), "{done:?}");
        assert_eq!(stats.window_records, 50, "{done:?}");
        let mut number = 0;
        while let Some(call) = shard.running() {
            number += 1;
            shard.ok(call);
            shard.answer("lane0", number, TAKEN);
            shard.durable("lane0", number);
        }
        let stats = shard.stats();
        assert_eq!(stats.low_watermark, Ordinal(50), "{done:?}");
        assert_eq!(stats.window_records, 0, "{done:?}");
    }
}

//! Records that the filter lets fall, or cannot judge (Lambda ESM specification §13, §20 rows 7 and 8, §22
//! rows Batch and Filter).

use super::*;
use crate::{filter::FilterVerdict, mapping::OnUnparsable};

/// Section 20 row 7: all records of a poll filtered.
#[test]
fn the_position_moves_over_filtered_records_without_a_call() {
    let mut shard = Harness::new(settings());
    shard.put("NO NO");
    shard.expect(&["release 1", "commit retry#1 settles 0-2"]);
    assert_eq!(shard.stats().low_watermark, Ordinal(0), "not accepted yet");
    shard.answer("retry", 1, TAKEN);
    let stats = shard.stats();
    assert_eq!(stats.low_watermark, Ordinal(2));
    assert_eq!((stats.totals.filtered, stats.totals.processed), (2, 0));
    assert_eq!(stats.oldest_arrival, None, "caught up");
    assert_eq!(shard.deadline(), None, "nothing is polled");
}

#[test]
fn filtered_records_alone_make_one_commit_a_second_at_most() {
    let mut shard = Harness::new(settings());
    shard.put("NO");
    shard.answer("retry", 1, TAKEN);
    shard.forget();
    shard.at(10).put("NO");
    shard.at(20).put("NO");
    shard.expect(&["release 2", "release 3"]);
    assert_eq!(shard.deadline(), Some(1_000));
    shard.at(1_000).tick();
    shard.expect(&["commit retry#2 settles 1-3"]);
}

#[test]
fn a_clock_that_goes_back_lengthens_no_wait_of_filtered_records() {
    let mut shard = Harness::new(settings());
    shard.at(1_000_000).put("NO");
    shard.answer("retry", 1, TAKEN);
    shard.at(1_000_010).put("NO");
    shard.at(5).tick();
    assert_eq!(shard.deadline(), Some(1_005));
}

#[test]
fn filtered_records_ride_on_the_next_commit() {
    let mut shard = Harness::new(settings());
    shard.put("NO");
    shard.answer("retry", 1, TAKEN);
    shard.forget();
    shard.at(10).put("NO a NO b NO");
    shard.expect(&["call 1 lane0: 3 5"]);
    shard.ok(1);
    shard.expect(&["commit lane0#1 settles 1-6"]);
    shard.answer("lane0", 1, TAKEN);
    let stats = shard.stats();
    assert_eq!(stats.low_watermark, Ordinal(6));
    assert_eq!((stats.totals.filtered, stats.totals.processed), (4, 2));
    assert_eq!(shard.deadline(), None);
}

/// Section 22, "Batch": filtered records do not count.
#[test]
fn filtered_records_fill_no_batch_and_open_no_window() {
    let mut shard = Harness::new(MappingSettings {
        batch_size: 2,
        batch_window_ms: 500,
        ..settings()
    });
    shard.put("NO NO NO");
    shard.answer("retry", 1, TAKEN);
    shard.forget();
    shard.at(100).put("NO a NO NO");
    assert_eq!(shard.deadline(), Some(600), "the window begins with `a`");
    shard.at(200).put("NO b");
    shard.expect(&["call 1 lane0: 5 9"]);
}

#[test]
fn a_refused_commit_of_filtered_records_is_sent_again() {
    let mut shard = Harness::new(settings());
    shard.put("NO a");
    shard.expect(&["call 1 lane0: 2", "commit retry#1 settles 0-1"]);
    shard.answer("retry", 1, FULL);
    let resend = shard.deadline().unwrap();
    shard.at(resend).tick();
    shard.expect(&["resend retry#1 processed 0"]);
    shard.answer("retry", 1, TAKEN);
    assert_eq!(shard.stats().totals.filtered, 1);
    assert_eq!(shard.stats().low_watermark, Ordinal(1));
}

#[test]
fn what_rode_on_a_dropped_commit_rides_on_the_next_one() {
    let mut shard = Harness::new(settings());
    shard.put("NO");
    shard.answer("retry", 1, TAKEN);
    shard.at(10).put("a NO");
    shard.ok(1);
    shard.answer("lane0", 1, FULL);
    shard.forget();
    shard.tell(Event::DropRefused {
        slot: SlotId::Lane(0),
    });
    shard.expect(&["drop lane0#1", "call 2 lane0: 2 fresh"]);
    shard.ok(2);
    shard.expect(&["commit lane0#1 settles 1-3"]);
    shard.answer("lane0", 1, TAKEN);
    assert_eq!(shard.stats().totals.filtered, 2);
}

#[test]
fn a_drain_does_not_wait_for_filtered_records() {
    let mut shard = Harness::new(settings());
    shard.put("NO");
    shard.answer("retry", 1, TAKEN);
    shard.at(10).put("NO");
    shard.forget();
    shard.tell(Event::Drain {
        until: Timestamp(1_000),
    });
    shard.expect(&["stop Drained"]);
}

#[test]
fn lanes_that_have_enough_to_do_do_not_hasten_the_commit_of_filtered_records() {
    let mut shard = Harness::new(MappingSettings {
        batch_size: 1,
        ..settings()
    });
    shard.put("NO");
    shard.answer("retry", 1, TAKEN);
    shard.at(10).put("NO");
    shard.tail(5_000);
    shard.forget();
    shard.fetched_many(Ordinal(2), 4_000);
    shard.expect(&["call 1 lane0: 3"]);
    assert_eq!(shard.deadline(), Some(1_000));
}

/// Found by the simulation: the deadline lay in the past while a commit waited behind another one.
#[test]
fn filtered_records_that_will_ride_want_no_tick() {
    let mut shard = Harness::new(MappingSettings {
        parallelization_factor: 2,
        ..settings()
    });
    shard.put("a b");
    shard.ok(1);
    shard.ok(2);
    shard.at(10).put("NO");
    assert_eq!(shard.deadline(), None);
    shard.answer("lane0", 1, TAKEN);
    shard.answer("lane1", 1, TAKEN);
    assert_eq!(shard.stats().totals.filtered, 1);
    assert_eq!(shard.stats().low_watermark, Ordinal(3));
}

/// The bound of the done-set counts them: then they do not wait for their second.
#[test]
fn a_flood_of_filtered_records_is_committed_as_soon_as_it_holds_up_reading() {
    let mut shard = Harness::new(settings());
    shard.put("NO");
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    shard.many = FilterVerdict::NoMatch;
    let bound = limits::UNSETTLED_RECORDS_MAX;
    shard.at(10).tail(bound * 2);
    shard.forget();
    while let Some(after) = shard.fetch_asked() {
        shard.fetched_many(after, bound / 4);
        if shard.lines().iter().any(|line| line.starts_with("commit")) {
            break;
        }
    }
    assert_eq!(shard.stats().window_records, bound);
    shard.answer("retry", 2, TAKEN);
    assert_eq!(shard.stats().low_watermark, Ordinal(bound + 1));
    assert_eq!(shard.fetch_asked(), Some(Ordinal(bound + 1)));
}

/// Section 21 row 12: one rule for every source.
#[test]
fn a_record_that_cannot_be_judged_falls_passes_or_becomes_a_letter() {
    let with = |on_unparsable| MappingSettings {
        on_unparsable,
        ..settings()
    };
    let mut shard = Harness::new(with(OnUnparsable::Drop));
    shard.put("BAD");
    shard.expect(&["release 1", "commit retry#1 settles 0-1"]);

    let mut shard = Harness::new(with(OnUnparsable::Pass));
    shard.put("BAD");
    shard.expect(&["call 1 lane0: 1"]);

    let mut shard = Harness::new(with(OnUnparsable::DeadLetter));
    shard.put("b BAD b");
    shard.expect(&["call 1 lane0: 1"]);
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&[
        "commit lane0#1 settles 0-1",
        "commit lane0#2 settles 1-2 letters 2:unparsable:0",
    ]);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.expect(&["call 2 lane0: 3"]);
    let totals = shard.stats().totals;
    assert_eq!((totals.filtered, totals.dead_lettered), (0, 1));
}

/// A parked key holds back no record that nobody will be given.
#[test]
fn filtered_records_of_a_parked_key_settle_at_once() {
    let mut shard = Harness::new(settings());
    shard.put("N");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    shard.put("NO");
    shard.expect(&["release 2", "commit retry#1 settles 1-2"]);
    shard.answer("retry", 1, TAKEN);
    assert_eq!(shard.stats().low_watermark, Ordinal(0));
    assert_eq!(shard.stats().totals.filtered, 1);
}

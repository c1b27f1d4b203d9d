//! Calls that hang, and what they hold.

use super::*;
use crate::{limits, recent::RecentCut};

/// One lane; ten records wait for its call, which has run for so long.
fn hanging(ran_ms: u64) -> World {
    let mut world = World::new();
    world.behind();
    world.status.settings.parallelization_factor = 1;
    world.status.shards.truncate(1);
    world.status.pending_records = 10;
    world.recent.busy_permille = 970;
    world.hangs(ran_ms);
    world
}

#[test]
fn a_call_that_hangs_is_told_with_how_long_and_no_lane_is_offered_for_it() {
    let mut world = hanging(20_000);
    // More was settled than came, and soon all would be: it is the oldest that stands still.
    world.recent.adds.processed = 20_000;
    let found = world.diagnosed();
    assert_eq!(found.code, "function-slow");
    assert_eq!(
        found.message,
        "a call has run for 20.0 s (it may take 30.0 s), and what is behind it waits; calls that are well take 2.0 ms"
    );
    let since = rfc3339::format(Timestamp(NOW.0 - 20_000));
    assert_eq!(found.since, Some(since));
    let commands: Vec<&str> = found.actions.iter().map(|of| &*of.command).collect();
    assert_eq!(
        commands,
        [
            "fnctl logs enrich --since 5m",
            "fnctl deploy --name enrich --timeout 5s"
        ]
    );
    let trend = |world: &World| world.with_figures(|figures| figures.trend());
    assert_eq!(trend(&world), Some(Trend::Stuck));
    world.recent.under_way.clear();
    assert_eq!(trend(&world), Some(Trend::Shrinking));
    assert_eq!(world.diagnosed().code, "catching-up");
}

#[test]
fn a_call_hangs_that_runs_for_seconds_and_far_longer_than_those_that_are_well() {
    let told = |ran_ms: u64, change: fn(&mut World)| {
        let mut world = hanging(ran_ms);
        world.recent.adds.processed = 20_000;
        change(&mut world);
        world.diagnosed().code
    };
    assert_eq!(told(limits::STALL_MS, |_| {}), "function-slow");
    assert_eq!(told(limits::STALL_MS - 1, |_| {}), "catching-up");
    let slow = |world: &mut World| world.recent.versions[0].well_ns = 100 * 1_000_000_000;
    assert_eq!(told(9_999, slow), "catching-up", "a second is usual");
    assert_eq!(told(10_000, slow), "function-slow");
    assert_eq!(
        told(10_000, |world| world.recent.versions.clear()),
        "function-slow",
        "none ended"
    );
    assert_eq!(
        told(10_000, |world| world.waiting_calls = 1),
        "throttled",
        "it waits for its turn"
    );
    assert_eq!(
        told(600_000, |world| world.status.iterator_age_ms = 100),
        "caught-up",
        "nothing waits for it"
    );
}

#[test]
fn many_records_may_take_as_long_as_they_do_one_after_the_other() {
    let told = |records: u32, record_ms: u64| {
        let mut world = hanging(20_000);
        let of = &mut world.recent.versions[0];
        (of.calls, of.well_records) = (100, 100);
        of.well_ns = 100 * record_ms * 1_000_000;
        world.recent.under_way[0].records = records;
        world.diagnosed().message
    };
    let hangs = "a call has run for 20.0 s";
    assert!(told(1, 1_000).starts_with(hangs));
    assert!(told(2, 1_000).starts_with(hangs));
    assert!(
        !told(3, 1_000).starts_with(hangs),
        "three seconds are usual"
    );
    assert!(told(100, 1).starts_with(hangs));
}

#[test]
fn a_shorter_time_limit_leaves_time_for_a_full_batch() {
    let mut world = hanging(20_000);
    let of = &mut world.recent.versions[0];
    (of.well_ns, of.well_records) = (100 * 40_000_000, 100);
    let limit = |world: &World| {
        let actions = world.diagnosed().actions;
        let found = actions
            .into_iter()
            .find(|of| of.command.contains("--timeout"));
        found.map(|of| of.command)
    };
    let seconds = |seconds: u64| Some(format!("fnctl deploy --name enrich --timeout {seconds}s"));
    assert_eq!(limit(&world), seconds(8), "a hundred records of 40 ms");
    world.status.settings.batch_size = 10;
    assert_eq!(limit(&world), seconds(5));
}

#[test]
fn what_is_not_known_to_take_less_is_not_said_to_have_hung() {
    let mut world = hanging(1_000);
    world.recent.versions = vec![version(7, 3, 3)];
    world.recent.versions[0].tried_failed = 0;
    world.recent.cut = Some(RecentCut {
        version: FunctionVersion(7),
        since_ago_ms: 30_500,
        ended_ago_ms: 500,
        ran_ms: 30_000,
        records: 100,
    });
    let message = world.diagnosed().message;
    assert!(
        message.starts_with(
            "a call was cut after 30.0 s, with 100 records in hand, and what is behind it waits"
        ),
        "{message}"
    );
}

#[test]
fn what_was_cut_a_moment_ago_hangs_again() {
    let mut world = hanging(1_000);
    world.recent.adds.processed = 20_000;
    world.failing(3, "timeout");
    let cut = RecentCut {
        version: FunctionVersion(7),
        since_ago_ms: 90_000,
        ended_ago_ms: 1_000,
        ran_ms: 30_000,
        records: 10,
    };
    world.recent.cut = Some(cut);
    let found = world.diagnosed();
    assert_eq!(found.code, "function-slow");
    assert_eq!(
        found.message,
        "a call was cut after 30.0 s, as it hung, and what is behind it waits; calls that are well take 2.0 ms; \
         3 of 100 calls fail (`timeout`)"
    );
    let since = Some(rfc3339::format(Timestamp(NOW.0 - 90_000)));
    assert_eq!(found.since, since);
    // The next one hangs, too: since the first of them.
    world.hangs(20_000);
    world.recent.cut = Some(RecentCut {
        ended_ago_ms: 21_000,
        ..cut
    });
    assert_eq!(world.diagnosed().since, since);
    world.recent.under_way.clear();
    assert_eq!(world.diagnosed().code, "catching-up", "long ago");
}

#[test]
fn among_many_lanes_that_are_busy_one_that_hangs_is_told_beside_what_is_slow() {
    let mut world = World::new();
    makes(Why::FunctionSlow, &mut world);
    world.hangs(20_000);
    let found = world.diagnosed();
    assert!(
        found
            .message
            .starts_with("calls succeed, and are not enough: 4 lanes"),
        "{found:?}"
    );
    assert!(
        found
            .message
            .ends_with("; a call has run for 20.0 s (it may take 30.0 s)"),
        "{found:?}"
    );
    world.recent.under_way[0].calls = 2;
    let found = world.diagnosed();
    assert!(found.message.starts_with("2 calls have run"), "{found:?}");
}

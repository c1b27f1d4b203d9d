//! A canary that does worse than the version beside it.

use super::*;
use crate::limits;

/// A canary whose calls take so long, ns, beside a version whose calls take 0.1 ms; records wait.
fn slow(mean_ns: u64) -> World {
    let mut world = World::new();
    world.behind();
    world.canary();
    let mut live = version(7, 100, 0);
    live.run_ns = 100 * 100_000;
    let mut canary = version(8, 20, 0);
    canary.run_ns = 20 * mean_ns;
    world.recent.versions = vec![live, canary];
    world
}

#[test]
fn a_canary_that_makes_a_mapping_slow_is_named_and_taken_back_first() {
    let mut world = slow(2_000_000_000);
    for busy_permille in [0, 4_000] {
        world.recent.busy_permille = busy_permille;
        world.recent.versions[1].busy_permille = busy_permille;
        let found = world.diagnosed();
        assert_eq!(found.code, "function-slow");
        assert_eq!(
            found.message,
            "version 8, the canary at 50%, takes 2.0 s a call, version 7 0.1 ms: 10000 records wait"
        );
        assert_eq!(found.actions[0].command, "fnctl rollback enrich");
        let since = rfc3339::format(Timestamp(NOW.0 - 600_000));
        assert_eq!(found.since, Some(since));
    }
}

#[test]
fn a_canary_is_slow_by_far_longer_calls_that_are_most_of_the_time() {
    let told = |mean_ns: u64, change: fn(&mut World)| {
        let mut world = slow(mean_ns);
        change(&mut world);
        world.diagnosed().code
    };
    assert_eq!(told(limits::SLOW_CANARY_NS_MIN, |_| {}), "function-slow");
    assert_eq!(told(limits::SLOW_CANARY_NS_MIN - 1, |_| {}), "behind");
    let live = |world: &mut World, mean_ns: u64| world.recent.versions[0].run_ns = 100 * mean_ns;
    // Two calls tell it where each takes a second.
    let two = |mean_ns: u64| {
        let mut world = slow(mean_ns);
        world.recent.versions[1].calls = 2;
        world.recent.versions[1].run_ns = 2 * mean_ns;
        world.diagnosed().code
    };
    assert_eq!(two(limits::SLOW_CANARY_ALONE_NS_MIN), "function-slow");
    assert_eq!(two(limits::SLOW_CANARY_ALONE_NS_MIN - 1), "behind");
    let mut world = slow(1_000_000_000);
    live(&mut world, 101_000_000);
    assert_eq!(world.diagnosed().code, "behind", "not ten times as long");
    // Ten times as long, and few beside all others.
    live(&mut world, 100_000_000);
    world.recent.busy_permille = 1_000;
    world.recent.versions[1].busy_permille = 500;
    assert_eq!(world.diagnosed().code, "function-slow");
    world.recent.versions[1].busy_permille = 499;
    assert_eq!(world.diagnosed().code, "behind");
    assert_eq!(
        told(1_000_000_000, |world| world.status.iterator_age_ms = 10),
        "caught-up"
    );
    assert_eq!(
        told(1_000_000_000, |world| world.status.canary = None),
        "behind"
    );
}

#[test]
fn each_version_is_told_with_what_its_calls_take() {
    let mut world = slow(500_000);
    world.busy();
    world.recent.versions[0].busy_permille = 4_000;
    let message = world.diagnosed().message;
    assert!(
        message.ends_with(
            "; a call takes on average: version 7 0.1 ms, version 8, the canary at 50%, 0.5 ms"
        ),
        "{message}"
    );
}

#[test]
fn a_call_of_the_canary_that_hangs_is_told_as_its() {
    let mut world = slow(500_000);
    world.hangs(20_000);
    world.recent.under_way[0].version = FunctionVersion(8);
    let found = world.diagnosed();
    assert!(
        found.message.starts_with(
            "a call of version 8, the canary at 50%, has run for 20.0 s, and what is behind it waits"
        ),
        "{found:?}"
    );
    assert_eq!(found.actions[0].command, "fnctl rollback enrich");
}

#[test]
fn a_canary_whose_first_calls_run_is_told_by_for_how_long() {
    let mut world = slow(0);
    // The live version's lanes rest; those of the canary do not.
    world.recent.busy_permille = 1_900;
    let canary = &mut world.recent.versions[1];
    (canary.calls, canary.run_ns) = (0, 0);
    (canary.well_ns, canary.well_records) = (0, 0);
    canary.busy_permille = 1_860;
    world.recent.running = 2;
    let under_way = |ran_ms: u64| {
        vec![UnderWay {
            version: FunctionVersion(8),
            ran_ms,
            records: 5,
            calls: 2,
        }]
    };
    world.recent.under_way = under_way(900);
    assert_eq!(world.diagnosed().code, "behind", "less than a second");
    world.recent.under_way = under_way(3_000);
    let found = world.diagnosed();
    assert_eq!(found.code, "function-slow");
    assert_eq!(
        found.message,
        "version 8, the canary at 50%, has 2 calls under way for 3.0 s, and none has ended, version 7 0.1 ms: 10000 \
         records wait"
    );
    assert_eq!(found.actions[0].command, "fnctl rollback enrich");
    // One ended, after two seconds and a half: of those under way the longer ones count.
    let canary = &mut world.recent.versions[1];
    (canary.calls, canary.run_ns) = (1, 2_500_000_000);
    assert!(world.diagnosed().message.contains(" takes 2.8 s a call,"));
    world.recent.under_way = under_way(2_000);
    assert!(world.diagnosed().message.contains(" takes 2.5 s a call,"));
}

#[test]
fn a_canary_that_is_cut_with_many_records_is_not_said_to_hang() {
    let mut world = slow(2_000_000_000);
    let canary = &mut world.recent.versions[1];
    (canary.calls, canary.failed) = (22, 2);
    (canary.well_ns, canary.well_records) = (40_000_000_000, 40);
    canary.well_longest_ns = 3_000_000_000;
    world.recent.cut = Some(crate::recent::RecentCut {
        version: FunctionVersion(8),
        since_ago_ms: 35_000,
        ended_ago_ms: 5_000,
        ran_ms: 30_000,
        records: 90,
    });
    world.hangs(20_000);
    world.recent.under_way[0].version = FunctionVersion(8);
    world.recent.under_way[0].records = 90;
    let found = world.diagnosed();
    assert!(
        found.message.ends_with(
            "; a call with 90 records was cut after 30.0 s: a record takes 1.0 s, so that no more than 24 end in time"
        ),
        "{found:?}"
    );
    let commands: Vec<&str> = found.actions.iter().map(|of| &*of.command).collect();
    assert_eq!(
        commands,
        [
            "fnctl rollback enrich",
            "fnctl logs enrich --since 15m",
            "fnctl mappings update enrich/signups --batch-size 24"
        ]
    );
    // Its calls are few of the time: it is told all the same, and taking it back as well.
    world.recent.busy_permille = 4_000;
    let found = world.diagnosed();
    assert!(
        found
            .message
            .starts_with("a call of version 8, the canary at 50%, with 90 records was cut after"),
        "{found:?}"
    );
    let commands: Vec<&str> = found.actions.iter().map(|of| &*of.command).collect();
    assert_eq!(commands[1], "fnctl rollback enrich");
    assert!(commands.iter().all(|of| !of.contains("--timeout")));
}

#[test]
fn no_time_limit_is_offered_for_a_canary_that_hangs() {
    let mut world = slow(500_000);
    world.hangs(20_000);
    for (version, is_offered) in [(8, false), (7, true)] {
        world.recent.under_way[0].version = FunctionVersion(version);
        let found = world.diagnosed();
        let limit = found
            .actions
            .iter()
            .find(|of| of.command.contains("--timeout"));
        let effect = limit.map(|of| of.effect.ends_with("; ends the canary, version 8"));
        assert_eq!(effect, is_offered.then_some(true), "{found:?}");
    }
}

#[test]
fn a_canary_that_skips_what_the_live_version_does_not_is_named() {
    let told = |canary: (u64, u64), live: (u64, u64)| {
        let mut world = World::new();
        world.canary();
        let mut of = [version(7, 100, 0), version(8, 20, 0)];
        (of[0].tried_skipped, of[0].tried) = live;
        (of[1].tried_skipped, of[1].tried) = canary;
        of[1].skip_code = Some("refused".into());
        world.recent.versions = of.to_vec();
        world.diagnosed()
    };
    let found = told((100, 100), (0, 100));
    assert_eq!(found.code, "function-failing");
    assert_eq!(
        found.message,
        "version 8, the canary at 50%, skips 100 of 100 records that it is given (`refused`), version 7 0 of 100 \
         records: they become dead letters, and as no call fails for a skip, nothing takes the canary back by itself"
    );
    let commands: Vec<&str> = found.actions.iter().map(|of| &*of.command).collect();
    assert_eq!(
        commands,
        [
            "fnctl rollback enrich",
            "fnctl dlq list enrich/signups --code refused",
            "fnctl logs enrich --since 15m"
        ]
    );
    let since = Some(rfc3339::format(Timestamp(NOW.0 - OVER_MS)));
    assert_eq!(found.since, since, "not before there was a canary");
    for (canary, live, code) in [
        // Most of what it is given, and twice as much as beside it.
        ((50, 100), (25, 100), "function-failing"),
        ((50, 100), (26, 100), "caught-up"),
        ((49, 100), (24, 100), "caught-up"),
        // Some, and ten times as much.
        ((5, 100), (0, 100), "function-failing"),
        ((4, 100), (0, 100), "caught-up"),
        ((40, 100), (4, 100), "function-failing"),
        ((40, 100), (5, 100), "caught-up"),
        ((2, 2), (0, 100), "caught-up"),
    ] {
        assert_eq!(told(canary, live).code, code, "{canary:?} {live:?}");
    }
}

#[test]
fn a_canary_that_fails_where_the_live_version_does_not_is_named() {
    let told = |tried_failed: u64, live_failed: u64| {
        let mut world = World::new();
        world.canary();
        let mut canary = version(8, 20, 12);
        (canary.tried, canary.tried_failed) = (200, tried_failed);
        canary.cause = Some(TopCause {
            code: "busy".into(),
            calls: 12,
        });
        let mut live = version(7, 100, live_failed);
        (live.tried_failed, live.evidence) = (0, 0);
        world.recent.versions = vec![live, canary];
        world.diagnosed()
    };
    let found = told(10, 0);
    assert_eq!(found.code, "function-failing");
    assert_eq!(
        found.message,
        "version 8, the canary at 50%, fails: 12 of 20 calls end in `busy`, 0 of 100 calls on version 7"
    );
    assert_eq!(found.actions[0].command, "fnctl rollback enrich");
    assert!(found.since.is_some());
    assert_eq!(told(9, 0).code, "caught-up");
    assert_eq!(told(10, 11).code, "caught-up", "the live one is not well");
    assert_eq!(told(100, 11).code, "function-failing");
}

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
    assert_eq!(
        told(1_000_000_000, |world| world.recent.versions[1].calls = 2),
        "behind"
    );
    let mut world = slow(1_000_000_000);
    live(&mut world, 101_000_000);
    assert_eq!(world.diagnosed().code, "behind", "not ten times as long");
    // Ten times as long, and few beside all others.
    live(&mut world, 100_000_000);
    world.recent.versions[0].calls = 1_000;
    world.recent.versions[0].run_ns = 1_000 * 100_000_000;
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

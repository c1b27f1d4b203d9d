//! Calls that have more records than end in their time.

use super::*;
use crate::recent::RecentCut;

/// Calls of a hundred records are cut after four seconds; parts of them that were well took a second a record.
fn oversized() -> World {
    let mut world = World::new();
    world.behind();
    world.failing(12, "timeout");
    let live = &mut world.recent.versions[0];
    (live.calls, live.tried, live.tried_failed) = (22, 30, 0);
    (live.well_records, live.well_ns) = (30, 30_000_000_000);
    live.well_longest_ns = 3_000_000_000;
    live.cut_least = Some(6);
    world.recent.cut = Some(RecentCut {
        version: FunctionVersion(7),
        since_ago_ms: 90_000,
        ended_ago_ms: 1_000,
        ran_ms: 30_000,
        records: 100,
    });
    world
}

fn steps(world: &World) -> Vec<String> {
    let actions = world.diagnosed().actions;
    actions.into_iter().map(|of| of.command).collect()
}

#[test]
fn a_batch_that_is_cut_is_told_with_how_many_records_end_in_time() {
    let mut world = oversized();
    world.recent.versions[0].cut_least = Some(40);
    for busy_permille in [0, 4_000] {
        world.recent.busy_permille = busy_permille;
        let found = world.diagnosed();
        assert_eq!(found.code, "function-slow");
        assert_eq!(
            found.message,
            "a call with 100 records was cut after 30.0 s: a record takes 1.0 s, so that no more than 24 end in time"
        );
        let since = Some(rfc3339::format(Timestamp(NOW.0 - 90_000)));
        assert_eq!(found.since, since);
        assert_eq!(
            steps(&world),
            [
                "fnctl mappings update enrich/signups --batch-size 24",
                "fnctl deploy --name enrich --timeout 125s",
                "fnctl logs enrich --since 5m",
            ]
        );
    }
    // Some of six took longer than most.
    world.recent.versions[0].cut_least = Some(6);
    assert!(steps(&world)[0].ends_with("--batch-size 3"));
    world.recent.busy_permille = 0;
    world.recent.cut.as_mut().expect("one was").ended_ago_ms = 11_000;
    assert_eq!(world.diagnosed().code, "behind", "long ago");
}

#[test]
fn less_in_a_call_is_offered_by_what_a_record_takes_and_not_where_that_is_not_it() {
    let offered = |record_ms: u64, least: Option<u32>, batch: u32| {
        let mut world = World::new();
        world.failing(96, "timeout");
        let live = &mut world.recent.versions[0];
        live.well_ns = live.well_records * record_ms * 1_000_000;
        if record_ms == 0 {
            (live.calls, live.well_ns, live.well_records) = (96, 0, 0);
        }
        live.cut_least = least;
        world.status.settings.batch_size = batch;
        let commands = steps(&world);
        let value = |flag: &str| {
            let value = commands.iter().find_map(|of| of.split_once(flag));
            value.map(|(_, value)| value.to_owned())
        };
        (value(" --batch-size "), value(" --timeout "))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(offered(1_000, None, 100), (some("24"), some("125s")));
    assert_eq!(offered(1_000, Some(12), 100), (some("6"), some("125s")));
    assert_eq!(offered(1_000, None, 24), (None, some("60s")), "it fits");
    assert_eq!(
        offered(25_000, None, 10),
        (None, some("313s")),
        "one is too long"
    );
    // Nothing is known of a record: a guess, below what was cut.
    assert_eq!(offered(0, None, 100), (some("10"), some("60s")));
    assert_eq!(offered(0, Some(6), 100), (some("3"), some("60s")));
    assert_eq!(
        offered(0, Some(1), 100),
        (None, some("60s")),
        "one alone hangs"
    );
    assert_eq!(offered(0, None, 1), (None, some("60s")));
    assert_eq!(
        offered(100_000, None, 100),
        (None, None),
        "too long for any"
    );
}

#[test]
fn a_time_limit_of_another_version_says_that_it_ends_the_canary() {
    let mut world = oversized();
    world.canary();
    let actions = world.diagnosed().actions;
    let deploy = actions.iter().find(|of| of.command.contains("--timeout"));
    let effect = &deploy.expect("it is offered").effect;
    assert!(effect.ends_with("; ends the canary, version 8"), "{effect}");
}

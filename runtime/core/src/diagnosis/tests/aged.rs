//! Records that are given up for their age.

use super::*;
use crate::{limits, recent::RecentAged};

/// Lanes that are busy with calls of 300 ms; of a hundred records that ended so many did for their age, and nothing
/// that waits is old.
fn aging(records: u64, ended_ago_ms: u64) -> World {
    let mut world = World::new();
    world.busy();
    world.status.settings.max_record_age_ms = Some(2_000);
    world.status.pending_records = 90;
    world.status.iterator_age_ms = 1_900;
    for shard in &mut world.status.shards {
        shard.pending_records = 45;
    }
    let adds = &mut world.recent.adds;
    (adds.processed, adds.dead_lettered) = (100 - records, records);
    world.recent.p50_ns = Some(300_000_000);
    world.recent.p99_ns = Some(3_000_000_000);
    world.recent.aged = Some(RecentAged {
        records,
        since_ago_ms: 100_000,
        ended_ago_ms,
    });
    world
}

#[test]
fn what_is_given_up_for_its_age_is_not_kept_up_with() {
    let mut world = aging(80, 0);
    for (arrived, come) in [(None, "0.3/s"), (Some(100), "0.3/s"), (Some(290), "1.0/s")] {
        world.arrived = arrived;
        let found = world.diagnosed();
        assert_eq!(found.code, "function-slow");
        assert_eq!(
            found.message,
            format!(
                "80 of the last 100 records were given up for their age (`max_record_age` is 2000 ms): 4 lanes busy \
                 100% of the time, a call takes 300 ms (p99 3.0 s), 0.0/s of {come} that come are settled otherwise"
            )
        );
        let since = Some(rfc3339::format(Timestamp(NOW.0 - 100_000)));
        assert_eq!(found.since, since);
    }
    // Five times as much as is settled otherwise.
    world.arrived = None;
    let commands: Vec<String> = world
        .diagnosed()
        .actions
        .into_iter()
        .map(|of| of.command)
        .collect();
    assert_eq!(
        commands,
        [
            "fnctl mappings update enrich/signups --parallelization-factor 10",
            "fnctl streams resize signups --shards 4",
            "fnctl mappings update enrich/signups --max-record-age default",
            "fnctl dlq list enrich/signups --code record-too-old",
        ]
    );
    // Of lanes that rest nothing is said.
    world.recent.busy_permille = 100;
    let message = world.diagnosed().message;
    assert!(
        message.ends_with(
            " is 2000 ms): a call takes 300 ms (p99 3.0 s), 0.0/s of 0.3/s that come are settled otherwise"
        ),
        "{message}"
    );
    world.busy();
    world.before = Some(6);
    world.live_since = Timestamp(NOW.0 - 60_000);
    let commands = world.diagnosed().actions;
    assert_eq!(commands[0].command, "fnctl rollback enrich");
    assert!(commands[2].command.contains("--max-record-age"));
}

#[test]
fn few_that_are_given_up_for_their_age_or_long_ago_or_while_lanes_rest_are_told_beside() {
    let told = |records: u64, ended_ago_ms: u64, busy_permille: u64| {
        let mut world = aging(records, ended_ago_ms);
        world.recent.busy_permille = busy_permille;
        let found = world.diagnosed();
        let has_way = found
            .actions
            .iter()
            .any(|of| of.command.contains("--max-record-age default"));
        assert_eq!(has_way, found.message.contains("for their age"));
        (found.code, has_way)
    };
    let (slow, well) = ("function-slow".to_owned(), "caught-up".to_owned());
    let percent = limits::AGED_PERCENT;
    assert_eq!(told(percent, 0, 4_000), (slow.clone(), true));
    assert_eq!(told(percent - 1, 0, 4_000), (well.clone(), false));
    assert_eq!(told(49, 0, 100), (well.clone(), true), "lanes rest");
    assert_eq!(told(50, 0, 100), (slow.clone(), true), "most");
    let fresh = limits::AGED_FRESH_MS;
    assert_eq!(told(80, fresh, 4_000), (slow, true));
    assert_eq!(told(80, fresh + 1, 4_000), (well.clone(), true));
    let mut world = aging(80, 0);
    world.status.settings.max_record_age_ms = None;
    assert_eq!(world.diagnosed().code, well, "there is no such bound now");
    // Of a handful nobody knows.
    let mut world = aging(2, 0);
    world.recent.adds.processed = 0;
    assert_eq!(world.diagnosed().code, well);
}

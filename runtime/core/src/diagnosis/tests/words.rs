//! What is said, whole.

use super::*;
use crate::recent::RecentVersion;

pub(super) fn said(world: &World) -> (Option<String>, String, Vec<String>) {
    let found = world.diagnosed();
    let commands = found.actions.into_iter().map(|step| step.command);
    (found.since, found.message, commands.collect())
}

#[test]
fn a_version_that_times_out_is_told_beside_the_one_before() {
    let mut world = World::new();
    world.failing(96, "timeout");
    world.before = Some(6);
    world.live_since = Timestamp(NOW.0 - 120_000);
    world.recent.versions.push(version(6, 50, 0));
    let letters = [("timeout".to_owned(), 3)];
    world.status.dead_letters_by_code = BTreeMap::from(letters);
    let (since, message, commands) = said(&world);
    assert_eq!(since, Some(rfc3339::format(Timestamp(NOW.0 - 60_000))));
    assert_eq!(
        message,
        "96 of 100 calls end in `timeout` (30.0 s), none did on version 6"
    );
    assert_eq!(
        commands,
        [
            "fnctl rollback enrich",
            "fnctl logs enrich --since 15m",
            "fnctl dlq list enrich/signups --code timeout",
            "fnctl capture enrich --failing",
        ]
    );
}

#[test]
fn damaged_dead_letters_are_open_ones_and_said_to_be_damaged() {
    let mut world = World::new();
    world.status.dead_letters_by_code = BTreeMap::from([("junk".to_owned(), 29)]);
    world.status.dead_letters_damaged = 1;
    let (_, message, commands) = said(&world);
    assert!(
        message.ends_with("; 30 dead letters open, 1 of them damaged at rest"),
        "{message}"
    );
    assert_eq!(commands, ["fnctl dlq list enrich/signups"]);
}

#[test]
fn a_mapping_whose_stream_is_gone_is_deleted_by_force_only_where_dead_letters_are_open() {
    let proposed = |readable, damaged| {
        let mut world = World::new();
        makes(Why::StreamDeleted, &mut world);
        world.status.dead_letters_by_code = BTreeMap::from([("junk".to_owned(), readable)]);
        world.status.dead_letters_damaged = damaged;
        let id = world.status.id.clone();
        said(&world).2[0].replace(&id, "ID")
    };
    assert_eq!(proposed(0, 0), "fnctl mappings delete ID");
    assert_eq!(proposed(1, 0), "fnctl mappings delete ID --force");
    assert_eq!(proposed(0, 1), "fnctl mappings delete ID --force");
}

#[test]
fn since_when_calls_fail_is_always_told_and_never_before_the_version_was_live() {
    let since = |change: fn(&mut RecentVersion)| {
        let mut world = World::new();
        world.failing(96, "timeout");
        world.recent.versions[0].sick_ago_ms = None;
        world.live_since = Timestamp(NOW.0 - 200_000);
        change(&mut world.recent.versions[0]);
        let since = said(&world).0.and_then(|at| rfc3339::parse(&at));
        NOW.0 - since.expect("it is known").0
    };
    assert_eq!(since(|of| of.sick_ago_ms = Some(60_000)), 60_000);
    assert_eq!(since(|of| of.failing_ago_ms = Some(70_000)), 70_000);
    assert_eq!(since(|of| of.first_failed_ago_ms = Some(80_000)), 80_000);
    assert_eq!(since(|of| of.failing_ago_ms = Some(290_000)), 200_000);
    assert_eq!(since(|_| {}), 200_000);
}

#[test]
fn what_is_skipped_is_told_with_since_when_and_with_what_was_dropped_of_it() {
    let mut world = World::new();
    let mut live = version(7, 24, 0);
    (live.tried, live.tried_skipped) = (24, 24);
    live.skip_code = Some("junk".into());
    world.recent.versions = vec![live];
    let (since, message, _) = said(&world);
    assert_eq!(
        message,
        "it skips 24 of 24 records that it is given (`junk`): they become dead letters"
    );
    assert_eq!(since, Some(rfc3339::format(Timestamp(NOW.0 - OVER_MS))));
    world.recent.versions[0].skipping_ago_ms = Some(60_000);
    world.recent.adds.dropped = 20;
    world.status.settings.on_failure_full = "drop-and-count".to_owned();
    let (since, message, _) = said(&world);
    assert_eq!(
        message,
        "it skips 24 of 24 records that it is given (`junk`): 20 records that it gave up went nowhere, as the dead \
         letters are full (`on_failure_full` is `drop-and-count`)"
    );
    assert_eq!(since, Some(rfc3339::format(Timestamp(NOW.0 - 60_000))));
}

#[test]
fn with_a_canary_a_rollback_names_its_version() {
    let mut world = World::new();
    world.failing(96, "timeout");
    world.before = Some(6);
    world.live_since = NOW;
    world.canary();
    assert_eq!(said(&world).2[0], "fnctl rollback enrich --to 6");
}

#[test]
fn what_the_mapping_lacks_is_given_to_it_before_the_record_is_tried_again() {
    let first = |detail: &str| {
        let mut world = World::new();
        world.held("stopped", Why::StoppedFatal, detail);
        said(&world).2[0].clone()
    };
    let unbound = "unbound-output: the mapping enrich/signups binds no output rejects";
    assert_eq!(
        first(unbound),
        "fnctl deploy FILE --name enrich --to OUTPUT=STREAM"
    );
    assert_eq!(
        first("no-window: a window's state"),
        "fnctl mappings update enrich/signups --tumbling-window 60s"
    );
    assert_eq!(
        first("gone: asked to stop"),
        "fnctl mappings resume enrich/signups"
    );
}

#[test]
fn a_clock_that_jumped_is_told_with_whatever_holds_a_mapping() {
    let mut world = World::new();
    let plain = said(&world).1;
    for (ahead_ms, words) in [
        (5_000, ""),
        (-5_000, ""),
        (
            7_200_000,
            "; the server's clock leapt ahead of the times of its records, by 2h00m: for ten minutes nobody believes it",
        ),
        (
            -90_000,
            "; the server's clock went back behind the times of its records, by 1m30s: ages stand still meanwhile",
        ),
    ] {
        world.wall_ahead_ms = ahead_ms;
        assert_eq!(said(&world).1, format!("{plain}{words}"));
    }
}

#[test]
fn what_cannot_be_read_is_passed_over_and_no_more() {
    let mut world = World::new();
    makes(Why::Damaged, &mut world);
    let seek = |to: &str| format!("fnctl mappings seek enrich/signups --to {to} --dry-run");
    assert_eq!(said(&world).2[1], seek("latest"));
    world.behind_hole = Some(("shardId-000000000001", "4967"));
    assert_eq!(said(&world).2[1], seek("4967 --shard shardId-000000000001"));
}

#[test]
fn keys_are_quoted_for_a_shell() {
    let mut world = World::new();
    makes(Why::ParkedKeys, &mut world);
    let (_, message, commands) = said(&world);
    assert_eq!(
        message,
        "2 keys wait for a retry, the oldest record for 1000 ms; other keys go on"
    );
    let by_hand = r"fnctl mappings dead-letter enrich/signups --key 'it'\''s'";
    assert_eq!(commands[2], by_hand);
    // With order within the shard one holds the others, which did not fail.
    world.status.shards[0].failed_keys = 1;
    world.status.settings.ordering = "shard".to_owned();
    assert_eq!(
        said(&world).1,
        "1 key waits for a retry, the oldest record for 1000 ms; what is behind it in its shard waits, too"
    );
    let mut world = World::new();
    makes(Why::WaitingForParents, &mut world);
    let (_, message, commands) = said(&world);
    assert_eq!(
        message,
        "9999 records of 1 shard wait until those of shardId-000000000000, which they came from, are settled, \
         where key `user 7` waits for a retry"
    );
    assert_eq!(
        commands[0],
        "fnctl mappings release enrich/signups --key 'user 7'"
    );
}

#[test]
fn the_largest_group_of_letters_is_named_where_they_are_full() {
    let mut world = World::new();
    makes(Why::DeadLettersFull, &mut world);
    let (_, message, commands) = said(&world);
    assert_eq!(message, "the dead letters are full");
    assert_eq!(
        commands[1],
        "fnctl dlq redrive enrich/signups --code timeout"
    );
}

#[test]
fn what_throttles_is_the_functions_own_bound_or_the_node() {
    let mut world = World::new();
    makes(Why::Throttled, &mut world);
    let (_, message, commands) = said(&world);
    assert_eq!(
        message,
        "calls wait for their turn 90% of the time, 90 ms on average: `enrich` may make 2 calls at once"
    );
    assert_eq!(commands[0], "fnctl deploy --name enrich --concurrency 4");
    // As many as what comes calls for, up to what the server makes.
    for (arrived, concurrency) in [(650, 13), (100_000, 64)] {
        world.arrived = Some(arrived);
        let command = format!("fnctl deploy --name enrich --concurrency {concurrency}");
        assert_eq!(said(&world).2[0], command);
    }
    world.concurrency = None;
    let (_, message, commands) = said(&world);
    assert!(
        message.ends_with("the server makes 64 calls at once"),
        "{message}"
    );
    assert_eq!(commands, ["fnctl status"]);
}

#[test]
fn calls_that_wait_and_have_not_ended_are_told_with_the_bound() {
    let mut world = World::new();
    makes(Why::Throttled, &mut world);
    (world.recent.wait_ms, world.recent.waited_calls) = (0, 0);
    (world.recent.running, world.waiting_calls) = (2, 2);
    let (_, message, commands) = said(&world);
    assert_eq!(
        message,
        "2 calls under way, and all wait for their turn: `enrich` may make 2 calls at once"
    );
    assert_eq!(commands[0], "fnctl deploy --name enrich --concurrency 4");
}

#[test]
fn calls_that_fail_and_take_long_are_not_said_to_succeed() {
    let mut world = World::new();
    world.failing(3, "timeout");
    makes(Why::FunctionSlow, &mut world);
    let message = said(&world).1;
    assert!(
        message.starts_with("3 of 100 calls fail (`timeout`), and are not enough: 4 lanes busy"),
        "{message}"
    );
}

#[test]
fn a_server_that_is_careful_says_so_with_what_is_behind() {
    let mut world = World::new();
    world.is_careful = true;
    assert!(!said(&world).1.contains("fnctl_careful"), "nothing waits");
    makes(Why::Behind, &mut world);
    assert!(said(&world).1.contains("(fnctl_careful)"));
}

#[test]
fn what_the_stream_held_before_is_told_where_nothing_came_since() {
    let mut world = World::new();
    makes(Why::NoData, &mut world);
    world.older_records = 40;
    let (_, message, commands) = said(&world);
    assert_eq!(
        message,
        "no record has come to stream `signups` since the mapping began; it began behind 40 records that the \
         stream holds"
    );
    assert_eq!(
        commands[1],
        "fnctl mappings seek enrich/signups --to trim-horizon"
    );
}

#[test]
fn what_ended_in_front_of_a_seek_was_data_and_its_letters_are_told() {
    let mut world = World::new();
    makes(Why::NoData, &mut world);
    world.older_records = 1_230;
    world.before_seeks = Some(1_230);
    world.status.dead_letters_by_code = BTreeMap::from([("refused".to_owned(), 30)]);
    let found = world.diagnosed();
    assert_eq!(found.code, "caught-up");
    assert_eq!(
        found.message,
        "no record has come to stream `signups` since a seek put the mapping behind 1230 records that it holds; in \
         front of that 1230 records were settled; 30 dead letters open"
    );
    assert_eq!(found.actions[0].command, "fnctl dlq list enrich/signups");
    // Nothing ended in front of it.
    world.before_seeks = Some(0);
    let (_, message, _) = said(&world);
    assert_eq!(
        message,
        "no record has come to stream `signups` since a seek put the mapping where it stands; that is behind 1230 \
         records that the stream holds"
    );
    assert_eq!(world.diagnosed().code, "no-data");
    // What came since counts as ever.
    world.before_seeks = Some(1_230);
    world.status.totals.processed = 1;
    assert!(
        said(&world)
            .1
            .starts_with("every record that came is settled")
    );
}

#[test]
fn a_full_disk_is_told_with_the_stream_that_takes_most() {
    let mut world = World::new();
    makes(Why::DiskFull, &mut world);
    for (largest, command) in [
        (None, "fnctl streams list"),
        (Some(("flood", 64 << 20)), "fnctl streams list"),
        (
            Some(("flood", 65 << 20)),
            "fnctl streams update flood --retention-bytes 64MiB",
        ),
        (
            Some(("flood", 3 << 30)),
            "fnctl streams update flood --retention-bytes 1536MiB",
        ),
    ] {
        world.largest = largest;
        let commands = said(&world).2;
        assert_eq!(commands[0], command, "{largest:?}");
        assert_eq!(
            commands.last().map(String::as_str),
            Some("fnctl streams list")
        );
    }
}

#[test]
fn rates_are_told_by_the_second() {
    let mut world = World::new();
    makes(Why::FunctionSlow, &mut world);
    world.arrived = Some(290);
    let figures = Figures {
        status: &world.status,
        now: NOW,
        recent: &world.recent,
        arrived: world.arrived,
        live_since: NOW,
        before: None,
        timeout_ms: 30_000,
        concurrency: None,
        node_calls: 64,
        older_records: 0,
        before_seeks: None,
        largest: None,
        parked_key: None,
        output: None,
        behind_hole: None,
        wall_ahead_ms: 0,
        waiting_calls: 0,
        is_careful: false,
    };
    let rates = rates(&figures, 128 << 20);
    assert_eq!(rates.in_per_second, Some(1.0));
    assert_eq!(rates.processed_per_second, 0.344);
    assert_eq!(rates.trend, Some(Trend::Growing));
    assert_eq!((rates.call_p50_ms, rates.busy_ratio), (Some(2.0), 1.0));
    let trend = |arrived, processed| {
        let mut recent = world.recent.clone();
        recent.adds.processed = processed;
        let figures = Figures {
            recent: &recent,
            arrived,
            ..figures
        };
        figures.trend()
    };
    for (arrived, processed, is) in [
        (None, 5, None),
        (Some(0), 0, Some(Trend::Stuck)),
        (Some(100), 95, Some(Trend::Steady)),
        (Some(100), 94, Some(Trend::Growing)),
        (Some(94), 100, Some(Trend::Shrinking)),
        (Some(0), 1, Some(Trend::Shrinking)),
    ] {
        assert_eq!(trend(arrived, processed), is, "{arrived:?} {processed}");
    }
}

#[test]
fn a_retry_whose_time_has_come_is_due_now() {
    let mut world = World::new();
    makes(Why::ParkedKeys, &mut world);
    let mut at = |time: Timestamp| {
        world.status.shards[0].next_retry_at = Some(rfc3339::format(time));
        said(&world).1
    };
    let passed = at(Timestamp(NOW.0 - 1_000));
    assert!(
        passed.contains(" for a retry, due now, the oldest"),
        "{passed}"
    );
    let to_come = at(Timestamp(NOW.0 + 1_000));
    assert!(to_come.contains(", next at 2027-"), "{to_come}");
}

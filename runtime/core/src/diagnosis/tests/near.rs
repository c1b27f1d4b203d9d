//! Figures that almost make a code.

use super::*;
use crate::{limits, recent::FilteredRun};

/// What a world is told by once it was changed.
fn told(change: impl FnOnce(&mut World)) -> String {
    let mut world = World::new();
    change(&mut world);
    world.diagnosed().code
}

#[test]
fn few_failures_among_many_records_are_not_a_function_that_fails() {
    let share = |tried: u64, failed: u64, evidence: u64| {
        told(|world| {
            let mut live = version(7, 100, 10);
            (live.tried, live.tried_failed, live.evidence) = (tried, failed, evidence);
            world.recent.versions = vec![live];
        })
    };
    assert_eq!(share(1_000, 500, 500), "function-failing");
    assert_eq!(
        share(1_000, 499, 499),
        "caught-up",
        "poison among good records"
    );
    assert_eq!(share(100, 100, 2), "caught-up", "two bad batches");
    assert_eq!(share(300, 300, 3), "function-failing");
    assert_eq!(share(0, 0, 0), "caught-up", "retries alone");
    // Of one batch that hangs, and of its parts.
    let all = |calls: u64, failed: u64, tried: u64| {
        told(|world| {
            let mut live = version(7, calls, failed);
            (live.tried, live.tried_failed, live.evidence) = (tried, tried, 1);
            world.recent.versions = vec![live];
        })
    };
    assert_eq!(all(3, 3, 100), "function-failing");
    assert_eq!(all(2, 2, 100), "caught-up", "too few");
    assert_eq!(all(4, 3, 100), "caught-up", "a part is well");
    assert_eq!(all(100, 100, 2), "caught-up", "retries of two records");
    // Batches that fail as a whole are tried again in parts: those tell of their records.
    let parts = |calls: u64, failed: u64, tried: u64, tried_failed: u64| {
        told(|world| {
            let mut live = version(7, calls, failed);
            (live.tried, live.tried_failed, live.evidence) = (tried, tried_failed, tried_failed);
            live.tried_cut = 3_000;
            world.recent.versions = vec![live];
        })
    };
    assert_eq!(
        parts(1_220, 761, 2_900, 90),
        "caught-up",
        "three of a hundred are poison, and most calls have one of them"
    );
    assert_eq!(parts(27, 12, 100, 0), "caught-up", "halves end in time");
    assert_eq!(parts(3, 3, 0, 0), "function-failing", "no part was well");
    assert_eq!(parts(2, 2, 0, 0), "caught-up", "too few");
    // What it gives up by itself fails no call.
    let skips = |skipped: u64| {
        told(|world| {
            let mut live = version(7, 100, 0);
            (live.tried_skipped, live.skip_code) = (skipped, Some("junk".into()));
            world.recent.versions = vec![live];
        })
    };
    assert_eq!(skips(500), "function-failing");
    assert_eq!(skips(499), "caught-up", "junk among good records");
    let other = told(|world| world.recent.versions.push(version(6, 100, 100)));
    assert_eq!(other, "caught-up", "another version fails");
}

#[test]
fn a_version_that_fails_where_the_one_before_did_not_is_told_sooner_and_before_its_circuit() {
    let since_deploy = |failed: u64, before_failed: u64, live_ms: u64| {
        let mut world = World::new();
        world.failing(failed, "busy");
        world.recent.versions.push(version(6, 50, before_failed));
        world.before = Some(6);
        world.live_since = Timestamp(NOW.0 - live_ms);
        world.circuit();
        world.diagnosed()
    };
    let found = since_deploy(6, 0, 120_000);
    assert_eq!(found.code, "function-failing");
    assert_eq!(found.actions[0].command, "fnctl rollback enrich");
    assert!(found.message.contains("none did on version 6"), "{found:?}");
    assert!(
        found
            .message
            .contains("the circuit of 1 of 2 shards is open")
    );
    assert_eq!(since_deploy(4, 0, 120_000).code, "circuit-open", "too few");
    assert_eq!(
        since_deploy(96, 6, 120_000).code,
        "circuit-open",
        "as before"
    );
    let long_ago = 60_000 + limits::SICK_SINCE_DEPLOY_MS + 1;
    assert_eq!(
        since_deploy(96, 0, long_ago).code,
        "circuit-open",
        "well until now"
    );
}

#[test]
fn a_rollback_is_named_where_the_version_is_new_and_the_one_before_was_well() {
    let first = |live_ms: u64, before: Option<u64>, before_failed: u64| {
        let mut world = World::new();
        world.failing(96, "timeout");
        world.recent.versions.push(version(6, 50, before_failed));
        world.before = before;
        world.live_since = Timestamp(NOW.0 - live_ms);
        world.diagnosed().actions.remove(0).command
    };
    assert_eq!(first(120_000, Some(6), 0), "fnctl rollback enrich");
    assert_eq!(
        first(86_400_000, Some(6), 0),
        "fnctl logs enrich --since 15m"
    );
    assert_eq!(first(120_000, None, 0), "fnctl logs enrich --since 15m");
    assert_eq!(first(120_000, Some(6), 50), "fnctl logs enrich --since 15m");
}

#[test]
fn a_mapping_is_behind_from_a_few_seconds_on_beyond_what_its_batches_wait() {
    let at = |age_ms: u64, batch_window_ms: u64| {
        told(|world| {
            world.behind();
            world.status.iterator_age_ms = age_ms;
            world.status.settings.batch_window_ms = batch_window_ms;
        })
    };
    assert_eq!(at(limits::BEHIND_AGE_MS, 0), "behind");
    assert_eq!(at(limits::BEHIND_AGE_MS - 1, 0), "caught-up");
    assert_eq!(at(limits::BEHIND_AGE_MS + 9_999, 10_000), "caught-up");
    assert_eq!(at(limits::BEHIND_AGE_MS + 10_000, 10_000), "behind");
}

#[test]
fn lanes_are_asked_over_as_long_as_their_oldest_record_waits_within_bounds() {
    let (least, most) = (limits::RECENT_PIECE_MS, limits::BUSY_OVER_MS);
    for (age_ms, over_ms) in [(0, least), (least + 1, least + 1), (u64::MAX, most)] {
        assert_eq!(busy_over_ms(age_ms), over_ms);
    }
}

#[test]
fn lanes_are_busy_by_those_that_have_records() {
    let with = |busy_permille: u64, pending: [u64; 2]| {
        told(|world| {
            world.behind();
            world.recent.busy_permille = busy_permille;
            for (shard, pending) in world.status.shards.iter_mut().zip(pending) {
                shard.pending_records = pending;
            }
        })
    };
    assert_eq!(with(3_200, [1, 9_999]), "function-slow");
    assert_eq!(with(3_100, [1, 9_999]), "behind");
    assert_eq!(with(1_600, [0, 10_000]), "function-slow", "a hot shard");
    assert_eq!(with(1_500, [0, 10_000]), "behind");
}

#[test]
fn a_backlog_that_is_soon_gone_is_caught_up_with_and_one_that_is_not_is_slow() {
    let at = |processed: u64| {
        told(|world| {
            world.behind();
            world.busy();
            world.recent.adds.processed = processed;
        })
    };
    // Ten thousand wait: within five minutes, by what is settled more than comes within 290 s.
    assert_eq!(at(100 + 9_667), "catching-up");
    assert_eq!(at(100 + 9_600), "function-slow");
    assert_eq!(at(0), "function-slow");
    let unknown = told(|world| {
        world.behind();
        world.recent.adds.processed = 20_000;
        world.arrived = None;
    });
    assert_eq!(unknown, "behind", "nobody knows what comes");
}

#[test]
fn calls_that_wait_are_throttled_where_they_are_many_and_wait_longer_than_they_run() {
    let with = |waited: u64, wait_ms: u64, age_ms: u64| {
        told(|world| {
            makes(Why::Throttled, world);
            world.recent.versions = vec![version(7, 10, 0)];
            world.recent.waited_calls = waited;
            world.recent.wait_ms = wait_ms;
            world.status.iterator_age_ms = age_ms;
        })
    };
    assert_eq!(with(5, 1_000, 10_000), "throttled");
    assert_eq!(
        with(4, 1_000, 10_000),
        "behind",
        "a version that was loaded"
    );
    assert_eq!(with(5, 999, 10_000), "behind");
    let waits = |wait_ms: u64, running: u32, waiting_calls: u32| {
        told(|world| {
            makes(Why::Throttled, world);
            (world.recent.wait_ms, world.recent.run_ms) = (wait_ms, 0);
            (world.recent.running, world.waiting_calls) = (running, waiting_calls);
        })
    };
    assert_eq!(waits(1_000, 1, 0), "throttled", "10 ms a call");
    assert_eq!(waits(999, 1, 0), "behind", "less goes with any call");
    assert_eq!(waits(0, 2, 2), "throttled", "none had its turn");
    assert_eq!(waits(0, 2, 1), "behind", "one has it");
    assert_eq!(with(10, 9_000, 1_000), "caught-up", "it keeps up");
    // Lanes were added a moment ago: what is known of most of the time is of one lane.
    let full = |running: u32, waiting_calls: u32, own: Option<u32>| {
        told(|world| {
            makes(Why::Throttled, world);
            (world.recent.wait_ms, world.recent.waited_calls) = (0, 0);
            world.recent.busy_permille = 0;
            (world.recent.running, world.waiting_calls) = (running, waiting_calls);
            world.concurrency = own;
        })
    };
    assert_eq!(full(9, 8, Some(1)), "throttled", "the one that may has it");
    assert_eq!(full(9, 8, Some(2)), "behind", "one more may, and will");
    assert_eq!(full(1, 0, Some(1)), "behind", "none waits");
    assert_eq!(
        full(9, 8, None),
        "behind",
        "the function may make any number"
    );
    let resting = told(|world| {
        makes(Why::Throttled, world);
        world.recent.busy_permille = 0;
    });
    assert_eq!(resting, "behind", "no call wants a turn");
    let loaded = told(|world| {
        makes(Why::Throttled, world);
        world.recent.waited_calls = 49;
    });
    assert_eq!(loaded, "behind", "most calls of a hundred did not wait");
}

#[test]
fn keys_are_told_to_be_parked_from_a_second_on() {
    let at = |age_ms: u64| {
        told(|world| {
            makes(Why::ParkedKeys, world);
            world.status.iterator_age_ms = age_ms;
        })
    };
    assert_eq!(at(limits::PARKED_AGE_MS), "parked-keys");
    assert_eq!(at(limits::PARKED_AGE_MS - 1), "caught-up");
}

#[test]
fn children_are_told_to_wait_where_most_records_are_theirs() {
    let with = |child: u64, parent: u64| {
        told(|world| {
            makes(Why::WaitingForParents, world);
            world.status.shards[0].pending_records = parent;
            world.status.shards[1].pending_records = child;
            world.status.pending_records = parent + child;
        })
    };
    assert_eq!(with(5, 5), "waiting-for-parents");
    assert_eq!(with(4, 5), "behind");
    assert_eq!(with(0, 5), "behind");
}

#[test]
fn a_filter_is_told_where_it_lets_none_through_that_it_would_have_before() {
    let with = |totals: (u64, u64), records: u64, since_ago_ms: u64| {
        told(|world| {
            world.status.settings.filter = vec!["{}".to_owned()];
            (world.status.totals.processed, world.status.totals.filtered) = totals;
            world.recent.filtered_run = (records > 0).then_some(FilteredRun {
                since_ago_ms,
                records,
            });
        })
    };
    let minute = limits::FILTERED_OVER_MS;
    assert_eq!(with((0, 1), 1, 0), "filtered-away");
    assert_eq!(with((1, 1_000), 0, 0), "caught-up", "one passed");
    assert_eq!(
        with((500, 600), 100, minute),
        "filtered-away",
        "half passed"
    );
    assert_eq!(with((500, 600), 100, minute - 1), "caught-up", "a burst");
    assert_eq!(with((500, 519), 19, minute), "caught-up", "chance");
    assert_eq!(
        with((10, 99_990), 10_000, minute),
        "caught-up",
        "one in ten thousand passes"
    );
    let mut world = World::new();
    world.status.settings.filter = vec!["{}".to_owned()];
    (world.status.totals.processed, world.status.totals.filtered) = (500, 600);
    // Where records come all the time there is always one under way.
    world.status.pending_records = 3;
    world.recent.filtered_run = Some(FilteredRun {
        since_ago_ms: 70_000,
        records: 100,
    });
    let found = world.diagnosed();
    assert_eq!(found.code, "filtered-away");
    let since = Some(rfc3339::format(Timestamp(NOW.0 - 70_000)));
    assert_eq!(found.since, since);
    let unfiltered = told(|world| world.status.totals.filtered = 1_000_000);
    assert_eq!(unfiltered, "caught-up", "there is no filter any more");
}

#[test]
fn a_mapping_that_settled_anything_has_had_data() {
    let with = |change: fn(&mut Totals)| {
        told(|world| {
            world.status.totals = Totals::default();
            change(&mut world.status.totals);
        })
    };
    assert_eq!(with(|_| {}), "no-data");
    assert_eq!(with(|totals| totals.polled = 5), "no-data");
    assert_eq!(with(|totals| totals.expired = 1), "caught-up");
    assert_eq!(with(|totals| totals.dead_lettered = 1), "caught-up");
}

#[test]
fn what_waits_for_its_batch_alone_is_told_so_while_the_window_lasts() {
    let says = |change: fn(&mut World)| {
        let mut world = World::new();
        world.status.settings.batch_window_ms = 300_000;
        (world.status.pending_records, world.status.iterator_age_ms) = (1, 224_000);
        change(&mut world);
        let found = world.diagnosed();
        (found.code, found.message)
    };
    let waits = "it keeps up: 1 record waits for a batch to fill, the oldest for 3m44s of 5m00s (`batch_window`)";
    assert_eq!(says(|_| ()), ("caught-up".to_owned(), waits.to_owned()));
    let under_way = "it keeps up: 1 record is under way, for";
    assert!(
        says(|world| world.recent.running = 1)
            .1
            .starts_with(under_way)
    );
    let over = |world: &mut World| world.status.iterator_age_ms = 300_000;
    assert!(
        says(over).1.starts_with(under_way),
        "it is about to be called"
    );
    assert!(
        says(|world| world.status.shards[0].parked_keys = 1)
            .1
            .contains("waits for a retry")
    );
}

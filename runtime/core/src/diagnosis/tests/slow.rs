//! What is said where lanes are too few, and what is proposed.

use super::{words::said, *};

#[test]
fn what_is_slow_is_told_with_its_lanes_its_pace_and_what_to_raise() {
    let mut world = World::new();
    makes(Why::FunctionSlow, &mut world);
    world.recent.adds.processed = 29;
    world.recent.p50_ns = Some(812_000_000);
    world.recent.p99_ns = Some(30_000_000_000);
    let (since, message, commands) = said(&world);
    assert_eq!(since, Some(rfc3339::format(Timestamp(NOW.0 - 600_000))));
    assert_eq!(
        message,
        "calls succeed, and are not enough: 4 lanes busy 100% of the time, a call takes 812 ms (p99 30.0 s), \
         0.1/s of 0.3/s that come are settled"
    );
    let factor = "fnctl mappings update enrich/signups --parallelization-factor 7";
    let shards = "fnctl streams resize signups --shards 4";
    assert_eq!(commands[..2], [factor, shards]);
    // As many as settle what comes, and no more than the server makes calls at once; nobody knows: twice as many.
    for (arrived, processed, node_shards, more) in [
        (Some(100), 80, 2, 3),
        (Some(100), 1, 2, 32),
        (Some(100), 1, 100, 4),
        (Some(100), 0, 2, 4),
        (None, 29, 2, 4),
        (Some(29), 29, 2, 4),
    ] {
        let mut world = World::new();
        makes(Why::FunctionSlow, &mut world);
        world.arrived = arrived;
        world.recent.adds.processed = processed;
        world.status.shards = (0..node_shards).map(shard).collect();
        world.status.shards[0].pending_records = 1;
        let found = world.diagnosed();
        let factor = found.actions[0].command.rsplit(' ').next();
        assert_eq!(factor, Some(&*format!("{more}")), "{arrived:?} {found:?}");
    }
    assert_eq!(
        world.diagnosed().actions[0].effect,
        "7 lanes a shard instead of 2: 0.3/s come where these settle 0.1/s; each key stays in order"
    );
    // In order within the shard there is one lane.
    world.status.settings.ordering = "shard".to_owned();
    assert_eq!(said(&world).2[0], shards);
    // Calls that never ended are told of as well.
    (world.recent.p50_ns, world.recent.p99_ns) = (None, None);
    world.recent.running = 4;
    assert!(
        said(&world)
            .1
            .contains("4 calls under way, and none has ended")
    );
}

#[test]
fn lanes_that_the_function_may_not_fill_are_proposed_with_the_calls_for_them() {
    let proposed = |own: u32, ordering: &str| {
        let mut world = World::new();
        makes(Why::FunctionSlow, &mut world);
        (world.arrived, world.recent.adds.processed) = (Some(100), 50);
        world.concurrency = Some(own);
        world.status.settings.ordering = ordering.to_owned();
        said(&world).2
    };
    let factor = "fnctl mappings update enrich/signups --parallelization-factor 4";
    let resize = "fnctl streams resize signups --shards 4";
    let calls = "fnctl deploy --name enrich --concurrency 8";
    assert_eq!(proposed(4, "key")[..3], [calls, factor, resize]);
    assert_eq!(proposed(7, "key")[..3], [calls, factor, resize]);
    assert_eq!(proposed(8, "key")[..2], [factor, resize]);
    let calls = "fnctl deploy --name enrich --concurrency 4";
    assert_eq!(proposed(2, "shard")[..2], [calls, resize]);
}

#[test]
fn a_version_that_is_slow_since_it_came_can_be_rolled_back() {
    let mut world = World::new();
    makes(Why::FunctionSlow, &mut world);
    world.before = Some(6);
    let rollback = "fnctl rollback enrich".to_owned();
    assert!(!said(&world).2.contains(&rollback), "it has run for a day");
    world.live_since = Timestamp(NOW.0 - 500_000);
    assert_eq!(said(&world).2[0], rollback);
    world.before = None;
    assert!(!said(&world).2.contains(&rollback), "there is no other");
}

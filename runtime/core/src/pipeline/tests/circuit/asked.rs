//! What a person has probed while a circuit is open.

use super::{HOUR, attempts, down, down_as_a_whole, shard, totals, well};
use crate::{
    id::{Ordinal, Timestamp},
    mapping::{MappingSettings, Ordering},
    outcome::Outcome,
    pipeline::{
        Event,
        tests::harness::{Harness, given::waiting_ms},
    },
};

fn release(position: u64) -> Event {
    Event::Release {
        positions: vec![Ordinal(position)],
    }
}

/// What is called at this very moment.
fn now(shard: &mut Harness, guest: fn(&[u64]) -> Outcome) -> Vec<Vec<u64>> {
    let calls = shard.run_until(shard.now(), guest);
    calls.into_iter().map(|(_, records)| records).collect()
}

#[test]
fn a_release_by_hand_probes_at_once() {
    let mut shard = shard(attempts(3), 40);
    shard.run_until(40_000, down);
    let due = shard.stats().circuit.expect("it is open").next_probe;
    assert!(due > Timestamp(40_000));
    let positions = vec![Ordinal(7)];
    shard.at(40_000).tell(Event::Release { positions });
    let calls = shard.run_until(40_000, well);
    assert_eq!(calls[0].0, 40_000);
    shard.run_until(HOUR, well);
    assert_eq!(totals(&shard)[..2], [40, 0]);
}

#[test]
fn a_release_of_nothing_probes_what_waits_the_shortest() {
    for ordering in [Ordering::Key, Ordering::Shard] {
        let slow = MappingSettings {
            ordering,
            ..waiting_ms(attempts(1), 100_000)
        };
        let mut shard = shard(slow, 40);
        shard.run_until(0, down);
        assert!(shard.stats().circuit.is_some());
        let positions = Vec::new();
        shard.at(400).tell(Event::Release { positions });
        let calls = shard.run_until(400, well);
        assert_eq!(calls[0].0, 400, "{ordering:?}");
        // With order within the shard nothing else can be tried.
        let is_recovering = shard.stats().circuit.map(|open| open.is_recovering());
        let expected = (ordering == Ordering::Key).then_some(true);
        assert_eq!(is_recovering, expected, "{ordering:?}");
    }
}

#[test]
fn a_key_that_is_asked_for_is_probed_next_whatever_waits_there() {
    let bisected = MappingSettings {
        bisect_on_error: true,
        batch_size: 20,
        ..attempts(3)
    };
    for (name, settings, guest) in [
        ("by name", attempts(3), down as fn(&[u64]) -> Outcome),
        ("suspects", bisected, down_as_a_whole),
        ("never charged", attempts(1), down),
        ("long backoffs", waiting_ms(attempts(1), HOUR), down),
    ] {
        for position in [1, 7, 19, 20] {
            let mut shard = shard(settings.clone(), 60);
            shard.run_until(41_000, guest);
            assert!(shard.stats().circuit.is_some(), "{name}");
            shard.at(41_000).tell(release(position));
            let calls = now(&mut shard, guest);
            assert_eq!(calls, [[position]], "{name}");
            // Once: it waits like all others then.
            shard.at(41_200).tell(release(position + 20));
            let calls = now(&mut shard, guest);
            assert_eq!(calls, [[position + 20]], "{name}");
            let charged = totals(&shard);
            shard.run_until(HOUR, guest);
            assert_eq!(totals(&shard), charged, "{name}");
            shard.run_until(u64::MAX, well);
            assert_eq!(totals(&shard)[..2], [60, 0], "{name}");
        }
    }
}

#[test]
fn a_key_that_is_asked_for_while_another_is_probed_follows_without_a_pause() {
    let mut shard = shard(attempts(3), 40);
    shard.run_until(41_000, down);
    shard.forget();
    shard.at(41_000).tell(release(7));
    let first = shard.running().expect("it is probed");
    shard.tell(release(9));
    shard.expect(&[&format!("call {first} retry: 7")]);
    shard.end_with(first, down(&[7]));
    assert_eq!(now(&mut shard, down), [[9]]);
}

#[test]
fn of_what_was_not_tried_the_lane_has_the_next_turn() {
    let lanes = MappingSettings {
        batch_size: 10,
        parallelization_factor: 4,
        ..attempts(3)
    };
    let mut shard = shard(lanes, 400);
    shard.run_until(41_000, down);
    let told = shard.waiting_keys(None, usize::MAX).keys;
    let untried = told.iter().filter(|key| key.is_behind_lane);
    let untried: Vec<u64> = untried.map(|key| key.records[0].position.0).collect();
    assert!(untried.len() > 100, "{}", untried.len());
    for &position in untried.iter().rev().take(4) {
        shard.at(shard.now() + 100).tell(release(position));
        let calls = now(&mut shard, down);
        let lane = |position: u64| (999 + position) % 4;
        let of_lane = calls.iter().filter(|of| lane(of[0]) == lane(position));
        assert_eq!(of_lane.count(), 1, "{calls:?}");
    }
}

#[test]
fn with_windows_the_group_of_the_key_is_next() {
    let settings = MappingSettings {
        tumbling_window_ms: 900_000,
        key_groups: 64,
        ..attempts(3)
    };
    let mut shard = shard(settings, 200);
    shard.run_until(41_000, down_as_a_whole);
    let told = shard.waiting_keys(None, usize::MAX).keys;
    assert!(told.len() > 20, "{told:?}");
    for key in told.iter().rev().take(4) {
        let position = key.records[0].position.0;
        shard.at(shard.now() + 100).tell(release(position));
        let calls = now(&mut shard, down_as_a_whole);
        assert_eq!(calls[0][0], position, "{calls:?}");
    }
    shard.run_until(u64::MAX, well);
    assert_eq!(totals(&shard)[..2], [200, 0]);
}

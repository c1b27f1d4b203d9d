//! A circuit a version: what one cannot do without holds no key of the other.

use std::collections::BTreeMap;

use super::{attempts, down, down_as_a_whole, returned, totals};
use crate::{
    canary::{Permille, Share},
    id::{FunctionId, FunctionVersion, Ordinal},
    mapping::MappingSettings,
    outcome::Outcome,
    pipeline::{
        OtherVersion, PipelineCanary, Started,
        tests::harness::{Harness, given::beginning},
    },
};

type Guest = fn(&[u64]) -> Outcome;

fn half() -> Share {
    Share::new(FunctionId(1), Permille::new(500).unwrap())
}

/// Whether a record of [`shard`] meets the canary.
fn meets_canary(position: u64) -> bool {
    half().takes(999 + position)
}

/// A shard with this many records, each of a key of its own, of which about half meet the canary.
fn shard(settings: MappingSettings, start: Started, records: u64) -> Harness {
    let version = OtherVersion {
        version: FunctionVersion(2),
        outputs: [].into(),
    };
    let share = half();
    let canary = PipelineCanary { share, version };
    let mut shard = Harness::beside(settings, start, Some(canary));
    shard.keys_of_many = 1_000_000;
    shard.tail(records);
    shard.forget();
    shard.fetched_many(Ordinal(0), records);
    shard
}

/// What one version is asked fails so; the other one is well.
fn sick(is_canary: bool, guest: Guest) -> impl FnMut(&[u64]) -> Outcome {
    move |records| match meets_canary(records[0]) == is_canary {
        true => guest(records),
        false => returned([]),
    }
}

fn small() -> MappingSettings {
    MappingSettings {
        batch_size: 10,
        bisect_on_error: true,
        ..attempts(3)
    }
}

#[test]
fn a_version_that_is_sick_holds_its_own_keys_alone() {
    let of_canary = (1..=400).filter(|&at| meets_canary(at)).count() as u64;
    for is_canary in [true, false] {
        for guest in [down as Guest, down_as_a_whole] {
            let mut shard = shard(small(), beginning(), 400);
            shard.run_until(50_000, sick(is_canary, guest));
            let of_other = if is_canary {
                400 - of_canary
            } else {
                of_canary
            };
            assert_eq!(totals(&shard)[..2], [of_other, 0], "{is_canary}");
            let stats = shard.stats();
            let open = [&stats.circuit, &stats.canary_circuit].map(Option::is_some);
            assert_eq!(open, [!is_canary, is_canary]);
            let left = &shard.left.outages;
            let left = [&left.live, &left.canary].map(|of| of.as_ref().map(|of| of.version.0));
            let told = if is_canary {
                [None, Some(2)]
            } else {
                [Some(1), None]
            };
            assert_eq!((left, shard.told), (told, 1));
            shard.run_until(u64::MAX, |_| returned([]));
            assert_eq!(totals(&shard)[..2], [400, 0], "{is_canary}");
            assert!(shard.left.outages.is_none());
        }
    }
}

#[test]
fn retries_of_the_other_version_go_on() {
    for guest in [down as Guest, down_as_a_whole] {
        let mut shard = shard(small(), beginning(), 400);
        shard.run_until(50_000, sick(true, guest));
        shard.at(50_000).tail(500);
        shard.forget();
        shard.fetched_many(Ordinal(400), 100);
        let mut tries: BTreeMap<u64, u32> = BTreeMap::new();
        shard.run_until(51_000, |records| {
            // Keys are those of the first hundred.
            if meets_canary(records[0] - 400 * u64::from(records[0] > 400)) {
                return guest(records);
            }
            let fails_first = |&record: &u64| {
                let tries = tries.entry(record).or_default();
                *tries += 1;
                record % 10 == 0 && *tries == 1
            };
            let failed = records.iter().map(fails_first).collect::<Vec<_>>();
            returned((0..records.len()).filter(|&at| failed[at]))
        });
        let is_twice = |at: u64| at.is_multiple_of(10);
        let live = (401..=500).filter(|&at| !meets_canary(at - 400));
        for at in live {
            assert_eq!(tries[&at], if is_twice(at) { 2 } else { 1 }, "record {at}");
        }
        assert!(shard.stats().canary_circuit.is_some());
    }
}

#[test]
fn an_owner_begins_with_the_circuit_of_each() {
    let mut last = shard(small(), beginning(), 400);
    last.run_until(50_000, sick(true, down));
    let left = Started {
        outages: last.left.outages.clone(),
        ..beginning()
    };
    let mut next = shard(small(), left, 400);
    assert!(next.stats().circuit.is_none() && next.stats().canary_circuit.is_some());
    let calls = next.run_until(0, sick(true, down));
    let of_canary = calls.iter().filter(|(_, records)| meets_canary(records[0]));
    assert_eq!(of_canary.count(), 1, "one probe");
    assert_eq!(totals(&next)[1..], [0, 0]);
}

/// With windows groups meet a version, without them keys.
#[test]
fn what_the_circuit_of_one_version_holds_takes_no_room_of_the_other() {
    let in_windows = MappingSettings {
        tumbling_window_ms: 900_000,
        key_groups: 256,
        ..small()
    };
    for (settings, is_canary) in [small(), in_windows]
        .into_iter()
        .flat_map(|settings| [(settings.clone(), true), (settings, false)])
    {
        let takes = |position: u64| {
            // Each read is of the same keys.
            let key = 1_000 + (position - 1) % 400;
            half().takes(match settings.tumbling_window_ms {
                0 => key,
                _ => key % u64::from(settings.key_groups),
            })
        };
        let guest = |records: &[u64], is_down: bool| match takes(records[0]) == is_canary {
            true if is_down => down(records),
            _ => returned([]),
        };
        let mut shard = shard(settings.clone(), beginning(), 400);
        shard.run_until(50_000, |records| guest(records, true));
        let mut read = 400;
        for _ in 0..20 {
            assert_eq!(shard.stats().waiting_records, 0, "{is_canary}");
            shard.tail(read + 400);
            assert_eq!(shard.fetch_asked(), Some(Ordinal(read)), "{is_canary}");
            shard.forget();
            shard.fetched_many(Ordinal(read), 400);
            read += 400;
            shard.run_until(shard.now(), |records| guest(records, true));
        }
        let others = (1..=read).filter(|&at| takes(at) != is_canary).count() as u64;
        assert_eq!(totals(&shard)[..2], [others, 0], "{is_canary}");
        shard.run_until(shard.now() + 500_000, |records| guest(records, false));
        assert_eq!(totals(&shard)[..2], [read, 0], "{is_canary}");
        let stats = shard.stats();
        assert_eq!((stats.waiting_records, stats.parked_bytes), (0, 0));
    }
}

//! Few keys in each of many shards: what none of them can tell of an outage, all of them can.

use super::{HOUR, attempts, down, poison, totals, well};
use crate::{
    breaker::MappingWitnesses,
    id::{FunctionVersion, Ordinal, Timestamp},
    outcome::Outcome,
    pipeline::{Event, tests::harness::Harness},
};

const VERSION: FunctionVersion = FunctionVersion(1);

/// Shards of one mapping with ten records each, each of a key of its own.
fn shards(count: u64) -> Vec<Harness> {
    let shard = |at| {
        let mut shard = Harness::new(attempts(3));
        shard.keys_of_many = 10;
        shard.first_of_many = 1_000 * at;
        shard.tail(10);
        shard.forget();
        shard.fetched_many(Ordinal(0), 10);
        shard
    };
    (1..=count).map(shard).collect()
}

/// Each shard works until then, tells the others what its calls said, and hears of theirs.
fn work_once(
    shards: &mut [Harness],
    witnesses: &mut MappingWitnesses,
    now: u64,
    mut guest: impl FnMut(usize, &[u64]) -> Outcome,
) {
    for (at, shard) in shards.iter_mut().enumerate() {
        let live = witnesses.are_enough(VERSION, Timestamp(now));
        shard.at(now);
        shard.tell(Event::MappingSick {
            live,
            canary: false,
        });
        shard.run_until(now, |records| guest(at, records));
        for (version, sign) in shard.felt.drain(..) {
            witnesses.felt(version, &sign, Timestamp(now));
        }
    }
}

fn work(shards: &mut [Harness], until: u64, mut guest: impl FnMut(usize, &[u64]) -> Outcome) {
    let mut witnesses = MappingWitnesses::default();
    for now in (shards[0].now()..=until).step_by(20) {
        work_once(shards, &mut witnesses, now, &mut guest);
    }
}

#[test]
fn an_outage_of_few_keys_a_shard_gives_nobody_up() {
    let mut eight = shards(8);
    work(&mut eight, 20_000, |_, records| down(records));
    for shard in &eight {
        assert!(shard.stats().circuit.is_some());
        assert_eq!(totals(shard)[..2], [0, 0]);
    }
    work(&mut eight, 200_000, |_, records| well(records));
    for shard in &eight {
        assert_eq!((totals(shard)[0], shard.stats().circuit), (10, None));
    }
}

#[test]
fn without_the_others_they_are_given_up() {
    let mut one = shards(1);
    work(&mut one, 20_000, |_, records| down(records));
    assert_eq!((totals(&one[0])[1], one[0].circuit_opens()), (10, 0));
}

#[test]
fn shards_that_are_well_outweigh_poison_of_others() {
    // Three of ten in each of eight shards, one after the other: 24 in all.
    let mut eight = shards(8);
    work(&mut eight, HOUR / 100, |_, records| {
        poison(&[2, 5, 8])(records)
    });
    for shard in &eight {
        assert_eq!(
            (totals(shard)[..2].to_vec(), shard.circuit_opens()),
            (vec![7, 3], 0)
        );
    }
    // All of four shards, and none of four: those that are well work on meanwhile.
    let mut eight = shards(8);
    let mut witnesses = MappingWitnesses::default();
    for round in 0..1_000 {
        let now = round * 20;
        for shard in eight.iter_mut().skip(1).step_by(2) {
            shard.at(now).tail(round * 10 + 20);
            shard.fetched_many(Ordinal(round * 10 + 10), 10);
        }
        work_once(&mut eight, &mut witnesses, now, |at, records| {
            match at % 2 {
                0 => down(records),
                _ => well(records),
            }
        });
    }
    assert!(eight.iter().all(|shard| shard.circuit_opens() == 0));
    assert_eq!(totals(&eight[0])[1], 10);
}

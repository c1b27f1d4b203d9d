//! Thousands of schedules, each from a seed.
//!
//! `FNCTL_SIM_SEEDS=2000000` runs more, from `FNCTL_SIM_FIRST` on; `FNCTL_SIM_SEED=17` runs one and prints what happened; of one that
//! fails the last lines, or the last `FNCTL_SIM_LINES`.

use std::{panic, thread};

use fnctl_sim::{
    coverage::{Coverage, Reached},
    world::{self, Weakness},
};

const SEEDS: u64 = 20_000;
const THREADS: u64 = 2;
/// Each kind of happening is met once in so many seeds, or the schedules stopped exploring.
const SEEDS_A_KIND: u64 = 200;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs a share of the seeds; the first that fails is named.
fn run_share(seeds: std::ops::Range<u64>) -> Result<Coverage, u64> {
    let mut coverage = Coverage::default();
    for seed in seeds.step_by(usize::try_from(THREADS).expect("few")) {
        match panic::catch_unwind(|| world::run(seed, false)) {
            Ok(report) => coverage.add(&report.coverage),
            Err(_) => return Err(seed),
        }
    }
    Ok(coverage)
}

#[test]
fn every_schedule_gives_each_record_one_end_in_the_order_of_its_key() {
    if let Some(seed) = number("FNCTL_SIM_SEED") {
        let report = world::run(seed, true);
        println!("{}", report.trace.text());
        return;
    }
    let first = number("FNCTL_SIM_FIRST").unwrap_or(0);
    let seeds = number("FNCTL_SIM_SEEDS").unwrap_or(SEEDS);
    let shares: Vec<_> = (0..THREADS)
        .map(|share| thread::spawn(move || run_share(first + share..first + seeds)))
        .collect();
    let mut coverage = Coverage::default();
    for share in shares {
        match share.join().expect("a share does not panic itself") {
            Ok(of_share) => coverage.add(&of_share),
            Err(seed) => panic!("seed {seed}: replay it with FNCTL_SIM_SEED={seed}"),
        }
    }
    for &reached in Reached::ALL {
        println!("{:>10} {reached:?}", coverage.count(reached));
    }
    let missed: Vec<_> = Reached::ALL
        .iter()
        .filter(|&&reached| coverage.count(reached) < seeds / SEEDS_A_KIND)
        .map(|&reached| (reached, coverage.count(reached)))
        .collect();
    assert!(missed.is_empty(), "hardly ever reached: {missed:?}");
}

#[test]
fn a_seed_runs_identically_twice() {
    for seed in [0, 1, 2, 17, 99, 1_234] {
        let once = world::run(seed, true);
        let again = world::run(seed, true);
        assert_eq!(once.trace.text(), again.trace.text(), "seed {seed}");
        assert_eq!(once, again, "seed {seed}");
    }
}

#[test]
fn a_judge_that_could_not_fail_would_be_worth_nothing() {
    for weakness in Weakness::ALL {
        let fails = |seed: &u64| {
            panic::catch_unwind(|| drop(world::run_weakened(*seed, weakness))).is_err()
        };
        let found = (0..400).find(fails);
        assert!(found.is_some(), "nobody notices {weakness:?}");
    }
}

//! The production store and pipeline over a simulated disk: thousands of lives and deaths, each run from
//! a seed.
//!
//! `FNCTL_SIM_SEEDS=200000` runs more, from `FNCTL_SIM_FIRST` on; `FNCTL_SEED=17` runs one and prints
//! what happened, `FNCTL_STEPS=90` no more than that of its trouble, `FNCTL_WITHOUT=Full,Image` without
//! those.

use std::{
    panic::{self, AssertUnwindSafe},
    thread,
};

use fnctl_sim::{
    coverage::Coverage,
    node::{self, Branch, Report, Schedule, Trouble, Weakness},
};

const SEEDS: u64 = 2_000;
const THREADS: u64 = 2;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn fails(schedule: &Schedule) -> bool {
    let run = AssertUnwindSafe(|| drop(node::run(schedule, false)));
    panic::catch_unwind(run).is_err()
}

/// Leaves out every trouble that the failure does not need, then all steps behind it.
fn shrink(seed: u64) -> Schedule {
    let mut schedule = Schedule::of(seed);
    for trouble in Trouble::ALL {
        let mut less = schedule.clone();
        less.without.push(trouble);
        if fails(&less) {
            schedule = less;
        }
    }
    let (mut good, mut bad) = (0, 4_000);
    while good + 1 < bad {
        let middle = u64::midpoint(good, bad);
        let less = Schedule {
            steps_max: middle,
            ..schedule.clone()
        };
        if fails(&less) {
            bad = middle;
            schedule = less;
        } else {
            good = middle;
        }
    }
    schedule
}

/// How to run a schedule again.
fn command(schedule: &Schedule) -> String {
    let mut words = format!("FNCTL_SEED={}", schedule.seed);
    if schedule.steps_max < u64::MAX {
        words += &format!(" FNCTL_STEPS={}", schedule.steps_max);
    }
    if !schedule.without.is_empty() {
        let without: Vec<String> = schedule.without.iter().map(|t| format!("{t:?}")).collect();
        words += &format!(" FNCTL_WITHOUT={}", without.join(","));
    }
    words + " cargo test -p fnctl-sim --test node"
}

fn asked_for() -> Option<Schedule> {
    let seed = number("FNCTL_SEED")?;
    let without = std::env::var("FNCTL_WITHOUT").unwrap_or_default();
    let is_without = |trouble: &Trouble| {
        let name = format!("{trouble:?}");
        without.split(',').any(|word| word == name)
    };
    Some(Schedule {
        steps_max: number("FNCTL_STEPS").unwrap_or(u64::MAX),
        without: Trouble::ALL.into_iter().filter(is_without).collect(),
        ..Schedule::of(seed)
    })
}

#[derive(Default)]
struct Sum {
    coverage: Coverage<Branch>,
    acknowledged: u64,
    steps: u64,
}

impl Sum {
    fn add(&mut self, coverage: &Coverage<Branch>, acknowledged: u64, steps: u64) {
        self.coverage.add(coverage);
        self.acknowledged += acknowledged;
        self.steps += steps;
    }
}

/// Runs a share of the seeds; the first that fails is named.
fn run_share(seeds: std::ops::Range<u64>) -> Result<Sum, u64> {
    let mut sum = Sum::default();
    for seed in seeds.step_by(usize::try_from(THREADS).expect("few")) {
        let run = AssertUnwindSafe(|| node::run(&Schedule::of(seed), false));
        match panic::catch_unwind(run) {
            Ok(Report {
                coverage,
                acknowledged,
                steps,
                ..
            }) => sum.add(&coverage, acknowledged, steps),
            Err(_) => return Err(seed),
        }
    }
    Ok(sum)
}

#[test]
fn nothing_acknowledged_or_seen_is_lost_doubled_halved_or_reordered() {
    if let Some(schedule) = asked_for() {
        println!("{}", node::run(&schedule, true).trace.text());
        return;
    }
    let first = number("FNCTL_SIM_FIRST").unwrap_or(0);
    let seeds = number("FNCTL_SIM_SEEDS").unwrap_or(SEEDS);
    let shares: Vec<_> = (0..THREADS)
        .map(|share| thread::spawn(move || run_share(first + share..first + seeds)))
        .collect();
    let mut sum = Sum::default();
    for share in shares {
        match share.join().expect("a share does not panic itself") {
            Ok(of_share) => sum.add(&of_share.coverage, of_share.acknowledged, of_share.steps),
            Err(seed) => {
                panic::set_hook(Box::new(|_| {}));
                let schedule = shrink(seed);
                drop(panic::take_hook());
                panic!("seed {seed}: run it again with {}", command(&schedule));
            }
        }
    }
    println!(
        "{seeds} seeds: {} steps, {} records acknowledged",
        sum.steps, sum.acknowledged
    );
    for &branch in Branch::ALL {
        println!("{:>10} {branch:?}", sum.coverage.count(branch));
    }
    let missed: Vec<_> = Branch::ALL
        .iter()
        .filter(|&&branch| sum.coverage.count(branch) < seeds / 2_000)
        .collect();
    assert!(missed.is_empty(), "hardly ever reached: {missed:?}");
}

/// Each found a bug when it was first run, as short as it could be made.
#[test]
fn schedules_that_found_bugs_stay_mended() {
    use Trouble::{
        BadRecords, Canaries, Chain, ClockJump, Crash, Damage, Full, Hands, Image, Letters,
        Outages, Retention, Seeks, Takeover, Writeback,
    };
    // Nobody did these when they were found.
    const SINCE: [Trouble; 5] = [Hands, Letters, Seeks, Canaries, Outages];
    let found: [(&str, u64, u64, &[Trouble]); 9] = [
        ("sealing what expired met a full disk", 24, u64::MAX, &[]),
        (
            "a spare journal file could not be synced",
            26,
            u64::MAX,
            &[],
        ),
        (
            "a start on a full disk had no ballast to give up",
            302,
            231,
            &[
                Crash, ClockJump, Image, Damage, Writeback, BadRecords, Chain, Takeover,
            ],
        ),
        (
            "a segment that ends inside a frame was read for ever",
            650,
            u64::MAX,
            &[],
        ),
        (
            "a shutdown never ended on a disk that stayed full",
            10_372,
            u64::MAX,
            &[],
        ),
        (
            "the world forgot that the end of the journal tells the time",
            518,
            u64::MAX,
            &[],
        ),
        (
            "a journal file was missing in front of one without frames",
            528,
            43,
            &[
                Full, ClockJump, Image, Writeback, Chain, Takeover, Retention,
            ],
        ),
        (
            "an image written anew kept what had gone since the last cut",
            91_876,
            245,
            &[
                Crash, Full, ClockJump, Damage, Writeback, Chain, Takeover, Retention,
            ],
        ),
        (
            "a read-only start on a full disk showed a frame whose sync had failed",
            45_777,
            3,
            &[
                Crash, Full, ClockJump, Image, Damage, Writeback, BadRecords, Chain, Takeover,
                Retention,
            ],
        ),
    ];
    for (what, seed, steps_max, without) in found {
        let schedule = Schedule {
            steps_max,
            without: [without, &SINCE].concat(),
            ..Schedule::of(seed)
        };
        assert!(!fails(&schedule), "{what}: {}", command(&schedule));
    }
}

#[test]
fn a_seed_runs_identically_twice() {
    for seed in 0..12 {
        let once = node::run(&Schedule::of(seed), true);
        let again = node::run(&Schedule::of(seed), true);
        assert_eq!(once.trace.text(), again.trace.text(), "seed {seed}");
        assert_eq!(once, again, "seed {seed}");
    }
}

#[test]
fn an_oracle_that_could_not_fail_would_be_worth_nothing() {
    for weakness in Weakness::ALL {
        let found = (0..400).find(|&seed| {
            fails(&Schedule {
                weakness: Some(weakness),
                ..Schedule::of(seed)
            })
        });
        assert!(found.is_some(), "nobody notices {weakness:?}");
    }
}

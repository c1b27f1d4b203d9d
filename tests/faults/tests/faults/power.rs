//! The power goes at any call, three times in a row: what was acknowledged is there with exactly one
//! effect, in order, nothing is invented, and nothing that a reader saw is taken back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use fnctl_faults::{
    Random,
    disk::{Disk, Leaves},
    node::{self, Place},
};
use fnctl_tests::{Seen, Server, ledger::Ledger};

use crate::{
    load::{self, Load},
    runs,
};

/// Chains of three cuts in an ordinary run; `FNCTL_POWER_CHAINS` asks for others.
const CHAINS: u64 = 300;
/// Chains side by side; of some ten seconds each takes half a second of a processor, and waits for the rest.
const AT_ONCE: u64 = 32;
/// Producers, each with a key of its own.
const KEYS: usize = 3;
/// Long enough for a cut of the store, which is due every two seconds.
const IDLE: Duration = Duration::from_millis(2_600);

/// One life of a server, up to its end.
struct Life {
    /// What the interposer is asked for.
    wishes: Vec<(&'static str, String)>,
    /// Acknowledgements until the test itself ends it.
    until: u64,
    /// Records of each producer, then it is quiet; `None`: no end.
    records: Option<u64>,
}

/// A life that ends somewhere in its start, under load, or in what goes on behind.
fn draw(random: &mut Random) -> Life {
    let how = *random.pick(&["before", "after", "half"]);
    let delay = *random.pick(&["0", "200", "2000", "8000"]);
    let mut wishes = vec![
        ("seed", random.number().to_string()),
        ("how", how.to_owned()),
        ("delay", delay.to_owned()),
    ];
    let mut until = 4_000;
    let mut records = None;
    let mut kill_at = |calls: u64, under: &str, random: &mut Random| {
        wishes.push(("kill", (1 + random.below(calls)).to_string()));
        wishes.push(("under", under.to_owned()));
    };
    match random.below(100) {
        0..40 => kill_at(400, "", random),
        40..55 => kill_at(75, "", random),
        55..70 => {
            kill_at(60, "image/", random);
            records = Some(random.below(60));
        }
        70..82 => {
            kill_at(30, "streams/", random);
            records = Some(1 + random.below(100));
        }
        82..90 => kill_at(200, "journal/", random),
        _ => until = random.below(1_500),
    }
    Life {
        wishes,
        until,
        records,
    }
}

/// What a chain has learned.
struct Chain {
    ledger: Ledger,
    seen: Vec<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Lives that ended in their own start, by their call, by the test.
    starting: u64,
    by_call: u64,
    by_test: u64,
    acknowledged: usize,
    seen: usize,
}

/// Loads a server until it dies, or is killed.
fn live(chain: &Chain, life: &Life, server: Server) -> String {
    let load = Load {
        keys: KEYS,
        records: life.records,
        until: life.until,
        may_refuse: false,
    };
    let api = server.api.clone();
    load::run(&api, &load, &chain.ledger, &chain.seen, |ended| {
        if life.records.is_some() {
            let _is_dead = node::ended_within(ended, IDLE);
        } else {
            chain.ledger.wait_for_stop();
        }
        server.kill_now();
    });
    server.log()
}

fn run_chain(seed: u64, healthy: &Disk, lie: Option<&str>) -> Counts {
    let mut random = Random::new(seed);
    let mut disk = healthy.clone();
    let chain = Chain {
        ledger: Ledger::new(KEYS),
        seen: ["in", "out"].map(Seen::new).into(),
    };
    let mut counts = Counts::default();
    let mut history = History::default();
    for cut in 1..=3 {
        let life = draw(&mut random);
        let place = Place::of(&disk);
        let honest = place.interposed();
        let honest = lie.iter().fold(honest, |plan, lie| plan.with("deaf", lie));
        let plan = life
            .wishes
            .iter()
            .fold(honest, |plan, (key, value)| plan.with(key, value));
        match place.start(Some(&plan)) {
            Ok(server) => history.0.push(live(&chain, &life, server)),
            Err(failure) => {
                let exit = failure.exit;
                assert_eq!(
                    exit,
                    None,
                    "cut {cut}: it does not open: {failure} ({})",
                    plan.words()
                );
                counts.starting += 1;
            }
        }
        let told = disk.replay(&plan.records().expect("records"));
        history
            .0
            .push(format!("cut {cut}: {} {told:?}", plan.words()));
        counts.by_call += u64::from(told.killed.is_some());
        counts.by_test += u64::from(told.killed.is_none());
        let files = *random.pick(&[
            Leaves::Nothing,
            Leaves::Nothing,
            Leaves::Some,
            Leaves::Some,
            Leaves::All,
        ]);
        let names = *random.pick(&[Leaves::Nothing, Leaves::Nothing, Leaves::Some, Leaves::All]);
        history
            .0
            .push(format!("left files {files:?}, names {names:?}"));
        disk = disk.power_cut(files, names, &mut random);
    }
    check(&chain, &disk, counts, &mut history)
}

/// What happened in a chain; told when it fails.
#[derive(Default)]
struct History(Vec<String>);

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.join("\n"));
        }
    }
}

/// Starts a last time and holds everything against the ledger.
fn check(chain: &Chain, disk: &Disk, mut counts: Counts, history: &mut History) -> Counts {
    let place = Place::of(disk);
    let server = place
        .start(None)
        .unwrap_or_else(|e| panic!("it does not open: {e}"));
    history.0.push(server.log());
    (counts.acknowledged, counts.seen) = load::check(&server, &chain.ledger, &chain.seen);
    counts
}

/// The oracle bites: on a disk that forgets syncs it finds what is lost.
#[test]
fn a_disk_that_lies_is_found_out() {
    let healthy = node::healthy();
    for lie in ["journal/", "journal"] {
        let losses = runs::run(8, AT_ONCE, |seed| {
            catch_unwind(AssertUnwindSafe(|| run_chain(seed, &healthy, Some(lie)))).is_err()
        });
        let count = losses.iter().filter(|is_lost| **is_lost).count();
        assert!(
            count >= 2,
            "{count} of 8 chains without syncs of {lie} lost something"
        );
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes() {
    let healthy = node::healthy();
    let chains = runs::number("FNCTL_POWER_CHAINS", CHAINS);
    let all = runs::run(chains, runs::number("FNCTL_AT_ONCE", AT_ONCE), |seed| {
        run_chain(seed, &healthy, None)
    });
    let mut sum = Counts::default();
    for counts in &all {
        sum.starting += counts.starting;
        sum.by_call += counts.by_call;
        sum.by_test += counts.by_test;
        sum.acknowledged += counts.acknowledged;
        sum.seen += counts.seen;
    }
    eprintln!("{chains} chains: {sum:?}");
    let cuts = 3 * chains;
    assert!(sum.by_call * 2 > cuts, "most lives end at a call: {sum:?}");
    assert!(
        chains < 50 || sum.starting > 0,
        "some end in their start: {sum:?}"
    );
}

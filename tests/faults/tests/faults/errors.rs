//! Calls that fail: whichever it is, nothing acknowledged is lost, and what is not waited out ends the
//! process at once with a reason.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use fnctl_faults::{
    Interposed, Random,
    disk::{Disk, Leaves, Told},
    node::{self, Place},
};
use fnctl_tests::{Failure, Seen, Server, ledger::Ledger};

use crate::{
    load::{self, Load},
    runs,
};

/// Trials side by side; most of their time they wait.
const AT_ONCE: u64 = 48;
/// Calls that fail in turn, each in every way; `FNCTL_FAULT_CALLS` asks for others.
const CALLS: u64 = 200;
/// Syncs that fail in turn.
const SYNCS: u64 = 40;
/// A server whose connections are still there after this time goes on. How long after the failure one that
/// stops has ended it says itself ([`ENDED`]): what is seen from here is the machine's load as well.
const STOPS_WITHIN: Duration = Duration::from_secs(4);
/// The rule, and the words under which the server says how it kept it.
const ENDS_WITHIN_MS: u64 = 1_000;
const ENDED: &str = "ending after the failure took_ms=";
/// Numbers of the system calls write, pwrite64, fsync, fdatasync and syncfs.
const WRITES_AND_SYNCS: [u64; 5] = [1, 18, 74, 75, 306];
/// Long enough for the store to cut twice.
const WAITS: Duration = Duration::from_millis(4_500);
/// Producers, each with a key of its own, and what each of them puts.
const KEYS: usize = 2;
const RECORDS: u64 = 60;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Call(i32),
    Read,
    Short,
    Sync,
}

/// Numbers of the system calls write, pwrite64, mkdir and fallocate: what a full disk refuses.
const WRITES: [u64; 4] = [1, 18, 83, 285];

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// What became of a server of which a call had failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It did not start, and said why.
    Refused,
    /// It stopped by itself, and said why.
    Stopped,
    /// It went on.
    Served,
    /// No call of that number was made.
    NotReached,
}

fn plan(place: &Place, what: What, n: u64) -> Interposed {
    let plan = place.interposed().with("fault", n).with("delay", 100);
    let plan = plan.with("hit", place.beside("hit").display());
    match what {
        What::Call(error) => plan.with("kind", error),
        What::Read => plan.with("kind", EIO).with("reads", 1),
        What::Short => plan.with("kind", "short").with("of", "writes"),
        What::Sync => plan.with("kind", EIO).with("of", "syncs"),
    }
}

/// One trial: the fault, and a start after it.
fn trial(what: What, n: u64, base: &Disk) -> (Outcome, Told) {
    let place = Place::of(base);
    let plan = plan(&place, what, n);
    let ledger = Ledger::new(KEYS);
    let seen = ["in", "out"].map(Seen::new);
    let outcome = match place.start(Some(&plan)) {
        Ok(server) => serve(&place, server, &ledger, &seen),
        Err(failure) => {
            refused(&failure);
            Outcome::Refused
        }
    };
    let mut disk = base.clone();
    let told = disk.replay(&plan.records().expect("records"));
    let must_serve = what == What::Short
        || told.faults.iter().any(|(call, error, path)| {
            let is_outside = !path.starts_with("journal/") && path != "journal";
            *error == ENOSPC as u64 && is_outside && WRITES.contains(call)
        });
    assert!(
        outcome != Outcome::Stopped || !must_serve,
        "{told:?} is waited out, but the server stopped"
    );
    let must_stop = told.faults.iter().any(|(call, error, path)| {
        // A start does without an image that it cannot open.
        let parts = ["journal/", "streams/"];
        [EIO, EROFS].map(|error| error as u64).contains(error)
            && WRITES_AND_SYNCS.contains(call)
            && parts.iter().any(|part| path.starts_with(part))
    });
    assert!(
        outcome != Outcome::Served || !must_stop,
        "{told:?}, and the server went on"
    );
    let mut random = Random::new(n);
    if n.is_multiple_of(2) {
        // The process has ended, the machine goes on: the page cache is still there.
        let server = place
            .start(None)
            .unwrap_or_else(|e| panic!("{told:?}: it does not open: {e}"));
        assert!(
            !server.log().contains("read-only"),
            "{told:?}: {}",
            server.log()
        );
        load::check(&server, &ledger, &seen);
        drop(server);
    } else {
        let files = *random.pick(&[Leaves::Nothing, Leaves::Some, Leaves::All]);
        let names = *random.pick(&[Leaves::Nothing, Leaves::Some, Leaves::All]);
        let place = Place::of(&disk.power_cut(files, names, &mut random));
        let server = place
            .start(None)
            .unwrap_or_else(|e| panic!("{told:?}: it does not open: {e}"));
        assert!(
            !server.log().contains("read-only"),
            "{told:?}: {}",
            server.log()
        );
        load::check(&server, &ledger, &seen);
    }
    (outcome, told)
}

fn refused(failure: &Failure) {
    let words = &failure.message;
    assert!(
        failure.exit.is_some_and(|code| code != 0),
        "it ended without a code: {words}"
    );
    assert!(!words.contains("panicked"), "it panicked: {words}");
    assert!(words.contains("error"), "it said no reason: {words}");
}

/// Loads a server until the call has failed and it has stopped, or did not stop.
fn serve(place: &Place, mut server: Server, ledger: &Ledger, seen: &[Seen]) -> Outcome {
    let load = Load {
        keys: KEYS,
        records: Some(RECORDS),
        until: u64::MAX,
        may_refuse: true,
    };
    let hit = place.beside("hit");
    let mut outcome = Outcome::NotReached;
    load::run(&server.api.clone(), &load, ledger, seen, |ended| {
        if !appears(&hit, ended) {
            server.kill_now();
            return;
        }
        if !node::ended_within(ended, STOPS_WITHIN) {
            outcome = Outcome::Served;
            server.kill_now();
            return;
        }
        outcome = Outcome::Stopped;
    });
    let code = server.wait().unwrap_or_else(|e| panic!("{e}"));
    if outcome == Outcome::Stopped {
        let words = server.log();
        assert!(
            code.is_some_and(|code| code != 0),
            "it ended with {code:?}: {words}"
        );
        assert!(!words.contains("panicked"), "it panicked: {words}");
        assert!(words.contains("error"), "it said no reason: {words}");
        let ms = ended_after(&words);
        assert!(
            ms.is_some_and(|ms| ms <= ENDS_WITHIN_MS),
            "it ended {ms:?} ms after the failure: {words}"
        );
    }
    outcome
}

/// How long after the failure a server has ended, as it says itself.
fn ended_after(log: &str) -> Option<u64> {
    let (_, rest) = log.rsplit_once(ENDED)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Waits until a file is there; false when it is not in good time.
fn appears(path: &Path, ended: &std::sync::mpsc::Receiver<()>) -> bool {
    let began = Instant::now();
    while began.elapsed() < WAITS {
        if path.exists() || node::ended_within(ended, Duration::from_millis(20)) {
            return path.exists();
        }
    }
    path.exists()
}

/// Every kind of failure at each of the first calls, and at each of the first syncs.
fn trials() -> Vec<(What, u64)> {
    let calls = runs::number("FNCTL_FAULT_CALLS", CALLS);
    let kinds = [
        (What::Call(EIO), calls),
        (What::Call(ENOSPC), calls),
        (What::Call(EROFS), calls),
        (What::Read, calls),
        (What::Short, calls / 2),
        (What::Sync, SYNCS.min(calls)),
    ];
    // Kinds side by side: some wait, others work.
    let trials = (1..=calls).flat_map(|n| kinds.map(|(what, until)| (what, n, until)));
    trials
        .filter(|(_, n, until)| n <= until)
        .map(|(what, n, _)| (what, n))
        .collect()
}

#[test]
fn whichever_call_fails_nothing_acknowledged_is_lost() {
    let bases = [node::healthy(), node::crashed()];
    let trials = trials();
    let count = trials.len() as u64;
    let results = runs::run(count, runs::number("FNCTL_AT_ONCE", AT_ONCE), |seed| {
        let (what, n) = trials[(seed - 1) as usize];
        let base = &bases[usize::from(n.is_multiple_of(3))];
        (what, trial(what, n, base))
    });
    let mut counts: BTreeMap<(What, Outcome), u64> = BTreeMap::new();
    let mut by_path: BTreeMap<(&str, Outcome), u64> = BTreeMap::new();
    for (what, (outcome, told)) in &results {
        *counts.entry((*what, *outcome)).or_default() += 1;
        let path = told.faults.first().map_or("", |(_, _, path)| path.as_str());
        let class = path.split('/').next().unwrap_or_default();
        *by_path.entry((class, *outcome)).or_default() += 1;
    }
    eprintln!("{count} failures: {counts:?}\n{by_path:?}");
    let all: u64 = counts.values().sum();
    let missed: u64 = results
        .iter()
        .map(|(_, (outcome, _))| u64::from(*outcome == Outcome::NotReached))
        .sum();
    assert!(missed * 3 <= all, "{missed} of {all} calls were never made");
}

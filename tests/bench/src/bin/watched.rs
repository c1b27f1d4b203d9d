//! Figure 9: what it costs to be watched. Preloaded records go through a mapping of a server that measures
//! everything, keeps a line of the function's log for each thousand of them and is scraped each second, and through
//! one of a server that was built to measure nothing (`unmeasured`), has no line to keep and is not scraped. They
//! take turns.
//!
//! Told are records a second and CPU seconds of the one ÷ those of the other: with large batches, where
//! the few things that are done for each record would show, and with small ones, where those of each call do.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use fnctl_bench::{
    hostile::Hostile,
    report::{Figure, Target, record},
    usage::{cpu_seconds, median, wait},
};
use fnctl_tests::{Failure, ServerOptions, get};

const RECORD_BYTES: usize = 200;
const KEYS: u64 = 1_000;
const SHARDS: &str = "4";
const ROUNDS: usize = 5;
/// Of so many records one says a line: about one a large batch.
const LINE_OF: u64 = 1_000;
/// Between two scrapes.
const SCRAPE: Duration = Duration::from_secs(1);

/// What a run took.
struct Run {
    seconds: f64,
    cpu: f64,
}

fn main() -> Result<(), Failure> {
    let unmeasured = std::env::var_os("FNCTL_UNMEASURED_BIN").map(PathBuf::from);
    let unmeasured = unmeasured.filter(|path| path.exists()).ok_or_else(|| {
        Failure::new("FNCTL_UNMEASURED_BIN names no binary: `make bench` builds it")
    })?;
    for (batch, records) in [("1000", 1_000_000), ("10", 100_000)] {
        compare(&unmeasured, batch, records)?;
    }
    Ok(())
}

fn compare(unmeasured: &Path, batch: &str, records: u64) -> Result<(), Failure> {
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for is_on in [round % 2 == 0, round % 2 == 1] {
            let binary = (!is_on).then(|| unmeasured.to_owned());
            let runs = if is_on { &mut on } else { &mut off };
            runs.push(run(binary, batch, records)?);
        }
    }
    let ratio = |what: &dyn Fn(&Run) -> f64| {
        let rounds = on.iter().zip(&off);
        median(
            &mut rounds
                .map(|(on, off)| what(on) / what(off))
                .collect::<Vec<_>>(),
        )
    };
    let told = |name: &str, value, unit, target| {
        record(&Figure {
            name: format!("watched/batch-{batch}/{name}"),
            value,
            unit,
            reference: format!("{records} records, {SHARDS} shards, {ROUNDS} rounds"),
            target,
        });
    };
    let rate = |runs: &[Run]| {
        median(
            &mut runs
                .iter()
                .map(|run| records as f64 / run.seconds)
                .collect::<Vec<_>>(),
        )
    };
    told("on", rate(&on), "records/s", Target::None);
    told("off", rate(&off), "records/s", Target::None);
    told(
        "throughput",
        ratio(&|run| 1.0 / run.seconds),
        "ratio",
        Target::AtLeast(0.97),
    );
    told("cpu", ratio(&|run| run.cpu), "ratio", Target::AtMost(1.03));
    Ok(())
}

/// One run; `unmeasured`: with this binary, without log and scrapes.
fn run(unmeasured: Option<PathBuf>, batch: &str, records: u64) -> Result<Run, Failure> {
    let is_on = unmeasured.is_none();
    let how = ServerOptions {
        binary: unmeasured,
        ..ServerOptions::default()
    };
    let hostile = Hostile::deploy_to(how, SHARDS, &["--batch-size", batch])?;
    hostile.pause()?;
    hostile.put(records, |n| (format!("user-{}", n % KEYS), data(n, is_on)))?;
    // The applier catches up before anything is counted.
    wait(Duration::from_secs(3));
    let cpu = cpu_seconds(hostile.pid());
    let (done, is_done) = mpsc::channel::<()>();
    let seconds = thread::scope(|scope| {
        let (hostile, api) = (&hostile, hostile.api());
        scope.spawn(move || {
            while is_on
                && is_done
                    .recv_timeout(SCRAPE)
                    .is_err_and(|e| e == mpsc::RecvTimeoutError::Timeout)
            {
                // One that fails is missed as a Prometheus would miss it.
                drop(get(api, "/metrics"));
            }
        });
        let seconds = through(hostile, records);
        drop(done);
        seconds
    })?;
    wait(Duration::from_secs(1));
    Ok(Run {
        seconds,
        cpu: cpu_seconds(hostile.pid()) - cpu,
    })
}

/// Seconds until all is settled.
fn through(hostile: &Hostile, records: u64) -> Result<f64, Failure> {
    let start = Instant::now();
    hostile.resume()?;
    loop {
        let totals = &hostile.describe()?["totals"];
        if totals["processed"].as_u64().unwrap_or_default() >= records {
            return Ok(start.elapsed().as_secs_f64());
        }
        wait(Duration::from_millis(10));
    }
}

/// What the `n`th record asks of the guest: a line, or a row.
fn data(n: u64, has_lines: bool) -> String {
    if has_lines && n.is_multiple_of(LINE_OF) {
        return "log 1".to_owned();
    }
    format!("{:.<RECORD_BYTES$}", format!("ok {n} "))
}

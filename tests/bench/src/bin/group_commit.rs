//! The log beside redb, fjall and sled at equal durability: 64 producers put records of 1 KB, each
//! acknowledged when it is synced. And what the log alone costs: bytes written, and a thousand shards
//! against four. Beside them a bare file, one write and one sync a group: the least CPU that producers, their
//! waking and the kernel take under any engine, so that what an engine adds can be told from it.
//!
//! Every run is a process of its own (`tests/bench/engines`), engines take turns, and a ratio is that of
//! two runs of one round, so that what else the machine does meets both.

use std::{env, path::PathBuf, process::Command};

use fnctl_bench::{
    report::{Figure, Target, record},
    usage::median,
};
use fnctl_tests::Failure;

const ROUNDS: usize = 5;
const STEADY_ROUNDS: usize = 3;
/// The log, those it is measured by, and what keeps no record at all.
const ENGINES: [&str; 5] = ["log", "redb", "fjall", "sled", "bare"];
const OTHERS: std::ops::Range<usize> = 1..4;

/// What is put: producers, puts of each, records a put, bytes a record, shards.
type Work = [usize; 5];

const GROUP: Work = [64, 1_500, 1, 1_000, 4];
/// As long that every engine does what it puts off: of the short run's 96 MB most are still in the journal
/// and the tables in memory of an engine that sorts and merges later, while the log has written both copies.
const STEADY: Work = [64, 6_000, 1, 1_000, 4];
const BATCHES: Work = [4, 600, 100, 1_000, 4];
const FEW_SHARDS: Work = [64, 2_000, 1, 1_000, 4];
const MANY_SHARDS: Work = [64, 2_000, 1, 1_000, 1_000];

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Took {
    /// Records a second.
    rate: f64,
    /// CPU a record until everything was closed, us.
    cpu: f64,
    /// Of a put, ms.
    p50: f64,
    p99: f64,
    /// Bytes written for each byte of data and key.
    written: f64,
}

fn run(engine: &str, work: Work) -> Result<Took, Failure> {
    let program: PathBuf = env::current_exe()
        .map_err(failed)?
        .with_file_name("fnctl-bench-engines");
    let folder = tempfile::tempdir().map_err(failed)?;
    let output = Command::new(&program)
        .arg(engine)
        .arg(folder.path())
        .args(work.map(|number| number.to_string()))
        .output()
        .map_err(|e| Failure::new(format!("{}: {e}", program.display())))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    let [rate, cpu, p50, p99, written] = numbers[..] else {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::new(format!("{engine} said `{text}` {words}")));
    };
    Ok(Took {
        rate,
        cpu,
        p50,
        p99,
        written,
    })
}

fn median_of(runs: &[Took], of: impl Fn(&Took) -> f64) -> f64 {
    median(&mut runs.iter().map(of).collect::<Vec<_>>())
}

/// The median of a quantity of one column over that of another, round by round.
fn ratio(over: &[Took], under: &[Took], of: impl Fn(&Took) -> f64) -> f64 {
    let rounds = over.iter().zip(under);
    median(
        &mut rounds
            .map(|(over, under)| of(over) / of(under))
            .collect::<Vec<_>>(),
    )
}

fn figure(name: &str, value: f64, unit: &'static str, reference: &str, target: Target) {
    record(&Figure {
        name: format!("group-commit/{name}"),
        value,
        unit,
        reference: reference.to_owned(),
        target,
    });
}

fn main() -> Result<(), Failure> {
    beside_others("", GROUP, ROUNDS)?;
    beside_others("steady/", STEADY, STEADY_ROUNDS)?;
    written()?;
    shards()
}

/// Figures of one work, their names behind `kind`.
fn beside_others(kind: &str, work: Work, rounds: usize) -> Result<(), Failure> {
    let mut runs: Vec<Vec<Took>> = vec![Vec::new(); ENGINES.len()];
    for _ in 0..rounds {
        for (engine, runs) in ENGINES.iter().zip(&mut runs) {
            runs.push(run(engine, work)?);
        }
    }
    let figure = |name: &str, value, unit, reference: &str, target| {
        figure(&format!("{kind}{name}"), value, unit, reference, target);
    };
    for (engine, runs) in ENGINES.iter().zip(&runs) {
        let words = format!(
            "{:.1} us CPU, p50 {:.2} ms, p99 {:.2} ms, {:.2} bytes written a byte",
            median_of(runs, |t| t.cpu),
            median_of(runs, |t| t.p50),
            median_of(runs, |t| t.p99),
            median_of(runs, |t| t.written)
        );
        let rate = median_of(runs, |t| t.rate);
        figure(
            &format!("rate/{engine}"),
            rate,
            "records/s",
            &words,
            Target::None,
        );
    }
    let (log, others) = (&runs[0], &runs[OTHERS]);
    // Of the others, the one that does best by each measure.
    let best = |of: &dyn Fn(&Took) -> f64| {
        let medians = others.iter().map(|runs| median_of(runs, of));
        let (at, _) = medians
            .enumerate()
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
            .expect("there are others");
        (ENGINES[OTHERS][at], &others[at])
    };
    let (name, best_rate) = best(&|t| -t.rate);
    let words = format!("the log ÷ {name}, 64 producers of 1 KB, each put synced");
    let value = ratio(log, best_rate, |t| t.rate);
    figure("rate", value, "ratio", &words, Target::AtLeast(1.0));
    let (name, best_cpu) = best(&|t| t.cpu);
    let words = format!("CPU a record, the log ÷ {name}");
    let value = ratio(log, best_cpu, |t| t.cpu);
    figure("cpu", value, "ratio", &words, Target::AtMost(0.5));
    let bare = &runs[OTHERS.end];
    let words = format!("CPU a record, a bare file ÷ {name}: no engine can be below");
    let value = ratio(bare, best_cpu, |t| t.cpu);
    figure("cpu/least", value, "ratio", &words, Target::None);
    let (name, best_p99) = best(&|t| t.p99);
    let words = format!("p99 of an acknowledgement, the log ÷ {name}");
    let value = ratio(log, best_p99, |t| t.p99);
    figure("p99", value, "ratio", &words, Target::AtMost(1.0));
    Ok(())
}

fn written() -> Result<(), Failure> {
    let mut words = Vec::new();
    for engine in &ENGINES[OTHERS] {
        words.push(format!("{engine} {:.2}", run(engine, BATCHES)?.written));
    }
    let words = format!("bytes written ÷ (data + key); {}", words.join(", "));
    let value = run("log", BATCHES)?.written;
    figure(
        "written/1-kb-by-100",
        value,
        "ratio",
        &words,
        Target::AtMost(2.3),
    );
    Ok(())
}

fn shards() -> Result<(), Failure> {
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        few.push(run("log", FEW_SHARDS)?);
        many.push(run("log", MANY_SHARDS)?);
    }
    let words = format!(
        "CPU a record, 1 000 shards ({:.1} us) ÷ 4 ({:.1} us)",
        median_of(&many, |t| t.cpu),
        median_of(&few, |t| t.cpu)
    );
    let value = ratio(&many, &few, |t| t.cpu);
    figure(
        "shards/1000-to-4",
        value,
        "ratio",
        &words,
        Target::AtMost(1.3),
    );
    let words = "records/s, 1 000 shards ÷ 4";
    figure(
        "shards/rate",
        ratio(&many, &few, |t| t.rate),
        "ratio",
        words,
        Target::None,
    );
    Ok(())
}

fn failed(e: std::io::Error) -> Failure {
    Failure::new(e.to_string())
}

//! Figure 8: what failing records cost the others.
//!
//! Poison: a million records of 200 bytes under 1 000 keys, preloaded. In one of two runs a thousand of
//! them, all under ten keys, fail at each of their three attempts, 10 to 100 ms apart; the other run has
//! good ones in their place. Told is when the healthy keys are done and what CPU the server took until all
//! was settled, against the clean run of the same round. Only rows of healthy keys are published: their
//! number says when those are done.
//!
//! Bisect: batches of 10 000 records of which one traps and nothing says which: calls until all is settled.

use std::time::{Duration, Instant};

use fnctl_bench::{
    hostile::Hostile,
    report::{Figure, Target, record},
    usage::{cpu_seconds, cpu_seconds_by_thread, median, wait},
};
use fnctl_tests::Failure;

const RECORD_BYTES: usize = 200;
const KEYS: u64 = 1_000;
/// Of so many keys one is sick: ten of a thousand.
const SICK_OF: u64 = 100;
/// Of so many records of a sick key one is poison: a thousand of a million records.
const POISON_OF: u64 = 10;
const ATTEMPTS: u64 = 3;
const SHARDS: &str = "4";
const BATCH: &str = "1000";
/// Clean and poisoned runs take turns, so that both see the same machine.
const ROUNDS: usize = 7;
/// What explains the figures, and the series that tell it: calls, records that they were given (one that
/// waited behind a poison one of its batch is given again), instances made (a last attempt has one of its own).
const COUNTED: [(&str, &str); 3] = [
    ("calls", CALLS),
    ("given", "fnctl_batch_records_sum{"),
    ("instances", "fnctl_instances_created_total "),
];
/// Calls of the function, whatever their end.
const CALLS: &str = "fnctl_invocations_total{";
/// Between two looks at the mapping.
const LOOK: Duration = Duration::from_millis(10);
/// The same once the healthy keys are done: a look costs the server something, which is counted in the CPU.
const LATE_LOOK: Duration = Duration::from_millis(100);

const BISECT_RECORDS: u64 = 10_000;
const BISECT_ATTEMPTS: u64 = 5;
/// Where the one that traps stands: at the ends, around the first cut, elsewhere.
const BISECT_CULPRITS: [u64; 7] = [0, 1_234, 4_999, 5_000, 6_667, 7_919, 9_999];

fn main() -> Result<(), Failure> {
    let records = std::env::var("FNCTL_BENCH_RECORDS").ok();
    let records = records.and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    poison(records)?;
    bisect()
}

/// What a run took, seconds.
struct Run {
    healthy: f64,
    total: f64,
    cpu: f64,
    counted: [f64; COUNTED.len()],
    threads: Vec<(String, f64)>,
}

fn poison(records: u64) -> Result<(), Failure> {
    let (mut clean, mut poisoned) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for is_poisoned in [round % 2 == 1, round % 2 == 0] {
            let runs = if is_poisoned {
                &mut poisoned
            } else {
                &mut clean
            };
            runs.push(run(records, is_poisoned)?);
        }
    }
    let reference = format!("{records} records, {SHARDS} shards, batch {BATCH}");
    let told = |name: &str, value, unit, target| {
        record(&Figure {
            name: format!("failures/poison/{name}"),
            value,
            unit,
            reference: reference.clone(),
            target,
        });
    };
    let of = |runs: &[Run], what: &dyn Fn(&Run) -> f64| {
        median(&mut runs.iter().map(what).collect::<Vec<_>>())
    };
    let ratio = |what: &dyn Fn(&Run) -> f64| {
        let rounds = poisoned.iter().zip(&clean);
        median(
            &mut rounds
                .map(|(bad, good)| what(bad) / what(good))
                .collect::<Vec<_>>(),
        )
    };
    for (name, runs) in [("clean", &clean), ("poisoned", &poisoned)] {
        let one =
            |what: &str, value, unit| told(&format!("{name}/{what}"), value, unit, Target::None);
        one("healthy", of(runs, &|run| run.healthy), "s");
        one("total", of(runs, &|run| run.total), "s");
        one("cpu", of(runs, &|run| run.cpu), "CPU-s");
        for (at, (name, _)) in COUNTED.iter().enumerate() {
            one(name, of(runs, &|run| run.counted[at]), "");
        }
        for (thread, _) in runs[0].threads.iter().filter(|(_, used)| *used > 0.01) {
            let its = |run: &Run| {
                let same = run.threads.iter().find(|(name, _)| name == thread);
                same.map_or(0.0, |(_, used)| *used)
            };
            one(&format!("thread/{thread}"), of(runs, &its), "CPU-s");
        }
    }
    told(
        "healthy",
        ratio(&|run| run.healthy),
        "ratio",
        Target::AtMost(1.3),
    );
    told("cpu", ratio(&|run| run.cpu), "ratio", Target::AtMost(1.25));
    Ok(())
}

const fn is_sick(n: u64) -> bool {
    (n % KEYS).is_multiple_of(SICK_OF)
}

/// The last of every [`POISON_OF`] records of a sick key.
const fn is_poison(n: u64) -> bool {
    is_sick(n) && n / KEYS % POISON_OF == POISON_OF - 1
}

/// The `n`th record: what it asks of the guest, filled up.
fn data(n: u64, is_poisoned: bool) -> String {
    // A row of `side` goes to no stream.
    let word = match is_sick(n) {
        true if is_poisoned && is_poison(n) => "retry",
        true => "side",
        false => "ok",
    };
    format!("{:.<RECORD_BYTES$}", format!("{word} {n} "))
}

fn run(records: u64, is_poisoned: bool) -> Result<Run, Failure> {
    let count = |is: &dyn Fn(u64) -> bool| (0..records).filter(|&n| is(n)).count() as u64;
    let healthy = count(&|n| !is_sick(n));
    let bad = if is_poisoned { count(&is_poison) } else { 0 };
    let attempts = ATTEMPTS.to_string();
    let hostile = Hostile::deploy(
        SHARDS,
        &[
            "--batch-size",
            BATCH,
            "--max-attempts",
            &attempts,
            "--backoff-initial",
            "10ms",
            "--backoff-max",
            "100ms",
        ],
    )?;
    hostile.pause()?;
    hostile.put(records, |n| {
        (format!("user-{}", n % KEYS), data(n, is_poisoned))
    })?;
    // The applier catches up before anything is counted.
    wait(Duration::from_secs(5));

    let counted = counted(&hostile)?;
    let (cpu, threads) = (
        cpu_seconds(hostile.pid()),
        cpu_seconds_by_thread(hostile.pid()),
    );
    let start = Instant::now();
    hostile.resume()?;
    let mut healthy_done = None;
    let totals = loop {
        let mapping = hostile.describe()?;
        let totals = &mapping["totals"];
        if healthy_done.is_none() && totals["emitted"] == healthy {
            healthy_done = Some(start.elapsed().as_secs_f64());
        }
        let settled = |name: &str| totals[name].as_u64().unwrap_or_default();
        if settled("processed") + settled("dead_lettered") >= records {
            break totals.clone();
        }
        wait(if healthy_done.is_some() {
            LATE_LOOK
        } else {
            LOOK
        });
    };
    let total = start.elapsed().as_secs_f64();
    wait(Duration::from_secs(3));
    let used = cpu_seconds(hostile.pid()) - cpu;
    if totals["dead_lettered"] != bad || totals["failed"] != bad * ATTEMPTS {
        return Err(Failure::new(format!("{bad} records are bad: {totals}")));
    }
    let healthy = healthy_done
        .ok_or_else(|| Failure::new(format!("{healthy} rows were to come out: {totals}")))?;
    let by_thread = cpu_seconds_by_thread(hostile.pid()).into_iter();
    let threads = by_thread.map(|(name, after)| {
        let before = threads.get(&name).copied().unwrap_or_default();
        (name, after - before)
    });
    Ok(Run {
        healthy,
        total,
        cpu: used,
        counted: {
            let after = self::counted(&hostile)?;
            std::array::from_fn(|at| after[at] - counted[at])
        },
        threads: threads.collect(),
    })
}

fn counted(hostile: &Hostile) -> Result<[f64; COUNTED.len()], Failure> {
    let mut sums = [0.0; COUNTED.len()];
    for (sum, (_, series)) in sums.iter_mut().zip(COUNTED) {
        *sum = hostile.sum(series)?;
    }
    Ok(sums)
}

fn bisect() -> Result<(), Failure> {
    let (batch, attempts) = (BISECT_RECORDS.to_string(), BISECT_ATTEMPTS.to_string());
    let hostile = Hostile::deploy(
        "1",
        &[
            "--batch-size",
            &batch,
            // Closed by its size alone.
            "--batch-window",
            "60s",
            "--max-attempts",
            &attempts,
            "--backoff-initial",
            "1ms",
            "--backoff-max",
            "1ms",
        ],
    )?;
    // Without a bad one it is one call: all of it is one batch.
    let one = settled_in(&hostile, None)?;
    if one != 1.0 {
        return Err(Failure::new(format!("{one} calls for one batch")));
    }
    let mut most = 0.0_f64;
    for culprit in BISECT_CULPRITS {
        most = most.max(settled_in(&hostile, Some(culprit))?);
    }
    record(&Figure {
        name: "failures/bisect/invocations".into(),
        value: most,
        unit: "calls",
        reference: format!(
            "the most of {} places in {BISECT_RECORDS} records, {BISECT_ATTEMPTS} attempts",
            BISECT_CULPRITS.len()
        ),
        // Calls are whole.
        target: Target::AtMost(
            (2.0 * (BISECT_RECORDS as f64).log2()).floor() + BISECT_ATTEMPTS as f64,
        ),
    });
    Ok(())
}

/// Calls until a batch with this culprit is settled.
fn settled_in(hostile: &Hostile, culprit: Option<u64>) -> Result<f64, Failure> {
    hostile.pause()?;
    hostile.put(BISECT_RECORDS, |n| {
        let word = if culprit == Some(n) { "trap" } else { "ok" };
        (format!("user-{n}"), word.to_owned())
    })?;
    let (calls, letters) = (
        hostile.sum(CALLS)?,
        hostile.describe()?["totals"]["dead_lettered"].clone(),
    );
    hostile.resume()?;
    let mapping = loop {
        let mapping = hostile.describe()?;
        if mapping["pending_records"] == 0 {
            break mapping;
        }
        wait(LOOK);
    };
    let given_up = letters.as_u64().unwrap_or_default() + u64::from(culprit.is_some());
    if mapping["totals"]["dead_lettered"] != given_up {
        return Err(Failure::new(format!("record {culprit:?}: {mapping}")));
    }
    Ok(hostile.sum(CALLS)? - calls)
}

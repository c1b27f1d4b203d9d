//! Figures 1 and 2: what a component costs over the same Rust code called natively, on one thread,
//! boundary included.
//!
//! Trials of the native program and of the component take turns, and the fastest of each is compared: a
//! shared machine only ever adds time. The native program is built with the profile of the components.

use std::{
    error::Error,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use enrich_bench::input;
use fnctl_bench::{
    guests::component,
    report::{Figure, Target, record},
    usage::median,
};
use fnctl_core::{
    id::{FunctionVersion, Ordinal, ShardNumber},
    invoker::{Call, CallContext, CallFacts},
    outcome::Outcome,
    record::{ColumnBuilder, Records},
};
use fnctl_invoker::{
    ComponentSource, Engine, EngineOptions, Function, Isolation, NoLog, VersionSettings,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};

type Failure = Box<dyn Error>;

const RECORDS: u64 = 1_000_000;
/// Records of one trial.
const TRIAL: u64 = 25_000;
const LANES: usize = 4;
/// Rounds of figure 2 for one of figure 1: they are short, and the more there are, the likelier both
/// sides have one that a neighbour left alone.
const BOUNDARY_ROUNDS: u64 = 5;

fn main() -> Result<(), Failure> {
    let records = std::env::var("FNCTL_BENCH_RECORDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(RECORDS);
    let rounds = (records / TRIAL).max(1);
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let mut native = Native::start()?;
    let engines = [("on", engine(true)?), ("off", engine(false)?)];
    // An argument picks one of them.
    let picked = std::env::args().nth(1);
    let is_picked = |figure: &str| picked.as_deref().is_none_or(|picked| picked == figure);
    if is_picked("enrich") {
        for batch in [100, 1_000] {
            enrich(&runtime, &mut native, &engines, batch, rounds)?;
        }
    }
    if is_picked("boundary") {
        boundary(
            &runtime,
            &mut native,
            &engines[0].1,
            rounds * BOUNDARY_ROUNDS,
        )?;
    }
    if is_picked("call") {
        calls(&runtime, &engines[0].1)?;
    }
    Ok(())
}

/// Figure 1.
fn enrich(
    runtime: &Runtime,
    native: &mut Native,
    engines: &[(&str, Engine); 2],
    batch: usize,
    rounds: u64,
) -> Result<(), Failure> {
    let functions: Vec<Arc<Function>> = engines
        .iter()
        .map(|(_, engine)| load(runtime, engine, "enrich_bench"))
        .collect::<Result<_, _>>()?;
    let mut native_ns = Vec::new();
    let mut component_ns = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        let first = round * TRIAL;
        let (spent, rows) = native.trial("enrich", first, batch)?;
        native_ns.push(spent);
        for (function, samples) in functions.iter().zip(&mut component_ns) {
            let (spent, out) = run(runtime, function, &batches(first, batch))?;
            assert_eq!(out, rows, "the component does the same work");
            samples.push(spent);
        }
    }
    let (best, middle) = (least(&native_ns), median(&mut native_ns));
    for ((epoch, _), samples) in engines.iter().zip(&mut component_ns) {
        let least_ns = least(samples);
        let target = if *epoch == "on" { 0.5 } else { 0.65 };
        record(&Figure {
            name: format!("engine/ratio/epoch-{epoch}/batch-{batch}"),
            value: best / least_ns,
            unit: "ratio",
            reference: format!(
                "native {:.2} M records/s, component {:.2}; medians {:.3}",
                1e3 / best,
                1e3 / least_ns,
                middle / median(samples)
            ),
            target: Target::AtLeast(target),
        });
    }
    Ok(())
}

/// Figure 2.
fn boundary(
    runtime: &Runtime,
    native: &mut Native,
    engine: &Engine,
    rounds: u64,
) -> Result<(), Failure> {
    const BATCH: usize = 1_000;
    let function = load(runtime, engine, "reader")?;
    let mut native_ns = Vec::new();
    let (mut stored_ns, mut gathered_ns) = (Vec::new(), Vec::new());
    // One frame again and again, and as many frames of one record as fill every lane once: what was just
    // read is in the caches, on both sides.
    let numbers: Vec<u64> = (0..(LANES * BATCH) as u64).collect();
    let stored = vec![batches_of(&numbers, BATCH).swap_remove(0); TRIAL as usize / BATCH];
    let frames = batches_of(&numbers, 1);
    for _ in 0..rounds {
        native_ns.push(native.trial("read-again", 0, BATCH)?.0);
        stored_ns.push(run(runtime, &function, &stored)?.0);
        // As many records as the other two; each filling of the lanes is a sample, because it is the
        // shortest stretch that a neighbour leaves alone.
        for _ in 0..TRIAL as usize / frames.len() {
            gathered_ns.push(gathered(runtime, &function, &frames)?);
        }
    }
    let best = least(&native_ns);
    for (name, samples, most) in [
        ("stored-frame", &stored_ns, 15.0),
        ("gathered-4-lanes", &gathered_ns, 60.0),
    ] {
        record(&Figure {
            name: format!("boundary/{name}/batch-{BATCH}"),
            value: least(samples) - best,
            unit: "ns/record",
            reference: format!("over native {best:.1} ns; in all {:.1}", least(samples)),
            target: Target::AtMost(most),
        });
    }
    Ok(())
}

/// What a call costs besides its records: warm, and from a new store. Told, not judged.
fn calls(runtime: &Runtime, engine: &Engine) -> Result<(), Failure> {
    const CALLS: usize = 1_000;
    let function = load(runtime, engine, "reader")?;
    let one = batches_of(&[0], 1).remove(0);
    for (name, is_fresh) in [("warm", false), ("fresh", true)] {
        let mut samples = Vec::new();
        for _ in 0..20 {
            let start = cpu_ns();
            runtime.block_on(async {
                for _ in 0..CALLS {
                    let call = Call {
                        is_fresh,
                        ..call(one.clone())
                    };
                    returned(&function, call).await?;
                }
                Ok::<_, Failure>(())
            })?;
            samples.push((cpu_ns() - start) as f64 / CALLS as f64 / 1e3);
        }
        record(&Figure {
            name: format!("engine/call/{name}"),
            value: least(&samples),
            unit: "us",
            reference: format!("one record; median {:.2}", median(&mut samples)),
            target: Target::None,
        });
    }
    Ok(())
}

/// CPU nanoseconds a record of the reader over batches that are put together from frames of one record
/// each, as lanes do.
fn gathered(runtime: &Runtime, function: &Function, frames: &[Records]) -> Result<f64, Failure> {
    let start = cpu_ns();
    let mut lanes: [Vec<&Records>; LANES] = Default::default();
    for (at, frame) in frames.iter().enumerate() {
        lanes[at % LANES].push(frame);
    }
    runtime.block_on(async {
        for lane in &lanes {
            let records = Records::gather(lane.iter().map(|frame| (*frame, 0..1)));
            returned(function, call(records)).await?;
        }
        Ok::<_, Failure>(())
    })?;
    Ok((cpu_ns() - start) as f64 / frames.len() as f64)
}

/// CPU nanoseconds a record, and the rows that came out. The input stays the caller's, as a stored frame
/// stays the store's.
fn run(
    runtime: &Runtime,
    function: &Function,
    batches: &[Records],
) -> Result<(f64, usize), Failure> {
    let calls: Vec<Call> = batches.iter().cloned().map(call).collect();
    let start = cpu_ns();
    let mut rows = 0;
    runtime.block_on(async {
        for call in calls {
            rows += returned(function, call).await?;
        }
        Ok::<_, Failure>(())
    })?;
    Ok(((cpu_ns() - start) as f64 / TRIAL as f64, rows))
}

async fn returned(function: &Function, call: Call) -> Result<usize, Failure> {
    let completed = function.invoke_here(call).await?;
    match completed.outcome {
        Outcome::Returned { rows, failures } if failures.is_empty() => {
            Ok(rows.iter().map(|rows| rows.sources.len()).sum())
        }
        other => Err(format!("the function did not return: {other:?}").into()),
    }
}

fn engine(epoch_interruption: bool) -> Result<Engine, Failure> {
    let options = EngineOptions {
        slots: 4,
        guest_threads: 1,
        epoch_interruption,
        ..EngineOptions::default()
    };
    Ok(Engine::new(options, Arc::new(NoLog))?)
}

fn load(runtime: &Runtime, engine: &Engine, name: &str) -> Result<Arc<Function>, Failure> {
    let bytes = Bytes::from(std::fs::read(component(name))?);
    let settings = VersionSettings {
        function: name.into(),
        version: FunctionVersion(1),
        memory_bytes: 128 << 20,
        timeout: Duration::from_secs(30),
        isolation: Isolation::Reuse,
        concurrency: None,
        config: std::collections::BTreeMap::new(),
        secrets: std::collections::BTreeMap::new(),
        series: Arc::default(),
    };
    Ok(runtime.block_on(engine.load(ComponentSource::Bytes(bytes), settings))?)
}

fn batches(first: u64, batch: usize) -> Vec<Records> {
    let numbers: Vec<u64> = (first..first + TRIAL).collect();
    batches_of(&numbers, batch)
}

fn batches_of(numbers: &[u64], batch: usize) -> Vec<Records> {
    let records = |numbers: &[u64]| {
        let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
        for &number in numbers {
            keys.push(&input::key(number));
            data.push(&input::body(number));
        }
        Records {
            keys: keys.finish(),
            data: data.finish(),
            arrival_ms: vec![0; numbers.len()],
        }
    };
    numbers.chunks(batch).map(records).collect()
}

fn call(records: Records) -> Call {
    thread_local! {
        static CONTEXT: Arc<CallContext> = Arc::new(CallContext {
            mapping: "bench/in".into(),
            stream: "in".into(),
            shard: ShardNumber(0),
            version: FunctionVersion(1),
            outputs: Arc::new(["default".into()]),
            row_bytes_max: Arc::default(),
        });
        static FACTS: Arc<NoFacts> = Arc::new(NoFacts);
    }
    Call {
        context: CONTEXT.with(Arc::clone),
        records,
        facts: FACTS.with(|facts| Arc::clone(facts) as _),
        is_fresh: false,
        window: None,
    }
}

struct NoFacts;

impl CallFacts for NoFacts {
    fn attempt(&self, _: u32) -> u32 {
        1
    }
    fn ordinal(&self, index: u32) -> Ordinal {
        Ordinal(u64::from(index) + 1)
    }
    fn sequence_number(&self, _: u32) -> String {
        String::new()
    }
    fn record_id(&self, _: u32) -> String {
        String::new()
    }
    fn header(&self, _: u32, _: &str) -> Option<Vec<u8>> {
        None
    }
}

/// The same code in a process of its own, asked for one trial at a time.
struct Native {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Native {
    fn start() -> Result<Self, Failure> {
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests");
        let target = guests.join("target");
        let built = Command::new("cargo")
            .args(["build", "--quiet", "--release", "-p", "guest-native"])
            .current_dir(&guests)
            .env("CARGO_TARGET_DIR", &target)
            .status()?;
        if !built.success() {
            return Err("the native program does not build".into());
        }
        let mut child = Command::new(target.join("release/native"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = child.stdin.take().ok_or("no input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self {
            child,
            ask,
            answers,
        })
    }

    /// CPU nanoseconds a record, and the rows that came out.
    fn trial(&mut self, work: &str, first: u64, batch: usize) -> Result<(f64, usize), Failure> {
        writeln!(self.ask, "{work} {first} {TRIAL} {batch}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let mut next = || words.next().ok_or("the native program ended");
        let (spent, rows) = (next()?.parse::<f64>()?, next()?.parse()?);
        Ok((spent / TRIAL as f64, rows))
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // It ends with its input; a benchmark that failed leaves nothing behind.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn least(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::INFINITY, f64::min)
}

fn cpu_ns() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

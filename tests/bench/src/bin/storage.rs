//! Figure 5, restart after `kill -9` with 1 GiB and with 10 GiB of log, trim of the latter, and what the
//! log itself costs: CPU per record, bytes written per byte put, and a synced put against the disk's own
//! fdatasync.

use std::{
    env,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fnctl_bench::{
    report::{Figure, Target, record},
    usage::{cpu_seconds, percentile, wait},
};
use fnctl_core::{
    clock::Clock,
    committer::Stopped,
    id::{Ordinal, ShardNumber, StreamName, Timestamp},
    record::{ColumnBuilder, NewRecords},
    registry::Command as Change,
    shard::{Ack, StreamOptions},
    spec::resolve::StreamSettings,
};
use fnctl_store::{Options, Step, Store, disk::real::RealDisk};
use fnctl_tests::{Failure, Server, ServerOptions};
use rustix::{
    fs::{Advice, fadvise, statvfs},
    time::{ClockId, clock_gettime},
};

const LOG_BYTES: u64 = 1 << 30;
const RECORD_BYTES: usize = 200;
const LARGE_LOG_BYTES: u64 = 10 << 30;
const LARGE_RECORD_BYTES: usize = 1_000;
/// The large log is measured where at least this much is free.
const LARGE_LOG_ROOM_BYTES: u64 = 20 << 30;
const BATCH: usize = 500;
const SHARDS: u32 = 4;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The machine's clock, which a figure may move on.
#[derive(Clone, Default)]
struct MachineClock(Arc<AtomicU64>);

impl MachineClock {
    fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    fn moved_on(&self, now: rustix::time::Timespec) -> u64 {
        let now = (now.tv_sec as u64) * 1_000 + (now.tv_nsec as u64) / 1_000_000;
        now + self.0.load(Ordering::Relaxed)
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.moved_on(clock_gettime(ClockId::Realtime)))
    }

    fn boot_ms(&self) -> u64 {
        self.moved_on(clock_gettime(ClockId::Boottime))
    }
}

fn open(directory: &Path) -> Store {
    let (store, loops) =
        fnctl_store::open(Options::new(directory), RealDisk, MachineClock::default())
            .expect("the directory opens");
    thread::spawn(|| loops.sequencer.run().expect("the journal is written"));
    thread::spawn(|| loops.applier.run().expect("shard logs are written"));
    store
}

fn name() -> StreamName {
    StreamName::parse("log").expect("a name")
}

fn batch(records: usize, bytes: usize) -> NewRecords {
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    let mut hash_keys = Vec::with_capacity(records);
    for number in 0..records {
        keys.push(format!("key-{number:08}").as_bytes());
        data.push(&vec![b'x'; bytes]);
        // Spread as MD5 spreads keys: neighbours go to different shards.
        hash_keys.push((number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    }
    NewRecords {
        keys: keys.finish(),
        data: data.finish(),
        hash_keys,
        hops: Vec::new(),
        origins: Vec::new(),
    }
}

/// Puts until the log is full, prints what it cost, and goes on putting until it is killed.
fn fill(directory: &Path, log_bytes: u64, record_bytes: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let store = open(directory);
    runtime.block_on(async {
        let settings = StreamSettings {
            shards: SHARDS,
            retention_ms: DAY_MS,
            ack: Ack::Synced,
            options: StreamOptions::default(),
        };
        let create = Change::CreateStream {
            name: name(),
            settings,
        };
        store.command(create).await.expect("the stream is made");
        let records = batch(BATCH, record_bytes);
        let bytes = records.byte_len() as u64;
        let (cpu, start) = (cpu_seconds(std::process::id()), Instant::now());
        let mut put = 0_u64;
        while put * bytes < log_bytes {
            let puts = (0..16).map(|_| store.append(name(), records.clone(), None));
            for appended in futures_util::future::join_all(puts).await {
                appended.expect("it is taken");
                put += 1;
            }
        }
        let count = (put * BATCH as u64) as f64;
        let stats = store.stats();
        println!(
            "filled {} {} {}",
            (cpu_seconds(std::process::id()) - cpu) * 1e6 / count,
            (stats.journal_bytes + stats.segment_bytes) as f64 / (put * bytes) as f64,
            count / start.elapsed().as_secs_f64(),
        );
        loop {
            store
                .append(name(), records.clone(), None)
                .await
                .expect("it is taken");
        }
    });
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().collect();
    if let [_, what, directory, log_bytes, record_bytes] = arguments.as_slice() {
        assert_eq!(what, "fill");
        let number = |text: &String| text.parse().expect("a number of bytes");
        fill(
            Path::new(directory),
            number(log_bytes),
            number(record_bytes) as usize,
        );
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(failed)?;
    let data = folder.path().join("data");
    let line = filled_and_killed(&data, LOG_BYTES, RECORD_BYTES)?;
    let figures: Vec<f64> = line
        .split(' ')
        .skip(1)
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    let [cpu, written, rate] = figures.as_slice() else {
        return Err(Failure::new(format!("the filling said `{line}`")));
    };
    let work = format!("{RECORD_BYTES} B, {BATCH} a batch, {SHARDS} shards, synced");
    let figure = |name: &str, value, unit, reference: &str, target| Figure {
        name: format!("storage/{name}"),
        value,
        unit,
        reference: reference.to_owned(),
        target,
    };
    record(&figure(
        "append/cpu",
        *cpu,
        "us/record",
        &work,
        Target::AtMost(0.5),
    ));
    record(&figure(
        "append/written",
        *written,
        "ratio",
        "bytes written / (data + key)",
        Target::AtMost(2.6),
    ));
    record(&figure(
        "append/rate",
        *rate,
        "records/s",
        &work,
        Target::None,
    ));
    restart(&data, "1-gib", &figure)?;
    read(&data, &figure)?;
    puts(&figure)?;
    large_log(&figure)
}

type MakeFigure<'a> = dyn Fn(&str, f64, &'static str, &str, Target) -> Figure + 'a;

/// Fills a log in a process of its own and kills it.
fn filled_and_killed(data: &Path, log_bytes: u64, record_bytes: usize) -> Result<String, Failure> {
    let program: PathBuf = env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .arg("fill")
        .arg(data)
        .args([log_bytes, record_bytes as u64].map(|bytes| bytes.to_string()))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| Failure::new("no output"))?;
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).map_err(failed)?;
    // In the middle of a put, some time after a cut.
    wait(Duration::from_millis(700));
    child.kill().map_err(failed)?;
    child.wait().map_err(failed)?;
    Ok(line)
}

/// Has the kernel let go of what it holds of the files below `directory`.
fn drop_cached(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            drop_cached(&entry.path())?;
            continue;
        }
        let file = File::open(entry.path())?;
        // What is not written yet would stay.
        file.sync_data()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

fn restart(data: &Path, size: &str, figure: &MakeFigure<'_>) -> Result<(), Failure> {
    drop_cached(data).map_err(failed)?;
    let start = Instant::now();
    let server = Server::start(ServerOptions {
        data_dir: Some(data.to_owned()),
        ..ServerOptions::default()
    })?;
    let serving = start.elapsed().as_secs_f64();
    drop(server);
    record(&figure(
        &format!("restart-after-kill/{size}"),
        serving,
        "s",
        "from exec to serving, nothing of it in the page cache",
        Target::AtMost(1.0),
    ));
    Ok(())
}

/// Every record of the small log, in order.
fn read(data: &Path, figure: &MakeFigure<'_>) -> Result<(), Failure> {
    let start = Instant::now();
    let store = open(data);
    let opened = start.elapsed().as_secs_f64();
    record(&figure(
        "open-after-kill/1-gib",
        opened,
        "s",
        "the store alone",
        Target::None,
    ));
    // And it is all there.
    let (mut count, mut bytes) = (0_u64, 0_u64);
    let start = Instant::now();
    let stream = store.view(|view| view.registry().stream_by_name(&name()).map(|s| s.id));
    let stream = stream.ok_or_else(|| Failure::new("the stream is gone"))?;
    for shard in (0..SHARDS).map(ShardNumber) {
        let mut after = Ordinal(0);
        loop {
            let blocks = store
                .read(stream, shard, after, 10_000, 1 << 20)
                .map_err(|e| Failure::new(e.to_string()))?;
            let Some(last) = blocks.last() else { break };
            after = last.last();
            count += blocks.iter().map(|block| block.len() as u64).sum::<u64>();
            bytes += blocks
                .iter()
                .map(|block| block.records.byte_len() as u64)
                .sum::<u64>();
        }
    }
    if bytes < LOG_BYTES {
        return Err(Failure::new(format!(
            "{bytes} bytes of {LOG_BYTES} are left"
        )));
    }
    let each = start.elapsed().as_secs_f64() * 1e9 / count as f64;
    record(&figure(
        "read/checked",
        each,
        "ns/record",
        "every record, in order",
        Target::None,
    ));
    Ok(())
}

/// Restart over a large log, and then all of it expires.
fn large_log(figure: &MakeFigure<'_>) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(failed)?;
    let space = statvfs(folder.path()).map_err(|e| failed(e.into()))?;
    let free = space.f_bavail * space.f_frsize;
    if free < LARGE_LOG_ROOM_BYTES {
        println!(
            "storage: {} MiB are free, the 10 GiB log is left out",
            free >> 20
        );
        return Ok(());
    }
    let data = folder.path().join("data");
    filled_and_killed(&data, LARGE_LOG_BYTES, LARGE_RECORD_BYTES)?;
    restart(&data, "10-gib", figure)?;
    trim(&data, figure)
}

fn segments(directory: &Path) -> std::io::Result<u64> {
    let mut count = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            count += segments(&path)?;
        } else if path.extension().is_some_and(|ending| ending == "segment") {
            count += 1;
        }
    }
    Ok(count)
}

/// The applier's own time for retention over all of the log: asking for the trim, and unlinking.
fn trim(data: &Path, figure: &MakeFigure<'_>) -> Result<(), Failure> {
    let clock = MachineClock::default();
    let opened = fnctl_store::open(Options::new(data), RealDisk, clock.clone());
    let (store, mut loops) = opened.map_err(|e| Failure::new(e.to_string()))?;
    let sequencer = loops.sequencer;
    let sequencer = thread::spawn(|| sequencer.run());
    let stopped = |e: Stopped| Failure::new(e.to_string());
    while loops.applier.step().map_err(stopped)? == Step::Worked {}
    let before = segments(data).map_err(failed)?;
    clock.advance(DAY_MS + 60_000);
    let (mut total, mut longest) = (0.0_f64, 0.0_f64);
    while segments(data).map_err(failed)? > u64::from(SHARDS) {
        loop {
            let start = Instant::now();
            let step = loops.applier.step().map_err(stopped)?;
            let took = start.elapsed().as_secs_f64() * 1e3;
            total += took;
            longest = longest.max(took);
            if step != Step::Worked {
                break;
            }
        }
        // In place of waiting until retention is looked at again; what is asked for is journaled
        // meanwhile.
        wait(Duration::from_millis(20));
        clock.advance(1_000);
    }
    let words = format!(
        "{before} segment files unlinked in {total:.0} ms; the log waits this long at most"
    );
    record(&figure(
        "trim/10-gib/longest-turn",
        longest,
        "ms",
        &words,
        Target::AtMost(200.0),
    ));
    store.shutdown();
    while loops.applier.step().map_err(stopped)? == Step::Worked {}
    sequencer
        .join()
        .map_err(|_| Failure::new("the sequencer panicked"))?
        .map_err(stopped)
}

/// One synced put of 1 KiB at a time, against an append and fdatasync of the same bytes.
fn puts(figure: &MakeFigure<'_>) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(failed)?;
    let store = open(&folder.path().join("data"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(failed)?;
    let settings = StreamSettings {
        shards: 1,
        retention_ms: DAY_MS,
        ack: Ack::Synced,
        options: StreamOptions::default(),
    };
    let create = Change::CreateStream {
        name: name(),
        settings,
    };
    runtime
        .block_on(store.command(create))
        .map_err(|e| Failure::new(e.to_string()))?;
    let mut probe = File::create(folder.path().join("probe")).map_err(failed)?;
    let one = batch(1, 1_000);
    let (mut synced, mut put) = (Vec::new(), Vec::new());
    for _ in 0..2_000 {
        let start = Instant::now();
        probe.write_all(&[7; 1_100]).map_err(failed)?;
        probe.sync_data().map_err(failed)?;
        synced.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        runtime
            .block_on(store.append(name(), one.clone(), None))
            .map_err(|e| Failure::new(e.to_string()))?;
        put.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let sync = percentile(&mut synced, 50);
    let reference = format!("append and fdatasync p50 {sync:.3} ms");
    record(&figure(
        "put/p50",
        percentile(&mut put, 50),
        "ms",
        &reference,
        Target::AtMost(2.0 * sync),
    ));
    record(&figure(
        "put/p99",
        percentile(&mut put, 99),
        "ms",
        &reference,
        Target::None,
    ));
    Ok(())
}

fn failed(e: std::io::Error) -> Failure {
    Failure::new(e.to_string())
}

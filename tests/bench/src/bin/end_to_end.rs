//! Figure 3: a million records of about 200 bytes from an embedded stream of 4 shards through the
//! component into another, preloaded, at batch 1 000: records a second, and CPU by stage.
//!
//! A stage is what a thread of the server does, as the kernel counts it; lowering and lifting happen on
//! the guests' threads and are told by the server's own counters.

use std::{
    fs::File,
    io::{BufWriter, Write},
    time::{Duration, Instant},
};

use fnctl_bench::{
    guests::component,
    report::{Figure, Target, record},
    usage::{cpu_seconds, cpu_seconds_by_thread, wait},
};
use fnctl_tests::{Failure, Server, ServerOptions, get};

const SHARDS: &str = "4";
const BATCH: &str = "1000";

fn main() -> Result<(), Failure> {
    let records: u64 = std::env::var("FNCTL_BENCH_RECORDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000_000);
    let server = Server::start(ServerOptions::default())?;
    server.one(&["streams", "create", "in", "--shards", SHARDS])?;
    server.one(&["streams", "create", "out", "--shards", SHARDS])?;
    let input = server.folder().join("input.ndjson");
    let failed = |e: std::io::Error| Failure::new(e.to_string());
    let mut file = BufWriter::new(File::create(&input).map_err(failed)?);
    for n in 0..records {
        file.write_all(&enrich_bench::input::body(n))
            .map_err(failed)?;
        file.write_all(b"\n").map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    let put = Instant::now();
    let path = input.to_string_lossy().into_owned();
    let mut putting = server.follow(&["put", "in", "--file", &path, "--key-field", "user_id"])?;
    if putting.wait()? != Some(0) {
        return Err(Failure::new("put failed"));
    }
    let put_per_second = records as f64 / put.elapsed().as_secs_f64();
    // The applier catches up before anything is counted.
    wait(Duration::from_secs(5));

    let (cpu, threads) = (
        cpu_seconds(server.pid()),
        cpu_seconds_by_thread(server.pid()),
    );
    let start = Instant::now();
    let guest = component("enrich_bench");
    server.one(&[
        "deploy",
        &guest,
        "--stream",
        "in",
        "--to",
        "out",
        "--name",
        "enrich",
        "--batch-size",
        BATCH,
    ])?;
    loop {
        let mapping = server.one(&["mappings", "describe", "enrich"])?;
        if mapping["totals"]["processed"].as_u64().unwrap_or_default() >= records {
            break;
        }
        wait(Duration::from_millis(100));
    }
    let seconds = start.elapsed().as_secs_f64();
    wait(Duration::from_secs(3));
    let used = cpu_seconds(server.pid()) - cpu;
    let per_record = |cpu_seconds: f64| cpu_seconds * 1e9 / records as f64;

    let told = |name: String, value, unit, target| Figure {
        name: format!("end-to-end/{name}"),
        value,
        unit,
        reference: format!("{records} records, {SHARDS} shards, batch {BATCH}"),
        target,
    };
    record(&told(
        "records".into(),
        records as f64 / seconds,
        "records/s",
        Target::None,
    ));
    record(&told(
        "put".into(),
        put_per_second,
        "records/s",
        Target::None,
    ));
    record(&told(
        "cpu".into(),
        used * 1e6 / records as f64,
        "CPU-s/M",
        Target::None,
    ));
    let mut guests = 0.0;
    for (name, after) in cpu_seconds_by_thread(server.pid()) {
        let used = after - threads.get(&name).copied().unwrap_or_default();
        if name.starts_with("fnctl-guest") {
            guests += used;
        }
        if used > 0.001 {
            record(&told(
                format!("thread/{name}"),
                per_record(used),
                "ns/record",
                Target::None,
            ));
        }
    }
    let metrics = get(&server.api, "/metrics")?.text();
    let mut host = per_record(used - guests);
    for stage in ["lower", "lift"] {
        let series =
            format!("fnctl_boundary_seconds_total{{function=\"enrich\",direction=\"{stage}\"}}");
        let sum = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&series)?.trim().parse::<f64>().ok())
            .ok_or_else(|| Failure::new(format!("no {series} in /metrics")))?;
        record(&told(
            format!("stage/{stage}"),
            per_record(sum),
            "ns/record",
            Target::None,
        ));
        host += per_record(sum);
    }
    record(&told(
        "host".into(),
        host,
        "ns/record",
        Target::AtMost(1_500.0),
    ));
    server.stop().map(drop)
}

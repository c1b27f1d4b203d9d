//! Figure 6: a thousand mappings of one shard each, and of four, idle for a minute: memory, CPU, and one scrape.

use std::time::{Duration, Instant};

use fnctl_bench::{
    guests::component,
    report::{Figure, Target, record},
    usage::{cpu_seconds, percentile, resident_mib, wait},
};
use fnctl_tests::{Failure, Server, ServerOptions, get};

const MAPPINGS: usize = 1_000;
/// Of one function.
const MAPPINGS_OF_ONE: usize = 10;
const IDLE: Duration = Duration::from_secs(60);
const SCRAPES: usize = 11;

fn main() -> Result<(), Failure> {
    idle("idle", 1, [1.0, 300.0, 50.0])?;
    idle("idle-4-shards", 4, [4.0, 1_200.0, 100.0])
}

/// A server with so many mappings of `shards` each. `most`: % of a core, MiB, ms a scrape.
fn idle(group: &str, shards: usize, most: [f64; 3]) -> Result<(), Failure> {
    let guest = component("echo");
    let server = Server::start(ServerOptions::default())?;
    for n in 0..MAPPINGS {
        let stream = format!("in-{n}");
        if shards > 1 {
            server.one(&[
                "streams",
                "create",
                &stream,
                "--shards",
                &shards.to_string(),
            ])?;
        }
        // A deploy waits for all mappings of its function.
        let name = format!("echo-{}", n / MAPPINGS_OF_ONE);
        server.one(&[
            "deploy", &guest, "--stream", &stream, "--to", "out", "--name", &name,
        ])?;
    }
    // What the deploys left to do (compiling, the image) ends in the first seconds.
    wait(Duration::from_secs(5));
    let before = cpu_seconds(server.pid());
    wait(IDLE);
    let used = cpu_seconds(server.pid()) - before;
    let figure = |name: &str, value, unit, most| Figure {
        name: format!("{group}/{name}"),
        value,
        unit,
        reference: format!(
            "{MAPPINGS} mappings x {shards} shards, {} s",
            IDLE.as_secs()
        ),
        target: Target::AtMost(most),
    };
    let [cpu_most, memory_most, scrape_most] = most;
    let share = 100.0 * used / IDLE.as_secs_f64();
    record(&figure("cpu", share, "% of a core", cpu_most));
    let resident = resident_mib(server.pid());
    record(&figure("memory", resident, "MiB", memory_most));
    let mut scrapes = Vec::with_capacity(SCRAPES);
    for _ in 0..SCRAPES {
        let start = Instant::now();
        let answer = get(&server.api, "/metrics")?;
        scrapes.push(start.elapsed().as_secs_f64() * 1e3);
        let series = answer
            .text()
            .matches("fnctl_shard_iterator_age_seconds{")
            .count();
        if answer.status != 200 || series != MAPPINGS * shards {
            return Err(Failure::new(format!("a scrape has {series} iterator ages")));
        }
    }
    let scrape = percentile(&mut scrapes, 50);
    record(&figure("scrape", scrape, "ms", scrape_most));
    let grown = resident_mib(server.pid()) - resident;
    // A scrape's text and what it was made from is given back: not more than a few of them stay.
    record(&figure("memory-of-scrapes", grown, "MiB", 64.0));
    server.stop().map(drop)
}

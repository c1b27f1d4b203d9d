//! Figure 6: a thousand mappings of one shard each, idle for a minute: memory, CPU, and one scrape.

use std::time::{Duration, Instant};

use fnctl_bench::{
    guests::component,
    report::{Figure, Target, record},
    usage::{cpu_seconds, percentile, resident_mib, wait},
};
use fnctl_tests::{Failure, Server, ServerOptions, get};

const MAPPINGS: usize = 1_000;
const IDLE: Duration = Duration::from_secs(60);
const SCRAPES: usize = 11;

fn main() -> Result<(), Failure> {
    let guest = component("echo");
    let server = Server::start(ServerOptions::default())?;
    for n in 0..MAPPINGS {
        let stream = format!("in-{n}");
        server.one(&[
            "deploy", &guest, "--stream", &stream, "--to", "out", "--name", "echo",
        ])?;
    }
    // What the deploys left to do (compiling, the image) ends in the first seconds.
    wait(Duration::from_secs(5));
    let before = cpu_seconds(server.pid());
    wait(IDLE);
    let used = cpu_seconds(server.pid()) - before;
    let figure = |name: &str, value, unit, target| Figure {
        name: format!("idle/{name}"),
        value,
        unit,
        reference: format!("{MAPPINGS} mappings x 1 shard, {} s", IDLE.as_secs()),
        target,
    };
    let share = 100.0 * used / IDLE.as_secs_f64();
    record(&figure("cpu", share, "% of a core", Target::AtMost(1.0)));
    record(&figure(
        "memory",
        resident_mib(server.pid()),
        "MiB",
        Target::AtMost(300.0),
    ));
    let mut scrapes = Vec::with_capacity(SCRAPES);
    for _ in 0..SCRAPES {
        let start = Instant::now();
        let answer = get(&server.api, "/metrics")?;
        scrapes.push(start.elapsed().as_secs_f64() * 1e3);
        let series = answer
            .text()
            .matches("fnctl_shard_iterator_age_seconds{")
            .count();
        if answer.status != 200 || series != MAPPINGS {
            return Err(Failure::new(format!("a scrape has {series} iterator ages")));
        }
    }
    record(&figure(
        "scrape",
        percentile(&mut scrapes, 50),
        "ms",
        Target::AtMost(50.0),
    ));
    server.stop().map(drop)
}

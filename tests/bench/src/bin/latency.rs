//! Figure 4: put → output seen by a push tail, one record at a time on an idle machine, against the
//! disk's own fdatasync in the same run.

use std::{fs::File, io::Write, time::Instant};

use fnctl_bench::{
    guests::component,
    report::{Figure, Target, record},
    usage::percentile,
};
use fnctl_tests::{Failure, Server, ServerOptions};

const ROUNDS: usize = 400;
const WARM_UP: usize = 20;

fn main() -> Result<(), Failure> {
    let guest = component("echo");
    let server = Server::start(ServerOptions::default())?;
    server.one(&[
        "deploy", &guest, "--stream", "in", "--to", "out", "--name", "echo",
    ])?;
    let mut tail = server.follow(&["tail", "out", "--from", "trim-horizon", "-o", "json"])?;
    let mut put = server.follow(&["put", "in", "--key", "k", "-o", "json"])?;
    let mut round_trips = Vec::with_capacity(ROUNDS);
    let mut syncs = Vec::with_capacity(ROUNDS);
    let mut file = File::create(server.data_dir.join("fdatasync-probe")).map_err(failed)?;
    for round in 0..ROUNDS + WARM_UP {
        let start = Instant::now();
        put.write_line(&format!("{{\"n\":{round}}}"))?;
        tail.next_json()?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        put.next_json()?;
        // Interleaved, so that both see the same disk.
        let start = Instant::now();
        file.write_all(&[7; 512]).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        let sync = start.elapsed().as_secs_f64() * 1e3;
        if round >= WARM_UP {
            round_trips.push(took);
            syncs.push(sync);
        }
    }
    let (sync, p50) = (percentile(&mut syncs, 50), percentile(&mut round_trips, 50));
    let figure = |name: &str, value, target| Figure {
        name: format!("latency/{name}"),
        value,
        unit: "ms",
        reference: format!("fdatasync p50 {sync:.3} ms"),
        target,
    };
    record(&figure(
        "put-to-output/p50",
        p50,
        Target::AtMost(2.0 * sync + 1.0),
    ));
    record(&figure(
        "put-to-output/p99",
        percentile(&mut round_trips, 99),
        Target::None,
    ));
    record(&figure("fdatasync/p50", sync, Target::None));
    server.stop().map(drop)
}

fn failed(e: std::io::Error) -> Failure {
    Failure::new(e.to_string())
}

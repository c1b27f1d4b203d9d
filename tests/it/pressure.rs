//! Producers that send more than the node can take: memory stays bounded, nobody is starved, and who is
//! refused is told so in the API's own words.

use std::{
    io::Write,
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use fnctl_tests::{Server, request};

use crate::support::{kinesis, metric, one, server};

const MIB: u64 = 1 << 20;
/// Connections of the flood, half of them on each listener.
const FLOOD: usize = 32;
/// Puts of the quiet stream while it lasts.
const QUIET: usize = 50;
/// What puts may hold at most: bodies, lines, records under way, what is not applied yet, and what the
/// process takes anyway.
const MEMORY_BYTES_MAX: u64 = 1_200 * MIB;

/// What waits for a sync (128 MiB), bodies that are being received (256 MiB), and lines that came (128 MiB).
const IN_FLIGHT_BYTES_MAX: f64 = 512.0 * 1_048_576.0;

fn peak_memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.expect("the system tells it") << 10
}

#[test]
fn a_flood_of_one_stream_starves_no_other_and_memory_stays_bounded() {
    let server = server();
    one(&server, &["streams", "create", "flood", "--shards", "2"]);
    one(&server, &["streams", "create", "quiet"]);
    let data = "eHh4".repeat(300_000);
    let records: Vec<String> = (0..4)
        .map(|key| format!(r#"{{"PartitionKey":"{key}","Data":"{data}"}}"#))
        .collect();
    let many = format!(
        r#"{{"StreamName":"flood","Records":[{}]}}"#,
        records.join(",")
    );
    let lines = format!("{}\n", "x".repeat(900_000)).repeat(8);
    let is_over = AtomicBool::new(false);
    let (taken, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut most_in_flight = 0.0_f64;
    thread::scope(|scope| {
        for number in 0..FLOOD {
            let (server, many, lines) = (&server, &many, &lines);
            let (is_over, taken, refused) = (&is_over, &taken, &refused);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let (status, text) = if number % 2 == 0 {
                        kinesis(server, "PutRecords", many)
                    } else {
                        let path = "/v1/streams/flood/records";
                        let answer = request(&server.api, "POST", path, &[], lines.as_bytes());
                        let answer = answer.unwrap_or_else(|e| panic!("{e}"));
                        (answer.status, answer.text())
                    };
                    let is_throttled = text.contains("ProvisionedThroughputExceededException")
                        || text.contains("FN4006");
                    assert!(
                        status == 200 || is_throttled,
                        "{status} {}",
                        text.chars().take(500).collect::<String>()
                    );
                    let counter = if is_throttled { refused } else { taken };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Ended whatever happens, or the scope waits for ever.
        let quiet = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for number in 0..QUIET {
                let (status, text) = kinesis(
                    &server,
                    "PutRecord",
                    r#"{"StreamName":"quiet","PartitionKey":"k","Data":"eHh4"}"#,
                );
                assert_eq!(status, 200, "put {number}: {text}");
                let path = "/v1/streams/quiet/records";
                let answer = request(&server.api, "POST", path, &[], b"small\n");
                let answer = answer.unwrap_or_else(|e| panic!("{e}"));
                assert_eq!(answer.status, 200, "put {number}: {}", answer.text());
                if number % 10 == 0 {
                    let bytes = metric(&server, "fnctl_puts_in_flight_bytes");
                    most_in_flight = most_in_flight.max(bytes);
                }
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = quiet {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(taken.load(Ordering::Relaxed) > 0);
    assert!(most_in_flight <= IN_FLIGHT_BYTES_MAX, "{most_in_flight}");
    let peak = peak_memory(&server);
    assert!(peak <= MEMORY_BYTES_MAX, "{} MiB", peak / MIB);
    for gauge in [
        "fnctl_puts_in_flight_bytes",
        "fnctl_puts_in_flight_requests",
        "fnctl_kinesis_body_bytes",
        "fnctl_put_buffer_bytes",
    ] {
        // A body is given back when its answer is on its way.
        while metric(&server, gauge) > 0.0 {}
    }
    let counted: f64 = ["busy-node", "busy-stream"]
        .iter()
        .map(|reason| {
            metric(
                &server,
                &format!("fnctl_puts_refused_total{{reason=\"{reason}\"}}"),
            )
        })
        .sum();
    assert!(counted >= refused.load(Ordering::Relaxed) as f64);
    let listed = one(&server, &["streams", "describe", "quiet"]);
    assert_eq!(listed["shard_list"][0]["records"], 2 * QUIET);
}

/// Large bodies that never come whole hold the room of large bodies, and no other.
#[test]
fn bodies_that_do_not_come_keep_no_small_put_out() {
    let server = server();
    one(&server, &["streams", "create", "quiet"]);
    let address = server.kinesis.trim_start_matches("http://");
    let _held: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(address).expect("it listens");
            let head = format!(
                "POST / HTTP/1.1\r\nhost: {address}\r\nx-amz-target: Kinesis_20131202.PutRecord\r\n\
                 content-type: application/x-amz-json-1.1\r\ncontent-length: 13000000\r\n\r\n{{"
            );
            stream.write_all(head.as_bytes()).expect("it is read");
            stream
        })
        .collect();
    while metric(&server, "fnctl_kinesis_body_bytes") < 100.0 * 1_048_576.0 {}
    // What came of them is under way, and what did not come is not.
    while metric(&server, "fnctl_puts_in_flight_requests") < 10.0 {}
    let bytes = metric(&server, "fnctl_puts_in_flight_bytes");
    assert!(bytes > 0.0 && bytes < 1_048_576.0, "{bytes}");
    let body = r#"{"StreamName":"quiet","PartitionKey":"k","Data":"eHh4"}"#;
    for _ in 0..10 {
        let (status, text) = kinesis(&server, "PutRecord", body);
        assert_eq!(status, 200, "{text}");
    }
}

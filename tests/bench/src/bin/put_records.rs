//! Figure 7: PutRecords over HTTP, 500 records of 200 bytes a call, synced: records per CPU-second of
//! the server, against npm's kinesalite (in memory, no sync at all) in the same run.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use fnctl_bench::{
    report::{Figure, Target, record},
    usage::{cpu_seconds, cpu_seconds_by_thread},
};
use fnctl_tests::{Failure, Server, ServerOptions};
use serde_json::json;

const RECORDS: usize = 500;
const RECORD_BYTES: usize = 200;
const SHARDS: u32 = 4;
/// Producers, each with a connection of its own and one call at a time.
const CONNECTIONS: usize = 16;
/// Calls per connection and round.
const OUR_CALLS: usize = 125;
const KINESALITE_CALLS: usize = 4;
/// The two take turns, so that both see the same machine.
const ROUNDS: usize = 4;
/// Before measuring: fills buffers here, compiles JavaScript there.
const WARM_UP_CALLS: usize = 4;
/// Distinct request bodies per connection.
const BODIES: usize = 4;

/// A server under load.
struct Measured {
    pid: u32,
    producers: Vec<Producer>,
    records: f64,
    cpu_seconds: f64,
    seconds: f64,
}

fn main() -> Result<(), Failure> {
    let kinesalite = Kinesalite::start()?;
    let server = Server::start(ServerOptions::default())?;
    let mut theirs = Measured::start(&kinesalite.address, kinesalite.child.id())?;
    let address = server.kinesis.trim_start_matches("http://");
    let mut ours = Measured::start(address, server.pid())?;
    let before = cpu_seconds_by_thread(server.pid());
    for _ in 0..ROUNDS {
        theirs.round(KINESALITE_CALLS)?;
        ours.round(OUR_CALLS)?;
    }
    let after = cpu_seconds_by_thread(server.pid());
    server.stop()?;

    let figure = |name: &str, value, unit, reference: String, target| {
        let name = format!("put-records/{name}");
        record(&Figure {
            name,
            value,
            unit,
            reference,
            target,
        });
    };
    let per_cpu = |measured: &Measured| measured.records / measured.cpu_seconds;
    let told = |name: &str, value, unit| figure(name, value, unit, String::new(), Target::None);
    told("ours/per-cpu-second", per_cpu(&ours), "records/s");
    told("ours/per-second", ours.records / ours.seconds, "records/s");
    told("kinesalite/per-cpu-second", per_cpu(&theirs), "records/s");
    for (thread, seconds) in after {
        let seconds = seconds - before.get(&thread).copied().unwrap_or(0.0);
        let ns = seconds / ours.records * 1e9;
        if ns >= 1.0 {
            told(&format!("ours/thread/{thread}"), ns, "ns/record");
        }
    }
    let reference = format!("kinesalite {:.0} records per CPU-second", per_cpu(&theirs));
    figure(
        "ratio",
        per_cpu(&ours) / per_cpu(&theirs),
        "ratio",
        reference,
        Target::AtLeast(50.0),
    );
    Ok(())
}

impl Measured {
    /// Makes the stream, connects the producers and warms the server up.
    fn start(address: &str, pid: u32) -> Result<Self, Failure> {
        let mut producer = Producer::connect(address, 0)?;
        let created = json!({ "StreamName": "bench", "ShardCount": SHARDS }).to_string();
        producer.call("CreateStream", created.as_bytes())?;
        while !producer.is_active()? {
            thread::yield_now();
        }
        let mut producers = (0..CONNECTIONS)
            .map(|number| Producer::connect(address, number))
            .collect::<Result<Vec<_>, _>>()?;
        run(&mut producers, WARM_UP_CALLS)?;
        Ok(Self {
            pid,
            producers,
            records: 0.0,
            cpu_seconds: 0.0,
            seconds: 0.0,
        })
    }

    /// Puts `calls` times on each connection and reads the server's CPU time around it.
    fn round(&mut self, calls: usize) -> Result<(), Failure> {
        let (cpu, clock) = (cpu_seconds(self.pid), Instant::now());
        run(&mut self.producers, calls)?;
        self.seconds += clock.elapsed().as_secs_f64();
        self.cpu_seconds += cpu_seconds(self.pid) - cpu;
        self.records += (calls * CONNECTIONS * RECORDS) as f64;
        Ok(())
    }
}

fn run(producers: &mut [Producer], calls: usize) -> Result<(), Failure> {
    thread::scope(|scope| {
        let threads: Vec<_> = producers
            .iter_mut()
            .map(|producer| scope.spawn(move || (0..calls).try_for_each(|call| producer.put(call))))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("a producer does not panic"))
    })
}

/// One connection that puts.
struct Producer {
    stream: BufReader<TcpStream>,
    bodies: Vec<Vec<u8>>,
    answer: Vec<u8>,
}

impl Producer {
    fn connect(address: &str, number: usize) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Self {
            stream: BufReader::new(stream),
            bodies: (0..BODIES)
                .map(|body| request_body(number * BODIES + body))
                .collect(),
            answer: Vec::new(),
        })
    }

    fn put(&mut self, call: usize) -> Result<(), Failure> {
        let body = std::mem::take(&mut self.bodies[call % BODIES]);
        let result = self.call("PutRecords", &body);
        self.bodies[call % BODIES] = body;
        result?;
        let is_whole = self.answer.starts_with(br#"{"FailedRecordCount":0,"#);
        is_whole
            .then_some(())
            .ok_or_else(|| self.refused("PutRecords"))
    }

    fn is_active(&mut self) -> Result<bool, Failure> {
        self.call("DescribeStream", br#"{"StreamName":"bench"}"#)?;
        Ok(String::from_utf8_lossy(&self.answer).contains("ACTIVE"))
    }

    /// Sends a request as a client that signs does, and reads the answer.
    fn call(&mut self, operation: &str, body: &[u8]) -> Result<(), Failure> {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.1\r\n\
             x-amz-target: Kinesis_20131202.{operation}\r\nx-amz-date: 20260101T000000Z\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kinesis/aws4_request, \
             SignedHeaders=host, Signature=b\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).map_err(failed)?;
        stream.write_all(body).map_err(failed)?;
        let (mut status, mut length) = (String::new(), 0);
        self.stream.read_line(&mut status).map_err(failed)?;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).map_err(failed)?;
            match line.trim().to_ascii_lowercase().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
                Some(_) => {}
                None => break,
            }
        }
        self.answer.resize(length, 0);
        self.stream.read_exact(&mut self.answer).map_err(failed)?;
        let is_success = status.starts_with("HTTP/1.1 200");
        is_success
            .then_some(())
            .ok_or_else(|| self.refused(operation))
    }

    fn refused(&self, operation: &str) -> Failure {
        Failure::new(format!(
            "{operation}: {}",
            String::from_utf8_lossy(&self.answer)
        ))
    }
}

/// A body as boto3 writes it: JSON with a space behind each separator.
fn request_body(seed: usize) -> Vec<u8> {
    let records: Vec<_> = (0..RECORDS)
        .map(|index| {
            let user = (seed * RECORDS + index) * 2_654_435_761 % 1_000_000;
            let mut data =
                format!(r#"{{"user_id":{user},"name":"Ada Lovelace","zip":"{index:05}""#);
            while data.len() < RECORD_BYTES - 1 {
                data.push(' ');
            }
            data.push('}');
            let data = STANDARD.encode(data);
            format!(r#"{{"Data": "{data}", "PartitionKey": "{user}"}}"#)
        })
        .collect();
    format!(
        r#"{{"StreamName": "bench", "Records": [{}]}}"#,
        records.join(", ")
    )
    .into_bytes()
}

/// kinesalite in its fastest form: everything in memory. Killed when dropped.
struct Kinesalite {
    child: Child,
    address: String,
}

impl Kinesalite {
    fn start() -> Result<Self, Failure> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"),
            PathBuf::from,
        );
        let module = target.join("tools/kinesalite/node_modules/kinesalite");
        let script = format!(
            "require({module:?})({{createStreamMs: 0, shardLimit: 100}}).listen(0, '127.0.0.1', \
             function () {{ console.log(this.address().port) }})"
        );
        let mut child = Command::new("node")
            .args(["-e", &script])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Failure::new(format!("node: {e}")))?;
        let mut port = String::new();
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Failure::new("no standard output"))?;
        BufReader::new(stdout)
            .read_line(&mut port)
            .map_err(failed)?;
        let address = format!("127.0.0.1:{}", port.trim());
        if port.trim().is_empty() {
            return Err(Failure::new(format!(
                "kinesalite of {} does not start",
                module.display()
            )));
        }
        Ok(Self { child, address })
    }
}

impl Drop for Kinesalite {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn failed(e: std::io::Error) -> Failure {
    Failure::new(e.to_string())
}

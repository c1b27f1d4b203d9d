//! A real small file system, filled to the last byte: puts are refused in time with the API's own
//! error, reads go on, the directory opens while full, and service resumes by itself.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use fnctl_faults::node;
use fnctl_tests::{Answer, Server, ServerOptions, request};

/// Set in the process that has a mount namespace of its own.
const INSIDE: &str = "FNCTL_FAULTS_MOUNTED";
/// Set by who accepts that this is not tested.
const WITHOUT: &str = "FNCTL_NO_MOUNT";
const THIS: &str = "full::a_full_disk_refuses_puts_serves_reads_opens_and_recovers";
/// Twice the reserve of the store is 640 MiB; puts need more than that free.
const BYTES: &str = "1800m";
const WAITS: Duration = Duration::from_secs(30);

#[test]
fn a_full_disk_refuses_puts_serves_reads_opens_and_recovers() {
    if std::env::var_os(INSIDE).is_some() {
        let folder = tempfile::tempdir().expect("a folder");
        mount(folder.path());
        fill_and_recover(folder.path());
        return;
    }
    let test = std::env::current_exe().expect("a program knows its path");
    // As root, or as nobody in particular; the mount goes with the process.
    for flags in ["-m", "-rm"] {
        let probe = Command::new("unshare")
            .args([flags, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /tmp"])
            .output();
        if !probe.is_ok_and(|output| output.status.success()) {
            continue;
        }
        let ran = Command::new("unshare")
            .arg(flags)
            .arg(&test)
            .args(["--exact", THIS, "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .expect("it has just worked");
        let words = [ran.stdout, ran.stderr].concat();
        let words = String::from_utf8_lossy(&words).into_owned();
        assert!(
            ran.status.success() && words.contains("1 passed"),
            "{words}"
        );
        return;
    }
    assert!(
        std::env::var_os(WITHOUT).is_some(),
        "no file system can be mounted here, neither as root nor in a user namespace, so a full disk \
         is NOT TESTED; {WITHOUT}=1 accepts that"
    );
    eprintln!("a full disk was NOT TESTED: no file system can be mounted here");
}

fn mount(at: &Path) {
    let size = format!("size={BYTES}");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
        .arg(at)
        .status();
    assert!(mounted.is_ok_and(|status| status.success()), "mount");
}

fn start(data: &Path) -> Server {
    let options = ServerOptions {
        data_dir: Some(data.to_owned()),
        ..ServerOptions::default()
    };
    Server::start(options).unwrap_or_else(|e| panic!("{e}"))
}

fn put(server: &Server, line: &str) -> Answer {
    let body = format!("{line}\n");
    request(
        &server.api,
        "POST",
        "/v1/streams/in/records?key=k",
        &[],
        body.as_bytes(),
    )
    .unwrap_or_else(|e| panic!("{e}: {}", server.log()))
}

/// A put over the other API.
fn put_by_kinesis(server: &Server) -> String {
    let headers = [
        ("x-amz-target", "Kinesis_20131202.PutRecord"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-date", "20260101T000000Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kinesis/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=0",
        ),
    ];
    let body = br#"{"StreamName":"in","PartitionKey":"k","Data":"b2sgay1ub25l"}"#;
    request(&server.kinesis, "POST", "/", &headers, body)
        .unwrap_or_else(|e| panic!("{e}: {}", server.log()))
        .text()
}

fn is_taken(answer: &Answer) -> bool {
    answer.status == 200 && answer.text().starts_with("{\"line\"")
}

/// Tries until it is as wanted.
fn until(what: &str, server: &Server, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < WAITS,
            "not in time: {what}\n{}",
            server.log()
        );
        node::pause(Duration::from_millis(50));
    }
}

/// Writes until nothing more goes in.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).expect("a file");
    for size in [1 << 20, 4096, 1] {
        let piece = vec![7; size];
        loop {
            match file.write(&piece) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn fill_and_recover(mount: &Path) {
    let data = mount.join("data");
    node::healthy().write(&data).expect("a copy");
    let server = start(&data);
    let mut taken = Vec::new();
    let take = |server: &Server, line: &str, taken: &mut Vec<String>| {
        let answer = put(server, line);
        if is_taken(&answer) {
            taken.push(line.to_owned());
        }
        answer
    };
    for n in 0..50 {
        let answer = take(&server, &format!("ok k-{n}"), &mut taken);
        assert!(is_taken(&answer), "{}", answer.text());
    }
    // Somebody else takes room: puts end while commits still fit.
    let filler = mount.join("filler");
    let some = fs::File::create(&filler).expect("a file");
    let free = free(mount);
    rustix::fs::fallocate(
        &some,
        rustix::fs::FallocateFlags::empty(),
        0,
        free - (500 << 20),
    )
    .expect("room");
    // An open file would keep its room when it is removed.
    drop(some);
    let mut refusal = None;
    until("puts are refused", &server, || {
        let answer = take(&server, &format!("ok k-{}", taken.len()), &mut taken);
        let is_refused = !is_taken(&answer);
        refusal = is_refused.then_some(answer);
        is_refused
    });
    let refusal = refusal.expect("puts are refused");
    let words = refusal.text();
    assert!(words.contains("FN5001"), "{words}");
    assert_eq!(
        (refusal.status, refusal.header("retry-after")),
        (429, Some("1"))
    );
    let throttled = put_by_kinesis(&server);
    assert!(
        throttled.contains("ProvisionedThroughputExceededException"),
        "{throttled}"
    );
    node::drain(&server, "hostile");
    is_told(&server);
    // To the last byte, over two cuts of the store.
    fill(&mount.join("last"));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        holds(&server, &taken);
        let answer = take(&server, "ok k-none", &mut taken);
        assert!(!is_taken(&answer), "a full disk takes nothing");
        node::pause(Duration::from_millis(200));
    }
    server.kill().unwrap_or_else(|e| panic!("{e}"));
    fill(&mount.join("more"));
    // It opens on a disk without a free byte.
    let server = start(&data);
    holds(&server, &taken);
    assert!(
        !is_taken(&put(&server, "ok k-none")),
        "a full disk takes nothing"
    );
    for name in ["filler", "last", "more"] {
        fs::remove_file(mount.join(name)).expect("a file");
    }
    until("puts are taken again", &server, || {
        is_taken(&take(&server, &format!("ok k-{}", taken.len()), &mut taken))
    });
    for mapping in ["hostile", "echo"] {
        node::drain(&server, mapping);
    }
    holds(&server, &taken);
    assert_eq!(node::records(&server, "out").lines().count(), taken.len());
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));
}

/// What its mappings do not say: they read on, and are caught up.
fn is_told(server: &Server) {
    let ready = fnctl_tests::get(&server.api, "/readyz").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(ready.status, 200);
    let full = "the disk of the data directory is full: puts are refused until more is free";
    assert!(
        ready
            .text()
            .starts_with(&format!("ready, for reads: {full}")),
        "{}",
        ready.text()
    );
    for (words, is_well) in [(["status"].as_slice(), true), (&["doctor"], false)] {
        let output = server.command(words).output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.success(), is_well, "{words:?}: {said}");
        assert!(
            said.contains(full) && said.contains("fnctl streams list"),
            "{said}"
        );
    }
}

fn free(at: &Path) -> u64 {
    let space = rustix::fs::statvfs(at).expect("a file system");
    space.f_bavail * space.f_frsize
}

/// Holds the input stream against what was taken.
fn holds(server: &Server, taken: &[String]) {
    let records = node::records(server, "in");
    let data: Vec<String> = records
        .lines()
        .map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
            fnctl_tests::text(&record, "data")
        })
        .collect();
    assert_eq!(data, taken);
}

//! Rot under a running server: found at rest, named, counted, and the rest is served on.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use fnctl_tests::{Server, ServerOptions, get};

use crate::support::{metric, one, put, tail};

fn scrubbing() -> Server {
    let options = ServerOptions {
        arguments: ["--scrub-rate", "1GiB", "--scrub-period", "1s"]
            .map(str::to_owned)
            .to_vec(),
        ..ServerOptions::default()
    };
    Server::start(options).unwrap_or_else(|e| panic!("{e}"))
}

fn files(below: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(below).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                files(&path, ending)
            } else if path.to_string_lossy().ends_with(ending) {
                vec![path]
            } else {
                Vec::new()
            }
        })
        .collect();
    found.sort();
    found
}

fn flip(file: &Path, offset: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(file)
        .expect("the file is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)
        .expect("it is so long");
    byte[0] ^= 4;
    file.write_all_at(&byte, offset).expect("it is written");
}

/// Waits for two more passes: one that begins after this, to its end.
fn passed(server: &Server) {
    let before = metric(server, "fnctl_scrub_passes_total");
    while metric(server, "fnctl_scrub_passes_total") < before + 2.0 {}
}

#[test]
fn a_bit_that_flips_at_rest_is_found_named_and_counted_while_the_rest_is_served() {
    let server = scrubbing();
    one(&server, &["streams", "create", "rots"]);
    one(&server, &["streams", "create", "sound"]);
    let lines: Vec<String> = (0..2_000).map(|n| format!("{n:0>400}")).collect();
    put(&server, "rots", &lines, &[]);
    put(&server, "sound", &lines, &[]);
    let streams = server.data_dir.join("streams");
    let segment = loop {
        // Written by the applier a moment later.
        let found = files(&streams, ".segment");
        let long = |file: &&PathBuf| fs::metadata(file).is_ok_and(|meta| meta.len() > 600_000);
        if found.iter().filter(long).count() == 2 {
            break found[0].clone();
        }
    };
    passed(&server);
    for kind in ["segment", "journal", "snapshot", "artifact"] {
        let series = format!("fnctl_storage_errors_total{{file=\"{kind}\"}}");
        assert_eq!(metric(&server, &series), 0.0, "{kind}");
    }
    assert!(metric(&server, "fnctl_scrub_bytes_total") > 1.2e6);
    assert!(metric(&server, "fnctl_scrub_last_pass_timestamp_seconds") > 1.7e9);

    flip(&segment, 300_000);
    let series = "fnctl_storage_errors_total{file=\"segment\"}";
    while metric(&server, series) == 0.0 {}
    passed(&server);
    assert_eq!(metric(&server, series), 1.0, "one place, counted once");
    assert_eq!(metric(&server, "fnctl_storage_damaged_places"), 1.0);
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("the scrub found damage"))
        .unwrap_or_else(|| panic!("no line in {log}"));
    let name = segment.file_name().expect("it has a name");
    for part in [
        &*name.to_string_lossy(),
        "at offset",
        "stream",
        "shard 0",
        "records",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let status = one(&server, &["streams", "describe", "rots"]);
    let damaged = &status["damaged"][0];
    assert_eq!(damaged["shard_id"], "shardId-000000000000", "{status}");
    assert!(damaged["first_record"].as_u64() >= Some(1), "{status}");
    assert!(damaged["last_record"].as_u64() >= damaged["first_record"].as_u64());
    let status = one(&server, &["streams", "describe", "sound"]);
    assert_eq!(status["damaged"], serde_json::json!([]));

    // The rest of the node serves on, and nothing was cleaned up.
    assert_eq!(tail(&server, "sound", 2_000).len(), 2_000);
    put(&server, "rots", &["goes on".to_owned()], &[]);
    assert!(segment.exists());
    assert_eq!(
        get(&server.api, "/readyz").map(|answer| answer.status).ok(),
        Some(200)
    );
    flip(&segment, 300_000);
    while metric(&server, "fnctl_storage_damaged_places") > 0.0 {}
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));
}

#[test]
fn rates_and_periods_out_of_bounds_are_refused() {
    for (flag, value, exit) in [
        ("--scrub-rate", "1KiB", 7),
        ("--scrub-rate", "fast", 2),
        ("--scrub-period", "10ms", 7),
        ("--scrub-period", "daily", 2),
    ] {
        let options = ServerOptions {
            arguments: vec![flag.to_owned(), value.to_owned()],
            ..ServerOptions::default()
        };
        let Err(failure) = Server::start(options) else {
            panic!("{flag} {value} is taken");
        };
        assert_eq!(
            failure.exit,
            Some(exit),
            "{flag} {value}: {}",
            failure.message
        );
    }
}

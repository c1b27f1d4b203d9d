//! Windows of a mapping that runs: what their final calls emit is a model's, over `kill -9`, other factors
//! and a split.

use std::{collections::BTreeMap, path::Path};

use fnctl_tests::{Server, get};
use serde_json::{Value, json};

use crate::support::{all, describe, drained, guest, metric, one, put, server, server_on};

/// Keys of the records.
const KEYS: usize = 12;

fn deploy(server: &Server, options: &[&str]) -> Value {
    let component = guest("windowed");
    let words = ["deploy", &component, "--stream", "in", "--to", "out"];
    one(server, &[&words[..], options].concat())
}

/// Puts one record a key, each with a body of its own.
fn put_round(server: &Server, round: usize) {
    let lines: Vec<String> = (0..KEYS)
        .map(|key| json!({"partition_key": format!("k{key}"), "data": format!("k{key}-{round}")}))
        .map(|line| line.to_string())
        .collect();
    put(server, "in", &lines, &["--json"]);
}

/// Bodies in the rows of windows, how often each, and whether those of one key are in order.
fn reported(server: &Server) -> BTreeMap<String, u32> {
    let path = "/v1/streams/out/records?from=trim-horizon&follow=false";
    let rows = get(&server.api, path)
        .unwrap_or_else(|e| panic!("{e}"))
        .text();
    let mut bodies: BTreeMap<String, u32> = BTreeMap::new();
    for line in rows.lines() {
        let row: Value = serde_json::from_str(line).expect("a row");
        let told = row["data"].as_str().expect("text");
        let (head, list) = told.split_once(": ").expect("`start..end how: bodies`");
        let (span, how) = head.split_once(' ').expect("a span and a word");
        assert_eq!(how, "final", "{told}");
        let (start, end) = span.split_once("..").expect("a span");
        let (start, end): (u64, u64) = (start.parse().unwrap(), end.parse().unwrap());
        assert_eq!((start % 1_000, end - start), (0, 1_000), "{told}");
        for body in list.split(',') {
            *bodies.entry(body.to_owned()).or_default() += 1;
        }
    }
    bodies
}

/// Puts records until windows with all of these rounds are closed: what arrives behind a window ends it.
fn put_until_closed(server: &Server, rounds: &mut usize) {
    let wanted = *rounds;
    loop {
        put_round(server, *rounds);
        *rounds += 1;
        let bodies = reported(server);
        let is_there = |round: usize, key: usize| bodies.contains_key(&format!("k{key}-{round}"));
        if (0..wanted).all(|round| (0..KEYS).all(|key| is_there(round, key))) {
            return;
        }
    }
}

fn check(server: &Server, rounds: usize) {
    for (body, times) in reported(server) {
        assert_eq!(times, 1, "{body} is in {times} windows");
    }
    let status = drained(server, "windowed");
    assert_eq!(
        status["totals"]["processed"],
        json!(rounds * KEYS),
        "{status}"
    );
    assert_eq!(status["totals"]["dead_lettered"], json!(0));
}

fn life(folder: &Path) -> Server {
    drop(std::fs::remove_file(folder.join("unclean-stops")));
    server_on(folder)
}

#[test]
fn each_record_is_in_one_window_over_kill_9_and_other_factors() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    let groups = ["--tumbling-window", "1s", "--key-groups", "5"];
    deploy(&server, &groups);
    let mut rounds = 0;
    put_round(&server, rounds);
    rounds += 1;
    drained(&server, "windowed");
    server.kill().unwrap_or_else(|e| panic!("{e}"));

    for factor in ["1", "3", "2"] {
        let server = life(folder.path());
        let update = ["mappings", "update", "windowed"];
        let change = ["--parallelization-factor", factor];
        one(&server, &[&update[..], &change].concat());
        put_until_closed(&server, &mut rounds);
        server.kill().unwrap_or_else(|e| panic!("{e}"));
    }
    let server = life(folder.path());
    put_until_closed(&server, &mut rounds);
    check(&server, rounds);
}

#[test]
fn windows_close_at_the_end_of_their_shard_and_before_they_are_turned_off() {
    let server = server();
    let groups = ["--tumbling-window", "15m", "--key-groups", "3"];
    deploy(&server, &groups);
    put_round(&server, 0);
    let status = drained(&server, "windowed");
    let open = status["shards"][0]["open_windows"]
        .as_u64()
        .expect("a count");
    assert!((1..=3).contains(&open), "{status}");
    assert!(status["shards"][0]["oldest_window_ends_at"].is_string());
    let line = &all(&server, &["mappings", "list"])[0];
    assert_eq!(line["open_windows"], json!(open));
    let series = "fnctl_open_windows{mapping=\"windowed/in\"}";
    assert!((metric(&server, series) - open as f64).abs() < f64::EPSILON);

    let would = one(
        &server,
        &[
            "mappings",
            "seek",
            "windowed",
            "--to",
            "latest",
            "--dry-run",
        ],
    );
    assert_eq!(
        would["shards"][0]["dropped_windows"],
        json!(open),
        "{would}"
    );

    let rows = || {
        let path = "/v1/streams/out/records?from=trim-horizon&follow=false";
        let text = get(&server.api, path)
            .unwrap_or_else(|e| panic!("{e}"))
            .text();
        text.lines().count() as u64
    };
    one(&server, &["streams", "split", "in", "shardId-000000000000"]);
    while describe(&server, "windowed")["shards"][0]["ended"] != json!(true) {}
    assert_eq!(rows(), open, "one final call a window");

    put_round(&server, 1);
    drained(&server, "windowed");
    let open_of = |status: &Value| -> u64 {
        let shards = status["shards"].as_array().expect("shards").iter();
        shards
            .filter_map(|shard| shard["open_windows"].as_u64())
            .sum()
    };
    let more = open_of(&describe(&server, "windowed"));
    assert!(more >= 2, "each child has windows of its own");
    let update = ["mappings", "update", "windowed"];
    let off = ["--tumbling-window", "0s"];
    one(&server, &[&update[..], &off].concat());
    while open_of(&describe(&server, "windowed")) > 0 {}
    assert_eq!(rows(), open + more);
}

//! Windows of a mapping that runs: what their final calls emit is a model's, over `kill -9`, other factors
//! and a split.

use std::{collections::BTreeMap, path::Path};

use fnctl_tests::{Server, get};
use serde_json::{Value, json};

use crate::support::{all, describe, drained, guest, metric, one, put, server, server_on};

/// Keys of the records.
const KEYS: usize = 6;
/// Records of a key in a round.
const BODIES: usize = 3;

fn deploy(server: &Server, options: &[&str]) -> Value {
    let component = guest("windowed");
    let words = ["deploy", &component, "--stream", "in", "--to", "out"];
    one(server, &[&words[..], options].concat())
}

/// What record `n` of a key in a round says.
fn body(key: usize, round: usize, n: usize) -> String {
    format!("k{key}-{round}-{n}")
}

/// Puts some records a key, each with a body of its own.
fn put_round(server: &Server, round: usize) {
    for key in 0..KEYS {
        let lines: Vec<String> = (0..BODIES).map(|n| body(key, round, n)).collect();
        put(server, "in", &lines, &["--key", &format!("k{key}")]);
    }
}

/// Bodies in the rows of windows, how often each; those of one key are in order.
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
        let (start, end): (u64, u64) = (
            start.parse().expect("a number"),
            end.parse().expect("a number"),
        );
        assert_eq!((start % 1_000, end - start), (0, 1_000), "{told}");
        let in_order = |key: usize| {
            let of = format!("k{key}-");
            let numbers = list.split(',').filter_map(|body| body.strip_prefix(&of));
            let numbers = numbers.map(|rest| {
                let (round, n) = rest.split_once('-').expect("round and number");
                let read = |text: &str| text.parse::<u64>().expect("a number");
                (read(round), read(n))
            });
            numbers.is_sorted()
        };
        assert!((0..KEYS).all(in_order), "{told}");
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
        let is_there = |round: usize, key: usize| {
            (0..BODIES).all(|n| bodies.contains_key(&body(key, round, n)))
        };
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
        json!(rounds * KEYS * BODIES),
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
    one(
        &server,
        &["streams", "split", "in", "--shard", "shardId-000000000000"],
    );
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

#[test]
fn a_close_that_is_given_up_leaves_its_state_as_a_letter_and_the_next_window_goes_on() {
    let server = server();
    let groups = ["--tumbling-window", "1s", "--key-groups", "1"];
    let tries = [
        "--max-attempts",
        "2",
        "--backoff-initial",
        "1ms",
        "--backoff-max",
        "1ms",
    ];
    deploy(&server, &[&groups[..], &tries].concat());
    put(&server, "in", &["stuck".to_owned()], &["--key", "k"]);
    let letters = loop {
        put(&server, "in", &["later".to_owned()], &["--key", "k"]);
        let letters = all(&server, &["dlq", "list", "windowed"]);
        if !letters.is_empty() {
            break letters;
        }
    };
    let letter = &letters[0];
    assert_eq!(letter["error_kind"], "window-failed", "{letter}");
    assert_eq!(
        (&letter["code"], &letter["attempts"]),
        (&json!("stuck"), &json!(2)),
        "{letter}"
    );
    let id = letter["id"].as_str().expect("an id");
    let redrive = ["dlq", "redrive", "windowed", id, "-o", "json"];
    let output = server.command(&redrive).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("state of a window"), "{stderr}");
    while reported(&server).is_empty() {
        put(&server, "in", &["later".to_owned()], &["--key", "k"]);
    }
    assert_eq!(
        describe(&server, "windowed")["totals"]["dead_lettered"],
        json!(0)
    );
}

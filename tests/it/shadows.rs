//! Another version beside the live one: what differs is told, and nothing else happens.

use std::{
    io::{BufRead as _, BufReader},
    process::{Output, Stdio},
};

use fnctl_tests::Server;
use serde_json::Value;

use crate::support::{deploy_hostile, describe, drained, guest, one, put, server};

/// Two versions, of which the second is live: it has a configuration value that `facts` shows.
fn two_versions(words: &[&str]) -> Server {
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "1"]);
    deploy_hostile(&server, &["--max-attempts", "1", "--config", "name=Ada"]);
    for (n, word) in words.iter().enumerate() {
        let key = format!("key-{n}");
        put(&server, "in", &[(*word).to_owned()], &["--key", &key]);
    }
    drained(&server, "hostile");
    server
}

fn shadow(server: &Server, options: &[&str]) -> Output {
    let mut command = server.command(&["shadow", "hostile", "-o", "json"]);
    command.args(options);
    command.output().expect("the binary runs")
}

/// The keys that differ, and the summary.
fn told(output: &Output) -> (Vec<Value>, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let read = |line| serde_json::from_str::<Value>(line).expect("an object a line");
    let mut lines: Vec<Value> = text.lines().map(read).collect();
    let end = lines.pop().unwrap_or_else(|| panic!("{output:?}"))["end"].clone();
    let records = lines.iter().map(|line| line["different"].clone());
    (records.collect(), end)
}

fn error(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().expect("an error");
    serde_json::from_str::<Value>(last).expect("the error is JSON")["error"].clone()
}

#[test]
fn records_that_end_otherwise_are_told_and_nothing_is_emitted_or_charged() {
    let words = ["ok 1", "facts", "skip 1", "panic", "side", "ok 2"];
    let server = two_versions(&words);
    let before = describe(&server, "hostile");
    let streams = one(&server, &["streams", "describe", "out"]);
    let output = shadow(&server, &["--version", "1", "--from", "trim-horizon"]);
    let (records, end) = told(&output);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(error(&output)["code"], "FN4012");
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["partition_key"], "key-1");
    let row = |side: &str| fnctl_tests::text(&records[0][side]["rows"][0], "data");
    assert!(row("live").contains("Ada") && !row("shadow").contains("Ada"));
    for (name, value) in [
        ("live_version", 2),
        ("shadow_version", 1),
        ("records", 6),
        ("same", 5),
        ("different", 1),
        ("live_failed", 2),
        ("shadow_failed", 2),
    ] {
        assert_eq!(end[name], value, "{end}");
    }
    // The live version beside itself is the same.
    let output = shadow(&server, &["--version", "2", "--from", "1h", "--count", "5"]);
    let (records, end) = told(&output);
    assert_eq!(
        (output.status.code(), records.len()),
        (Some(0), 0),
        "{output:?}"
    );
    assert_eq!(end["records"], 5, "{end}");
    let after = describe(&server, "hostile");
    assert_eq!(after["totals"], before["totals"]);
    assert_eq!(one(&server, &["streams", "describe", "out"]), streams);
    assert_eq!(
        after["dead_letters_by_code"],
        before["dead_letters_by_code"]
    );
}

#[test]
fn a_component_that_is_not_deployed_is_compared_record_by_record() {
    let server = two_versions(&["ok 1", "skip 1", "ok 2"]);
    let echo = guest("echo");
    let output = shadow(&server, &["--component", &echo, "--from", "trim-horizon"]);
    let (records, end) = told(&output);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(
        (&end["records"], &end["shadow_version"]),
        (&3.into(), &Value::Null)
    );
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["live"]["failure"]["code"], "refused");
    assert_eq!(records[0]["shadow"]["rows"][0]["data"], "skip 1");
    // From the second record on, by its number.
    let number = fnctl_tests::text(&records[0], "sequence_number");
    let output = shadow(&server, &["--component", &echo, "--from", &number]);
    assert_eq!(told(&output).1["records"], 2);
    // As text, with both ends below each other.
    let mut command = server.command(&["shadow", "hostile", "--component", &echo]);
    let output = command.args(["--from", "trim-horizon"]).output();
    let output = output.expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = "  live    skip refused: asked to be skipped\n  shadow  → default  key-1  skip 1\ncompared 3  same 2  different 1";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_comparison_follows_what_comes_and_what_the_filter_lets_fall_is_counted() {
    let server = two_versions(&["ok 1"]);
    let filter = r#"{"data": ["ok 1", "ok 3"]}"#;
    one(
        &server,
        &["mappings", "update", "hostile", "--filter", filter],
    );
    let words = [
        "--version",
        "1",
        "--from",
        "trim-horizon",
        "--follow",
        "--count",
        "2",
    ];
    let mut command = server.command(&["shadow", "hostile", "-o", "json"]);
    let following = command
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let following = following.spawn().expect("the binary runs");
    for word in ["ok 2", "ok 3"] {
        put(&server, "in", &[word.to_owned()], &["--key", "a"]);
    }
    let output = following.wait_with_output().expect("it ends by itself");
    let (records, end) = told(&output);
    assert_eq!(
        (output.status.code(), records.len()),
        (Some(0), 0),
        "{output:?}"
    );
    assert_eq!(
        (&end["records"], &end["filtered"]),
        (&2.into(), &1.into()),
        "{end}"
    );
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let server = two_versions(&[]);
    for (options, exit, code) in [
        (&["--version", "9"][..], 3, "FN2108"),
        (&[], 2, "FN1001"),
        (&["--version", "1", "--component", "x.wasm"], 2, "FN1001"),
        (&["--component", "missing.wasm"], 3, "FN1005"),
        (&["--version", "1", "--from", "never"], 2, "FN1001"),
        (
            &["--version", "1", "--from", "2100-01-01T00:00:00Z"],
            7,
            "FN2102",
        ),
    ] {
        let output = shadow(&server, options);
        assert_eq!(output.status.code(), Some(exit), "{options:?} {output:?}");
        assert_eq!(error(&output)["code"], code, "{options:?}");
    }
}

#[test]
fn a_comparison_that_follows_ends_with_its_stream() {
    let server = two_versions(&["facts"]);
    let words = ["--version", "1", "--from", "trim-horizon", "--follow"];
    let mut command = server.command(&["shadow", "hostile", "-o", "json"]);
    let command = command.args(words).stdout(Stdio::piped());
    let mut following = command.spawn().expect("the binary runs");
    let mut told = BufReader::new(following.stdout.take().expect("it is piped")).lines();
    let first = told.next().expect("a line").expect("text");
    assert!(first.contains("different"), "{first}");
    one(&server, &["streams", "delete", "in", "--force", "--yes"]);
    let last = told.last().expect("a line").expect("text");
    assert!(last.starts_with("{\"end\""), "{last}");
    let ended = following.wait().expect("it ends by itself");
    assert_eq!(ended.code(), Some(4));
}

#[test]
fn a_comparison_that_follows_ends_with_its_mapping_and_says_so() {
    let server = two_versions(&["facts"]);
    let words = ["--version", "1", "--from", "trim-horizon", "--follow"];
    let mut command = server.command(&["shadow", "hostile"]);
    let command = command.args(words);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut following = command.spawn().expect("the binary runs");
    let mut told = BufReader::new(following.stdout.take().expect("it is piped")).lines();
    told.next().expect("a line").expect("text");
    one(&server, &["mappings", "delete", "hostile", "--yes"]);
    let last = told.last().expect("a line").expect("text");
    assert!(last.starts_with("compared 1  same 0"), "{last}");
    let ended = following.wait_with_output().expect("it ends by itself");
    let words = String::from_utf8_lossy(&ended.stderr);
    assert!(
        words.contains("mapping `hostile/in` was deleted"),
        "{words}"
    );
    assert_eq!(ended.status.code(), Some(3), "{words}");
}

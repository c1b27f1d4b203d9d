//! Functions' own counters and gauges, as a Prometheus meets them.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use fnctl_tests::{Server, get};

use crate::{
    captures::{replay, verdicts},
    support::{all, drained, guest, metric, one, put, server},
};

fn exposition(server: &Server) -> String {
    let answer = get(&server.api, "/metrics").unwrap_or_else(|e| panic!("{e}"));
    answer.text()
}

/// The function's own samples, as they stand in the exposition.
fn own(server: &Server) -> Vec<String> {
    let text = exposition(server);
    let lines = text
        .lines()
        .filter(|line| line.starts_with("fnctl_custom_"));
    lines.map(str::to_owned).collect()
}

/// What `promtool check metrics` finds.
fn faults(text: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Prometheus is installed: tests/tools test");
    let mut stdin = promtool.stdin.take().expect("it is piped");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    match output.status.success() {
        true => said,
        false => format!("{}: {said}", output.status),
    }
}

fn deploy(server: &Server, options: &[&str]) {
    let guest = guest("counting");
    let words = ["deploy", &guest, "--stream", "in", "--to", "none"];
    one(server, &[&words[..], options].concat());
}

fn say(server: &Server, lines: &[&str]) {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    put(server, "in", &lines, &["--key", "a"]);
    drained(server, "counting");
}

#[test]
fn what_a_function_counts_is_exposed_and_outlives_its_versions_but_not_itself() {
    let server = server();
    deploy(&server, &["--backoff-initial", "1ms"]);
    say(
        &server,
        &["sold book", "sold a\"b\\c", "sold book", "level -2.5"],
    );
    say(&server, &["retry-until 2"]);
    say(&server, &["skip"]);
    let expected = [
        "fnctl_custom_level{function=\"counting\"} -2.5",
        // The one that was retried counts twice, the one that was given up once.
        "fnctl_custom_seen_total{function=\"counting\"} 7",
        "fnctl_custom_sold_total{function=\"counting\",kind=\"a\\\"b\\\\c\"} 1",
        "fnctl_custom_sold_total{function=\"counting\",kind=\"book\"} 2",
    ];
    assert_eq!(own(&server), expected);
    assert_eq!(faults(&exposition(&server)), "");

    // Another version goes on where this one stands.
    deploy(&server, &["--config", "name=Ada"]);
    assert_eq!(own(&server), expected);
    // Neither a call by hand nor one beside the live version is among what it counts.
    let file = server.folder().join("by-hand.ndjson");
    std::fs::write(&file, "sold pen\n").expect("a file beside the server");
    let file = file.to_string_lossy();
    let by_hand = one(&server, &["invoke", "counting", "--file", &file]);
    assert_eq!(by_hand["outcome"], "ok", "{by_hand}");
    let shadow = [
        "shadow",
        "counting",
        "--version",
        "1",
        "--from",
        "trim-horizon",
    ];
    let shadow = all(&server, &shadow);
    assert_eq!(shadow[0]["end"]["records"], 6, "{shadow:?}");
    assert_eq!(own(&server), expected);
    // Nor is one that is called again where no server is reached; that it counts changes nothing of how it ends.
    let file = server.folder().join("letters.capture");
    let capture = ["capture", "counting", "--failing", "--out"];
    one(
        &server,
        &[&capture[..], &[&*file.to_string_lossy()]].concat(),
    );
    let replayed = replay(&file, &["-o", "json"]);
    assert_eq!(replayed.status.code(), Some(0), "{replayed:?}");
    assert_eq!(verdicts(&replayed), ["same"]);
    assert_eq!(own(&server), expected);

    say(&server, &["sold book"]);
    let live = one(&server, &["functions", "describe", "counting"]);
    assert_eq!(live["version"], 2, "{live}");
    let seen = "fnctl_custom_seen_total{function=\"counting\"}";
    assert_eq!(metric(&server, seen), 8.0);
    let books = "fnctl_custom_sold_total{function=\"counting\",kind=\"book\"}";
    assert_eq!(metric(&server, books), 3.0);

    one(
        &server,
        &["mappings", "delete", "counting", "--force", "--yes"],
    );
    one(&server, &["functions", "delete", "counting", "--yes"]);
    while !own(&server).is_empty() {}
}

#[test]
fn what_is_beyond_the_budget_is_dropped_counted_and_told_once() {
    let server = server();
    deploy(&server, &[]);
    // With the one that it has seen: the hundredth and the one behind it are too many.
    say(&server, &["series 101", "series 101"]);
    assert_eq!(own(&server).len(), 100);
    let of = |reason: &str| {
        let labels = format!("function=\"counting\",reason=\"{reason}\"");
        metric(
            &server,
            &format!("fnctl_function_metrics_refused_total{{{labels}}}"),
        )
    };
    assert_eq!((of("budget"), of("label")), (4.0, 0.0));
    say(&server, &["label le", "add -1"]);
    assert_eq!((of("label"), of("amount")), (1.0, 0.0));
    say(&server, &["series 101"]);
    let lines = all(&server, &["logs", "counting"]);
    let told = |line: &&serde_json::Value| {
        let message = line["message"].as_str();
        message.is_some_and(|message| message.contains("a metric is dropped"))
    };
    let told: Vec<_> = lines.iter().filter(told).collect();
    // Once of the budget, which an addition without labels meets as well, and once of the label.
    assert_eq!(told.len(), 2, "{lines:?}");
    assert_eq!(of("budget"), 7.0);
    assert_eq!(faults(&exposition(&server)), "");
}

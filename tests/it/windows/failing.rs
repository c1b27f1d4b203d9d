//! A window whose records fail, whose state grows too large, and whose server is killed.

use fnctl_tests::{Server, get};
use serde_json::Value;

use crate::support::{all, describe, drained, guest, one, put, server_on};

/// What closed windows told, in order: how they ended, and what was in them.
fn closed(server: &Server) -> Vec<(String, Vec<String>)> {
    let records = "/v1/streams/out/records?from=trim-horizon&follow=false";
    let answer = get(&server.api, records).unwrap_or_else(|e| panic!("{e}"));
    let told = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("a record");
        let words = row["data"].as_str().expect("text");
        let (head, bodies) = words.split_once(": ").expect("a window's row");
        let how = head.split(' ').next_back().unwrap_or_default();
        let bodies = bodies.split(',').map(str::to_owned).collect();
        (how.to_owned(), bodies)
    };
    answer.text().lines().map(told).collect()
}

/// All windows of a mapping close when it has none any more.
#[test]
fn a_window_counts_each_record_once_over_a_crash_a_failure_and_an_early_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    let component = guest("windowed");
    let deploy = ["deploy", &component, "--stream", "in", "--to", "out"];
    let windows = ["--tumbling-window", "15m", "--key-groups", "4"];
    let calls = ["--parallelization-factor", "2", "--batch-size", "3"];
    let given = [&deploy[..], &windows, &calls, &["--max-attempts", "1"]].concat();
    one(&server, &given);
    let lines = |numbers: std::ops::Range<u32>| -> Vec<String> {
        numbers.map(|number| format!("n{number}")).collect()
    };
    let mut first = lines(0..20);
    first.insert(10, "skip".to_owned());
    put(&server, "in", &first, &["--key", "k"]);
    drained(&server, "windowed");
    server.kill().unwrap_or_else(|e| panic!("{e}"));

    let server = server_on(folder.path());
    put(&server, "in", &lines(20..30), &["--key", "k"]);
    put(&server, "in", &["grow 1100000".to_owned()], &["--key", "k"]);
    put(&server, "in", &lines(30..40), &["--key", "k"]);
    drained(&server, "windowed");
    one(
        &server,
        &["mappings", "update", "windowed", "--tumbling-window", "0s"],
    );
    let told = loop {
        let told = closed(&server);
        if told.iter().map(|(_, bodies)| bodies.len()).sum::<usize>() >= 41 {
            break told;
        }
    };
    let early = told.iter().filter(|(how, _)| how == "early").count();
    assert_eq!(early, 1, "the state passed its limit once: {told:?}");
    let mut expected = lines(0..40);
    expected.insert(30, "grow 1100000".to_owned());
    let bodies: Vec<String> = told.into_iter().flat_map(|(_, bodies)| bodies).collect();
    assert_eq!(bodies, expected);
    let letters = all(&server, &["dlq", "list", "windowed"]);
    assert_eq!(
        (letters.len(), letters[0]["code"].as_str()),
        (1, Some("bad"))
    );
}

/// The state of a window is no record: a redrive of all leaves it out and is done with the others, a capture
/// does not have it, and who deletes the mapping is told of the windows that go with it.
#[test]
fn the_state_of_a_lost_window_is_neither_redriven_nor_captured() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    let component = guest("windowed");
    let deploy = ["deploy", &component, "--stream", "in", "--to", "out"];
    let windows = ["--tumbling-window", "15m", "--key-groups", "1"];
    one(
        &server,
        &[&deploy[..], &windows, &["--max-attempts", "1"]].concat(),
    );
    let lines = ["stuck", "skip", "skip"].map(str::to_owned);
    put(&server, "in", &lines, &["--key", "k"]);
    drained(&server, "windowed");
    let refused = server.one(&["mappings", "delete", "windowed"]);
    let refused = refused.expect_err("not confirmed").to_string();
    assert!(refused.contains("1 open window without"), "{refused}");
    let update = ["mappings", "update", "windowed", "--tumbling-window"];
    one(&server, &[&update[..], &["1s"]].concat());
    let lost = loop {
        let lost = all(
            &server,
            &["dlq", "list", "windowed", "--kind", "window-failed"],
        );
        if let [letter] = &lost[..] {
            break fnctl_tests::text(letter, "id");
        }
    };
    let redriven = one(&server, &["dlq", "redrive", "windowed", "--all", "--wait"]);
    let told = ["redriven", "skipped", "pending"].map(|name| redriven[name].as_u64());
    assert_eq!(told, [Some(2), Some(0), Some(0)], "{redriven}");
    one(&server, &[&update[..], &["0s"]].concat());
    let named = server.one(&["capture", "windowed", "--dead-letters", &lost]);
    let words = named.expect_err("it holds no record").to_string();
    assert!(words.contains("FN4003"), "{words}");
}

#[test]
fn a_record_of_a_window_is_given_up_by_hand_and_its_group_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    let component = guest("windowed");
    let deploy = ["deploy", &component, "--stream", "in", "--to", "out"];
    let windows = ["--tumbling-window", "15m", "--key-groups", "1"];
    let waits = ["--backoff-initial", "1h", "--backoff-max", "24h"];
    one(&server, &[&deploy[..], &windows, &waits].concat());
    put(&server, "in", &["retry".to_owned()], &["--key", "bad"]);
    while describe(&server, "windowed")["shards"][0]["parked_keys"] != 1 {}
    put(&server, "in", &["n1".to_owned()], &["--key", "good"]);
    let given_up = one(
        &server,
        &["mappings", "dead-letter", "windowed", "--key", "bad"],
    );
    assert_eq!(given_up["dead_lettered_records"], 1, "{given_up}");
    drained(&server, "windowed");
    let letters = all(&server, &["dlq", "list", "windowed"]);
    assert_eq!(letters[0]["error_kind"], "by-hand", "{letters:?}");
    let update = ["mappings", "update", "windowed", "--tumbling-window", "0s"];
    one(&server, &update);
    let told = loop {
        let told = closed(&server);
        if !told.is_empty() {
            break told;
        }
    };
    assert_eq!(told[0].1, ["n1"]);
}

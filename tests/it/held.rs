//! What waits though nobody is charged for it: seen, tried and given up by hand.

use fnctl_tests::Server;
use serde_json::Value;

use crate::support::{
    all, deploy_hostile, describe, drained, guest, one, put, put_keyed, refused, server,
};

/// An outage that nobody mends: each of so many keys has a record that fails.
fn outage(server: &Server, keys: usize) {
    let keys: Vec<String> = (0..keys).map(|n| format!("k{n}")).collect();
    put_keyed(server, "in", keys.iter().map(|key| (key.as_str(), "retry")));
}

/// The mapping once its circuit is open.
fn open(server: &Server) -> Value {
    loop {
        let status = describe(server, "hostile");
        if !status["shards"][0]["circuit"].is_null() {
            return status;
        }
    }
}

fn text(server: &Server, words: &[&str]) -> String {
    let output = server.command(words).output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_list_of_mappings_says_which_circuits_are_open_since_when_and_why() {
    let server = server();
    deploy_hostile(
        &server,
        &["--max-attempts", "3", "--backoff-initial", "1ms"],
    );
    let list = all(&server, &["mappings", "list"]);
    assert_eq!(list[0]["circuit"], Value::Null, "{list:?}");
    assert!(!text(&server, &["mappings", "list"]).contains("why"));
    outage(&server, 40);
    let status = open(&server);
    let shard = &status["shards"][0];
    let line = &all(&server, &["mappings", "list"])[0];
    let circuit = &line["circuit"];
    for (name, value) in [
        ("since", shard["circuit"]["since"].clone()),
        ("code", "busy".into()),
        ("error", "asked to fail".into()),
        ("open_shards", 1.into()),
        ("shards", 1.into()),
    ] {
        assert_eq!(circuit[name], value, "{line}");
    }
    assert_eq!(line["state"], "running", "{line}");
    let said = text(&server, &["mappings", "list"]);
    assert!(
        said.contains("circuit-open since ")
            && said.contains(", 1 of 1 shard: busy: asked to fail"),
        "{said}"
    );
    // Whatever a backoff says, nothing is tried before the next probe.
    let next = shard["next_retry_at"].as_str();
    let probe = shard["circuit"]["next_probe_at"].as_str();
    assert!(next >= probe, "{status}");
}

#[test]
fn another_limit_of_calls_at_once_is_in_force_and_nothing_starts_anew() {
    let server = server();
    deploy_hostile(&server, &["--concurrency", "1"]);
    let waits_long = "retry-after 3600000".to_owned();
    put(&server, "in", &[waits_long], &["--key", "a"]);
    let code = || {
        let parked = all(&server, &["mappings", "parked", "hostile"]);
        parked.first().map(|key| key["code"].clone())
    };
    while code().is_none() {}
    let done = one(
        &server,
        &["deploy", "--name", "hostile", "--concurrency", "2"],
    );
    assert_eq!(done["changes"][0]["path"], "function.concurrency", "{done}");
    // Why the key failed is known to the worker alone that saw it.
    assert_eq!(code(), Some("busy".into()));
}

/// The keys that wait, once there are so many.
fn parked(server: &Server, mapping: &str, count: usize) -> Vec<Value> {
    loop {
        let keys = all(server, &["mappings", "parked", mapping, "--limit", "1000"]);
        if keys.len() == count {
            return keys;
        }
    }
}

#[test]
fn what_an_open_circuit_holds_is_listed_tried_and_given_up_by_hand() {
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "1"]);
    // The first batch is tried, and what is behind it one by one, in longer and longer pauses.
    outage(&server, 300);
    open(&server);
    let keys = parked(&server, "hostile", 300);
    let key = keys.iter().find(|key| key["partition_key"] == "k7");
    let key = key.expect("every key waits");
    let expected: [(&str, Value); 8] = [
        ("why", "circuit-open".into()),
        ("attempts", 0.into()),
        ("failing_records", 1.into()),
        ("error_kind", "error".into()),
        ("code", "busy".into()),
        ("error", "asked to fail".into()),
        ("shard_keys", 300.into()),
        ("waits_for_resume", false.into()),
    ];
    for (name, value) in expected {
        assert_eq!(key[name], value, "{key}");
    }
    // One that was read when the circuit was open was never called.
    let last = keys.last().expect("there are some");
    assert_eq!(last["partition_key"], "k299", "{last}");
    assert_eq!(
        (&last["failing_records"], &last["code"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(last["why"], "circuit-open", "{last}");
    lists_a_part_and_says_of_how_many(&server);

    put(&server, "in", &["ok".to_owned()], &["--key", "k7"]);
    let waiting = || {
        let keys = parked(&server, "hostile", 300);
        let key = keys.iter().find(|key| key["partition_key"] == "k7");
        key.map(|key| key["waiting_records"].clone())
    };
    while waiting() != Some(1.into()) {}
    let give_up = |key: &str, more: &[&str]| {
        let command = ["mappings", "dead-letter", "hostile", "--key", key];
        [&command[..], more].concat().join(" ")
    };
    let run = |command: String| one(&server, &command.split(' ').collect::<Vec<_>>());
    let done = run(give_up("k7", &[]));
    assert_eq!(
        (&done["dead_lettered_records"], &done["remaining_records"]),
        (&1.into(), &1.into()),
        "{done}"
    );
    // What is left of the one, and all of the other, has not failed.
    for key in ["k7", "k299"] {
        let command = give_up(key, &[]);
        let (exit, error) = refused(&server, &command.split(' ').collect::<Vec<_>>());
        assert_eq!(
            (exit, &error["code"]),
            (Some(4), &"FN3015".into()),
            "{error}"
        );
        let fix = fnctl_tests::text(&error, "fix");
        assert!(fix.contains("--all"), "{error}");
        let would = run(give_up(key, &["--all", "--dry-run"]));
        assert_eq!(would["dead_lettered_records"], 1, "{would}");
        let done = run(give_up(key, &["--all"]));
        assert_eq!(
            (&done["dead_lettered_records"], &done["remaining_records"]),
            (&1.into(), &0.into()),
            "{done}"
        );
    }
    let letters = all(&server, &["dlq", "list", "hostile", "--kind", "by-hand"]);
    let errors = letters
        .iter()
        .map(|letter| fnctl_tests::text(letter, "error"));
    let errors: Vec<String> = errors.collect();
    assert!(
        errors
            .iter()
            .any(|error| error.ends_with("it last failed with busy: asked to fail"))
    );
    parked(&server, "hostile", 298);
    let released = one(&server, &["mappings", "release", "hostile", "--key", "k8"]);
    assert_eq!(released["released_records"], 1, "{released}");
    assert_eq!(released["partition_key"], "k8", "{released}");

    let before = probes(&server);
    let released = one(&server, &["mappings", "release", "hostile", "--all"]);
    // A key that is being probed for the first time does not wait.
    let count = released["released_keys"].as_u64().expect("a count");
    assert!((297..=298).contains(&count), "{released}");
    assert_eq!(released["partition_key"], Value::Null, "{released}");
    while probes(&server) <= before {}
    let (exit, _) = refused(&server, &["mappings", "release", "hostile"]);
    assert_eq!(exit, Some(2));
    a_paused_mapping_waits_for_resume(&server);
}

/// 300 keys wait: the list has the first of them unless more are asked for, and `describe` counts all.
fn lists_a_part_and_says_of_how_many(server: &Server) {
    let list = |more: &[&str]| {
        let command = ["mappings", "parked", "hostile"];
        all(server, &[&command[..], more].concat())
    };
    let shard = "shardId-000000000000";
    for (more, count) in [
        (&[] as &[&str], 256),
        (&["--limit", "10", "--shard", shard], 10),
        (&["--limit", "10", "--shard", "0"], 10),
    ] {
        let keys = list(more);
        assert_eq!(keys.len(), count);
        // One that is being probed for the first time does not wait.
        let known = keys[0]["shard_keys"].as_u64();
        assert!(matches!(known, Some(299 | 300)), "{}", keys[0]);
    }
    for (more, code) in [
        (["--limit", "10001"], "FN1020"),
        (["--limit", "0"], "FN1020"),
        (["--shard", "7"], "FN3020"),
    ] {
        let command = ["mappings", "parked", "hostile"];
        let (_, error) = refused(server, &[&command[..], &more].concat());
        assert_eq!(error["code"], code, "{error}");
    }
    let mut shown = server.command(&["mappings", "parked", "hostile"]);
    let shown = shown.output().expect("it runs");
    let (said, told) = (
        String::from_utf8_lossy(&shown.stdout),
        String::from_utf8_lossy(&shown.stderr),
    );
    assert!(said.contains("circuit-open at "), "{said}");
    assert!(
        told.contains("256 of ") && told.contains(&format!("of {shard}")),
        "{told}"
    );
    loop {
        let status = describe(server, "hostile");
        let shard = &status["shards"][0];
        if shard["parked_keys"] == 300 {
            let failed = shard["failed_keys"].as_u64().expect("a count");
            assert!((100..300).contains(&failed), "{status}");
            break;
        }
    }
    let said = text(server, &["mappings", "describe", "hostile"]);
    assert!(said.contains(" failed)"), "{said}");
}

/// No time is told that has passed: nothing is tried before somebody resumes it.
fn a_paused_mapping_waits_for_resume(server: &Server) {
    one(server, &["mappings", "pause", "hostile"]);
    let list = ["mappings", "parked", "hostile", "--limit", "1000"];
    let (status, keys) = loop {
        let (status, keys) = (describe(server, "hostile"), all(server, &list));
        if status["shards"][0]["parked_keys"] == keys.len() {
            break (status, keys);
        }
    };
    let shard = &status["shards"][0];
    for time in [&shard["next_retry_at"], &shard["circuit"]["next_probe_at"]] {
        assert_eq!(*time, Value::Null, "{status}");
    }
    assert!(!keys.is_empty(), "{status}");
    for key in &keys {
        assert_eq!(key["next_retry_at"], Value::Null, "{key}");
        assert_eq!(key["waits_for_resume"], true, "{key}");
    }
    for command in ["describe", "parked"] {
        let said = text(server, &["mappings", command, "hostile"]);
        assert!(said.contains("waits for resume"), "{command}: {said}");
        assert!(!said.contains("next probe"), "{said}");
    }
}

fn probes(server: &Server) -> u64 {
    let status = describe(server, "hostile");
    status["shards"][0]["circuit"]["probes_failed"]
        .as_u64()
        .expect("it stays open")
}

/// Progress within a batch costs the record that failed no attempt: it waits all the same.
#[test]
fn with_order_within_the_shard_the_record_that_holds_it_is_listed_tried_and_given_up() {
    let server = server();
    deploy_hostile(&server, &["--ordering", "shard", "--max-attempts", "5"]);
    let records = [
        ("a", "ok"),
        ("b", "retry-after 3600000"),
        ("c", "ok"),
        ("b", "ok"),
    ];
    put_keyed(&server, "in", records);
    let key = parked(&server, "hostile", 1).remove(0);
    assert_eq!(key["partition_key"], "b", "{key}");
    assert_eq!(
        (&key["attempts"], &key["waiting_records"]),
        (&0.into(), &2.into()),
        "{key}"
    );
    assert_eq!(
        (&key["why"], &key["code"]),
        (&"retry".into(), &"busy".into()),
        "{key}"
    );
    let released = one(&server, &["mappings", "release", "hostile", "--key", "b"]);
    assert_eq!(released["released_records"], 1, "{released}");
    loop {
        if parked(&server, "hostile", 1)[0]["attempts"] == 1 {
            break;
        }
    }
    let done = one(
        &server,
        &["mappings", "dead-letter", "hostile", "--key", "b"],
    );
    assert_eq!(done["dead_lettered_records"], 1, "{done}");
    let totals = drained(&server, "hostile")["totals"].take();
    assert_eq!(
        (&totals["processed"], &totals["dead_lettered"]),
        (&3.into(), &1.into())
    );
    assert_eq!(parked(&server, "hostile", 0), [Value::Null; 0]);
}

#[test]
fn a_window_that_cannot_be_closed_is_listed_with_its_failure_and_tried_again_by_hand() {
    let server = server();
    let component = guest("windowed");
    let deploy = ["deploy", &component, "--stream", "in", "--to", "out"];
    let windows = ["--tumbling-window", "15m", "--key-groups", "1"];
    let attempts = [
        "--max-attempts",
        "unlimited",
        "--backoff-initial",
        "1h",
        "--backoff-max",
        "1h",
    ];
    one(&server, &[&deploy[..], &windows, &attempts].concat());
    put(&server, "in", &["stuck".to_owned()], &["--key", "k"]);
    drained(&server, "windowed");
    let off = ["mappings", "update", "windowed", "--tumbling-window", "0s"];
    one(&server, &off);
    let window = parked(&server, "windowed", 1).remove(0);
    let expected: [(&str, Value); 6] = [
        ("partition_key", "".into()),
        ("attempts", 1.into()),
        ("why", "retry".into()),
        ("error_kind", "error".into()),
        ("code", "stuck".into()),
        ("error", "as asked".into()),
    ];
    for (name, value) in expected {
        assert_eq!(window[name], value, "{window}");
    }
    assert_eq!(window["window"]["group"], 0, "{window}");
    assert!(text(&server, &["mappings", "parked", "windowed"]).contains(" of group 0)"));
    let released = one(&server, &["mappings", "release", "windowed", "--all"]);
    assert_eq!(released["released_keys"], 1, "{released}");
    loop {
        if parked(&server, "windowed", 1)[0]["attempts"] == 2 {
            break;
        }
    }
}

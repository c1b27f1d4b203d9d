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
        let keys = all(server, &["mappings", "parked", mapping]);
        if keys.len() == count {
            return keys;
        }
    }
}

#[test]
fn what_an_open_circuit_holds_is_listed_tried_and_given_up_by_hand() {
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "1"]);
    outage(&server, 40);
    open(&server);
    let keys = parked(&server, "hostile", 40);
    let key = keys.iter().find(|key| key["partition_key"] == "k7");
    let key = key.expect("every key waits");
    let expected: [(&str, Value); 6] = [
        ("why", "circuit-open".into()),
        ("attempts", 0.into()),
        ("failing_records", 1.into()),
        ("error_kind", "error".into()),
        ("code", "busy".into()),
        ("error", "asked to fail".into()),
    ];
    for (name, value) in expected {
        assert_eq!(key[name], value, "{key}");
    }
    // One that came when the circuit was open was never called.
    put(&server, "in", &["ok".to_owned()], &["--key", "late"]);
    let keys = parked(&server, "hostile", 41);
    let late = keys.last().expect("it is the last");
    assert_eq!(late["partition_key"], "late", "{late}");
    assert_eq!(
        (&late["failing_records"], &late["code"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(late["why"], "circuit-open", "{late}");
    let said = text(&server, &["mappings", "parked", "hostile"]);
    assert!(said.contains("circuit-open at "), "{said}");

    for key in ["k7", "late"] {
        let command = ["mappings", "dead-letter", "hostile", "--key", key];
        let done = one(&server, &command);
        assert_eq!(done["dead_lettered_records"], 1, "{done}");
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
    parked(&server, "hostile", 39);
    let released = one(&server, &["mappings", "release", "hostile", "--key", "k8"]);
    assert_eq!(released["released_records"], 1, "{released}");
    assert_eq!(released["partition_key"], "k8", "{released}");

    let before = probes(&server);
    let released = one(&server, &["mappings", "release", "hostile", "--all"]);
    assert_eq!(released["released_keys"], 39, "{released}");
    assert_eq!(released["partition_key"], Value::Null, "{released}");
    while probes(&server) <= before {}
    let (exit, _) = refused(&server, &["mappings", "release", "hostile"]);
    assert_eq!(exit, Some(2));
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

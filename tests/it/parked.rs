//! The hand tools of parked keys.

use serde_json::Value;

use crate::support::{all, deploy_hostile, describe, drained, one, put, server, server_on, tail};
use fnctl_tests::{Server, ServerOptions};

/// Waits longer than any test runs.
const WAITS_LONG: &str = "retry-after 3600000";

fn parked(server: &Server) -> Vec<Value> {
    all(server, &["mappings", "parked", "hostile"])
}

/// The only parked key, once its oldest record has so many charged attempts.
fn parked_after(server: &Server, attempts: u64) -> Value {
    loop {
        let keys = parked(server);
        if let [key] = &keys[..]
            && key["attempts"] == attempts
        {
            return key.clone();
        }
        assert!(keys.len() < 2, "{keys:?}");
    }
}

fn release(server: &Server, key: &str) -> Value {
    one(server, &["mappings", "release", "hostile", "--key", key])
}

#[test]
fn parked_keys_are_listed_and_a_released_one_is_tried_at_once() {
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "3"]);
    put(&server, "in", &[WAITS_LONG.to_owned()], &["--key", "a"]);
    let key = parked_after(&server, 1);
    put(&server, "in", &["ok 1".to_owned()], &["--key", "a"]);
    put(&server, "in", &["ok 2".to_owned()], &["--key", "b"]);
    // The other key goes on, and what came behind the parked record waits.
    assert_eq!(tail(&server, "out", 1)[0]["data"], "ok 2");
    let source = tail(&server, "in", 1);
    for (name, value) in [
        ("partition_key", "a"),
        ("key_encoding", "text"),
        ("code", "busy"),
        ("error", "asked to wait"),
    ] {
        assert_eq!(key[name], value, "{key}");
    }
    for name in ["shard_id", "sequence_number"] {
        assert_eq!(key[name], source[0][name], "{key}");
    }
    let key = parked_after(&server, 1);
    assert_eq!(key["waiting_records"], 1, "{key}");
    assert_eq!(key["failing_records"], 1, "{key}");
    assert!(key["next_retry_at"].is_string(), "{key}");

    let released = release(&server, "a");
    assert_eq!(released["released_records"], 1, "{released}");
    parked_after(&server, 2);

    // While the mapping is paused nothing is called; what was released is tried when it goes on.
    one(&server, &["mappings", "pause", "hostile"]);
    let status = describe(&server, "hostile");
    assert_eq!(status["shards"][0]["parked_keys"], 1, "{status}");
    assert_eq!(release(&server, "a")["released_records"], 1);
    let key = parked_after(&server, 2);
    assert_eq!(key["next_retry_at"], Value::Null, "{key}");
    one(&server, &["mappings", "resume", "hostile"]);
    // The third attempt was its last: the key is free.
    let status = drained(&server, "hostile");
    assert_eq!(status["totals"]["dead_lettered"], 1);
    assert_eq!(parked(&server), Vec::<Value>::new());
    assert_eq!(tail(&server, "out", 2)[1]["data"], "ok 1");
}

#[test]
fn a_key_that_does_not_wait_is_not_released() {
    let server = server();
    deploy_hostile(&server, &[]);
    let refused = server.one(&["mappings", "release", "hostile", "--key", "a"]);
    let refused = refused.expect_err("no such key");
    let words = refused.to_string();
    assert!(
        words.contains("FN3014") && words.contains("fnctl mappings parked hostile"),
        "{words}"
    );
    assert_eq!(describe(&server, "hostile")["state"], "running");
    let refused = server.one(&["mappings", "dead-letter", "hostile", "--key", "a"]);
    let words = refused.expect_err("no such key").to_string();
    assert!(words.contains("FN3014"), "{words}");
}

/// The failing record is a dead letter that says who gave it up and why it failed; what waited behind it
/// runs on. So it is with a paused mapping, whose calls wait.
#[test]
fn a_parked_key_is_given_up_by_hand_and_what_waited_behind_it_runs_on() {
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "3"]);
    for is_paused in [false, true] {
        let key = if is_paused { "b" } else { "a" };
        put(&server, "in", &[WAITS_LONG.to_owned()], &["--key", key]);
        parked_after(&server, 1);
        put(&server, "in", &[format!("ok {key}")], &["--key", key]);
        if is_paused {
            one(&server, &["mappings", "pause", "hostile"]);
        }
        let command = ["mappings", "dead-letter", "hostile", "--key", key];
        let would = one(&server, &[&command[..], &["--dry-run"]].concat());
        assert_eq!(would["dead_lettered_records"], 1, "{would}");
        assert_eq!(would["dry_run"], true, "{would}");
        assert_eq!(parked(&server).len(), 1);
        let done = one(&server, &command);
        for (name, value) in [
            ("dead_lettered_records", 1),
            ("ended_records", 0),
            ("pending_records", 0),
        ] {
            assert_eq!(done[name], value, "{done}");
        }
        assert_eq!(done["partition_key"], key, "{done}");
        let letters = all(&server, &["dlq", "list", "hostile", "--kind", "by-hand"]);
        let letter = letters.iter().find(|letter| letter["partition_key"] == key);
        let letter = letter.expect("it is a dead letter");
        assert_eq!(letter["attempts"], 1, "{letter}");
        assert_eq!(letter["code"], "by-hand", "{letter}");
        assert_eq!(letter["data"], WAITS_LONG, "{letter}");
        let error = letter["error"].as_str().unwrap_or_default();
        assert!(error.contains("by hand, by 127.0.0.1:"), "{error}");
        // Why it failed is known to the owner that called it: a pause may bring another one.
        let is_told = error.ends_with("it last failed with busy: asked to wait");
        assert!(is_told || is_paused, "{error}");
        assert_eq!(parked(&server), Vec::<Value>::new());
        if is_paused {
            one(&server, &["mappings", "resume", "hostile"]);
        }
        drained(&server, "hostile");
    }
    assert_eq!(tail(&server, "out", 2)[1]["data"], "ok b");
    let status = describe(&server, "hostile");
    assert_eq!(status["totals"]["dead_lettered"], 2, "{status}");
    let again = server.one(&["mappings", "dead-letter", "hostile", "--key", "a"]);
    assert!(
        again
            .expect_err("it is over")
            .to_string()
            .contains("FN3014")
    );
}

/// With `--all` what waits behind goes too, and nothing else.
#[test]
fn everything_of_a_parked_key_is_given_up_where_that_is_asked() {
    let server = server();
    deploy_hostile(&server, &[]);
    put(&server, "in", &[WAITS_LONG.to_owned()], &["--key", "a"]);
    parked_after(&server, 1);
    let behind = ["ok 1".to_owned(), "ok 2".to_owned()];
    put(&server, "in", &behind, &["--key", "a"]);
    put(&server, "in", &["ok 3".to_owned()], &["--key", "b"]);
    tail(&server, "out", 1);
    let command = ["mappings", "dead-letter", "hostile", "--key", "a", "--all"];
    let done = one(&server, &command);
    assert_eq!(done["dead_lettered_records"], 3, "{done}");
    let status = drained(&server, "hostile");
    assert_eq!(status["totals"]["processed"], 1, "{status}");
    assert_eq!(status["totals"]["dead_lettered"], 3, "{status}");
}

/// What a server knows of a key outlives it, but for the words of its last failure.
#[test]
fn a_key_that_was_parked_before_a_start_is_listed_and_released() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    deploy_hostile(&server, &["--max-attempts", "2"]);
    put(&server, "in", &[WAITS_LONG.to_owned()], &["--key", "a"]);
    parked_after(&server, 1);
    server.stop().expect("it stops");
    let server = server_on(folder.path());
    let key = parked_after(&server, 1);
    assert_eq!(key["partition_key"], "a", "{key}");
    release(&server, "a");
    assert_eq!(drained(&server, "hostile")["totals"]["dead_lettered"], 1);
}

/// What is due and cannot be given up for want of room has no next attempt that has passed.
#[test]
fn keys_whose_letters_have_no_room_wait_for_that() {
    let options = ServerOptions {
        arguments: ["--dead-letters-max", "16MiB"].map(str::to_owned).to_vec(),
        ..ServerOptions::default()
    };
    let server = Server::start(options).unwrap_or_else(|e| panic!("{e}"));
    let policy = ["--max-attempts", "2", "--circuit-breaker=off"];
    let backoff = [
        "--backoff-initial",
        "1ms",
        "--backoff-max",
        "1ms",
        "--batch-size",
        "1",
    ];
    deploy_hostile(&server, &[&policy[..], &backoff].concat());
    for n in 0..24 {
        let record = format!("retry {n} {}", "x".repeat(900_000));
        put(&server, "in", &[record], &["--key", &format!("key-{n}")]);
    }
    let held = loop {
        let keys = parked(&server);
        let is_held = |key: &&Value| key["blocked_by"] == "dead-letters-full";
        if let Some(key) = keys.iter().find(is_held) {
            break key.clone();
        }
    };
    assert_eq!(held["next_retry_at"], Value::Null, "{held}");
    let status = loop {
        let status = describe(&server, "hostile");
        if status["shards"][0]["next_retry_at"].is_null() {
            break status;
        }
    };
    assert_eq!(status["reason"], "dead-letters-full", "{status}");
    for command in [
        &["mappings", "parked", "hostile"][..],
        &["mappings", "describe", "hostile"],
    ] {
        let shown = server.command(command).output().expect("the binary runs");
        let shown = String::from_utf8_lossy(&shown.stdout);
        assert!(
            shown.contains("waits for room (dead-letters-full)"),
            "{shown}"
        );
    }
}

#[test]
fn what_is_done_to_a_key_is_told_on_one_line() {
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "3"]);
    let key = "a\u{1b}[2J\nb";
    put(&server, "in", &[WAITS_LONG.to_owned()], &["--key", key]);
    parked_after(&server, 1);
    for command in [
        &["parked", "hostile"][..],
        &["dead-letter", "hostile", "--dry-run", "--key", key],
        &["release", "hostile", "--key", key],
    ] {
        let words = [&["mappings"], command].concat();
        let shown = server.command(&words).output().expect("the binary runs");
        let shown = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.contains("a\\u{1b}[2J\\nb"), "{shown:?}");
    }
}

//! The failure policy of a mapping, asked for by its flags (Lambda ESM specification §8 to §10, §22 rows
//! Retry, Bisect and Partial).

use serde_json::Value;

use crate::support::{
    all, deploy_hostile, describe, drained, guest, metric, one, put, put_keyed, refused, server,
    tail,
};
use fnctl_tests::Server;

/// Puts records, each under a key of its own or as given, while the mapping is paused: one batch has them
/// all.
fn put_at_once(server: &Server, records: &[(&str, &str)]) {
    one(server, &["mappings", "pause", "hostile"]);
    put_keyed(server, "in", records.iter().copied());
    one(server, &["mappings", "resume", "hostile"]);
}

fn letters(server: &Server) -> Vec<Value> {
    all(server, &["dlq", "list", "hostile"])
}

fn came_out(server: &Server, count: usize) -> Vec<String> {
    let records = tail(server, "out", count);
    let data = records.iter().filter_map(|record| record["data"].as_str());
    data.map(str::to_owned).collect()
}

#[test]
fn records_that_grew_too_old_are_letters_without_a_call() {
    let server = server();
    deploy_hostile(&server, &["--max-record-age", "1ms"]);
    put_at_once(&server, &[("a", "ok 1"), ("b", "trap")]);
    let status = drained(&server, "hostile");
    assert_eq!(status["settings"]["max_record_age_ms"], 1);
    let letters = letters(&server);
    assert_eq!(letters.len(), 2);
    for letter in &letters {
        assert_eq!(letter["error_kind"], "record-too-old", "{letter}");
        assert_eq!(
            (&letter["attempts"], &letter["code"]),
            (&0.into(), &"record-too-old".into())
        );
    }
    assert_eq!(status["totals"]["failed"], 0);
    // `default` takes the bound off.
    let changes = deploy_hostile(&server, &["--max-record-age", "default"]);
    assert_eq!(changes["changes"][0]["path"], "mapping.max_record_age");
    put(&server, "in", &["ok 2".to_owned()], &[]);
    assert_eq!(came_out(&server, 1), ["ok 2"]);
}

#[test]
fn what_only_the_server_knows_to_contradict_is_told_by_the_names_of_flags() {
    let server = server();
    let guest = guest("hostile");
    let words = ["deploy", &guest, "--stream", "in", "--to", "out"];
    let outputs = ["--to", "side=none", "--backoff-initial", "2m"];
    let (exit, error) = refused(&server, &[&words[..], &outputs].concat());
    assert_eq!((exit, &error["code"]), (Some(7), &"FN2102".into()));
    let problem = &error["problems"][0];
    assert_eq!(problem["path"], "--backoff-max", "{error}");
    assert_eq!(error["fix"], "fnctl deploy --help", "{error}");
}

#[test]
fn what_failed_until_it_was_too_old_says_what_it_failed_with() {
    let server = server();
    let age = ["--max-record-age", "2s", "--backoff-max", "1s"];
    let tries = ["--max-attempts", "unlimited", "--backoff-initial", "10ms"];
    deploy_hostile(&server, &[age, tries].concat());
    put(&server, "in", &["retry 1".to_owned()], &[]);
    drained(&server, "hostile");
    let letter = &letters(&server)[0];
    assert_eq!(letter["error_kind"], "record-too-old", "{letter}");
    let error = letter["error"].as_str().unwrap_or_default();
    let told = "above max_record_age, 2s; it last failed with busy: asked to fail";
    assert!(error.ends_with(told), "{letter}");
}

#[test]
fn a_trap_is_charged_to_its_record_alone_and_neighbours_of_its_key_come_out_in_order() {
    let server = server();
    deploy_hostile(
        &server,
        &["--max-attempts", "2", "--backoff-initial", "1ms"],
    );
    let good: Vec<String> = (0..12).map(|n| format!("ok {n}")).collect();
    let mut records: Vec<(&str, &str)> = Vec::new();
    for (n, record) in good.iter().enumerate() {
        records.push((["a", "b", "c"][n % 3], record));
        if n == 6 {
            records.push(("a", "trap"));
        }
    }
    put_at_once(&server, &records);
    let status = drained(&server, "hostile");
    assert_eq!(status["settings"]["bisect_on_error"], true);
    let letters = letters(&server);
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(
        (&letters[0]["data"], &letters[0]["attempts"]),
        (&"trap".into(), &2.into())
    );
    let totals = &status["totals"];
    assert_eq!(
        (&totals["processed"], &totals["failed"]),
        (&12.into(), &2.into())
    );
    let out = came_out(&server, 12);
    for key in 0..3_usize {
        let of_key = out
            .iter()
            .filter_map(|data| data.strip_prefix("ok ")?.parse().ok());
        let of_key: Vec<usize> = of_key.filter(|n: &usize| n % 3 == key).collect();
        assert!(of_key.is_sorted() && of_key.len() == 4, "{out:?}");
    }
}

#[test]
fn without_bisect_a_call_that_failed_is_charged_as_a_whole() {
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "1", "--bisect-on-error=off"]);
    put_at_once(&server, &[("a", "ok 1"), ("b", "trap"), ("c", "ok 2")]);
    drained(&server, "hostile");
    assert_eq!(letters(&server).len(), 3);
}

#[test]
fn order_within_the_shard_holds_every_key_behind_one_that_fails() {
    let server = server();
    let refused = server.command(&[
        "deploy",
        &crate::support::guest("hostile"),
        "--stream",
        "in",
        "--to",
        "side=none",
        "--ordering",
        "shard",
        "--parallelization-factor",
        "2",
    ]);
    let mut refused = refused;
    let output = refused.output().expect("it runs");
    assert_eq!(output.status.code(), Some(7));
    deploy_hostile(
        &server,
        &["--ordering", "shard", "--backoff-initial", "1ms"],
    );
    put_at_once(
        &server,
        &[
            ("a", "ok 1"),
            ("slow", "retry-until 3"),
            ("quick", "ok 2"),
            ("b", "ok 3"),
        ],
    );
    let out = came_out(&server, 4);
    assert_eq!(out, ["ok 1", "retry-until 3", "ok 2", "ok 3"]);
    let status = drained(&server, "hostile");
    assert_eq!(status["settings"]["ordering"], "shard");
    // The first call made progress and costs nothing; the guest counts charged attempts.
    assert_eq!(status["totals"]["failed"], 2);
}

#[test]
fn without_partial_failures_a_failed_record_fails_its_call() {
    let server = server();
    let options = [
        "--max-attempts",
        "1",
        "--partial-failures=off",
        "--bisect-on-error=off",
    ];
    deploy_hostile(&server, &options);
    put_at_once(&server, &[("a", "ok 1"), ("b", "retry")]);
    drained(&server, "hostile");
    assert_eq!(letters(&server).len(), 2);
    // With bisect the one that failed is found.
    deploy_hostile(&server, &["--bisect-on-error"]);
    put_at_once(&server, &[("a", "ok 2"), ("b", "retry"), ("c", "ok 3")]);
    drained(&server, "hostile");
    assert_eq!(letters(&server).len(), 3);
    assert_eq!(came_out(&server, 2), ["ok 2", "ok 3"]);
}

#[test]
fn a_fatal_record_is_a_letter_where_that_is_asked_for_and_the_mapping_runs_on() {
    let server = server();
    deploy_hostile(
        &server,
        &[
            "--on-fatal",
            "dead-letter",
            "--on-failure-full",
            "drop-and-count",
        ],
    );
    put_at_once(
        &server,
        &[("a", "ok 0"), ("b", "fatal"), ("c", "ok 1"), ("b", "ok 2")],
    );
    // What is behind the fatal one is called, too.
    drained(&server, "hostile");
    assert_eq!(came_out(&server, 3), ["ok 0", "ok 1", "ok 2"]);
    put_at_once(&server, &[("b", "call-fatal"), ("c", "ok 3")]);
    let status = drained(&server, "hostile");
    assert_eq!(status["state"], "running");
    assert_eq!(status["settings"]["on_failure_full"], "drop-and-count");
    let letters = letters(&server);
    assert_eq!(letters.len(), 2, "{letters:?}");
    for letter in &letters {
        assert_eq!(letter["error_kind"], "fatal", "{letter}");
    }
    assert_eq!(came_out(&server, 4).last().unwrap(), "ok 3");
}

#[test]
fn the_next_attempt_of_a_parked_key_is_told() {
    let server = server();
    let backoff = [
        "--backoff-initial",
        "1h",
        "--backoff-max",
        "24h",
        "--max-attempts",
        "unlimited",
    ];
    deploy_hostile(&server, &backoff);
    put(
        &server,
        "in",
        &["retry-after 3600000".to_owned()],
        &["--key", "a"],
    );
    let shard = loop {
        let status = describe(&server, "hostile");
        if status["shards"][0]["parked_keys"] == 1 {
            break status["shards"][0].clone();
        }
    };
    assert!(shard["next_retry_at"].is_string(), "{shard}");
    let parked = "fnctl_mapping_parked_keys{mapping=\"hostile/in\"}";
    assert_eq!(metric(&server, parked), 1.0);
    let next = "fnctl_mapping_next_retry_timestamp_seconds{mapping=\"hostile/in\"}";
    assert!(metric(&server, next) > 1_700_000_000.0);
}

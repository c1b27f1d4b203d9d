//! What the exposition counts of a mapping, from outside (Lambda ESM specification §18, §22 row Metrics).

use crate::support::{deploy_hostile, describe, drained, metric, one, put, server, server_on};
use fnctl_tests::Server;
use serde_json::Value;

/// One series of the mapping, with more labels or none.
fn count(server: &Server, name: &str, labels: &str) -> f64 {
    metric(server, &format!("{name}{{mapping=\"hostile/in\"{labels}}}"))
}

/// Success, retry, filter, a record given up, the destination that takes it, and one that does not.
#[test]
fn every_counter_moves_by_what_happened_and_by_nothing_else() {
    let server = server();
    let file = server.folder().join("letters.ndjson");
    let to = format!("file:{}", file.display());
    let backoff = ["--max-attempts", "3", "--backoff-initial", "1ms"];
    let filter = r#"{"partitionKey": [{"anything-but": "unwanted"}]}"#;
    let rules = ["--on-failure", &to, "--filter", filter];
    deploy_hostile(&server, &[&backoff[..], &rules].concat());
    // A call for each, so that calls can be counted.
    for (key, record) in [
        ("a", "ok 1"),
        ("unwanted", "ok 2"),
        ("b", "retry-until 3"),
        ("c", "skip 4"),
        ("d", "retry"),
    ] {
        put(&server, "in", &[record.to_owned()], &["--key", key]);
        drained(&server, "hostile");
    }
    let of = |kind: &str| format!(",error_kind=\"{kind}\"");
    let outcome = |word: &str| format!(",outcome=\"{word}\"");
    // Counted once the last commit was answered, and once the letter was brought.
    while count(&server, "fnctl_records_dead_lettered_total", &of("error")) < 1.0 {}
    while count(&server, "fnctl_relay_delivered_total", "") < 2.0 {}
    for (name, labels, expected) in [
        ("fnctl_records_polled_total", String::new(), 5.0),
        ("fnctl_records_filtered_total", String::new(), 1.0),
        ("fnctl_records_processed_total", String::new(), 2.0),
        // Two of the record that recovers, one that is skipped, three of the one that does not.
        ("fnctl_records_failed_total", String::new(), 6.0),
        ("fnctl_batch_retries_total", String::new(), 4.0),
        ("fnctl_invocations_total", outcome("ok"), 2.0),
        ("fnctl_invocations_total", outcome("partial"), 6.0),
        ("fnctl_invocations_total", outcome("error"), 0.0),
        ("fnctl_records_dead_lettered_total", of("skip"), 1.0),
        ("fnctl_records_dead_lettered_total", of("error"), 1.0),
        ("fnctl_records_dead_lettered_total", of("trap"), 0.0),
        ("fnctl_dead_letters_open", String::new(), 2.0),
        ("fnctl_records_dropped_total", String::new(), 0.0),
        ("fnctl_records_expired_total", String::new(), 0.0),
        ("fnctl_relay_delivered_total", String::new(), 2.0),
        ("fnctl_relay_failures_total", String::new(), 0.0),
    ] {
        assert_eq!(count(&server, name, &labels), expected, "{name}{labels}");
    }
    // A destination that takes nothing: told, and the letter is kept and counted as before.
    let nowhere = format!(
        "file:{}/letters.ndjson",
        server.folder().join("gone").display()
    );
    let layer = ["deploy", "--name", "hostile", "--on-failure", &nowhere];
    one(&server, &layer);
    put(&server, "in", &["skip 6".to_owned()], &["--key", "e"]);
    while count(&server, "fnctl_relay_failures_total", "") < 1.0 {}
    assert_eq!(count(&server, "fnctl_relay_pending_letters", ""), 1.0);
    assert_eq!(count(&server, "fnctl_dead_letters_open", ""), 3.0);
    assert_eq!(count(&server, "fnctl_records_dropped_total", ""), 0.0);
}

#[test]
fn the_age_of_a_shard_grows_while_a_key_is_parked_and_others_go_on() {
    let server = server();
    let backoff = ["--backoff-initial", "1h", "--backoff-max", "1h"];
    let attempts = ["--max-attempts", "2"];
    deploy_hostile(&server, &[&backoff[..], &attempts].concat());
    let shard = ",shard=\"shardId-000000000000\"";
    let age = |server: &Server| count(server, "fnctl_shard_iterator_age_seconds", shard);
    put(
        &server,
        "in",
        &["retry-after 3600000".to_owned()],
        &["--key", "a"],
    );
    while count(&server, "fnctl_records_failed_total", "") < 1.0 {}
    put(&server, "in", &["ok 1".to_owned()], &["--key", "b"]);
    while count(&server, "fnctl_records_processed_total", "") < 1.0 {}
    let before = age(&server);
    while age(&server) <= before {}
    let pending = count(&server, "fnctl_shard_pending_records", shard);
    assert_eq!(pending, 1.0);
    one(&server, &["mappings", "release", "hostile", "--key", "a"]);
    drained(&server, "hostile");
    assert_eq!(age(&server), 0.0);
}

/// What is settled, and what was read and is not.
fn settled_and_polled(server: &Server) -> (u64, u64) {
    let totals = &describe(server, "hostile")["totals"];
    let of = |name: &str| totals[name].as_u64().unwrap_or_else(|| panic!("{totals}"));
    let ends = [
        "processed",
        "filtered",
        "dead_lettered",
        "expired",
        "dropped",
    ];
    (ends.map(of).iter().sum(), of("polled"))
}

/// Asks until so many were read; never more, and never fewer than are settled.
fn once_polled(server: &Server, records: u64) -> u64 {
    loop {
        let (settled, polled) = settled_and_polled(server);
        assert!(settled <= polled && polled <= records, "{settled} {polled}");
        if polled == records {
            return settled;
        }
    }
}

#[test]
fn what_was_read_is_counted_once_over_pauses_and_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    deploy_hostile(&server, &[]);
    for record in ["ok 1", "ok 2", "skip 3"] {
        put(&server, "in", &[record.to_owned()], &["--key", "b"]);
    }
    drained(&server, "hostile");
    assert_eq!(settled_and_polled(&server), (3, 3));
    // Read, and not settled for as long as the test runs.
    let waiting = ["retry-after 3600000", "ok 4"].map(str::to_owned);
    put(&server, "in", &waiting, &["--key", "a"]);
    assert_eq!(once_polled(&server, 5), 3);
    let paused: Value = one(&server, &["mappings", "pause", "hostile"]);
    assert_eq!(paused["state"], "paused");
    assert_eq!(settled_and_polled(&server), (3, 5));
    drop(server);
    let server = server_on(folder.path());
    // What was not settled is read again, as soon as somebody does.
    let (settled, polled) = settled_and_polled(&server);
    assert!(settled == 3 && (3..=5).contains(&polled), "{polled}");
    one(&server, &["mappings", "resume", "hostile"]);
    assert_eq!(once_polled(&server, 5), 3);
    // Sent elsewhere, nothing was read.
    let seek = ["mappings", "seek", "hostile", "--to", "latest", "--yes"];
    one(&server, &seek);
    assert_eq!(settled_and_polled(&server), (0, 0));
}

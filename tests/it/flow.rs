//! From put to output: deploy, order, pause, swap, restart.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{
    all, deploy_hostile, describe, drained, guest, metric, one, put, server, server_on, tail,
};

fn numbered(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!(r#"{{"id":{},"n":{n}}}"#, n % 7))
        .collect()
}

fn n_of(record: &Value) -> u64 {
    let data: Value = serde_json::from_str(record["data"].as_str().expect("text")).expect("JSON");
    data["n"].as_u64().expect("a number")
}

#[test]
fn what_is_put_comes_out_once_and_in_order_per_key() {
    let server = server();
    let deployed = one(
        &server,
        &[
            "deploy",
            &guest("echo"),
            "--stream",
            "in",
            "--to",
            "out",
            "--shards",
            "3",
        ],
    );
    assert_eq!(
        (&deployed["version"], &deployed["changed"]),
        (&1.into(), &true.into())
    );
    let acknowledged = put(&server, "in", &numbered(1_000), &["--key-field", "id"]);
    assert_eq!(acknowledged.len(), 1_000);
    assert!(
        acknowledged
            .iter()
            .zip(1..)
            .all(|(line, n)| line["line"] == n)
    );
    let records = tail(&server, "out", 1_000);
    for key in 0..7_u64 {
        let name = key.to_string();
        let of_key = records
            .iter()
            .filter(|r| r["partition_key"] == name.as_str());
        let seen: Vec<u64> = of_key.map(n_of).collect();
        let expected: Vec<u64> = (0..1_000).filter(|n| n % 7 == key).collect();
        assert_eq!(seen, expected, "key {key}");
    }
    let status = describe(&server, "echo/in");
    let totals = &status["totals"];
    assert_eq!(
        (&totals["processed"], &totals["emitted"]),
        (&1_000.into(), &1_000.into())
    );
    assert_eq!(
        (&totals["failed"], &totals["dead_lettered"]),
        (&0.into(), &0.into())
    );
    assert_eq!(totals["polled"], 1_000);
    assert_eq!(
        (&status["pending_records"], &status["iterator_age_ms"]),
        (&0.into(), &0.into())
    );
    let again = one(
        &server,
        &["deploy", &guest("echo"), "--stream", "in", "--to", "out"],
    );
    assert_eq!(
        (&again["version"], &again["changed"]),
        (&1.into(), &false.into())
    );
}

#[test]
fn a_paused_mapping_starts_no_call_and_catches_up_when_it_is_resumed() {
    let server = server();
    one(
        &server,
        &["deploy", &guest("echo"), "--stream", "in", "--to", "out"],
    );
    one(&server, &["mappings", "pause", "echo"]);
    put(&server, "in", &numbered(50), &["--key-field", "id"]);
    let status = describe(&server, "echo");
    assert_eq!(
        (&status["state"], &status["reason"]),
        (&"paused".into(), &"paused".into())
    );
    assert_eq!(
        (&status["pending_records"], &status["totals"]["processed"]),
        (&50.into(), &0.into())
    );
    // A deploy that waits says so, instead of waiting for calls that do not come.
    let component = guest("echo");
    let deploy = ["deploy", &component, "--config", "a=b", "--wait"];
    let output = server.command(&deploy).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("fnctl mappings resume echo/in"), "{stderr}");
    let waited = &one(&server, &deploy)["waited"];
    assert_eq!(waited["message"], "paused, so not waited for: echo/in");
    one(&server, &["mappings", "resume", "echo"]);
    assert_eq!(tail(&server, "out", 50).len(), 50);
    assert_eq!(describe(&server, "echo")["state"], "running");
}

#[test]
fn a_pause_takes_a_hanging_call_back_within_a_second_uncharged() {
    let server = server();
    deploy_hostile(&server, &[]);
    put(&server, "in", &["sleep 25000".to_owned()], &[]);
    let running = "fnctl_invocations_in_flight{function=\"hostile\"}";
    while metric(&server, running) < 1.0 {}
    let started = Instant::now();
    one(&server, &["mappings", "pause", "hostile"]);
    while metric(&server, running) > 0.0 {}
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        started.elapsed()
    );
    let totals = describe(&server, "hostile")["totals"].clone();
    assert_eq!(
        (&totals["failed"], &totals["processed"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn versions_are_swapped_under_load_without_losing_or_repeating_a_record() {
    let server = server();
    one(
        &server,
        &[
            "deploy",
            &guest("echo"),
            "--stream",
            "in",
            "--to",
            "out",
            "--shards",
            "2",
        ],
    );
    let count = 6_000;
    let mut put = server
        .follow(&["put", "in", "--key-field", "id"])
        .unwrap_or_else(|e| panic!("{e}"));
    let mut versions = 1;
    for (index, line) in numbered(count).iter().enumerate() {
        put.write_line(line).unwrap_or_else(|e| panic!("{e}"));
        if index % 1_000 == 999 {
            versions += 1;
            let setting = format!("version={versions}");
            let deployed = one(
                &server,
                &[
                    "deploy",
                    &guest("echo"),
                    "--name",
                    "echo",
                    "--config",
                    &setting,
                ],
            );
            assert_eq!(deployed["version"], versions);
            assert!(
                deployed["live_ms"].as_u64().is_some_and(|ms| ms < 3_000),
                "{deployed}"
            );
        }
    }
    put.end_input();
    let records = tail(&server, "out", count);
    let mut seen: Vec<u64> = records.iter().map(n_of).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..count as u64).collect::<Vec<_>>());
    assert_eq!(drained(&server, "echo")["totals"]["failed"], 0);
    let rolled_back = one(&server, &["rollback", "echo"]);
    assert_eq!(rolled_back["version"], versions - 1);
}

#[test]
fn a_restart_keeps_records_totals_letters_and_versions() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    deploy_hostile(&server, &[]);
    let lines: Vec<String> = (0..40)
        .map(|n| {
            if n % 8 == 3 {
                format!("skip {n}")
            } else {
                format!("ok {n}")
            }
        })
        .collect();
    put(&server, "in", &lines, &[]);
    let before = drained(&server, "hostile");
    assert_eq!(before["totals"]["dead_lettered"], 5);
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));

    let server = server_on(folder.path());
    let after = describe(&server, "hostile");
    for field in [
        "processed",
        "failed",
        "dead_lettered",
        "emitted",
        "expired",
        "filtered",
    ] {
        assert_eq!(after["totals"][field], before["totals"][field], "{field}");
    }
    assert_eq!(
        after["shards"][0]["checkpoint"],
        before["shards"][0]["checkpoint"]
    );
    assert_eq!(after["pending_records"], 0);
    assert_eq!(tail(&server, "out", 35).len(), 35);
    assert_eq!(all(&server, &["dlq", "list", "hostile"]).len(), 5);
    put(&server, "in", &["ok more".to_owned()], &[]);
    assert_eq!(tail(&server, "out", 36)[35]["data"], "ok more");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = server_on(folder.path());
    let options = fnctl_tests::ServerOptions {
        data_dir: Some(folder.path().to_owned()),
        ..fnctl_tests::ServerOptions::default()
    };
    let Err(refused) = fnctl_tests::Server::start(options) else {
        panic!("two servers share a data directory");
    };
    assert_eq!(refused.exit, Some(4), "{refused}");
    assert!(refused.message.contains("in use"), "{refused}");
    one(&first, &["version"]);
}

//! The circuit breaker of a mapping.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::{
    all, deploy_hostile, describe, drained, metric, one, put, server, server_on, tail,
};
use fnctl_tests::Server;

/// How long what the function needs is down.
const OUTAGE: Duration = Duration::from_secs(8);

const POLICY: [&str; 4] = ["--max-attempts", "3", "--backoff-initial", "1ms"];

/// Puts records, each under a key of its own, in one batch.
fn put_at_once(server: &Server, records: &[String]) {
    one(server, &["mappings", "pause", "hostile"]);
    put(server, "in", records, &[]);
    one(server, &["mappings", "resume", "hostile"]);
}

/// A record that fails until then.
fn down_until(until: SystemTime) -> String {
    let until = until.duration_since(SystemTime::UNIX_EPOCH);
    let until_ms = until.expect("it is later than 1970").as_millis();
    format!("down-until {until_ms}")
}

/// The mapping once its circuit is open; `None`: the outage was over before anybody saw it.
fn seen_open(server: &Server, until: SystemTime) -> Option<Value> {
    while SystemTime::now() < until {
        let status = describe(server, "hostile");
        if !status["shards"][0]["circuit"].is_null() {
            return Some(status);
        }
    }
    None
}

#[test]
fn records_survive_an_outage_that_is_longer_than_their_attempts() {
    let server = server();
    deploy_hostile(&server, &POLICY);
    let until = SystemTime::now() + OUTAGE;
    put_at_once(&server, &vec![down_until(until); 60]);
    let status = seen_open(&server, until).expect("the circuit opens before the outage is over");
    let shard = &status["shards"][0];
    assert_eq!(shard["why"], "circuit-open", "{status}");
    assert_eq!(shard["circuit"]["code"], "upstream-down", "{status}");
    assert_eq!(status["state"], "running", "{status}");
    assert_eq!(
        metric(
            &server,
            "fnctl_mapping_circuit_opens_total{mapping=\"hostile/in\"}"
        ),
        1.0
    );
    // Long after their attempts would have been used up.
    let status = drained(&server, "hostile");
    let totals = &status["totals"];
    assert_eq!(totals["dead_lettered"], 0, "{status}");
    assert_eq!(totals["processed"], 60, "{status}");
    assert_eq!(status["shards"][0]["circuit"], Value::Null, "{status}");
    assert_eq!(tail(&server, "out", 60).len(), 60);
    assert_eq!(
        metric(
            &server,
            "fnctl_mapping_circuit_open{mapping=\"hostile/in\"}"
        ),
        0.0
    );
}

/// Few keys in each of many shards: none of them can tell an outage from poison by its own, all of them can.
#[test]
fn an_outage_of_few_keys_a_shard_is_told_by_those_of_all() {
    let server = server();
    one(&server, &["streams", "create", "in", "--shards", "8"]);
    deploy_hostile(&server, &["--max-attempts", "3", "--backoff-initial", "1s"]);
    let until = SystemTime::now() + OUTAGE;
    put_at_once(&server, &vec![down_until(until); 48]);
    let status = drained(&server, "hostile");
    assert_eq!(status["totals"]["dead_lettered"], 0, "{status}");
    assert_eq!(status["totals"]["processed"], 48, "{status}");
    let opens = "fnctl_mapping_circuit_opens_total{mapping=\"hostile/in\"}";
    assert!(metric(&server, opens) > 1.0, "{status}");
}

/// What one key is given up for in seconds must not be all others': the first success is that of a key which does
/// not need what is down.
#[test]
fn a_success_of_another_key_gives_none_up_that_failed_before() {
    let server = server();
    deploy_hostile(&server, &POLICY);
    let until = SystemTime::now() + 3 * OUTAGE;
    put_at_once(&server, &vec![down_until(until); 60]);
    seen_open(&server, until).expect("the circuit opens before the outage is over");
    let is_recovering =
        |status: &Value| !status["shards"][0]["circuit"]["recovering_since"].is_null();
    put(&server, "in", &["ok".to_owned()], &["--key", "spared"]);
    loop {
        assert!(
            SystemTime::now() < until,
            "a new record waits for none that failed"
        );
        let status = describe(&server, "hostile");
        if status["totals"]["processed"] == 1 && is_recovering(&status) {
            assert_eq!(status["shards"][0]["why"], "circuit-open", "{status}");
            break;
        }
    }
    let described = server
        .command(&["mappings", "describe", "hostile"])
        .output();
    let described = described.expect("it runs").stdout;
    let said = String::from_utf8_lossy(&described);
    assert!(
        said.contains(", recovering since ") && said.contains("let through one by one"),
        "{said}"
    );
    // New records of such keys go on at once.
    for n in 2..=5 {
        put(&server, "in", &["ok".to_owned()], &["--key", "spared"]);
        while describe(&server, "hostile")["totals"]["processed"].as_u64() < Some(n) {}
    }
    let status = describe(&server, "hostile");
    assert!(
        SystemTime::now() > until || is_recovering(&status),
        "{status}"
    );
    let status = drained(&server, "hostile");
    let totals = &status["totals"];
    assert_eq!(totals["dead_lettered"], 0, "{status}");
    assert_eq!(totals["processed"], 65, "{status}");
    assert_eq!(status["shards"][0]["circuit"], Value::Null, "{status}");
    let opens = "fnctl_mapping_circuit_opens_total{mapping=\"hostile/in\"}";
    assert_eq!(metric(&server, opens), 1.0);
}

#[test]
fn an_outage_outlives_a_restart_and_updates() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    deploy_hostile(&server, &POLICY);
    let until = SystemTime::now() + 3 * OUTAGE;
    put_at_once(&server, &vec![down_until(until); 60]);
    let is_open = |server: &Server| seen_open(server, until).expect("the outage is not over");
    is_open(&server);
    one(&server, &["mappings", "pause", "hostile"]);
    one(&server, &["mappings", "resume", "hostile"]);
    let charged = is_open(&server)["totals"]["failed"].clone();
    for batch in ["50", "51", "52", "53"] {
        one(
            &server,
            &["mappings", "update", "hostile", "--batch-size", batch],
        );
        assert_eq!(is_open(&server)["totals"]["failed"], charged);
    }
    let opens = "fnctl_mapping_circuit_opens_total{mapping=\"hostile/in\"}";
    assert_eq!(metric(&server, opens), 1.0, "it went on");
    server.kill().unwrap_or_else(|e| panic!("{e}"));

    let server = server_on(folder.path());
    let status = is_open(&server);
    assert_eq!(
        status["shards"][0]["circuit"]["code"], "upstream-down",
        "{status}"
    );
    let parked = all(&server, &["mappings", "parked", "hostile"]);
    assert!(!parked.is_empty());
    for key in parked {
        assert_eq!(key["code"], "upstream-down", "{key}");
    }
    let totals = &drained(&server, "hostile")["totals"];
    assert_eq!(totals["failed"], charged, "{totals}");
    assert_eq!(totals["dead_lettered"], 0, "{totals}");
    assert_eq!(totals["processed"], 60, "{totals}");
}

#[test]
fn poison_is_given_up_as_ever_and_a_breaker_can_be_off() {
    let server = server();
    deploy_hostile(&server, &POLICY);
    // More bad records than open a circuit, of few keys; then of many, among good ones.
    for key in ["a", "b", "c"] {
        put(
            &server,
            "in",
            &["retry"; 10].map(str::to_owned),
            &["--key", key],
        );
    }
    let status = drained(&server, "hostile");
    assert_eq!(status["totals"]["dead_lettered"], 30, "{status}");
    assert_eq!(status["settings"]["circuit_breaker"], true, "{status}");
    let mixed = |n: usize| if n.is_multiple_of(4) { "retry" } else { "ok" }.to_owned();
    put_at_once(&server, &(0..100).map(mixed).collect::<Vec<_>>());
    let status = drained(&server, "hostile");
    assert_eq!(status["totals"]["dead_lettered"], 55, "{status}");
    assert_eq!(
        metric(
            &server,
            "fnctl_mapping_circuit_opens_total{mapping=\"hostile/in\"}"
        ),
        0.0
    );

    one(
        &server,
        &["mappings", "update", "hostile", "--circuit-breaker=off"],
    );
    put_at_once(&server, &["retry"; 40].map(str::to_owned));
    let status = drained(&server, "hostile");
    assert_eq!(status["settings"]["circuit_breaker"], false, "{status}");
    assert_eq!(status["totals"]["dead_lettered"], 95, "{status}");
    assert_eq!(all(&server, &["dlq", "list", "hostile"]).len(), 95);
}

//! `deploy --wait`: what it says of the first records is what became of them.

use fnctl_tests::{Server, get};
use serde_json::Value;

use crate::support::{guest, one, put, server};

/// Deploys from stream `name`, waiting; the exit code and the word on the wait.
fn deploy(server: &Server, name: &str, options: &[&str]) -> (Option<i32>, Value) {
    let guest = guest("hostile");
    let mut words = vec![
        "deploy", &guest, "--name", name, "--stream", name, "--to", "none",
    ];
    words.extend_from_slice(&["--to", "side=none", "--wait=60s", "-o", "json"]);
    words.extend_from_slice(options);
    let done = server.command(&words).output().expect("it ends");
    let text = String::from_utf8(done.stdout).expect("text");
    let line = text.lines().next().unwrap_or_default();
    let deployed: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {text}"));
    (done.status.code(), deployed["waited"].clone())
}

#[test]
fn a_fatal_first_record_is_a_failure_however_soon_it_comes() {
    let server = server();
    for (number, word) in ["fatal", "call-fatal", "fatal", "call-fatal", "fatal"]
        .into_iter()
        .enumerate()
    {
        let name = format!("fatal{number}");
        one(&server, &["streams", "create", &name]);
        put(&server, &name, &[word.to_owned()], &["--key", "a"]);
        let (code, waited) = deploy(&server, &name, &[]);
        assert_eq!(code, Some(1), "{word}: {waited}");
        assert_eq!(waited["outcome"], "failing", "{word}");
        // A deployment of the stopped mapping starts it again, and meets the record again.
        let (code, waited) = deploy(&server, &name, &["--config", "a=1"]);
        assert_eq!(code, Some(1), "{word}, again: {waited}");
        let words = waited["message"].as_str().unwrap_or_default();
        assert!(
            words.contains("gone") || words.contains("whole-fatal"),
            "{waited}"
        );
    }
}

#[test]
fn a_first_record_that_is_fine_is_no_failure() {
    let server = server();
    one(&server, &["streams", "create", "fine"]);
    put(&server, "fine", &["ok".to_owned()], &["--key", "a"]);
    let (code, waited) = deploy(&server, "fine", &[]);
    assert_eq!((code, &waited["outcome"]), (Some(0), &"ok".into()));
}

#[test]
fn a_mapping_that_is_paused_meanwhile_has_no_outcome() {
    let server = server();
    one(&server, &["streams", "create", "slow"]);
    put(
        &server,
        "slow",
        &["sleep 60000".to_owned()],
        &["--key", "a"],
    );
    let guest = guest("hostile");
    let words = [
        "deploy",
        &guest,
        "--name",
        "slow",
        "--stream",
        "slow",
        "--to",
        "none",
        "--to",
        "side=none",
        "--timeout",
        "100s",
        "--wait=60s",
        "-o",
        "json",
    ];
    let mut deploy = server.command(&words);
    deploy.stdout(std::process::Stdio::piped());
    let deploy = deploy.spawn().expect("it starts");
    let calling = "fnctl_invocations_in_flight{function=\"slow\"} 1";
    let is_calling = || {
        let metrics = get(&server.api, "/metrics").expect("metrics");
        metrics.text().contains(calling)
    };
    while !is_calling() {}
    one(&server, &["mappings", "pause", "slow"]);
    let done = deploy.wait_with_output().expect("it ends");
    assert_eq!(done.status.code(), Some(6));
    let text = String::from_utf8(done.stdout).expect("text");
    assert!(text.contains("slow/slow was paused"), "{text}");
}

#[test]
fn a_deploy_of_new_settings_starts_what_a_fatal_stopped() {
    let server = server();
    one(&server, &["streams", "create", "f"]);
    put(&server, "f", &["fatal".to_owned()], &["--key", "a"]);
    let (code, _) = deploy(&server, "f", &[]);
    assert_eq!(code, Some(1));
    let (code, waited) = deploy(&server, "f", &["--batch-size", "7"]);
    assert_eq!((code, &waited["outcome"]), (Some(1), &"failing".into()));
}

#[test]
fn what_has_recovered_does_not_fail_a_later_deploy() {
    let server = server();
    one(&server, &["streams", "create", "r"]);
    put(&server, "r", &["retry-until 2".to_owned()], &["--key", "a"]);
    let (code, waited) = deploy(&server, "r", &["--backoff-initial", "10ms"]);
    assert_eq!(code, Some(1), "{waited}");
    crate::support::drained(&server, "r");
    let (code, waited) = deploy(&server, "r", &["--backoff-initial", "10ms"]);
    assert_eq!((code, &waited["outcome"]), (Some(0), &"ok".into()));
}

//! `deploy --wait`: what it says of the first records is what became of them.

use fnctl_tests::Server;
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

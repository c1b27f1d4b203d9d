//! States that the version which meets them cannot read: `raw` leaves what `windowed` does not know, and `echo`
//! asks for none.

use fnctl_tests::Server;
use serde_json::Value;

use crate::support::{all, describe, drained, guest, one, put, refused, server};

/// What the function `counts` of one group does from now on.
fn deploy(server: &Server, component: &str, more: &[&str]) -> Value {
    let component = guest(component);
    let words = ["deploy", &component, "--name", "counts", "--stream", "in"];
    let windows = [
        "--to",
        "out",
        "--tumbling-window",
        "15m",
        "--key-groups",
        "1",
    ];
    one(server, &[&words[..], &windows, more].concat())
}

/// The states that were given up, as letters.
fn lost(server: &Server) -> Vec<Value> {
    all(
        server,
        &["dlq", "list", "counts", "--kind", "window-failed"],
    )
}

/// The letter of the only state that was given up, once there is one.
fn one_lost(server: &Server) -> Value {
    loop {
        if let [letter] = &lost(server)[..] {
            return letter.clone();
        }
    }
}

fn says(letter: &Value, words: &str) {
    let error = letter["error"].as_str().unwrap_or_default();
    assert!(error.contains(words), "{letter}");
}

#[test]
fn a_deploy_that_cannot_read_a_state_gives_it_up_as_a_letter_and_goes_on() {
    let server = server();
    deploy(&server, "raw", &[]);
    put(&server, "in", &["state-set garbage".to_owned()], &[]);
    drained(&server, "counts");
    deploy(&server, "windowed", &[]);
    put(&server, "in", &["a".to_owned()], &[]);
    let status = drained(&server, "counts");
    assert_eq!(status["state"], "running", "{status}");
    assert_eq!(status["dead_letters_by_code"]["bad-state"], 1, "{status}");
    let letter = one_lost(&server);
    assert_eq!(letter["code"], "bad-state", "{letter}");
    says(
        &letter,
        "which version 1 left, is given up: version 2 cannot read it: ",
    );
    let id = fnctl_tests::text(&letter, "id");
    let shown = one(&server, &["dlq", "show", "counts", &id]);
    assert_eq!(shown["data"], "garbage", "{shown}");
    let (_, error) = refused(&server, &["dlq", "redrive", "counts", &id]);
    assert_eq!(error["code"], "FN4020", "{error}");
    // The window has gone on from nothing.
    let off = ["mappings", "update", "counts", "--tumbling-window", "0s"];
    one(&server, &off);
    let told = crate::support::tail(&server, "out", 2);
    let row = told[1]["data"].as_str().unwrap_or_default();
    assert!(row.ends_with(" final: a"), "{told:?}");
}

#[test]
fn a_canary_that_cannot_read_states_goes_and_one_that_went_leaves_states_as_letters() {
    let server = server();
    deploy(&server, "raw", &[]);
    put(&server, "in", &["state-set garbage".to_owned()], &[]);
    drained(&server, "counts");
    deploy(&server, "windowed", &["--canary", "99.9%"]);
    put(&server, "in", &["state-get".to_owned()], &[]);
    // The live version is called with what the canary could not read, and nothing is given up.
    let status = drained(&server, "counts");
    assert_eq!(status["canary"], Value::Null, "{status}");
    assert_eq!(lost(&server), Vec::<Value>::new());

    deploy(&server, "windowed", &[]);
    put(&server, "in", &["a".to_owned()], &[]);
    drained(&server, "counts");
    one_lost(&server);
    one(&server, &["dlq", "purge", "counts", "--all", "--yes"]);
    deploy(&server, "raw", &["--canary", "99.9%"]);
    put(&server, "in", &["state-set garbage".to_owned()], &[]);
    drained(&server, "counts");
    one(&server, &["rollback", "counts"]);
    put(&server, "in", &["b".to_owned()], &[]);
    let status = drained(&server, "counts");
    assert_eq!(status["state"], "running", "{status}");
    says(&one_lost(&server), "cannot read it: ");
}

#[test]
fn what_was_counted_before_a_version_without_states_is_a_letter_when_the_window_ends() {
    let server = server();
    deploy(&server, "windowed", &[]);
    put(&server, "in", &["a".to_owned()], &[]);
    drained(&server, "counts");
    let done = deploy(&server, "echo", &[]);
    let note = done["notes"][0]["message"].as_str().unwrap_or_default();
    assert!(note.contains("becomes dead letters"), "{done}");
    let off = ["mappings", "update", "counts", "--tumbling-window", "0s"];
    one(&server, &off);
    let letter = one_lost(&server);
    says(
        &letter,
        "which version 1 left, is given up: version 2 reads no states",
    );
    assert_eq!(describe(&server, "counts")["state"], "running");
}

//! What fails in a window, written to a file with the state that it is called with, and called again without a server.

use std::path::PathBuf;

use fnctl_tests::Server;
use serde_json::{Value, json};

use crate::{
    captures::{lines, replay, verdicts},
    support::{all, describe, drained, guest, one, put, server},
};

/// A server with the function that keeps what it sees, of which nothing is tried twice within a test.
fn with_windows(options: &[&str]) -> Server {
    let server = server();
    let component = guest("windowed");
    let deploy = ["deploy", &component, "--stream", "in", "--to", "out"];
    let windows = ["--tumbling-window", "15m", "--key-groups", "1"];
    one(&server, &[&deploy[..], &windows, options].concat());
    server
}

/// Waits until something is parked, and captures it.
fn captured(server: &Server) -> (PathBuf, Value) {
    while describe(server, "windowed")["shards"][0]["parked_keys"] != 1 {}
    let path = server.folder().join("capture");
    let to = path.to_string_lossy().into_owned();
    let told = one(server, &["capture", "windowed", "--failing", "--out", &to]);
    (path, told)
}

const WAITS: [&str; 4] = ["--backoff-initial", "1h", "--backoff-max", "24h"];

/// How it fails hangs on the state: replayed without, it would end otherwise.
#[test]
fn a_record_of_a_window_is_replayed_with_the_state_that_its_call_began_from() {
    let server = with_windows(&WAITS);
    let words = ["one", "two", "after", "three"].map(str::to_owned);
    put(&server, "in", &words, &["--key", "k"]);
    // In front of it is done, so that its own attempt began from that.
    while describe(&server, "windowed")["pending_records"] != 2 {}
    let (file, told) = captured(&server);
    assert_eq!((&told["batches"], &told["records"]), (&json!(1), &json!(1)));
    let text = std::fs::read_to_string(&file).expect("it is text");
    let state = r#"{\"bodies\":[\"one\",\"two\"],\"weight\":\"\"}"#;
    assert!(
        text.starts_with(r#"{"fnctl_capture":2,"#) && text.contains(state),
        "{text}"
    );
    let replayed = replay(&file, &["-o", "json"]);
    assert_eq!(verdicts(&replayed), ["same"], "{replayed:?}");
    assert_eq!(replayed.status.code(), Some(0));
    let told = &lines(&replayed)[0];
    let failure = &told["replayed_failures"][0];
    assert_eq!(failure["error"], "after one,two,after", "{told}");
    let window = &told["window"];
    assert_eq!(
        (&window["is_final"], &window["is_state_kept"]),
        (&json!(false), &json!(true))
    );
    let text = replay(&file, &[]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("\nwindow   ") && text.contains("\nsame\n"),
        "{text}"
    );
    // Given up, it is a letter, which keeps no state: it fails otherwise now, and that says nothing.
    let update = ["mappings", "update", "windowed", "--max-attempts", "1"];
    one(&server, &update);
    while all(&server, &["dlq", "list", "windowed"]).is_empty() {
        // Refused as long as nobody runs it, or nothing waits.
        drop(server.one(&["mappings", "release", "windowed", "--all"]));
    }
    drained(&server, "windowed");
    let to = server.folder().join("letter");
    let name = to.to_string_lossy().into_owned();
    one(
        &server,
        &["capture", "windowed", "--failing", "--out", &name],
    );
    let replayed = replay(&to, &["-o", "json"]);
    assert_eq!(verdicts(&replayed), ["not-compared"], "{replayed:?}");
    assert_eq!(replayed.status.code(), Some(4));
    let text = replay(&to, &[]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("state not kept") && text.contains("called with none"),
        "{text}"
    );
}

/// A failure that asks for no state is the same without.
#[test]
fn a_dead_letter_of_a_window_that_fails_the_same_without_its_state_is_the_same() {
    let server = with_windows(&["--max-attempts", "1"]);
    let words = ["one", "skip"].map(str::to_owned);
    put(&server, "in", &words, &["--key", "k"]);
    drained(&server, "windowed");
    let to = server.folder().join("letter");
    let name = to.to_string_lossy().into_owned();
    one(
        &server,
        &["capture", "windowed", "--failing", "--out", &name],
    );
    let replayed = replay(&to, &["-o", "json"]);
    assert_eq!(verdicts(&replayed), ["same"], "{replayed:?}");
    assert_eq!(lines(&replayed)[0]["window"]["is_state_kept"], false);
}

#[test]
fn the_end_of_a_window_that_fails_is_captured_and_fails_again() {
    let server = with_windows(&WAITS);
    let words = ["one", "stuck"].map(str::to_owned);
    put(&server, "in", &words, &["--key", "k"]);
    drained(&server, "windowed");
    let update = ["mappings", "update", "windowed", "--tumbling-window", "0s"];
    one(&server, &update);
    let (file, told) = captured(&server);
    assert_eq!((&told["batches"], &told["records"]), (&json!(1), &json!(0)));
    let replayed = replay(&file, &["-o", "json"]);
    assert_eq!(verdicts(&replayed), ["same"], "{replayed:?}");
    let told = &lines(&replayed)[0];
    assert_eq!(told["window"]["is_final"], true, "{told}");
    assert_eq!(told["replayed_failures"][0]["code"], "stuck", "{told}");
    // Mended, it tells what the window had seen.
    let mended = replay(&file, &["--component", &guest("echo"), "-o", "json"]);
    assert_eq!(verdicts(&mended), ["different"], "{mended:?}");
    let to = server.folder().join("again");
    let name = to.to_string_lossy().into_owned();
    let again = ["capture", "windowed", "--failing", "--out", &name];
    let output = server.command(&again).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("and the end of 1 window"), "{text}");
}

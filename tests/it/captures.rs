//! What fails, written to a file, and called again without a server.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fnctl_tests::{Server, binary};
use serde_json::Value;

use crate::support::{all, deploy_hostile, drained, guest, one, put, server};

/// Waits longer than any test runs.
const WAITS_LONG: &str = "retry-after 3600000";

/// A server of which records with these words are dead letters, after two attempts.
fn with_letters(words: &[&str], options: &[&str]) -> Server {
    let server = server();
    let mut all = vec!["--max-attempts", "2", "--backoff-initial", "1ms"];
    all.extend_from_slice(&["--timeout", "1s"]);
    all.extend_from_slice(options);
    deploy_hostile(&server, &all);
    for (n, word) in words.iter().enumerate() {
        let key = format!("key-{n}");
        put(&server, "in", &[(*word).to_owned()], &["--key", &key]);
    }
    drained(&server, "hostile");
    server
}

/// Captures into a file beside the server.
fn capture(server: &Server, name: &str, options: &[&str]) -> (PathBuf, Value) {
    let path = server.folder().join(name);
    let to = path.to_string_lossy().into_owned();
    let mut words = vec!["capture", "hostile", "--out", &to];
    words.extend_from_slice(options);
    let told = one(server, &words);
    (path, told)
}

/// Replays a file where no server can be reached.
pub(crate) fn replay(file: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("replay").arg(file).args(options);
    command.env("FNCTL_SERVER", "http://127.0.0.1:1");
    command.output().expect("the binary runs")
}

pub(crate) fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let read = |line| serde_json::from_str(line).expect("an object a line");
    text.lines().map(read).collect()
}

fn error(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().expect("an error");
    serde_json::from_str::<Value>(last).expect("the error is JSON")["error"].clone()
}

pub(crate) fn verdicts(output: &Output) -> Vec<String> {
    let told = lines(output);
    told.iter()
        .map(|line| fnctl_tests::text(line, "verdict"))
        .collect()
}

#[test]
fn a_record_that_waits_for_a_retry_is_captured_and_replayed_without_its_server() {
    let server = server();
    let secret = server.folder().join("secret");
    std::fs::write(&secret, "hunter2").expect("a secret");
    let secret = format!("token=@{}", secret.display());
    deploy_hostile(&server, &["--config", "name=Ada", "--secret", &secret]);
    put(&server, "in", &[WAITS_LONG.to_owned()], &["--key", "a"]);
    while all(&server, &["mappings", "parked", "hostile"]).is_empty() {}
    let (file, told) = capture(&server, "one", &["--failing"]);
    assert_eq!(
        (&told["records"], &told["has_component"], &told["has_more"]),
        (&1.into(), &true.into(), &false.into())
    );
    let mode = std::fs::metadata(&file).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).expect("it is text");
    assert!(text.contains(r#""config":{"name":"Ada"}"#) && text.contains(r#""secrets":["token"]"#));
    assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"));
    // What is there is not written over.
    let to = file.to_string_lossy().into_owned();
    let again = ["capture", "hostile", "--failing", "--out", &to];
    let refused = server.json(&again).expect_err("it is there");
    assert_eq!(refused.exit, Some(4), "{refused}");
    let mut forced = again.to_vec();
    forced.push("--force");
    one(&server, &forced);
    let kept = tempfile::tempdir().expect("a folder");
    let file = {
        let to = kept.path().join("one");
        std::fs::copy(&file, &to).expect("a copy");
        to
    };
    server.stop().expect("it stops");

    let first = replay(&file, &["-o", "json"]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let told = &lines(&first)[0];
    for (name, value) in [("verdict", "same"), ("outcome", "partial")] {
        assert_eq!(told[name], value, "{told}");
    }
    assert_eq!(told["records"][0]["partition_key"], "a", "{told}");
    assert_eq!(told["failures"][0]["code"], "busy", "{told}");
    let other = replay(&file, &["--component", &guest("echo"), "-o", "json"]);
    assert_eq!(other.status.code(), Some(4), "{other:?}");
    assert_eq!(error(&other)["code"], "FN4012");
    let told = &lines(&other)[0];
    assert_eq!(
        (&told["verdict"], &told["outcome"]),
        (&"different".into(), &"ok".into())
    );
    assert_eq!(told["rows"][0]["data"], WAITS_LONG, "{told}");
    let text = replay(&file, &["--component", &guest("echo")]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("different\n  was  failed 0 busy: asked to wait\n  is   processed\n"),
        "{text}"
    );
}

#[test]
fn dead_letters_end_again_as_they_did() {
    let words = [
        "skip 1",
        "panic",
        "retry 2",
        "loop",
        "allocate",
        "retry-until 3",
        "call-retry",
    ];
    let server = with_letters(&words, &[]);
    let letters = all(&server, &["dlq", "list", "hostile"]);
    assert_eq!(letters.len(), words.len());
    let (file, told) = capture(&server, "all", &["--failing"]);
    assert_eq!(told["records"], words.len(), "{told}");
    let id = fnctl_tests::text(&letters[1], "id");
    let (named, _) = capture(&server, "named", &["--dead-letters", &id]);
    let (keyed, _) = capture(&server, "keyed", &["--failing", "--key", "key-2"]);
    let (counted, told) = capture(&server, "counted", &["--failing", "--count", "2"]);
    assert_eq!(
        (&told["records"], &told["has_more"]),
        (&2.into(), &true.into())
    );
    let replayed = replay(&file, &["-o", "json"]);
    assert_eq!(
        verdicts(&replayed),
        vec!["same"; words.len()],
        "{replayed:?}"
    );
    assert_eq!(replayed.status.code(), Some(0));
    for (at, (told, letter)) in lines(&replayed).iter().zip(&letters).enumerate() {
        assert_eq!(told["dead_letter"], letter["id"], "{at}");
        assert_eq!(told["records"][0]["attempt"], letter["attempts"], "{at}");
        assert_eq!(
            told["replayed_failures"][0]["error"], letter["error"],
            "{at}"
        );
    }
    for (file, count) in [(named, 1), (keyed, 1), (counted, 2)] {
        assert_eq!(verdicts(&replay(&file, &["-o", "json"])).len(), count);
    }
}

/// What it saw of time and chance on the server is not to be had again; each replay sees the same.
#[test]
fn two_replays_print_the_same_byte_for_byte() {
    let server = with_letters(&["seen 1", "facts", "seen 2"], &[]);
    let (file, _) = capture(&server, "seen", &["--failing"]);
    for options in [&[][..], &["-o", "json"]] {
        let (first, second) = (replay(&file, options), replay(&file, options));
        assert_eq!(first.status.code(), Some(4), "{first:?}");
        assert_eq!(
            String::from_utf8_lossy(&first.stdout),
            String::from_utf8_lossy(&second.stdout)
        );
    }
    let told = lines(&replay(&file, &["-o", "json"]));
    let letters = all(&server, &["dlq", "list", "hostile"]);
    let failed_at = fnctl_tests::text(&letters[0], "failed_at");
    let words = fnctl_tests::text(&told[0]["replayed_failures"][0], "error");
    let day = words.split(' ').nth(1).expect("the ms of the day");
    let day: u64 = day.parse().expect("a number");
    // Its clock stood at the failure; a few readings later it asked. Seconds and milliseconds are compared.
    let digits: String = failed_at.get(17..23).expect("a time").split('.').collect();
    let at: u64 = digits.parse().expect("five digits");
    assert!((day + 60_000 - at) % 60_000 < 100, "{words} {failed_at}");
}

/// No call gave it up: that it ends otherwise cannot be said, and neither that it ends the same.
#[test]
fn a_replay_that_compares_nothing_is_not_a_good_one() {
    let server = server();
    deploy_hostile(&server, &[]);
    put(&server, "in", &[WAITS_LONG.to_owned()], &["--key", "-a"]);
    let parked = ["mappings", "parked", "hostile"];
    while all(&server, &parked).is_empty() {}
    // A key may look like a flag.
    let by_hand = ["mappings", "dead-letter", "hostile", "--key", "-a"];
    one(&server, &by_hand);
    let (file, _) = capture(&server, "by-hand", &["--failing"]);
    let told = replay(&file, &["-o", "json"]);
    assert_eq!(verdicts(&told), ["not-compared"]);
    assert_eq!(told.status.code(), Some(4), "{told:?}");
    let error = error(&told);
    assert_eq!(error["code"], "FN4012", "{error}");
    let words = fnctl_tests::text(&error, "message");
    assert!(
        words.contains("1 of 1 captured batch could not be compared"),
        "{words}"
    );
}

#[test]
fn what_cannot_be_captured_or_replayed_is_said() {
    let server = with_letters(&[], &[]);
    let out = server.folder().join("none");
    let to = out.to_string_lossy().into_owned();
    for (words, exit, code) in [
        (&["capture", "hostile"][..], 2, "FN1001"),
        (
            &["capture", "hostile", "--failing", "--out", &to],
            3,
            "FN4010",
        ),
        (
            &["capture", "hostile", "--dead-letters", "7", "--out", &to],
            3,
            "FN4003",
        ),
        (
            &["capture", "nobody", "--failing", "--out", &to],
            3,
            "FN3004",
        ),
    ] {
        let refused = server.json(words).expect_err("there is nothing");
        assert_eq!(refused.exit, Some(exit), "{refused}");
        let error = refused.error.expect("an error object");
        assert_eq!(error["code"], code, "{error}");
        assert!(error["fix"].is_string(), "{error}");
    }
    assert!(!out.exists());
    put(&server, "in", &["skip 1".to_owned()], &[]);
    drained(&server, "hostile");
    let (bare, _) = capture(&server, "bare", &["--failing", "--without-component"]);
    let told = replay(&bare, &["-o", "json"]);
    assert_eq!(
        (told.status.code(), &error(&told)["code"]),
        (Some(7), &"FN4011".into())
    );
    let told = replay(&bare, &["--component", &guest("hostile"), "-o", "json"]);
    assert_eq!(verdicts(&told), ["same"], "{told:?}");
    // A secret that its function does not have is a slip.
    let secret = format!("t=@{}", bare.display());
    let told = replay(&bare, &["--secret", &secret, "-o", "json"]);
    assert_eq!(
        (told.status.code(), &error(&told)["code"]),
        (Some(2), &"FN1001".into())
    );
    let text = std::fs::read(&bare).expect("it is there");
    let cut = server.folder().join("cut");
    std::fs::write(&cut, &text[..text.len() - 40]).expect("a file");
    let other = server.folder().join("other");
    std::fs::write(&other, "{\"user\":1}\n").expect("a file");
    let missing = server.folder().join("missing");
    for (file, exit, code, words) in [
        (&cut, 7, "FN4011", "is cut off"),
        (&other, 7, "FN4011", "is no capture"),
        (&missing, 3, "FN1005", "cannot be read"),
    ] {
        let told = replay(file, &["-o", "json"]);
        assert_eq!(told.status.code(), Some(exit), "{told:?}");
        let error = error(&told);
        assert_eq!(error["code"], code, "{error}");
        assert!(
            fnctl_tests::text(&error, "message").contains(words),
            "{error}"
        );
    }
}

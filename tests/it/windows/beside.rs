//! Two versions of a function that works in windows, beside each other: each has states of its own.

use std::process::Output;

use fnctl_tests::Server;
use serde_json::{Value, json};

use crate::support::{drained, guest, one, put, server};

/// Two versions, of which the second is live: what it tells at the end of a window has a sign.
fn two_versions(words: &[&str]) -> (Server, Vec<Value>) {
    let server = server();
    let component = guest("windowed");
    let deploy = ["deploy", &component, "--stream", "in", "--to", "out"];
    let windows = ["--tumbling-window", "15m", "--key-groups", "1"];
    // So that what makes the state large ends a call.
    let calls = ["--max-attempts", "1", "--batch-size", "5"];
    let given = [&deploy[..], &windows, &calls].concat();
    one(&server, &given);
    one(&server, &[&given[..], &["--config", "sign=!"]].concat());
    let lines: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let put = put(&server, "in", &lines, &["--key", "k"]);
    drained(&server, "windowed");
    (server, put)
}

fn shadow(server: &Server, options: &[&str]) -> Output {
    let mut command = server.command(&["shadow", "windowed"]);
    command.args(options).output().expect("the binary runs")
}

/// What differs, and the summary.
fn told(output: &Output) -> (Vec<Value>, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let read = |line| serde_json::from_str::<Value>(line).expect("an object a line");
    let mut lines: Vec<Value> = text.lines().map(read).collect();
    let end = lines.pop().unwrap_or_else(|| panic!("{output:?}"))["end"].take();
    (lines, end)
}

/// The shard ends, and its windows with it.
#[test]
fn versions_that_differ_in_the_end_of_a_window_differ_there_alone() {
    let words = ["one", "skip", "after", "emit", "grow 1100000", "two"];
    let (server, _) = two_versions(&words);
    let options = ["--from", "trim-horizon", "-o", "json"];
    let first = |version| [&["--version", version], &options[..]].concat();
    // Open windows are not compared, and told.
    let (different, end) = told(&shadow(&server, &first("1")));
    assert!(different.is_empty(), "{different:?}");
    assert_eq!(
        (&end["windows"], &end["open_windows"]),
        (&json!(0), &json!(1)),
        "{end}"
    );

    one(&server, &["streams", "resize", "in", "--shards", "2"]);
    let output = shadow(&server, &first("1"));
    let (different, end) = told(&output);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("1 of 1 window end otherwise"), "{error}");
    for (name, value) in [
        ("records", 6),
        ("same", 6),
        ("different", 0),
        ("live_failed", 2),
        ("shadow_failed", 2),
        ("windows", 1),
        ("windows_different", 1),
        ("open_windows", 0),
        ("left_out", 0),
    ] {
        assert_eq!(end[name], value, "{name} {end}");
    }
    assert_eq!(different.len(), 1, "{different:?}");
    let window = &different[0]["different_window"];
    // Its state was too large, so that it was ended early, and went on with what came then.
    for (side, sign) in [("live", " !"), ("shadow", "")] {
        let rows = window[side]["rows"].as_array().expect("rows");
        let data: Vec<&str> = rows.iter().filter_map(|row| row["data"].as_str()).collect();
        let [early, last] = data[..] else {
            panic!("{window}");
        };
        assert!(
            early.ends_with(&format!(" early: one,emit,grow 1100000{sign}")),
            "{early}"
        );
        assert!(last.ends_with(&format!(" final: two{sign}")), "{last}");
    }
    let text = shadow(&server, &["--version", "1", "--from", "trim-horizon"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("  end of window ") && text.contains("\nwindows  1  same 0  different 1"),
        "{text}"
    );

    // The live version beside itself is the same.
    let output = shadow(&server, &first("2"));
    let (different, end) = told(&output);
    assert_eq!(
        (output.status.code(), different.len()),
        (Some(0), 0),
        "{output:?}"
    );
    assert_eq!(
        (&end["windows"], &end["windows_different"]),
        (&json!(1), &json!(0)),
        "{end}"
    );
}

/// A window that is begun in its middle would be another one for both.
#[test]
fn a_comparison_begins_with_the_window_that_its_position_lies_in() {
    let (server, put) = two_versions(&["one", "two", "three"]);
    let third = fnctl_tests::text(&put[2], "sequence_number");
    for from in [third.as_str(), "latest"] {
        let output = shadow(&server, &["--version", "1", "--from", from, "-o", "json"]);
        let (_, end) = told(&output);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(
            (&end["records"], &end["open_windows"]),
            (&json!(3), &json!(1)),
            "{from} {end}"
        );
    }
}

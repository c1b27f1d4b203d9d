//! Functions that work in tumbling windows, and the settings of a mapping that has some.

mod beside;
mod captured;
mod failing;
mod flowing;
mod unreadable;

use serde_json::{Value, json};

use crate::support::{describe, guest, one, server};

#[test]
fn a_call_by_hand_is_one_window_and_its_close_of_a_file_and_of_a_function() {
    let server = server();
    let component = guest("windowed");
    let deploy = ["deploy", &component, "--stream", "in", "--to", "out"];
    one(
        &server,
        &[&deploy[..], &["--tumbling-window", "60s"]].concat(),
    );
    let file = server.folder().join("records.ndjson");
    std::fs::write(&file, "a\nemit\n").expect("a file");
    let file = file.to_string_lossy().into_owned();
    for target in [component.as_str(), "windowed"] {
        let result = one(&server, &["invoke", target, "--file", &file]);
        assert_eq!(result["outcome"], "ok", "{result}");
        let row = |at: usize| &result["rows"][at];
        assert_eq!(
            (&row(0)["source"], &row(0)["data"]),
            (&json!(1), &json!("after 2"))
        );
        let (key, told) = (&row(1)["partition_key"], row(1)["data"].as_str());
        assert_eq!((&row(1)["source"], key), (&Value::Null, &json!("window")));
        assert!(
            told.is_some_and(|told| told.ends_with(" final: a,emit")),
            "{result}"
        );
    }

    // A call that failed left no state: there is nothing to close.
    std::fs::write(&file, "a\nskip\n").expect("a file");
    for target in [component.as_str(), "windowed"] {
        let output = server
            .command(&["invoke", target, "--file", &file, "-o", "json"])
            .output()
            .expect("it runs");
        let result: Value = serde_json::from_slice(&output.stdout).expect("one object");
        assert_eq!(
            (output.status.code(), &result["rows"]),
            (Some(1), &json!([]))
        );
        assert_eq!(result["failures"][0]["code"], "bad", "{result}");
    }
}

#[test]
fn windows_are_settings_and_their_groups_stay_while_they_are_on() {
    let server = server();
    let component = guest("windowed");
    let deploy = ["deploy", &component, "--stream", "in", "--to", "out"];
    one(&server, &deploy);
    let of = |server| {
        let settings = describe(server, "windowed")["settings"].take();
        (
            settings["tumbling_window_ms"].clone(),
            settings["key_groups"].clone(),
        )
    };
    assert_eq!(of(&server), (json!(0), json!(64)));
    let update = ["mappings", "update", "windowed"];
    let on = ["--tumbling-window", "1m", "--key-groups", "8"];
    let done = one(&server, &[&update[..], &on].concat());
    let change = json!({"path": "mapping.tumbling_window", "from": "0s", "to": "1m"});
    assert_eq!(done["changes"][0], change, "{done}");
    assert_eq!(of(&server), (json!(60_000), json!(8)));

    for refused in [["--key-groups", "16"], ["--ordering", "shard"]] {
        let words = [&update[..], &refused, &["-o", "json"]].concat();
        let output = server.command(&words).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{stderr}");
        assert!(stderr.contains("turn windows off"), "{stderr}");
    }
    let off = ["--tumbling-window", "0s", "--key-groups", "16"];
    one(&server, &[&update[..], &off].concat());
    assert_eq!(of(&server), (json!(0), json!(16)));
}

//! What a deploy says of each mapping, and of what it leaves as it is; what a stranger's terminal is given.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    kinesis::python,
    support::{guest, one, put, server, tail},
};

/// A manifest with these mappings, in a folder beside the server.
fn project(server: &fnctl_tests::Server, rest: &str) -> String {
    let folder = server.folder().join("project");
    std::fs::create_dir_all(&folder).expect("a folder");
    let component = guest("echo");
    let text = format!("[function]\nname = \"ms\"\ncomponent = {component:?}\n{rest}");
    std::fs::write(folder.join("fnctl.toml"), text).expect("a manifest");
    folder.to_string_lossy().into_owned()
}

fn paths(values: &Value) -> Vec<&str> {
    let values = values.as_array().expect("a list");
    values
        .iter()
        .filter_map(|value| value["path"].as_str())
        .collect()
}

#[test]
fn each_mapping_is_told_by_itself_and_what_stays_as_it_is_is_said() {
    let server = server();
    let (a, b) = (
        "[[mapping]]\nstream = \"a\"\noutputs = { default = \"x\" }\n",
        "[[mapping]]\nstream = \"b\"\noutputs = { default = \"y\" }\n",
    );
    let streams = "[streams.a]\nshards = 3\n";
    let project = |rest: &str| project(&server, rest);
    let done = one(&server, &["deploy", &project(&[a, b, streams].concat())]);
    assert_eq!(done["notes"], Value::Array(vec![]));
    assert_eq!(
        done["outputs"],
        serde_json::json!({}),
        "none is alike in both"
    );
    let outputs = |index: usize| &done["mappings"][index]["outputs"]["default"];
    assert_eq!((outputs(0), outputs(1)), (&"x".into(), &"y".into()));

    let done = one(&server, &["deploy", "--name", "ms", "--batch-size", "7"]);
    assert_eq!(
        paths(&done["changes"]),
        ["mapping[a].batch_size", "mapping[b].batch_size"]
    );
    let text = server
        .command(&["deploy", "--name", "ms", "--batch-size", "8"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for line in [
        "mapping    ms/a  running   batch_size 7 → 8\n",
        "mapping    ms/b  running   batch_size 7 → 8\n",
        "outputs    ms/a  default → x\n",
        "outputs    ms/b  default → y\n",
    ] {
        assert!(text.contains(line), "{text}");
    }

    let five = "[streams.a]\nshards = 5\n";
    let folder = project(&[a, "batch_size = 8\n", five].concat());
    let done = one(&server, &["deploy", &folder]);
    assert_eq!(done["changed"], false, "{done}");
    assert_eq!(paths(&done["notes"]), ["mapping[b]", "streams.a.shards"]);
    assert_eq!(done["notes"][0]["fix"], "fnctl mappings delete ms/b");
    let from = ["--starting-position", "trim-horizon"];
    let words = [&["deploy", &folder, "--stream", "a"], &from[..]].concat();
    let done = one(&server, &words);
    assert!(
        paths(&done["notes"]).contains(&"mapping[a].starting_position"),
        "{done}"
    );
    let text = server.command(&["deploy", &folder]).output();
    let text = String::from_utf8_lossy(&text.expect("it runs").stdout).into_owned();
    assert!(
        text.contains("note       mapping[b]  ") && text.contains("fnctl mappings delete ms/b\n"),
        "{text}"
    );
}

#[test]
fn a_record_of_the_command_line_is_its_bytes() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let put = server
        .command(&["put", "in", "--key", "k"])
        .arg(OsStr::from_bytes(b"a\xff"))
        .status();
    assert_eq!(put.expect("it runs").code(), Some(0));
    let records = tail(&server, "in", 1);
    assert_eq!(
        (&records[0]["encoding"], &records[0]["data"]),
        (&"base64".into(), &"Yf8=".into())
    );
}

#[test]
fn a_terminal_is_given_nothing_that_acts_on_it_and_a_pipe_everything() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let record = "\u{1b}]0;title\u{7}end".to_owned();
    put(&server, "in", &[record], &["--key", "k\u{1b}[2J"]);
    let words = ["tail", "in", "--from", "trim-horizon", "--count", "1"];
    let piped = server.command(&words).output().expect("it runs").stdout;
    assert!(piped.ends_with(b"\x1b]0;title\x07end\n"), "{piped:?}");

    // A terminal, as Python makes one.
    let shown = |words: &[&str]| {
        let script = "import pty, sys; pty.spawn(sys.argv[1:])";
        let output = Command::new(python())
            .args(["-c", script])
            .arg(fnctl_tests::binary())
            .args(words)
            .env("FNCTL_SERVER", &server.api)
            .stdin(Stdio::null())
            .output()
            .expect("Python runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = shown(&words);
    assert!(text.contains("\u{fffd}]0;title\u{fffd}end"), "{text:?}");
    assert!(text.contains("k\u{fffd}[2J"), "{text:?}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let raw = shown(&[&words[..], &["-o", "raw"]].concat());
    assert!(raw.contains("\u{1b}]0;title\u{7}end"), "{raw:?}");
}

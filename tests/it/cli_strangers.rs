//! What a stranger meets: readers that go away, bad lines, names that do not exist, and `dev` by itself.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

use fnctl_tests::binary;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{all, deploy_hostile, guest, one, put, refused, server, tail};

/// Reads one line of a command, goes away, and expects the command to end quietly.
fn reads_one_line_and_goes(mut child: Child) {
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its output");
    let mut stdout = BufReader::new(stdout);
    stdout.read_line(&mut line).expect("a line");
    assert!(!line.is_empty());
    drop(stdout);
    let ended = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
}

#[test]
fn a_reader_that_goes_is_noticed_while_nothing_comes() {
    let server = server();
    deploy_hostile(&server, &[]);
    put(&server, "in", &["log 1".to_owned()], &["--key", "k"]);
    tail(&server, "in", 1);
    while all(&server, &["logs", "hostile"]).is_empty() {}
    for arguments in [
        &["tail", "in", "--from", "trim-horizon"][..],
        &["tail", "in", "--from", "trim-horizon", "-o", "json"],
        &["logs", "hostile", "-f"],
    ] {
        let child = server
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        reads_one_line_and_goes(child);
    }
}

#[test]
fn what_a_put_passes_by_is_said_on_stderr_in_every_format() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let path = server.folder().join("some.ndjson");
    std::fs::write(&path, "{\"id\":1.50}\nno json\n{\"id\":2}\n").expect("a file");
    let path = path.to_string_lossy().into_owned();
    let said = |options: &[&str]| {
        let words = ["put", "in", "--file", &path, "--key-field", "id"];
        let output = server.command(&[&words[..], options].concat()).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for options in [&[][..], &["-o", "json"]] {
        assert!(
            said(options).contains("1 line without a readable key field"),
            "{options:?}"
        );
        let behind = said(&[options, &["--from-line", "9"]].concat());
        assert!(
            behind.contains("ends after 3 lines: nothing is left to put from line 9 on"),
            "{behind}"
        );
    }
    let records = tail(&server, "in", 6);
    assert_eq!(
        records[0]["partition_key"], "1.50",
        "as the record writes it"
    );
}

#[test]
fn a_line_too_long_is_named_with_its_bytes_the_limit_and_the_command_that_goes_on() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let path = server.folder().join("long.ndjson");
    let longest = "x".repeat(1 << 20);
    let long = format!("{longest}x");
    std::fs::write(&path, format!("a\n{long}\nc\n")).expect("a file");
    let path = path.to_string_lossy().into_owned();
    let (_, error) = refused(
        &server,
        &["put", "in", "--file", &path, "--producer", "p-1"],
    );
    assert_eq!(
        (&error["code"], &error["exit_code"]),
        (&"FN4001".into(), &7.into())
    );
    assert_eq!(
        error["message"],
        "line 2 has 1048577 bytes, and a record of `in` at most 1048576 (data and key)"
    );
    let fix = error["fix"].as_str().expect("a fix");
    assert!(fix.ends_with("--from-line 2 --producer p-1"), "{fix}");
    // The longest there may be, and the rest, as the message says.
    std::fs::write(&path, format!("a\n{longest}\nc\n")).expect("a file");
    let rest = [
        "put",
        "in",
        "--file",
        &path,
        "--from-line",
        "2",
        "--producer",
        "p-1",
    ];
    assert_eq!(all(&server, &rest).len(), 2);
}

#[test]
fn a_call_looks_the_same_of_a_file_and_of_a_function() {
    let server = server();
    let guest = guest("hostile");
    deploy_hostile(&server, &[]);
    let path = server.folder().join("calls.ndjson");
    std::fs::write(&path, "ok 1\nskip 2\nlog 1\n").expect("a file");
    let path = path.to_string_lossy().into_owned();
    let call = |target: &str| -> Value {
        let output = server
            .command(&["invoke", target, "--file", &path, "-o", "json"])
            .output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(1), "a record failed");
        let mut result: Value = serde_json::from_slice(&output.stdout).expect("one object");
        for figure in ["duration_ms", "memory_bytes"] {
            assert!(result[figure].is_number(), "{result}");
            result[figure] = Value::Null;
        }
        result
    };
    let (of_file, of_function) = (call(&guest), call("hostile"));
    assert_eq!(of_file, of_function);
    let keys: Vec<&String> = of_file.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "duration_ms",
            "failures",
            "logs",
            "memory_bytes",
            "outcome",
            "rows"
        ]
    );
    let (_, error) = refused(
        &server,
        &["invoke", "hostile", "--file", &path, "--memory", "64MiB"],
    );
    assert_eq!(error["exit_code"], 2, "a function's own settings stand");
}

#[test]
fn a_name_that_is_not_there_is_answered_with_where_to_look() {
    let server = server();
    one(
        &server,
        &["deploy", &guest("echo"), "--stream", "in", "--to", "out"],
    );
    for (arguments, exit, fix) in [
        (
            &["streams", "delete", "nope", "--yes"][..],
            3,
            "fnctl streams list",
        ),
        (&["streams", "describe", "nope"], 3, "fnctl streams list"),
        (&["tail", "nope"], 3, "fnctl streams list"),
        (&["put", "nope", "x"], 3, "fnctl streams create nope"),
        (
            &["functions", "describe", "nope"],
            3,
            "fnctl functions list",
        ),
        (&["logs", "nope"], 3, "fnctl functions list"),
        (&["mappings", "describe", "nope"], 3, "fnctl mappings list"),
        (&["dlq", "show", "echo", "7"], 3, "fnctl dlq list echo"),
        (
            &["rollback", "echo", "--to", "7"],
            3,
            "fnctl functions describe echo",
        ),
        (&["rollback", "echo"], 4, "fnctl deploy"),
    ] {
        let (_, error) = refused(&server, arguments);
        assert_eq!(error["exit_code"], exit, "{arguments:?}: {error}");
        let said = error["fix"].as_str().unwrap_or_default();
        assert!(said.starts_with(fix), "{arguments:?}: {error}");
    }
}

#[test]
fn dev_prints_what_happens_and_ends_when_nobody_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    write_project(folder.path());
    let mut dev = dev(folder.path(), &["-o", "json"]);
    let mut lines = BufReader::new(dev.stdout.take().expect("its output")).lines();
    let mut seen = std::collections::BTreeMap::new();
    // Rows and dead letters come on connections of their own: in any order.
    while !(seen.contains_key("out") && seen.contains_key("dead") && seen.contains_key("built")) {
        let line = lines.next().expect("dev goes on").expect("a line");
        let value: Value = serde_json::from_str(&line).expect("an object");
        let event = value["event"].as_str().expect("its name").to_owned();
        seen.insert(event, value);
    }
    assert!(seen["serving"]["api"].is_string());
    assert_eq!(seen["built"]["seeded"], 2);
    assert_eq!(seen["out"]["data"], "ok 1");
    assert!(seen["out"]["latency_ms"].is_u64(), "{}", seen["out"]);
    let dead = &seen["dead"];
    assert_eq!(
        (&dead["code"], &dead["data"]),
        (&"refused".into(), &"skip 2".into())
    );
    drop(lines);
    let ended = dev.wait_with_output().expect("dev ends");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{stderr}");

    // A second run finds the data of the first, and seeds nothing.
    reads_one_line_and_goes(self::dev(folder.path(), &[]));
}

#[test]
fn dev_that_is_interrupted_exits_130_and_one_that_is_asked_to_end_0() {
    let folder = tempfile::tempdir().expect("a folder");
    write_project(folder.path());
    for (signal, exit) in [(Signal::INT, 130), (Signal::TERM, 0)] {
        let mut dev = dev(folder.path(), &["-o", "json"]);
        let mut stdout = BufReader::new(dev.stdout.take().expect("its output"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let pid = Pid::from_raw(dev.id().try_into().expect("small")).expect("not 0");
        kill_process(pid, signal).expect("it runs");
        // Its output is read to its end: it does not end because nobody reads.
        stdout.read_to_string(&mut line).expect("text");
        let ended = dev.wait_with_output().expect("dev ends");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(exit), "{signal:?}: {stderr}");
        assert!(!stderr.contains("FN1008"), "it ends quietly: {stderr}");
    }
    // It ended in order: the journal says so, and the next start is no unclean one.
    assert!(!folder.path().join(".fnctl/unclean-stops").exists());
}

#[test]
fn dev_goes_on_when_its_manifest_breaks_while_it_builds() {
    let folder = tempfile::tempdir().expect("a folder");
    write_project(folder.path());
    // The build itself breaks the manifest that it was started from, and the seed is not there.
    let path = folder.path().join("fnctl.toml");
    let manifest = std::fs::read_to_string(&path).expect("the manifest");
    let breaking = manifest.replace("build = \"true\"", "build = \"echo broken >> fnctl.toml\"");
    std::fs::write(&path, breaking).expect("a manifest");
    std::fs::remove_file(folder.path().join("seed.ndjson")).expect("there is a seed");
    let mut dev = dev(folder.path(), &["-o", "json"]);
    let mut lines = BufReader::new(dev.stdout.take().expect("its output")).lines();
    let mut refused = || -> Value {
        loop {
            let line = lines.next().expect("dev goes on").expect("a line");
            let value: Value = serde_json::from_str(&line).expect("an object");
            if value["event"] == "refused" {
                return value["error"].clone();
            }
        }
    };
    assert_eq!(refused()["where"], "[dev] seed in fnctl.toml");
    assert_eq!(refused()["code"], "FN2101");
    drop(lines);
    let ended = dev.wait_with_output().expect("dev ends");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn dev_tells_why_a_record_is_tried_again_which_attempt_comes_and_when() {
    let folder = tempfile::tempdir().expect("a folder");
    write_project(folder.path());
    let path = folder.path().join("fnctl.toml");
    let manifest = std::fs::read_to_string(&path).expect("a manifest");
    let twice = manifest.replace("stream = \"in\"", "stream = \"in\"\nmax_attempts = 2");
    std::fs::write(&path, twice).expect("a manifest");
    std::fs::write(folder.path().join("seed.ndjson"), "retry-until 2\npanic\n").expect("a seed");
    let mut dev = dev(folder.path(), &["-o", "json"]);
    let mut lines = BufReader::new(dev.stdout.take().expect("its output")).lines();
    let (mut retries, mut dead) = (std::collections::BTreeMap::new(), None);
    while retries.len() < 2 || dead.is_none() {
        let line = lines.next().expect("dev goes on").expect("a line");
        let value: Value = serde_json::from_str(&line).expect("an object");
        if value["event"] == "retry" {
            retries.insert(value["code"].to_string(), value);
        } else if value["event"] == "dead" {
            dead = Some(value);
        }
    }
    let busy = &retries["\"not-yet\""];
    assert_eq!(busy["mapping"], "hostile/in", "{busy}");
    assert_eq!(
        (&busy["attempts"], &busy["max_attempts"], &busy["error"]),
        (&1.into(), &2.into(), &"attempt 1".into())
    );
    assert!(busy["delay_ms"].is_u64() && busy["next_retry_at"].is_string());
    let panicked = &retries["\"trap\""];
    let dead = dead.expect("it was waited for");
    assert_eq!(panicked["sequence_number"], dead["sequence_number"]);
    let words = panicked["error"].as_str().expect("words");
    assert!(
        words.starts_with("panicked at ") && words.contains("src/lib.rs:"),
        "{words}"
    );
    drop(lines);
    assert_eq!(
        dev.wait_with_output().expect("dev ends").status.code(),
        Some(0)
    );

    // The same for people; `--fresh` seeds again.
    let mut dev = self::dev(folder.path(), &["--fresh"]);
    let lines = BufReader::new(dev.stdout.take().expect("its output")).lines();
    let told = lines
        .map(|line| line.expect("a line"))
        .find(|line| line.contains("  retry ") && line.contains("panicked at"))
        .expect("dev goes on");
    assert!(told.contains("  attempt 2 of 2 in "), "{told}");
    let ended = dev.wait_with_output().expect("dev ends");
    assert_eq!(ended.status.code(), Some(0));
}

fn dev(folder: &Path, options: &[&str]) -> Child {
    Command::new(binary())
        .args([
            "dev",
            "--listen",
            "127.0.0.1:0",
            "--kinesis-listen",
            "127.0.0.1:0",
        ])
        .args(options)
        .current_dir(folder)
        .env_remove("FNCTL_SERVER")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dev starts")
}

/// A project whose build is done: what it runs is a guest of these tests.
fn write_project(folder: &Path) {
    let component = guest("hostile");
    let manifest = format!(
        "[function]\nname = \"hostile\"\ncomponent = {component:?}\nbuild = \"true\"\nwatch = [\"src\"]\n\
         [[mapping]]\nstream = \"in\"\noutputs = {{ default = \"out\", side = \"none\" }}\n\
         [dev]\nseed = \"seed.ndjson\"\n"
    );
    std::fs::write(folder.join("fnctl.toml"), manifest).expect("a manifest");
    std::fs::write(folder.join("seed.ndjson"), "ok 1\nskip 2\n").expect("a seed");
}

#[test]
fn an_empty_name_means_nothing_and_not_something_else() {
    let server = server();
    deploy_hostile(&server, &[]);
    for arguments in [
        &["mappings", "describe", ""][..],
        &["mappings", "pause", ""],
        &["mappings", "delete", "", "--yes"],
        &["streams", "delete", "", "--yes"],
        &["functions", "describe", ""],
        &["status", ""],
        &["logs", ""],
        &["dlq", "list", ""],
        &["dlq", "show", "hostile", ""],
    ] {
        let (exit, error) = refused(&server, arguments);
        let found = (exit, &error["code"]);
        assert_eq!(
            found,
            (Some(2), &Value::from("FN1001")),
            "{arguments:?}: {error}"
        );
    }
}

#[test]
fn a_level_of_the_log_that_there_is_none_of_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let listen = ["--listen", "127.0.0.1:0", "--kinesis-listen", "127.0.0.1:0"];
    for (asked, named) in [
        ("loud", "`loud`"),
        ("info,fnctl_host=chatty", "`fnctl_host=chatty`"),
    ] {
        let output = Command::new(binary())
            .args(["server", "--data-dir", "data", "-o", "json"])
            .args(listen)
            .current_dir(folder.path())
            .env("FNCTL_LOG", asked)
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let body: Value =
            serde_json::from_str(stderr.trim()).unwrap_or_else(|e| panic!("{e}: {stderr}"));
        let error = &body["error"];
        assert_eq!(
            (output.status.code(), error["code"].as_str()),
            (Some(2), Some("FN1001"))
        );
        assert_eq!(error["where"], "FNCTL_LOG");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|words| words.contains(named)),
            "{error}"
        );
        assert!(
            error["fix"]
                .as_str()
                .is_some_and(|fix| fix.contains("FNCTL_LOG=debug")),
            "{error}"
        );
    }
    assert!(!folder.path().join("data").exists(), "nothing was made");
}

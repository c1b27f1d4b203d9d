//! Commands against a server, as scripts rely on them: exit codes, confirmation, timeouts, a closed
//! stdout, and puts that go on where they ended.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{all, guest, one, put, refused, server, tail};

#[test]
fn destroying_without_a_terminal_needs_a_yes_and_what_is_absent_comes_first() {
    let server = server();
    one(
        &server,
        &[
            "streams",
            "create",
            "in",
            "--shards",
            "2",
            "--retention",
            "48h",
        ],
    );
    let (exit, error) = refused(&server, &["streams", "delete", "none"]);
    assert_eq!((exit, error["code"].as_str()), (Some(3), Some("FN3001")));
    let (exit, error) = refused(&server, &["streams", "delete", "in"]);
    assert_eq!((exit, error["code"].as_str()), (Some(2), Some("FN1004")));
    let (exit, _) = refused(&server, &["streams", "delete", "in", "--force"]);
    assert_eq!(exit, Some(2), "--force never implies --yes");
    let listed = all(&server, &["stream", "ls"]);
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["shards"], &listed[0]["retention_ms"]),
        (&2.into(), &172_800_000.into())
    );
    one(&server, &["stream", "rm", "in", "--yes"]);
    assert_eq!(all(&server, &["streams", "list"]), Vec::<Value>::new());
}

#[test]
fn a_stream_takes_records_as_large_as_it_was_made_for_on_every_way_in() {
    let server = server();
    for (size, exit) in [("11MiB", 7), ("512KiB", 7), ("-1MiB", 7), ("large", 2)] {
        let arguments = ["streams", "create", "big", "--max-record-size", size];
        let (code, error) = refused(&server, &arguments);
        assert_eq!(code, Some(exit), "{size}: {error}");
    }
    let made = one(
        &server,
        &["streams", "create", "big", "--max-record-size", "4MiB"],
    );
    assert_eq!(made["record_bytes_max"], 4 << 20);
    assert_eq!(made["mode"], "provisioned");
    one(&server, &["streams", "create", "usual"]);
    assert_eq!(
        one(&server, &["streams", "describe", "usual"])["record_bytes_max"],
        1 << 20
    );

    let line = "x".repeat(3 << 20);
    let lines = [line.clone(), "small".to_owned()];
    assert_eq!(put(&server, "big", &lines, &[]).len(), 2);
    let read = tail(&server, "big", 2);
    let sizes = read
        .iter()
        .filter_map(|record| record["data"].as_str())
        .map(str::len);
    assert_eq!(sizes.max(), Some(line.len()));
    let file = server.folder().join("put.ndjson");
    let file = file.to_string_lossy();
    let (exit, error) = refused(&server, &["put", "usual", "--file", &file]);
    assert_eq!((exit, error["code"].as_str()), (Some(7), Some("FN4001")));
    let words = error["message"].as_str().unwrap_or_default();
    assert!(
        words.contains("`usual`") && words.contains("1048576"),
        "{error}"
    );

    // By hand, rows may be as large as the stream behind the output takes them.
    let deploy = ["deploy", &guest("echo"), "--stream", "big", "--to"];
    one(&server, &[&deploy[..], &["usual"]].concat());
    let invoke = ["invoke", "echo", "--file", &file];
    let (exit, _) = refused(&server, &["invoke", "echo", "--file", &file]);
    assert_eq!(exit, Some(1), "a row above what `usual` takes");
    one(
        &server,
        &["streams", "create", "bigger", "--max-record-size", "10MiB"],
    );
    one(&server, &[&deploy[..], &["bigger"]].concat());
    assert_eq!(one(&server, &invoke)["outcome"], "ok");
}

#[test]
fn creating_a_stream_twice_is_a_conflict() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let (exit, error) = refused(&server, &["streams", "create", "in"]);
    assert_eq!((exit, error["code"].as_str()), (Some(4), Some("FN3002")));
    let (exit, error) = refused(&server, &["streams", "create", "big", "--shards", "100000"]);
    assert_eq!(
        (exit, error["kind"].as_str()),
        (Some(7), Some("validation"))
    );
}

#[test]
fn a_tail_ends_at_its_count_its_time_or_when_nobody_reads() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    put(
        &server,
        "in",
        &["a".to_owned(), "b".to_owned()],
        &["--key", "k"],
    );
    let records = tail(&server, "in", 2);
    assert_eq!(
        (&records[0]["data"], &records[0]["encoding"]),
        (&"a".into(), &"text".into())
    );
    let short = ["tail", "in", "--from", "trim-horizon", "--timeout", "100ms"];
    assert_eq!(
        all(&server, &short).len(),
        2,
        "without a count, the time is the end"
    );
    let (exit, error) = refused(&server, &[&short[..], &["--count", "3"]].concat());
    assert_eq!((exit, error["code"].as_str()), (Some(6), Some("FN1009")));

    let mut tail = server
        .command(&["tail", "in", "--from", "trim-horizon", "-o", "raw"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tail starts");
    drop(tail.stdout.take());
    put(&server, "in", &["c".to_owned()], &["--key", "k"]);
    let ended = tail.wait_with_output().expect("tail ends");
    assert_eq!(
        ended.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn bytes_that_are_no_text_come_back_as_they_were() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let path = server.folder().join("bytes");
    std::fs::write(&path, b"\xff\x00\xfe\n\ntext\n").expect("a file");
    let acknowledged = all(
        &server,
        &["put", "in", "--file", &path.to_string_lossy(), "--key", "k"],
    );
    let lines: Vec<&Value> = acknowledged.iter().map(|line| &line["line"]).collect();
    assert_eq!(lines, [1, 3], "an empty line is passed by and counted");
    let records = tail(&server, "in", 2);
    assert_eq!(records[0]["encoding"], "base64");
    let raw = server
        .command(&[
            "tail",
            "in",
            "--from",
            "trim-horizon",
            "--count",
            "2",
            "-o",
            "raw",
        ])
        .output()
        .expect("tail runs");
    assert_eq!(raw.stdout, b"\xff\x00\xfe\ntext\n");
}

#[test]
fn a_put_goes_on_from_a_line_and_repeats_nothing() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let lines: Vec<String> = (0..10).map(|n| format!(r#"{{"id":{n}}}"#)).collect();
    let options = ["--key-field", "id", "--producer", "p-1"];
    let (first, rest) = lines.split_at(6);
    assert_eq!(put(&server, "in", first, &options).len(), 6);
    // The whole file, from a line in front of what arrived already.
    assert_eq!(rest.len(), 4);
    let again = put(
        &server,
        "in",
        &lines,
        &[&options[..], &["--from-line", "4"]].concat(),
    );
    let duplicates: Vec<u64> = again
        .iter()
        .filter(|line| line["duplicate"] == true)
        .filter_map(|line| line["line"].as_u64())
        .collect();
    assert_eq!(duplicates, [4, 5, 6]);
    assert_eq!(again.len(), 7);
    assert_eq!(tail(&server, "in", 10).len(), 10);
}

#[test]
fn a_put_stops_at_a_line_without_its_key_where_that_is_asked() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let lines = [
        r#"{"id":1}"#.to_owned(),
        "no key".to_owned(),
        r#"{"id":2}"#.to_owned(),
    ];
    assert_eq!(put(&server, "in", &lines, &["--key-field", "id"]).len(), 3);
    let path = server.folder().join("put.ndjson");
    let failure = server
        .json(&[
            "put",
            "in",
            "--file",
            &path.to_string_lossy(),
            "--key-field",
            "id",
            "--require-key",
        ])
        .expect_err("it stops");
    assert_eq!(failure.exit, Some(7), "{}", failure.message);
    let (exit, error) = refused(&server, &["put", "none", "record"]);
    assert_eq!((exit, error["code"].as_str()), (Some(3), Some("FN3001")));
    assert!(
        error["fix"]
            .as_str()
            .is_some_and(|fix| fix.contains("streams create none")),
        "{error}"
    );
}

#[test]
fn a_put_whose_server_dies_names_the_first_line_and_the_command_that_continues() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let mut put: Command = server.command(&["put", "in", "--key", "k", "-o", "json"]);
    let mut put = put
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("put starts");
    let mut input = put.stdin.take().expect("its input");
    let mut output = std::io::BufReader::new(put.stdout.take().expect("its output"));
    let mut line = String::new();
    std::io::Write::write_all(&mut input, b"one\n").expect("a line is written");
    std::io::BufRead::read_line(&mut output, &mut line).expect("it is acknowledged");
    let acknowledged: Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(acknowledged["line"], 1);
    server.kill().expect("the server dies");
    // Whether it is noticed before or after this line, it has no acknowledgement.
    drop(std::io::Write::write_all(&mut input, b"two\n"));
    drop(input);
    let ended = put.wait_with_output().expect("put ends");
    assert_eq!(
        ended.status.code(),
        Some(8),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let stderr = String::from_utf8_lossy(&ended.stderr);
    let body: Value =
        serde_json::from_str(stderr.lines().last().unwrap_or_default()).expect("an error object");
    assert_eq!(
        (&body["error"]["code"], &body["error"]["where"]),
        (&"FN4007".into(), &"line 2".into())
    );
    assert!(
        body["error"]["fix"]
            .as_str()
            .is_some_and(|fix| fix.contains("--from-line 2 --producer ")),
        "{body}"
    );
}

#[test]
fn a_second_server_on_the_same_data_is_refused_in_words() {
    let server = server();
    let holder = format!("in use by process {} (`", server.pid());
    // Nobody can take the lock away: the directory itself is held.
    for has_lock_file in [true, false] {
        if !has_lock_file {
            std::fs::remove_file(server.data_dir.join("LOCK")).expect("it is there");
        }
        let second = server
            .command(&[
                "server",
                "--listen",
                "127.0.0.1:0",
                "--kinesis-listen",
                "127.0.0.1:0",
                "-o",
                "json",
                "--data-dir",
            ])
            .arg(&server.data_dir)
            .output()
            .expect("it runs");
        let stderr = String::from_utf8_lossy(&second.stderr);
        assert_eq!(second.status.code(), Some(4), "{stderr}");
        assert!(
            stderr.contains("FN5004") && stderr.contains(&holder),
            "{stderr}"
        );
    }
    let asked = server
        .command(&["doctor", "--data-dir"])
        .arg(&server.data_dir)
        .output()
        .expect("it runs");
    let stderr = String::from_utf8_lossy(&asked.stderr);
    assert_eq!(asked.status.code(), Some(4), "{stderr}");
}

//! Where dead letters are copied to: a stream, a URL, a file (Lambda ESM specification §12, §20 row 12, §22
//! rows Destination and Crash).

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};

use crate::support::{
    all, deploy_hostile, describe, drained, guest, metric, one, put, server, server_on, tail,
};

fn skips(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("skip {n}")).collect()
}

/// What a receiver got: the letter's name as the header has it, and the body.
type Got = (String, Value);

/// A receiver of letters: posts that it refuses, by their number from 0, are answered 503. It ends with the
/// test.
fn receiver(refuses: impl Fn(usize) -> bool + Send + 'static) -> (String, mpsc::Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!(
        "http://{}/letters",
        listener.local_addr().expect("its address")
    );
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut posts = 0;
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.expect("a connection"));
            while let Some((name, body)) = read_post(&mut connection) {
                let is_refused = refuses(posts);
                posts += 1;
                let status = if is_refused { "503 No" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                if !is_refused && tell.send((name, body)).is_err() {
                    return;
                }
                if connection.get_mut().write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (url, told)
}

fn read_post(connection: &mut impl BufRead) -> Option<Got> {
    let (mut name, mut key) = (String::new(), String::new());
    let (mut length, mut line) = (0, String::new());
    connection.read_line(&mut line).ok()?;
    line.starts_with("POST /letters HTTP/1.1").then_some(())?;
    loop {
        line.clear();
        connection.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some(("fnctl-dead-letter", value)) => name = value.to_owned(),
            Some(("idempotency-key", value)) => value.clone_into(&mut key),
            Some(("content-length", value)) => length = value.parse().expect("a length"),
            Some(_) => {}
            None => break,
        }
    }
    // The letter's name, behind one that is this data directory's alone.
    let (server, letter) = key.split_once('/').expect("two names");
    assert_eq!((server.len(), letter), (16, name.as_str()));
    let mut body = vec![0; length];
    connection.read_exact(&mut body).ok()?;
    Some((
        name,
        serde_json::from_slice(&body).expect("a letter is JSON"),
    ))
}

#[test]
fn an_address_that_hands_out_credentials_is_refused_at_the_deploy() {
    let server = server();
    let url = "http://169.254.169.254/latest/meta-data";
    let component = guest("hostile");
    let deploy = ["deploy", &component, "--stream", "in", "--on-failure", url];
    let refused = server.one(&deploy).expect_err("nothing is sent there");
    assert_eq!(refused.exit, Some(7), "{refused}");
    assert!(refused.to_string().contains("link-local"), "{refused}");
}

#[test]
fn a_file_of_the_servers_own_is_refused_however_it_is_spelt() {
    let server = server();
    let way = server.folder().join("way");
    std::os::unix::fs::symlink(&server.data_dir, &way).expect("a link");
    deploy_hostile(&server, &[]);
    let component = guest("hostile");
    let ready = server.folder().join("ready.json");
    for (path, why) in [
        (server.data_dir.join("access.json"), "data directory"),
        (server.data_dir.join("redrives.json"), "data directory"),
        (way.join("letters.ndjson"), "data directory"),
        (ready, "ready file"),
    ] {
        let to = format!("file:{}", path.display());
        let update = ["mappings", "update", "hostile", "--on-failure", &to];
        let deploy = [
            "deploy",
            &component,
            "--stream",
            "in",
            "--to",
            "out",
            "--to",
            "side=none",
            "--on-failure",
            &to,
        ];
        for command in [&update[..], &deploy] {
            let refused = server.one(command).expect_err("it is the server's own");
            assert_eq!(refused.exit, Some(7), "{refused}");
            assert!(refused.to_string().contains(why), "{refused}");
            assert!(
                refused.to_string().replace('_', "-").contains("on-failure"),
                "{refused}"
            );
        }
    }
    let port = [
        "mappings",
        "update",
        "hostile",
        "--on-failure",
        "https://[::1]:99999/",
    ];
    let refused = server.one(&port).expect_err("no such port");
    assert!(refused.to_string().contains("port"), "{refused}");
    let settings = &describe(&server, "hostile")["settings"];
    assert_eq!(settings["on_failure"], "dlq");
}

#[test]
fn a_url_gets_every_letter_in_order_and_its_refusals_hold_nothing_else() {
    let server = server();
    let (url, told) = receiver(|post| post < 3);
    deploy_hostile(&server, &["--on-failure", &url]);
    put(&server, "in", &skips(0..20), &["--key", "k"]);
    put(&server, "in", &["ok behind".to_owned()], &["--key", "k"]);
    // The destination refuses meanwhile: the mapping goes on.
    assert_eq!(tail(&server, "out", 1)[0]["data"], "ok behind");
    let status = drained(&server, "hostile");
    assert_eq!(status["settings"]["on_failure"], url.as_str());
    let got: Vec<Got> = (0..20).map(|_| told.recv().expect("a letter")).collect();
    let data: Vec<&str> = got
        .iter()
        .filter_map(|(_, body)| body["data"].as_str())
        .collect();
    assert_eq!(data, skips(0..20));
    let (name, first) = &got[0];
    assert_eq!(
        *name,
        format!("{}/{}", status["id"].as_str().expect("an id"), 1)
    );
    for (field, value) in [
        ("mapping", "hostile/in"),
        ("error_kind", "skip"),
        ("code", "refused"),
        ("id", "1"),
    ] {
        assert_eq!(first[field], value, "{first}");
    }
    let relay = loop {
        let relay = describe(&server, "hostile")["relay"].clone();
        // Counted a moment after the relay stands behind them.
        if relay["pending_letters"] == 0 && relay["delivered"] == 20 {
            break relay;
        }
    };
    assert_eq!(
        (&relay["delivered"], &relay["failures"]),
        (&20.into(), &3.into()),
        "{relay}"
    );
    assert_eq!(
        metric(&server, "fnctl_relay_age_seconds{mapping=\"hostile/in\"}"),
        0.0
    );
    assert_eq!(
        metric(
            &server,
            "fnctl_relay_failures_total{mapping=\"hostile/in\"}"
        ),
        3.0
    );
    // Letters are kept here in any case.
    assert_eq!(all(&server, &["dlq", "list", "hostile"]).len(), 20);
}

/// Every refusal is the first one since letters got through: what is waited does not add up.
#[test]
fn a_destination_that_refuses_now_and_then_gets_its_letters_soon() {
    let server = server();
    let (url, told) = receiver(|post| post % 5 == 0);
    deploy_hostile(&server, &["--on-failure", &url]);
    put(&server, "in", &skips(0..60), &["--key", "k"]);
    // Fifteen pauses that double would come to more than this between two letters.
    let soon = std::time::Duration::from_secs(20);
    let data: Vec<Value> = (0..60)
        .map(|_| told.recv_timeout(soon).expect("a letter"))
        .map(|(_, body)| body["data"].clone())
        .collect();
    assert_eq!(data, skips(0..60));
}

#[test]
fn what_a_destination_refuses_is_told_and_is_brought_after_a_crash_to_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = server_on(&data);
    // Nothing listens there any more.
    let closed = TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("its address");
    let closed = format!("http://{closed}/");
    deploy_hostile(&server, &["--on-failure", &closed]);
    put(&server, "in", &skips(0..3), &[]);
    drained(&server, "hostile");
    let relay = loop {
        let relay = describe(&server, "hostile")["relay"].clone();
        if !relay["held"].is_null() {
            break relay;
        }
    };
    assert_eq!(relay["pending_letters"], 3, "{relay}");
    let why = relay["held"]["error"].as_str().expect("why");
    assert!(why.contains(&closed) && why.contains("refused"), "{why}");
    server.kill().expect("it was there");

    let server = server_on(&data);
    let file = folder.path().join("letters.ndjson");
    let to = format!("file:{}", file.display());
    // What still waits goes there too.
    one(
        &server,
        &["deploy", "--name", "hostile", "--on-failure", &to],
    );
    put(&server, "in", &skips(3..250), &[]);
    drained(&server, "hostile");
    server.kill().expect("it was there");
    let server = server_on(&data);
    while describe(&server, "hostile")["relay"]["pending_letters"] != 0 {}
    let text = std::fs::read_to_string(&file).expect("the file");
    let (letters, cut): (Vec<_>, Vec<_>) = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).map_err(|error| (error, line)))
        .partition(Result::is_ok);
    let of = |letter: Value| letter["data"].as_str().expect("text").to_owned();
    let found: BTreeSet<String> = letters.into_iter().flatten().map(of).collect();
    assert_eq!(found, skips(0..250).into_iter().collect());
    // The process may have died with a line half written: its letter stands whole behind it, as any does.
    let cut: Vec<_> = cut.into_iter().filter_map(Result::err).collect();
    let is_beginning = cut.iter().all(|(error, _)| error.is_eof());
    assert!(is_beginning && cut.len() <= 1, "{cut:?}");
}

/// The whole object, whatever gave its record up; what no test can know to the letter is checked apart.
#[test]
fn a_letter_is_this_object_whatever_gave_its_record_up() {
    let server = server();
    let file = server.folder().join("letters.ndjson");
    let to = format!("file:{}", file.display());
    let tries = ["--max-attempts", "2", "--backoff-initial", "1ms"];
    deploy_hostile(&server, &[&["--on-failure", &to][..], &tries].concat());
    for record in ["skip 1", "retry"] {
        put(&server, "in", &[record.to_owned()], &["--key", "k"]);
        drained(&server, "hostile");
    }
    one(&server, &["mappings", "pause", "hostile"]);
    let old = ["--max-record-age", "1ms", "--on-unparsable", "dead-letter"];
    let filter = ["--filter", r#"{"data": {"a": [1]}}"#];
    let layer = [&["deploy", "--name", "hostile"][..], &old, &filter].concat();
    one(&server, &layer);
    for record in ["{\"a\":1}", "no JSON"] {
        put(&server, "in", &[record.to_owned()], &["--key", "k"]);
    }
    one(&server, &["mappings", "resume", "hostile"]);
    let status = drained(&server, "hostile");
    while describe(&server, "hostile")["relay"]["pending_letters"] != 0 {}
    let text = std::fs::read_to_string(&file).expect("the file");
    let rows = [
        ("skip", "refused", "asked to be skipped", 1, "skip 1"),
        ("error", "busy", "asked to fail", 2, "retry"),
        (
            "record-too-old",
            "record-too-old",
            "max_record_age",
            0,
            "{\"a\":1}",
        ),
        ("unparsable", "unparsable", "JSON", 0, "no JSON"),
    ];
    assert_eq!(text.lines().count(), rows.len(), "{text}");
    for ((line, row), id) in text.lines().zip(rows).zip(1..) {
        let mut letter: Value = serde_json::from_str(line).expect("a letter a line");
        let fields = letter.as_object_mut().expect("an object");
        let mut took = |field: &str| {
            let value = fields.remove(field).unwrap_or_default();
            value.as_str().map(str::to_owned).expect(field)
        };
        assert_eq!(took("sequence_number").len(), 56);
        let (arrival, failed_at) = (took("arrival"), took("failed_at"));
        assert!(arrival.ends_with('Z') && arrival <= failed_at, "{line}");
        let (kind, code, words, attempts, data) = row;
        let error = took("error");
        assert!(error.contains(words), "{error}");
        // What the call took, where one gave the record up.
        for field in ["duration_ms", "memory_bytes"] {
            let value = fields.remove(field).expect(field);
            assert_eq!(value.is_number(), attempts > 0, "{field}: {value}");
        }
        let expected = json!({
            "mapping_id": status["id"],
            "mapping": "hostile/in",
            "id": id.to_string(),
            "partition_key": "k",
            "shard_id": "shardId-000000000000",
            "error_kind": kind,
            "code": code,
            "attempts": attempts,
            "function_version": 1,
            "status": "open",
            "data": data,
            "encoding": "text",
        });
        assert_eq!(letter, expected);
    }
}

#[test]
fn a_stream_of_letters_can_be_read_like_any_other() {
    let server = server();
    let deployed = deploy_hostile(&server, &["--on-failure", "stream:failures"]);
    let created = deployed["created"].as_array().expect("a list");
    assert!(created.contains(&"stream/failures".into()), "{deployed}");
    put(&server, "in", &skips(0..2), &["--key", "k"]);
    let records = tail(&server, "failures", 2);
    let letter: Value =
        serde_json::from_str(records[1]["data"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        (&records[1]["partition_key"], &letter["data"]),
        (&"k".into(), &"skip 1".into())
    );
    let refused = server.json(&["streams", "delete", "failures", "--yes"]);
    assert_eq!(refused.expect_err("it is in use").exit, Some(4));
}

#[test]
fn what_is_no_destination_is_refused_before_anything_is_made() {
    let server = server();
    let guest = crate::support::guest("hostile");
    for (to, exit, words) in [
        ("nowhere", 2, "is not a destination"),
        ("file:letters.ndjson", 7, "absolute"),
        ("file:/root/.profile", 7, ".ndjson"),
        ("https://u:secret-word@h/", 7, "credentials"),
        ("stream:in", 7, "come back"),
    ] {
        let refused = server
            .json(&[
                "deploy",
                &guest,
                "--stream",
                "in",
                "--to",
                "side=none",
                "--on-failure",
                to,
            ])
            .expect_err(to);
        assert_eq!(refused.exit, Some(exit), "{to}: {refused}");
        let told = refused.error.expect("an error object").to_string();
        assert!(
            told.contains(words) && !told.contains("secret-word"),
            "{to}: {told}"
        );
    }
    assert_eq!(all(&server, &["streams", "list"]).len(), 0);
}

//! Holes: bytes in a row that take headers and several frames. What lies behind them is read, what is lost is named no
//! wider than it is, and dead letters are served but for the damaged ones.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Output,
    time::Instant,
};

use fnctl_tests::{Server, text};
use serde_json::{Value, json};

use crate::{
    scrub::files,
    support::{
        all, deploy_hostile, describe, drained, kinesis, metric, one, put, refused, server_on, tail,
    },
};

/// First bytes of a frame.
const MAGIC: &[u8] = b"fnS1";

/// Stops a server once all it holds lies in segments.
fn stopped(server: Server) {
    while metric(&server, "fnctl_journal_unapplied_bytes") > 0.0 {}
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));
}

/// The segments that hold these bytes, by their streams.
fn holding(data: &Path, needle: &str) -> Vec<PathBuf> {
    let mut found = files(&data.join("streams"), ".segment");
    found.retain(|file| {
        let bytes = fs::read(file).expect("it is there");
        bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    });
    found
}

fn overwrite(file: &Path, at: usize, bytes: &[u8]) {
    let file = fs::File::options().write(true).open(file);
    let file = file.expect("it is there");
    file.write_all_at(bytes, at as u64).expect("it is written");
}

/// Waits until the mapping meets what it cannot read.
fn blocked(server: &Server) -> Value {
    loop {
        let status = describe(server, "hostile");
        if status["state"] == "blocked" {
            assert_eq!(status["reason"], "damaged", "{status}");
            return status;
        }
    }
}

/// First and last record of the one hole of `in`.
fn hole(server: &Server) -> (u64, u64) {
    let status = one(server, &["streams", "describe", "in"]);
    let damaged = status["damaged"].as_array().expect("places");
    assert_eq!(damaged.len(), 1, "{status}");
    let number = |name: &str| damaged[0][name].as_u64().expect("a number");
    (number("first_record"), number("last_record"))
}

/// Does the seek that a status proposes; answers its position.
fn goes_on(server: &Server, status: &Value) -> String {
    let actions = status["diagnosis"]["actions"].as_array().expect("steps");
    let seek = text(&actions[1], "command");
    let words: Vec<&str> = seek.split(' ').skip(1).collect();
    let to = words.iter().position(|word| *word == "--to");
    let to = words[to.expect("a position") + 1].to_owned();
    assert_ne!(
        to, "latest",
        "what is intact behind the hole is not given up"
    );
    let words = words.iter().map(|word| match *word {
        "--dry-run" => "--yes",
        word => word,
    });
    one(server, &words.collect::<Vec<&str>>());
    to
}

#[test]
fn a_seek_gets_past_a_hole_of_many_frames_and_loses_no_more_than_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = server_on(&data);
    deploy_hostile(&server, &[]);
    one(&server, &["mappings", "pause", "hostile"]);
    let lines: Vec<String> = (0..4_000).map(|n| format!("ok {n:0>500}")).collect();
    put(&server, "in", &lines, &["--key", "a"]);
    let arrived = Instant::now();
    stopped(server);
    let segment = holding(&data, &lines[2_000]).remove(0);
    overwrite(&segment, 700_000, &[0; 400_000]);

    let server = server_on(&data);
    one(&server, &["mappings", "resume", "hostile"]);
    let status = blocked(&server);
    let (first, last) = hole(&server);
    assert!(
        first > 1 && last > first + 500 && last < 3_000,
        "{first} to {last}"
    );
    let told = format!("records {first} to {last}");
    let words = text(&status["diagnosis"], "message");
    assert!(words.contains(&told), "{told}: {words}");
    // As old as what was read in front of it, whenever the server began and whatever was sought.
    let waited = u64::try_from(arrived.elapsed().as_millis()).expect("a while");
    let age = describe(&server, "hostile")["iterator_age_ms"].as_u64();
    assert!(age >= Some(waited), "{age:?} after {waited} ms");
    let series =
        "fnctl_shard_iterator_age_seconds{mapping=\"hostile/in\",shard=\"shardId-000000000000\"}";
    assert!(metric(&server, series) * 1_000.0 >= waited as f64);
    goes_on(&server, &status);
    let status = drained(&server, "hostile");
    assert_eq!(status["state"], "running", "{status}");
    let lost = usize::try_from(last - first + 1).expect("some");
    let kept = lines.len() - lost;
    let out = tail(&server, "out", kept);
    let out: Vec<&str> = out.iter().filter_map(|r| r["data"].as_str()).collect();
    let is_lost = |n: usize| (first..=last).contains(&(n as u64 + 1));
    let intact = lines.iter().enumerate().filter(|(n, _)| !is_lost(*n));
    let intact: Vec<&str> = intact.map(|(_, line)| line.as_str()).collect();
    assert!(out == intact, "{} of {}", out.len(), intact.len());
    assert_eq!(hole(&server), (first, last), "no reader named more");
}

#[test]
fn a_few_bytes_in_two_frames_cost_these_two() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = server_on(&data);
    deploy_hostile(&server, &[]);
    one(&server, &["mappings", "pause", "hostile"]);
    // Each is a frame of its own.
    let lines: Vec<String> = (1..=12)
        .map(|n| format!("ok {n} {}", "x".repeat(300_000)))
        .collect();
    for line in &lines {
        put(&server, "in", std::slice::from_ref(line), &["--key", "a"]);
    }
    stopped(server);
    let segment = holding(&data, "ok 5 xxx").remove(0);
    let bytes = fs::read(&segment).expect("it is there");
    let fifth = bytes.windows(8).position(|window| window == b"ok 5 xxx");
    let fifth = fifth.expect("it is there");
    let header = bytes[..fifth]
        .windows(4)
        .rposition(|window| window == MAGIC);
    let header = header.expect("a frame begins in front of it");
    overwrite(&segment, header - 20, &[0xA5; 40]);

    let server = server_on(&data);
    one(&server, &["mappings", "resume", "hostile"]);
    let status = blocked(&server);
    assert_eq!(hole(&server), (4, 5));
    // A stock reader gets what is there, from the place that is proposed.
    let to = goes_on(&server, &status);
    let ask = json!({
        "StreamName": "in",
        "ShardId": "shardId-000000000000",
        "ShardIteratorType": "AT_SEQUENCE_NUMBER",
        "StartingSequenceNumber": to,
    });
    let (code, answer) = kinesis(&server, "GetShardIterator", &ask.to_string());
    assert_eq!(code, 200, "{answer}");
    let iterator: Value = serde_json::from_str(&answer).expect("JSON");
    let ask = json!({"ShardIterator": iterator["ShardIterator"], "Limit": 100});
    let (code, answer) = kinesis(&server, "GetRecords", &ask.to_string());
    assert_eq!(code, 200, "{answer}");
    let records: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(records["Records"][0]["SequenceNumber"], to.as_str());
    let status = drained(&server, "hostile");
    assert_eq!(status["state"], "running", "{status}");
    assert_eq!(tail(&server, "out", 10).len(), 10);
    assert_eq!(hole(&server), (4, 5));
}

/// What a command prints, and its exit code.
fn said(server: &Server, words: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = server
        .command(words)
        .args(["-o", "json"])
        .output()
        .expect("it runs");
    let stdout = String::from_utf8_lossy(&stdout);
    let lines = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    (status.code(), lines.collect(), stderr)
}

#[test]
fn dead_letters_are_served_but_for_the_damaged_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = server_on(&data);
    deploy_hostile(&server, &[]);
    for n in 1..=20 {
        let line = format!("skip {n} {}", "x".repeat(100_000));
        put(&server, "in", &[line], &["--key", "a"]);
    }
    drained(&server, "hostile");
    stopped(server);
    // The letters' stream is the newest.
    let segment = holding(&data, "skip 7 xxx").pop().expect("two hold it");
    let bytes = fs::read(&segment).expect("it is there");
    let seventh = bytes.windows(10).position(|window| window == b"skip 7 xxx");
    overwrite(&segment, seventh.expect("it is there") + 500, &[0xA5; 40]);

    let server = server_on(&data);
    let ids = |letters: &[Value]| -> Vec<String> {
        letters.iter().map(|letter| text(letter, "id")).collect()
    };
    let others: Vec<String> = (1..=20)
        .filter(|n| *n != 7)
        .map(|n| n.to_string())
        .collect();
    let names_it = |stderr: &str| {
        let last = stderr.lines().last().unwrap_or_default();
        let error: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {stderr}"));
        let error = &error["error"];
        assert_eq!(error["code"], "FN5003", "{stderr}");
        assert!(text(error, "message").contains(": 7"), "{stderr}");
        assert!(text(error, "why").contains("records 7 to 7"), "{stderr}");
    };
    for words in [
        &["dlq", "list", "hostile"][..],
        &["dlq", "list", "hostile", "--limit", "100"],
        &["dlq", "export", "hostile"],
    ] {
        let (exit, letters, stderr) = said(&server, words);
        assert_eq!(
            (exit, ids(&letters)),
            (Some(1), others.clone()),
            "{words:?}"
        );
        names_it(&stderr);
    }
    let (exit, codes, stderr) = said(&server, &["dlq", "list", "hostile", "--by-code"]);
    assert_eq!((exit, &codes[0]["letters"]), (Some(1), &19.into()));
    names_it(&stderr);
    // A list that ends in front of it met nothing.
    assert_eq!(
        all(&server, &["dlq", "list", "hostile", "--limit", "3"]).len(),
        3
    );
    let text_list = server.command(&["dlq", "list", "hostile"]).output();
    let text_list = text_list.expect("it runs");
    let lines = String::from_utf8_lossy(&text_list.stdout).lines().count();
    assert!(
        lines > 19 && text_list.status.code() == Some(1),
        "{text_list:?}"
    );
    let file = folder.path().join("letters.ndjson");
    let to = file.to_string_lossy().into_owned();
    let (exit, told, stderr) = said(&server, &["dlq", "export", "hostile", "--to", &to]);
    assert_eq!((exit, &told[0]["exported"]), (Some(1), &19.into()));
    names_it(&stderr);
    assert_eq!(
        fs::read_to_string(&file)
            .expect("it is kept")
            .lines()
            .count(),
        19
    );
    assert_eq!(one(&server, &["dlq", "show", "hostile", "20"])["id"], "20");
    let (exit, error) = refused(&server, &["dlq", "show", "hostile", "7"]);
    assert_eq!(
        (exit, &error["code"]),
        (Some(1), &"FN5003".into()),
        "{error}"
    );

    // The figures agree, and the status tells it.
    let open = "fnctl_dead_letters_open{mapping=\"hostile/in\"}";
    assert_eq!(metric(&server, open), 20.0);
    let status = describe(&server, "hostile");
    assert_eq!(status["dead_letters_by_code"], json!({"refused": 19}));
    assert_eq!(status["dead_letters_damaged"], 1, "{status}");
    let message = text(&status["diagnosis"], "message");
    assert!(
        message.contains("20 dead letters open, 1 of them damaged at rest"),
        "{message}"
    );

    // Nobody knows its code: it is left, and said to be.
    let purge = ["dlq", "purge", "hostile", "--code", "refused", "--dry-run"];
    let (exit, would, stderr) = said(&server, &purge);
    assert_eq!(
        (exit, &would[0]["purged"]),
        (Some(1), &19.into()),
        "{stderr}"
    );
    assert_eq!(would[0]["damaged"]["ids"], json!(["7"]));
    let redrive = ["dlq", "redrive", "hostile", "--all", "--wait"];
    let (exit, done, stderr) = said(&server, &redrive);
    assert_eq!(
        (exit, &done[0]["redriven"], &done[0]["dead_lettered"]),
        (Some(1), &19.into(), &19.into()),
        "{stderr}"
    );
    assert_eq!(done[0]["damaged"]["letters"], 1);
    assert!(
        stderr.contains("FN5003") && stderr.contains(": 7"),
        "{stderr}"
    );
    let (exit, _, stderr) = said(&server, &["dlq", "redrive", "hostile", "7"]);
    assert_eq!(exit, Some(1));
    names_it(&stderr);
    assert_eq!(describe(&server, "hostile")["dead_letters_damaged"], 1);
    assert_eq!(metric(&server, open), 20.0);

    // Whoever throws all away throws it away as well.
    let purged = one(&server, &["dlq", "purge", "hostile", "--all", "--yes"]);
    assert_eq!(
        (&purged["purged"], &purged["damaged"]["letters"]),
        (&20.into(), &1.into())
    );
    assert_eq!(metric(&server, open), 0.0);
    assert!(all(&server, &["dlq", "list", "hostile"]).is_empty());
    let status = describe(&server, "hostile");
    assert_eq!(status["dead_letters_damaged"], 0, "{status}");
}

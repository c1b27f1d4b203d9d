//! Bounds of streams, from outside: what is refused in which words, what waits, what goes, and what a
//! restart remembers.

use std::path::Path;

use fnctl_tests::{Server, request};
use serde_json::Value;

use crate::support::{
    describe, drained, guest, kinesis, metric, one, put, refused, server, server_on, tail,
};

const MIB: usize = 1 << 20;

/// Puts one record of almost a mebibyte; the status and what it says.
fn put_large(server: &Server, stream: &str) -> (u16, Value) {
    let body = format!("{}\n", "x".repeat(MIB - 100));
    let path = format!("/v1/streams/{stream}/records");
    let answer = request(&server.api, "POST", &path, &[], body.as_bytes());
    let answer = answer.unwrap_or_else(|e| panic!("{e}"));
    let text = answer.text();
    let said = serde_json::from_str(text.lines().next_back().unwrap_or_default());
    (answer.status, said.unwrap_or_default())
}

/// Puts until nothing more is taken; the refusal.
fn fill(server: &Server, stream: &str) -> Value {
    for _ in 0..200 {
        let (status, said) = put_large(server, stream);
        if status == 429 {
            return said["error"].clone();
        }
        assert_eq!(status, 200, "{said}");
    }
    panic!("nothing is ever refused");
}

fn stored(server: &Server, stream: &str) -> u64 {
    let line = one(server, &["streams", "describe", stream]);
    line["stored_bytes"].as_u64().expect("it is told")
}

/// One PutRecord as any Kinesis client sends it.
fn kinesis_put(server: &Server, stream: &str) -> (u16, String) {
    let body = format!(
        r#"{{"StreamName":"{stream}","PartitionKey":"k","Data":"{}"}}"#,
        "eHh4".repeat(1_000)
    );
    kinesis(server, "PutRecord", &body)
}

#[test]
fn a_stream_at_its_quota_refuses_every_way_in_and_remembers_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    let made = one(&server, &["streams", "create", "q", "--quota", "64MiB"]);
    assert_eq!(
        (
            &made["quota_bytes"],
            &made["retention_bytes"],
            &made["stored_bytes"]
        ),
        (&(64 << 20).into(), &Value::Null, &0.into())
    );
    one(&server, &["streams", "create", "free"]);
    let error = fill(&server, "q");
    assert_eq!(error["code"], "FN3009", "{error}");
    let words = error["message"].as_str().unwrap_or_default();
    assert!(
        words.contains("`q`") && words.contains("67108864"),
        "{words}"
    );
    assert!(
        error["fix"]
            .as_str()
            .is_some_and(|fix| fix.contains("streams update q"))
    );
    let full = stored(&server, "q");
    assert!(full <= 64 << 20 && full > 60 << 20, "{full}");

    let file = server.folder().join("one.ndjson");
    std::fs::write(&file, "y".repeat(MIB - 100)).expect("a file beside the server");
    let (exit, error) = refused(&server, &["put", "q", "--file", &file.to_string_lossy()]);
    assert_eq!((exit, error["code"].as_str()), (Some(1), Some("FN3009")));
    let fix = error["fix"].as_str().unwrap_or_default();
    assert!(
        fix.contains("--quota") && fix.contains("then go on: fnctl put q --file"),
        "{fix}"
    );
    // Small ones fit until the last byte is gone.
    let mut last = (200, String::new());
    for _ in 0..1_000 {
        last = kinesis_put(&server, "q");
        if last.0 != 200 {
            break;
        }
    }
    assert_eq!(last.0, 400, "{}", last.1);
    assert!(
        last.1.contains("ProvisionedThroughputExceededException"),
        "{}",
        last.1
    );
    let many = format!(
        r#"{{"StreamName":"q","Records":[{{"PartitionKey":"k","Data":"{}"}}]}}"#,
        "eHh4".repeat(1_000)
    );
    let (status, text) = kinesis(&server, "PutRecords", &many);
    assert!(
        status == 400 || text.contains("\"FailedRecordCount\":1"),
        "{status} {text}"
    );
    assert!(
        text.contains("ProvisionedThroughputExceededException"),
        "{text}"
    );
    // Another stream is not concerned, and reads go on.
    assert_eq!(kinesis_put(&server, "free").0, 200);
    assert_eq!(tail(&server, "q", 1).len(), 1);
    assert!(metric(&server, "fnctl_stream_stored_bytes{stream=\"q\"}") > 60e6);
    assert_eq!(
        metric(&server, "fnctl_stream_quota_bytes{stream=\"q\"}"),
        67_108_864.0
    );

    server.kill().unwrap_or_else(|e| panic!("{e}"));
    let server = server_on(folder.path());
    let line = one(&server, &["streams", "describe", "q"]);
    assert_eq!(line["quota_bytes"], 64 << 20);
    assert_eq!(put_large(&server, "q").0, 429);
    let line = one(&server, &["streams", "update", "q", "--quota", "1GiB"]);
    assert_eq!(line["quota_bytes"], 1 << 30);
    assert_eq!(put_large(&server, "q").0, 200);
}

#[test]
fn a_mapping_waits_for_room_in_its_output_and_goes_on_by_itself() {
    let server = server();
    one(&server, &["streams", "create", "out", "--quota", "64MiB"]);
    one(
        &server,
        &[
            "deploy",
            &guest("echo"),
            "--stream",
            "in",
            "--to",
            "out",
            "--max-attempts",
            "1",
        ],
    );
    fill(&server, "out");
    let line = "z".repeat(MIB - 100);
    put(&server, "in", &[line.clone(), line], &[]);
    let status = loop {
        let status = describe(&server, "echo");
        if status["state"] == "blocked" {
            break status;
        }
    };
    assert_eq!(status["reason"], "output-full", "{status}");
    let found = &status["diagnosis"];
    assert_eq!(found["code"], "output-full", "{status}");
    let command = &found["actions"][1]["command"];
    assert_eq!(command, "fnctl streams update out --quota default");
    let totals = &status["totals"];
    assert_eq!(
        (&totals["failed"], &totals["dead_lettered"]),
        (&0.into(), &0.into()),
        "waiting costs nothing"
    );
    let update = ["streams", "update", "out", "--quota", "default"];
    assert_eq!(one(&server, &update)["quota_bytes"], Value::Null);
    let status = drained(&server, "echo");
    assert_eq!(status["totals"]["processed"], 2, "{status}");
    assert_eq!(status["state"], "running");
}

#[test]
fn beyond_its_size_a_stream_lets_its_oldest_records_go() {
    let server = server();
    one(
        &server,
        &["streams", "create", "ring", "--retention-bytes", "64MiB"],
    );
    for _ in 0..100 {
        let (status, said) = put_large(&server, "ring");
        assert_eq!(status, 200, "{said}");
    }
    let status = loop {
        let status = one(&server, &["streams", "describe", "ring"]);
        if status["stored_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes <= 64 << 20)
        {
            break status;
        }
    };
    let kept = status["shard_list"][0]["records"].as_u64().unwrap_or(0);
    assert!((30..=64).contains(&kept), "{status}");
    let on_disk = du(&server.data_dir.join("streams"));
    assert!(on_disk <= 66 << 20, "{on_disk} bytes on the disk");
}

/// Bytes of all files below a directory.
fn du(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => du(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn bounds_that_make_no_sense_are_refused_by_name() {
    let server = server();
    one(&server, &["streams", "create", "s", "--quota", "1GiB"]);
    for (flags, exit) in [
        (&["--quota", "1MiB"][..], 7),
        (&["--quota", "huge"], 2),
        (&["--retention-bytes", "1GiB"], 7),
        (&["--retention", "1s"], 7),
        (&[], 2),
    ] {
        let arguments = [&["streams", "update", "s"], flags].concat();
        let (code, error) = refused(&server, &arguments);
        assert_eq!(code, Some(exit), "{flags:?}: {error}");
    }
    let (exit, error) = refused(&server, &["streams", "update", "none", "--quota", "1GiB"]);
    assert_eq!((exit, error["code"].as_str()), (Some(3), Some("FN3001")));
    let answer = request(
        &server.api,
        "PATCH",
        "/v1/streams/s",
        &[],
        br#"{"shards":3}"#,
    );
    assert_eq!(answer.unwrap_or_else(|e| panic!("{e}")).status, 400);
    let manifest = one(
        &server,
        &["streams", "update", "s", "--retention-bytes", "512MiB"],
    );
    assert_eq!(manifest["retention_bytes"], 512 << 20);
}

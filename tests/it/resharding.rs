//! Splits and merges end to end: order per key, nothing lost, nothing twice (Lambda ESM specification §6, §22
//! row Order).

use std::ffi::OsStr;

use serde_json::Value;

use crate::{
    kinesis::shards_hold,
    support::{
        all, ask, deploy_hostile, describe, drained, error_of, guest, metric, one, put, server,
        server_on, tail,
    },
};

fn shards_of(status: &Value) -> Vec<(String, bool)> {
    let shards = status["shard_list"].as_array().expect("shards").iter();
    shards
        .map(|shard| {
            let id = shard["shard_id"].as_str().expect("an id");
            (
                id.replace("shardId-00000000000", ""),
                !shard["closed_at"].is_null(),
            )
        })
        .collect()
}

/// The proof: 5 000 ordered records of 20 keys through a mapping while shards of both its streams
/// split and merge, across a `kill -9`.
#[test]
fn order_per_key_holds_over_splits_merges_and_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let load = |server: &fnctl_tests::Server, first: &str, last: &str| {
        shards_hold(
            server,
            "reshard_under_load",
            &[OsStr::new(first), OsStr::new(last)],
        );
    };
    let server = server_on(folder.path());
    let component = guest("echo");
    let lanes = ["--parallelization-factor", "2", "--batch-size", "20"];
    let words = ["deploy", &component, "--stream", "in", "--to", "out"];
    one(&server, &[&words[..], &lanes[..]].concat());
    load(&server, "0", "2500");
    server.kill().unwrap_or_else(|e| panic!("{e}"));

    let server = server_on(folder.path());
    load(&server, "2500", "5000");
    let status = drained(&server, "echo");
    assert_eq!(status["totals"]["processed"], 5_000);
    assert_eq!(status["totals"]["emitted"], 5_000);
    for stream in ["in", "out"] {
        let count = OsStr::new("5000");
        shards_hold(&server, "read_resharded", &[OsStr::new(stream), count]);
    }
    // Our own tail reads parents before children too.
    let records = tail(&server, "out", 5_000);
    for key in 0..20 {
        let name = format!("key-{key}");
        let of_key = records
            .iter()
            .filter(|r| r["partition_key"] == name.as_str());
        let seen: Vec<u64> = of_key
            .map(|r| {
                r["data"]
                    .as_str()
                    .and_then(|data| data.parse().ok())
                    .expect("a number")
            })
            .collect();
        let expected: Vec<u64> = (0..5_000).filter(|n| n % 20 == key).collect();
        assert_eq!(seen, expected, "{name}");
    }
    // Closed and settled: nobody runs them, and nobody is missed.
    let series = |name: &str| metric(&server, &format!("{name}{{mapping=\"echo/in\"}}"));
    assert_eq!(series("fnctl_mapping_shards"), 4.0);
    assert_eq!(series("fnctl_mapping_shards_owned"), 4.0);
}

#[test]
fn shards_are_split_merged_and_resized_from_the_command_line() {
    let server = server();
    one(&server, &["streams", "create", "s"]);
    put(
        &server,
        "s",
        &["a".to_owned(), "b".to_owned()],
        &["--key", "k"],
    );
    let split = one(
        &server,
        &["streams", "split", "s", "--shard", "shardId-000000000000"],
    );
    let (open, closed) = (false, true);
    let expect = |list: &[(&str, bool)]| -> Vec<(String, bool)> {
        list.iter()
            .map(|(id, is_closed)| ((*id).to_owned(), *is_closed))
            .collect()
    };
    assert_eq!(
        shards_of(&split),
        expect(&[("0", closed), ("1", open), ("2", open)])
    );
    assert_eq!(split["shards"], 2);
    let parent = &split["shard_list"][0];
    assert_eq!(parent["records"], 2);
    assert_eq!(
        parent["children"],
        serde_json::json!(["shardId-000000000001", "shardId-000000000002"])
    );
    assert_eq!(
        split["shard_list"][1]["parents"],
        serde_json::json!(["shardId-000000000000"])
    );

    // Either order, and numbers for ids.
    let merged = one(
        &server,
        &["streams", "merge", "s", "--shard", "2", "--shard", "1"],
    );
    assert_eq!(merged["shards"], 1);
    let at = ["streams", "split", "s", "--shard", "3", "--at", "1000"];
    assert_eq!(one(&server, &at)["shard_list"][4]["ending_hash_key"], "999");
    let resized = one(&server, &["streams", "resize", "s", "--shards", "5"]);
    assert_eq!(resized["shards"], 5);
    let listed = &all(&server, &["streams", "list"])[0];
    assert_eq!(listed["shards"], 5);
    let same = one(&server, &["streams", "resize", "s", "--shards", "5"]);
    assert_eq!(shards_of(&same), shards_of(&resized));
    assert_eq!(tail(&server, "s", 2).len(), 2);

    let text = server
        .command(&["streams", "describe", "s"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("now 1 and 2"), "{text}");
    assert!(text.contains("from 1 and 2"), "{text}");
}

#[test]
fn what_cannot_be_split_merged_or_resized_says_why() {
    let server = server();
    one(&server, &["streams", "create", "s", "--shards", "3"]);
    one(&server, &["streams", "split", "s", "--shard", "0"]);
    for (words, code, exit) in [
        (&["split", "s", "--shard", "9"][..], "FN3020", 3),
        (&["split", "s", "--shard", "x"], "FN3020", 3),
        (&["split", "s", "--shard", "0"], "FN3021", 4),
        (&["split", "s", "--shard", "1", "--at", "7"], "FN3022", 7),
        (
            &["split", "s", "--shard", "1", "--at", "seven"],
            "FN3022",
            7,
        ),
        (&["merge", "s", "--shard", "1", "--shard", "3"], "FN3022", 7),
        (&["merge", "s", "--shard", "1"], "FN1001", 2),
        (&["resize", "s", "--shards", "0"], "FN1020", 7),
        (&["resize", "t", "--shards", "2"], "FN3001", 3),
    ] {
        let words = [&["streams"], words, &["-o", "json"]].concat();
        let output = server.command(&words).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{words:?}: {stderr}");
        if code != "FN1001" {
            assert!(
                stderr.contains(&format!("\"code\":\"{code}\"")),
                "{words:?}: {stderr}"
            );
        }
    }
    let answer = ask(&server, "POST", "/v1/streams/s/resize", b"{\"shards\":0}");
    assert_eq!(error_of(&answer, "resize")["code"], "FN3022");
}

#[test]
fn a_child_waits_for_the_key_that_is_parked_in_its_parent() {
    let server = server();
    let backoff = [
        "--max-attempts",
        "2",
        "--backoff-initial",
        "1h",
        "--backoff-max",
        "1h",
    ];
    deploy_hostile(&server, &backoff);
    let record = |text: &str| vec![text.to_owned()];
    put(&server, "in", &record("retry"), &["--key", "poison"]);
    put(&server, "in", &record("ok 1"), &["--key", "good"]);
    one(&server, &["streams", "split", "in", "--shard", "0"]);
    put(&server, "in", &record("ok 2"), &["--key", "good"]);
    let status = loop {
        let status = describe(&server, "hostile");
        if status["totals"]["processed"] == 1 && status["totals"]["failed"] == 1 {
            break status;
        }
    };
    let shards = status["shards"].as_array().expect("shards");
    assert_eq!(shards.len(), 3);
    assert_eq!(
        (&shards[0]["why"], &shards[0]["pending_records"]),
        (&Value::Null, &1.into())
    );
    let mut pending = 0;
    for child in &shards[1..] {
        assert_eq!(child["why"], "waiting-for-parents");
        assert_eq!(child["waits_for"], "shardId-000000000000");
        assert_eq!(child["waits_for_key"], "poison");
        pending += child["pending_records"].as_u64().expect("a number");
    }
    assert_eq!((pending, &status["pending_records"]), (1, &2.into()));
    let text = server
        .command(&["mappings", "describe", "hostile"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let expected = "waiting-for-parents: shardId-000000000000, where key `poison` is parked";
    assert!(text.contains(expected), "{text}");
    let series = "fnctl_mapping_shards{mapping=\"hostile/in\"}";
    assert_eq!(metric(&server, series), 1.0);

    // Another backoff is another worker: the key has its second call, is given up, and the children go on.
    deploy_hostile(
        &server,
        &[
            "--max-attempts",
            "2",
            "--backoff-initial",
            "1ms",
            "--backoff-max",
            "1ms",
        ],
    );
    let status = drained(&server, "hostile");
    assert_eq!(status["totals"]["processed"], 2);
    assert_eq!(status["totals"]["dead_lettered"], 1);
    let shards = status["shards"].as_array().expect("shards");
    let ended: Vec<bool> = shards
        .iter()
        .filter_map(|shard| shard["ended"].as_bool())
        .collect();
    assert_eq!(ended, [true, false, false]);
}

#[test]
fn a_tail_goes_on_with_the_children() {
    let server = server();
    one(&server, &["streams", "create", "s"]);
    let lines = |from: u32| (from..from + 10).map(|n| n.to_string()).collect::<Vec<_>>();
    let words = [
        "tail",
        "s",
        "--from",
        "trim-horizon",
        "--count",
        "30",
        "--timeout",
        "60s",
    ];
    put(&server, "s", &lines(0), &["--key", "k"]);
    let following = server.command(&[&words[..], &["-o", "json"]].concat());
    let mut following = following;
    let child = following
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    one(&server, &["streams", "split", "s", "--shard", "0"]);
    put(&server, "s", &lines(10), &["--key", "k"]);
    one(&server, &["streams", "resize", "s", "--shards", "3"]);
    put(&server, "s", &lines(20), &["--key", "k"]);
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen: Vec<String> = text
        .lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).expect("JSON");
            record["data"].as_str().expect("text").to_owned()
        })
        .collect();
    assert_eq!(seen, (0..30).map(|n| n.to_string()).collect::<Vec<_>>());
}

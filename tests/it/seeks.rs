//! A mapping is sent elsewhere in its stream by hand.

use serde_json::Value;

use crate::{
    scrub::{files, flip},
    support::{
        all, deploy_hostile, describe, drained, metric, one, put, refused, server, server_on, tail,
    },
};

fn seek(server: &fnctl_tests::Server, to: &str) -> Value {
    one(
        server,
        &["mappings", "seek", "hostile", "--to", to, "--yes"],
    )
}

fn counts(seek: &Value) -> Vec<(u64, u64)> {
    let shards = seek["shards"].as_array().expect("shards");
    let count = |shard: &Value, name: &str| shard[name].as_u64().expect("a count");
    shards
        .iter()
        .map(|shard| {
            (
                count(shard, "pending_before"),
                count(shard, "pending_records"),
            )
        })
        .collect()
}

#[test]
fn a_seek_back_processes_again_and_one_to_the_end_passes_over() {
    let server = server();
    deploy_hostile(&server, &[]);
    let lines: Vec<String> = (1..=5).map(|n| format!("ok {n}")).collect();
    put(&server, "in", &lines, &["--key", "a"]);
    let records = tail(&server, "in", 5);
    drained(&server, "hostile");
    let refused = server.one(&["mappings", "seek", "hostile", "--to", "trim-horizon"]);
    let refused = refused.expect_err("nobody was asked");
    assert_eq!(refused.exit, Some(2), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("5 records will be processed again"),
        "{refused}"
    );
    assert_eq!(tail(&server, "out", 5).len(), 5);
    // The record of a sequence number is the next.
    let third = fnctl_tests::text(&records[2], "sequence_number");
    assert_eq!(counts(&seek(&server, &third)), [(0, 3)]);
    let data: Vec<Value> = tail(&server, "out", 8)
        .iter()
        .map(|r| r["data"].clone())
        .collect();
    assert_eq!(data[5..], ["ok 3", "ok 4", "ok 5"]);
    // Totals start anew with a seek.
    assert_eq!(drained(&server, "hostile")["totals"]["processed"], 3);
    // It works on a mapping that does not run, and what it passes over is never seen.
    one(&server, &["mappings", "pause", "hostile"]);
    put(
        &server,
        "in",
        &["ok 6".to_owned(), "ok 7".to_owned()],
        &["--key", "a"],
    );
    let sought = seek(&server, "latest");
    assert_eq!(counts(&sought), [(2, 0)]);
    let status = describe(&server, "hostile");
    assert_eq!(status["totals"]["polled"], 0, "{status}");
    let checkpoint = status["shards"][0]["checkpoint"].clone();
    assert_eq!(sought["shards"][0]["to"], checkpoint);
    one(&server, &["mappings", "resume", "hostile"]);
    put(&server, "in", &["ok 8".to_owned()], &["--key", "a"]);
    let data: Vec<Value> = tail(&server, "out", 9)
        .iter()
        .map(|r| r["data"].clone())
        .collect();
    assert_eq!(data[8], "ok 8");
    assert_eq!(counts(&seek(&server, "1h")), [(0, 8)]);
    tail(&server, "out", 17);
    let log = server.log();
    let said = log.lines().filter(|line| line.contains("sent elsewhere"));
    let said: Vec<&str> = said.collect();
    assert_eq!(said.len(), 3, "{log}");
    assert!(
        said.iter().all(|line| line.contains("127.0.0.1:")),
        "who: {said:?}"
    );
}

#[test]
fn a_seek_names_a_shard_or_a_place_that_is_there() {
    let server = server();
    deploy_hostile(&server, &["--shards", "2"]);
    put(&server, "in", &["ok 1".to_owned(), "ok 2".to_owned()], &[]);
    drained(&server, "hostile");
    let shard = "shardId-000000000001";
    let words = [
        "mappings",
        "seek",
        "hostile",
        "--to",
        "trim-horizon",
        "--shard",
    ];
    let one_shard = one(&server, &[&words[..], &[shard, "--dry-run"]].concat());
    let shards = one_shard["shards"].as_array().expect("shards");
    assert_eq!((shards.len(), &shards[0]["shard_id"]), (1, &shard.into()));
    assert_eq!(one_shard["dry_run"], true);
    for (more, exit) in [
        (&["--to", "yesterday"][..], 2),
        (&["--to", "latest", "--shard", "shardId-000000000009"], 3),
        (
            &[
                "--to",
                "49590338271490256608559692538361571095921575989136588898",
            ],
            7,
        ),
    ] {
        let words = [&["mappings", "seek", "hostile", "--yes"][..], more].concat();
        assert_eq!(
            server.one(&words).expect_err("refused").exit,
            Some(exit),
            "{more:?}"
        );
    }
    let missing = server.one(&["mappings", "seek", "nobody", "--to", "latest", "--yes"]);
    assert_eq!(missing.expect_err("there is none").exit, Some(3));
    assert_eq!(
        all(&server, &["dlq", "list", "hostile"]),
        Vec::<Value>::new()
    );
}

#[test]
fn counters_do_not_fall_with_a_seek_nor_with_a_restart_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let processed = r#"fnctl_records_processed_total{mapping="hostile/in"}"#;
    let server = server_on(&data);
    deploy_hostile(&server, &["--shards", "2"]);
    let lines: Vec<String> = (0..40).map(|n| format!("ok {n}")).collect();
    put(&server, "in", &lines, &[]);
    drained(&server, "hostile");
    let by_shard = || {
        ["0", "1"].map(|n| {
            let shard = format!("shardId-00000000000{n}");
            let labels = format!(r#"mapping="hostile/in",shard="{shard}""#);
            metric(
                &server,
                &format!("fnctl_shard_settled_records_total{{{labels}}}"),
            ) as u64
        })
    };
    assert_eq!(metric(&server, processed) as u64, 40);
    let settled = by_shard();
    assert_eq!(settled[0] + settled[1], 40);
    seek(&server, "latest");
    assert_eq!(metric(&server, processed) as u64, 40);
    assert_eq!(by_shard(), settled);
    seek(&server, "trim-horizon");
    assert_eq!(
        drained(&server, "hostile")["totals"]["processed"],
        40,
        "totals are those since the seek"
    );
    assert_eq!(metric(&server, processed) as u64, 80);
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));
    let server = server_on(&data);
    assert_eq!(metric(&server, processed) as u64, 80);
}

#[test]
fn a_seek_that_is_only_asked_about_says_what_it_would_come_to() {
    let server = server();
    deploy_hostile(&server, &[]);
    put(&server, "in", &["ok 1".to_owned()], &["--key", "a"]);
    drained(&server, "hostile");
    one(&server, &["mappings", "pause", "hostile"]);
    put(
        &server,
        "in",
        &["ok 2".to_owned(), "ok 3".to_owned()],
        &["--key", "a"],
    );
    let would = |to: &str| {
        let words = ["mappings", "seek", "hostile", "--to", to, "--dry-run"];
        let told = server.command(&words).output().expect("it runs");
        String::from_utf8_lossy(&told.stdout).into_owned()
    };
    for (to, said) in [
        ("latest", "2 pending records will not be processed"),
        ("trim-horizon", "1 record will be processed again"),
    ] {
        assert!(would(to).contains(said), "{}", would(to));
    }
    // A time that is to come is no way to spell the end.
    for more in ["--dry-run", "--yes"] {
        let words = [
            "mappings",
            "seek",
            "hostile",
            "--to",
            "2100-01-01T00:00:00Z",
            more,
        ];
        let (exit, error) = refused(&server, &words);
        assert_eq!((exit, &error["code"]), (Some(7), &"FN2102".into()));
        let words = error["message"].as_str().unwrap_or_default();
        assert!(words.contains("lies in the future"), "{error}");
    }
    assert_eq!(describe(&server, "hostile")["pending_records"], 2);
}

#[test]
fn a_seek_goes_on_behind_a_damaged_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = server_on(&data);
    deploy_hostile(&server, &[]);
    one(&server, &["mappings", "pause", "hostile"]);
    let lines: Vec<String> = (0..2_000).map(|n| format!("{n:0>400}")).collect();
    put(&server, "in", &lines, &["--key", "a"]);
    assert_eq!(server.stop().unwrap_or_else(|e| panic!("{e}")), Some(0));
    let found = files(&data.join("streams"), ".segment");
    let long =
        |file: &&std::path::PathBuf| std::fs::metadata(file).is_ok_and(|m| m.len() > 600_000);
    let segment = found.iter().find(long).expect("the records lie in a file");
    flip(segment, 300_000);
    let server = server_on(&data);
    let restarted = fnctl_tests::text(&one(&server, &["streams", "create", "later"]), "created_at");
    one(&server, &["mappings", "resume", "hostile"]);
    let blocked = loop {
        let status = describe(&server, "hostile");
        if status["state"] == "blocked" {
            break status;
        }
    };
    assert_eq!(blocked["reason"], "damaged", "{blocked}");
    // Since when it was met, not since the oldest record that waits for it came; times are spelt alike.
    let since = fnctl_tests::text(&blocked["diagnosis"], "since");
    assert!(since > restarted, "{since}: {blocked}");
    let said = server.log();
    let line = said.lines().find(|line| line.contains("its unit stops"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    for field in [
        "path=",
        "offset=",
        "stream=\"in\"",
        "shard=shardId-000000000000",
    ] {
        assert!(line.contains(field), "{field}: {line}");
    }
    let pending = blocked["pending_records"].as_u64().expect("a count");
    assert!(pending > 0);
    // What cannot be read is as old as what lies behind it at least.
    assert!(blocked["iterator_age_ms"].as_u64() > Some(0), "{blocked}");
    // How an operator goes on: what lies in between is passed over, and said to be.
    // The damage is told as soon as it is met: what was read in front of it may still be settled meanwhile.
    let [(before, 0)] = counts(&seek(&server, "latest"))[..] else {
        panic!("nothing is left behind the end");
    };
    assert!(before > 0 && before <= pending, "{before} of {pending}");
    put(&server, "in", &["ok after".to_owned()], &["--key", "a"]);
    let status = drained(&server, "hostile");
    assert_eq!(
        (&status["state"], &status["totals"]["processed"]),
        (&"running".into(), &1.into())
    );
}

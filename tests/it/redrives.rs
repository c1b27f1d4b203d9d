//! A redrive that was answered is carried out, whatever happens to the server.

use std::{path::Path, process::Stdio};

use fnctl_tests::Server;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    all, ask, deploy_hostile, describe, drained, error_of, one, put, put_keyed, server, server_on,
    tail,
};

/// Letters that fail again.
const FAILING: usize = 5;
/// Letters that succeed the second time.
const MENDED: usize = 55;

/// A server that is not careful: deaths are what is wanted, and letters wait while it is.
fn start(data: &Path) -> Server {
    drop(std::fs::remove_file(data.join("unclean-stops")));
    server_on(data)
}

/// A server with letters: those that fail again come first.
fn with_letters(data: &Path) -> Server {
    let server = start(data);
    // So many that fail alike would be taken for an outage.
    let options = ["--max-attempts", "1", "--circuit-breaker=off"];
    deploy_hostile(&server, &options);
    for (word, count) in [("retry-until 9", FAILING), ("retry-until 2", MENDED)] {
        put(&server, "in", &vec![word.to_owned(); count], &[]);
        drained(&server, "hostile");
    }
    server
}

fn emitted(server: &Server) -> usize {
    let totals = describe(server, "hostile")["totals"].clone();
    usize::try_from(totals["emitted"].as_u64().unwrap_or(0)).expect("few")
}

fn keys(lines: &[Value]) -> Vec<String> {
    let key = |line: &Value| fnctl_tests::text(line, "partition_key");
    let mut keys: Vec<String> = lines.iter().map(key).collect();
    keys.sort_unstable();
    keys
}

fn noted(data: &Path) -> usize {
    let text = std::fs::read_to_string(data.join("redrives.json")).expect("it was noted");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    file["redrives"].as_array().expect("a list").len()
}

/// Waits until nothing is redriven any more.
fn ended(server: &Server) {
    while describe(server, "hostile")["redriving"] != Value::Null || noted(&server.data_dir) > 0 {}
}

fn goes_on(is_named: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = with_letters(&data);
    let letters = all(&server, &["dlq", "list", "hostile"]);
    assert_eq!(letters.len(), FAILING + MENDED);
    let (failing, mended) = letters.split_at(FAILING);
    let ids: Vec<String> = letters
        .iter()
        .map(|letter| fnctl_tests::text(letter, "id"))
        .collect();
    let mut words = vec!["dlq", "redrive", "hostile", "--rate", "20"];
    match is_named {
        true => words.extend(ids.iter().map(String::as_str)),
        false => words.push("--all"),
    }
    let done = one(&server, &words);
    assert_eq!(done["redriven"], letters.len(), "{done}");
    // Nobody waits: what was answered is durable.
    server.kill().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(noted(&data), 1);
    let server = start(&data);
    while emitted(&server) < 5 {}
    let redriving = describe(&server, "hostile")["redriving"].clone();
    assert_eq!(redriving["rate"], 20, "{redriving}");
    let left = redriving["letters"].as_u64().expect("some are left");
    assert!(left > 0 && left < letters.len() as u64, "{redriving}");
    let log = server.log();
    assert!(log.contains("redrives that were under way go on"), "{log}");
    assert_eq!(server.stop().expect("it stops"), Some(0));
    let server = start(&data);
    ended(&server);
    // Each ended once: resolved with one row, or failed again with one more attempt.
    let open = all(&server, &["dlq", "list", "hostile"]);
    assert_eq!(keys(&open), keys(failing));
    for letter in &open {
        assert_eq!(letter["attempts"], 2, "{letter}");
    }
    let out = ["tail", "out", "--from", "trim-horizon", "--timeout", "1s"];
    assert_eq!(keys(&all(&server, &out)), keys(mended));
    assert_eq!(emitted(&server), MENDED);
    // What has ended is not taken up again.
    server.kill().unwrap_or_else(|e| panic!("{e}"));
    let server = start(&data);
    assert!(!server.log().contains("go on"), "{}", server.log());
}

#[test]
fn a_redrive_of_all_goes_on_after_a_kill_and_after_a_stop() {
    goes_on(false);
}

#[test]
fn a_redrive_of_named_letters_goes_on_after_a_kill_and_after_a_stop() {
    goes_on(true);
}

#[test]
fn who_waits_while_the_server_stops_is_told_that_the_rest_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut server = with_letters(&data);
    let words = [
        "dlq",
        "redrive",
        "hostile",
        "--all",
        "--rate",
        "10",
        "--wait=60s",
    ];
    let mut command = server.command(&words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = command.spawn().expect("it starts");
    while emitted(&server) < 2 {}
    server
        .signal(Signal::TERM)
        .unwrap_or_else(|e| panic!("{e}"));
    let told = waiting.wait_with_output().expect("it ends");
    let (said, why) = (
        String::from_utf8_lossy(&told.stdout).into_owned(),
        String::from_utf8_lossy(&told.stderr).into_owned(),
    );
    assert_eq!(told.status.code(), Some(8), "{said}{why}");
    assert!(
        said.contains("pending") && !said.contains("skipped"),
        "{said}"
    );
    assert!(
        why.contains("they go on when the server starts again"),
        "{why}"
    );
    assert_eq!(server.wait().expect("it stops"), Some(0));
    let server = start(&data);
    ended(&server);
    assert_eq!(all(&server, &["dlq", "list", "hostile"]).len(), FAILING);
    assert_eq!(emitted(&server), MENDED);
}

/// What a command prints for a person.
fn printed(server: &Server, words: &[&str]) -> String {
    let output = server.command(words).output().expect("the binary runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_redrive_that_is_called_off_goes_on_nowhere_nor_after_a_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = with_letters(&data);
    let redrive = ["dlq", "redrive", "hostile"];
    let by_code = ["--code", "not-yet", "--rate", "5"];
    one(&server, &[&redrive[..], &by_code].concat());
    let waits = [&redrive[..], &["--all", "--rate", "1", "--wait=60s"]].concat();
    let mut waiting = server.command(&waits);
    waiting.stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = waiting.spawn().expect("it starts");
    while emitted(&server) < 2 || noted(&data) < 2 {}

    // It goes on after a death, and can be called off then as well.
    server.kill().unwrap_or_else(|e| panic!("{e}"));
    drop(waiting.wait_with_output().expect("it ends"));
    let server = start(&data);
    let mut waiting = server.command(&waits);
    waiting.stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = waiting.spawn().expect("it starts");
    while noted(&data) < 3 {}
    let before = emitted(&server);
    while emitted(&server) < before + 2 {}
    let under_way = describe(&server, "hostile")["redrives"].clone();
    let under_way = under_way.as_array().expect("a list");
    assert_eq!(under_way.len(), 3, "{under_way:?}");
    // All three mean the letters that fail: those count once.
    let open = all(&server, &["dlq", "list", "hostile"]).len() as u64;
    let redriving = describe(&server, "hostile")["redriving"]["letters"].as_u64();
    assert!(
        redriving.is_some_and(|letters| letters <= open),
        "{redriving:?} of {open}"
    );
    assert_eq!(
        (&under_way[0]["code"], &under_way[0]["rate"]),
        (&"not-yet".into(), &5.into())
    );
    assert!(under_way[0]["pending"].as_u64() > Some(0), "{under_way:?}");
    let text = printed(&server, &["dlq", "list", "hostile"]);
    assert!(
        text.contains("redriving  --code not-yet --rate 5, asked ")
            && text.contains("redriving  --all --rate 1, asked ")
            && text.contains("  pending "),
        "{text}"
    );

    let cancelled = one(&server, &["dlq", "redrive", "hostile", "--cancel"]);
    assert_eq!(cancelled["cancelled"], 3, "{cancelled}");
    assert_eq!(cancelled["redrives"][0]["code"], "not-yet", "{cancelled}");
    let told = waiting.wait_with_output().expect("it ends");
    let why = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(4), "{why}");
    assert!(why.contains("error[FN4021]"), "{why}");
    assert_eq!(noted(&data), 0);
    server.kill().unwrap_or_else(|e| panic!("{e}"));
    let server = start(&data);
    assert!(!server.log().contains("go on"), "{}", server.log());
    let open = all(&server, &["dlq", "list", "hostile"]);
    assert!(open.len() > FAILING && open.len() < FAILING + MENDED);
    assert_eq!(emitted(&server), FAILING + MENDED - open.len());
    assert!(!printed(&server, &["dlq", "list", "hostile"]).contains("redriving"));
    let none = one(&server, &["dlq", "redrive", "hostile", "--cancel"]);
    assert_eq!(
        none,
        serde_json::json!({"cancelled": 0, "redrives": []}),
        "calling off what is not there is no fault"
    );
    // Nothing keeps them from being redriven once more.
    let done = one(&server, &["dlq", "redrive", "hostile", "--all", "--wait"]);
    assert_eq!(done["processed"], open.len() - FAILING, "{done}");
    assert_eq!(emitted(&server), MENDED);
}

/// Every change of the mapping takes a worker away with letters in its hands, and gives it a successor.
#[test]
fn letters_of_a_key_are_called_in_order_whoever_takes_over_meanwhile() {
    const LETTERS: usize = 200;
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "1", "--config", "told=skip"]);
    let records: Vec<String> = (0..LETTERS).map(|at| format!("told {at:03}")).collect();
    put_keyed(
        &server,
        "in",
        records.iter().map(|data| ("a", data.as_str())),
    );
    while all(&server, &["dlq", "list", "hostile"]).len() < LETTERS {}
    deploy_hostile(&server, &["--config", "told=ok"]);
    let redrive = ["dlq", "redrive", "hostile", "--all", "--rate", "100"];
    one(&server, &redrive);
    let mut changes = 0;
    while describe(&server, "hostile")["redriving"] != Value::Null {
        let factor = (2 + changes % 2).to_string();
        let update = ["mappings", "update", "hostile", "--parallelization-factor"];
        one(&server, &[&update[..], &[&factor]].concat());
        changes += 1;
        let before = emitted(&server);
        while emitted(&server) < LETTERS.min(before + 15) {}
    }
    assert!(changes > 5, "{changes}");
    let rows = tail(&server, "out", LETTERS);
    let data: Vec<String> = rows
        .iter()
        .map(|row| fnctl_tests::text(row, "data"))
        .collect();
    assert_eq!(data, records);
}

/// At a rate of one a second the first has ended long before the last one goes.
#[test]
fn how_far_a_redrive_is_is_told_letter_by_letter() {
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "1"]);
    put_keyed(&server, "in", [("a", "skip"), ("b", "skip"), ("c", "skip")]);
    while all(&server, &["dlq", "list", "hostile"]).len() < 3 {}
    let redrive = ["dlq", "redrive", "hostile", "--all", "--rate", "1"];
    one(&server, &redrive);
    loop {
        let redrive = describe(&server, "hostile")["redrives"][0].clone();
        assert!(redrive["pending"].as_u64() > Some(0), "{redrive}");
        if redrive["dead_lettered"].as_u64() > Some(0) {
            break;
        }
    }
    one(&server, &["dlq", "redrive", "hostile", "--cancel"]);
}

#[test]
fn a_letter_that_a_worker_holds_for_its_key_is_left_when_its_redrive_is_called_off() {
    let server = server();
    deploy_hostile(&server, &["--backoff-initial", "1h", "--backoff-max", "1h"]);
    put_keyed(
        &server,
        "in",
        [("a", "skip 1"), ("a", "retry-until 2"), ("b", "skip 2")],
    );
    while all(&server, &["dlq", "list", "hostile"]).len() < 2
        || describe(&server, "hostile")["shards"][0]["parked_keys"] != 1
    {}
    let before = all(&server, &["dlq", "list", "hostile"]);
    let redrive = ["dlq", "redrive", "hostile", "--all"];
    one(&server, &redrive);
    // That of `b` is through: that of `a` was handed over as well, and waits behind the retry of its key.
    let failed_again = || {
        let letters = all(&server, &["dlq", "list", "hostile"]);
        letters.iter().any(|letter| letter["attempts"] == 2)
    };
    while !failed_again() {}
    let cancelled = one(&server, &["dlq", "redrive", "hostile", "--cancel"]);
    assert_eq!(cancelled["redrives"][0]["pending"], 1, "{cancelled}");
    one(&server, &["mappings", "release", "hostile", "--all"]);
    drained(&server, "hostile");
    // The key is free; whoever took the letter would have called it in front of this one.
    put_keyed(&server, "in", [("a", "ok 1")]);
    drained(&server, "hostile");
    let after = all(&server, &["dlq", "list", "hostile"]);
    let of_a = |letters: &[Value]| {
        let mut of_a = letters
            .iter()
            .filter(|letter| letter["partition_key"] == "a");
        of_a.next().cloned().expect("it is open")
    };
    assert_eq!(of_a(&after), of_a(&before));
    // And the worker has room for others.
    one(&server, &[&redrive[..], &["--wait"]].concat());
    assert_eq!(
        of_a(&all(&server, &["dlq", "list", "hostile"]))["attempts"],
        2
    );
}

#[test]
fn redrives_under_way_are_bounded_and_end_with_their_mapping() {
    let server = server();
    deploy_hostile(&server, &["--max-attempts", "unlimited"]);
    // The letter of a key that waits for a retry waits as long.
    put_keyed(&server, "in", [("a", "skip 1"), ("a", "retry 1")]);
    while all(&server, &["dlq", "list", "hostile"]).is_empty()
        || describe(&server, "hostile")["shards"][0]["parked_keys"] != 1
    {}
    let path = "/v1/mappings/hostile/dead-letters/redrive";
    for _ in 0..100 {
        let answer = ask(&server, "POST", path, br#"{"all":true}"#);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let refused = ask(&server, "POST", path, br#"{"all":true}"#);
    let error = error_of(&refused, "one more");
    assert_eq!((refused.status, &error["code"]), (429, &"FN4006".into()));
    assert_eq!(noted(&server.data_dir), 100);
    assert_eq!(
        describe(&server, "hostile")["redriving"],
        serde_json::json!({"letters": 1, "rate": null})
    );
    one(
        &server,
        &["mappings", "delete", "hostile", "--yes", "--force"],
    );
    while noted(&server.data_dir) > 0 {}
}

#[test]
fn a_file_of_redrives_that_cannot_be_read_is_told_and_keeps_nobody_from_serving() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = with_letters(&data);
    assert_eq!(server.stop().expect("it stops"), Some(0));
    std::fs::write(data.join("redrives.json"), r#"{"version":9}"#).expect("written");
    let server = start(&data);
    let log = server.log();
    assert!(log.contains("its version is 9"), "{log}");
    let done = one(&server, &["dlq", "redrive", "hostile", "--all", "--wait"]);
    assert_eq!(done["processed"], MENDED, "{done}");
    assert_eq!(noted(&data), 0);
}

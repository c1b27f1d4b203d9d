//! A mapping changed without its function: what changes, what is refused, and that nothing is lost or
//! done twice (Lambda ESM specification §3, §22 row Life cycle).

use std::collections::BTreeMap;

use fnctl_tests::{Server, request};
use serde_json::{Value, json};

use crate::support::{describe, drained, error_of, guest, one, put, server, tail};

fn deploy(server: &Server) {
    let guest = guest("echo");
    one(server, &["deploy", &guest, "--stream", "in", "--to", "out"]);
}

fn update(server: &Server, options: &[&str]) -> Value {
    one(
        server,
        &[&["mappings", "update", "echo/in"], options].concat(),
    )
}

fn refused(server: &Server, options: &[&str]) -> (Option<i32>, Value) {
    let words = [&["mappings", "update", "echo"], options].concat();
    crate::support::refused(server, &words)
}

#[test]
fn an_update_changes_what_it_names_and_default_takes_it_back() {
    let server = server();
    deploy(&server);
    let done = update(
        &server,
        &["--batch-size", "7", "--max-attempts", "unlimited"],
    );
    assert_eq!(
        done["changes"],
        json!([
            {"path": "mapping.batch_size", "from": 100, "to": 7},
            {"path": "mapping.max_attempts", "from": 5, "to": "unlimited"},
        ])
    );
    assert_eq!(
        (&done["name"], &done["state"]),
        (&"echo/in".into(), &"running".into())
    );
    assert!(
        done["live_ms"].as_u64().is_some_and(|ms| ms < 10_000),
        "{done}"
    );
    let done = update(&server, &["--batch-size", "7"]);
    assert_eq!(
        (&done["changed"], &done["changes"]),
        (&false.into(), &json!([]))
    );
    let done = update(&server, &["--max-attempts", "default"]);
    assert_eq!(done["changes"][0]["to"], 5, "{done}");
    let status = describe(&server, "echo");
    assert_eq!(status["settings"]["batch_size"], 7);
    assert_eq!(status["settings"]["max_attempts"], 5);
    assert_eq!(status["version"], 1, "no version is made");
}

#[test]
fn an_update_is_judged_as_a_deploy_is() {
    let server = server();
    deploy(&server);
    let (exit, error) = refused(&server, &["--batch-size", "20000", "--filter", "{}"]);
    assert_eq!(
        (exit, &error["code"]),
        (Some(7), &"FN2102".into()),
        "{error}"
    );
    let paths: Vec<&str> = error["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["path"].as_str())
        .collect();
    assert_eq!(paths, ["--batch-size", "--filter[0]"], "{error}");
    // Against what is live, which the server alone knows.
    let (exit, error) = refused(&server, &["--backoff-max", "50ms"]);
    assert_eq!(
        (exit, &error["problems"][0]["path"]),
        (Some(7), &"--backoff-max".into()),
        "{error}"
    );
    let (exit, error) = refused(&server, &[]);
    assert_eq!(
        (exit, &error["code"]),
        (Some(2), &"FN1001".into()),
        "{error}"
    );
    let (exit, error) = refused(&server, &["--timeout", "3s"]);
    assert_eq!(exit, Some(2), "{error}");
    let said = error["fix"].as_str().unwrap_or_default();
    assert!(
        said.contains("fnctl deploy"),
        "a function's flag belongs to deploy: {error}"
    );
    let failure = server.json(&["mappings", "update", "nobody", "--batch-size", "1"]);
    assert_eq!(failure.expect_err("it is refused").exit, Some(3));
    for (body, path) in [
        (json!({"stream": "other"}), "stream"),
        (json!({"starting_position": "latest"}), "starting_position"),
        (json!({"batch_size": 0}), "batch_size"),
        (json!({"batch_sise": 1}), "batch_sise"),
    ] {
        let answer = request(
            &server.api,
            "PATCH",
            "/v1/mappings/echo",
            &[],
            body.to_string().as_bytes(),
        );
        let answer = answer.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(answer.status, 400, "{body}");
        let error = error_of(&answer, path);
        assert_eq!(error["problems"][0]["path"], path, "{error}");
        let told = error["message"].as_str().unwrap_or_default();
        assert!(!told.contains("mapping[0]"), "{error}");
    }
}

/// Commit and storage rules §2: a change of the factor is a new epoch, and moves no data.
#[test]
fn updates_of_a_mapping_under_load_lose_and_repeat_nothing() {
    let server = server();
    deploy(&server);
    let lines: Vec<String> = (0..2_000)
        .map(|n| json!({"k": n % 40, "n": n}).to_string())
        .collect();
    let (first, rest) = lines.split_at(500);
    put(&server, "in", first, &["--key-field", "k"]);
    for (factor, lines) in ["8", "3", "256", "default"].iter().zip(rest.chunks(375)) {
        put(&server, "in", lines, &["--key-field", "k"]);
        update(
            &server,
            &["--parallelization-factor", factor, "--batch-size", "20"],
        );
    }
    let status = drained(&server, "echo");
    assert_eq!(status["totals"]["processed"], 2_000);
    assert_eq!(status["totals"]["emitted"], 2_000);
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for record in tail(&server, "out", 2_000) {
        let data = record["data"].as_str().expect("text");
        let row: Value = serde_json::from_str(data).expect("JSON");
        let (key, n) = (row["k"].as_u64().expect("k"), row["n"].as_u64().expect("n"));
        let before = last.insert(key, n);
        assert!(
            before.is_none_or(|before| before < n),
            "key {key}: {n} behind {before:?}"
        );
    }
}

#[test]
fn a_paused_mapping_is_updated_and_stays_paused() {
    let server = server();
    deploy(&server);
    one(&server, &["mappings", "pause", "echo"]);
    let done = update(&server, &["--batch-size", "3"]);
    assert_eq!(done["state"], "paused");
    put(&server, "in", &["{}".to_owned()], &["--key", "k"]);
    assert_eq!(describe(&server, "echo")["pending_records"], 1);
    one(&server, &["mappings", "resume", "echo"]);
    assert_eq!(drained(&server, "echo")["totals"]["processed"], 1);
}

/// Section 3, "uniqueness": the conflict names the mapping that is there.
#[test]
fn a_second_mapping_of_a_stream_is_a_conflict_that_names_the_first() {
    let server = server();
    deploy(&server);
    let post = |body: Value| {
        let answer = request(
            &server.api,
            "POST",
            "/v1/mappings",
            &[],
            body.to_string().as_bytes(),
        );
        answer.unwrap_or_else(|e| panic!("{e}"))
    };
    let id = describe(&server, "echo")["id"].clone();
    let answer = post(json!({"function": "echo", "stream": "in"}));
    assert_eq!(answer.status, 409);
    let error = error_of(&answer, "a duplicate");
    assert_eq!(error["code"], "FN3012", "{error}");
    let words = format!(
        "mapping `echo/in` exists already, as {}",
        id.as_str().expect("an id")
    );
    assert_eq!(error["message"], Value::String(words));

    let answer = post(json!({"function": "echo", "stream": "more", "batch_size": 9}));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let made: Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(made["name"], "echo/more", "{made}");
    assert_eq!(describe(&server, "echo/more")["settings"]["batch_size"], 9);
    let answer = post(json!({"function": "nobody", "stream": "in"}));
    assert_eq!(answer.status, 404);
    let answer = post(json!({"function": "echo"}));
    assert_eq!(answer.status, 400);
}

/// What a deploy notes of a mapping an update notes in the same words, and of that mapping alone.
#[test]
fn an_update_that_takes_windows_away_says_what_a_deploy_says() {
    let server = server();
    let guest = guest("windowed");
    let deploy = |stream: &str| {
        let words = ["deploy", &guest, "--stream", stream, "--to", "out"];
        one(&server, &words)
    };
    let at_deploy = deploy("in")["notes"].clone();
    let words = "`windowed` asks for tumbling windows, and `windowed/in` has none";
    assert_eq!(at_deploy[0]["message"], words, "{at_deploy}");
    let update = |options: &[&str]| {
        let words = [&["mappings", "update", "windowed/in"], options].concat();
        one(&server, &words)
    };
    // As with a deploy, whatever else is changed.
    assert_eq!(update(&["--batch-size", "7"])["notes"], at_deploy);
    assert_eq!(update(&["--tumbling-window", "60s"])["notes"], json!([]));
    assert_eq!(update(&["--tumbling-window", "0s"])["notes"], at_deploy);

    assert_eq!(
        update(&["--tumbling-window", "60s"])["changed"],
        Value::Bool(true)
    );
    deploy("other");
    assert_eq!(update(&["--batch-size", "8"])["notes"], json!([]));
    let off = [
        "mappings",
        "update",
        "windowed/in",
        "--tumbling-window",
        "0s",
    ];
    let output = server.command(&off).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let note = format!(
        "note       mapping[in].tumbling_window  {words}\n           \
         fnctl mappings update windowed/in --tumbling-window 60s\n"
    );
    assert!(
        text.contains(&note) && !text.contains("windowed/other"),
        "{text}"
    );
}

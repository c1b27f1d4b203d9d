//! What fails: dead letters with payload and cause, retries, fatal.

use serde_json::Value;

use crate::support::{all, deploy_hostile, describe, drained, guest, one, put, server, tail};

fn lines(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn every_way_to_fail_ends_as_a_letter_with_its_cause() {
    let server = server();
    deploy_hostile(
        &server,
        &[
            "--max-attempts",
            "2",
            "--timeout",
            "1s",
            "--memory",
            "64MiB",
        ],
    );
    let words = [
        "ok 1",
        "skip 2",
        "retry 3",
        "panic",
        "trap",
        "loop",
        "allocate",
        "row-too-large",
        "bad-key",
        "ok 10",
    ];
    put(&server, "in", &lines(&words), &[]);
    let status = drained(&server, "hostile");
    let letters = all(&server, &["dlq", "list", "hostile"]);
    let of = |data: &str| -> &Value {
        letters
            .iter()
            .find(|letter| letter["data"] == data)
            .unwrap_or_else(|| panic!("no letter of {data}: {letters:?}"))
    };
    for (data, kind, code, attempts) in [
        ("skip 2", "skip", "refused", 1),
        ("retry 3", "error", "busy", 2),
        ("panic", "trap", "trap", 2),
        ("trap", "trap", "trap", 2),
        ("loop", "timeout", "timeout", 2),
        ("allocate", "out-of-memory", "out-of-memory", 2),
        ("row-too-large", "skip", "row-too-large", 1),
        ("bad-key", "skip", "bad-key", 1),
    ] {
        let letter = of(data);
        assert_eq!(letter["error_kind"], kind, "{letter}");
        assert_eq!(letter["code"], code, "{letter}");
        // What the last call took: the whole time where that was the cause, or the memory.
        let took = letter["duration_ms"].as_f64().expect("there was a call");
        let memory = letter["memory_bytes"].as_u64().expect("there was a call");
        assert!(took > 0.0 && memory > 0, "{letter}");
        // A trap that names no record charges its batch: others may have been charged on the way.
        assert!(
            letter["attempts"].as_u64().is_some_and(|n| n >= attempts),
            "{letter}"
        );
        assert_eq!(
            (&letter["encoding"], &letter["status"]),
            (&"text".into(), &"open".into())
        );
        assert!(
            letter["sequence_number"]
                .as_str()
                .is_some_and(|n| n.len() == 56),
            "{letter}"
        );
    }
    assert!(
        of("panic")["error"]
            .as_str()
            .is_some_and(|e| e.starts_with("panicked at"))
    );
    assert_eq!(letters.len(), 8);
    assert_eq!(status["totals"]["dead_lettered"], 8);
    assert_eq!(status["totals"]["processed"], 2);
    assert_eq!(tail(&server, "out", 2).len(), 2);
    let by_code = &describe(&server, "hostile")["dead_letters_by_code"];
    assert_eq!(by_code["trap"], 2);
    let id = of("skip 2")["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        one(&server, &["dlq", "show", "hostile", &id])["data"],
        "skip 2"
    );
    let missing = server
        .json(&["dlq", "show", "hostile", "999"])
        .expect_err("there is none");
    assert_eq!(missing.exit, Some(3));
    let refused = all(&server, &["dlq", "list", "hostile", "--code", "refused"]);
    assert_eq!(refused.len(), 1);
}

#[test]
fn a_record_that_recovers_is_no_letter_and_only_its_key_waits() {
    let server = server();
    deploy_hostile(&server, &[]);
    // Held until all of it is there, so that one batch has them all.
    one(&server, &["mappings", "pause", "hostile"]);
    put(
        &server,
        "in",
        &lines(&["retry-until 3"]),
        &["--key", "slow"],
    );
    put(&server, "in", &lines(&["ok behind"]), &["--key", "slow"]);
    put(&server, "in", &lines(&["ok other"]), &["--key", "quick"]);
    one(&server, &["mappings", "resume", "hostile"]);
    let records = tail(&server, "out", 3);
    let data: Vec<&str> = records
        .iter()
        .filter_map(|record| record["data"].as_str())
        .collect();
    assert_eq!(data, ["ok other", "retry-until 3", "ok behind"]);
    let totals = drained(&server, "hostile")["totals"].clone();
    assert_eq!(
        (&totals["failed"], &totals["dead_lettered"]),
        (&2.into(), &0.into())
    );
}

#[test]
fn fatal_stops_the_mapping_until_it_is_resumed() {
    let server = server();
    deploy_hostile(&server, &[]);
    put(&server, "in", &lines(&["fatal"]), &[]);
    let stopped = loop {
        let status = describe(&server, "hostile");
        if status["state"] == "stopped" {
            break status;
        }
    };
    assert_eq!(stopped["reason"], "stopped-fatal");
    assert!(
        stopped["detail"]
            .as_str()
            .is_some_and(|words| words.starts_with("gone: ")),
        "{stopped}"
    );
    assert_eq!(stopped["totals"]["processed"], 0);
    assert_eq!(stopped["pending_records"], 1);
    // A new version ends it: this one is told apart by its configuration alone, and stops again.
    one(
        &server,
        &[
            "deploy",
            &guest("hostile"),
            "--name",
            "hostile",
            "--config",
            "a=b",
        ],
    );
    while describe(&server, "hostile")["state"] != "stopped" {}
}

#[test]
fn letters_answer_to_the_id_of_their_mapping_once_it_is_gone() {
    let server = server();
    deploy_hostile(&server, &[]);
    put(&server, "in", &lines(&["skip 1", "ok 2", "skip 3"]), &[]);
    let id = drained(&server, "hostile")["id"].clone();
    let id = id.as_str().expect("an id");
    let before = all(&server, &["dlq", "list", "hostile"]);
    assert_eq!(before.len(), 2);
    let refused = server.one(&["mappings", "delete", "hostile", "--yes"]);
    let words = refused.expect_err("letters are open").to_string();
    assert!(words.contains(&format!("fnctl dlq list {id}")), "{words}");
    one(
        &server,
        &["mappings", "delete", "hostile", "--yes", "--force"],
    );
    assert_eq!(all(&server, &["dlq", "list", id]), before);
    let first = before[0]["id"].as_str().expect("an id");
    assert_eq!(one(&server, &["dlq", "show", id, first]), before[0]);
    assert!(server.one(&["dlq", "list", "hostile"]).is_err());
}

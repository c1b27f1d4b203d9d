//! The audit stream: who changed what.

use fnctl_tests::Server;
use serde_json::Value;

use crate::{
    access::{offline_token, refused, serve},
    support::{all, one},
};

/// The lines of the audit so far.
pub(crate) fn audited(server: &Server, token: &str, count: usize) -> Vec<Value> {
    let count = count.to_string();
    let words = [
        "--token",
        token,
        "tail",
        "fnctl.audit",
        "--from",
        "trim-horizon",
    ];
    let wait = ["--count", &count, "--timeout", "60s"];
    lines_of(all(server, &[&words[..], &wait].concat()))
}

/// Records of the audit as the lines they are.
pub(crate) fn lines_of(records: Vec<Value>) -> Vec<Value> {
    records
        .iter()
        .map(|record| match &record["data"] {
            Value::String(text) => serde_json::from_str(text).expect("a line of JSON"),
            data => data.clone(),
        })
        .collect()
}

#[test]
fn the_audit_tells_who_changed_what_and_is_changed_by_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let admin = offline_token(&data_dir, "root", "admin");
    let server = serve(&data_dir, &["--require-token"]);
    let words = [
        "--token", &admin, "tokens", "create", "w", "--scope", "write",
    ];
    let made = one(&server, &words);
    let write = made["token"].as_str().expect("a token").to_owned();
    one(&server, &["--token", &admin, "streams", "create", "s"]);
    all(&server, &["--token", &write, "put", "s", "line"]);
    refused(&server, &admin, &["streams", "create", "s"]);
    let called_off = ["dlq", "redrive", "nobody", "--cancel"];
    assert_eq!(
        refused(&server, &admin, &called_off),
        (Some(3), "FN3004".into())
    );
    for words in [
        &["put", "fnctl.audit", "forged"][..],
        &["streams", "delete", "fnctl.audit", "--yes"],
        &["streams", "update", "fnctl.audit", "--retention", "48h"],
        &["streams", "split", "fnctl.audit", "--shard", "0"],
    ] {
        assert_eq!(
            refused(&server, &admin, words),
            (Some(7), "FN1020".into()),
            "{words:?}"
        );
    }
    // Nor by a function that puts there what it likes, or has its dead letters brought there.
    let guest = crate::support::guest("echo");
    let bound = ["--to", "default=fnctl.audit"];
    let relayed = ["--to", "out", "--on-failure", "stream:fnctl.audit"];
    for way in [&bound[..], &relayed] {
        let words = [&["deploy", &guest, "--stream", "s"][..], way].concat();
        assert_eq!(
            refused(&server, &admin, &words),
            (Some(7), "FN2102".into()),
            "{way:?}"
        );
    }
    let (status, answer) =
        crate::support::kinesis(&server, "DeleteStream", r#"{"StreamName":"fnctl.audit"}"#);
    assert_eq!(status, 400, "{answer}");
    server.stop().unwrap_or_else(|e| panic!("{e}"));

    let server = serve(&data_dir, &["--require-token"]);
    let lines = audited(&server, &admin, 4);
    let path = "POST /v1/mappings/nobody/dead-letters/redrives/cancel";
    assert_eq!(lines[3]["what"], path, "{}", lines[3]);
    for (line, (what, on, status, error)) in lines.iter().zip([
        ("POST /v1/tokens", "w", 200, Value::Null),
        ("POST /v1/streams", "s", 200, Value::Null),
        ("POST /v1/streams", "s", 409, "FN3002".into()),
    ]) {
        assert_eq!(
            (&line["what"], &line["on"]),
            (&what.into(), &on.into()),
            "{line}"
        );
        assert_eq!(
            (&line["status"], &line["error"]),
            (&status.into(), &error),
            "{line}"
        );
        assert_eq!(
            (&line["who"], &line["via"]),
            (&"token:root".into(), &"api".into()),
            "{line}"
        );
        assert!(
            line["peer"]
                .as_str()
                .is_some_and(|peer| peer.starts_with("127.0.0.1:")),
            "{line}"
        );
        assert!(!line.to_string().contains("fnctl_"), "{line}");
    }
}

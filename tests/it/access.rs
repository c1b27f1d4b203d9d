//! Who may do what: tokens, TLS, signatures, and what a server refuses to be.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use fnctl_tests::{Answer, Server, ServerOptions, binary, get, request};
use serde_json::Value;

use crate::{
    audit::audited,
    support::{all, error_of, metric, one},
};

/// Runs a command without a server; its exit code, stdout and stderr.
pub(crate) fn fnctl(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(binary())
        .args(arguments)
        .env_remove("FNCTL_TOKEN")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Makes a token in a data directory that no server uses.
pub(crate) fn offline_token(data_dir: &Path, name: &str, scope: &str) -> String {
    let data_dir = data_dir.to_string_lossy();
    let (code, stdout, stderr) = fnctl(&[
        "tokens",
        "create",
        name,
        "--scope",
        scope,
        "--data-dir",
        &data_dir,
    ]);
    assert_eq!(code, Some(0), "{stderr}");
    let token = stdout.trim().to_owned();
    assert!(token.starts_with("fnctl_") && !stderr.contains(&token));
    token
}

pub(crate) fn serve(data_dir: &Path, arguments: &[&str]) -> Server {
    let options = ServerOptions {
        data_dir: Some(data_dir.to_owned()),
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        ..ServerOptions::default()
    };
    Server::start(options).unwrap_or_else(|e| panic!("{e}"))
}

/// How a command with this token is refused.
pub(crate) fn refused(server: &Server, token: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let words = [&["--token", token], arguments].concat();
    let failure = server.json(&words).expect_err("it is refused");
    let error = failure.error;
    let code = error.map_or(Value::Null, |error| error["code"].clone());
    (failure.exit, code)
}

fn with_token(server: &Server, method: &str, path: &str, token: Option<&str>) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer
        .iter()
        .map(|bearer| ("authorization", bearer.as_str()))
        .collect();
    request(&server.api, method, path, &headers, b"").unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn tokens_open_what_their_scope_includes_survive_a_restart_and_end_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let admin = offline_token(&data_dir, "root", "admin");
    let file = data_dir.join("access.json");
    let mode = fs::metadata(&file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!fs::read_to_string(&file).expect("text").contains(&admin));

    let server = serve(&data_dir, &["--require-token"]);
    for path in ["/healthz", "/readyz"] {
        let answer = get(&server.api, path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(answer.status, 200, "{path}");
    }
    for path in ["/metrics", "/v1/streams", "/v1/tokens", "/v1/nothing"] {
        let answer = with_token(&server, "GET", path, None);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(error_of(&answer, path)["code"], "FN6003");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"fnctl\"")
        );
    }
    let made = |name: &str, scope: &str| {
        let words = [
            "--token", &admin, "tokens", "create", name, "--scope", scope,
        ];
        let made = one(&server, &words);
        made["token"].as_str().expect("a token").to_owned()
    };
    let (read, write) = (made("r", "read"), made("w", "write"));
    one(&server, &["--token", &admin, "streams", "create", "s"]);
    all(&server, &["--token", &write, "put", "s", "line"]);
    all(
        &server,
        &[
            "--token",
            &read,
            "tail",
            "s",
            "--from",
            "trim-horizon",
            "--count",
            "1",
        ],
    );
    let narrow = (Some(5), Value::from("FN6004"));
    assert_eq!(refused(&server, &read, &["put", "s", "line"]), narrow);
    assert_eq!(
        refused(&server, &write, &["streams", "create", "t"]),
        narrow
    );
    assert_eq!(refused(&server, &write, &["tokens", "list"]), narrow);
    let taken = ["tokens", "create", "r", "--scope", "read"];
    assert_eq!(refused(&server, &admin, &taken), (Some(4), "FN6008".into()));
    let listed = all(&server, &["--token", &admin, "tokens", "list"]);
    let names: Vec<&str> = listed.iter().filter_map(|t| t["name"].as_str()).collect();
    assert_eq!(names, ["r", "root", "w"]);
    assert!(
        listed
            .iter()
            .all(|token| token.get("sha256").is_none() && token.get("token").is_none())
    );

    // What is open ends with its token.
    let mut tail = server
        .follow(&[
            "--token",
            &read,
            "tail",
            "s",
            "--from",
            "trim-horizon",
            "-o",
            "json",
        ])
        .unwrap_or_else(|e| panic!("{e}"));
    let first = tail.next_line().unwrap_or_else(|e| panic!("{e}"));
    assert!(first.is_some(), "the record that is there");
    let unconfirmed = refused(&server, &admin, &["tokens", "revoke", "r"]);
    assert_eq!(unconfirmed, (Some(2), "FN1004".into()));
    one(
        &server,
        &["--token", &admin, "tokens", "revoke", "r", "--yes"],
    );
    while tail.next_line().unwrap_or_else(|e| panic!("{e}")).is_some() {}
    let unknown = (Some(5), Value::from("FN6003"));
    // It says that it was the token, and not that the server went.
    assert_eq!(tail.wait().unwrap_or_else(|e| panic!("{e}")), Some(5));
    assert_eq!(refused(&server, &read, &["streams", "list"]), unknown);

    let metrics = with_token(&server, "GET", "/metrics", Some(&write)).text();
    let counted = |reason: &str| {
        let series = format!("fnctl_access_refused_total{{reason=\"{reason}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
        value
            .and_then(|value| value.parse::<f64>().ok())
            .expect("a value")
    };
    assert!(counted("token") >= 5.0 && counted("scope") >= 3.0);

    server.stop().unwrap_or_else(|e| panic!("{e}"));
    let server = serve(&data_dir, &["--require-token"]);
    one(&server, &["--token", &write, "streams", "describe", "s"]);
    assert_eq!(refused(&server, &read, &["streams", "list"]), unknown);
    assert!(!server.log().contains(&admin) && !server.log().contains(&write));
    // A server keeps its tokens itself.
    let data_dir = data_dir.to_string_lossy();
    let (code, _, stderr) = fnctl(&["tokens", "list", "--data-dir", &data_dir]);
    assert_eq!(code, Some(4), "{stderr}");
}

#[test]
fn tokens_of_a_data_directory_are_looked_at_where_there_is_one_and_fixes_name_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let there = path("there");
    let create = [
        "tokens",
        "create",
        "root",
        "--scope",
        "admin",
        "--data-dir",
        &there,
    ];
    assert_eq!(fnctl(&create).0, Some(0));
    let (code, _, stderr) = fnctl(&create);
    assert_eq!(code, Some(4), "{stderr}");
    let fix = format!("first: fnctl tokens revoke root --data-dir {there}\n");
    assert!(stderr.contains(&fix), "{stderr}");
    let missing = path("missing");
    for words in [&["list"][..], &["revoke", "root", "--yes"]] {
        let words = [&["tokens"][..], words, &["--data-dir", &missing]].concat();
        let (code, _, stderr) = fnctl(&words);
        assert_eq!(code, Some(3), "{stderr}");
        assert!(!Path::new(&missing).exists(), "looking makes nothing");
    }
    // A key whose scope is misspelt must not do more than was meant.
    let keys = path("keys");
    let text = "[a]\naws_access_key_id = X\naws_secret_access_key = s\nfnctl_scop = read\n";
    std::fs::write(&keys, text).expect("written");
    let words = [
        "server",
        "--data-dir",
        &there,
        "--kinesis-credentials",
        &keys,
    ];
    let (code, _, stderr) = fnctl(&words);
    assert!(
        code != Some(0) && stderr.contains("`fnctl_scop` is not known"),
        "{stderr}"
    );
}

#[test]
fn what_is_proposed_asks_the_server_that_was_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder.path().join("data"), &[]);
    let (code, _, stderr) = fnctl(&["put", "none", "x", "--server", &server.api]);
    assert_eq!(code, Some(3), "{stderr}");
    let fix = format!("fix   fnctl --server {} streams create none\n", server.api);
    assert!(stderr.contains(&fix), "{stderr}");
}

#[test]
fn loopback_asks_for_no_token_and_judges_one_that_is_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder.path().join("data"), &[]);
    // The first is made over loopback as well.
    let made = one(
        &server,
        &[
            "tokens",
            "create",
            "r",
            "--scope",
            "read",
            "--expires",
            "1h",
        ],
    );
    assert!(made["expires_at"].is_string());
    let token = made["token"].as_str().expect("a token");
    one(&server, &["streams", "create", "s"]);
    assert_eq!(
        refused(&server, token, &["streams", "create", "t"]),
        (Some(5), "FN6004".into())
    );
    assert_eq!(
        refused(&server, "fnctl_x", &["streams", "list"]),
        (Some(5), "FN6003".into())
    );
}

#[test]
fn who_is_refused_too_often_is_told_briefly_and_good_tokens_still_go_through() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let admin = offline_token(&data_dir, "root", "admin");
    let server = serve(&data_dir, &["--require-token"]);
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(with_token(&server, "GET", "/v1/streams", Some("fnctl_x")).status);
    }
    assert_eq!(statuses[0], 401);
    assert!(statuses.contains(&429), "{statuses:?}");
    let answer = with_token(&server, "GET", "/v1/streams", Some(&admin));
    assert_eq!(answer.status, 200);
}

#[test]
fn listeners_that_keep_nobody_out_are_refused_and_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let data = data_dir.to_string_lossy().into_owned();
    let refused = |more: &[&str]| {
        let words = [
            "server",
            "--kinesis-listen",
            "127.0.0.1:0",
            "--data-dir",
            &data,
            "-o",
            "json",
        ];
        let (code, _, stderr) = fnctl(&[&words[..], more].concat());
        let last = stderr.lines().last().unwrap_or_default();
        let body: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {stderr}"));
        (code, body["error"].clone())
    };
    let wide = ["--listen", "0.0.0.0:0"];
    let (code, error) = refused(&wide);
    assert_eq!((code, &error["code"]), (Some(7), &Value::from("FN6001")));
    let (why, fix) = (error["why"].to_string(), error["fix"].to_string());
    assert!(why.contains("token") && why.contains("TLS"), "{error}");
    assert!(
        fix.contains("fnctl tokens create") && fix.contains("--tls-generate"),
        "{error}"
    );
    let (_, error) = refused(&["--listen", "127.0.0.1:0", "--require-token"]);
    assert_eq!(error["code"], "FN6003");
    assert!(!data_dir.exists(), "nothing was made");
    offline_token(&data_dir, "root", "admin");
    let (_, error) = refused(&wide);
    assert!(
        error["code"] == "FN6001" && !error["why"].to_string().contains("token"),
        "{error}"
    );
    let missing = folder.path().join("none.pem");
    let missing = missing.to_string_lossy();
    let (code, error) = refused(&[
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        &missing,
        "--tls-key",
        &missing,
    ]);
    assert_eq!((code, &error["code"]), (Some(7), &Value::from("FN6006")));
    let (code, error) = refused(&["--listen", "127.0.0.1:0", "--kinesis-credentials", &missing]);
    assert_eq!((code, &error["code"]), (Some(1), &Value::from("FN6009")));
    fs::write(data_dir.join("access.json"), "{}").expect("written");
    let (_, error) = refused(&["--listen", "127.0.0.1:0"]);
    assert_eq!(
        error["code"], "FN6009",
        "who may ask cannot be read, so nobody may"
    );
}

#[test]
fn a_token_that_asks_for_more_than_its_scope_is_counted_slowed_down_and_audited_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let admin = offline_token(&data_dir, "root", "admin");
    let read = offline_token(&data_dir, "looks", "read");
    let server = serve(&data_dir, &[]);
    let asks = || with_token(&server, "POST", "/v1/backup", Some(&read)).status;
    let mut told = 0;
    while asks() == 403 {
        told += 1;
        assert!(told < 1_000, "it is never slowed down");
    }
    assert!(told >= 20, "{told}");
    // In nothing else, and nobody else at its address.
    let status = |path: &str, token: &str| with_token(&server, "GET", path, Some(token)).status;
    assert_eq!(status("/v1/streams", &read), 200);
    assert_eq!(status("/v1/tokens", &admin), 200);
    assert_eq!(status("/v1/tokens", "fnctl_wrong"), 401);
    let refused = |reason: &str| {
        let series = format!("fnctl_access_refused_total{{reason=\"{reason}\"}}");
        metric(&server, &series)
    };
    assert_eq!(refused("scope"), f64::from(told));
    // A change of somebody else closes the list.
    one(&server, &["--token", &admin, "streams", "create", "s"]);
    let lines = audited(&server, &admin, 2);
    assert_eq!(lines[0]["who"], "token:looks", "{lines:?}");
    assert_eq!(lines[0]["what"], "POST /v1/backup", "{lines:?}");
    assert_eq!(lines[1]["what"], "POST /v1/streams", "{lines:?}");
}

#[test]
fn revoking_the_last_token_that_may_change_anything_says_so_and_how_the_next_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    for (name, scope) in [("root", "admin"), ("second", "admin"), ("r", "read")] {
        offline_token(&data_dir, name, scope);
    }
    let server = serve(&data_dir, &[]);
    let told = one(&server, &["tokens", "revoke", "second", "--yes"]);
    assert_eq!(told["notes"], serde_json::json!([]), "{told}");
    let told = one(&server, &["tokens", "revoke", "root", "--yes"]);
    assert_eq!(told["name"], "root", "{told}");
    let note = &told["notes"][0];
    assert!(
        note["message"]
            .as_str()
            .is_some_and(|words| words.contains("scope admin")),
        "{told}"
    );
    server.stop().unwrap_or_else(|e| panic!("{e}"));

    let data_dir = data_dir.to_string_lossy();
    let last = ["tokens", "revoke", "r", "--yes", "--data-dir", &data_dir];
    let (code, stdout, stderr) = fnctl(&last);
    assert_eq!((code, stdout.as_str()), (Some(0), "revoked    token r\n"));
    for words in [
        "it was the last token",
        "fnctl tokens create NAME --scope admin --data-dir D",
    ] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}

//! Who may do what: tokens, TLS, signatures, and what a server refuses to be.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fnctl_tests::{Answer, Server, ServerOptions, binary, get, request};
use serde_json::Value;

use crate::{
    kinesis::holds_over_tls,
    support::{all, error_of, one},
};

/// Runs a command without a server; its exit code, stdout and stderr.
fn fnctl(arguments: &[&str]) -> (Option<i32>, String, String) {
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
fn offline_token(data_dir: &Path, name: &str, scope: &str) -> String {
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

fn serve(data_dir: &Path, arguments: &[&str]) -> Server {
    let options = ServerOptions {
        data_dir: Some(data_dir.to_owned()),
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        ..ServerOptions::default()
    };
    Server::start(options).unwrap_or_else(|e| panic!("{e}"))
}

/// How a command with this token is refused.
fn refused(server: &Server, token: &str, arguments: &[&str]) -> (Option<i32>, Value) {
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

/// The certificate that a server made.
fn certificate(data_dir: &Path) -> PathBuf {
    data_dir.join("tls/cert.pem")
}

#[test]
fn with_tls_commands_need_the_certificate_and_plain_http_is_told_to_use_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let admin = offline_token(&data_dir, "root", "admin");
    let server = serve(&data_dir, &["--tls-generate", "--require-token"]);
    assert!(server.api.starts_with("https://") && server.kinesis.starts_with("https://"));
    let trusted = certificate(&data_dir);
    let trusted = trusted.to_string_lossy();
    let words = ["--tls-ca", &trusted, "--token", &admin, "streams"];
    one(&server, &[&words[..], &["create", "s"]].concat());
    one(&server, &[&words[..], &["describe", "s"]].concat());
    let untrusting = server.json(&["--token", &admin, "streams", "list"]);
    assert_eq!(untrusting.expect_err("nobody it trusts").exit, Some(8));
    let plain = server.api.replace("https://", "http://");
    let answer = get(&plain, "/healthz").unwrap_or_else(|e| panic!("{e}"));
    let fix = format!("use {}", server.api);
    assert!(
        answer.status == 400 && answer.text().contains(&fix),
        "nothing but where to ask: {}",
        answer.text()
    );
    let (code, _, said) = fnctl(&["--server", &plain, "streams", "list"]);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("FN6006") && said.contains(&fix), "{said}");
    let first = fs::read(certificate(&data_dir)).expect("a certificate");
    server.stop().unwrap_or_else(|e| panic!("{e}"));
    let server = serve(&data_dir, &["--tls-generate"]);
    assert_eq!(
        fs::read(certificate(&data_dir)).expect("a certificate"),
        first
    );
    one(&server, &[&words[..], &["describe", "s"]].concat());
}

#[test]
fn a_server_on_all_addresses_says_a_name_that_its_certificate_is_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let mut server = Command::new(binary())
        .args(["server", "-o", "json", "--insecure", "--tls-generate"])
        .args(["--listen", "0.0.0.0:0", "--kinesis-listen", "0.0.0.0:0"])
        .arg("--data-dir")
        .arg(&data_dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut line = String::new();
    let stdout = server.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let api = ready["api"].as_str().expect("an address").to_owned();
    let trusted = certificate(&data_dir);
    let trusted = trusted.to_string_lossy();
    let (code, _, said) = fnctl(&["--server", &api, "--tls-ca", &trusted, "streams", "list"]);
    server.kill().expect("it runs");
    server.wait().expect("it ends");
    assert_eq!(code, Some(0), "{api}: {said}");
    for key in ["api", "kinesis"] {
        let url = ready[key].as_str().expect("an address");
        assert!(url.starts_with("https://localhost:"), "{url}");
    }
}

#[test]
fn boto3_signs_with_keys_that_are_known_over_tls_and_others_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let credentials = folder.path().join("credentials");
    let (secret, writing) = ("a secret/of+the=owners", "0123456789abcdef0123");
    let text = format!(
        "[owner]\naws_access_key_id = OWNER\naws_secret_access_key = {secret}\nfnctl_scope = admin\n\n\
         [shop]\naws_access_key_id = SHOP\naws_secret_access_key = {writing}\n"
    );
    fs::write(&credentials, text).expect("written");
    let credentials = credentials.to_string_lossy();
    let server = serve(
        &data_dir,
        &["--kinesis-credentials", &credentials, "--tls-generate"],
    );
    let arguments = ["OWNER", secret, "SHOP", writing].map(OsStr::new);
    holds_over_tls(&server, "signatures", &arguments, &certificate(&data_dir));
    assert!(!server.log().contains(writing));
}

/// The lines of the audit so far.
fn audited(server: &Server, token: &str, count: usize) -> Vec<Value> {
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
    let records = all(server, &[&words[..], &wait].concat());
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
    let lines = audited(&server, &admin, 3);
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

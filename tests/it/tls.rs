//! TLS: certificates that are made and given, and clients that need them.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fnctl_tests::{binary, get};
use serde_json::Value;

use crate::{
    access::{fnctl, offline_token, serve},
    audit::lines_of,
    kinesis::holds_over_tls,
    support::{all, one},
};

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
    // What a key may not do is told once, however often it is tried.
    let trusted = certificate(&data_dir).to_string_lossy().into_owned();
    let tail = ["--tls-ca", &trusted, "tail", "fnctl.audit"];
    let all_of_it = ["--from", "trim-horizon", "--count", "3", "--timeout", "60s"];
    let lines = lines_of(all(&server, &[&tail[..], &all_of_it].concat()));
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["who"], &line["what"], &line["on"]))
        .map(|(who, what, on)| (who.as_str(), what.as_str(), on.as_str()))
        .collect();
    let by = |who, what, on| (Some(who), Some(what), Some(on));
    let expected = [
        by("key:owner", "CreateStream", "s"),
        by("key:shop", "DeleteStream", "s"),
        by("key:owner", "CreateStream", "end"),
    ];
    assert_eq!(told, expected, "{lines:?}");
    assert_eq!(lines[1]["error"], "AccessDeniedException");
}

//! Certificates, keys and tokens that somebody renews while the server runs.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fnctl_tests::{Server, ServerOptions, request};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    audit::audited,
    support::{all, one},
};

fn serve(data_dir: &Path, arguments: &[&str]) -> Server {
    let options = ServerOptions {
        data_dir: Some(data_dir.to_owned()),
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        ..ServerOptions::default()
    };
    Server::start(options).unwrap_or_else(|e| panic!("{e}"))
}

/// Asks until it is so, for a minute at most.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
    }
}

/// Certificate and key of their own.
fn identity(folder: &Path) -> (String, String) {
    let server = serve(folder, &["--tls-generate"]);
    let pem = fs::read_to_string(folder.join("tls/identity.pem")).expect("it was made");
    server.stop().unwrap_or_else(|e| panic!("{e}"));
    let at = pem.find("-----BEGIN PRIVATE KEY").expect("a key");
    let (certificate, key) = pem.split_at(at);
    (certificate.to_owned(), key.to_owned())
}

/// Puts a pair in place as an orchestrator does: files of their own, and a link that is swapped.
fn swap(folder: &Path, version: &str, certificate: &str, key: &str) {
    let of_version = folder.join(version);
    fs::create_dir_all(&of_version).expect("a folder");
    fs::write(of_version.join("tls.crt"), certificate).expect("written");
    fs::write(of_version.join("tls.key"), key).expect("written");
    let link = folder.join("next");
    symlink(version, &link).expect("a link");
    fs::rename(link, folder.join("now")).expect("swapped");
}

#[test]
fn a_certificate_that_is_swapped_is_shown_to_new_connections_and_one_that_is_bad_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (first, first_key) = identity(&path("first"));
    let (second, second_key) = identity(&path("second"));
    swap(&path("."), "v1", &first, &first_key);
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let (certificate, key) = (text(path("now/tls.crt")), text(path("now/tls.key")));
    let data_dir = path("data");
    let server = serve(&data_dir, &["--tls-cert", &certificate, "--tls-key", &key]);
    fs::write(path("a.pem"), &first).expect("written");
    fs::write(path("b.pem"), &second).expect("written");
    let (a, b) = (text(path("a.pem")), text(path("b.pem")));
    let trusts = |ca: &str| server.json(&["--tls-ca", ca, "streams", "list"]).is_ok();
    assert!(trusts(&a) && !trusts(&b));
    one(&server, &["--tls-ca", &a, "streams", "create", "s"]);
    let follow = ["tail", "s", "--from", "trim-horizon", "-o", "json"];
    let mut tail = server
        .follow(&[&["--tls-ca", &a][..], &follow].concat())
        .unwrap_or_else(|e| panic!("{e}"));
    all(&server, &["--tls-ca", &a, "put", "s", "before"]);
    assert_eq!(tail.next_json().expect("a record")["data"], "before");

    // A key that is another certificate's: half of a renewal.
    swap(&path("."), "v2", &second, &first_key);
    server.signal(Signal::HUP).unwrap_or_else(|e| panic!("{e}"));
    until("the log says why", || {
        server.log().contains("stays in force")
    });
    assert!(trusts(&a) && !trusts(&b));

    // Nobody tells of the next one.
    swap(&path("."), "v3", &second, &second_key);
    until("the second is shown", || trusts(&b));
    assert!(!trusts(&a));
    all(&server, &["--tls-ca", &b, "put", "s", "after"]);
    assert_eq!(
        tail.next_json().expect("what is open goes on")["data"],
        "after"
    );
}

/// The status of a request, and what it answers.
fn asked(server: &Server, path: &str, token: &str) -> (u16, String) {
    let bearer = format!("Bearer {token}");
    let answer = request(&server.api, "GET", path, &[("authorization", &bearer)], b"");
    let answer = answer.unwrap_or_else(|e| panic!("{e}"));
    (answer.status, answer.text())
}

/// What a key is told that signs badly: whether it is known.
fn is_known(server: &Server, key: &str) -> bool {
    let date = "20260301T000000Z";
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260301/us-east-1/kinesis/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-target, Signature={}",
        "0".repeat(64)
    );
    let headers = [
        ("authorization", authorization.as_str()),
        ("x-amz-date", date),
        ("x-amz-target", "Kinesis_20131202.ListStreams"),
        ("content-type", "application/x-amz-json-1.1"),
    ];
    let answer = request(&server.kinesis, "POST", "/", &headers, b"{}");
    let text = answer.unwrap_or_else(|e| panic!("{e}")).text();
    assert!(
        text.contains("UnrecognizedClient") || text.contains("InvalidSignature"),
        "{text}"
    );
    text.contains("InvalidSignature")
}

#[test]
fn the_token_of_a_file_opens_a_new_server_and_follows_the_file_and_so_do_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let keys = |names: &[&str]| {
        let profile = |name: &&str| {
            format!(
                "[{name}]\naws_access_key_id = {name}\naws_secret_access_key = 0123456789abcdef\n"
            )
        };
        let all: String = names.iter().map(profile).collect();
        fs::write(path("keys"), all).expect("written");
    };
    let (first, second) = ("a".repeat(40), "b".repeat(40));
    fs::write(path("token"), format!("{first}\n")).expect("written");
    keys(&["ONE"]);
    let (token, credentials) = (text(path("token")), text(path("keys")));
    let arguments = [
        "--require-token",
        "--admin-token-file",
        &token,
        "--kinesis-credentials",
        &credentials,
    ];
    let server = serve(&path("data"), &arguments);
    assert_eq!(asked(&server, "/v1/tokens", &first).0, 200);
    assert_eq!(asked(&server, "/v1/tokens", &second).0, 401);
    let listed = all(&server, &["--token", &first, "tokens", "list"]);
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["scope"]),
        (&"admin-file".into(), &"admin".into())
    );
    assert!(is_known(&server, "ONE") && !is_known(&server, "TWO"));
    let failing = |token: &str, what: &str, value: u8| {
        let (_, metrics) = asked(&server, "/metrics", token);
        metrics.contains(&format!(
            "fnctl_reload_failing{{what=\"{what}\"}} {value}\n"
        ))
    };
    assert!(failing(&first, "admin-token", 0));

    // Neither a file that says too little nor one that is gone shuts anybody out.
    fs::write(path("token"), "short").expect("written");
    fs::remove_file(path("keys")).expect("removed");
    server.signal(Signal::HUP).unwrap_or_else(|e| panic!("{e}"));
    until("both are told to fail", || {
        failing(&first, "admin-token", 1) && failing(&first, "kinesis-credentials", 1)
    });
    assert!(is_known(&server, "ONE"));
    assert!(server.log().contains("stays in force") && !server.log().contains("short"));

    fs::write(path("token"), &second).expect("written");
    keys(&["TWO"]);
    server.signal(Signal::HUP).unwrap_or_else(|e| panic!("{e}"));
    // The log is asked: whoever is refused again and again is answered no more.
    until("the secret is the second", || {
        server.log().contains("is another one")
    });
    assert_eq!(asked(&server, "/v1/tokens", &second).0, 200);
    assert_eq!(
        asked(&server, "/v1/tokens", &first).0,
        401,
        "the first is gone with its file"
    );
    until("the keys are the others", || {
        server.log().contains("credentials were read again")
    });
    assert!(is_known(&server, "TWO") && !is_known(&server, "ONE"));
    // Asked again, nothing is another one, and nothing is told.
    server.signal(Signal::HUP).unwrap_or_else(|e| panic!("{e}"));
    until("the keys are read once more", || {
        server.log().matches("credentials were read again").count() == 2
    });
    until("both are well", || {
        failing(&second, "admin-token", 0) && failing(&second, "kinesis-credentials", 0)
    });
    server.stop().unwrap_or_else(|e| panic!("{e}"));

    // It was kept as every token is, and nothing of it is in the open.
    let kept = fs::read_to_string(path("data/access.json")).expect("text");
    assert!(kept.contains("admin-file") && !kept.contains(&second));
    let server = serve(&path("data"), &arguments);
    assert_eq!(asked(&server, "/v1/tokens", &second).0, 200);
    assert!(!server.log().contains(&second));
    server.stop().unwrap_or_else(|e| panic!("{e}"));

    // A start gives another one, too.
    let third = "c".repeat(40);
    fs::write(path("token"), &third).expect("written");
    let server = serve(&path("data"), &arguments);
    let made = [
        "--token", &third, "tokens", "create", "r", "--scope", "read",
    ];
    one(&server, &made);
    let lines = audited(&server, &third, 5);
    let by_file = |file: &str, what: &str, on: Value| {
        let who = format!("file:{file}");
        json!({"who": who, "peer": null, "via": "file", "what": what, "on": on, "status": 200})
    };
    let without_null = |mut line: Value| {
        let line = line.as_object_mut().expect("an object");
        line.retain(|name, value| name == "peer" || !value.is_null());
        Value::Object(line.clone())
    };
    let token_changed = || by_file(&token, "SetToken", "admin-file".into());
    // Files are looked at side by side.
    let mut renewed = [lines[1].clone(), lines[2].clone()];
    renewed.sort_by_key(|line| line["what"] == "SetToken");
    assert_eq!(lines[0], token_changed());
    let keys_changed = by_file(&credentials, "SetKinesisCredentials", Value::Null);
    assert_eq!(renewed[0], without_null(keys_changed));
    assert_eq!(renewed[1], token_changed());
    assert_eq!(lines[3], token_changed());
    assert_eq!(
        (&lines[4]["what"], &lines[4]["who"]),
        (&"POST /v1/tokens".into(), &"token:admin-file".into())
    );
    let told = Value::from(lines).to_string();
    assert!(
        ![first, second, third]
            .iter()
            .any(|secret| told.contains(secret))
    );
}

/// Whoever revokes the token of a file is told that the next start brings it back; a look at the file does not.
#[test]
fn a_revoked_token_of_a_file_stays_revoked_until_a_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let given = "a".repeat(40);
    fs::write(path("token"), &given).expect("written");
    let keys = "[K]\naws_access_key_id = K\naws_secret_access_key = 0123456789abcdef\n";
    fs::write(path("keys"), keys).expect("written");
    let (token, keys) = (path("token"), path("keys"));
    let arguments = [
        "--require-token",
        "--admin-token-file",
        &token,
        "--kinesis-credentials",
        &keys,
    ];
    let server = serve(&folder.path().join("data"), &arguments);
    let make = [
        "--token", &given, "tokens", "create", "root2", "--scope", "admin",
    ];
    let made = one(&server, &make);
    let other = made["token"].as_str().expect("a secret").to_owned();
    let revoke = ["--token", &other, "tokens", "revoke", "admin-file", "--yes"];
    let revoked = one(&server, &revoke);
    let notes = revoked["notes"].as_array().expect("notes");
    assert!(
        notes.len() == 1 && notes[0]["message"].to_string().contains("next start"),
        "{revoked}"
    );
    assert_eq!(asked(&server, "/v1/tokens", &given).0, 401);
    server.signal(Signal::HUP).unwrap_or_else(|e| panic!("{e}"));
    until("the files are read again", || {
        server.log().contains("credentials were read again")
    });
    let read = |what: &str| {
        let (_, metrics) = asked(&server, "/metrics", &other);
        metrics.contains(&format!(
            "fnctl_reloads_total{{what=\"{what}\",outcome=\"done\"}} 1\n"
        ))
    };
    until("the token's file, too", || read("admin-token"));
    assert_eq!(asked(&server, "/v1/tokens", &given).0, 401);
    assert!(!server.log().contains("is another one"));
    server.stop().unwrap_or_else(|e| panic!("{e}"));
    let server = serve(&folder.path().join("data"), &arguments);
    assert_eq!(asked(&server, "/v1/tokens", &given).0, 200);
}

#[test]
fn files_of_secrets_that_everybody_may_read_are_told_of_in_the_log() {
    const WARNING: &str = "everybody on this machine may read a file of secrets";
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("credentials");
    let text = "[w]\naws_access_key_id = AKIAX\naws_secret_access_key = sixteen-and-more-characters\nfnctl_scope = write\n";
    fs::write(&keys, text).expect("written");
    let token = folder.path().join("token");
    fs::write(&token, "x".repeat(32)).expect("written");
    let path = |file: &Path| file.to_string_lossy().into_owned();
    let arguments = [
        "--kinesis-credentials",
        &path(&keys),
        "--admin-token-file",
        &path(&token),
    ];
    for (mode, told) in [(0o600, 0), (0o640, 0), (0o644, 2)] {
        for file in [&keys, &token] {
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("set");
        }
        let server = serve(&folder.path().join("data"), &arguments);
        let log = server.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(WARNING)).collect();
        assert_eq!(lines.len(), told, "{mode:o}: {log}");
        for (line, file) in lines.iter().zip([&keys, &token]) {
            assert!(
                line.contains("WARN") && line.contains(&path(file)),
                "{line}"
            );
        }
        server.stop().unwrap_or_else(|e| panic!("{e}"));
    }
}

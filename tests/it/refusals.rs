//! Bad input on every endpoint: a clear error with its code, and a server that goes on serving.

use fnctl_tests::{get, request};

use crate::support::{ask, error_of, guest, one, put, server, tail};

#[test]
fn every_endpoint_refuses_bad_input_in_words() {
    let server = server();
    one(
        &server,
        &["deploy", &guest("echo"), "--stream", "in", "--to", "out"],
    );
    let deep = "[".repeat(50_000);
    let long = "x".repeat(3 << 20);
    let cases: Vec<(&str, &str, &[u8], u16, &str)> = vec![
        ("GET", "/", b"", 404, "FN1015"),
        ("GET", "/v1/nothing", b"", 404, "FN1015"),
        ("GET", "/v1/status", b"", 501, "FN1003"),
        ("GET", "/v1/traces", b"", 501, "FN1003"),
        ("PATCH", "/v1/mappings/echo", b"{", 400, "FN1014"),
        ("PATCH", "/v1/mappings/none", b"{}", 404, "FN3004"),
        ("POST", "/v1/mappings/echo/seek", b"{}", 400, "FN1014"),
        (
            "POST",
            "/v1/mappings/echo/parked/dead-letter",
            b"{}",
            400,
            "FN1014",
        ),
        (
            "POST",
            "/v1/mappings/echo/dead-letters/redrive",
            b"{}",
            400,
            "FN1001",
        ),
        (
            "POST",
            "/v1/mappings/echo/dead-letters/purge",
            b"{\"all\":true,\"code\":\"x\"}",
            400,
            "FN1001",
        ),
        ("GET", "/v1/functions/echo/aliases", b"", 501, "FN1003"),
        ("POST", "/v1/mappings/echo/dance", b"{}", 404, "FN1015"),
        ("POST", "/v1/mappings/echo/pause", b"{\"zz\":1}", 400, "FN1014"),
        ("POST", "/v1/mappings/echo/pause", b"[]", 400, "FN1014"),
        ("POST", "/v1/mappings/echo/resume", b"garbage", 400, "FN1014"),
        ("GET", "/v1/mappings", b"{}", 400, "FN1014"),
        ("DELETE", "/v1/streams/in", b"{\"force\":true}", 400, "FN1014"),
        ("GET", "/v1/version?x=1", b"", 400, "FN1001"),
        ("GET", "/v1/health?x=1", b"", 400, "FN1001"),
        ("GET", "/v1/mappings/echo/retries", b"", 400, "FN1001"),
        (
            "GET",
            "/v1/mappings/none/retries?follow",
            b"",
            404,
            "FN3004",
        ),
        ("GET", "/v1/streams/%zz", b"", 400, "FN1001"),
        ("GET", "/v1/streams/%ff", b"", 400, "FN1001"),
        ("POST", "/healthz", b"", 405, "FN1016"),
        ("PATCH", "/v1/streams", b"", 405, "FN1016"),
        ("PATCH", "/v1/streams/in", b"{", 400, "FN1014"),
        ("PATCH", "/v1/streams/none", b"{}", 404, "FN3001"),
        ("PATCH", "/v1/streams/in", b"{\"quota\":1}", 400, "FN3007"),
        ("GET", "/v1/streams?colour=red", b"", 400, "FN1001"),
        (
            "GET",
            "/v1/streams/in/records?from=yesterday",
            b"",
            400,
            "FN3008",
        ),
        (
            "GET",
            "/v1/streams/in/records?count=many",
            b"",
            400,
            "FN1001",
        ),
        (
            "GET",
            "/v1/streams/in/records?follow=perhaps",
            b"",
            400,
            "FN1001",
        ),
        ("GET", "/v1/streams/none/records", b"", 404, "FN3001"),
        ("GET", "/v1/streams/none", b"", 404, "FN3001"),
        ("DELETE", "/v1/streams/none", b"", 404, "FN3001"),
        ("DELETE", "/v1/streams/in", b"", 409, "FN3003"),
        ("GET", "/v1/streams/bad%20name", b"", 400, "FN3007"),
        ("POST", "/v1/streams", b"{", 400, "FN1014"),
        ("POST", "/v1/streams", b"[]", 400, "FN1014"),
        ("POST", "/v1/streams", b"{}", 400, "FN1014"),
        ("POST", "/v1/streams", b"{\"name\":7}", 400, "FN1014"),
        ("POST", "/v1/streams", b"\xff\xfe", 400, "FN1014"),
        ("POST", "/v1/streams", b"{\"name\":\"a b\"}", 400, "FN3007"),
        (
            "POST",
            "/v1/streams",
            b"{\"name\":\"a\",\"colour\":\"red\"}",
            400,
            "FN3007",
        ),
        (
            "POST",
            "/v1/streams",
            b"{\"name\":\"a\",\"shards\":0}",
            400,
            "FN3007",
        ),
        (
            "POST",
            "/v1/streams",
            b"{\"name\":\"a\",\"retention\":\"7 weeks\"}",
            400,
            "FN3007",
        ),
        ("POST", "/v1/streams", b"{\"name\":\"in\"}", 409, "FN3002"),
        (
            "POST",
            "/v1/streams",
            b"{\"name\":\"q\",\"hold_quota\":\"1GiB\"}",
            400,
            "FN1003",
        ),
        (
            "POST",
            "/v1/deploy",
            b"{\"function\":{\"name\":\"echo\"},\"mappings\":[{\"stream\":\"in\",\"tumbling_window\":\"16m\"}]}",
            400,
            "FN2102",
        ),
        (
            "POST",
            "/v1/deploy",
            b"{\"function\":{\"name\":\"echo\"},\"mappings\":[{\"stream\":\"in\",\"key_groups\":0}]}",
            400,
            "FN2102",
        ),
        (
            "POST",
            "/v1/deploy",
            b"{\"function\":{\"name\":\"echo\",\"log_level\":\"debug\"}}",
            400,
            "FN1003",
        ),
        (
            "GET",
            "/v1/mappings/echo/dead-letters?follow=true&limit=3",
            b"",
            400,
            "FN1001",
        ),
        ("POST", "/v1/streams", deep.as_bytes(), 400, "FN1014"),
        ("POST", "/v1/streams", long.as_bytes(), 413, "FN1017"),
        ("POST", "/v1/streams/none/records", b"{}\n", 404, "FN3001"),
        (
            "POST",
            "/v1/streams/in/records?key=a&key_field=b",
            b"",
            400,
            "FN1001",
        ),
        ("POST", "/v1/streams/in/records?key=", b"", 400, "FN4009"),
        (
            "POST",
            "/v1/streams/in/records?require_key=true",
            b"",
            400,
            "FN1001",
        ),
        ("GET", "/v1/functions/none", b"", 404, "FN2107"),
        ("DELETE", "/v1/functions/none", b"", 404, "FN2107"),
        ("DELETE", "/v1/functions/echo", b"", 409, "FN2110"),
        ("POST", "/v1/functions/none/rollback", b"{}", 404, "FN2107"),
        ("POST", "/v1/functions/echo/rollback", b"{}", 409, "FN2109"),
        (
            "POST",
            "/v1/functions/echo/rollback",
            b"{\"to\":99}",
            404,
            "FN2108",
        ),
        (
            "POST",
            "/v1/functions/echo/rollback",
            b"{\"to\":\"one\"}",
            400,
            "FN1014",
        ),
        (
            "POST",
            "/v1/functions/echo/rollback",
            b"{\"too\":1}",
            400,
            "FN1014",
        ),
        ("POST", "/v1/functions/none/promote", b"{}", 404, "FN2107"),
        ("POST", "/v1/functions/echo/promote", b"{}", 409, "FN2112"),
        (
            "POST",
            "/v1/functions/echo/promote",
            b"{\"canary\":{\"wait\":1}}",
            400,
            "FN1014",
        ),
        (
            "POST",
            "/v1/functions/none/invoke",
            b"{\"records\":[]}",
            404,
            "FN2107",
        ),
        (
            "POST",
            "/v1/functions/echo/invoke",
            b"{\"records\":[]}",
            400,
            "FN4005",
        ),
        (
            "POST",
            "/v1/functions/echo/invoke",
            b"{\"records\":[{}]}",
            400,
            "FN1014",
        ),
        (
            "POST",
            "/v1/functions/echo/invoke",
            b"{\"records\":[{\"data\":\"!\",\"encoding\":\"base64\"}]}",
            400,
            "FN4005",
        ),
        (
            "POST",
            "/v1/functions/echo/invoke",
            b"{\"records\":[{\"data\":\"x\",\"key\":\"\"}]}",
            400,
            "FN4009",
        ),
        ("GET", "/v1/functions/none/logs", b"", 404, "FN2107"),
        (
            "GET",
            "/v1/functions/echo/logs?since=yesterday",
            b"",
            400,
            "FN1001",
        ),
        ("GET", "/v1/functions/echo/logs?tail=-1", b"", 400, "FN1001"),
        ("GET", "/v1/mappings/none", b"", 404, "FN3004"),
        ("GET", "/v1/mappings/none%2Fin", b"", 404, "FN3004"),
        ("DELETE", "/v1/mappings/none", b"", 404, "FN3004"),
        ("POST", "/v1/mappings/none/pause", b"", 404, "FN3004"),
        ("POST", "/v1/mappings/none/resume", b"", 404, "FN3004"),
        ("POST", "/v1/mappings/echo/stop", b"", 404, "FN1015"),
        ("GET", "/v1/mappings/none/dead-letters", b"", 404, "FN3004"),
        (
            "GET",
            "/v1/mappings/echo/dead-letters?limit=x",
            b"",
            400,
            "FN1001",
        ),
        (
            "GET",
            "/v1/mappings/echo/dead-letters/x",
            b"",
            404,
            "FN4003",
        ),
        (
            "GET",
            "/v1/mappings/echo/dead-letters/0",
            b"",
            404,
            "FN4003",
        ),
        ("POST", "/v1/deploy", b"{", 400, "FN1014"),
        ("POST", "/v1/deploy", b"{}", 400, "FN1014"),
        ("POST", "/v1/deploy", b"{\"function\":{}}", 400, "FN2102"),
        (
            "POST",
            "/v1/deploy",
            b"{\"function\":{\"name\":\"/\"}}",
            400,
            "FN2102",
        ),
        (
            "POST",
            "/v1/deploy",
            b"{\"function\":{\"name\":\"new\"}}",
            404,
            "FN2107",
        ),
        (
            "POST",
            "/v1/deploy",
            b"{\"function\":{\"name\":\"echo\",\"build\":\"make\"}}",
            400,
            "FN2102",
        ),
        (
            "POST",
            "/v1/deploy",
            b"{\"function\":{\"name\":\"echo\"},\"colour\":1}",
            400,
            "FN1014",
        ),
        (
            "POST",
            "/v1/deploy",
            b"{\"function\":{\"name\":\"echo\",\"memory\":\"lots\"}}",
            400,
            "FN2102",
        ),
        (
            "POST",
            "/v1/deploy",
            b"{\"function\":{\"name\":\"echo\"},\"digest\":\"sha256:00\"}",
            404,
            "FN2106",
        ),
        (
            "POST",
            "/v1/deploy",
            b"{\"function\":{\"name\":\"echo\"},\"secrets\":{\"a\":\"!\"}}",
            400,
            "FN2102",
        ),
        ("PUT", "/v1/artifacts", b"", 400, "FN2001"),
        (
            "PUT",
            "/v1/artifacts",
            b"garbage, as it happens",
            400,
            "FN2001",
        ),
        ("PUT", "/v1/artifacts", b"\0asm\x01\0\0\0", 400, "FN2003"),
        ("PUT", "/v1/artifacts", b"\0asm\x0d\0\x01\0", 400, "FN2010"),
    ];
    for (method, path, body, status, code) in cases {
        let what = format!(
            "{method} {path} {}",
            String::from_utf8_lossy(&body[..body.len().min(80)])
        );
        let answer = ask(&server, method, path, body);
        let error = error_of(&answer, &what);
        assert_eq!(
            (answer.status, error["code"].as_str()),
            (status, Some(code)),
            "{what}: {error}"
        );
    }
    // Everyone else was served all the while.
    put(&server, "in", &["still here".to_owned()], &[]);
    assert_eq!(tail(&server, "out", 1)[0]["data"], "still here");
}

#[test]
fn a_page_of_another_origin_is_kept_out() {
    let server = server();
    let own = server.api.as_str();
    let body = br#"{"name":"csrf"}"#;
    let asks = |method: &str, header: (&str, &str), body: &[u8]| {
        let answer = request(&server.api, method, "/v1/streams", &[header], body);
        let answer = answer.expect("an answer");
        assert_eq!(answer.status == 403, answer.text().contains("FN6002"));
        answer.status
    };
    for header in [
        ("origin", "https://evil.example"),
        ("origin", "http://localhost:3000"),
        ("origin", "http://evil.localhost"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(asks("POST", header, body), 403, "{header:?}");
        assert_eq!(asks("GET", header, b""), 403, "{header:?}");
    }
    for (header, name) in [
        (("origin", own), "a"),
        (("sec-fetch-site", "none"), "b"),
        (("x-ignored", "x"), "c"),
    ] {
        let body = format!(r#"{{"name":"{name}"}}"#);
        assert_eq!(asks("POST", header, body.as_bytes()), 200, "{header:?}");
        assert_eq!(asks("GET", header, b""), 200, "{header:?}");
    }
    assert_eq!(get(&server.api, "/readyz").expect("an answer").status, 200);
}

#[test]
fn a_listener_beyond_loopback_is_refused_without_insecure() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = std::process::Command::new(fnctl_tests::binary())
        .args([
            "server",
            "--listen",
            "0.0.0.0:0",
            "--kinesis-listen",
            "127.0.0.1:0",
            "-o",
            "json",
        ])
        .arg("--data-dir")
        .arg(folder.path())
        .output()
        .expect("the binary runs");
    assert_eq!(refused.status.code(), Some(7));
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(
        words.contains("--insecure") && words.contains("FN6001"),
        "{words}"
    );
}

//! What several subjects need: servers, guests, input files, figures of a mapping.

use std::{fmt::Write as _, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use fnctl_tests::{Answer, Server, ServerOptions, get, request};
use serde_json::Value;

/// A server on a data directory of its own.
pub(crate) fn server() -> Server {
    Server::start(ServerOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// A server on this data directory.
pub(crate) fn server_on(data_dir: &std::path::Path) -> Server {
    let options = ServerOptions {
        data_dir: Some(data_dir.to_owned()),
        ..ServerOptions::default()
    };
    Server::start(options).unwrap_or_else(|e| panic!("{e}"))
}

/// The component `name.wasm` of `tests/guests`, as an argument.
pub(crate) fn guest(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("guests/target/wasm32-wasip2/release")
        .join(format!("{name}.wasm"))
        .to_string_lossy()
        .into_owned()
}

/// Deploys the function that does what its records say, from `in` to `out`.
pub(crate) fn deploy_hostile(server: &Server, options: &[&str]) -> Value {
    let guest = guest("hostile");
    let mut words = vec!["deploy", &guest, "--stream", "in", "--to", "out"];
    words.extend_from_slice(&["--to", "side=none"]);
    words.extend_from_slice(options);
    one(server, &words)
}

/// Runs a command that prints one object.
pub(crate) fn one(server: &Server, arguments: &[&str]) -> Value {
    server
        .one(arguments)
        .unwrap_or_else(|e| panic!("{e}\nserver log: {}", server.log()))
}

/// Runs a command that prints many.
pub(crate) fn all(server: &Server, arguments: &[&str]) -> Vec<Value> {
    server
        .json(arguments)
        .unwrap_or_else(|e| panic!("{e}\nserver log: {}", server.log()))
}

/// Runs a command that is refused; its exit code and error.
pub(crate) fn refused(server: &Server, arguments: &[&str]) -> (Option<i32>, Value) {
    let failure = server.json(arguments).expect_err("it is refused");
    let error = failure.error;
    (
        failure.exit,
        error.unwrap_or_else(|| panic!("{}", failure.message)),
    )
}

/// Puts records, each with its key, in one request: whoever reads them gets all at once.
pub(crate) fn put_keyed<'a>(
    server: &Server,
    stream: &str,
    records: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    let records = records.into_iter().map(|(key, data)| {
        let data = STANDARD.encode(data);
        serde_json::json!({ "PartitionKey": key, "Data": data })
    });
    let records: Vec<Value> = records.collect();
    let request = serde_json::json!({ "StreamName": stream, "Records": records });
    let (status, answer) = kinesis(server, "PutRecords", &request.to_string());
    assert_eq!(status, 200, "{answer}");
}

/// Writes lines to a file beside the server and puts them.
pub(crate) fn put(server: &Server, stream: &str, lines: &[String], options: &[&str]) -> Vec<Value> {
    let path = server.folder().join("put.ndjson");
    let mut text = String::new();
    for line in lines {
        writeln!(text, "{line}").expect("a string takes everything");
    }
    std::fs::write(&path, text).expect("a file beside the server");
    let path = path.to_string_lossy();
    let mut arguments = vec!["put", stream, "--file", &path];
    arguments.extend_from_slice(options);
    all(server, &arguments)
}

/// The first `count` records of a stream, waited for.
pub(crate) fn tail(server: &Server, stream: &str, count: usize) -> Vec<Value> {
    let count = count.to_string();
    let wait = ["--count", &count, "--timeout", "60s"];
    let mut arguments = vec!["tail", stream, "--from", "trim-horizon"];
    arguments.extend_from_slice(&wait);
    all(server, &arguments)
}

/// What a mapping is doing.
pub(crate) fn describe(server: &Server, mapping: &str) -> Value {
    one(server, &["mappings", "describe", mapping])
}

/// Waits until everything that arrived is settled.
pub(crate) fn drained(server: &Server, mapping: &str) -> Value {
    loop {
        let status = describe(server, mapping);
        if status["pending_records"] == 0 {
            return status;
        }
    }
}

/// The value of one series of the exposition.
pub(crate) fn metric(server: &Server, series: &str) -> f64 {
    let text = get(&server.api, "/metrics")
        .unwrap_or_else(|e| panic!("{e}"))
        .text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("no {series} in\n{text}"))
}

/// One call of the Kinesis API with a JSON body, as any client sends it; status and answer.
pub(crate) fn kinesis(server: &Server, operation: &str, body: &str) -> (u16, String) {
    let target = format!("Kinesis_20131202.{operation}");
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", target.as_str()),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0",
        ),
        ("x-amz-date", "20260101T000000Z"),
    ];
    let answer = request(&server.kinesis, "POST", "/", &headers, body.as_bytes());
    let answer = answer.unwrap_or_else(|e| panic!("{e}"));
    (answer.status, answer.text())
}

/// The error object of an answer, checked for what every one must have.
pub(crate) fn error_of(answer: &Answer, what: &str) -> Value {
    let text = answer.text();
    let line = text.lines().last().unwrap_or_default();
    let body: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{what}: {e}: {text}"));
    let error = body["error"].clone();
    let code = error["code"].as_str().unwrap_or_default();
    assert!(code.starts_with("FN") && code.len() == 6, "{what}: {text}");
    assert!(
        error["exit_code"].is_u64() && error["kind"].is_string(),
        "{what}: {text}"
    );
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|words| !words.is_empty()),
        "{what}: {text}"
    );
    assert!(
        error["fix"].as_str().is_some_and(|fix| !fix.is_empty()),
        "{what}: what to do is not said: {text}"
    );
    error
}

/// Asks the API with a body that is JSON.
pub(crate) fn ask(server: &Server, method: &str, path: &str, body: &[u8]) -> Answer {
    request(
        &server.api,
        method,
        path,
        &[("content-type", "application/json")],
        body,
    )
    .unwrap_or_else(|e| panic!("{method} {path}: {e}\nserver log: {}", server.log()))
}

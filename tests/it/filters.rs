//! Filters from outside: which records a function is given, what becomes of the others, what is refused,
//! and `fnctl filter test` (Lambda ESM specification §13, §22 rows Filter and Metrics).

use fnctl_tests::Server;
use serde_json::{Value, json};

use crate::support::{all, drained, guest, metric, one, put, refused, server, server_on, tail};

const ADULTS: &str = r#"{"data": {"age": [{"numeric": [">=", 18]}]}}"#;

/// Deploys the function that hands its input on, from `in` to `out`.
fn deploy(server: &Server, options: &[&str]) -> Value {
    let guest = guest("echo");
    let words = ["deploy", &guest, "--stream", "in", "--to", "out"];
    one(server, &[&words[..], options].concat())
}

fn ages(from: u32, to: u32) -> Vec<String> {
    (from..to)
        .map(|age| json!({"age": age}).to_string())
        .collect()
}

#[test]
fn a_function_is_given_what_matches_and_the_rest_is_counted_and_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_on(folder.path());
    let done = deploy(&server, &["--filter", ADULTS]);
    assert_eq!(done["mappings"][0]["state"], "running");
    put(&server, "in", &ages(10, 30), &["--key", "k"]);
    let given: Vec<Value> = tail(&server, "out", 12);
    let first: Value =
        serde_json::from_str(given[0]["data"].as_str().expect("text")).expect("JSON");
    assert_eq!(first["age"], 18);
    let status = drained(&server, "echo");
    let totals = &status["totals"];
    assert_eq!(
        (&totals["filtered"], &totals["processed"]),
        (&8.into(), &12.into())
    );
    assert_eq!(status["settings"]["filter"], json!([ADULTS]));
    assert_eq!(status["settings"]["on_unparsable"], "drop");
    assert_eq!(
        metric(&server, "fnctl_records_filtered_total{mapping=\"echo/in\"}"),
        8.0
    );

    // All of a poll filtered: the position moves without a call.
    put(&server, "in", &ages(0, 5), &["--key", "k"]);
    let status = drained(&server, "echo");
    assert_eq!(status["totals"]["filtered"], 13);
    assert_eq!(status["totals"]["processed"], 12);
    drop(server);

    // What was passed over stays so, and the filter is there again.
    let server = server_on(folder.path());
    put(&server, "in", &ages(17, 19), &["--key", "k"]);
    let status = drained(&server, "echo");
    assert_eq!(status["totals"]["filtered"], 14);
    assert_eq!(status["totals"]["processed"], 13);
}

/// What is judged is never what is given: blanks, spellings of numbers, order and doubles of keys stay.
#[test]
fn a_record_that_matches_is_given_byte_for_byte() {
    let server = server();
    deploy(&server, &["--filter", ADULTS]);
    let record = r#"{ "z":1.50e1,  "age" : 2e1, "a":"\u00e9\/", "age":20.0 } "#;
    put(&server, "in", &[record.to_owned()], &["--key", "k"]);
    assert_eq!(tail(&server, "out", 1)[0]["data"], record);
}

#[test]
fn a_record_that_cannot_be_judged_is_dropped_passed_or_kept_as_a_letter() {
    let server = server();
    let lines: Vec<String> = ["{\"age\":20}", "nonsense", "{\"age\":2}"]
        .map(str::to_owned)
        .into();
    deploy(&server, &["--filter", ADULTS]);
    put(&server, "in", &lines, &["--key", "k"]);
    let status = drained(&server, "echo");
    assert_eq!(
        (
            &status["totals"]["filtered"],
            &status["totals"]["processed"]
        ),
        (&2.into(), &1.into())
    );
    let errors = "fnctl_filter_errors_total{mapping=\"echo/in\"}";
    assert_eq!(metric(&server, errors), 1.0);

    let done = deploy(&server, &["--on-unparsable", "dead-letter"]);
    let change = json!({"path": "mapping.on_unparsable", "from": "drop", "to": "dead-letter"});
    assert_eq!(done["changes"], json!([change]));
    put(&server, "in", &lines, &["--key", "k"]);
    let status = drained(&server, "echo");
    assert_eq!(status["totals"]["dead_lettered"], 1);
    assert_eq!(status["totals"]["filtered"], 3);
    let letters = all(&server, &["dlq", "list", "echo"]);
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = &letters[0];
    assert_eq!(
        (&letter["error_kind"], &letter["attempts"]),
        (&"unparsable".into(), &0.into())
    );
    assert_eq!(
        (&letter["code"], &letter["data"]),
        (&"unparsable".into(), &"nonsense".into())
    );

    deploy(&server, &["--on-unparsable", "pass"]);
    put(&server, "in", &lines, &["--key", "k"]);
    let status = drained(&server, "echo");
    assert_eq!(status["totals"]["processed"], 4);
    assert_eq!(metric(&server, errors), 3.0);
}

#[test]
fn a_pattern_is_refused_at_deploy_with_its_place_wherever_it_is_written() {
    let server = server();
    let guest = guest("echo");
    let words = ["deploy", &guest, "--stream", "in", "--filter", ADULTS];
    let bad = r#"{"data": {"age": "x", "name": [{"prefx": "a"}]}}"#;
    let (exit, error) = refused(&server, &[&words[..], &["--filter", bad]].concat());
    assert_eq!(
        (exit, &error["code"]),
        (Some(7), &"FN2102".into()),
        "{error}"
    );
    let problems = error["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 2, "{error}");
    for problem in problems {
        assert_eq!(problem["path"], "--filter[1]", "{error}");
    }
    let first = problems[0]["message"].as_str().unwrap_or_default();
    assert!(
        first.starts_with("`data.age`: ") && first.ends_with("(byte 17)"),
        "{first}"
    );

    // In a manifest as objects and as text; a file by its name.
    let folder = server.folder().join("project");
    std::fs::create_dir_all(&folder).expect("a folder");
    let manifest = |filter: &str| {
        let text = format!(
            "[function]\nname = \"echo\"\ncomponent = {guest:?}\n[[mapping]]\nstream = \"in\"\n\
             outputs = {{ default = \"out\" }}\nfilter = {filter}\n"
        );
        std::fs::write(folder.join("fnctl.toml"), text).expect("a manifest");
        folder.to_string_lossy().into_owned()
    };
    let project = manifest("[{ data = { age = [5] } }, '{\"data\": {}}']");
    let (exit, error) = refused(&server, &["deploy", &project]);
    assert_eq!(exit, Some(7), "{error}");
    assert_eq!(
        error["problems"][0]["path"], "mapping[0].filter[1]",
        "{error}"
    );
    let project =
        manifest("[{ data = { age = [5, { prefix = \"a\\\"b\" }] } }, '{\"data\": {\"b\": [1]}}']");
    one(&server, &["deploy", &project]);
    let status = drained(&server, "echo");
    let kept = [
        r#"{"data": {"age": [5, {"prefix": "a\"b"}]}}"#,
        r#"{"data": {"b": [1]}}"#,
    ];
    assert_eq!(status["settings"]["filter"], json!(kept));
    let file = server.folder().join("adults.json");
    std::fs::write(&file, ADULTS).expect("a file");
    let from_file = format!("@{}", file.display());
    let done = one(
        &server,
        &["deploy", "--name", "echo", "--filter", &from_file],
    );
    assert_eq!(done["changes"][0]["to"], ADULTS);
    let done = one(
        &server,
        &["deploy", "--name", "echo", "--filter", "default"],
    );
    assert_eq!(done["changes"][0]["to"], Value::Null);
    let (exit, error) = refused(
        &server,
        &["deploy", "--name", "echo", "--filter", "@nowhere.json"],
    );
    assert_eq!(
        (exit, &error["code"]),
        (Some(3), &"FN1005".into()),
        "{error}"
    );
}

#[test]
fn filter_test_says_what_passes_and_why_not_without_a_server() {
    let server = server();
    let file = server.folder().join("events.ndjson");
    let events = "{\"age\":20,\"name\":\"Ada\"}\n\n{\"age\":3}\nnonsense\n{\"name\":\"Bob\"}\n";
    std::fs::write(&file, events).expect("a file");
    let file = file.to_string_lossy();
    let pattern = r#"{"data": {"age": [{"numeric": [">=", 18]}], "name": [{"exists": true}]}}"#;
    let nobody = "http://127.0.0.1:1";
    let test = [
        "filter",
        "test",
        "--server",
        nobody,
        "--pattern",
        pattern,
        "--file",
        &file,
    ];
    let lines = all(&server, &test);
    assert_eq!(
        lines,
        [
            json!({"line": 1, "outcome": "pass", "unparsable": false, "unmet": []}),
            json!({"line": 3, "outcome": "filtered", "unparsable": false, "unmet": [
                {"pattern": 0, "field": "data.age", "reason": "other-value"},
                {"pattern": 0, "field": "data.name", "reason": "absent"},
            ]}),
            json!({"line": 4, "outcome": "filtered", "unparsable": true, "unmet": [
                {"pattern": 0, "field": "data.age", "reason": "unparsable"},
                {"pattern": 0, "field": "data.name", "reason": "unparsable"},
            ]}),
            json!({"line": 5, "outcome": "filtered", "unparsable": false, "unmet": [
                {"pattern": 0, "field": "data.age", "reason": "absent"},
            ]}),
            json!({"records": 4, "passed": 1, "filtered": 3, "dead_lettered": 0, "unparsable": 1}),
        ]
    );
    let words = [&test[..], &["--on-unparsable", "dead-letter"]].concat();
    let counts = all(&server, &words).pop().expect("counts");
    assert_eq!(counts["dead_lettered"], 1);
    let text = server.command(&test).output().expect("it runs");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("data.age has another value, data.name is not there"),
        "{text}"
    );
    assert!(
        text.ends_with("records 4   passed 1   filtered 3   dead-lettered 0   not JSON 1\n"),
        "{text}"
    );
    let (exit, error) = refused(
        &server,
        &["filter", "test", "--pattern", "{}", "--file", &file],
    );
    assert_eq!(
        (exit, &error["code"]),
        (Some(7), &"FN2102".into()),
        "{error}"
    );
    let (exit, _) = refused(
        &server,
        &["filter", "test", "--pattern", ADULTS, "--file", "nowhere"],
    );
    assert_eq!(exit, Some(3));
    let (exit, _) = refused(&server, &["filter", "test", "--file", &file]);
    assert_eq!(exit, Some(2));
}

/// A file that AWS tools take is taken as it is, on the command line and in a manifest.
#[test]
fn the_filter_criteria_of_aws_are_taken_as_they_are() {
    let server = server();
    let file = server.folder().join("criteria.json");
    let criteria =
        json!({"Filters": [{"Pattern": ADULTS}, {"Pattern": "{\"data\": {\"vip\": [true]}}"}]});
    std::fs::write(&file, criteria.to_string()).expect("a file");
    let at = format!("@{}", file.display());
    deploy(&server, &["--filter", &at]);
    let mut lines = ages(17, 19);
    lines.push(json!({"age": 3, "vip": true}).to_string());
    put(&server, "in", &lines, &["--key", "k"]);
    let totals = drained(&server, "echo")["totals"].clone();
    assert_eq!(
        (&totals["filtered"], &totals["processed"]),
        (&1.into(), &2.into())
    );
    let records = server.folder().join("records.ndjson");
    std::fs::write(&records, lines.join("\n")).expect("a file");
    let records = records.to_string_lossy().into_owned();
    let words = ["filter", "test", "--pattern", &at, "--file", &records];
    let told = all(&server, &words);
    assert_eq!(told.last().expect("counts")["passed"], 2);
    // One alone, and a mistake in it.
    let one_of = json!({"Pattern": ADULTS}).to_string();
    one(
        &server,
        &["mappings", "update", "echo", "--filter", &one_of],
    );
    let settings = &drained(&server, "echo")["settings"];
    assert_eq!(settings["filter"], json!([ADULTS]));
    let bad = json!({"Filters": [{"Pattern": "{\"data\": {\"a\": 1}}"}]}).to_string();
    let refused = server.one(&["mappings", "update", "echo", "--filter", &bad]);
    let refused = refused
        .expect_err("a number in place of an array")
        .to_string();
    assert!(
        refused.contains("in `Filters[0].Pattern`, `data.a`:"),
        "{refused}"
    );
}

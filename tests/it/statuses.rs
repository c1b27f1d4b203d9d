//! `fnctl status` and `mappings describe`: why a mapping stands where it stands, and what to do about it
//! (command line and SDK §5).

mod looks_well;

use std::process::Command;

use fnctl_tests::{Server, binary, text};
use serde_json::Value;

use crate::support::{all, drained, guest, one, put, put_keyed, server};

/// Deploys the function that does what its records say as `name`, from the stream `name`; its rows are
/// counted.
fn deploy(server: &Server, name: &str, options: &[&str]) -> Value {
    let guest = guest("hostile");
    let words = ["deploy", &guest, "--name", name, "--stream", name];
    let output = if options.contains(&"--to") {
        "side=none"
    } else {
        "none"
    };
    let outputs = ["--to", output, "--to", "side=none"];
    one(server, &[&words[..], &outputs, options].concat())
}

/// The diagnosis of a mapping, once it is this one; what can be done about it are commands that there are.
fn diagnosed(server: &Server, mapping: &str, code: &str) -> Value {
    loop {
        let status = one(server, &["status", mapping]);
        let found = &status["diagnosis"];
        if found["code"] == code {
            for command in commands(found) {
                is_there(&command);
            }
            return status;
        }
    }
}

fn commands(found: &Value) -> Vec<String> {
    let actions = found["actions"].as_array().expect("there is a list");
    actions.iter().map(|one| text(one, "command")).collect()
}

fn message(status: &Value) -> String {
    text(&status["diagnosis"], "message")
}

/// Runs a command as it is pasted, but for its help: that its words and flags are known is all that is asked.
fn is_there(command: &str) {
    for part in command.split(" | ") {
        let output = shell(&format!("{part} --help"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{part}: {said}");
        assert!(part.starts_with("fnctl "), "{part}");
    }
}

/// Runs a command in a shell that knows the binary.
fn shell(command: &str) -> std::process::Output {
    let binary = binary();
    let folder = binary.parent().expect("it lies somewhere");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell.env("PATH", format!("{}:{path}", folder.display()));
    shell.output().expect("there is a shell")
}

/// Pastes a command and says yes.
fn pasted(server: &Server, command: &str) {
    let output = shell(&format!("FNCTL_SERVER={} {command}", server.api));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command}: {said}");
}

fn printed(server: &Server, words: &[&str]) -> String {
    let output = server.command(words).output().expect("it runs");
    assert!(output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_mapping_says_why_it_rests_and_the_worst_comes_first() {
    let server = server();
    assert_eq!(printed(&server, &["status"]), "");
    deploy(&server, "quiet", &[]);
    let status = diagnosed(&server, "quiet", "no-data");
    assert_eq!(status["rates"]["calls"], 0, "{status}");
    assert!(!text(&status, "live_since").is_empty(), "{status}");

    deploy(&server, "well", &[]);
    put(&server, "well", &["ok".to_owned()], &["--key", "k"]);
    drained(&server, "well");
    let status = diagnosed(&server, "well", "caught-up");
    assert_eq!(status["rates"]["calls"], 1, "{status}");
    assert!(
        status["rates"]["call_p99_ms"].as_f64() > Some(0.0),
        "{status}"
    );
    assert!(
        status["rates"]["in_per_second"].as_f64() > Some(0.0),
        "{status}"
    );

    deploy(&server, "behind", &["--starting-position", "latest"]);
    one(&server, &["mappings", "pause", "behind"]);
    let status = diagnosed(&server, "behind", "paused");
    pasted(&server, &commands(&status["diagnosis"])[0]);
    diagnosed(&server, "behind", "no-data");
    one(&server, &["mappings", "pause", "behind"]);

    deploy(&server, "stops", &[]);
    put(&server, "stops", &["fatal".to_owned()], &["--key", "k"]);
    let status = diagnosed(&server, "stops", "stopped-fatal");
    assert!(
        message(&status).ends_with("gone: asked to stop"),
        "{status}"
    );

    let filter = r#"{"data":{"zip":["it's"]}}"#;
    deploy(&server, "filters", &["--filter", filter]);
    put(
        &server,
        "filters",
        &[r#"{"zip":"2"}"#.to_owned()],
        &["--key", "k"],
    );
    let status = diagnosed(&server, "filters", "filtered-away");
    let commands = commands(&status["diagnosis"]);
    pasted(&server, &commands[1]);
    let status = one(&server, &["status", "filters"]);
    assert_eq!(status["settings"]["filter"], Value::Array(Vec::new()));

    // The list has the same, the worst first.
    let list = all(&server, &["status"]);
    let told = list.iter().map(|line| {
        let code = text(&line["diagnosis"], "code");
        (text(line, "name"), code)
    });
    let told: Vec<(String, String)> = told.collect();
    let place = |name: &str| told.iter().position(|(of, _)| of == name);
    assert_eq!(
        told[0],
        ("stops/stops".to_owned(), "stopped-fatal".to_owned())
    );
    assert!(place("behind/behind") < place("quiet/quiet"), "{told:?}");
    assert!(place("quiet/quiet") < place("well/well"), "{told:?}");
    let said = printed(&server, &["status"]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("mapping "), "{said}");
    assert!(lines[1].contains("stopped-fatal") && lines[1].contains("asked to stop"));
    assert_eq!(lines.len(), 1 + list.len(), "{said}");

    // One mapping whole, by either command.
    for words in [
        ["status", "stops"].as_slice(),
        &["mappings", "describe", "stops"],
    ] {
        let said = printed(&server, words);
        for part in [
            "stops/stops  stopped (stopped-fatal), ",
            "stops version 1, live since 20",
            "\n  why     stopped-fatal since 20",
            "\n  do      fnctl mappings resume stops/stops  ",
            "\n          fnctl logs stops --since 15m  ",
            "\n  1 min   in ",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let missing = server.command(&["status", "nobody"]).output();
    assert_eq!(missing.expect("it runs").status.code(), Some(3));
}

#[test]
fn a_version_that_fails_is_told_beside_the_one_before_and_rolled_back_as_it_says() {
    let server = server();
    let policy = [
        "--batch-size",
        "1",
        "--max-attempts",
        "2",
        "--backoff-initial",
        "1ms",
    ];
    deploy(&server, "turns", &policy);
    let good = ["ok"; 5].map(str::to_owned);
    put(&server, "turns", &good, &["--key", "k"]);
    drained(&server, "turns");
    deploy(
        &server,
        "turns",
        &[&policy[..], &["--config", "a=b"]].concat(),
    );
    let bad: Vec<String> = (0..6).map(|n| format!("k{n}")).collect();
    put_keyed(
        &server,
        "turns",
        bad.iter().map(|key| (key.as_str(), "trap")),
    );
    let status = diagnosed(&server, "turns", "function-failing");
    let said = message(&status);
    assert!(said.contains("end in `trap`"), "{said}");
    assert!(said.contains("none did on version 1"), "{said}");
    assert!(!status["diagnosis"]["since"].is_null(), "{status}");
    let commands = commands(&status["diagnosis"]);
    assert_eq!(commands[0], "fnctl rollback turns");
    pasted(&server, &commands[0]);
    drained(&server, "turns");
    // What the live version does is told, not what another one did.
    let status = diagnosed(&server, "turns", "caught-up");
    assert_eq!(status["version"], 1, "{status}");
    assert!(message(&status).contains("6 dead letters open"), "{status}");
}

#[test]
fn what_a_mapping_waits_for_is_named_with_the_command_that_ends_it() {
    let server = server();
    deploy(&server, "parks", &["--max-attempts", "unlimited"]);
    let waits = "retry-after 3600000".to_owned();
    put(&server, "parks", &[waits], &["--key", "it's one"]);
    let status = diagnosed(&server, "parks", "parked-keys");
    assert!(
        message(&status).starts_with("1 key waits for a retry"),
        "{status}"
    );
    assert!(message(&status).contains("`busy`"), "{status}");
    let commands = commands(&status["diagnosis"]);
    let by_hand = r"fnctl mappings dead-letter parks/parks --key 'it'\''s one'";
    assert_eq!(commands[2], by_hand, "{status}");
    pasted(&server, &commands[2]);
    assert_eq!(drained(&server, "parks")["totals"]["dead_lettered"], 1);

    deploy(&server, "writes", &["--to", "gone"]);
    one(&server, &["streams", "delete", "gone", "--force", "--yes"]);
    put(&server, "writes", &["ok".to_owned()], &["--key", "k"]);
    let status = diagnosed(&server, "writes", "blocked-output");
    assert_eq!(status["reason"], "blocked-output", "{status}");
    pasted(
        &server,
        &text(&status["diagnosis"]["actions"][0], "command"),
    );
    drained(&server, "writes");

    deploy(
        &server,
        "down",
        &["--max-attempts", "3", "--backoff-initial", "1ms"],
    );
    let keys: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
    put_keyed(
        &server,
        "down",
        keys.iter().map(|key| (key.as_str(), "retry")),
    );
    let status = diagnosed(&server, "down", "circuit-open");
    assert!(
        message(&status).contains("`busy` (asked to fail)"),
        "{status}"
    );
    assert!(message(&status).contains("1 of 1 shard"), "{status}");

    one(&server, &["streams", "delete", "down", "--force", "--yes"]);
    let status = diagnosed(&server, &text(&status, "id"), "stream-deleted");
    assert_eq!(status["state"], "failed", "{status}");
}

#[test]
fn a_slow_function_is_told_by_its_lanes_and_one_that_is_held_back_by_its_bound() {
    let server = server();
    deploy(&server, "slow", &["--batch-size", "1"]);
    put(
        &server,
        "slow",
        &vec!["sleep 700".to_owned(); 2_000],
        &["--key", "k"],
    );
    deploy(
        &server,
        "bound",
        &[
            "--batch-size",
            "1",
            "--parallelization-factor",
            "8",
            "--concurrency",
            "1",
        ],
    );
    put(&server, "bound", &vec!["sleep 100".to_owned(); 20_000], &[]);
    let status = diagnosed(&server, "bound", "throttled");
    assert!(
        message(&status).ends_with("`bound` may make 1 call at once"),
        "{status}"
    );
    pasted(&server, &commands(&status["diagnosis"])[0]);
    let bound = one(&server, &["functions", "describe", "bound"]);
    let bounded = bound["concurrency"].as_u64();
    assert!(bounded >= Some(2), "{bound}");

    let status = diagnosed(&server, "slow", "function-slow");
    assert!(message(&status).contains("1 lane busy "), "{status}");
    let rates = &status["rates"];
    assert!(rates["call_p50_ms"].as_f64() > Some(500.0), "{rates}");
    assert!(rates["busy_ratio"].as_f64() > Some(0.7), "{rates}");
    let commands = commands(&status["diagnosis"]);
    let factor =
        commands[0].strip_prefix("fnctl mappings update slow/slow --parallelization-factor ");
    let factor = factor.and_then(|factor| factor.parse::<u64>().ok());
    assert!(factor >= Some(2), "{commands:?}");
    assert_eq!(commands[1], "fnctl streams resize slow --shards 2");
    let said = printed(&server, &["status", "slow"]);
    assert!(said.contains("slow/slow  running, BEHIND "), "{said}");
}

/// A program, or a file, has no width that anybody could know.
#[test]
fn what_is_piped_is_cut_nowhere() {
    let server = server();
    deploy(&server, "long", &[]);
    let (key, word) = ("k".repeat(200), "x".repeat(300));
    let record = format!("retry-after {word}");
    put(
        &server,
        "long",
        std::slice::from_ref(&record),
        &["--key", &key],
    );
    put(&server, "long", &["fatal".to_owned()], &["--key", "k"]);
    let status = diagnosed(&server, "long", "stopped-fatal");
    let printed = |words: &[&str]| {
        let output = server.command(words).output().expect("the binary runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = printed(&["status"]);
    assert!(text.contains(&message(&status)), "{text}\n{status}");
    let text = printed(&["dlq", "list", "long"]);
    assert!(text.contains(&key) && text.contains(&record), "{text}");
}

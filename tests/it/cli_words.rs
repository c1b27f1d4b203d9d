//! The command line by itself: what it refuses, in which words, with which exit code. No server is
//! asked, and where one would be, none answers.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use fnctl_tests::{binary, text};
use serde_json::Value;

/// An address where nothing listens: port 1 is nobody's.
const NOBODY: &str = "http://127.0.0.1:1";

pub(crate) fn fnctl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .env("FNCTL_SERVER", NOBODY)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

/// The error object, and the exit code that goes with it.
pub(crate) fn refused(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let mut words = arguments.to_vec();
    words.extend_from_slice(&["-o", "json"]);
    let output = fnctl(folder, &words);
    assert!(
        output.stdout.is_empty(),
        "{arguments:?} prints data: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    let body: Value =
        serde_json::from_str(last).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {stderr}"));
    let error = body["error"].clone();
    let exit = output.status.code().expect("it ended by itself");
    assert_eq!(error["exit_code"], exit, "{error}");
    (exit, error)
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn words_that_cannot_be_read_exit_2_and_values_that_are_not_allowed_7() {
    let folder = folder();
    fs::write(folder.path().join("x.wasm"), b"\0asm\x01\0\0\0").expect("a file");
    fs::write(folder.path().join("empty"), b"").expect("a file");
    for (arguments, exit, code) in [
        (&["deplyo"][..], 2, "FN1001"),
        (&["traces"], 2, "FN1003"),
        (&["mappings", "seek", "m"], 2, "FN1001"),
        (
            &["streams", "create", "s", "--hold-quota", "1GiB"],
            2,
            "FN1003",
        ),
        (&["deploy", "x.wasm", "--on-failure", "x"], 2, "FN1001"),
        (&["deploy", "x.wasm", "--on-failure", "file:x"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--max-attempts", "0"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--batch-size", "20000"], 7, "FN2102"),
        (
            &["deploy", "x.wasm", "--parallelization-factor", "257"],
            7,
            "FN2102",
        ),
        (&["deploy", "x.wasm", "--batch-window", "6m"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--batch-bytes", "13MiB"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--memory", "1B"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--timeout", "1d"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--concurrency", "0"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--shards", "0"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--backoff-initial", "0"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--backoff-max", "30d"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--to", "a b"], 7, "FN2102"),
        (&["streams", "create", "s", "--shards", "0"], 7, "FN3007"),
        (
            &["streams", "create", "s", "--retention", "1s"],
            7,
            "FN3007",
        ),
        (
            &["invoke", "x.wasm", "--timeout", "1d", "--file", "x.wasm"],
            7,
            "FN2102",
        ),
        (&["put", "s", "--rate", "0"], 7, "FN1020"),
        (&["put", "s", "--from-line", "0"], 7, "FN1020"),
        (&["deploy", "x.wasm", "--log-level", "debug"], 2, "FN1003"),
        (&["deploy", "x.wasm", "--filter", "{}"], 7, "FN2102"),
        (&["deploy", "x.wasm", "--filter", "@no"], 3, "FN1005"),
        (&["deploy", "x.wasm", "--batch-window", "5"], 2, "FN1001"),
        (&["deploy", "x.wasm", "--memory", "128"], 2, "FN1001"),
        (&["deploy", "x.wasm", "--secret", "a=plain"], 2, "FN1001"),
        (&["deploy", "x.wasm", "--secret", "a=@no"], 3, "FN1005"),
        (&["deploy"], 2, "FN1001"),
        (&["deploy", "no.wasm"], 3, "FN1005"),
        (&["tail", "s", "--timeout", "10"], 2, "FN1001"),
        (&["put", "s", "--file", "no.ndjson"], 3, "FN1005"),
        (&["put", "s", "two\nlines"], 2, "FN1001"),
        (&["put", "s", ""], 2, "FN1001"),
        (&["version", "--server", "ftp://x"], 2, "FN1001"),
        (&["version", "--server", "https://"], 2, "FN1001"),
        (&["version", "--server", "nonsense"], 2, "FN1001"),
        (&["version", "--server", "http://x:99999"], 2, "FN1001"),
        (&["deploy", "x.wasm", "--filters", "{}"], 2, "FN1001"),
        (&["deploy", "x.wasm", "--log-leve", "debug"], 2, "FN1003"),
        (&["filter"], 2, "FN1001"),
        (&["mappings", "update", "m"], 2, "FN1001"),
        (&["new", "7up"], 7, "FN2102"),
        (&["new", "std"], 7, "FN2102"),
        (&["help", "nothing"], 2, "FN1001"),
        (&["build"], 3, "FN1005"),
        (&["dev"], 3, "FN1005"),
        (&["invoke", "x.wasm", "--file", "no.ndjson"], 3, "FN1005"),
        (&["invoke", "no.wasm", "--file", "empty"], 3, "FN1005"),
        (&["server", "--listen", "0.0.0.0:0"], 7, "FN6001"),
    ] {
        let (got, error) = refused(folder.path(), arguments);
        assert_eq!(
            (got, error["code"].as_str()),
            (exit, Some(code)),
            "{arguments:?}: {error}"
        );
    }
}

#[test]
fn a_server_on_a_directory_of_something_else_is_refused_and_leaves_it_alone() {
    let folder = folder();
    let data = folder.path().join("project");
    fs::create_dir(&data).expect("a directory");
    fs::write(data.join("Cargo.toml"), "[package]").expect("a file");
    let listen = ["--listen", "127.0.0.1:0", "--kinesis-listen", "127.0.0.1:0"];
    let words = [&["server", "--data-dir", "project"][..], &listen].concat();
    let (exit, error) = refused(folder.path(), &words);
    assert_eq!(
        (exit, error["code"].as_str()),
        (4, Some("FN1012")),
        "{error}"
    );
    let why = error["why"].as_str().unwrap_or_default();
    assert!(why.contains("`Cargo.toml`"), "{error}");
    let names = fs::read_dir(&data).expect("a directory");
    assert_eq!(names.count(), 1, "nothing was written there");
}

#[test]
fn a_server_that_does_not_answer_exits_8_with_the_command_that_starts_one() {
    let folder = folder();
    for arguments in [
        &["streams", "list"][..],
        &["put", "s", "record"],
        &["tail", "s"],
        &["mappings", "delete", "m", "--yes"],
        &["dlq", "list", "m"],
    ] {
        let (exit, error) = refused(folder.path(), arguments);
        assert_eq!(
            (exit, error["code"].as_str()),
            (8, Some("FN1006")),
            "{arguments:?}: {error}"
        );
        assert!(
            error["fix"]
                .as_str()
                .is_some_and(|fix| fix.contains("fnctl server")),
            "{error}"
        );
    }
}

#[test]
fn all_problems_of_a_manifest_come_together_with_their_lines() {
    let folder = folder();
    let text = "[function]\nmemory = \"128\"\nfilter = 1\n[[mapping]]\nstream = \"s\"\nbatch_size = 20000\n[streams.s]\nhold_quota = \"1GiB\"\n";
    fs::write(folder.path().join("fnctl.toml"), text).expect("a manifest");
    let (exit, error) = refused(folder.path(), &["deploy", "."]);
    assert_eq!((exit, error["code"].as_str()), (7, Some("FN2101")));
    let fix = error["fix"].as_str().unwrap_or_default();
    assert!(fix.contains("fnctl deploy --dry-run"), "{error}");
    let problems: Vec<(&str, &str)> = error["problems"]
        .as_array()
        .expect("problems")
        .iter()
        .map(|problem| {
            (
                problem["path"].as_str().unwrap_or_default(),
                problem["message"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(
        problems.contains(&("mapping[0].batch_size", "20000 is above 10000 (line 6)")),
        "{problems:?}"
    );
    let later = problems
        .iter()
        .find(|(path, _)| *path == "streams.s.hold_quota")
        .expect("named");
    assert!(later.1.contains("not there yet"), "{later:?}");
}

#[test]
fn all_flags_that_are_not_allowed_come_together() {
    let folder = folder();
    fs::write(folder.path().join("x.wasm"), b"\0asm\x01\0\0\0").expect("a file");
    let words = "deploy x.wasm --stream s --batch-size 20000 --parallelization-factor 0 --max-attempts 0 \
                 --batch-window 400s --timeout 0s --memory 1KiB";
    let words: Vec<&str> = words.split_whitespace().collect();
    let (exit, error) = refused(folder.path(), &words);
    assert_eq!((exit, error["code"].as_str()), (7, Some("FN2102")));
    let mut flags: Vec<&str> = error["problems"]
        .as_array()
        .expect("problems")
        .iter()
        .filter_map(|problem| problem["path"].as_str())
        .collect();
    flags.sort_unstable();
    assert_eq!(
        flags,
        [
            "--batch-size",
            "--batch-window",
            "--max-attempts",
            "--memory",
            "--parallelization-factor",
            "--timeout"
        ]
    );
}

/// A value with a sign is a value, and settings that contradict each other name both.
#[test]
fn values_below_zero_and_contradictions_are_told_for_what_they_are() {
    let folder = folder();
    fs::write(folder.path().join("x.wasm"), b"\0asm\x01\0\0\0").expect("a file");
    let words = "deploy x.wasm --stream s --tumbling-window -1s --backoff-initial -1 --canary -5% \
                 --ordering shard --key-groups 8 --circuit-breaker=OFF";
    let words: Vec<&str> = words.split_whitespace().collect();
    let (exit, error) = refused(folder.path(), &words);
    assert_eq!((exit, error["code"].as_str()), (7, Some("FN2102")));
    let problems = error["problems"].as_array().expect("problems").iter();
    let mut problems: Vec<String> = problems
        .map(|problem| format!("{}: {}", text(problem, "path"), text(problem, "message")))
        .collect();
    problems.sort_unstable();
    assert_eq!(
        problems,
        [
            "--backoff-initial: -1 is below 0: 1ms to 1d is allowed",
            "--canary: -5% is not above 0% and up to 100%",
            "--key-groups: 8 groups of keys would each go on by themselves: ordering = \"shard\" has 1",
            "--tumbling-window: -1s is below 0: 0s to 15m is allowed",
        ]
    );
    let (exit, error) = refused(folder.path(), &["tail", "s", "--timeout", "-1s"]);
    assert_eq!((exit, error["code"].as_str()), (7, Some("FN1020")));
}

#[test]
fn a_plain_secret_is_refused_and_never_said() {
    let folder = folder();
    let text = "[function]\ncomponent = \"x.wasm\"\nsecrets = { a = \"hunter2-plain\", b = [\"hunter2-plain\"] }\nmemory = \"128\"\n";
    fs::write(folder.path().join("fnctl.toml"), text).expect("a manifest");
    for words in [
        &["deploy", "."][..],
        &["deploy", ".", "-o", "json"],
        &["doctor"],
        &["doctor", "-o", "json"],
        &["build"],
        &["dev"],
        &["deploy", "x.wasm", "--secret", "a=hunter2-plain"],
        &["deploy", "x.wasm", "--secret", "hunter2-plain"],
    ] {
        let output = fnctl(folder.path(), words);
        assert!(!output.status.success(), "{words:?}");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!said.contains("hunter2"), "{words:?}: {said}");
    }
    let (exit, error) = refused(folder.path(), &["deploy", "."]);
    assert_eq!((exit, error["code"].as_str()), (7, Some("FN2101")));
    let problems = error["problems"].as_array().expect("problems");
    let paths: Vec<&str> = problems
        .iter()
        .filter_map(|one| one["path"].as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "function.secrets.a",
            "function.secrets.b",
            "function.memory"
        ]
    );
    // What it must be, and is not there: the same in both places.
    let text = "[function]\ncomponent = \"x.wasm\"\nsecrets = { a = { file = \"no\" } }\n";
    fs::write(folder.path().join("fnctl.toml"), text).expect("a manifest");
    let (exit, error) = refused(folder.path(), &["deploy", "."]);
    assert_eq!(
        (exit, error["code"].as_str()),
        (3, Some("FN1005")),
        "{error}"
    );
}

#[test]
fn help_is_a_command_too() {
    let folder = folder();
    let said = |words: &[&str]| {
        let output = fnctl(folder.path(), words);
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(said(&["help"]), said(&["--help"]));
    assert_eq!(said(&["help", "put"]), said(&["put", "--help"]));
    assert_eq!(
        said(&["help", "streams", "create"]),
        said(&["streams", "create", "--help"])
    );
}

#[test]
fn a_failed_write_to_stdout_is_an_error() {
    let folder = folder();
    for words in [
        &["version"][..],
        &["version", "-o", "json"],
        &["--help"],
        &["put", "--help"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("it is there");
        let output = Command::new(binary())
            .args(words)
            .current_dir(folder.path())
            .env_remove("FNCTL_SERVER")
            .stdin(Stdio::null())
            .stdout(full)
            .output()
            .expect("the binary runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {stderr}");
        assert!(stderr.contains("failed to write to stdout"), "{stderr}");
    }
}

#[test]
fn a_manifest_that_only_names_what_comes_later_is_not_there_yet() {
    let folder = folder();
    let text = "[function]\ncomponent = \"x.wasm\"\nlog_level = \"debug\"\nallow_http = true\n[[mapping]]\nstream = \"s\"\n[streams.s]\nhold_quota = \"1GiB\"\n";
    fs::write(folder.path().join("fnctl.toml"), text).expect("a manifest");
    let (exit, error) = refused(folder.path(), &["deploy", "."]);
    assert_eq!(
        (exit, error["code"].as_str()),
        (2, Some("FN1003")),
        "{error}"
    );
    let problems = error["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 3, "{error}");
    assert!(
        problems.iter().all(|problem| problem["code"] == "FN1003"),
        "{error}"
    );
    assert_eq!(error["where"], "fnctl.toml");
}

#[test]
fn the_version_names_the_commit_of_the_checkout() {
    let folder = folder();
    let output = fnctl(folder.path(), &["version", "-o", "json"]);
    let version: Value = serde_json::from_slice(&output.stdout).expect("an object");
    let line = String::from_utf8_lossy(&fnctl(folder.path(), &["--version"]).stdout).into_owned();
    match version["commit"].as_str() {
        Some(commit) => {
            assert!(
                commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{commit}"
            );
            assert!(line.contains(&format!("(commit {commit})")), "{line}");
        }
        // Built from an archive.
        None => assert!(!line.contains("commit"), "{line}"),
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.git");
    assert_eq!(version["commit"].is_string(), checkout.exists());
}

#[test]
fn the_text_of_an_error_says_what_why_and_what_to_do() {
    let output = fnctl(folder().path(), &["streams", "list"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.starts_with("error[FN1006]: no server answers at http://127.0.0.1:1\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  why   ") && text.contains("\n  fix   fnctl server"),
        "{text}"
    );
}

#[test]
fn new_writes_a_whole_project_once() {
    let folder = folder();
    let output = fnctl(folder.path(), &["new", "my-function", "-o", "json"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let made: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(made["name"], "my-function");
    for file in [
        "fnctl.toml",
        "Cargo.toml",
        ".cargo/config.toml",
        "vendor/fnctl-sdk/wit/world.wit",
    ] {
        assert!(
            folder.path().join("my-function").join(file).is_file(),
            "{file}"
        );
    }
    let (exit, error) = refused(folder.path(), &["new", "my-function"]);
    assert_eq!((exit, error["code"].as_str()), (4, Some("FN1012")));
}

#[test]
fn a_core_module_is_refused_without_a_server_by_its_name() {
    let folder = folder();
    fs::write(folder.path().join("enrich.wasm"), b"\0asm\x01\0\0\0").expect("a file");
    fs::write(folder.path().join("in.ndjson"), "{}\n").expect("a file");
    let (exit, error) = refused(
        folder.path(),
        &["invoke", "enrich.wasm", "--file", "in.ndjson"],
    );
    assert_eq!((exit, error["code"].as_str()), (7, Some("FN2003")));
    assert_eq!(
        error["message"],
        "`enrich.wasm` is a core module, not a component"
    );
}

#[test]
fn help_and_version_exit_0_on_stdout() {
    let folder = folder();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["version"],
        &["deploy", "--help"],
        &["streams", "--help"],
    ] {
        let output = fnctl(folder.path(), arguments);
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{arguments:?}"
        );
    }
}

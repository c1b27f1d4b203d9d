//! The Kinesis API as stock clients use it: boto3 and the AWS CLI, unmodified.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fnctl_tests::{Server, ServerOptions};

/// The Python that has the clients: `FNCTL_PYTHON`, else where `tests/tools test` puts it.
pub(crate) fn python() -> PathBuf {
    if let Some(path) = std::env::var_os("FNCTL_PYTHON") {
        return PathBuf::from(path);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    target.join("tools/python/bin/python")
}

/// Runs a case of `kinesis_clients.py` to its end, with this certificate trusted.
pub(crate) fn holds_over_tls(server: &Server, case: &str, arguments: &[&OsStr], trusted: &Path) {
    let mut command = clients(server, case, arguments);
    command.env("AWS_CA_BUNDLE", trusted);
    ends_well(server, command, case);
}

fn clients(server: &Server, case: &str, arguments: &[&OsStr]) -> Command {
    script(server, "kinesis_clients.py", case, arguments)
}

fn script(server: &Server, file: &str, case: &str, arguments: &[&OsStr]) -> Command {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("it")
        .join(file);
    let mut command = Command::new(python());
    command
        .arg(script)
        .arg(&server.kinesis)
        .arg(case)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// Runs a case of `kinesis_clients.py` to its end.
fn holds(server: &Server, case: &str, arguments: &[&OsStr]) {
    ends_well(server, clients(server, case, arguments), case);
}

/// Runs a case of `kinesis_shards.py` to its end.
pub(crate) fn shards_hold(server: &Server, case: &str, arguments: &[&OsStr]) {
    let command = script(server, "kinesis_shards.py", case, arguments);
    ends_well(server, command, case);
}

fn ends_well(server: &Server, mut command: Command, case: &str) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{}: {e} (run tests/tools test)", python().display()));
    assert!(
        output.status.success(),
        "{case}: {}\nserver log: {}",
        String::from_utf8_lossy(&output.stderr),
        server.log()
    );
}

fn server() -> Server {
    Server::start(ServerOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn boto3_makes_describes_lists_and_deletes_streams() {
    holds(&server(), "streams", &[]);
}

#[test]
fn boto3_is_told_what_a_stream_was_made_with() {
    holds(&server(), "options", &[]);
}

#[test]
fn boto3_reads_what_it_put_where_the_keys_say() {
    holds(&server(), "records", &[]);
}

#[test]
fn boto3_reads_from_every_kind_of_iterator() {
    holds(&server(), "iterators", &[]);
}

#[test]
fn boto3_sees_the_codes_and_words_of_kinesis() {
    holds(&server(), "errors", &[]);
}

#[test]
fn boto3_is_told_that_a_body_is_too_large() {
    holds(&server(), "too_large", &[]);
}

#[test]
fn boto3_splits_and_merges_shards_and_reads_parents_before_children() {
    shards_hold(&server(), "resharding", &[]);
}

#[test]
fn the_aws_command_line_works_unmodified() {
    holds(&server(), "command_line", &[]);
}

#[test]
fn an_acknowledged_put_survives_kill_9() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = || ServerOptions {
        data_dir: Some(folder.path().join("data")),
        ..ServerOptions::default()
    };
    let acknowledged = folder.path().join("acknowledged");
    let server = Server::start(options()).unwrap_or_else(|e| panic!("{e}"));
    let mut producer = clients(&server, "put_for_restart", &[acknowledged.as_os_str()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e} (run tests/tools test)", python().display()));
    let stdout = producer.stdout.take().expect("standard output is piped");
    // Killed amid puts: after the tenth answer the next request is under way.
    // The pipe stays open until the producer ended: a closed one would end it in another way.
    let mut answers = BufReader::new(stdout).lines();
    assert_eq!(answers.by_ref().take(10).count(), 10);
    server.kill().unwrap_or_else(|e| panic!("{e}"));
    assert!(producer.wait().expect("the producer ends").success());
    drop(answers);

    let server = Server::start(options()).unwrap_or_else(|e| panic!("{e}"));
    holds(&server, "read_after_restart", &[acknowledged.as_os_str()]);
}

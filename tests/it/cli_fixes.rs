//! What the command line says to do about what it cannot have, and what it takes for nothing said.

use std::process::Command;

use fnctl_tests::binary;

use crate::cli_words::{fnctl, folder, refused};

#[test]
fn what_cannot_be_had_is_said_with_what_to_do() {
    let folder = folder();
    let free = ["--listen", "127.0.0.1:0", "--kinesis-listen", "127.0.0.1:0"];
    let server = |words: &[&'static str]| [&["server"], words].concat();
    for (arguments, code, says, fix) in [
        (
            server(&[&["--data-dir", "/proc/x"], &free[..]].concat()),
            "FN5005",
            "cannot be opened",
            "--data-dir D",
        ),
        (
            server(&[&["--data-dir", "/etc/passwd"], &free[..]].concat()),
            "FN5005",
            "`/etc/passwd` is no directory",
            "--data-dir D",
        ),
        (
            // Nothing listens there, nor is going to.
            server(&["--listen", "127.0.0.1:9", "--kinesis-listen", "127.0.0.1:9"]),
            "FN1001",
            "both listeners are given `127.0.0.1:9`",
            "different ports",
        ),
        (
            // An address of documentation (RFC 5737), which no machine has.
            server(&["--insecure", "--listen", "192.0.2.1:0"]),
            "FN1001",
            "failed to listen on `192.0.2.1:0`",
            "an address that this machine has",
        ),
        (vec!["man", "--to", "/proc/x"], "FN1011", "/proc/x", "--to"),
        (
            vec!["doctor", "--data-dir", "nope"],
            "FN1005",
            "nope",
            "--data-dir",
        ),
        (
            vec!["restore", "--from", "nope", "--data-dir", "d"],
            "FN1005",
            "nope",
            "--from",
        ),
        (
            vec!["invoke", "f"],
            "FN4005",
            "no record in standard input",
            "fnctl invoke NAME --file F",
        ),
    ] {
        let (_, error) = refused(folder.path(), &arguments);
        let of = |key: &str| error[key].as_str().unwrap_or_default();
        assert_eq!(of("code"), code, "{arguments:?}: {error}");
        assert!(of("message").contains(says), "{arguments:?}: {error}");
        assert!(of("fix").contains(fix), "{arguments:?}: {error}");
    }
}

#[test]
fn an_empty_variable_counts_as_none_and_help_of_help_is_help() {
    for variable in ["FNCTL_SERVER", "FNCTL_TLS_CA", "FNCTL_TOKEN"] {
        let output = Command::new(binary())
            .args(["explain", "process-died"])
            .env(variable, "")
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{variable}: {said}");
    }
    let folder = folder();
    for words in [&["help", "--help"][..], &["help", "streams", "-h"]] {
        let output = fnctl(folder.path(), words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("Usage:"), "{said}");
    }
}

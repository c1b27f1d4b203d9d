//! `explain`, `man`, `completion` and `--help`, of the real binary.

use std::{
    path::Path,
    process::{Command, Output},
};

use fnctl_tests::{Server, binary};
use serde_json::Value;

use crate::support::server;

fn fnctl(words: &[&str]) -> Output {
    Command::new(binary())
        .args(words)
        .output()
        .expect("fnctl runs")
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What is said of a command is a comment to the shell.
fn as_pasted(fix: &str) -> String {
    fix.split("        ").collect::<Vec<_>>().join("        # ")
}

#[test]
fn every_code_and_word_is_listed_and_explained_by_itself() {
    let listed = said(&fnctl(&["explain", "-o", "json"]));
    let codes: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (codes, words): (Vec<Value>, Vec<Value>) =
        codes.into_iter().partition(|one| one["code"].is_string());
    assert!(
        codes.len() > 80 && words.len() > 30,
        "{} {}",
        codes.len(),
        words.len()
    );
    // Those of states and of dead letters alike.
    for word in ["circuit-open", "caught-up", "window-failed", "by-hand"] {
        assert!(words.iter().any(|one| one["word"] == word), "{word}");
    }
    for explained in &words {
        let word = explained["word"].as_str().unwrap();
        let text = said(&fnctl(&["explain", word]));
        assert!(text.starts_with(&format!("{word}  ")), "{text}");
        for line in explained["fix"].as_array().unwrap() {
            assert!(text.contains(&as_pasted(line.as_str().unwrap())), "{text}");
        }
    }
    for explained in &codes {
        let code = explained["code"].as_str().unwrap();
        let text = said(&fnctl(&["explain", code]));
        assert!(text.starts_with(&format!("{code}  ")), "{text}");
        assert!(
            text.contains(&as_pasted(explained["fix"][0].as_str().unwrap())),
            "{text}"
        );
        assert!(
            text.contains(&format!("exit {}", explained["exit_code"])),
            "{text}"
        );
    }
}

#[test]
fn a_code_that_does_not_exist_is_refused_with_where_to_look() {
    let output = fnctl(&["explain", "FN0001", "-o", "json"]);
    assert_eq!(output.status.code(), Some(7));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(
        error["error"]["fix"]
            .as_str()
            .unwrap()
            .contains("fnctl explain")
    );
}

#[test]
fn every_command_of_the_reference_answers_help_and_has_a_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/docs/cli.md");
    let page = std::fs::read_to_string(page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    said(&fnctl(&["man", "--to", to]));
    let commands: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## fnctl "))
        .collect();
    assert!(commands.len() > 40, "{}", commands.len());
    for command in commands {
        let mut words: Vec<&str> = command.split(' ').collect();
        let name = format!("fnctl-{}.1", words.join("-"));
        let written = std::fs::read_to_string(folder.path().join(&name));
        let written = written.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(written.contains(".SH SYNOPSIS"), "{name}");
        let mut man = vec!["man"];
        man.extend(&words);
        assert_eq!(said(&fnctl(&man)), written, "{name}");
        words.push("--help");
        assert!(said(&fnctl(&words)).contains("Usage: fnctl "), "{command}");
    }
}

/// What bash would offer for the last of these words.
fn offered(server: Option<&Server>, words: &[&str]) -> Vec<String> {
    let mut command = Command::new(binary());
    command
        .env("FNCTL_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("_CLAP_IFS", "\n")
        .env(
            "FNCTL_SERVER",
            server.map_or("http://127.0.0.1:1", |server| &server.api),
        )
        .arg("--")
        .args(words);
    let offered = said(&command.output().expect("fnctl runs"));
    offered.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_shell_is_offered_commands_flags_and_the_names_that_the_server_has() {
    let script = said(&fnctl(&["completion", "bash"]));
    assert!(script.contains("FNCTL_COMPLETE"), "{script}");
    assert_eq!(fnctl(&["completion", "tcsh"]).status.code(), Some(2));

    let server = server();
    let guest = crate::support::guest("echo");
    let deploy = [
        "deploy", &guest, "--name", "enrich", "--stream", "signups", "--to", "enriched",
    ];
    crate::support::one(&server, &["streams", "create", "signups"]);
    crate::support::one(&server, &deploy);

    assert_eq!(offered(None, &["fnctl", "expl"]), ["explain"]);
    assert!(offered(None, &["fnctl", "put", "--key-f"]).contains(&"--key-field".to_owned()));
    assert_eq!(offered(None, &["fnctl", "explain", "FN2003"]), ["FN2003"]);
    let known = Some(&server);
    assert_eq!(
        offered(known, &["fnctl", "mappings", "describe", "en"]),
        ["enrich/signups"]
    );
    assert_eq!(offered(known, &["fnctl", "logs", ""])[0], "enrich");
    assert_eq!(offered(known, &["fnctl", "put", "enr"]), ["enriched"]);
    assert_eq!(offered(known, &["fnctl", "invoke", "en"]), ["enrich"]);
    assert_eq!(
        offered(known, &["fnctl", "deploy", "--stream", "si"]),
        ["signups"]
    );
    assert_eq!(
        offered(known, &["fnctl", "deploy", "--name", "en"]),
        ["enrich"]
    );
    crate::support::one(&server, &["tokens", "create", "ci", "--scope", "write"]);
    assert_eq!(offered(known, &["fnctl", "tokens", "revoke", "c"]), ["ci"]);
    // A server that is not there offers nothing, and says nothing.
    assert!(
        !offered(None, &["fnctl", "mappings", "describe", "en"])
            .contains(&"enrich/signups".to_owned())
    );
}

/// To bash `--stream=si` is three words; what it puts in their place stands behind the `=`.
#[test]
fn bash_is_offered_what_belongs_behind_the_equals_sign() {
    let server = server();
    crate::support::one(&server, &["streams", "create", "signups"]);
    let script = r#"
source <("$1" completion bash)
complete -p fnctl | grep -q -- "-F _fnctl_joined " || exit 1
offer() {
    COMP_CWORD=$1; shift
    COMP_WORDS=("$@"); COMPREPLY=()
    _fnctl_joined fnctl "${COMP_WORDS[COMP_CWORD]#=}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[@]}"
}
offer 4 fnctl deploy --stream = si
offer 3 fnctl deploy --stream =
offer 3 fnctl deploy --stream = --name x
offer 4 fnctl deploy --stream = sig --to out
offer 2 fnctl put sign
offer 1 fnctl expl
"#;
    let output = Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(binary())
        .env("FNCTL_SERVER", &server.api)
        .output()
        .expect("there is bash");
    let offered = said(&output);
    let lines: Vec<&str> = offered.lines().collect();
    assert_eq!(
        lines,
        [
            "signups", "signups", "signups", "signups", "signups", "explain"
        ]
    );
}

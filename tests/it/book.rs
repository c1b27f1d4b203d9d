//! Every command of the book runs as it stands: the chapters' blocks, in order, as a reader would type them.

use std::{path::Path, process::Command};

use fnctl_tests::{Server, binary};

use crate::support::server;

/// The chapters; what else lies there is reference.
const CHAPTERS: [&str; 6] = [
    "concepts.md",
    "failure-policy.md",
    "durability.md",
    "operations.md",
    "security.md",
    "kinesis.md",
];

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../runtime/docs")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The blocks of a page that a shell runs, one after the other.
fn commands(page: &str) -> String {
    let mut script = String::new();
    let mut is_command = false;
    for line in page.lines() {
        match line {
            "```sh" => is_command = true,
            "```" => is_command = false,
            _ if is_command => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

/// Runs a script where each command that fails ends it; what it said.
fn run(server: &Server, script: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let program = binary();
    let beside = program.parent().expect("the binary is in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-eu", "-c", script])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", beside.display()))
        .env("FNCTL_SERVER", &server.api)
        .env("CHECKOUT", Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr))),
    }
}

#[test]
fn every_command_of_every_chapter_runs_as_it_stands() {
    let begin = commands(&page("README.md"));
    assert!(begin.contains("enrich.wasm"));
    for chapter in CHAPTERS {
        let text = page(chapter);
        let script = commands(&text);
        assert!(!script.is_empty(), "{chapter} shows no command");
        let fences = text.matches("```").count();
        assert_eq!(
            text.matches("```sh").count() * 2,
            fences,
            "{chapter} has a block that is not run"
        );
        let server = server();
        if let Err(said) = run(&server, &format!("{begin}set -x\n{script}")) {
            panic!("{chapter}: {said}\nserver log: {}", server.log());
        }
    }
}

#[test]
fn the_index_names_every_chapter() {
    let index = page("README.md");
    for chapter in CHAPTERS {
        assert!(index.contains(&format!("({chapter})")), "{chapter}");
    }
}

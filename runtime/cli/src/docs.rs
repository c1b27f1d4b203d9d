//! Pages of the documentation that say what the program itself says: `runtime/docs/errors.md`, `runtime/docs/cli.md`
//! and `runtime/docs/configuration.md`. They are made here and compared with what is checked in; `make reference`
//! writes them.

mod configuration;

use std::{fmt::Write as _, path::Path};

use clap::{Command, CommandFactory};
use fnctl_core::{error_code::families, meaning};

use crate::cli::Cli;

/// Columns of the help in the page.
const COLUMNS: usize = 100;

/// What begins a page.
fn head(title: &str, about: &str) -> String {
    format!("# {title}\n\n<!-- Made by `make reference`. -->\n\n{about}\n")
}

fn errors() -> String {
    let mut page = head(
        "Errors",
        "Every error has a code that stays what it is. On a terminal: `fnctl explain CODE`. The exit code is that of the command \
         that ends with it; the status is that of the API's answer. The words that `fnctl status`, states of mappings and dead letters use are at the end.",
    );
    for (heading, all) in families() {
        write!(page, "\n## {heading}\n").expect("a string takes everything");
        for one in all {
            let (code, kind) = (one.code.as_str(), one.code.kind());
            write!(
                page,
                "\n### {code}\n\n{} (exit {}, HTTP {})\n\n{}\n\n",
                one.title,
                kind.exit_code(),
                one.code.http_status(),
                one.why
            )
            .expect("a string takes everything");
            add_fix(&mut page, one.fix);
        }
    }
    for (heading, all) in meaning::all() {
        write!(page, "\n## {heading}\n").expect("a string takes everything");
        for one in all {
            write!(
                page,
                "\n### {}\n\n{}\n\n{}\n\n",
                one.word, one.title, one.why
            )
            .expect("a string takes everything");
            add_fix(&mut page, one.fix);
        }
    }
    page
}

fn add_fix(page: &mut String, all: &[&str]) {
    for fix in all {
        let (command, said) = fix.split_once("        ").unwrap_or((fix, ""));
        let said = escaped(said.trim());
        match (
            command.starts_with("fnctl ") && !command.contains(", "),
            said.as_str(),
        ) {
            (true, "") => writeln!(page, "- `{command}`"),
            (true, said) => writeln!(page, "- `{command}`: {said}"),
            (false, _) => writeln!(page, "- {}", escaped(fix)),
        }
        .expect("a string takes everything");
    }
}

/// What Markdown would take for its own.
fn escaped(text: &str) -> String {
    text.replace('<', "\\<")
        .replace('#', "\\#")
        .replace('[', "\\[")
}

fn commands() -> String {
    let mut page = head(
        "Commands",
        "What `--help` says of every command. Each takes `-o json` and `--server URL`; man pages: `fnctl man --to DIR`.",
    );
    let mut root = Cli::command()
        .term_width(COLUMNS)
        .disable_help_subcommand(true);
    root.build();
    for command in root.get_subcommands() {
        add(&mut page, command, &format!("fnctl {}", command.get_name()));
    }
    page
}

fn add(page: &mut String, command: &Command, name: &str) {
    // What every command takes is said once, above.
    let mut shown = command.clone().term_width(COLUMNS).mut_args(|arg| {
        match arg.is_global_set() || arg.get_id() == "help" {
            true => arg.hide(true),
            false => arg,
        }
    });
    let help = shown.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(
        page,
        "\n## {name}\n\n```text\n{}\n```\n",
        lines.join("\n").trim_end()
    )
    .expect("a string takes everything");
    for inner in command.get_subcommands() {
        add(page, inner, &format!("{name} {}", inner.get_name()));
    }
}

/// Compares a page with the one checked in, or writes it.
fn check(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    if std::env::var_os("FNCTL_REFERENCE").is_some_and(|value| value == "write") {
        let folder = path.parent().expect("the page is in a folder");
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "runtime/docs/{name} is not what the program says: make reference"
    );
}

#[test]
fn the_page_of_errors_is_what_explain_says() {
    check("errors.md", &errors());
}

#[test]
fn the_page_of_commands_is_what_help_says() {
    check("cli.md", &commands());
}

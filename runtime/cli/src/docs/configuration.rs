//! `runtime/docs/configuration.md`: every key of `fnctl.toml`, every setting of a server, every variable of the
//! environment.
//!
//! What a key means and its default are the words of the flag that sets the same thing, where there is one; what it
//! may be is asked of the parser, with values that are too small and too large. Tests say that no key is left out and
//! that each default is the one that is applied.

mod keys;

use std::{fmt::Write as _, path::Path};

use clap::{Arg, Command, CommandFactory};
use fnctl_core::{
    error_code::Problem,
    id::{FunctionName, NameError, StreamName},
    limits::{CONFIG_BYTES_MAX, FILTER_PATTERN_BYTES_MAX, FILTER_PATTERNS_MAX},
    spec::{
        later::{FUNCTION_LATER, STREAM_LATER},
        size::ByteSize,
    },
};

use self::keys::{Key, TABLES, Table, Takes};
use super::{check, head};
use crate::{cli::Cli, manifest};

/// Variables of the environment that are no flags, with what they do.
const VARIABLES: [(&str, &str); 4] = [
    (
        "FNCTL_LOG",
        "What a server logs: `error`, `warn`, `info` (the default; `warn` of `fnctl dev`), `debug`, `trace` or `off`, \
         also by module: `fnctl_host=debug`, all others at the default; another word is refused. With `-o json` a line is an object",
    ),
    (
        "FNCTL_COMPLETE",
        "Set by the script of `fnctl completion`; the process completes words and does nothing else",
    ),
    (
        "NO_COLOR",
        "Set to anything: no colours. There are none where the output is no terminal, either",
    ),
    (
        "SSL_CERT_FILE",
        "Certificates that commands and relays trust instead of those of this machine, PEM; also `SSL_CERT_DIR`",
    ),
];

/// Variables that tests read.
const OF_TESTS: [&str; 7] = [
    "FNCTL_COMMIT",
    "FNCTL_GOLDEN",
    "FNCTL_REFERENCE",
    "FNCTL_STORE_SEED",
    "FNCTL_STORE_SEEDS",
    "FNCTL_TEST_NO_SUCH",
    "FNCTL_VERSION_LINE",
];

fn configuration() -> String {
    let mut page = head(
        "Configuration",
        "A function is configured by `fnctl.toml`, or by the same words as flags of `fnctl deploy`; a server by its flags alone: it \
         reads no file of settings.\n\n\
         ## `fnctl.toml`\n\n\
         Everything is optional but a mapping's `stream`, and `component` where there is one to upload. What the file does not name has \
         its default, whatever was set before. A key that is not known is refused, with the nearest that is. How values are written:\n\n\
         - *duration*: a number and its unit, `ms`, `s`, `m`, `h` or `d`, also several: `1h30m`. Only `0` needs no unit.\n\
         - *size*: a number and its unit, `B`, `KiB`, `MiB`, `GiB` or `TiB`. `MB` is refused.\n\
         - *switch*: `true` or `false`; as a flag `on` or `off`.\n\
         - `\"default\"` in place of any value but text: its default.",
    );
    for table in &TABLES {
        write!(page, "\n### `{}`\n\n{}\n\n", table.heading, table.about)
            .expect("a string takes everything");
        page.push_str("| Key | Takes | Default | Allowed | What it is |\n|---|---|---|---|---|\n");
        for key in table.keys {
            let row = [
                format!("`{}`", key.name),
                key.takes.word().to_owned(),
                default(table, key),
                allowed(table, key),
                about(table, key),
            ];
            line(&mut page, &row);
        }
    }
    write!(
        page,
        "\nSpecified, and not there yet in this version, which refuses them by name: of `[function]` {}, of `[streams.NAME]` {}.\n",
        listed(FUNCTION_LATER),
        listed(STREAM_LATER)
    )
    .expect("a string takes everything");
    page.push_str("\n## `fnctl server`\n\n| Flag | Default | What it is |\n|---|---|---|\n");
    let root = root();
    let server = root.find_subcommand("server").expect("there is a server");
    for arg in settings_of(server) {
        let values = arg.get_default_values().first();
        let default = values.map_or_else(String::new, |value| {
            format!("`{}`", value.to_string_lossy())
        });
        line(&mut page, &[flag(arg), default, help(arg)]);
    }
    page.push_str("\n## The environment\n\n| Variable | What it is |\n|---|---|\n");
    for arg in root.get_arguments() {
        if let Some(variable) = arg.get_env() {
            let words = format!("{}, as {}", help(arg), flag(arg));
            line(
                &mut page,
                &[format!("`{}`", variable.to_string_lossy()), words],
            );
        }
    }
    for (name, words) in VARIABLES {
        line(&mut page, &[format!("`{name}`"), words.to_owned()]);
    }
    page
}

fn root() -> Command {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    root
}

/// What a command takes beside what every command takes.
fn settings_of(command: &Command) -> impl Iterator<Item = &Arg> {
    let all = command.get_arguments();
    all.filter(|arg| !arg.is_global_set() && arg.get_id() != "help")
}

fn line(page: &mut String, cells: &[String]) {
    for cell in cells {
        page.push_str("| ");
        page.push_str(&cell.replace('|', "\\|"));
        page.push(' ');
    }
    page.push_str("|\n");
}

fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn flag(arg: &Arg) -> String {
    let name = arg.get_long().expect("settings are long flags");
    let takes = arg.get_action().takes_values();
    let value = arg.get_value_names().and_then(|names| names.first());
    match value.filter(|_| takes) {
        Some(value) => format!("`--{name} {value}`"),
        None => format!("`--{name}`"),
    }
}

/// Words of a flag, and the default that stands behind them.
fn words(arg: &Arg) -> (String, Option<String>) {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    match help.split_once(" [default: ") {
        Some((words, default)) => {
            let default = default.trim_end_matches(']').to_owned();
            (words.to_owned(), Some(default))
        }
        None => (help, None),
    }
}

fn help(arg: &Arg) -> String {
    words(arg).0
}

/// Words and default of the flag that sets what a key sets.
fn of_flag(table: &Table, key: &Key) -> Option<(String, Option<String>)> {
    let root = root();
    let mut command = &root;
    for word in table.command? {
        command = command.find_subcommand(word).expect("a command");
    }
    let name = key
        .flag
        .map_or_else(|| key.name.replace('_', "-"), str::to_owned);
    let arg = command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name.as_str()))?;
    Some(words(arg))
}

/// What a key means: the words of its flag, or those beside the key.
fn about(table: &Table, key: &Key) -> String {
    match key.about {
        Some(words) => words.to_owned(),
        None => of_flag(table, key).unwrap_or_default().0,
    }
}

/// What a key is where nothing names it; a value as it is written in `` ` ``, else words.
fn default(table: &Table, key: &Key) -> String {
    if let Some(default) = key.default {
        return default.to_owned();
    }
    let default = of_flag(table, key).and_then(|(_, default)| default);
    let default = default.unwrap_or_default();
    let is_value = !matches!(key.takes, Takes::Text | Takes::List) && !default.contains(' ');
    match key.takes {
        Takes::Switch if default == "on" => "`true`".to_owned(),
        Takes::Switch if default == "off" => "`false`".to_owned(),
        _ if is_value => format!("`{default}`"),
        _ => default,
    }
}

/// What the parser allows, asked with the least and the most that can be written.
fn allowed(table: &Table, key: &Key) -> String {
    let (least, most, lowest) = match key.takes {
        Takes::Words(words) => return listed(words),
        Takes::Function => return rule(FunctionName::parse("").map(drop)),
        Takes::Stream => return rule(StreamName::parse("").map(drop)),
        Takes::Patterns => {
            let bytes = ByteSize::from_bytes(FILTER_PATTERN_BYTES_MAX as u64);
            return format!("{FILTER_PATTERNS_MAX} patterns of {bytes}");
        }
        Takes::Texts if key.name == "config" => {
            let bytes = ByteSize::from_bytes(CONFIG_BYTES_MAX as u64);
            return format!("with the secrets {bytes} in all");
        }
        Takes::Count | Takes::Attempts => ("0", "9000000000000000000", "0"),
        Takes::Duration => ("\"0s\"", "\"200000000000d\"", "0s"),
        Takes::Size => ("\"0B\"", "\"16000000TiB\"", "0B"),
        _ => return key.allowed.to_owned(),
    };
    let bound = |given: &str, word: &str| {
        let told = problem(table, key, given)?;
        let (_, bound) = told
            .split_once(word)
            .unwrap_or_else(|| panic!("{}: {told}", key.name));
        let bound = bound.split([':', ' ']).next().unwrap_or_default();
        Some(bound.to_owned())
    };
    let low = bound(least, " is below ").unwrap_or_else(|| lowest.to_owned());
    let range = match bound(most, " is above ") {
        Some(high) => format!("{low} to {high}"),
        None => format!("from {low}"),
    };
    match key.takes {
        Takes::Attempts => format!("{range}, `\"unlimited\"`"),
        _ => range + key.allowed,
    }
}

/// What a name is made of.
fn rule(refused: Result<(), NameError>) -> String {
    refused.expect_err("no name is empty").rule.to_owned()
}

/// What is wrong with a manifest in which one key has a value, at that key.
fn problem(table: &Table, key: &Key, value: &str) -> Option<String> {
    let text = table.with(&format!("{} = {value}", key.name));
    let problems: Vec<Problem> = manifest::parse(&text).err().unwrap_or_default();
    let end = format!(".{}", key.name);
    let at_key = |problem: &Problem| problem.path.ends_with(&end);
    problems
        .into_iter()
        .find(at_key)
        .map(|problem| problem.message)
}

#[test]
fn the_page_of_configuration_is_what_the_program_reads() {
    check("configuration.md", &configuration());
}

#[test]
fn every_key_says_what_it_is_what_it_takes_and_its_default() {
    for table in &TABLES {
        for key in table.keys {
            let (name, about) = (key.name, about(table, key));
            assert!(about.len() > 8 && !about.ends_with('.'), "{name}: {about}");
            assert!(!default(table, key).is_empty(), "{name} has no default");
            // Whoever has a flag has its words there, once.
            assert!(
                key.about.is_none()
                    || of_flag(table, key).is_none_or(|(words, _)| words.is_empty())
                    || key.flag.is_some(),
                "{name} has words in two places"
            );
        }
    }
}

#[test]
fn every_setting_of_a_server_and_every_variable_has_words() {
    let root = root();
    let server = root.find_subcommand("server").expect("there is a server");
    for arg in settings_of(server) {
        assert!(help(arg).len() > 8, "{} says nothing", flag(arg));
    }
    let page = configuration();
    let mut found = Vec::new();
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in [
        "cli/src",
        "core/src",
        "host/src",
        "invoker/src",
        "store/src",
        "streams/src",
    ] {
        variables(&runtime.join(folder), &mut found);
    }
    assert!(found.len() >= 4, "{found:?}");
    for name in found {
        assert!(
            OF_TESTS.contains(&name.as_str()) || page.contains(&format!("`{name}`")),
            "{name} is read, and not on the page"
        );
    }
}

/// Names of variables that stand in the code as text.
fn variables(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            variables(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for part in text.split("\"FNCTL_").skip(1) {
            let Some((name, _)) = part.split_once('"') else {
                continue;
            };
            let is_name = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            let name = format!("FNCTL_{name}");
            if is_name && !found.contains(&name) {
                found.push(name);
            }
        }
    }
}

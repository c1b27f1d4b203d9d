//! Words that cannot be read: what to say about them. Those of later versions are refused by name.

use clap::error::{ContextKind, ContextValue, Error};
use fnctl_core::{error_code::ErrorCode, spec::nearest::nearest};

use crate::error::CliError;

/// Flags that later versions take.
const FLAGS: &[&str] = &[
    "--bisect-on-error",
    "--brokers",
    "--code",
    "--engine",
    "--filter",
    "--key-groups",
    "--log-level",
    "--max-record-age",
    "--on-failure-full",
    "--on-unparsable",
    "--partial-failures",
    "--tls-cert",
    "--tls-key",
    "--token",
    "--tumbling-window",
];

/// Commands that later versions have.
const COMMANDS: &[&str] = &[
    "alias",
    "aliases",
    "backup",
    "capture",
    "completion",
    "console",
    "cordon",
    "dead-letter",
    "drain",
    "dump",
    "explain",
    "export",
    "filter",
    "man",
    "merge",
    "nodes",
    "parked",
    "purge",
    "redrive",
    "release",
    "replay",
    "restore",
    "seek",
    "shadow",
    "split",
    "status",
    "tokens",
    "top",
    "update",
];

/// A parser's error in our words.
pub(super) fn explain(error: &Error) -> CliError {
    let given = text(error, ContextKind::InvalidArg);
    let command = text(error, ContextKind::InvalidSubcommand);
    if let Some(flag) = given.as_deref() {
        let name = flag.split(['=', ' ']).next().unwrap_or(flag);
        if FLAGS.contains(&name) && error.kind() == clap::error::ErrorKind::UnknownArgument {
            return not_yet(name);
        }
    }
    if let Some(name) = &command {
        if COMMANDS.contains(&name.as_str()) {
            return not_yet(name);
        }
        let known = error
            .get(ContextKind::ValidSubcommand)
            .or_else(|| error.get(ContextKind::SuggestedSubcommand));
        let near = match known {
            Some(ContextValue::Strings(names)) => {
                nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
            }
            _ => None,
        };
        let said = CliError::usage(format!("unknown command `{name}`"));
        return match near {
            Some(near) => said.fix(format!("fnctl {near}")),
            None => said.fix("fnctl --help"),
        };
    }
    let rendered = error.render().to_string();
    let mut lines = rendered.lines();
    let first = lines.next().unwrap_or_default();
    let message = first
        .strip_prefix("error: ")
        .unwrap_or(first)
        .replace('\'', "`");
    let more: Vec<&str> = lines
        .by_ref()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let usage = rendered
        .lines()
        .find_map(|line| line.strip_prefix("Usage: "));
    let mut said = CliError::usage(if message.is_empty() {
        "a command is missing".to_owned()
    } else {
        message
    });
    if !more.is_empty() {
        said = said.because(more.join("\n"));
    }
    match usage {
        Some(usage) => said.fix(usage),
        None => said.fix("fnctl --help"),
    }
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// The refusal of something specified and not there yet.
pub(crate) fn not_yet(name: &str) -> CliError {
    CliError::new(
        ErrorCode::NotYet,
        format!("`{name}` is not there yet in this version"),
    )
}

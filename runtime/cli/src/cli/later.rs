//! Words that later versions have: refused by name, never mistaken for a slip. Keys of `fnctl.toml`
//! that are to come are listed beside the keys that there are (`fnctl_core::spec::later`); as flags they
//! are refused here.

use fnctl_core::{
    error_code::ErrorCode,
    spec::{
        later::{FUNCTION_LATER, STREAM_LATER},
        nearest::nearest,
    },
};

use crate::error::CliError;

/// Flags that are no key of `fnctl.toml`.
const FLAGS: &[&str] = &["--alias", "--brokers", "--engine", "--weight"];

/// Commands, by the noun in front of them.
const COMMANDS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "alias", "aliases", "console", "cordon", "drain", "nodes", "scrub", "top", "traces",
        ],
    ),
    ("functions", &["alias", "aliases"]),
    ("streams", &["release"]),
];

/// The flag of a later version that is given, or that is meant by one that differs little; `known` are
/// those there are.
pub(super) fn flag<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let later = || {
        let keys = [FUNCTION_LATER, STREAM_LATER];
        let flags = FLAGS.iter().map(|flag| flag.trim_start_matches('-'));
        flags.chain(keys.into_iter().flatten().copied())
    };
    let near = nearest(given.trim_start_matches('-'), known.chain(later()))?;
    let is_later = later().any(|key| key == near);
    is_later.then(|| format!("--{}", near.replace('_', "-")))
}

/// Whether a later version has this command behind this noun; the noun is empty in front of the first.
pub(super) fn is_command(noun: &str, command: &str) -> bool {
    COMMANDS
        .iter()
        .any(|(known, commands)| *known == noun && commands.contains(&command))
}

/// The refusal of something specified and not there yet.
pub(super) fn not_yet(name: &str) -> CliError {
    CliError::new(
        ErrorCode::NotYet,
        format!("`{name}` is not there yet in this version"),
    )
    .because("it is specified, and comes in a later one")
}

#[cfg(test)]
pub(super) fn all_commands() -> impl Iterator<Item = (&'static str, &'static str)> {
    COMMANDS
        .iter()
        .flat_map(|(noun, commands)| commands.iter().map(move |command| (*noun, *command)))
}

#[cfg(test)]
pub(super) fn all_flags() -> impl Iterator<Item = String> {
    let keys = [FUNCTION_LATER, STREAM_LATER].concat();
    let of_keys = keys
        .into_iter()
        .map(|key| format!("--{}", key.replace('_', "-")));
    FLAGS.iter().map(|flag| (*flag).to_owned()).chain(of_keys)
}

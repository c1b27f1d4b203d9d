//! Values that begin with a sign: `--tumbling-window -1s` gives the flag a value, which is then refused for what
//! it is, instead of being taken for a flag that nobody has.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command, CommandFactory};

use super::Cli;

/// The process's words, each value that begins with a sign and a digit written behind its flag with `=`.
pub(super) fn joined(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    let mut words = words.into_iter();
    for word in words.by_ref() {
        if word == "--" {
            all.push(word);
            break;
        }
        let flag = all.last().filter(|_| is_negative(&word));
        let flag = flag.and_then(|flag| flag.to_str()?.strip_prefix("--"));
        match flag.filter(|flag| takes_a_value(&Cli::command(), flag)) {
            Some(flag) => {
                let mut whole = OsString::from(format!("--{flag}="));
                whole.push(word);
                all.pop();
                all.push(whole);
            }
            None => all.push(word),
        }
    }
    // What follows is no flag's.
    all.extend(words);
    all
}

/// `-5`, `-5%`, `-1s`, `-.5`.
fn is_negative(word: &OsStr) -> bool {
    let rest = word.to_str().and_then(|word| word.strip_prefix('-'));
    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit() || first == '.'))
}

/// Whether a flag of any command takes a value.
fn takes_a_value(command: &Command, flag: &str) -> bool {
    let is_it = |arg: &Arg| arg.get_long() == Some(flag) && arg.get_action().takes_values();
    command.get_arguments().any(is_it)
        || command
            .get_subcommands()
            .any(|command| takes_a_value(command, flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_sign_is_its_flags_and_nothing_else_is_touched() {
        for (words, expected) in [
            ("deploy x --canary -5%", "deploy x --canary=-5%"),
            (
                "deploy x --tumbling-window -1s",
                "deploy x --tumbling-window=-1s",
            ),
            (
                "mappings update m --backoff-initial -1 --batch-size 5",
                "mappings update m --backoff-initial=-1 --batch-size 5",
            ),
            ("tail s --timeout -.5s", "tail s --timeout=-.5s"),
            ("tail s --count=-3", "tail s --count=-3"),
            ("deploy x --dry-run -5", "deploy x --dry-run -5"),
            ("deploy x --no-such-flag -5", "deploy x --no-such-flag -5"),
            ("tail s -o -5", "tail s -o -5"),
            ("put s -- --count -5", "put s -- --count -5"),
            ("deploy x --canary --dry-run", "deploy x --canary --dry-run"),
        ] {
            let split = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(joined(split(words)), split(expected), "{words}");
        }
    }
}

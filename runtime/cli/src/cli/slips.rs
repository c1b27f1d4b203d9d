//! What to say about words that cannot be read: in our words, with the command whose help says more.

use std::error::Error as _;

use clap::{
    Command, CommandFactory,
    error::{ContextKind, ContextValue, Error, ErrorKind},
};
use fnctl_core::{
    error_code::ErrorCode,
    spec::{nearest::nearest, setting::Unfit},
};

use super::{Cli, later};
use crate::error::CliError;

/// A parser's error in our words; `words` are the process's arguments without its name.
pub(super) fn explain(error: &Error, words: &[String]) -> CliError {
    let place = Place::of(words);
    let said = match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return place.missing();
        }
        ErrorKind::InvalidSubcommand => {
            return place.unknown(text(error, ContextKind::InvalidSubcommand));
        }
        ErrorKind::UnknownArgument => {
            let known = place.of_the_function(error);
            match known.or_else(|| place.without_sign(error, words)) {
                Some(said) => return said,
                None => place.not_one_of_its(error),
            }
        }
        ErrorKind::ValueValidation => unfit(error).unwrap_or_else(|| rendered(error)),
        ErrorKind::InvalidValue => not_possible(error).unwrap_or_else(|| rendered(error)),
        ErrorKind::MissingRequiredArgument => {
            let missing = list(error, ContextKind::InvalidArg);
            let said = CliError::usage(format!("{} missing", are(&missing))).at(place.name());
            // What another option asks for stands in no line of usage.
            return match missing.iter().all(|one| one.starts_with("--")) {
                true => said.fix(format!("give it, too: {}", missing.join(" "))),
                false => said.fix(place.usage()),
            };
        }
        _ => rendered(error),
    };
    said.fix(format!("{} --help", place.name()))
}

/// The command that the words lead to.
struct Place {
    command: Command,
    /// Its words behind `fnctl`, spelt as they are listed.
    path: Vec<String>,
}

impl Place {
    fn of(words: &[String]) -> Self {
        let mut command = Cli::command().bin_name("fnctl");
        command.build();
        let mut path = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "-o" | "--output" | "--server") {
                words.next();
            } else if !word.starts_with('-') {
                let Some(found) = command.find_subcommand(word) else {
                    break;
                };
                path.push(found.get_name().to_owned());
                command = found.clone();
            }
        }
        Self { command, path }
    }

    /// `fnctl streams create`.
    fn name(&self) -> String {
        let mut name = "fnctl".to_owned();
        for word in &self.path {
            name.push(' ');
            name.push_str(word);
        }
        name
    }

    /// `fnctl streams create [OPTIONS] <STREAM>`.
    fn usage(&self) -> String {
        let usage = self.command.clone().render_usage().to_string();
        let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
        usage.lines().next().unwrap_or_default().to_owned()
    }

    fn commands(&self) -> Vec<&str> {
        self.command
            .get_subcommands()
            .map(Command::get_name)
            .collect()
    }

    fn missing(&self) -> CliError {
        CliError::usage(format!("a command is missing after `{}`", self.name()))
            .because(format!("there are: {}", self.commands().join(", ")))
            .fix(format!("{} --help", self.name()))
    }

    fn unknown(&self, given: Option<String>) -> CliError {
        let given = given.unwrap_or_default();
        let whole = format!("{} {given}", self.name());
        if later::is_command(&self.path.join(" "), &given) {
            let whole = whole.trim_start_matches("fnctl ");
            return later::not_yet(whole).fix(format!("{} --help", self.name()));
        }
        let said = CliError::usage(format!("unknown command `{given}`"))
            .because(format!("there are: {}", self.commands().join(", ")));
        match nearest(&given, self.commands()) {
            Some(near) => said.fix(format!("{} {near}", self.name())),
            None => said.fix(format!("{} --help", self.name())),
        }
    }

    /// A flag of `fnctl deploy` given for one mapping: it belongs to the function, to its version, or to what a
    /// deploy does once.
    fn of_the_function(&self, error: &Error) -> Option<CliError> {
        let given = text(error, ContextKind::InvalidArg)?;
        let given = given.split(['=', ' ']).next().unwrap_or_default();
        let name = given.strip_prefix("--")?;
        if self.path != ["mappings", "update"] {
            return None;
        }
        let cli = Cli::command();
        let mut flags = cli.find_subcommand("deploy")?.get_arguments();
        let flag = flags.find(|flag| flag.get_long() == Some(name))?;
        let said = CliError::usage(format!("`{}` has no flag `{given}`", self.name()));
        let why = "it is a deploy's: it belongs to the function, to its version, or is said once";
        let value = if flag.get_action().takes_values() {
            " VALUE"
        } else {
            ""
        };
        let fix = format!("fnctl deploy --name FUNCTION {given}{value}");
        Some(said.because(why).fix(fix))
    }

    /// A word behind the flag that it belongs to, had it been written with `=`.
    fn without_sign(&self, error: &Error, words: &[String]) -> Option<CliError> {
        let given = text(error, ContextKind::InvalidArg)?;
        let at = words.iter().position(|word| *word == given)?;
        let flag = &words[at.checked_sub(1)?];
        let long = flag.strip_prefix("--")?;
        let mut flags = self.command.get_arguments();
        let is_it = |one: &clap::Arg| one.get_long() == Some(long) && one.is_require_equals_set();
        let said = format!("`{flag} {given}` is written with `=`");
        let fix = format!("{flag}={given}");
        let is_one = flags.any(is_it);
        is_one.then(|| CliError::usage(said).at(flag).fix(fix))
    }

    /// A flag or a word that the command does not take.
    fn not_one_of_its(&self, error: &Error) -> CliError {
        let given = text(error, ContextKind::InvalidArg).unwrap_or_default();
        let given = given.split(['=', ' ']).next().unwrap_or_default();
        if !given.starts_with('-') {
            return CliError::usage(format!(
                "`{}` does not take the word `{given}`",
                self.name()
            ))
            .because(format!("it is written: {}", self.usage()));
        }
        let flags = || self.command.get_arguments().filter_map(clap::Arg::get_long);
        if let Some(later) = later::flag(given, flags()) {
            return later::not_yet(&later);
        }
        let said = CliError::usage(format!("`{}` has no flag `{given}`", self.name()));
        match nearest(given.trim_start_matches('-'), flags()) {
            Some(near) => said.because(format!("did you mean `--{near}`?")),
            None => said,
        }
    }
}

/// A value that one of our readers refuses: which refusal it is decides the exit code.
fn unfit(error: &Error) -> Option<CliError> {
    let why = error.source()?.downcast_ref::<Unfit>()?;
    let given = text(error, ContextKind::InvalidArg)?;
    let flag = given.split(['=', ' ', '[']).next().unwrap_or_default();
    let code = match why {
        Unfit::Unreadable(_) => ErrorCode::Usage,
        Unfit::NotAllowed(_) => ErrorCode::NotAllowed,
        Unfit::NotYet(_) => ErrorCode::NotYet,
    };
    Some(CliError::new(code, format!("{flag}: {why}")).at(flag))
}

/// A word that is none of a few.
fn not_possible(error: &Error) -> Option<CliError> {
    let given = text(error, ContextKind::InvalidValue).filter(|given| !given.is_empty())?;
    let flag = text(error, ContextKind::InvalidArg)?;
    let flag = flag.split(' ').next().unwrap_or_default();
    let possible = list(error, ContextKind::ValidValue).join(", ");
    Some(CliError::usage(format!("{flag}: `{given}` is none of: {possible}")).at(flag))
}

/// The parser's own words.
fn rendered(error: &Error) -> CliError {
    let rendered = error.render().to_string();
    let first = rendered.lines().next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first);
    CliError::usage(message.replace('\'', "`"))
}

fn are(missing: &[String]) -> String {
    match missing {
        [one] => format!("{one} is"),
        all => format!("{} are", all.join(" and ")),
    }
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn list(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::Strings(all)) => all.clone(),
        Some(ContextValue::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

//! `fnctl new`: a project that builds and whose tests pass.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use fnctl_core::{error_code::ErrorCode, id::FunctionName};
use serde::Serialize;

use crate::{cli::Session, error::CliError, template};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder to make; its last part is the function's name
    #[arg(value_name = "NAME")]
    path: PathBuf,
}

#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    path: String,
    files: usize,
}

pub(crate) fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let path = &args.path;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    check(name)?;
    let is_taken = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    };
    if is_taken {
        return Err(CliError::new(
            ErrorCode::TargetExists,
            format!("`{}` exists already", path.display()),
        )
        .fix("choose another name, or remove it"));
    }
    let mut files = 0;
    for (file, text) in template::files(name) {
        write(&path.join(file), &text).map_err(|error| {
            CliError::new(
                ErrorCode::FileUnwritable,
                format!("failed to write `{}`: {error}", path.join(file).display()),
            )
        })?;
        files += 1;
    }
    if session.out.is_json() {
        return session.out.json(&Made {
            name,
            path: path.display().to_string(),
            files,
        });
    }
    let shown = path.display();
    session.out.line(&format!(
        "made     {shown}  ({files} files, the SDK in vendor/fnctl-sdk)"
    ))?;
    session
        .out
        .line(&format!("next     cd {shown} && cargo test && fnctl dev"))
}

/// The name is a function's and a package's at once.
fn check(name: &str) -> Result<(), CliError> {
    FunctionName::parse(name).map_err(|error| {
        CliError::new(ErrorCode::SettingsInvalid, error.to_string()).fix("fnctl new my-function")
    })?;
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Err(CliError::new(
            ErrorCode::SettingsInvalid,
            format!("`{name}` is not a package's name: it must start with a letter"),
        )
        .fix("fnctl new my-function"));
    }
    // As the compiler sees it.
    let krate = name.replace('-', "_");
    let why = if KEYWORDS.contains(&krate.as_str()) {
        "is a keyword of Rust, and a crate cannot be named so"
    } else if STANDARD.contains(&krate.as_str()) {
        "is a crate of Rust's own, which every other one means by that name"
    } else if NEEDED.contains(&krate.as_str()) {
        "is a crate that the project itself needs"
    } else {
        return Ok(());
    };
    let words = format!("`{name}` cannot be a function's name: it {why}");
    Err(CliError::new(ErrorCode::SettingsInvalid, words).fix(format!("fnctl new my-{name}")))
}

/// The Rust reference, "Keywords": strict, reserved, and those of the edition.
const KEYWORDS: &[&str] = &[
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Crates that come with Rust.
const STANDARD: &[&str] = &["alloc", "core", "proc_macro", "std", "test"];

/// Dependencies of the template.
const NEEDED: &[&str] = &["fnctl_sdk", "fnctl_sdk_macros", "log", "serde"];

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_build_are_refused_with_the_reason() {
        for (name, reason) in [
            ("fn", "keyword"),
            ("async", "keyword"),
            ("Self", "keyword"),
            ("std", "Rust's own"),
            ("core", "Rust's own"),
            ("alloc", "Rust's own"),
            ("test", "Rust's own"),
            ("proc-macro", "Rust's own"),
            ("fnctl-sdk", "needs"),
            ("serde", "needs"),
        ] {
            let CliError::Told(error) = check(name).expect_err(name) else {
                panic!("{name}")
            };
            assert!(error.message.contains(reason), "{}", error.message);
            assert_eq!(error.exit_code, 7);
        }
        let (_, manifest) = template::files("x")
            .find(|(path, _)| *path == "Cargo.toml")
            .expect("it has one");
        let manifest: toml::Table = manifest.parse().expect("a manifest");
        for name in manifest["dependencies"].as_table().expect("a table").keys() {
            assert!(
                check(name).is_err(),
                "{name} is a dependency of the template"
            );
        }
    }

    #[test]
    fn names_are_packages_and_functions_at_once() {
        for name in ["enrich", "my-function", "a_b2"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "7up", "-x", "a b", "é", "a.b"] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}

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
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::check;

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

//! `fnctl man`: the manual's pages, made of what `--help` says.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::Man;
use fnctl_core::error_code::ErrorCode;

use crate::{
    cli::{Cli, Session},
    error::CliError,
    output::words,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The page of a command, such as `mappings seek`; none: that of fnctl
    command: Vec<String>,
    /// Write the pages of all commands into this folder: fnctl.1, fnctl-deploy.1 …; `man` finds those of a folder
    /// named man1, such as /usr/local/share/man/man1
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    to: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, session: &mut Session) -> Result<(), CliError> {
    if let Some(folder) = &args.to {
        std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
            .map_err(|error| {
                let shown = folder.display();
                CliError::new(ErrorCode::FileUnwritable, format!("`{shown}`: {error}"))
                    .at(shown.to_string())
                    .fix("name a folder that this user may write in: --to DIR")
            })?;
        session.out.note(&reading(folder));
        return Ok(());
    }
    let mut page = Vec::new();
    Man::new(command(&args.command)?)
        .render(&mut page)
        .expect("a vector takes everything");
    session.out.bytes(&page)
}

/// How pages are read that lie in this folder: `man` finds those of a folder `man1` by the one above it.
fn reading(folder: &Path) -> String {
    let shown = words::path(folder);
    match (folder.file_name(), folder.parent()) {
        (Some(name), Some(above)) if name == "man1" => {
            let above = match words::path(above) {
                here if here.is_empty() => ".".to_owned(),
                above => above,
            };
            format!("written to {shown}; read one: man -M {above} fnctl-deploy")
        }
        _ => format!("written to {shown}; read one: man -l {shown}/fnctl-deploy.1"),
    }
}

/// A command by its words, named as its page is: `fnctl-mappings-seek`.
fn command(words: &[String]) -> Result<clap::Command, CliError> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    for word in words {
        let found = command.find_subcommand(word).cloned();
        command = found.ok_or_else(|| {
            CliError::usage(format!("there is no command `{}`", words.join(" ")))
                .fix("fnctl --help")
        })?;
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_pages_are_read_is_said_as_it_works() {
        for (folder, command) in [
            ("man1", "man -M . fnctl-deploy"),
            ("share/man/man1", "man -M share/man fnctl-deploy"),
            ("/usr/share/man/man1/", "man -M /usr/share/man fnctl-deploy"),
            ("pages", "man -l pages/fnctl-deploy.1"),
        ] {
            let said = reading(Path::new(folder));
            assert!(said.ends_with(command), "{said}");
        }
    }
}

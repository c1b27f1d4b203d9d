//! `fnctl man`: the manual's pages, made of what `--help` says.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::Man;
use fnctl_core::error_code::ErrorCode;

use crate::{
    cli::{Cli, Session},
    error::CliError,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The page of a command, such as `mappings seek`; none: that of fnctl
    command: Vec<String>,
    /// Write the pages of all commands into this folder, for `man` to find: DIR/fnctl.1 and others
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
            })?;
        session.out.note(&format!(
            "man -M needs them in a folder man1: man -l {}/fnctl.1",
            folder.display()
        ));
        return Ok(());
    }
    let mut page = Vec::new();
    Man::new(command(&args.command)?)
        .render(&mut page)
        .expect("a vector takes everything");
    session.out.bytes(&page)
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

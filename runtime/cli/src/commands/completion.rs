//! `fnctl completion`: what a shell needs to complete fnctl's words, and names of what the server has.

use clap::CommandFactory;
use clap_complete::env::Shells;
use fnctl_core::error_code::ErrorCode;

use crate::{
    cli::{Cli, Session},
    completing,
    error::CliError,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

pub(crate) fn run(args: &Args, session: &mut Session) -> Result<(), CliError> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&args.shell)
        .expect("the shells that are read are those there are");
    let program = std::env::current_exe()
        .map_err(|error| CliError::new(ErrorCode::Internal, format!("where fnctl is: {error}")))?;
    let command = Cli::command();
    let name = command.get_name();
    let mut script = Vec::new();
    shell
        .write_registration(
            completing::VARIABLE,
            name,
            name,
            &program.to_string_lossy(),
            &mut script,
        )
        .expect("a vector takes everything");
    session.out.bytes(&script)
}

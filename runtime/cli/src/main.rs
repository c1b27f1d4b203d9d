//! `fnctl`: talks to a person. Commands speak HTTP to a server; `fnctl server` and `fnctl dev` embed
//! one.

mod cli;
mod client;
mod commands;
mod completing;
mod confirm;
#[cfg(test)]
mod docs;
mod error;
mod limits;
mod manifest;
mod output;
mod process;
mod spelling;
mod template;
mod written;

use std::process::ExitCode;

use fnctl_core::error_code::ErrorCode;

use crate::{cli::Cli, error::CliError};

fn main() -> ExitCode {
    // First of all: the server starts this program to compile a component in a process of its own.
    if let Some(code) = fnctl_invoker::compile_if_asked(std::env::args_os()) {
        return code;
    }
    completing::answer_if_asked();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let (is_json, is_reading) = (cli.is_json(), cli.is_reading());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = CliError::new(ErrorCode::Internal, format!("failed to start: {error}"));
            let code = error.exit_code();
            error.tell(is_json);
            return ExitCode::from(code);
        }
    };
    let done = runtime.block_on(async {
        if cli.handles_signals() {
            return cli.run().await;
        }
        tokio::select! {
            done = cli.run() => done,
            _ = tokio::signal::ctrl_c() => Err(CliError::new(ErrorCode::Interrupted, "interrupted")),
            () = output::hangup::stdout_closed(), if is_reading => Err(CliError::StdoutClosed),
        }
    });
    // Reads of stdin and files that nobody waits for any more must not hold the process.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            error.tell(is_json);
            ExitCode::from(code)
        }
    }
}

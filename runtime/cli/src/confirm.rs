//! Destroying asks first: a person is asked one question, a script says `--yes` (command line and
//! SDK §4). What does not exist is said before.

use std::io::{self, BufRead, Write};

use fnctl_core::error_code::ErrorCode;

use crate::{error::CliError, output::Output};

/// The switches of a command that destroys.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Destroying {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Override a refusal; never implies --yes
    #[arg(long)]
    pub(crate) force: bool,
}

impl Destroying {
    /// Goes on only where it may.
    ///
    /// # Errors
    /// Nobody said yes; nothing is done.
    pub(crate) fn confirm(self, out: &Output, loss: &str) -> Result<(), CliError> {
        if self.yes {
            return Ok(());
        }
        if !out.can_ask() {
            return Err(CliError::new(
                ErrorCode::NotConfirmed,
                format!("{loss}: not without a yes"),
            )
            .because("there is no terminal to ask on")
            .fix("add --yes"));
        }
        let mut stderr = io::stderr().lock();
        let asked = write!(stderr, "{loss}. Go on? [y/N] ").and_then(|()| stderr.flush());
        let mut answer = String::new();
        let said = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
        if said.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(CliError::new(ErrorCode::NotConfirmed, "nothing was done"))
    }
}

//! Destroying asks first: a person is asked one question, a script says `--yes` (command line and
//! SDK §4). What does not exist is said before.

use std::io::{self, BufRead, Write};

use fnctl_core::error_code::ErrorCode;
use serde::Serialize;

use crate::{cli::Session, error::CliError, output::Output};

/// The switch of a command that asks first.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Asking {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// The switches of a command that deletes.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Destroying {
    #[command(flatten)]
    asking: Asking,
    /// Override a refusal; never implies --yes
    #[arg(long)]
    pub(crate) force: bool,
}

/// Something that exists and is to be deleted.
pub(crate) struct Doomed<'a, T> {
    /// Noun and name, `stream signups`.
    pub(crate) what: String,
    /// What is lost with it, a whole sentence without its end.
    pub(crate) loss: String,
    /// Where the API has it.
    pub(crate) path: [&'a str; 3],
    /// What a script is shown of it.
    pub(crate) line: T,
}

impl Destroying {
    /// Asks, deletes, and says so.
    ///
    /// # Errors
    /// Nobody said yes, or the server refuses.
    pub(crate) async fn delete<T: Serialize>(
        self,
        doomed: Doomed<'_, T>,
        session: &mut Session,
    ) -> Result<(), CliError> {
        self.confirm(&session.out, &doomed.loss)?;
        session.client.delete(&doomed.path, self.force).await?;
        if session.out.is_json() {
            return session.out.json(&doomed.line);
        }
        session.out.line(&format!("deleted    {}", doomed.what))
    }

    /// As [`Asking::confirm`].
    ///
    /// # Errors
    /// Nobody said yes; nothing is done.
    pub(crate) fn confirm(self, out: &Output, loss: &str) -> Result<(), CliError> {
        self.asking.confirm(out, loss)
    }
}

impl Asking {
    /// Goes on only where it may.
    ///
    /// # Errors
    /// Nobody said yes; nothing is done.
    pub(crate) fn confirm(self, out: &Output, loss: &str) -> Result<(), CliError> {
        if self.yes {
            return Ok(());
        }
        if !out.can_ask() {
            let why = if out.is_json() {
                "with `-o json` nobody is asked"
            } else {
                "there is no terminal to ask on"
            };
            return Err(CliError::new(
                ErrorCode::NotConfirmed,
                format!("not confirmed, nothing was done: {loss}"),
            )
            .because(why)
            .fix("the same with --yes"));
        }
        let mut stderr = io::stderr().lock();
        let asked = write!(stderr, "{loss}. Go on? [y/N] ").and_then(|()| stderr.flush());
        let mut answer = String::new();
        let said = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
        if said.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(
            CliError::new(ErrorCode::NotConfirmed, "not confirmed, nothing was done")
                .because("the answer was not yes")
                .fix("the same again and `y`, or with --yes"),
        )
    }
}

//! `fnctl rollback`: takes a canary back, or makes an older version live.

use fnctl_core::spec::request::{RollbackRequest, RollbackResult};

use crate::{cli::Session, error::CliError, spelling};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The function
    function: String,
    /// The version; without it, what is live without its canary, or what was live before
    #[arg(long, value_name = "N", value_parser = spelling::positive, allow_negative_numbers = true)]
    to: Option<u64>,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let path = ["v1", "functions", &args.function, "rollback"];
    let done: RollbackResult = session
        .client
        .post(&path, &RollbackRequest { to: args.to })
        .await?;
    if session.out.is_json() {
        return session.out.json(&done);
    }
    let said = if let Some(canary) = done.dropped_canary {
        format!(
            "function   {}  version {}, without its canary version {canary}",
            done.function, done.version
        )
    } else if done.version == done.previous_version {
        format!(
            "function   {}  version {}, unchanged",
            done.function, done.version
        )
    } else {
        format!(
            "function   {}  version {} (was {})",
            done.function, done.version, done.previous_version
        )
    };
    session.out.line(&said)
}

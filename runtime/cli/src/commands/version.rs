//! `fnctl version`.

use serde::Serialize;

use crate::{cli::Session, error::CliError};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    commit: &'static str,
}

/// The release.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, where the build said so.
const COMMIT: &str = match option_env!("FNCTL_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

#[expect(clippy::unused_async, reason = "commands are called alike")]
pub(crate) async fn run(_: Args, session: &mut Session) -> Result<(), CliError> {
    if session.out.is_json() {
        return session.out.json(&Version {
            version: VERSION,
            commit: COMMIT,
        });
    }
    session
        .out
        .line(&format!("fnctl {VERSION} (commit {COMMIT})"))
}

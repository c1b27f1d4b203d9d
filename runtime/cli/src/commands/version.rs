//! `fnctl version`.

use serde::Serialize;

use crate::{cli::Session, error::CliError};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    commit: Option<&'static str>,
}

/// The release.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, where that was a git checkout (`build.rs`).
pub(crate) const COMMIT: Option<&str> = option_env!("FNCTL_COMMIT");

/// Both, as `fnctl --version` says them behind the name.
pub(crate) const LINE: &str = env!("FNCTL_VERSION_LINE");

#[expect(clippy::unused_async, reason = "commands are called alike")]
pub(crate) async fn run(_: Args, session: &mut Session) -> Result<(), CliError> {
    if session.out.is_json() {
        return session.out.json(&Version {
            version: VERSION,
            commit: COMMIT,
        });
    }
    session.out.line(&format!("fnctl {LINE}"))
}

//! Commands to the catalogue: judged at the end of the log, journaled as one `Meta` entry.

use std::sync::Arc;

use fnctl_core::{
    committer::Stopped,
    id::Timestamp,
    registry::{Applied, Command, Refusal},
    view::NodeView,
};

use crate::store::{DecideError, Store};

/// Why a command did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It was refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The store stopped; whether it took the command shows after the restart.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Store {
    /// Changes the catalogue. Resolves once the change is durable and visible; a command that changes
    /// nothing resolves as well.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn command(&self, command: Command) -> Result<Applied, CommandError> {
        let command = Arc::new(command);
        let judge = move |view: &NodeView, now: Timestamp| view.evaluate_command(&command, now);
        self.decide(judge).await.map_err(|error| match error {
            DecideError::Refused(refusal) => CommandError::Refused(refusal),
            DecideError::Stopped(stopped) => CommandError::Stopped(stopped),
        })
    }
}

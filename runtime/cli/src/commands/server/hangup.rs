//! SIGHUP. A terminal that closes sends it to what runs in it, and ends it as ever; a server without a terminal, a
//! service, takes it for the wish that it reads its certificate, credentials and token again.

use std::io::{self, IsTerminal as _};

use fnctl_core::error_code::ErrorCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// Wishes to read files again.
pub(super) struct Hangups(Option<Signal>);

impl Hangups {
    /// Listens from now on, where there is no terminal.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn listen() -> Result<Self, CliError> {
        if io::stdin().is_terminal() {
            return Ok(Self(None));
        }
        let listening = signal(SignalKind::hangup()).map_err(|error| {
            let words = format!("failed to listen for signals: {error}");
            CliError::new(ErrorCode::Internal, words)
        })?;
        Ok(Self(Some(listening)))
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) {
        let next = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if next.is_none() {
            // None will ever come.
            std::future::pending::<()>().await;
        }
    }
}

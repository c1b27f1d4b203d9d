//! What went wrong while using fnctl, in words.

use std::fmt;

use serde_json::Value;

/// A command or request that did not do what it should.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub message: String,
    /// The command's exit code, if one ran to its end.
    pub exit: Option<i32>,
    /// The error object that it printed, if it did.
    pub error: Option<Value>,
}

impl Failure {
    /// A failure of the harness itself.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit: None,
            error: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

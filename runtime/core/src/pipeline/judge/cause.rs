//! Why a record failed, and how long its function asks to wait.

use std::sync::Arc;

use super::Fault;
use crate::{
    commit::ErrorKind,
    outcome::{self, Failure},
};

/// Why a record failed.
pub(super) struct Cause {
    pub(super) kind: ErrorKind,
    pub(super) code: Arc<str>,
    pub(super) error: Arc<str>,
    /// What the function asked for.
    pub(super) own_delay_ms: Option<u32>,
    pub(super) fault: Fault,
}

impl Cause {
    /// What the function answered for one record, having done the others.
    pub(super) fn answered(failure: &Failure) -> Self {
        Self {
            fault: Fault::Answered,
            ..Self::named(failure)
        }
    }

    /// The author's own words.
    pub(super) fn named(failure: &Failure) -> Self {
        Self {
            own_delay_ms: failure.retry_after_ms,
            ..Self::unnamed(outcome::Cause::named(failure))
        }
    }

    /// A cause without a delay of its own.
    pub(super) fn unnamed(cause: outcome::Cause) -> Self {
        Self {
            kind: cause.kind,
            code: cause.code,
            error: cause.error,
            own_delay_ms: None,
            fault: Fault::Record,
        }
    }
}

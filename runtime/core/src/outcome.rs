//! What a call of a function came to: values that decide retry, never errors of ours.

mod cause;

use std::sync::Arc;

pub use self::cause::Cause;
use crate::record::ByteColumn;

/// Why a record, or a whole call, failed: the author's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Try again, by the mapping's policy.
    Retry,
    /// Trying again cannot help: straight to the dead letters.
    Skip,
    /// Nothing can go on: stop the mapping.
    Fatal,
}

/// A failure as the function reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to do about it.
    pub kind: FailureKind,
    /// The function's own delay before the next attempt, ms.
    pub retry_after_ms: Option<u32>,
    /// Short and stable, for grouping: `[a-z0-9-]{1,64}`.
    pub code: Arc<str>,
    /// Words for a person, at most `FAILURE_MESSAGE_BYTES_MAX`.
    pub message: Arc<str>,
}

/// One record of the call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemFailure {
    /// Index into the call's records.
    pub index: u32,
    /// Why.
    pub failure: Failure,
}

/// `Rows::sources` of a row that belongs to no record.
pub const WHOLE_CALL: u32 = u32::MAX;

/// Rows of one output, in the order they were emitted; checked by the invoker: every source is an
/// index of the call or [`WHOLE_CALL`], columns are columns, keys 1–256 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Number of the output in the function's declared list (`0` is `default`).
    pub output: u16,
    /// Index of each row's source record.
    pub sources: Vec<u32>,
    /// Keys, resolved: a row without its own has its source's. Never null.
    pub keys: ByteColumn,
    /// Payloads.
    pub data: ByteColumn,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `handle` returned: the rows, and the records that failed (each index once, ascending).
    Returned {
        /// What was emitted, one element an output that has rows.
        rows: Vec<Rows>,
        /// What failed.
        failures: Vec<ItemFailure>,
    },
    /// `handle` returned an error for the whole call.
    Error(Failure),
    /// The guest trapped.
    Trap {
        /// The record in hand, when the panic hook named one.
        record: Option<u32>,
        /// Message and place, or the trap's own words and the last lines of stderr.
        message: Arc<str>,
    },
    /// The call passed its deadline.
    Timeout {
        /// The limit, ms.
        after_ms: u64,
    },
    /// The guest passed its memory limit and trapped.
    OutOfMemory {
        /// The limit, bytes.
        limit_bytes: u64,
    },
    /// The rows passed `OUTPUT_BYTES_MAX`.
    OutputTooLarge {
        /// The limit, bytes.
        limit_bytes: u64,
    },
    /// The call never started or was taken back (no slot, shutdown, swap): nobody is charged.
    Interrupted,
}

/// An outcome's name, for metrics and dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutcomeKind {
    /// Every record succeeded.
    Ok,
    /// Some record failed.
    Partial,
    /// The call returned an error.
    Error,
    /// The guest trapped or panicked.
    Trap,
    /// The call passed its deadline.
    Timeout,
    /// Over the memory limit.
    OutOfMemory,
    /// Over the output limit.
    OutputTooLarge,
    /// Taken back, uncharged.
    Throttled,
}

impl OutcomeKind {
    /// The metric label, `out-of-memory` and so on.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Error => "error",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out-of-memory",
            Self::OutputTooLarge => "output-too-large",
            Self::Throttled => "throttled",
        }
    }
}

/// The record, by index in its call, behind which nothing was looked at: the first one that is `fatal`, because
/// nothing can go on behind it. What a call says of later ones says nothing.
#[must_use]
pub fn ended_at(failures: &[ItemFailure]) -> Option<usize> {
    let mut failures = failures.iter();
    let item = failures.find(|item| item.failure.kind == FailureKind::Fatal)?;
    Some(item.index as usize)
}

impl Outcome {
    /// Whether the call counts as failed where versions are compared: it did not return, or a record of it is
    /// to be tried again or was fatal. A record that the function skips is its decision, and a call that was
    /// taken back is none.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Returned { failures, .. } => failures
                .iter()
                .any(|one| one.failure.kind != FailureKind::Skip),
            Self::Interrupted => false,
            Self::Error(_)
            | Self::Trap { .. }
            | Self::Timeout { .. }
            | Self::OutOfMemory { .. }
            | Self::OutputTooLarge { .. } => true,
        }
    }

    /// Its name.
    #[must_use]
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Returned { failures, .. } if failures.is_empty() => OutcomeKind::Ok,
            Self::Returned { .. } => OutcomeKind::Partial,
            Self::Error(_) => OutcomeKind::Error,
            Self::Trap { .. } => OutcomeKind::Trap,
            Self::Timeout { .. } => OutcomeKind::Timeout,
            Self::OutOfMemory { .. } => OutcomeKind::OutOfMemory,
            Self::OutputTooLarge { .. } => OutcomeKind::OutputTooLarge,
            Self::Interrupted => OutcomeKind::Throttled,
        }
    }
}

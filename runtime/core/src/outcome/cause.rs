//! Why one record of a call failed, in the words that charges and dead letters have.

use std::sync::Arc;

use super::{Failure, FailureKind, Outcome};
use crate::{commit::ErrorKind, limits};

/// Why a record failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What sort of failure it is.
    pub kind: ErrorKind,
    /// The author's code, else the kind.
    pub code: Arc<str>,
    /// Words.
    pub error: Arc<str>,
}

impl Cause {
    /// The author's own words.
    #[must_use]
    pub fn named(failure: &Failure) -> Self {
        Self {
            kind: match failure.kind {
                FailureKind::Skip => ErrorKind::Skip,
                FailureKind::Retry => ErrorKind::Error,
                FailureKind::Fatal => ErrorKind::Fatal,
            },
            code: failure.code.clone(),
            error: failure.message.clone(),
        }
    }

    /// A cause that the author did not name: its code is its kind.
    #[must_use]
    pub fn of(kind: ErrorKind, error: Arc<str>) -> Self {
        Self {
            kind,
            code: kind.as_str().into(),
            error,
        }
    }

    /// The same with no more words than what is kept with a record that waits may have.
    #[must_use]
    pub fn in_brief(&self) -> Self {
        let end = self
            .error
            .floor_char_boundary(limits::BRIEF_CAUSE_BYTES_MAX);
        let error = match end < self.error.len() {
            true => self.error[..end].into(),
            false => self.error.clone(),
        };
        Self {
            error,
            ..self.clone()
        }
    }

    /// The call passed its deadline.
    #[must_use]
    pub fn timeout(after_ms: u64) -> Self {
        Self::of(
            ErrorKind::Timeout,
            format!("timed out after {after_ms} ms").into(),
        )
    }

    /// The guest passed its memory limit.
    #[must_use]
    pub fn out_of_memory(limit_bytes: u64) -> Self {
        Self::of(
            ErrorKind::OutOfMemory,
            format!("out of memory: the limit is {limit_bytes} bytes").into(),
        )
    }

    /// The rows of a call with one record passed the output limit.
    #[must_use]
    pub fn output_too_large(limit_bytes: u64) -> Self {
        Self::of(
            ErrorKind::OutputTooLarge,
            format!("the rows of one record pass the limit of {limit_bytes} bytes").into(),
        )
    }
}

impl Outcome {
    /// Why record `index` of the call failed; `None`: it did not, or the call was not made, or another
    /// record alone is to blame for its end.
    #[must_use]
    pub fn cause_of(&self, index: u32) -> Option<Cause> {
        match self {
            Self::Returned { failures, .. } => failures
                .iter()
                .find(|item| item.index == index)
                .map(|item| Cause::named(&item.failure)),
            Self::Error(failure) => Some(Cause::named(failure)),
            Self::Trap { record, message } => record
                .is_none_or(|blamed| blamed == index)
                .then(|| Cause::of(ErrorKind::Trap, message.clone())),
            Self::Timeout { after_ms } => Some(Cause::timeout(*after_ms)),
            Self::OutOfMemory { limit_bytes } => Some(Cause::out_of_memory(*limit_bytes)),
            Self::OutputTooLarge { limit_bytes } => Some(Cause::output_too_large(*limit_bytes)),
            Self::Interrupted => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::ItemFailure;

    #[test]
    fn words_in_brief_are_cut_between_characters() {
        let max = limits::BRIEF_CAUSE_BYTES_MAX;
        for (words, left) in [
            (String::new(), 0),
            ("x".repeat(max), max),
            ("x".repeat(max + 1), max),
            (format!("{}ß", "x".repeat(max - 1)), max - 1),
        ] {
            let cause = Cause::of(ErrorKind::Timeout, words.as_str().into());
            let brief = cause.in_brief();
            assert_eq!((brief.kind, &*brief.code), (ErrorKind::Timeout, "timeout"));
            assert_eq!(&*brief.error, &words[..left]);
        }
    }

    #[test]
    fn a_record_fails_for_itself_or_with_its_call() {
        let failure = Failure {
            kind: FailureKind::Retry,
            retry_after_ms: None,
            code: "busy".into(),
            message: "words".into(),
        };
        let told = |outcome: &Outcome, index| {
            let cause = outcome.cause_of(index)?;
            Some(format!(
                "{} {}: {}",
                cause.kind.as_str(),
                cause.code,
                cause.error
            ))
        };
        let item = ItemFailure {
            index: 1,
            failure: failure.clone(),
        };
        let partial = Outcome::Returned {
            rows: Vec::new(),
            failures: vec![item],
        };
        let trap = |record| Outcome::Trap {
            record,
            message: "panicked".into(),
        };
        for (outcome, first, second) in [
            (&partial, None, Some("error busy: words")),
            (
                &Outcome::Error(failure),
                Some("error busy: words"),
                Some("error busy: words"),
            ),
            (&trap(Some(1)), None, Some("trap trap: panicked")),
            (
                &trap(None),
                Some("trap trap: panicked"),
                Some("trap trap: panicked"),
            ),
            (
                &Outcome::Timeout { after_ms: 5 },
                Some("timeout timeout: timed out after 5 ms"),
                Some("timeout timeout: timed out after 5 ms"),
            ),
            (&Outcome::Interrupted, None, None),
        ] {
            assert_eq!(told(outcome, 0).as_deref(), first, "{outcome:?}");
            assert_eq!(told(outcome, 1).as_deref(), second, "{outcome:?}");
        }
    }
}

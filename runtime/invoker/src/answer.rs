//! A returned `handle`, checked: which records failed, and which rows stand.

use std::sync::Arc;

use fnctl_core::{
    limits::{FAILURE_MESSAGE_BYTES_MAX, PARTITION_KEY_CHARS_MAX},
    outcome::{Failure, FailureKind, ItemFailure, Outcome, WHOLE_CALL},
};

use crate::{
    bindings::{GuestFailure, GuestFailureKind, GuestItemFailure},
    limits::CODE_CHARS_MAX,
    rows::{Emitted, FaultyRow, RowFault},
    text,
};

/// Code of a call whose rows had a wrong shape.
pub(crate) const BAD_ROWS: &str = "bad-rows";
/// Code of a call that answered with failures that make no sense.
pub(crate) const BAD_ANSWER: &str = "bad-answer";
/// Code of a call that set a state that is not kept.
pub(crate) const BAD_STATE: &str = "bad-state";
/// Code of a record with a row above its stream's record limit.
pub(crate) const ROW_TOO_LARGE: &str = "row-too-large";
/// Code of a record with a row whose key no stream can hold.
pub(crate) const BAD_KEY: &str = "bad-key";

/// What `handle` returned, over a call of `records` records.
pub(crate) fn outcome(
    answer: Result<Vec<GuestItemFailure>, GuestFailure>,
    mut emitted: Emitted,
    records: usize,
) -> Outcome {
    // A refused row is the function's error even if it went on as if nothing were.
    if let Some(refusal) = emitted.refusal.take() {
        return Outcome::Error(failure(FailureKind::Retry, BAD_ROWS, &refusal));
    }
    let items = match answer {
        Ok(items) => items,
        Err(whole) => return Outcome::Error(whole.into()),
    };
    let mut failures: Vec<ItemFailure> = Vec::with_capacity(items.len());
    for item in items {
        if item.index as usize >= records {
            let words = format!("there is no record {}: the call has {records}", item.index);
            return Outcome::Error(failure(FailureKind::Retry, BAD_ANSWER, &words));
        }
        failures.push(ItemFailure {
            index: item.index,
            failure: item.failure.into(),
        });
    }
    failures.sort_by_key(|failure| failure.index);
    if let Some(pair) = failures
        .windows(2)
        .find(|pair| pair[0].index == pair[1].index)
    {
        let words = format!(
            "record {} is reported as failed more than once",
            pair[0].index
        );
        return Outcome::Error(failure(FailureKind::Retry, BAD_ANSWER, &words));
    }
    let mut faults = std::mem::take(&mut emitted.faults);
    faults.sort_by_key(|row| row.source);
    faults.dedup_by_key(|row| row.source);
    // A record that failed already keeps the author's word on it.
    faults.retain(|row| {
        failures
            .binary_search_by_key(&row.source, |failure| failure.index)
            .is_err()
    });
    if let Some(row) = faults.last().filter(|row| row.source == WHOLE_CALL) {
        return Outcome::Error(fault(*row));
    }
    failures.extend(faults.into_iter().map(|row| ItemFailure {
        index: row.source,
        failure: fault(row),
    }));
    failures.sort_by_key(|failure| failure.index);
    let failed: Vec<u32> = failures.iter().map(|failure| failure.index).collect();
    Outcome::Returned {
        rows: emitted.finish(&failed),
        failures,
    }
}

/// A call whose state was refused: a smaller batch may leave one that fits.
pub(crate) fn state_refused(words: &str) -> Outcome {
    Outcome::Error(failure(FailureKind::Retry, BAD_STATE, words))
}

fn fault(row: FaultyRow) -> Failure {
    let bytes = row.bytes;
    match row.fault {
        RowFault::BadKey => {
            let words = format!(
                "a key of {bytes} bytes: a key is 1 to {PARTITION_KEY_CHARS_MAX} characters of UTF-8"
            );
            failure(FailureKind::Skip, BAD_KEY, &words)
        }
        RowFault::TooLarge { most } => {
            let words =
                format!("a row of {bytes} bytes: a record of its stream has at most {most}");
            failure(FailureKind::Skip, ROW_TOO_LARGE, &words)
        }
    }
}

fn failure(kind: FailureKind, code: &str, message: &str) -> Failure {
    Failure {
        kind,
        retry_after_ms: None,
        code: code.into(),
        message: message.into(),
    }
}

impl From<GuestFailure> for Failure {
    fn from(failure: GuestFailure) -> Self {
        let kind = match failure.kind {
            GuestFailureKind::Retry => FailureKind::Retry,
            GuestFailureKind::Skip => FailureKind::Skip,
            GuestFailureKind::Fatal => FailureKind::Fatal,
        };
        let message = text::clean(text::cut(&failure.message, FAILURE_MESSAGE_BYTES_MAX));
        Self {
            kind,
            retry_after_ms: failure
                .retry_after_ms
                .filter(|_| kind == FailureKind::Retry),
            code: code(&failure.code, kind),
            message: message.into(),
        }
    }
}

/// Makes a code fit `[a-z0-9-]{1,64}`: lower case, `-` for every other character, cut; the name of the
/// kind for none.
fn code(code: &str, kind: FailureKind) -> Arc<str> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if code.is_empty() {
        return match kind {
            FailureKind::Retry => "retry",
            FailureKind::Skip => "skip",
            FailureKind::Fatal => "fatal",
        }
        .into();
    }
    let fit = |c: char| {
        Some(c.to_ascii_lowercase())
            .filter(|&c| fits(c))
            .unwrap_or('-')
    };
    code.chars()
        .take(CODE_CHARS_MAX)
        .map(fit)
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests;

//! What a run came to, by the host's rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    Batch, Context, Error, FailureKind, Output, Result,
    emit::{Arena, Pending, WHOLE_CALL},
    limits::{KEY_CHARS_MAX, ROW_BYTES_MAX},
    metrics::Measured,
};

/// What a run came to: the rows that would be published, the records that failed, the log.
#[non_exhaustive]
pub struct Outcome {
    rows: BTreeMap<Output, Vec<Emitted>>,
    failures: Vec<Failed>,
    logs: Vec<LogEntry>,
    measured: Measured,
    /// An error for the whole call, which only the batch form has: nothing of the call is kept.
    pub call: Result<()>,
}

/// A row that would be published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Emitted {
    /// The index of the record it comes from; none for a row of the whole call.
    pub source: Option<u32>,
    /// Its partition key: its own, or its record's. Empty for a row of the whole call without a key:
    /// the host gives it one of its own.
    pub key: Vec<u8>,
    /// Its body; empty for a tombstone.
    pub data: Vec<u8>,
}

impl Emitted {
    /// Its body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.data).expect("the row's body is UTF-8")
    }
}

/// A record that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// Its index.
    pub index: u32,
    /// What the host does about it.
    pub kind: FailureKind,
    /// What groups it.
    pub code: String,
    /// What happened.
    pub message: String,
    /// The delay the function asked for.
    pub retry_after: Option<Duration>,
}

/// An entry of the function's log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// How much it matters.
    pub level: log::Level,
    /// The index of the record in hand.
    pub source: Option<u32>,
    /// Its words.
    pub message: String,
}

impl Outcome {
    /// The rows of one output, in the order they would be published: by source, those of one record as
    /// they were emitted, those of the whole call last.
    #[must_use]
    pub fn rows(&self, output: Output) -> &[Emitted] {
        self.rows.get(&output).map_or(&[], Vec::as_slice)
    }

    /// The records that failed, ascending. One that stands behind a record of its key that is to be
    /// retried is not among them: it runs again with that one, whatever it did.
    #[must_use]
    pub fn failures(&self) -> &[Failed] {
        &self.failures
    }

    /// What the function logged.
    #[must_use]
    pub fn logs(&self) -> &[LogEntry] {
        &self.logs
    }

    /// Where one of the function's own metrics stands, in a run that began at zero: a counter by its name with
    /// `_total`, labels in any order. None: the run did not measure it.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.measured.get(name, labels)
    }

    /// Whether nothing failed.
    pub(super) fn is_clean(&self) -> bool {
        self.call.is_ok() && self.failures.is_empty()
    }

    /// Takes back what the call did: under windows, one with a failed record counts as never made.
    pub(super) fn undo(&mut self) {
        self.rows.clear();
    }

    pub(super) fn new(
        mut cx: Context,
        call: Result<()>,
        batch: Batch<'_>,
        keys: &[Vec<u8>],
        (logs, measured): (Vec<LogEntry>, Measured),
    ) -> Self {
        let mut outcome = Self {
            rows: BTreeMap::new(),
            failures: Vec::new(),
            logs,
            measured,
            call,
        };
        if outcome.call.is_err() {
            return outcome;
        }
        let mut failures: BTreeMap<u32, Error> = cx.settle().into_iter().collect();
        let mut rows: BTreeMap<Output, Vec<Emitted>> = BTreeMap::new();
        for pending in &cx.outputs {
            rows.insert(pending.output, emitted(pending, batch, keys));
        }
        for row in rows.values().flatten() {
            let Some(error) = refused(row) else { continue };
            match row.source {
                Some(source) => {
                    failures.entry(source).or_insert(error);
                }
                // There is no record to fail.
                None => outcome.call = Err(error),
            }
        }
        let has = |kind| failures.values().any(|error| error.kind() == kind);
        let (has_fatal, has_retry) = (has(FailureKind::Fatal), has(FailureKind::Retry));
        let held = held(keys, &failures);
        let is_kept = |row: &Emitted| match row.source {
            Some(source) => !failures.contains_key(&source) && !held.contains(&source),
            None => !has_retry,
        };
        if !has_fatal && outcome.call.is_ok() {
            rows.values_mut().for_each(|rows| rows.retain(is_kept));
            outcome.rows = rows;
        }
        failures.retain(|index, _| !held.contains(index));
        outcome.failures = failures.into_iter().map(failed).collect();
        outcome
    }
}

/// Records behind one of their key that is to be retried: neither settled nor charged.
fn held(keys: &[Vec<u8>], failures: &BTreeMap<u32, Error>) -> BTreeSet<u32> {
    let (mut held, mut waiting) = (BTreeSet::new(), BTreeSet::new());
    for (index, key) in (0..).zip(keys) {
        if waiting.contains(key) {
            held.insert(index);
        } else if failures
            .get(&index)
            .is_some_and(|error| error.kind() == FailureKind::Retry)
        {
            waiting.insert(key);
        }
    }
    held
}

fn emitted(pending: &Pending, batch: Batch<'_>, keys: &[Vec<u8>]) -> Vec<Emitted> {
    let key_of = |source: u32| keys.get(source as usize).cloned().unwrap_or_default();
    let forwarded = pending
        .forwards
        .iter()
        .filter_map(|source| batch.get(*source))
        .map(|record| {
            let source = Some(record.index());
            Emitted {
                source,
                key: record.key().to_vec(),
                data: record.data().to_vec(),
            }
        });
    let written = pending
        .sources
        .iter()
        .enumerate()
        .map(|(at, source)| Emitted {
            source: Some(*source).filter(|source| *source != WHOLE_CALL),
            key: value(&pending.keys, at).unwrap_or_else(|| key_of(*source)),
            data: value(&pending.data, at).unwrap_or_default(),
        });
    let mut rows: Vec<Emitted> = forwarded.chain(written).collect();
    rows.sort_by_key(|row| row.source.unwrap_or(WHOLE_CALL));
    rows
}

/// Value `at`; none when it is null or the arena has no values.
fn value(arena: &Arena, at: usize) -> Option<Vec<u8>> {
    let end = *arena.ends.get(at)? as usize;
    let start = at
        .checked_sub(1)
        .map_or(0, |before| arena.ends[before] as usize);
    let is_null = arena.nulls.iter().any(|null| *null as usize == at);
    (!is_null).then(|| arena.bytes[start..end].to_vec())
}

/// The host's limits for a row, on a stream with default settings.
fn refused(row: &Emitted) -> Option<Error> {
    if row.data.len() > ROW_BYTES_MAX {
        let words = format!("a row of {} bytes, above {ROW_BYTES_MAX}", row.data.len());
        return Some(Error::skip("row-too-large", words));
    }
    if row.source.is_none() && row.key.is_empty() {
        return None;
    }
    match std::str::from_utf8(&row.key).map(|key| key.chars().count()) {
        Ok(1..=KEY_CHARS_MAX) => None,
        Ok(chars) => {
            let words = format!("a key of {chars} characters, not 1 to {KEY_CHARS_MAX}");
            Some(Error::skip("bad-key", words))
        }
        Err(error) => Some(Error::skip("bad-key", error)),
    }
}

fn failed((index, error): (u32, Error)) -> Failed {
    Failed {
        index,
        kind: error.kind(),
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        retry_after: error.retry_after(),
    }
}

//! One call, as `invoke` shows it.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::DataText;
use crate::{
    function::WINDOW_STATE,
    id::Timestamp,
    invoker::Completed,
    limits::INVOKE_WINDOW_MS,
    outcome::{Failure, FailureKind, Outcome, WHOLE_CALL},
    window::{Window, WindowCall},
};

/// The window of a call by hand, for a function that uses windows (`uses`: the interfaces it imports): the
/// one that is open `now`.
#[must_use]
pub fn window_by_hand(uses: &[String], now: Timestamp) -> Option<WindowCall> {
    let window = Window::at(now, INVOKE_WINDOW_MS);
    uses.iter()
        .any(|used| used == WINDOW_STATE)
        .then(|| WindowCall {
            window,
            state: Bytes::new(),
            is_final: false,
            is_terminated_early: false,
        })
}

/// The call that ends such a window; `None` where there is none, or the call before it failed and left no
/// state.
#[must_use]
pub fn close_by_hand(window: Option<WindowCall>, completed: &Completed) -> Option<WindowCall> {
    let Outcome::Returned { failures, .. } = &completed.outcome else {
        return None;
    };
    window
        .filter(|_| failures.is_empty())
        .map(|window| WindowCall {
            state: completed.state.clone().unwrap_or_default(),
            is_final: true,
            ..window
        })
}

/// A row that was emitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRow {
    /// The output.
    pub output: String,
    /// Index of the source record; `null`: the whole call.
    pub source: Option<u32>,
    /// Its key.
    pub partition_key: String,
    /// Its payload.
    #[serde(flatten)]
    pub data: DataText,
}

/// A record that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFailure {
    /// Index of the record; `null`: the whole call.
    pub index: Option<u32>,
    /// `retry skip fatal`, or the outcome of a call that did not return.
    pub kind: String,
    /// The author's code, else the kind.
    pub code: String,
    /// Words.
    pub message: String,
}

/// A line that the function wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLog {
    /// `error warn info debug trace`.
    pub level: String,
    /// `log stdout stderr panic`.
    pub source: String,
    /// The words.
    pub message: String,
}

/// One record of `POST /v1/functions/{name}/invoke`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRecord {
    /// Its key; `null`: none.
    #[serde(default)]
    pub key: Option<String>,
    /// Its payload.
    pub data: String,
    /// How the payload is written; text unless said otherwise.
    #[serde(default)]
    pub encoding: Option<super::Encoding>,
}

/// `POST /v1/functions/{name}/invoke`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRequest {
    /// The records, in order.
    pub records: Vec<CallRecord>,
}

/// `invoke`: what a call came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// `ok partial error trap timeout out-of-memory output-too-large throttled`.
    pub outcome: String,
    /// How long it ran.
    pub duration_ms: f64,
    /// Most memory it had.
    pub memory_bytes: u64,
    /// What would be published.
    pub rows: Vec<CallRow>,
    /// What failed.
    pub failures: Vec<CallFailure>,
    /// What was written.
    pub logs: Vec<CallLog>,
}

impl CallResult {
    /// Shows a call. `outputs` are the names by number; rows of records that failed are left out, as a
    /// commit leaves them out.
    #[must_use]
    pub fn of(
        completed: &Completed,
        outputs: &[Arc<str>],
        logs: Vec<CallLog>,
        base64: impl Fn(&[u8]) -> String,
    ) -> Self {
        Self {
            outcome: completed.outcome.kind().as_str().to_owned(),
            duration_ms: (completed.stats.duration_ns / 1_000) as f64 / 1_000.0,
            memory_bytes: completed.stats.memory_bytes,
            rows: rows(&completed.outcome, outputs, &base64),
            failures: failures(&completed.outcome),
            logs,
        }
    }

    /// Both calls of a window as one: the one with its records, and the one that closes it.
    #[must_use]
    pub fn and_closed(mut self, close: Self) -> Self {
        self.outcome = close.outcome;
        let us = (self.duration_ms + close.duration_ms) * 1_000.0;
        self.duration_ms = us.round() / 1_000.0;
        self.memory_bytes = self.memory_bytes.max(close.memory_bytes);
        self.rows.extend(close.rows);
        self.failures.extend(close.failures);
        self.logs.extend(close.logs);
        self
    }
}

fn rows(
    outcome: &Outcome,
    outputs: &[Arc<str>],
    base64: &impl Fn(&[u8]) -> String,
) -> Vec<CallRow> {
    let Outcome::Returned { rows, failures } = outcome else {
        return Vec::new();
    };
    let has_failed = |source: u32| {
        failures
            .binary_search_by_key(&source, |failure| failure.index)
            .is_ok()
    };
    let mut shown = Vec::new();
    for rows in rows {
        let output = outputs
            .get(usize::from(rows.output))
            .map_or("?", AsRef::as_ref);
        for (row, &source) in rows.sources.iter().enumerate() {
            if !has_failed(source) {
                shown.push(CallRow {
                    output: output.to_owned(),
                    source: (source != WHOLE_CALL).then_some(source),
                    partition_key: String::from_utf8_lossy(rows.keys.get(row)).into_owned(),
                    data: DataText::of(rows.data.get(row), base64),
                });
            }
        }
    }
    shown
}

fn failures(outcome: &Outcome) -> Vec<CallFailure> {
    let reported = |index, failure: &Failure| CallFailure {
        index,
        kind: match failure.kind {
            FailureKind::Retry => "retry",
            FailureKind::Skip => "skip",
            FailureKind::Fatal => "fatal",
        }
        .to_owned(),
        code: failure.code.to_string(),
        message: failure.message.to_string(),
    };
    let ended = |index, message: String| {
        let kind = outcome.kind().as_str();
        vec![CallFailure {
            index,
            kind: kind.to_owned(),
            code: kind.to_owned(),
            message,
        }]
    };
    match outcome {
        Outcome::Returned { failures, .. } => failures
            .iter()
            .map(|item| reported(Some(item.index), &item.failure))
            .collect(),
        Outcome::Error(failure) => vec![reported(None, failure)],
        Outcome::Trap { record, message } => ended(*record, message.to_string()),
        Outcome::Timeout { after_ms } => {
            ended(None, format!("the call passed its limit of {after_ms} ms"))
        }
        Outcome::OutOfMemory { limit_bytes } => ended(
            None,
            format!("the call passed its memory limit of {limit_bytes} bytes"),
        ),
        Outcome::OutputTooLarge { limit_bytes } => ended(
            None,
            format!("the rows passed the limit of {limit_bytes} bytes"),
        ),
        Outcome::Interrupted => ended(None, "the call was taken back".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        invoker::CallStats,
        outcome::{ItemFailure, Rows},
        record::ColumnBuilder,
    };

    #[test]
    fn rows_of_failed_records_are_left_out() {
        let mut keys = ColumnBuilder::default();
        let mut data = ColumnBuilder::default();
        for (key, row) in [("a", &b"1"[..]), ("b", b"2"), ("c", b"\xff")] {
            keys.push(key.as_bytes());
            data.push(row);
        }
        let rows = Rows {
            output: 1,
            sources: vec![0, 1, WHOLE_CALL],
            keys: keys.finish(),
            data: data.finish(),
        };
        let failure = Failure {
            kind: FailureKind::Skip,
            retry_after_ms: None,
            code: "bad".into(),
            message: "words".into(),
        };
        let outcome = Outcome::Returned {
            rows: vec![rows],
            failures: vec![ItemFailure { index: 1, failure }],
        };
        let completed = Completed {
            outcome,
            stats: CallStats::default(),
            state: None,
        };
        let shown = CallResult::of(&completed, &["default".into(), "x".into()], vec![], |_| {
            "b64".to_owned()
        });
        assert_eq!(
            serde_json::to_string(&shown).unwrap(),
            r#"{"outcome":"partial","duration_ms":0.0,"memory_bytes":0,"rows":[{"output":"x","source":0,"partition_key":"a","data":"1","encoding":"text"},{"output":"x","source":null,"partition_key":"c","data":"b64","encoding":"base64"}],"failures":[{"index":1,"kind":"skip","code":"bad","message":"words"}],"logs":[]}"#
        );
    }

    #[test]
    fn a_window_by_hand_is_open_now_and_closes_over_what_was_left() {
        let uses = ["log".to_owned(), "state".to_owned()];
        assert_eq!(window_by_hand(&uses[..1], Timestamp(61_000)), None);
        let window = window_by_hand(&uses, Timestamp(61_000)).unwrap();
        let span = (window.window.start, window.window.end);
        assert_eq!(span, (Timestamp(60_000), Timestamp(120_000)));
        let mut completed = Completed {
            outcome: Outcome::Returned {
                rows: vec![],
                failures: vec![],
            },
            stats: CallStats::default(),
            state: Some(Bytes::from_static(b"left")),
        };
        let close = close_by_hand(Some(window.clone()), &completed).unwrap();
        assert_eq!((close.is_final, close.state.as_ref()), (true, &b"left"[..]));
        completed.outcome = Outcome::Interrupted;
        assert_eq!(close_by_hand(Some(window), &completed), None);
    }

    #[test]
    fn a_call_that_did_not_return_is_one_failure() {
        let outcome = Outcome::Timeout { after_ms: 30 };
        let completed = Completed {
            outcome,
            stats: CallStats::default(),
            state: None,
        };
        let shown = CallResult::of(&completed, &[], vec![], |_| String::new());
        assert_eq!(
            (shown.outcome.as_str(), shown.failures[0].code.as_str()),
            ("timeout", "timeout")
        );
    }
}

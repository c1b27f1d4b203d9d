//! Tumbling windows: spans of stream time whose records share a state, which the host keeps.
//!
//! The state crosses as JSON. It is what the SDK reads and writes already, and it names its fields: the next
//! version of a function meets the states that the one before it left, takes a field more by
//! `#[serde(default)]`, and a state that does not fit is an error with its place instead of another number.
//! A format without names would be smaller and could tell none of that.

use std::time::{Duration, SystemTime};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Batch, Context, Error, Record, Result, call::run_each, emit::WHOLE_CALL, host, json};

#[cfg(test)]
mod tests;

/// The window that the records of a call belong to: `[start, end)`, whole lengths from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// Its first millisecond, since 1970-01-01T00:00:00Z.
    pub start_ms: u64,
    /// The first millisecond behind it.
    pub end_ms: u64,
    /// Its last call, without records: afterwards its state is gone.
    pub is_final: bool,
    /// The state had grown above the host's limit, 1 MiB: this call, without records, ends it, and the
    /// window goes on with a fresh one.
    pub is_terminated_early: bool,
}

impl Window {
    #[cfg(not(target_os = "wasi"))]
    pub(crate) fn new(start_ms: u64, end_ms: u64) -> Self {
        Self {
            start_ms,
            end_ms,
            is_final: false,
            is_terminated_early: false,
        }
    }

    /// Its first moment.
    #[must_use]
    pub fn start(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.start_ms)
    }

    /// The first moment behind it.
    #[must_use]
    pub fn end(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.end_ms)
    }

    /// Whether a state ends with this call.
    fn is_close(&self) -> bool {
        self.is_final || self.is_terminated_early
    }
}

/// What a window's state is: made when a window begins, carried as JSON from call to call. Every type
/// that is `Default + Serialize + DeserializeOwned` is one.
pub trait State: Default + Serialize + DeserializeOwned {}

impl<S: Default + Serialize + DeserializeOwned> State for S {}

/// One call of a `#[stream_fn(window, close = …)]`: the state is read, each record is worked through with
/// it, and it is set for the next call; or it is given to `close`.
pub(crate) fn run_window<S: State>(
    batch: Batch<'_>,
    cx: &mut Context,
    mut function: impl for<'r, 's, 'c> FnMut(Record<'r>, &'s mut S, &'c mut Context) -> Result<()>,
    close: impl for<'c> FnOnce(S, &'c mut Context) -> Result<()>,
) -> Result<()> {
    let Some(window) = cx.window() else {
        let words = "the function works in tumbling windows and its mapping has none: set \
                     `tumbling_window` (fnctl mappings update M --tumbling-window 60s)";
        return Err(Error::fatal("no-window", words));
    };
    let before = host::state();
    let mut state: S = read(&before)?;
    run_each(batch, cx, |record, cx| function(record, &mut state, cx));
    if cx.has_failures() {
        // The host counts this call as never made.
        return Ok(());
    }
    if window.is_close() {
        cx.current = WHOLE_CALL;
        return close(state, cx);
    }
    let mut after = Vec::with_capacity(before.len());
    json::write_finite(&mut after, &state).map_err(|error| match error.is_not_finite() {
        // A record made it so: alone it is charged, the others are not.
        true => Error::retry("bad-state", format_args!("the window's state: {error}")),
        false => Error::fatal("bad-state", error),
    })?;
    if after == before {
        return Ok(());
    }
    host::set_state(&after).map_err(|words| Error::retry("bad-state", words))
}

/// The state that the calls before left; a new one where there is none.
pub(crate) fn read<S: State>(state: &[u8]) -> Result<S> {
    if state.is_empty() {
        return Ok(S::default());
    }
    json::read(state).map_err(|error| {
        // Another attempt reads the same. The host makes a dead letter of what another version left.
        let words = format_args!(
            "the window's state, as earlier calls left it, is no `{}`: {error}; a field that is new needs \
             `#[serde(default)]`",
            std::any::type_name::<S>()
        );
        Error::fatal("bad-state", words)
    })
}

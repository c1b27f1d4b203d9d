//! Runs a function natively, without a host, and says what would be published and what would fail, by
//! the host's rules.
//!
//! A panic of the function is the test's: it is not caught.

use crate::{Batch, Context, Record, Result, window::State};

mod harness;
mod input;
mod outcome;
mod window;

#[cfg(test)]
mod tests;

pub use harness::Harness;
pub use input::{Input, ndjson, record};
pub use outcome::{Emitted, Failed, LogEntry, Outcome};
pub use window::OpenWindow;

/// Runs a `#[stream_fn]` over one batch, without config or secrets.
pub fn run<F>(function: F, records: impl IntoIterator<Item = Input>) -> Outcome
where
    F: for<'r, 'c> Fn(Record<'r>, &'c mut Context) -> Result<()>,
{
    Harness::new().run(function, records)
}

/// Runs a `#[stream_fn(batch)]` over one batch, without config or secrets.
pub fn run_batch<F>(function: F, records: impl IntoIterator<Item = Input>) -> Outcome
where
    F: for<'r, 'c> Fn(Batch<'r>, &'c mut Context) -> Result<()>,
{
    Harness::new().run_batch(function, records)
}

/// Opens a window of a `#[stream_fn(window, close = …)]`, without config or secrets.
pub fn window<S, F, C>(function: F, close: C) -> OpenWindow<S, F, C>
where
    S: State,
    F: for<'r, 's, 'c> Fn(Record<'r>, &'s mut S, &'c mut Context) -> Result<()>,
    C: for<'c> Fn(S, &'c mut Context) -> Result<()>,
{
    Harness::new().window(function, close)
}

//! A window that a test feeds and closes.

use std::{
    fmt,
    marker::PhantomData,
    time::{Duration, SystemTime},
};

use crate::{
    Context, Record, Result,
    testing::{Harness, Input, Outcome, input::ARRIVAL_MS},
    window::{State, Window, read, run_window},
};

/// How long a window is, unless a test says otherwise.
const LENGTH_MS: u64 = 60_000;

/// A window of a `#[stream_fn(window, close = …)]`, made by [`Harness::window`]: what one group of keys
/// sees of the host. Its state goes from call to call as it does there, through JSON.
///
/// ```
/// use fnctl_sdk::prelude::*;
///
/// #[stream_fn(window, close = report)]
/// fn count(_: Record<'_>, seen: &mut u64, _: &mut Context) -> Result<()> {
///     *seen += 1;
///     Ok(())
/// }
///
/// fn report(seen: u64, cx: &mut Context) -> Result<()> {
///     cx.emit(&seen)
/// }
///
/// let mut window = testing::window(count, report);
/// window.run([testing::record("a"), testing::record("b")]);
/// window.run([testing::record("c")]);
/// assert_eq!(window.close().rows(Output::DEFAULT)[0].text(), "3");
/// ```
#[must_use = "a window does nothing until records are fed to it"]
#[non_exhaustive]
pub struct OpenWindow<S, F, C> {
    harness: Harness,
    function: F,
    close: C,
    window: Window,
    state: Vec<u8>,
    type_of_state: PhantomData<fn() -> S>,
}

impl<S, F, C> fmt::Debug for OpenWindow<S, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenWindow")
            .field("window", &self.window)
            .field("state", &String::from_utf8_lossy(&self.state))
            .finish_non_exhaustive()
    }
}

impl<S, F, C> OpenWindow<S, F, C>
where
    S: State,
    F: for<'r, 's, 'c> Fn(Record<'r>, &'s mut S, &'c mut Context) -> Result<()>,
    C: for<'c> Fn(S, &'c mut Context) -> Result<()>,
{
    pub(super) fn new(harness: Harness, function: F, close: C) -> Self {
        Self {
            harness,
            function,
            close,
            window: Window::new(ARRIVAL_MS, ARRIVAL_MS + LENGTH_MS),
            state: Vec::new(),
            type_of_state: PhantomData,
        }
    }

    /// Its span, in whole milliseconds; a minute from 2026-01-01T00:00:00Z, when test records arrive, unless
    /// said otherwise.
    pub fn span(mut self, start: SystemTime, length: Duration) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let since = start.duration_since(SystemTime::UNIX_EPOCH);
        let start_ms = ms(since.unwrap_or(Duration::ZERO));
        self.window = Window::new(start_ms, start_ms.saturating_add(ms(length)));
        self
    }

    /// One call over these records. Where one of them fails nothing of the call is kept, neither rows nor
    /// state: the host runs the others again.
    pub fn run(&mut self, records: impl IntoIterator<Item = Input>) -> Outcome {
        self.call(self.window, records)
    }

    /// The state as the calls so far left it; a new one where they left none.
    ///
    /// # Errors
    /// As a call that reads it: it does not fit its type.
    pub fn state(&self) -> Result<S> {
        read(&self.state)
    }

    /// The call that ends a state above the host's limit, 1 MiB; the window goes on with a fresh one.
    pub fn end_early(&mut self) -> Outcome {
        let window = Window {
            is_terminated_early: true,
            ..self.window
        };
        self.last(window)
    }

    /// The last call of the window. What is fed afterwards is in another window of the same span.
    pub fn close(&mut self) -> Outcome {
        let window = Window {
            is_final: true,
            ..self.window
        };
        self.last(window)
    }

    fn last(&mut self, window: Window) -> Outcome {
        let outcome = self.call(window, []);
        if outcome.is_clean() {
            self.state.clear();
        }
        outcome
    }

    fn call(&mut self, window: Window, records: impl IntoIterator<Item = Input>) -> Outcome {
        let (function, close) = (&self.function, &self.close);
        let run =
            |batch: crate::Batch<'_>, cx: &mut Context| run_window(batch, cx, function, close);
        self.harness
            .call_in(Some(window), &mut self.state, records, run)
    }
}

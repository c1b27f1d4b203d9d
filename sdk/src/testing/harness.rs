//! What a function is run with.

use std::collections::BTreeMap;

use crate::{
    Batch, Context, Record, Result,
    call::{NO_RECORD, native::NativeColumns, run_each, run_whole, take_in_hand},
    host::native::{Scene, Stage},
    log,
    metrics::Measured,
    testing::{Input, OpenWindow, Outcome},
    window::{State, Window},
};

/// What a function is run with: config and secrets.
#[derive(Clone, Default)]
#[must_use = "a harness does nothing until it runs a function"]
#[non_exhaustive]
pub struct Harness {
    config: BTreeMap<String, String>,
    secrets: BTreeMap<String, Vec<u8>>,
}

impl Harness {
    /// Without config or secrets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a config value.
    pub fn config(mut self, name: &str, value: &str) -> Self {
        self.config.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a secret.
    pub fn secret(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.secrets
            .insert(name.to_owned(), value.as_ref().to_vec());
        self
    }

    /// Runs a `#[stream_fn]` over one batch.
    pub fn run<F>(&self, function: F, records: impl IntoIterator<Item = Input>) -> Outcome
    where
        F: for<'r, 'c> Fn(Record<'r>, &'c mut Context) -> Result<()>,
    {
        self.call(records, |batch, cx| {
            run_each(batch, cx, function);
            Ok(())
        })
    }

    /// Runs a `#[stream_fn(batch)]` over one batch.
    pub fn run_batch<F>(&self, function: F, records: impl IntoIterator<Item = Input>) -> Outcome
    where
        F: for<'r, 'c> Fn(Batch<'r>, &'c mut Context) -> Result<()>,
    {
        self.call(records, |batch, cx| run_whole(batch, cx, function))
    }

    /// Opens a window of a `#[stream_fn(window, close = …)]`.
    pub fn window<S, F, C>(&self, function: F, close: C) -> OpenWindow<S, F, C>
    where
        S: State,
        F: for<'r, 's, 'c> Fn(Record<'r>, &'s mut S, &'c mut Context) -> Result<()>,
        C: for<'c> Fn(S, &'c mut Context) -> Result<()>,
    {
        OpenWindow::new(self.clone(), function, close)
    }

    fn call(
        &self,
        records: impl IntoIterator<Item = Input>,
        run: impl FnOnce(Batch<'_>, &mut Context) -> Result<()>,
    ) -> Outcome {
        self.call_in(None, &mut Vec::new(), records, run)
    }

    /// A call in a window. A state that the call left, by the host's rules, takes the place of `state`.
    pub(super) fn call_in(
        &self,
        window: Option<Window>,
        state: &mut Vec<u8>,
        records: impl IntoIterator<Item = Input>,
        run: impl FnOnce(Batch<'_>, &mut Context) -> Result<()>,
    ) -> Outcome {
        log::native::install();
        let (mut columns, mut keys) = (NativeColumns::default(), Vec::new());
        let facts = records
            .into_iter()
            .map(|record| record.push_to(&mut columns, &mut keys))
            .collect();
        let stage = Stage::set(Scene {
            config: self.config.clone(),
            secrets: self.secrets.clone(),
            facts,
            logs: Vec::new(),
            window,
            state: state.clone(),
            measured: Measured::default(),
        });
        take_in_hand(NO_RECORD);
        let mut cx = Context::new();
        let borrowed = columns.columns();
        let batch = Batch::new(&borrowed);
        let call = run(batch, &mut cx);
        let (logs, measured) = (stage.logs(), stage.measured());
        let mut outcome = Outcome::new(cx, call, batch, &keys, (logs, measured));
        if window.is_none() {
            return outcome;
        }
        if outcome.is_clean() {
            *state = stage.state();
        } else {
            outcome.undo();
        }
        outcome
    }
}

//! What a call may do besides reading its records.

use std::{cell::RefCell, time::Duration};

use serde::Serialize;

use crate::{
    Error, FailureKind, Output, Record, Result, Row, Secret, Window,
    emit::{Pending, WHOLE_CALL},
    host,
};

/// Emits rows, reports failures, and answers what the operator set. One per call.
#[non_exhaustive]
pub struct Context {
    /// By first use: few, and the first is nearly always the one.
    pub(crate) outputs: Vec<Pending>,
    failures: Vec<(u32, Error)>,
    /// The source of a row that names none.
    pub(crate) current: u32,
    has_fatal: bool,
    /// Config by name, as far as it was asked for: fixed for the life of the instance.
    config: RefCell<Vec<(Box<str>, &'static str)>>,
}

impl Context {
    pub(crate) fn new() -> Self {
        Self {
            outputs: Vec::new(),
            failures: Vec::new(),
            current: WHOLE_CALL,
            has_fatal: false,
            config: RefCell::default(),
        }
    }

    /// Emits `value` as JSON to the default output, under the record's key.
    ///
    /// # Errors
    /// As [`Row::json`].
    #[inline]
    pub fn emit<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.row().json(value)
    }

    /// Emits these bytes to the default output, under the record's key.
    ///
    /// # Errors
    /// As [`Row::write`].
    #[inline]
    pub fn emit_bytes(&mut self, body: &[u8]) -> Result<()> {
        self.row().bytes(body)
    }

    /// Emits the record itself, key and body as they came, to the default output. No byte crosses.
    ///
    /// # Errors
    /// None now; a later host may refuse.
    pub fn forward(&mut self, record: Record<'_>) -> Result<()> {
        self.pending(Output::DEFAULT).forward(record);
        Ok(())
    }

    /// Starts a row with another output, key or source: `cx.row().to(REJECTED).bytes(record.data())`.
    #[inline]
    pub fn row(&mut self) -> Row<'_> {
        let source = self.current;
        Row::new(self, source)
    }

    /// Reports one record as failed, in the batch form; its rows are dropped. The first report of a
    /// record counts.
    #[cold]
    pub fn fail(&mut self, record: Record<'_>, error: Error) {
        self.has_fatal |= error.kind() == FailureKind::Fatal;
        self.failures.push((record.index(), error));
    }

    /// A config value. Fixed per version, so that it borrows nothing and may be held across `emit`.
    #[must_use]
    pub fn config(&self, name: &str) -> Option<&'static str> {
        let mut known = self.config.borrow_mut();
        if let Some((_, value)) = known.iter().find(|(at, _)| **at == *name) {
            return Some(value);
        }
        // As many as the operator has set, once per instance: a name that is not set is not kept.
        let value: &'static str = host::config(name)?.leak();
        known.push((name.into(), value));
        Some(value)
    }

    /// A secret, as it is now: it may rotate, so ask in each call. One host call.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Secret> {
        host::secret(name).map(Secret::new)
    }

    /// How long the call may still take. One host call.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        Duration::from_millis(host::remaining_ms())
    }

    /// The mapping that calls, `<function>/<stream>`. One host call.
    #[must_use]
    pub fn mapping(&self) -> String {
        host::mapping()
    }

    /// The number of the function version that runs, from 1. One host call.
    #[must_use]
    pub fn function_version(&self) -> u64 {
        host::function_version()
    }

    /// The window that the records belong to; none where the mapping has no tumbling windows. One host
    /// call.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        host::window()
    }

    pub(crate) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Whether nothing of the call will be kept, so that going on is in vain.
    pub(crate) fn has_fatal(&self) -> bool {
        self.has_fatal
    }

    #[inline]
    pub(crate) fn pending(&mut self, output: Output) -> &mut Pending {
        let at = self
            .outputs
            .iter()
            .position(|pending| pending.output == output);
        let at = at.unwrap_or_else(|| {
            self.outputs.push(Pending::new(output));
            self.outputs.len() - 1
        });
        &mut self.outputs[at]
    }

    /// Ends the call: the failures, one a record and ascending, with their rows dropped.
    pub(crate) fn settle(&mut self) -> Vec<(u32, Error)> {
        let mut failures = std::mem::take(&mut self.failures);
        if failures.is_empty() {
            return failures;
        }
        failures.sort_by_key(|(index, _)| *index);
        failures.dedup_by_key(|(index, _)| *index);
        let failed: Vec<u32> = failures.iter().map(|(index, _)| *index).collect();
        for pending in &mut self.outputs {
            pending.drop_rows_of(&failed);
        }
        failures
    }

    /// Forgets the last call and keeps its memory.
    pub(crate) fn clear(&mut self) {
        for pending in &mut self.outputs {
            pending.clear();
        }
        self.failures.clear();
        self.current = WHOLE_CALL;
        self.has_fatal = false;
    }
}

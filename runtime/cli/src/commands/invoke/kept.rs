//! What a function that runs in this process writes.

use std::sync::{Mutex, PoisonError};

use fnctl_core::status::CallLog;
use fnctl_invoker::{LogEntry, LogLevel, LogSink, LogSource};

/// Keeps what the function writes; a call's lines are bounded by the invoker.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<CallLog>>);

impl Kept {
    /// The lines since it was last asked.
    pub(crate) fn take(&self) -> Vec<CallLog> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LogSink for Kept {
    fn write(&self, entry: &LogEntry<'_>) {
        let line = CallLog {
            level: match entry.level {
                LogLevel::Error => "error",
                LogLevel::Warn => "warn",
                LogLevel::Info => "info",
                LogLevel::Debug => "debug",
                LogLevel::Trace => "trace",
            }
            .to_owned(),
            source: match entry.source {
                LogSource::Log | LogSource::Host => "log",
                LogSource::Stdout => "stdout",
                LogSource::Stderr => "stderr",
                LogSource::Panic => "panic",
            }
            .to_owned(),
            message: entry.message.to_owned(),
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }

    fn max_level(&self, _: &str) -> LogLevel {
        LogLevel::Trace
    }
}

//! Where the invoker puts lines of functions: into rings, and for a call by hand beside its answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use fnctl_core::{clock::Clock, id::FunctionName, invoker::CallContext, status::CallLog};
use fnctl_invoker::{LogEntry, LogLevel, LogSink, LogSource};

use crate::{
    clock::SystemClock,
    logs::{FunctionLogs, LogLine},
    metrics::Metrics,
};

/// Lines of one call, by the address of its context.
type Captures = Mutex<HashMap<usize, Vec<CallLog>>>;

/// Takes the lines of every function.
#[derive(Debug)]
pub(crate) struct HostLog {
    logs: FunctionLogs,
    captures: Captures,
}

/// Collects the lines of the calls made with one context, until it is taken.
#[derive(Debug)]
pub(crate) struct Capture {
    log: Arc<HostLog>,
    // Held, so that no other context gets its address meanwhile.
    context: Arc<CallContext>,
}

impl HostLog {
    /// Nothing written yet; losses are counted in `metrics`.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            logs: FunctionLogs::new(metrics),
            captures: Captures::default(),
        }
    }

    /// The rings.
    pub(crate) const fn logs(&self) -> &FunctionLogs {
        &self.logs
    }

    /// Starts to collect the lines of calls with this context.
    pub(crate) fn capture(self: &Arc<Self>, context: &Arc<CallContext>) -> Capture {
        let mut captures = self.captures.lock().unwrap_or_else(PoisonError::into_inner);
        captures.insert(address(context), Vec::new());
        Capture {
            log: Arc::clone(self),
            context: Arc::clone(context),
        }
    }
}

fn address(context: &CallContext) -> usize {
    std::ptr::from_ref(context).addr()
}

impl Capture {
    /// The lines so far.
    pub(crate) fn take(&self) -> Vec<CallLog> {
        let mut captures = self
            .log
            .captures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        captures
            .get_mut(&address(&self.context))
            .map(std::mem::take)
            .unwrap_or_default()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let mut captures = self
            .log
            .captures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        captures.remove(&address(&self.context));
    }
}

const fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

const fn source(source: LogSource) -> &'static str {
    match source {
        LogSource::Log | LogSource::Host => "log",
        LogSource::Stdout => "stdout",
        LogSource::Stderr => "stderr",
        LogSource::Panic => "panic",
    }
}

impl LogSink for HostLog {
    fn write(&self, entry: &LogEntry<'_>) {
        let (level, source) = (level(entry.level), source(entry.source));
        if let Some(context) = entry.context {
            let mut captures = self.captures.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(lines) = captures.get_mut(&address(context)) {
                lines.push(CallLog {
                    level: level.to_owned(),
                    source: source.to_owned(),
                    message: entry.message.to_owned(),
                });
            }
        }
        // A function's name was checked when it was deployed.
        let Ok(function) = FunctionName::parse(entry.function) else {
            return;
        };
        let context = entry.context;
        self.logs.of(&function).push(LogLine {
            time: SystemClock.now(),
            level,
            version: context.map(|context| context.version).unwrap_or_default(),
            mapping: context.map_or_else(|| "".into(), |context| Arc::clone(&context.mapping)),
            shard: context.map(|context| context.shard),
            sequence_number: entry.sequence_number.map(Arc::from),
            source,
            message: entry.message.into(),
        });
    }

    fn dropped(&self, function: &str, lines: u64) {
        if let Ok(function) = FunctionName::parse(function) {
            self.logs.of(&function).dropped_by_call(lines);
        }
    }
}

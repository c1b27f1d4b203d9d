//! `log`, and where the lines go: bounded per call, cleaned of control characters, never stored here.

use std::{collections::VecDeque, sync::Arc};

use fnctl_core::{
    id::Ordinal,
    invoker::{CallContext, CallFacts},
    outcome::WHOLE_CALL,
};
use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, WasmStr},
};

use super::HostState;
use crate::{
    bindings::{GuestLevel, LOG, WriteArguments},
    limits::{LOG_BYTES_MAX, LOG_LINE_BYTES_MAX, LOG_LINES_MAX, STDERR_TAIL_BYTES_MAX},
    text,
};

/// How much a line matters, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Someone must act.
    Error,
    /// Unexpected, and survived.
    Warn,
    /// Ordinary operation.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

/// Which way a line came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogSource {
    /// The `log` interface.
    Log,
    /// A line of standard output.
    Stdout,
    /// A line of standard error.
    Stderr,
    /// The report of a panic.
    Panic,
    /// The host itself, such as "12 more lines were dropped".
    Host,
}

/// One line of a function.
#[derive(Clone, Debug)]
pub struct LogEntry<'a> {
    /// Its level; stdout counts as info, stderr as warn.
    pub level: LogLevel,
    /// Which way it came.
    pub source: LogSource,
    /// The function's name.
    pub function: &'a str,
    /// Mapping, stream, shard and version; none for a line written while an instance is made.
    pub context: Option<&'a CallContext>,
    /// The record in hand, where the function named one.
    pub ordinal: Option<Ordinal>,
    /// Its sequence number, as the source spells it.
    pub sequence_number: Option<&'a str>,
    /// The words: at most `LOG_LINE_BYTES_MAX`, without control characters but newline and tab.
    pub message: &'a str,
}

/// Takes lines. Called on the guests' threads, in the middle of a call: it must not block.
pub trait LogSink: Send + Sync + 'static {
    /// Takes one line.
    fn write(&self, entry: &LogEntry<'_>);

    /// Learns at the end of a call how many of its lines were above the call's limit; a line says so too.
    fn dropped(&self, _function: &str, _lines: u64) {}

    /// The most verbose level kept for a function; asked once a call.
    fn max_level(&self, _function: &str) -> LogLevel {
        LogLevel::Info
    }
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLog;

impl LogSink for NoLog {
    fn write(&self, _: &LogEntry<'_>) {}
}

/// What the panic hook of a guest said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PanicReport {
    /// The record in hand.
    pub(crate) record: Option<u32>,
    /// Message and place.
    pub(crate) message: String,
}

/// Lines of one call.
pub(crate) struct CallLog {
    sink: Arc<dyn LogSink>,
    function: Arc<str>,
    call: Option<(Arc<CallContext>, Arc<dyn CallFacts>, usize)>,
    max_level: LogLevel,
    lines_left: u32,
    bytes_left: usize,
    dropped: u64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    stderr_tail: VecDeque<u8>,
    /// The last report of a panic.
    pub(crate) panic: Option<PanicReport>,
}

impl CallLog {
    pub(crate) fn new(sink: Arc<dyn LogSink>, function: Arc<str>) -> Self {
        Self {
            sink,
            function,
            call: None,
            max_level: LogLevel::Info,
            lines_left: LOG_LINES_MAX,
            bytes_left: LOG_BYTES_MAX,
            dropped: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
            stderr_tail: VecDeque::new(),
            panic: None,
        }
    }

    /// A call of `records` records starts: everything is counted from here.
    pub(crate) fn begin(
        &mut self,
        context: &Arc<CallContext>,
        facts: &Arc<dyn CallFacts>,
        records: usize,
    ) {
        self.call = Some((Arc::clone(context), Arc::clone(facts), records));
        self.max_level = self.sink.max_level(&self.function);
        (self.lines_left, self.bytes_left, self.dropped) = (LOG_LINES_MAX, LOG_BYTES_MAX, 0);
        self.stderr_tail.clear();
        self.panic = None;
    }

    /// The call ended: unfinished lines are written, and how many were dropped.
    pub(crate) fn end(&mut self) {
        for source in [LogSource::Stdout, LogSource::Stderr] {
            let rest = std::mem::take(self.buffer(source));
            if !rest.is_empty() {
                self.stream_line(source, &rest);
            }
        }
        if self.dropped > 0 {
            self.sink.dropped(&self.function, self.dropped);
            let message = format!("{} more lines of this call were dropped", self.dropped);
            self.deliver(LogLevel::Warn, LogSource::Host, None, &message);
        }
        self.call = None;
    }

    /// The last lines of standard error, at most `STDERR_TAIL_BYTES_MAX`.
    pub(crate) fn stderr_tail(&self) -> String {
        let (front, back) = self.stderr_tail.as_slices();
        text::clean(&String::from_utf8_lossy(&[front, back].concat()))
            .trim()
            .to_owned()
    }

    /// Bytes of a standard stream, split into lines.
    pub(crate) fn stream(&mut self, source: LogSource, bytes: &[u8]) {
        if source == LogSource::Stderr {
            let tail = bytes.len().saturating_sub(STDERR_TAIL_BYTES_MAX);
            self.stderr_tail.extend(&bytes[tail..]);
            let excess = self.stderr_tail.len().saturating_sub(STDERR_TAIL_BYTES_MAX);
            drop(self.stderr_tail.drain(..excess));
        }
        let mut parts = bytes.split(|&byte| byte == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            let start = std::mem::take(self.buffer(source));
            if start.is_empty() {
                self.stream_line(source, part);
            } else {
                self.stream_line(source, &[&start, part].concat());
            }
        }
        let buffer = self.buffer(source);
        let room = LOG_LINE_BYTES_MAX.saturating_sub(buffer.len());
        buffer.extend_from_slice(&last[..last.len().min(room)]);
    }

    fn buffer(&mut self, source: LogSource) -> &mut Vec<u8> {
        if source == LogSource::Stderr {
            &mut self.stderr
        } else {
            &mut self.stdout
        }
    }

    fn stream_line(&mut self, source: LogSource, line: &[u8]) {
        let level = if source == LogSource::Stderr {
            LogLevel::Warn
        } else {
            LogLevel::Info
        };
        // A line too many is only counted: no work on behalf of a flood.
        if self.lines_left == 0 || self.bytes_left == 0 {
            self.dropped += 1;
        } else {
            let line = &line[..line.len().min(LOG_LINE_BYTES_MAX)];
            self.write(
                level,
                source,
                WHOLE_CALL,
                String::from_utf8_lossy(line).trim_end(),
            );
        }
    }

    fn write(&mut self, level: LogLevel, source: LogSource, record: u32, message: &str) {
        if level > self.max_level {
            return;
        }
        if self.lines_left == 0 || self.bytes_left == 0 {
            self.dropped += 1;
            return;
        }
        let message = text::cut(message, LOG_LINE_BYTES_MAX.min(self.bytes_left));
        self.lines_left -= 1;
        self.bytes_left -= message.len();
        let record = self.call.as_ref().and_then(|(_, facts, records)| {
            ((record as usize) < *records)
                .then(|| (facts.ordinal(record), facts.sequence_number(record)))
        });
        self.deliver(level, source, record, &text::clean(message));
    }

    /// Writes a line of the host's own, beyond what the call may write; the caller bounds how many.
    pub(crate) fn say(&self, level: LogLevel, message: &str) {
        if level <= self.max_level {
            self.deliver(level, LogSource::Host, None, message);
        }
    }

    fn deliver(
        &self,
        level: LogLevel,
        source: LogSource,
        record: Option<(Ordinal, String)>,
        message: &str,
    ) {
        let context = self.call.as_ref().map(|(context, ..)| &**context);
        self.sink.write(&LogEntry {
            level,
            source,
            function: &self.function,
            context,
            ordinal: record.as_ref().map(|(ordinal, _)| *ordinal),
            sequence_number: record.as_ref().map(|(_, number)| number.as_str()),
            message,
        });
    }

    fn panicking(&mut self, record: u32, message: &str) {
        let records = self.call.as_ref().map_or(0, |(.., records)| *records);
        let message = text::clean(text::cut(message, STDERR_TAIL_BYTES_MAX)).into_owned();
        self.write(LogLevel::Error, LogSource::Panic, record, &message);
        self.panic = Some(PanicReport {
            record: ((record as usize) < records).then_some(record),
            message,
        });
    }
}

impl From<GuestLevel> for LogLevel {
    fn from(level: GuestLevel) -> Self {
        match level {
            GuestLevel::Error => Self::Error,
            GuestLevel::Warn => Self::Warn,
            GuestLevel::Info => Self::Info,
            GuestLevel::Debug => Self::Debug,
            GuestLevel::Trace => Self::Trace,
        }
    }
}

impl From<LogLevel> for GuestLevel {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}

/// Offers `log`.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> Result<()> {
    let mut log = linker.instance(LOG)?;
    log.func_wrap(
        "write",
        |store: StoreContextMut<'_, HostState>, (level, record, message): WriteArguments| {
            let mut log = store.data().log();
            if log.lines_left == 0 || LogLevel::from(level) > log.max_level {
                log.dropped += u64::from(log.lines_left == 0);
                return Ok(());
            }
            // Where it lies in the guest: not one byte of a flood is copied.
            let message = message.to_str(&store)?;
            log.write(level.into(), LogSource::Log, record, &message);
            Ok(())
        },
    )?;
    log.func_wrap(
        "max-level",
        |store: StoreContextMut<'_, HostState>, (): ()| {
            Ok((GuestLevel::from(store.data().log().max_level),))
        },
    )?;
    log.func_wrap(
        "panicking",
        |store: StoreContextMut<'_, HostState>, (record, message): (u32, WasmStr)| {
            let message = message.to_str(&store)?;
            store.data().log().panicking(record, &message);
            Ok(())
        },
    )
}

#[cfg(test)]
mod tests;

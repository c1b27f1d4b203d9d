//! What functions wrote, kept in memory: a bounded ring per function.
//!
//! Lines are lost when the ring is full, when a function writes more than its allowance, or when the
//! server stops; whoever follows is told how many it missed. Records never appear here unless a function writes them.

mod allowance;
pub(crate) mod sink;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use fnctl_core::id::{FunctionName, FunctionVersion, ShardNumber, Timestamp};
use tokio::sync::watch;

use self::allowance::Allowance;
use crate::{
    limits,
    metrics::{FunctionMetrics, Metrics},
};

/// One line of a function.
#[derive(Clone, Debug)]
pub(crate) struct LogLine {
    /// When it was written.
    pub(crate) time: Timestamp,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub(crate) level: &'static str,
    /// The version that wrote it.
    pub(crate) version: FunctionVersion,
    /// `<function>/<stream>`; empty for an invocation by hand.
    pub(crate) mapping: Arc<str>,
    /// The shard; `None` for an invocation by hand.
    pub(crate) shard: Option<ShardNumber>,
    /// The record in hand, as the source spells it.
    pub(crate) sequence_number: Option<Arc<str>>,
    /// `log`, `stdout`, `stderr` or `panic`.
    pub(crate) source: &'static str,
    /// What it says.
    pub(crate) message: Arc<str>,
}

impl LogLine {
    fn byte_len(&self) -> usize {
        self.message.len() + 128
    }
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// Number of the line at the front; the first ever is 0.
    first: u64,
    allowance: Allowance,
}

impl Ring {
    fn next(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    fn keep(&mut self, line: LogLine) {
        self.bytes += line.byte_len();
        self.lines.push_back(line);
        while self.lines.len() > limits::LOG_LINES_MAX || self.bytes > limits::LOG_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else {
                break;
            };
            self.bytes -= oldest.byte_len();
            self.first += 1;
        }
    }

    /// Says once how many lines a flood cost, when it is over.
    fn tell_dropped(&mut self, now: Timestamp) {
        if let Some(count) = self.allowance.dropped(now) {
            self.keep(LogLine {
                time: now,
                level: "warn",
                version: FunctionVersion::default(),
                mapping: "".into(),
                shard: None,
                sequence_number: None,
                source: "log",
                message: format!(
                    "{count} lines dropped: above {} lines or {} KiB a second",
                    limits::LOG_LINES_A_SECOND,
                    limits::LOG_BYTES_A_SECOND >> 10
                )
                .into(),
            });
        }
    }
}

/// The lines of one function.
#[derive(Debug)]
pub(crate) struct FunctionLog {
    ring: Mutex<Ring>,
    next: watch::Sender<u64>,
    metrics: Arc<FunctionMetrics>,
}

/// Lines read from a [`FunctionLog`].
#[derive(Debug)]
pub(crate) struct LogRead {
    /// The lines, oldest first.
    pub(crate) lines: Vec<LogLine>,
    /// Where to go on.
    pub(crate) next: u64,
    /// Lines that were asked for and are gone.
    pub(crate) missed: u64,
}

impl FunctionLog {
    /// An empty log of a function, which counts its losses there.
    pub(crate) fn new(metrics: Arc<FunctionMetrics>) -> Self {
        Self {
            ring: Mutex::default(),
            next: watch::Sender::new(0),
            metrics,
        }
    }

    /// Keeps a line, if the function has not written too much of late; the oldest make room.
    pub(crate) fn push(&self, line: LogLine) {
        let next = {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            ring.tell_dropped(line.time);
            if !ring.allowance.take(line.byte_len(), line.time) {
                self.metrics.log_lines_dropped.inc();
                return;
            }
            ring.keep(line);
            ring.next()
        };
        self.next.send_replace(next);
    }

    /// Counts lines that a call wrote beyond its own limit; the call says so in a line.
    pub(crate) fn dropped_by_call(&self, lines: u64) {
        self.metrics.log_lines_dropped.inc_by(lines);
    }

    /// Whether lines were dropped of late, and no line says so yet.
    #[must_use]
    pub(crate) fn has_dropped(&self) -> bool {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.allowance.has_dropped()
    }

    /// Lines from number `from` on, at most `max`. A flood that is over is told in one more line.
    #[must_use]
    pub(crate) fn read(&self, from: u64, max: usize, now: Timestamp) -> LogRead {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.tell_dropped(now);
        let start = from.max(ring.first);
        let skip = usize::try_from(start - ring.first).unwrap_or(usize::MAX);
        let lines: Vec<LogLine> = ring.lines.iter().skip(skip).take(max).cloned().collect();
        LogRead {
            next: start.min(ring.next()) + lines.len() as u64,
            missed: start - from,
            lines,
        }
    }

    /// Number of the first line at or after `since`, keeping at most the `tail` last ones.
    #[must_use]
    pub(crate) fn start(&self, since: Option<Timestamp>, tail: Option<usize>) -> u64 {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let by_time = since.map_or(0, |since| {
            ring.lines
                .iter()
                .take_while(|line| line.time < since)
                .count()
        });
        let by_count = tail.map_or(0, |tail| ring.lines.len().saturating_sub(tail));
        ring.first + by_time.max(by_count) as u64
    }

    /// Wakes when lines are added; the value is the number of the next line.
    #[must_use]
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }
}

/// The logs of all functions, by name.
#[derive(Debug)]
pub(crate) struct FunctionLogs {
    logs: Mutex<HashMap<FunctionName, Arc<FunctionLog>>>,
    metrics: Arc<Metrics>,
}

impl FunctionLogs {
    /// No logs yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            logs: Mutex::default(),
            metrics,
        }
    }

    /// The log of a function, made when first asked for.
    pub(crate) fn of(&self, function: &FunctionName) -> Arc<FunctionLog> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs.entry(function.clone());
        let made = log.or_insert_with(|| {
            let metrics = self.metrics.function(function);
            Arc::new(FunctionLog::new(metrics))
        });
        Arc::clone(made)
    }

    /// Forgets functions that are gone.
    pub(crate) fn retain(&self, is_kept: impl Fn(&FunctionName) -> bool) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.retain(|name, _| is_kept(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn log() -> FunctionLog {
        let name = FunctionName::parse("f").expect("a name");
        FunctionLog::new(Metrics::default().function(&name))
    }

    fn line(time: u64, message: &str) -> LogLine {
        LogLine {
            time: Timestamp(time),
            level: "info",
            version: FunctionVersion(1),
            mapping: "f/s".into(),
            shard: Some(ShardNumber(0)),
            sequence_number: None,
            source: "log",
            message: message.into(),
        }
    }

    fn words(read: &LogRead) -> Vec<&str> {
        read.lines.iter().map(|line| &*line.message).collect()
    }

    #[test]
    fn lines_are_read_in_order_and_from_a_place() {
        let log = log();
        for (time, word) in [(1, "a"), (2, "b"), (3, "c")] {
            log.push(line(time, word));
        }
        let read = log.read(0, 2, NOW);
        assert_eq!(words(&read), ["a", "b"]);
        assert_eq!(words(&log.read(read.next, 10, NOW)), ["c"]);
        assert_eq!(log.read(3, 10, NOW).next, 3);
        assert_eq!(log.start(Some(Timestamp(2)), None), 1);
        assert_eq!(log.start(None, Some(1)), 2);
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_says_how_many_were_missed() {
        let log = log();
        let big = "x".repeat(limits::LOG_BYTES_MAX / 4);
        for time in 0..8 {
            log.push(line(time * 1_000, &big));
        }
        let read = log.read(0, 100, Timestamp(7_000));
        assert_eq!(read.missed + read.lines.len() as u64, 8);
        assert!(read.missed > 0 && !read.lines.is_empty());
    }

    #[test]
    fn a_flood_is_cut_counted_and_told_once() {
        let log = log();
        let written = 2 * limits::LOG_LINES_SAVED_MAX;
        for _ in 0..written {
            log.push(line(1, "x"));
        }
        let lost = written - limits::LOG_LINES_SAVED_MAX;
        let kept = log.read(0, limits::LOG_LINES_MAX, Timestamp(1));
        assert_eq!(kept.lines.len() as u64, limits::LOG_LINES_SAVED_MAX);
        assert_eq!(log.metrics.log_lines_dropped.get(), lost);
        assert!(log.has_dropped());
        // Over: told to whoever reads next, before the next line and only once.
        let rest = log.read(kept.next, 10, Timestamp(1_001));
        let told = format!("{lost} lines dropped: above 2000 lines or 512 KiB a second");
        assert_eq!(words(&rest), [told]);
        log.push(line(1_002, "y"));
        assert_eq!(words(&log.read(rest.next, 10, Timestamp(1_003))), ["y"]);
        assert!(!log.has_dropped());
    }

    #[test]
    fn a_follower_is_woken() {
        let log = log();
        let watch = log.watch();
        assert!(!watch.has_changed().expect("the log lives"));
        log.push(line(1, "a"));
        assert!(watch.has_changed().expect("the log lives"));
    }
}

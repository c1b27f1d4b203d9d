//! What functions wrote, kept in memory: a bounded ring per function.
//!
//! Lines are lost when the ring is full or the server stops; whoever follows is told how many it
//! missed. Records never appear here unless a function writes them.

pub(crate) mod sink;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use fnctl_core::id::{FunctionName, FunctionVersion, ShardNumber, Timestamp};
use tokio::sync::watch;

use crate::limits;

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
}

/// The lines of one function.
#[derive(Debug)]
pub(crate) struct FunctionLog {
    ring: Mutex<Ring>,
    next: watch::Sender<u64>,
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

impl Default for FunctionLog {
    fn default() -> Self {
        Self {
            ring: Mutex::default(),
            next: watch::Sender::new(0),
        }
    }
}

impl FunctionLog {
    /// Keeps a line; the oldest make room.
    pub(crate) fn push(&self, line: LogLine) {
        let next = {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            ring.bytes += line.byte_len();
            ring.lines.push_back(line);
            while ring.lines.len() > limits::LOG_LINES_MAX || ring.bytes > limits::LOG_BYTES_MAX {
                let Some(oldest) = ring.lines.pop_front() else {
                    break;
                };
                ring.bytes -= oldest.byte_len();
                ring.first += 1;
            }
            ring.first + ring.lines.len() as u64
        };
        self.next.send_replace(next);
    }

    /// Lines from number `from` on, at most `max`.
    #[must_use]
    pub(crate) fn read(&self, from: u64, max: usize) -> LogRead {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let start = from.max(ring.first);
        let skip = usize::try_from(start - ring.first).unwrap_or(usize::MAX);
        let lines: Vec<LogLine> = ring.lines.iter().skip(skip).take(max).cloned().collect();
        LogRead {
            next: start.min(ring.first + ring.lines.len() as u64) + lines.len() as u64,
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
#[derive(Debug, Default)]
pub(crate) struct FunctionLogs {
    logs: Mutex<HashMap<FunctionName, Arc<FunctionLog>>>,
}

impl FunctionLogs {
    /// The log of a function, made when first asked for.
    pub(crate) fn of(&self, function: &FunctionName) -> Arc<FunctionLog> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(logs.entry(function.clone()).or_default())
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
        let log = FunctionLog::default();
        for (time, word) in [(1, "a"), (2, "b"), (3, "c")] {
            log.push(line(time, word));
        }
        let read = log.read(0, 2);
        assert_eq!(words(&read), ["a", "b"]);
        assert_eq!(words(&log.read(read.next, 10)), ["c"]);
        assert_eq!(log.read(3, 10).next, 3);
        assert_eq!(log.start(Some(Timestamp(2)), None), 1);
        assert_eq!(log.start(None, Some(1)), 2);
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_says_how_many_were_missed() {
        let log = FunctionLog::default();
        let big = "x".repeat(limits::LOG_BYTES_MAX / 4);
        for time in 0..8 {
            log.push(line(time, &big));
        }
        let read = log.read(0, 100);
        assert_eq!(read.missed + read.lines.len() as u64, 8);
        assert!(read.missed > 0 && !read.lines.is_empty());
    }

    #[test]
    fn a_follower_is_woken() {
        let log = FunctionLog::default();
        let watch = log.watch();
        assert!(!watch.has_changed().expect("the log lives"));
        log.push(line(1, "a"));
        assert!(watch.has_changed().expect("the log lives"));
    }
}

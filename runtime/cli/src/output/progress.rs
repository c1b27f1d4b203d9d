//! How far a long command is, on stderr, where a person watches.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use super::{Output, words};

/// The line is written anew this often at most.
const INTERVAL: Duration = Duration::from_millis(100);

/// A line that is written over until it is done.
pub(crate) struct Progress {
    label: &'static str,
    total: Option<u64>,
    done: u64,
    /// `None`: nobody watches.
    shown_at: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    /// Of so many bytes, if that is known; shown on a terminal alone.
    pub(crate) fn new(out: &Output, label: &'static str, total: Option<u64>) -> Self {
        let is_watched = !out.is_json() && io::stderr().is_terminal();
        Self {
            label,
            total,
            done: 0,
            shown_at: is_watched.then(Instant::now),
            is_shown: false,
        }
    }

    /// So many bytes more.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        let Some(shown_at) = self.shown_at.as_mut() else {
            return;
        };
        if shown_at.elapsed() < INTERVAL {
            return;
        }
        *shown_at = Instant::now();
        self.is_shown = true;
        let done = words::size(self.done);
        let line = match self.total.filter(|total| *total > 0) {
            Some(total) => {
                let percent = self.done.saturating_mul(100) / total;
                format!(
                    "{}  {done} of {}  {percent} %",
                    self.label,
                    words::size(total)
                )
            }
            None => format!("{}  {done}", self.label),
        };
        // Nobody is left to be told when stderr is closed.
        let _gone = write!(io::stderr().lock(), "\r\x1b[K{line}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _gone = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

//! Reads everything at rest, again and again and slowly, so that rot is found while a copy is still to be
//! had: segments, journal, snapshots, components. What it finds is named and counted, never mended here:
//! readers of the damaged records are refused as ever, the rest is served on, and where image and
//! snapshot stand in for the journal new ones are asked for (commit and storage rules §5 and §6).
//!
//! Of the image a copy is opened, with its engine's checks and ours: it is made anew from what is in memory
//! when it fails them.

mod found;
mod image;
mod look;
mod pass;

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fnctl_core::id::{Lsn, StreamId, Timestamp};

use self::found::Findings;
pub use self::found::{ScrubFinding, ScrubKind};
pub(crate) use self::look::{Damage, MetBy, damaged_file, damaged_journal_file, missing_records};
use crate::{
    limits::{SCRUB_BYTES_PER_SECOND, SCRUB_FIRST_AFTER, SCRUB_PERIOD, SCRUB_READ_BYTES},
    shared::Shared,
    store::Store,
};

/// How fast and how often everything at rest is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubOptions {
    /// Bytes a second, at most.
    pub bytes_per_second: u64,
    /// From the start of one pass to the start of the next; a pass that takes longer is followed at once.
    pub period: Duration,
}

impl Default for ScrubOptions {
    fn default() -> Self {
        Self {
            bytes_per_second: SCRUB_BYTES_PER_SECOND,
            period: SCRUB_PERIOD,
        }
    }
}

/// What the scrub has done, and whether it may go on.
#[derive(Debug, Default)]
pub(crate) struct Scrub {
    is_stopped: Mutex<bool>,
    stop: Condvar,
    bytes: AtomicU64,
    passes: AtomicU64,
    /// Wall clock at the end of the last complete pass, ms; 0 before the first.
    ended: AtomicU64,
    /// How often a pass is begun, ms; 0: nobody does.
    period: AtomicU64,
    findings: Mutex<Findings>,
    /// Held while the image is changed or copied; what it holds everything below of, once that was written
    /// in this life.
    image: Mutex<Option<Lsn>>,
    is_image_damaged: AtomicBool,
    /// Journal, snapshots or image are damaged: the applier makes image and snapshot anew.
    wants_snapshot: AtomicBool,
}

/// Figures of the scrub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubStats {
    /// Bytes read since the start.
    pub bytes: u64,
    /// Complete passes since the start.
    pub passes: u64,
    /// When the last one ended.
    pub ended: Option<Timestamp>,
    /// How often one is begun; `None`: none is.
    pub period: Option<Duration>,
    /// Damaged places found since the start, by whoever met them, by [`ScrubKind::ALL`]; one that is found again is not
    /// counted again.
    pub errors: [u64; ScrubKind::ALL.len()],
    /// Damaged places that are there now.
    pub damaged: u64,
}

impl Scrub {
    /// Stops a pass at its next piece.
    pub(crate) fn stop(&self) {
        *self.lock() = true;
        self.stop.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_stopped
            .lock()
            .expect("nothing panics under this lock")
    }

    fn findings(&self) -> std::sync::MutexGuard<'_, Findings> {
        self.findings
            .lock()
            .expect("nothing panics under this lock")
    }

    /// Waits; answers whether to go on.
    fn pause(&self, wait: Duration) -> bool {
        let stopped = self
            .stop
            .wait_timeout_while(self.lock(), wait, |is_stopped| !*is_stopped);
        let (is_stopped, _) = stopped.expect("nothing panics under this lock");
        !*is_stopped
    }

    /// Keeps the image as it is while this is held.
    pub(crate) fn hold_image(&self) -> std::sync::MutexGuard<'_, Option<Lsn>> {
        self.image.lock().expect("nothing panics under this lock")
    }

    /// Whether the image is to be thrown away in front of that; asked once.
    pub(crate) fn takes_image(&self) -> bool {
        self.is_image_damaged.swap(false, Ordering::Relaxed)
    }

    /// Whether image and snapshot are to be made anew; asked once.
    pub(crate) fn takes_wish(&self) -> bool {
        self.wants_snapshot.load(Ordering::Relaxed)
            && self.wants_snapshot.swap(false, Ordering::Relaxed)
    }

    fn stats(&self) -> ScrubStats {
        let findings = self.findings();
        let ended = self.ended.load(Ordering::Relaxed);
        let period = self.period.load(Ordering::Relaxed);
        ScrubStats {
            bytes: self.bytes.load(Ordering::Relaxed),
            passes: self.passes.load(Ordering::Relaxed),
            ended: (ended > 0).then_some(Timestamp(ended)),
            period: (period > 0).then_some(Duration::from_millis(period)),
            errors: findings.counted(),
            damaged: findings.len() as u64,
        }
    }
}

/// Spreads reads over time.
struct Pace<'a> {
    scrub: &'a Scrub,
    bytes_per_second: u64,
    owed: u64,
}

impl Pace<'_> {
    /// Counts bytes and waits for them; answers whether to go on.
    fn pass(&mut self, bytes: u64) -> bool {
        self.scrub.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.owed += bytes;
        if self.owed < SCRUB_READ_BYTES as u64 {
            return true;
        }
        let us = self.owed.saturating_mul(1_000_000) / self.bytes_per_second.max(1);
        self.owed = 0;
        self.scrub.pause(Duration::from_micros(us))
    }
}

/// Scrubs: runs on a thread of its own.
pub struct ScrubLoop {
    shared: Arc<Shared>,
    options: ScrubOptions,
}

impl ScrubLoop {
    /// Runs until the store is shut down or stops; ends within a moment of it, whatever it reads.
    pub fn run(self) {
        let mut wait = self.options.period.min(SCRUB_FIRST_AFTER);
        while self.shared.scrub.pause(wait) {
            let started = self.shared.clocks.boot_ms();
            if !self.pass() {
                return;
            }
            let took = self.shared.clocks.boot_ms().saturating_sub(started);
            wait = self
                .options
                .period
                .saturating_sub(Duration::from_millis(took));
        }
    }

    fn pace(&self) -> Pace<'_> {
        Pace {
            scrub: &self.shared.scrub,
            bytes_per_second: self.options.bytes_per_second,
            owed: 0,
        }
    }
}

impl Store {
    /// A loop that reads everything at rest, to be run on a thread of its own.
    #[must_use]
    pub fn scrub(&self, options: ScrubOptions) -> ScrubLoop {
        let period = u64::try_from(options.period.as_millis()).unwrap_or(u64::MAX);
        self.shared.scrub.period.store(period, Ordering::Relaxed);
        ScrubLoop {
            shared: Arc::clone(&self.shared),
            options,
        }
    }

    /// What the scrub has done since the start.
    #[must_use]
    pub fn scrub_stats(&self) -> ScrubStats {
        self.shared.scrub.stats()
    }

    /// Damaged places of a stream's logs that are known: a pass, the start or a reader met them.
    #[must_use]
    pub fn damaged(&self, stream: StreamId) -> Vec<ScrubFinding> {
        self.shared.scrub.findings().of(stream)
    }
}

#[cfg(test)]
mod tests;

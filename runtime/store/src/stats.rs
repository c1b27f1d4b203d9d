//! What the store says about itself: figures for metrics, which decide nothing.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fnctl_core::{admission::InFlight, id::Lsn};

use crate::{limits::SYNC_SAMPLES, space::Room};

/// Figures of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStats {
    /// Frames written since the start.
    pub frames: u64,
    /// Bytes of journal written since the start.
    pub journal_bytes: u64,
    /// Time of all writes and syncs since the start.
    pub sync_time: Duration,
    /// The newest frames' times of write and sync.
    pub sync_samples: Vec<Duration>,
    /// Bytes of segments written since the start.
    pub segment_bytes: u64,
    /// Cuts made since the start.
    pub cuts: u64,
    /// Bytes accepted and not yet in segments.
    pub unapplied_bytes: u64,
    /// Records held in memory, bytes.
    pub tail_bytes: u64,
    /// Puts under way.
    pub puts_in_flight: InFlight,
    /// Puts that were refused since the start.
    pub puts_refused: PutsRefused,
    /// LSN after the last visible entry.
    pub next: Lsn,
    /// LSN after the last entry that the image holds.
    pub cut: Lsn,
    /// How long ago the last cut was, ms; 0 while the image holds everything, or none was made since the
    /// start.
    pub image_age_ms: u64,
    /// How long ago the newest snapshot was written, ms; `None`: none was since the start.
    pub snapshot_age_ms: Option<u64>,
    /// Free bytes as the store counts them.
    pub free_bytes: u64,
    /// Bytes kept back for what frees space.
    pub reserve_bytes: u64,
    /// What there is room for.
    pub room: Room,
    /// How far the wall clock is ahead of the time that arrivals are given, ms; below 0: behind it. 0 but
    /// after it was set by somebody.
    pub wall_ahead_ms: i64,
    /// Unclean stops in front of this start, none of them ten minutes after the one before.
    pub unclean_stops: u32,
    /// Whether first batches and retries are called record by record after them.
    pub is_careful: bool,
}

/// Puts that were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutsRefused {
    /// Too many were under way.
    pub busy_node: u64,
    /// Too many of their stream were.
    pub busy_stream: u64,
    /// Their stream was at its quota.
    pub stream_full: u64,
    /// The disk was at its reserve.
    pub disk_full: u64,
}

/// Counts what the loops do.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames: AtomicU64,
    pub(crate) journal_bytes: AtomicU64,
    pub(crate) segment_bytes: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) cut: AtomicU64,
    /// Boot-time clock at the last cut and the newest snapshot, ms; 0: none since the start.
    pub(crate) cut_at: AtomicU64,
    pub(crate) snapshot_at: AtomicU64,
    sync_us: AtomicU64,
    samples: Mutex<VecDeque<Duration>>,
}

impl Counters {
    /// Counts a frame that was written and synced.
    pub(crate) fn synced(&self, took: Duration, bytes: u64) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sync_us.fetch_add(us, Ordering::Relaxed);
        let mut samples = self.samples.lock().expect("nothing panics under this lock");
        if samples.len() == SYNC_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(took);
    }

    pub(crate) fn sync_time(&self) -> Duration {
        Duration::from_micros(self.sync_us.load(Ordering::Relaxed))
    }

    pub(crate) fn samples(&self) -> Vec<Duration> {
        let samples = self.samples.lock().expect("nothing panics under this lock");
        samples.iter().copied().collect()
    }
}

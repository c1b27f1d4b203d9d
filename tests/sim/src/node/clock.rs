//! The clocks of the machine: a wall clock that anybody may set, and a boot clock that nobody can.

use std::sync::atomic::{AtomicU64, Ordering};

use fnctl_core::{clock::Clock, id::Timestamp};

/// A clock that moves when told.
#[derive(Debug)]
pub(super) struct SimClock {
    wall: AtomicU64,
    boot: AtomicU64,
    /// Boot milliseconds pass this many times as fast as the oracle believes: 1, or a weakness.
    haste: u64,
}

impl SimClock {
    pub(super) const fn new(haste: u64) -> Self {
        Self {
            wall: AtomicU64::new(1_700_000_000_000),
            boot: AtomicU64::new(1_000),
            haste,
        }
    }

    /// Time passes.
    pub(super) fn advance(&self, ms: u64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
        self.boot.fetch_add(ms * self.haste, Ordering::Relaxed);
    }

    /// Somebody sets the wall clock.
    pub(super) fn jump(&self, ms: i64) {
        let wall = self.wall.load(Ordering::Relaxed);
        self.wall
            .store(wall.saturating_add_signed(ms), Ordering::Relaxed);
    }

    /// The machine starts again: its boot clock begins anew.
    pub(super) fn reboot(&self, ms: u64) {
        self.boot.store(ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::Relaxed))
    }

    fn boot_ms(&self) -> u64 {
        self.boot.load(Ordering::Relaxed)
    }
}

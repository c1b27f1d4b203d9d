//! The guest's clocks: those of the machine, to the millisecond.
//!
//! A finer one is the tool of whoever measures what his neighbours leave in the caches; for time limits and
//! timestamps a millisecond is enough.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

use crate::limits::CLOCK_RESOLUTION;

/// Time of day.
pub(super) struct CoarseWallClock;

impl HostWallClock for CoarseWallClock {
    fn resolution(&self) -> Duration {
        CLOCK_RESOLUTION
    }

    fn now(&self) -> Duration {
        // A machine whose clock was never set may think it is before 1970.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        coarse(now.unwrap_or_default())
    }
}

/// Time since the store was made.
pub(super) struct CoarseMonotonicClock(pub(super) Instant);

impl HostMonotonicClock for CoarseMonotonicClock {
    fn resolution(&self) -> u64 {
        nanoseconds(CLOCK_RESOLUTION)
    }

    fn now(&self) -> u64 {
        nanoseconds(coarse(self.0.elapsed()))
    }
}

/// Both clocks of an instance that sees the same each time: a reading of either moves both on by one step.
#[derive(Clone)]
pub(super) struct FixedClock {
    start_ms: u64,
    steps: Arc<AtomicU64>,
}

impl FixedClock {
    /// Standing at a moment, ms since 1970.
    pub(super) fn at(start_ms: u64) -> Self {
        Self {
            start_ms,
            steps: Arc::default(),
        }
    }

    fn step(&self) -> Duration {
        let steps = self.steps.fetch_add(1, Ordering::Relaxed);
        CLOCK_RESOLUTION.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
    }
}

impl HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        CLOCK_RESOLUTION
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.start_ms).saturating_add(self.step())
    }
}

impl HostMonotonicClock for FixedClock {
    fn resolution(&self) -> u64 {
        nanoseconds(CLOCK_RESOLUTION)
    }

    fn now(&self) -> u64 {
        nanoseconds(self.step())
    }
}

/// Cut to whole steps of the resolution.
fn coarse(time: Duration) -> Duration {
    let step = nanoseconds(CLOCK_RESOLUTION);
    Duration::from_nanos(nanoseconds(time) / step * step)
}

/// Enough for 584 years.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_goes_by_its_readings_alone() {
        let clock = FixedClock::at(1_700_000_000_123);
        let wall = || HostWallClock::now(&clock).as_millis();
        let first = wall();
        let waited = HostMonotonicClock::now(&clock);
        assert_eq!(
            (first, waited, wall()),
            (1_700_000_000_123, 1_000_000, 1_700_000_000_125)
        );
    }

    #[test]
    fn clocks_go_in_whole_milliseconds() {
        assert_eq!(
            coarse(Duration::new(1_700_000_000, 123_999_999)),
            Duration::new(1_700_000_000, 123_000_000)
        );
        let start = CoarseMonotonicClock(Instant::now());
        assert_eq!(
            (start.resolution(), start.now() % 1_000_000),
            (1_000_000, 0)
        );
        let today = CoarseWallClock.now();
        assert!(today.subsec_nanos().is_multiple_of(1_000_000) && today.as_secs() > 1_700_000_000);
    }
}

//! The system's clocks: the only place of the project that reads them.

use std::time::{SystemTime, UNIX_EPOCH};

use fnctl_core::{clock::Clock, id::Timestamp};
use fnctl_store::ArrivalClock;
use rustix::time::{ClockId, clock_gettime};

/// The wall clock, and the boot-time clock (monotonic, suspend counted).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock in front of 1970 is told as 1970: arrival times never decrease anyway.
        Timestamp(since_epoch.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }

    fn boot_ms(&self) -> u64 {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        seconds * 1_000 + nanos / 1_000_000
    }
}

/// A worker's clock: the wall clock, and where the age of records is bounded the one that they arrived
/// by, so that a leap of the wall clock makes none of them old.
#[derive(Clone)]
pub(crate) enum WorkerClock {
    /// The wall clock.
    Wall(SystemClock),
    /// The store's.
    Arrivals(ArrivalClock),
}

impl Clock for WorkerClock {
    fn now(&self) -> Timestamp {
        match self {
            Self::Wall(clock) => clock.now(),
            Self::Arrivals(clock) => clock.now(),
        }
    }

    fn boot_ms(&self) -> u64 {
        match self {
            Self::Wall(clock) => clock.boot_ms(),
            Self::Arrivals(clock) => clock.boot_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_tell_plausible_times() {
        let clock = SystemClock;
        assert!(clock.now() > Timestamp(1_700_000_000_000));
        let first = clock.boot_ms();
        assert!(clock.boot_ms() >= first);
    }
}

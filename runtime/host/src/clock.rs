//! The system's clocks: the only place of the project that reads them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fnctl_core::{clock::Clock, id::Timestamp};
use fnctl_store::ArrivalClock;
use rustix::time::{ClockId, clock_gettime};

/// The wall clock, and the boot-time clock (monotonic, suspend counted).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The wall clock since 1970.
    fn exactly() -> Duration {
        // A clock in front of 1970 is told as 1970: arrival times never decrease anyway.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        since_epoch.unwrap_or_default()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(Self::exactly().as_millis()).unwrap_or(u64::MAX))
    }

    fn boot_ms(&self) -> u64 {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        seconds * 1_000 + nanos / 1_000_000
    }

    fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.0).saturating_sub(Self::exactly())
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

    fn until(&self, at: Timestamp) -> Duration {
        match self {
            Self::Wall(clock) => clock.until(at),
            Self::Arrivals(clock) => clock.until(at),
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

    #[test]
    fn a_wait_for_a_moment_ends_there_and_not_a_part_of_a_millisecond_behind_it() {
        let clock = SystemClock;
        assert_eq!(clock.until(clock.now()), Duration::ZERO);
        let at = clock.now().plus_ms(1_000_000);
        let left = || Duration::from_millis(at.0).saturating_sub(SystemClock::exactly());
        let before = left();
        let told = clock.until(at);
        assert!((left()..=before).contains(&told), "{told:?} of {before:?}");
    }
}

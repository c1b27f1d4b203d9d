//! The two times the store lives by: arrival, which never steps back and distrusts a leap, and the
//! retention clock, which no jump of the wall clock moves (commit and storage rules §7).

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fnctl_core::{clock::Clock, id::Timestamp, limits::CLOCK_APART_MS};

use crate::{
    journal::writer::FrameClocks,
    limits::{CLOCK_LEAP_HELD_MS, CLOCK_LEAP_MS, RETENTION_STOP_MS_MAX},
    shared::Shared,
};

/// Reads the clock for the sequencer.
pub(crate) struct Clocks {
    clock: Arc<dyn Clock>,
    // Retention = this plus the boot clock.
    retention_base: u64,
    state: Mutex<WallState>,
}

#[derive(Clone, Copy, Debug)]
struct WallState {
    last: Timestamp,
    last_boot: u64,
    // When a leap was first seen, by the boot clock.
    leap_since: Option<u64>,
    // It went back, and that was said.
    is_back: bool,
}

impl Clocks {
    /// Goes on from the clocks of the newest frame; from zero in a new journal.
    pub(crate) fn resume(clock: Arc<dyn Clock>, newest: Option<FrameClocks>) -> Self {
        let (wall, boot) = (clock.now(), clock.boot_ms());
        let retention = newest.map_or(0, |newest| {
            let stopped = wall.since_ms(newest.wall).min(RETENTION_STOP_MS_MAX);
            newest.retention_ms.saturating_add(stopped)
        });
        Self {
            clock,
            retention_base: retention.wrapping_sub(boot),
            state: Mutex::new(WallState {
                last: newest.map_or(wall, |newest| wall.max(newest.wall)),
                last_boot: boot,
                leap_since: None,
                is_back: false,
            }),
        }
    }

    /// The time for arrivals: the wall clock, but never backwards, and a step forward of more than an
    /// hour against the boot clock only once it has stood for ten minutes.
    pub(crate) fn now(&self) -> Timestamp {
        self.read().0
    }

    /// The time for arrivals, and the wall clock as it was read for it.
    fn read(&self) -> (Timestamp, Timestamp) {
        let (wall, boot) = (self.clock.now(), self.clock.boot_ms());
        let mut state = self.state.lock().expect("nothing panics under this lock");
        let expected = state.last.plus_ms(boot.saturating_sub(state.last_boot));
        let is_leap = wall > expected.plus_ms(CLOCK_LEAP_MS);
        let now = if is_leap {
            let since = *state.leap_since.get_or_insert_with(|| {
                tracing::warn!(
                    ahead_ms = wall.since_ms(expected),
                    "the wall clock leapt forward, arrivals follow the boot clock for ten minutes"
                );
                boot
            });
            if boot.saturating_sub(since) >= CLOCK_LEAP_HELD_MS {
                state.leap_since = None;
                wall
            } else {
                expected
            }
        } else {
            state.leap_since = None;
            let behind_ms = state.last.since_ms(wall);
            if behind_ms > CLOCK_APART_MS && !state.is_back {
                tracing::warn!(
                    behind_ms,
                    "the wall clock went back, arrivals keep the last time until it has caught up"
                );
                state.is_back = true;
            }
            state.is_back &= behind_ms > 0;
            wall.max(state.last)
        };
        state.last = now;
        state.last_boot = boot;
        (now, wall)
    }

    /// How long it is until arrivals show `at`, if the wall clock goes on as it does.
    fn until(&self, at: Timestamp) -> Duration {
        let (arrivals, wall) = self.read();
        self.clock.until(wall.plus_ms(at.since_ms(arrivals)))
    }

    /// How far the wall clock is ahead of the time for arrivals, ms: above 0 while a leap forward is
    /// distrusted, below 0 while arrivals stand still because it went back.
    pub(crate) fn wall_ahead_ms(&self) -> i64 {
        let (arrivals, wall) = self.read();
        wall.0.wrapping_sub(arrivals.0).cast_signed()
    }

    /// The retention clock, ms.
    pub(crate) fn retention_ms(&self) -> u64 {
        self.retention_base.wrapping_add(self.clock.boot_ms())
    }

    /// The boot clock, ms.
    pub(crate) fn boot_ms(&self) -> u64 {
        self.clock.boot_ms()
    }

    /// What a frame carries.
    pub(crate) fn frame(&self) -> FrameClocks {
        FrameClocks {
            retention_ms: self.retention_ms(),
            wall: self.clock.now(),
        }
    }
}

/// The clock that arrivals are written by, for whoever measures how old a record is: it never goes back
/// and distrusts a leap (commit and storage rules §7).
#[derive(Clone)]
pub struct ArrivalClock(Arc<Shared>);

impl ArrivalClock {
    pub(crate) const fn of(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl Clock for ArrivalClock {
    fn now(&self) -> Timestamp {
        self.0.clocks.now()
    }

    fn boot_ms(&self) -> u64 {
        self.0.clocks.boot_ms()
    }

    fn until(&self, at: Timestamp) -> Duration {
        self.0.clocks.until(at)
    }
}

#[cfg(test)]
mod tests;

//! The one way to learn the time; implemented by host, and by the simulator.

use std::time::Duration;

use crate::id::Timestamp;

/// Tells the time. Cheap: called once per event, never per record.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time. May jump either way.
    fn now(&self) -> Timestamp;

    /// Milliseconds of the boot-time clock: monotonic, suspend counted. Origin is arbitrary.
    fn boot_ms(&self) -> u64;

    /// How long it is until the wall clock shows `at`; nothing, if it does. Exact where the clock knows parts of a
    /// millisecond, so that all who wait for one moment wake together.
    fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.since_ms(self.now()))
    }
}

impl<C: Clock> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn boot_ms(&self) -> u64 {
        (**self).boot_ms()
    }

    fn until(&self, at: Timestamp) -> Duration {
        (**self).until(at)
    }
}

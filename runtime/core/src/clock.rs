//! The one way to learn the time; implemented by host, and by the simulator.

use crate::id::Timestamp;

/// Tells the time. Cheap: called once per event, never per record.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time. May jump either way.
    fn now(&self) -> Timestamp;

    /// Milliseconds of the boot-time clock: monotonic, suspend counted. Origin is arbitrary.
    fn boot_ms(&self) -> u64;
}

impl<C: Clock> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn boot_ms(&self) -> u64 {
        (**self).boot_ms()
    }
}

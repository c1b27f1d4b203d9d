//! Waits after faults of ours: doubling, bounded.

use std::time::Duration;

use crate::limits;

/// The wait after the next fault, where the last one was followed by `before`.
pub(crate) fn next(before: Option<Duration>) -> Duration {
    before.map_or(limits::FAULT_BACKOFF_INITIAL, |before| {
        (before * 2).min(limits::FAULT_BACKOFF_MAX)
    })
}

//! How a call is told to end, and why it did.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Shared by a call and whoever waits for it; raised when the waiter goes away.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    is_raised: AtomicBool,
    notify: Notify,
}

impl StopSignal {
    pub(crate) fn raise(&self) {
        self.is_raised.store(true, Ordering::Release);
        self.notify.notify_waiters();
        self.notify.notify_one();
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Acquire)
    }

    /// Resolves once raised.
    pub(crate) async fn raised(&self) {
        while !self.is_raised() {
            self.notify.notified().await;
        }
    }
}

/// Why the host ended a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stopped {
    /// The deadline passed.
    #[error("the call passed its deadline")]
    Deadline,
    /// Nobody waits for the answer any more.
    #[error("the call was taken back")]
    TakenBack,
}

/// A guest that was refused memory did not survive it while it was being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it asked for more than {limit_bytes} bytes of memory")]
pub(crate) struct MemoryRefused {
    /// What it may have.
    pub(crate) limit_bytes: u64,
}

/// Rows or failures above what a call may hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call's rows are above the limit of one call")]
pub(crate) struct OutputOverflow;

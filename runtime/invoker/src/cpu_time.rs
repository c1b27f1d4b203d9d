//! CPU time of a stretch of work on one thread: what lowering and lifting cost, and not how long the
//! thread was kept from them.

use rustix::time::{ClockId, clock_gettime};

/// A stretch of work under way on this thread. It must end where it began: nothing may be awaited
/// in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTimer(u64);

impl CpuTimer {
    /// Begins.
    pub(crate) fn start() -> Self {
        Self(thread_ns())
    }

    /// Time of this thread on a CPU since, ns.
    pub(crate) fn elapsed_ns(self) -> u64 {
        thread_ns().saturating_sub(self.0)
    }
}

fn thread_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

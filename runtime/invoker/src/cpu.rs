//! CPU time of a call: what its thread ran while the call was polled, and nothing of what it waited.

use std::{
    future::{Future, poll_fn},
    pin::pin,
};

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread so far, ns.
fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanos
}

/// What `future` comes to, and the CPU time that it took, ns, whichever threads polled it.
pub(crate) async fn measured<F: Future>(future: F) -> (F::Output, u64) {
    let mut future = pin!(future);
    let mut spent = 0;
    let output = poll_fn(|cx| {
        let before = thread_ns();
        let polled = future.as_mut().poll(cx);
        spent += thread_ns().saturating_sub(before);
        polled
    })
    .await;
    (output, spent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_counts_in_every_poll_that_it_takes() {
        let work = || (0..200_000_u64).fold(0, |sum: u64, n| std::hint::black_box(sum ^ n));
        let (_, once) = measured(async { work() }).await;
        let (_, twice) = measured(async {
            let first = work();
            tokio::task::yield_now().await;
            first ^ work()
        })
        .await;
        assert!(once > 0 && twice > 0, "{once} {twice}");
    }
}

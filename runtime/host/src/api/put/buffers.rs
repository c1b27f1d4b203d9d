//! What lines of all puts hold in memory before they are appended: a bound for the node, whoever sends.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use fnctl_core::admission::InFlight;

use crate::limits::{PUT_BUFFER_BYTES_OWN, PUT_BUFFERS_BYTES_MAX};

/// Bytes that puts hold, all together.
#[derive(Debug, Default)]
pub(crate) struct PutBuffers {
    held: AtomicU64,
    /// Of them, bytes that are in no append yet, and the puts that hold any.
    waiting: AtomicU64,
    puts: AtomicU64,
}

impl PutBuffers {
    /// Bytes held now.
    pub(crate) fn bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Lines that came and are in no append yet, and the puts that they are of.
    pub(crate) fn receiving(&self) -> InFlight {
        InFlight {
            bytes: self.waiting.load(Ordering::Relaxed),
            requests: self.puts.load(Ordering::Relaxed),
        }
    }
}

/// What one put holds of it, given back when it ends.
#[derive(Debug)]
pub(super) struct Share {
    all: Arc<PutBuffers>,
    held: u64,
    waiting: u64,
}

impl Share {
    pub(super) const fn new(all: Arc<PutBuffers>) -> Self {
        Self {
            all,
            held: 0,
            waiting: 0,
        }
    }

    /// The put holds so much now: in an append that is under way, and in lines that wait for one.
    pub(super) fn set(&mut self, under_way: usize, waiting: usize) {
        let (held, waiting) = ((under_way + waiting) as u64, waiting as u64);
        change(&self.all.held, self.held, held);
        change(&self.all.waiting, self.waiting, waiting);
        change(
            &self.all.puts,
            u64::from(self.waiting > 0),
            u64::from(waiting > 0),
        );
        (self.held, self.waiting) = (held, waiting);
    }

    /// Whether the put may read on: each may hold a little, so that small ones go on beside large ones.
    pub(super) fn may_grow(&self) -> bool {
        self.held < PUT_BUFFER_BYTES_OWN || self.all.bytes() < PUT_BUFFERS_BYTES_MAX
    }
}

/// Replaces one put's part of a sum.
fn change(sum: &AtomicU64, before: u64, now: u64) {
    if before != now {
        sum.fetch_add(now, Ordering::Relaxed);
        sum.fetch_sub(before, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_puts_wait_for_each_other_and_small_ones_for_nobody() {
        let all = Arc::new(PutBuffers::default());
        let own = usize::try_from(PUT_BUFFER_BYTES_OWN).unwrap();
        let max = usize::try_from(PUT_BUFFERS_BYTES_MAX).unwrap();
        let (mut large, mut small) = (Share::new(Arc::clone(&all)), Share::new(Arc::clone(&all)));
        large.set(max - 1, 0);
        assert!(large.may_grow());
        large.set(max, 0);
        assert!(!large.may_grow());
        small.set(0, own - 1);
        assert!(small.may_grow());
        small.set(1, own - 1);
        assert!(!small.may_grow());
        assert_eq!(all.bytes(), (own + max) as u64);
        let receiving = all.receiving();
        assert_eq!((receiving.bytes, receiving.requests), (own as u64 - 1, 1));
        drop(large);
        assert!(small.may_grow());
        drop(small);
        assert_eq!((all.bytes(), all.receiving()), (0, InFlight::default()));
    }
}

//! What lines of all puts hold in memory before they are appended: a bound for the node, whoever sends.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::limits::{PUT_BUFFER_BYTES_OWN, PUT_BUFFERS_BYTES_MAX};

/// Bytes that puts hold, all together.
#[derive(Debug, Default)]
pub(crate) struct PutBuffers(AtomicU64);

impl PutBuffers {
    /// Bytes held now.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one put holds of it, given back when it ends.
#[derive(Debug)]
pub(super) struct Share {
    all: Arc<PutBuffers>,
    held: u64,
}

impl Share {
    pub(super) const fn new(all: Arc<PutBuffers>) -> Self {
        Self { all, held: 0 }
    }

    /// The put holds so much now.
    pub(super) fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.all.0.fetch_add(bytes, Ordering::Relaxed);
        self.all.0.fetch_sub(self.held, Ordering::Relaxed);
        self.held = bytes;
    }

    /// Whether the put may read on: each may hold a little, so that small ones go on beside large ones.
    pub(super) fn may_grow(&self) -> bool {
        self.held < PUT_BUFFER_BYTES_OWN || self.all.bytes() < PUT_BUFFERS_BYTES_MAX
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
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
        large.set(max - 1);
        assert!(large.may_grow());
        large.set(max);
        assert!(!large.may_grow());
        small.set(own - 1);
        assert!(small.may_grow());
        small.set(own);
        assert!(!small.may_grow());
        assert_eq!(all.bytes(), (own + max) as u64);
        drop(large);
        assert!(small.may_grow());
        drop(small);
        assert_eq!(all.bytes(), 0);
    }
}

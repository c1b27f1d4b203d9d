//! A world that is the same each time: for reproducing a call.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use fnctl_core::id::Timestamp;
use sha2::{Digest, Sha256};

use crate::limits::FIXED_RANDOM_BYTES;

/// What guests are shown instead of the machine's clocks and random numbers, so that a call with the same
/// records comes out the same: each instance starts at the set moment, each reading of a clock moves it on by
/// one step of its resolution (a guest that waits for time to pass is not kept for ever), random bytes come
/// from the seed, and [`remaining-ms`](fnctl_core::invoker::Call) is what a call has when it begins. What a
/// guest may *take* is measured by the machine's clock all the same.
#[derive(Clone, Debug)]
pub struct FixedWorld {
    now_ms: Arc<AtomicU64>,
    seed: u64,
}

impl FixedWorld {
    /// With this seed; the clock stands at 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            now_ms: Arc::default(),
            seed,
        }
    }

    /// What instances that are made from now on take for the time of day at their start.
    pub fn set_now(&self, now: Timestamp) {
        self.now_ms.store(now.0, Ordering::Relaxed);
    }

    /// The moment set, ms since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// Random bytes for one purpose, the same each time; whoever needs more begins again.
    pub(crate) fn random(&self, purpose: u8) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_RANDOM_BYTES);
        let mut block = 0_u64;
        while bytes.len() < FIXED_RANDOM_BYTES {
            let mut hash = Sha256::new();
            hash.update(self.seed.to_le_bytes());
            hash.update([purpose]);
            hash.update(block.to_le_bytes());
            bytes.extend_from_slice(&hash.finalize());
            block += 1;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_depend_on_seed_and_purpose_alone() {
        let one = FixedWorld::new(1);
        assert_eq!(one.random(0), FixedWorld::new(1).random(0));
        assert_eq!(one.random(0).len(), FIXED_RANDOM_BYTES);
        assert_ne!(one.random(0), one.random(1));
        assert_ne!(one.random(0), FixedWorld::new(2).random(0));
    }
}

//! Ids of answers, to find them again in a client's log: unique, meaningless, cheap.

use std::sync::atomic::{AtomicU64, Ordering};

use fnctl_core::id::Timestamp;
use hyper::header::HeaderValue;

/// Step of the sequence, odd and without pattern (2^64 divided by the golden ratio).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bytes of the second id; Kinesis sends 64 to 80.
const ID_2_BYTES: usize = 72;

/// Makes ids, none twice.
pub(crate) struct RequestIds {
    state: AtomicU64,
}

impl RequestIds {
    /// Seeded with the secret and the moment of the start, so that a restart begins elsewhere.
    pub(crate) fn new(secret: &[u8; 32], started_at: Timestamp, boot_ms: u64) -> Self {
        let seed = secret
            .chunks_exact(8)
            .fold(started_at.0 ^ boot_ms.rotate_left(32), |seed, chunk| {
                mix(seed ^ u64::from_be_bytes(chunk.try_into().expect("chunks of eight")))
            });
        Self {
            state: AtomicU64::new(seed),
        }
    }

    /// A UUID, and 72 bytes in base64.
    pub(crate) fn next(&self) -> (HeaderValue, HeaderValue) {
        const WORDS: u64 = 2 + ID_2_BYTES as u64 / 8;
        let mut state = self
            .state
            .fetch_add(STEP.wrapping_mul(WORDS), Ordering::Relaxed);
        let mut word = || {
            state = state.wrapping_add(STEP);
            mix(state)
        };
        let uuid = u128::from(word()) << 64 | u128::from(word());
        let uuid = uuid::Builder::from_random_bytes(uuid.to_be_bytes()).into_uuid();
        let mut id_2 = [0; ID_2_BYTES];
        for chunk in id_2.chunks_exact_mut(8) {
            chunk.copy_from_slice(&word().to_be_bytes());
        }
        let header = |text: String| HeaderValue::from_maybe_shared(bytes::Bytes::from(text));
        (
            header(uuid.to_string()).expect("a UUID is a header's value"),
            header(base64_simd::STANDARD.encode_to_string(id_2))
                .expect("base64 is a header's value"),
        )
    }
}

/// Spreads a word over all its bits (SplitMix64).
const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_comes_twice_also_over_a_restart() {
        let mut seen = HashSet::new();
        for started_at in [1, 2] {
            let ids = RequestIds::new(&[9; 32], Timestamp(started_at), 5);
            for _ in 0..1_000 {
                let (uuid, id_2) = ids.next();
                assert_eq!(uuid.len(), 36);
                assert_eq!(id_2.len(), 96);
                assert!(seen.insert(uuid));
                assert!(seen.insert(id_2));
            }
        }
    }
}

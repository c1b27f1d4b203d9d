//! Cuts a shard into lanes by key hash. Order holds per key, so a key has one lane.

use xxhash_rust::xxh3::xxh3_64;

use crate::id::Ordinal;

/// A partition key, hashed once at fetch. Two keys with one hash share a lane and wait for each
/// other when one parks: slower, never wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u64);

impl KeyHash {
    /// The lane of this key among `factor` lanes (commit and storage rules §2).
    ///
    /// # Panics
    /// If `factor` is 0.
    #[must_use]
    pub fn lane(self, factor: u16) -> u16 {
        u16::try_from(self.0 % u64::from(factor)).expect("a remainder is below its divisor")
    }
}

/// Hashes a record's partition key. A record without a key is its own key, so its position is hashed.
#[must_use]
pub fn key_hash(key: Option<&[u8]>, position: Ordinal) -> KeyHash {
    KeyHash(match key {
        Some(key) => xxh3_64(key),
        None => xxh3_64(&position.0.to_le_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_lane_and_every_lane_has_keys() {
        for factor in [1_u16, 2, 7, 256] {
            let mut seen = vec![0_u32; usize::from(factor)];
            for n in 0_u32..10_000 {
                let key = n.to_le_bytes();
                let lane = key_hash(Some(&key), Ordinal(1)).lane(factor);
                assert_eq!(
                    lane,
                    key_hash(Some(&key), Ordinal(u64::from(n))).lane(factor)
                );
                seen[usize::from(lane)] += 1;
            }
            assert!(seen.iter().all(|&n| n > 0), "an empty lane of {factor}");
        }
    }

    #[test]
    fn a_record_without_key_is_its_own_key() {
        assert_ne!(key_hash(None, Ordinal(1)), key_hash(None, Ordinal(2)));
        assert_ne!(key_hash(None, Ordinal(1)), key_hash(Some(b""), Ordinal(1)));
    }
}

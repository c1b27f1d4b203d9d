//! Decides how often a record is tried and how long it waits in between.

use crate::{
    id::{Ordinal, Timestamp},
    limits::RETRY_GRAIN_MS,
    mapping::{MappingSettings, MaxAttempts},
};

/// Bounded attempts, and exponential backoff with full jitter from a given seed: the same seed,
/// record and attempt always wait equally long, so that a schedule replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    max_attempts: MaxAttempts,
    initial_ms: u64,
    max_ms: u64,
    seed: u64,
}

impl RetryPolicy {
    /// The policy of a mapping.
    #[must_use]
    pub const fn new(settings: &MappingSettings, seed: u64) -> Self {
        Self {
            max_attempts: settings.max_attempts,
            initial_ms: settings.backoff_initial_ms,
            max_ms: settings.backoff_max_ms,
            seed,
        }
    }

    /// Whether a record that was charged `attempts` times has none left.
    #[must_use]
    pub const fn is_exhausted(&self, attempts: u32) -> bool {
        match self.max_attempts {
            MaxAttempts::Count(max) => attempts >= max,
            MaxAttempts::Unlimited => false,
        }
    }

    /// The longest wait, ms: also the bound of a function's own delay and of a stored retry time.
    #[must_use]
    pub const fn max_ms(&self) -> u64 {
        self.max_ms
    }

    /// When a record may be tried again after its `attempts`th charged attempt (from 1). A delay that
    /// the function named is honoured up to the maximum backoff (commit and storage rules §4).
    #[must_use]
    pub fn next_retry(
        &self,
        now: Timestamp,
        position: Ordinal,
        attempts: u32,
        own_delay_ms: Option<u32>,
    ) -> Timestamp {
        let delay_ms = match own_delay_ms {
            Some(own) => u64::from(own).min(self.max_ms),
            None => full_jitter(
                self.seed,
                position.0,
                attempts,
                exponential(self.initial_ms, self.max_ms, attempts),
            ),
        };
        now.plus_ms(delay_ms)
    }

    /// As [`Self::next_retry`] without a delay of the function's own, for a record whose retry may share a call
    /// with others of its unit: at the next beat. Beats are as far apart as the longest wait, so that all that
    /// fails within one is retried together, and other ones in every unit. Where waits double, every beat of the
    /// longer ones is one of the shorter: keys that failed at different attempts meet at each of them. Waits are
    /// no longer than without beats, and as long in the mean after a failure at any time; after one at a beat
    /// they are half of the longest at least.
    ///
    /// Beats of two units are a multiple of [`RETRY_GRAIN_MS`] apart: what is due in several units at a time shares
    /// wake-ups and syncs.
    #[must_use]
    pub fn next_beat(&self, now: Timestamp, attempts: u32) -> Timestamp {
        let beat = exponential(self.initial_ms, self.max_ms, attempts);
        if beat == 0 {
            return now;
        }
        let phase = mix(self.seed) / RETRY_GRAIN_MS * RETRY_GRAIN_MS % beat;
        let since_beat = (now.0 % beat + beat - phase) % beat;
        now.plus_ms(beat - since_beat)
    }
}

/// The ceiling of the `attempts`th wait (from 1): `initial_ms`, doubling, at most `max_ms`.
#[must_use]
pub fn exponential(initial_ms: u64, max_ms: u64, attempts: u32) -> u64 {
    let doublings = attempts.saturating_sub(1);
    let ceiling = if doublings > initial_ms.leading_zeros() {
        u64::MAX
    } else {
        initial_ms.checked_shl(doublings).unwrap_or(u64::MAX)
    };
    if initial_ms == 0 {
        0
    } else {
        ceiling.min(max_ms)
    }
}

/// A wait drawn evenly from 0 to `ceiling_ms`, both included, by seed, subject and attempt alone.
#[must_use]
pub fn full_jitter(seed: u64, subject: u64, attempt: u32, ceiling_ms: u64) -> u64 {
    let drawn = mix(mix(mix(seed) ^ subject) ^ u64::from(attempt));
    let width = u128::from(ceiling_ms) + 1;
    u64::try_from((u128::from(drawn) * width) >> 64).expect("a product's high half is below width")
}

/// One step of splitmix64.
const fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;

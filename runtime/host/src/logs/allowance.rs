//! How much a function may write: lines and bytes a second, with some saved up.

use fnctl_core::id::Timestamp;

use crate::limits::{
    LOG_BYTES_A_SECOND, LOG_BYTES_SAVED_MAX, LOG_LINES_A_SECOND, LOG_LINES_SAVED_MAX,
};

/// Thousandths: so many a second are as many thousandths a millisecond.
const SHARE: u64 = 1_000;

/// A bucket of lines and one of bytes. Empty, it stays shut until a second's worth is there again: a flood
/// shows as a run of lines and one gap after the other, not as every hundredth line of it.
#[derive(Debug)]
pub(super) struct Allowance {
    lines: u64,
    bytes: u64,
    /// Lines dropped since it shut.
    dropped: u64,
    is_shut: bool,
    at: Timestamp,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            lines: LOG_LINES_SAVED_MAX * SHARE,
            bytes: LOG_BYTES_SAVED_MAX * SHARE,
            dropped: 0,
            is_shut: false,
            at: Timestamp::default(),
        }
    }
}

impl Allowance {
    /// Whether a line of so many bytes may be kept. A dropped one is counted.
    pub(super) fn take(&mut self, bytes: usize, now: Timestamp) -> bool {
        let bytes = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(SHARE);
        self.refill(now);
        let (Some(lines_left), Some(bytes_left), false) = (
            self.lines.checked_sub(SHARE),
            self.bytes.checked_sub(bytes),
            self.is_shut,
        ) else {
            self.is_shut = true;
            self.dropped += 1;
            return false;
        };
        (self.lines, self.bytes) = (lines_left, bytes_left);
        true
    }

    /// How many lines were dropped, once it is open again; then it counts from 0.
    pub(super) fn dropped(&mut self, now: Timestamp) -> Option<u64> {
        self.refill(now);
        let is_news = !self.is_shut && self.dropped > 0;
        is_news.then(|| std::mem::take(&mut self.dropped))
    }

    /// Whether lines were dropped and nobody said so yet.
    pub(super) const fn has_dropped(&self) -> bool {
        self.dropped > 0
    }

    fn refill(&mut self, now: Timestamp) {
        // A clock that was set back gives nothing for that, and goes on from where it was set: to wait
        // until it has caught up with itself could mean to keep nothing for a year.
        let passed = now.0.saturating_sub(self.at.0);
        self.at = now;
        let filled = |left: u64, a_second: u64, most: u64| {
            left.saturating_add(passed.saturating_mul(a_second))
                .min(most * SHARE)
        };
        self.lines = filled(self.lines, LOG_LINES_A_SECOND, LOG_LINES_SAVED_MAX);
        self.bytes = filled(self.bytes, LOG_BYTES_A_SECOND, LOG_BYTES_SAVED_MAX);
        if self.lines >= LOG_LINES_A_SECOND * SHARE && self.bytes >= LOG_BYTES_A_SECOND * SHARE {
            self.is_shut = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn later(ms: u64) -> Timestamp {
        Timestamp(NOW.0 + ms)
    }

    #[test]
    fn a_burst_is_taken_and_a_flood_is_not() {
        let mut allowance = Allowance::default();
        let taken = (0..2 * LOG_LINES_SAVED_MAX)
            .filter(|_| allowance.take(1, NOW))
            .count() as u64;
        assert_eq!(taken, LOG_LINES_SAVED_MAX);
        assert_eq!(allowance.dropped(NOW), None, "it is still shut");
        assert!(!allowance.take(1, later(999)), "not yet a second's worth");
        assert!(allowance.has_dropped());
        assert_eq!(
            allowance.dropped(later(1_000)),
            Some(LOG_LINES_SAVED_MAX + 1)
        );
        assert_eq!(allowance.dropped(later(1_000)), None, "said once");
        let taken = (0..LOG_LINES_SAVED_MAX)
            .filter(|_| allowance.take(1, later(1_000)))
            .count() as u64;
        assert_eq!(taken, LOG_LINES_A_SECOND);
    }

    #[test]
    fn long_lines_are_counted_by_their_bytes() {
        let mut allowance = Allowance::default();
        let line = usize::try_from(LOG_BYTES_SAVED_MAX / 4).expect("small");
        let taken = (0..8).filter(|_| allowance.take(line, NOW)).count();
        assert_eq!(taken, 4);
        assert!(
            !allowance.take(1, NOW),
            "shut for short ones too: their order is kept"
        );
    }

    #[test]
    fn what_is_written_slowly_is_all_kept() {
        let mut allowance = Allowance::default();
        for n in 0..10 * LOG_LINES_SAVED_MAX {
            assert!(allowance.take(100, later(n * 1_000 / LOG_LINES_A_SECOND)));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_or_far_ahead_gives_no_more_than_is_saved() {
        let mut allowance = Allowance::default();
        let all = |allowance: &mut Allowance, now| {
            let taken = (0..2 * LOG_LINES_SAVED_MAX).filter(|_| allowance.take(1, now));
            taken.count() as u64
        };
        assert_eq!(all(&mut allowance, NOW), LOG_LINES_SAVED_MAX);
        assert_eq!(all(&mut allowance, Timestamp(0)), 0);
        let second = all(&mut allowance, Timestamp(1_000));
        assert_eq!(second, LOG_LINES_A_SECOND, "it goes on from there");
        assert_eq!(
            all(&mut allowance, Timestamp(u64::MAX)),
            LOG_LINES_SAVED_MAX
        );
    }
}

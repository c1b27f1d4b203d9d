//! The largest of what was measured lately.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::PEAK_SPAN_MS;

/// Keeps the largest value of this span and of the one before: whoever scrapes at least once a span misses
/// none, however many scrape.
#[derive(Debug, Default)]
pub(crate) struct Peak {
    span: AtomicU64,
    now: AtomicU64,
    before: AtomicU64,
}

impl Peak {
    /// Takes a value measured at `now_ms` of the boot-time clock.
    pub(crate) fn note(&self, value: u64, now_ms: u64) {
        self.turn(now_ms);
        self.now.fetch_max(value, Ordering::Relaxed);
    }

    /// The largest of this span and of the one before; 0 when nothing was measured in them.
    pub(super) fn get(&self, now_ms: u64) -> u64 {
        self.turn(now_ms);
        let now = self.now.load(Ordering::Relaxed);
        now.max(self.before.load(Ordering::Relaxed))
    }

    /// Two who turn at once may lose one value between them: the next call brings another.
    fn turn(&self, now_ms: u64) {
        let span = now_ms / PEAK_SPAN_MS;
        let known = self.span.load(Ordering::Relaxed);
        if span <= known {
            return;
        }
        let turned = self
            .span
            .compare_exchange(known, span, Ordering::Relaxed, Ordering::Relaxed);
        if turned.is_ok() {
            let last = self.now.swap(0, Ordering::Relaxed);
            let kept = if span == known + 1 { last } else { 0 };
            self.before.store(kept, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_seen_for_one_span_at_least_and_two_at_most() {
        let peak = Peak::default();
        let span = PEAK_SPAN_MS;
        peak.note(7, 10 * span);
        peak.note(3, 10 * span + 1);
        assert_eq!(peak.get(11 * span - 1), 7);
        peak.note(5, 11 * span);
        assert_eq!(peak.get(12 * span - 1), 7);
        assert_eq!(peak.get(12 * span), 5);
        assert_eq!(peak.get(14 * span), 0);
    }
}

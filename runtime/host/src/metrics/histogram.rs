//! Counts of measurements by size, written without a lock and without looking anything up.

use std::sync::atomic::{AtomicU64, Ordering};

/// A classic histogram: how many measurements lie at or below each bound, and what they sum up to.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [f64],
    /// In each bucket alone; the last one holds what is above all bounds.
    counts: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

/// What a histogram holds at a moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Snapshot {
    /// At or below each bound, and in the end all.
    pub(super) cumulative: Vec<u64>,
    /// What they sum up to.
    pub(super) sum: f64,
}

impl Histogram {
    /// Nothing measured yet; `bounds` are ascending.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        debug_assert!(bounds.is_sorted(), "bounds ascend");
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Upper bounds of its buckets, the one of all left out.
    pub(super) const fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// Counts a measurement.
    pub(crate) fn observe(&self, value: f64) {
        self.observe_many(value, 1);
    }

    /// Counts `times` measurements of one size.
    pub(crate) fn observe_many(&self, value: f64, times: u32) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(u64::from(times), Ordering::Relaxed);
        let more = value * f64::from(times);
        let add = |bits: u64| Some((f64::from_bits(bits) + more).to_bits());
        // Never refused: the update always has an answer.
        let _before = self
            .sum
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut so_far = 0;
        let cumulative = self.counts.iter().map(|count| {
            so_far += count.load(Ordering::Relaxed);
            so_far
        });
        Snapshot {
            cumulative: cumulative.collect(),
            sum: f64::from_bits(self.sum.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_in_the_bucket_of_its_bound_and_all_above() {
        let histogram = Histogram::new(&[0.1, 1.0, 10.0]);
        histogram.observe(0.1);
        histogram.observe(0.2);
        histogram.observe_many(2.0, 5);
        histogram.observe(11.0);
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.cumulative, [1, 2, 7, 8]);
        assert!((snapshot.sum - 21.3).abs() < 1e-9, "{}", snapshot.sum);
    }
}

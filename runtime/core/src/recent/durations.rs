//! How long calls took, coarsely: two buckets for each doubling.

/// Doublings below the shortest bucket's end: 2^13 ns, 8 µs.
const FIRST: u32 = 13;
/// Buckets: up to 2^40 ns, 18 minutes, which is above the longest time limit.
const BUCKETS: usize = 54;

/// Calls by how long they took.
#[derive(Clone, Debug)]
pub(super) struct Durations {
    counts: [u32; BUCKETS],
    longest_ns: u64,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            longest_ns: 0,
        }
    }
}

impl Durations {
    /// One call more.
    pub(super) fn add(&mut self, ns: u64) {
        let count = &mut self.counts[bucket(ns)];
        *count = count.saturating_add(1);
        self.longest_ns = self.longest_ns.max(ns);
    }

    /// Those of both.
    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }

    /// How long `percent` of the calls took at most, ns, within a quarter of it; `None`: there was none.
    pub(super) fn percentile(&self, percent: u64) -> Option<u64> {
        let all: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let rank = (all * percent).div_ceil(100).max(1);
        let mut below = 0;
        for (at, count) in self.counts.iter().enumerate() {
            let count = u64::from(*count);
            if below + count >= rank && count > 0 {
                let (from, to) = (start(at), start(at + 1));
                let within = (to - from) / count * (rank - below);
                return Some((from + within).min(self.longest_ns));
            }
            below += count;
        }
        None
    }
}

/// The bucket of a duration.
fn bucket(ns: u64) -> usize {
    let ns = ns.max(1 << FIRST);
    let doublings = ns.ilog2();
    let is_upper = ns >> (doublings - 1) & 1 == 1;
    let at = 2 * (doublings - FIRST) + u32::from(is_upper);
    (at as usize).min(BUCKETS - 1)
}

/// Where a bucket begins, ns.
fn start(at: usize) -> u64 {
    let whole = 1_u64 << (at / 2 + FIRST as usize);
    if at.is_multiple_of(2) {
        whole
    } else {
        whole + whole / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_bucket() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(start(at)), at);
            assert_eq!(bucket(start(at + 1) - 1), at);
        }
        assert_eq!((bucket(0), bucket(1)), (0, 0));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_within_a_quarter_and_never_above_the_longest() {
        let mut all = Durations::default();
        assert_eq!(all.percentile(50), None);
        for ms in 1..=1_000 {
            all.add(ms * 1_000_000);
        }
        for (percent, ms) in [(50, 500), (90, 900), (99, 990), (100, 1_000)] {
            let told = all.percentile(percent).expect("there are calls");
            let exact = ms * 1_000_000;
            assert!(told.abs_diff(exact) <= exact / 4, "{percent}: {told}");
        }
        let mut slow = Durations::default();
        slow.add(30_000_000_000);
        assert_eq!(slow.percentile(99), Some(30_000_000_000));
        all.merge(&slow);
        assert_eq!(all.percentile(100), Some(30_000_000_000));
    }
}

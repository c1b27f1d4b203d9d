//! How much of a shard a reader has in front of it, in bytes.
//!
//! Nobody counts payloads for this: of a segment that is read in part, records are taken to be alike.

use fnctl_core::id::{Ordinal, ShardNumber, StreamId};

use crate::{block::block_bytes, segment::SegmentMeta, store::Store};

/// The share of `bytes` that the records above `after` have, of those from `first` to in front of `next`.
fn share(bytes: u64, first: Ordinal, next: Ordinal, after: Ordinal) -> u64 {
    let all = next.0.saturating_sub(first.0);
    let left = next
        .0
        .saturating_sub(first.0.max(after.0.saturating_add(1)));
    if all == 0 {
        return 0;
    }
    let part = u128::from(bytes) * u128::from(left) / u128::from(all);
    u64::try_from(part).expect("a part is no more than the whole")
}

/// Of a shard's segments, and the last position they reach.
fn in_segments(segments: &[SegmentMeta], after: Ordinal) -> (u64, Ordinal) {
    let of = |meta: &SegmentMeta| share(meta.length, meta.base, meta.next, after);
    let through = segments.last().map_or(0, |last| last.next.0 - 1);
    (segments.iter().map(of).sum(), Ordinal(through))
}

impl Store {
    /// About how many bytes the records of a shard above `after` take, as they lie in its log.
    #[must_use]
    pub fn bytes_above(&self, stream: StreamId, shard: ShardNumber, after: Ordinal) -> u64 {
        let key = (stream, shard);
        let (bytes, through) = in_segments(&self.shared.segments.of(key), after);
        // What is on its way there is in memory.
        let above = after.max(through);
        let mut waiting = 0;
        self.shared.tail.read(key, above, |block| {
            let whole = block_bytes(block) as u64;
            waiting += share(whole, block.first, block.last().next(), above);
            true
        });
        bytes + waiting
    }
}

#[cfg(test)]
mod tests {
    use fnctl_core::id::Timestamp;

    use super::*;

    fn segment(base: u64, next: u64, length: u64) -> SegmentMeta {
        SegmentMeta {
            base: Ordinal(base),
            next: Ordinal(next),
            length,
            salt: 0,
            first_arrival: Timestamp(0),
            last_arrival: Timestamp(0),
            first_stamp: 0,
            last_stamp: 0,
            is_sealed: true,
        }
    }

    #[test]
    fn whole_segments_count_whole_and_the_one_begun_by_its_records() {
        let segments = [segment(1, 101, 1_000), segment(101, 301, 4_000)];
        for (after, bytes) in [
            (0, 5_000),
            (50, 4_500),
            (100, 4_000),
            (250, 1_000),
            (300, 0),
            (900, 0),
        ] {
            let found = in_segments(&segments, Ordinal(after));
            assert_eq!(found, (bytes, Ordinal(300)), "after {after}");
        }
        assert_eq!(in_segments(&[], Ordinal(7)), (0, Ordinal(0)));
        assert_eq!(
            share(u64::MAX, Ordinal(1), Ordinal(3), Ordinal(1)),
            u64::MAX / 2
        );
    }
}

//! Retention by size, and what a quota asks of those who hold records beyond retention
//! (commit and storage rules §7).

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
};

use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId},
    quota::{StoredRun, horizons_within, run_bytes},
    shard::Stream,
    view::ShardTail,
};

use super::ask_for_trim;
use crate::{applier::ApplierLoop, block::ShardKey, limits::BOUNDED_SEGMENT_BYTES_MIN};

/// Sizes at which segments of bounded streams roll, as they were at the last look.
#[derive(Debug, Default)]
pub(crate) struct RollSizes(HashMap<StreamId, u64>);

impl ApplierLoop {
    /// The size at which a shard's segment is ended.
    pub(crate) fn segment_bytes(&self, key: ShardKey) -> u64 {
        let sizes = &self.retention.roll_sizes.0;
        sizes
            .get(&key.0)
            .copied()
            .unwrap_or(self.shared.sizes.segment)
    }

    /// Looks at every stream with a bound: its oldest segments go when it shows too much, and what
    /// mappings hold beyond retention goes when it has refused something for its quota.
    ///
    /// # Errors
    /// A segment cannot be sealed.
    pub(super) fn bound_streams(&mut self) -> io::Result<()> {
        let bounded: Vec<Arc<Stream>> = {
            let published = self.shared.read_published();
            let streams = published.view.registry().streams();
            let is_bounded = |stream: &&Arc<Stream>| {
                let options = &stream.options;
                options.quota_bytes.is_some() || options.retention_bytes.is_some()
            };
            streams.filter(is_bounded).cloned().collect()
        };
        self.retention.roll_sizes = RollSizes(
            bounded
                .iter()
                .map(|stream| (stream.id, self.roll_bytes(stream)))
                .collect(),
        );
        for stream in bounded {
            if let Some(bound) = stream.options.retention_bytes {
                self.retain_bytes(&stream, bound)?;
            }
            if self.shared.segments.usage.was_refused(stream.id) {
                for shard in &stream.shards {
                    let why = "the stream is at its quota, records beyond retention are expired";
                    self.expire_held((stream.id, shard.number), why);
                }
            }
        }
        Ok(())
    }

    fn roll_bytes(&self, stream: &Stream) -> u64 {
        let bound = stream.options.retention_bytes;
        run_bytes(
            bound.or(stream.options.quota_bytes),
            stream.open_shards().count(),
            BOUNDED_SEGMENT_BYTES_MIN,
            self.shared.sizes.segment,
        )
    }

    /// Moves horizons so that the stream shows at most `bound` bytes.
    fn retain_bytes(&mut self, stream: &Stream, bound: u64) -> io::Result<()> {
        let tails: BTreeMap<ShardNumber, ShardTail> = {
            let published = self.shared.read_published();
            let tails = published.view.tails(stream.id);
            tails.map(|(shard, tail)| (shard, *tail)).collect()
        };
        for (&shard, tail) in tails.iter().filter(|(_, tail)| tail.floor < tail.horizon) {
            // The floor follows whoever held it.
            ask_for_trim(&self.shared, (stream.id, shard), tail.horizon);
        }
        let horizons = tails
            .into_iter()
            .map(|(shard, tail)| (shard, tail.horizon))
            .collect();
        if self.shown(stream, &horizons) <= bound {
            return Ok(());
        }
        let roll_bytes = self.segment_bytes((stream.id, ShardNumber(0)));
        for &shard in horizons.keys() {
            let key = (stream.id, shard);
            let is_closed = stream.shard(shard).is_some_and(|shard| shard.is_closed);
            // Made when the bound was larger, or none; or nothing will be added to it.
            let newest = self.shared.segments.newest(key);
            if newest.is_some_and(|newest| {
                newest.next > newest.base && (is_closed || newest.length >= roll_bytes)
            }) {
                self.seal_newest(key)?;
            }
        }
        let mut runs = Vec::new();
        for (&shard, &horizon) in &horizons {
            let segments = self.shared.segments.of((stream.id, shard));
            let shown = segments.iter().filter(|segment| segment.next > horizon);
            runs.extend(
                shown
                    .filter(|segment| segment.is_sealed)
                    .map(|segment| StoredRun {
                        shard,
                        next: segment.next,
                        bytes: segment.length,
                        stamp: segment.last_stamp,
                    }),
            );
        }
        let shown = self.shown(stream, &horizons);
        for (shard, horizon) in horizons_within(bound, shown, runs) {
            ask_for_trim(&self.shared, (stream.id, shard), horizon);
        }
        Ok(())
    }

    /// Bytes of the stream's logs that are not wholly below the horizon.
    fn shown(&self, stream: &Stream, horizons: &BTreeMap<ShardNumber, Ordinal>) -> u64 {
        let hidden: u64 = horizons
            .iter()
            .map(|(&shard, &horizon)| {
                let segments = self.shared.segments.of((stream.id, shard));
                let hidden = segments.iter().filter(|segment| segment.next <= horizon);
                hidden.map(|segment| segment.length).sum::<u64>()
            })
            .sum();
        let stored = self.shared.segments.usage.of(stream.id);
        stored.saturating_sub(hidden)
    }
}

//! Figures of the store and the engine, as both report them.

use std::{sync::PoisonError, time::Duration};

use fnctl_core::admission::InFlight;
use fnctl_invoker::EngineStats;
use fnctl_store::StoreStats;

use crate::metrics::{Metrics, scrape::StoreSample};

/// Upper bounds of journal syncs, seconds.
const SYNCS: [f64; 12] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0,
];

/// Journal syncs counted so far. The store keeps the times of its newest frames: those since the last
/// scrape are counted one by one, and stand for the rest where there were more.
#[derive(Debug, Default)]
pub(super) struct SyncTimes {
    frames: u64,
    buckets: [u64; SYNCS.len() + 1],
}

impl SyncTimes {
    fn count(&mut self, frames: u64, samples: &[Duration]) {
        let new = frames.saturating_sub(self.frames);
        self.frames = frames;
        let known = usize::try_from(new)
            .unwrap_or(usize::MAX)
            .min(samples.len());
        let newest = &samples[samples.len() - known..];
        let bucket = |took: &Duration| SYNCS.partition_point(|bound| *bound < took.as_secs_f64());
        let known = known as u64;
        let mut left = new;
        for (index, took) in newest.iter().enumerate() {
            // The shares of all samples add up to `new` exactly.
            let share = left / (known - index as u64);
            self.buckets[bucket(took)] += share;
            left -= share;
        }
    }
}

impl Metrics {
    /// What the store and the engine say, for the exposition.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the exposition's numbers are f64"
    )]
    pub(crate) fn store_sample(
        &self,
        store: &StoreStats,
        receiving: InFlight,
        engine: &EngineStats,
    ) -> StoreSample {
        let mut syncs = self.syncs.lock().unwrap_or_else(PoisonError::into_inner);
        syncs.count(store.frames, &store.sync_samples);
        let seconds = |ms: u64| ms as f64 / 1e3;
        let values = [
            ("fnctl_journal_bytes_total", store.journal_bytes as f64),
            ("fnctl_journal_frames_total", store.frames as f64),
            (
                "fnctl_journal_unapplied_bytes",
                store.unapplied_bytes as f64,
            ),
            ("fnctl_segment_bytes_total", store.segment_bytes as f64),
            ("fnctl_tail_bytes", store.tail_bytes as f64),
            (
                "fnctl_puts_in_flight_bytes",
                (store.puts_in_flight.bytes + receiving.bytes) as f64,
            ),
            (
                "fnctl_puts_in_flight_requests",
                (store.puts_in_flight.requests + receiving.requests) as f64,
            ),
            ("fnctl_image_cuts_total", store.cuts as f64),
            (
                "fnctl_image_behind_entries",
                store.next.0.saturating_sub(store.cut.0) as f64,
            ),
            ("fnctl_image_age_seconds", seconds(store.image_age_ms)),
            ("fnctl_disk_free_bytes", store.free_bytes as f64),
            ("fnctl_disk_reserve_bytes", store.reserve_bytes as f64),
            (
                "fnctl_wall_clock_offset_seconds",
                store.wall_ahead_ms as f64 / 1e3,
            ),
            ("fnctl_unclean_stops", f64::from(store.unclean_stops)),
            ("fnctl_careful", f64::from(u8::from(store.is_careful))),
            (
                "fnctl_component_cache_hits_total",
                engine.cache_hits_total as f64,
            ),
            (
                "fnctl_component_cache_misses_total",
                engine.cache_misses_total as f64,
            ),
            ("fnctl_instances_live", engine.instances_live as f64),
            ("fnctl_instances_warm", engine.instances_warm as f64),
            (
                "fnctl_instances_created_total",
                engine.instances_created_total as f64,
            ),
        ];
        let mut values: Vec<_> = values.map(|(name, value)| (name, Some(value))).to_vec();
        values.push((
            "fnctl_snapshot_age_seconds",
            store.snapshot_age_ms.map(seconds),
        ));
        let (above, buckets) = syncs.buckets.split_last().expect("there is a last bucket");
        StoreSample {
            values,
            compilations: engine.compilations_total,
            compile_seconds: engine.compile_seconds_total,
            sync_buckets: SYNCS.iter().copied().zip(buckets.iter().copied()).collect(),
            sync_above: *above,
            sync_sum: store.sync_time.as_secs_f64(),
            storage_errors: Vec::new(),
            puts_refused: vec![
                ("busy-node", store.puts_refused.busy_node),
                ("busy-stream", store.puts_refused.busy_stream),
                ("stream-full", store.puts_refused.stream_full),
                ("disk-full", store.puts_refused.disk_full),
            ],
            streams: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sync_is_counted_once_even_when_samples_are_short() {
        let ms = Duration::from_millis;
        let mut syncs = SyncTimes::default();
        syncs.count(2, &[ms(1), ms(4)]);
        assert_eq!(syncs.buckets.iter().sum::<u64>(), 2);
        // Ten more, of which three are known.
        syncs.count(12, &[ms(4), ms(1), ms(2)]);
        assert_eq!(syncs.buckets.iter().sum::<u64>(), 12);
        syncs.count(12, &[ms(4), ms(1), ms(2)]);
        assert_eq!(syncs.buckets.iter().sum::<u64>(), 12);
    }
}

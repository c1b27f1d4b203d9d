//! Counts what a pipeline does by itself: batches that it closes and cuts, records that it holds.

use fnctl_core::pipeline::Flow;

use crate::{metrics::MEASURES, shard_worker::WorkerMetrics};

/// What a worker has counted of its pipeline so far. Dropped, what the pipeline held is held no more.
pub(super) struct Flowing {
    counted: Flow,
    metrics: WorkerMetrics,
}

impl Flowing {
    /// Of a pipeline that has done nothing yet.
    pub(super) fn into(metrics: WorkerMetrics) -> Self {
        Self {
            counted: Flow::default(),
            metrics,
        }
    }

    /// Counts what has happened since.
    pub(super) fn moves(&mut self, now: Flow) {
        if !MEASURES {
            return;
        }
        let before = std::mem::replace(&mut self.counted, now);
        if before == now {
            return;
        }
        let mapping = &self.metrics.mapping;
        let counts = now.flushes.iter().zip(before.flushes);
        for (counter, (now, before)) in mapping.flushes.iter().zip(counts) {
            counter.inc_by(now - before);
        }
        mapping.bisects.inc_by(now.bisects - before.bisects);
        let queue = &self.metrics.function.queue;
        queue.add(signed(now.waiting_records));
        queue.sub(signed(before.waiting_records));
    }
}

impl Drop for Flowing {
    fn drop(&mut self) {
        let queue = &self.metrics.function.queue;
        queue.sub(signed(self.counted.waiting_records));
    }
}

fn signed(records: u64) -> i64 {
    i64::try_from(records).expect("records in memory are few")
}

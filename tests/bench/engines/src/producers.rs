//! Producers: each has one put under way at a time and waits for its acknowledgement.

use std::time::Instant;

use futures_util::future::try_join_all;

use crate::Failure;

/// Length of every partition key.
pub(crate) const KEY_BYTES: usize = 12;

/// What is put.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) producers: usize,
    /// Of each producer.
    pub(crate) puts: usize,
    /// In each put.
    pub(crate) records: usize,
    /// Of each record's data.
    pub(crate) bytes: usize,
    pub(crate) shards: u32,
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Records a second.
    pub(crate) rate: f64,
    /// Of a put, ms.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// What producers put into.
pub(crate) trait Sink {
    /// Puts the `number`-th batch of the work; returns when it is synced.
    ///
    /// # Errors
    /// It was not.
    async fn put(&self, number: usize) -> Result<(), Failure>;
}

impl Work {
    /// Records in all.
    pub(crate) fn count(&self) -> f64 {
        (self.producers * self.puts * self.records) as f64
    }

    /// Bytes of data and keys in all.
    pub(crate) fn payload_bytes(&self) -> f64 {
        self.count() * (self.bytes + KEY_BYTES) as f64
    }

    /// Data of `records` records that no compression makes smaller.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..self.bytes).map(|_| next()).collect()
    }

    /// Runs all producers to their end.
    ///
    /// # Errors
    /// A put failed.
    pub(crate) async fn run(&self, sink: &impl Sink) -> Result<Measured, Failure> {
        let start = Instant::now();
        let producers = (0..self.producers).map(|producer| async move {
            let mut took = Vec::with_capacity(self.puts);
            for put in 0..self.puts {
                let begun = Instant::now();
                sink.put(put * self.producers + producer).await?;
                took.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            Ok::<_, Failure>(took)
        });
        let mut took: Vec<f64> = try_join_all(producers).await?.concat();
        let seconds = start.elapsed().as_secs_f64();
        took.sort_by(f64::total_cmp);
        let percentile = |percent: usize| took[(took.len() * percent).div_ceil(100).max(1) - 1];
        Ok(Measured {
            rate: self.count() / seconds,
            p50: percentile(50),
            p99: percentile(99),
        })
    }
}

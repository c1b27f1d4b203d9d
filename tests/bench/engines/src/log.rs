//! The log of fnctl: the store as a server runs it.

use std::{
    path::Path,
    thread::{Builder, JoinHandle},
};

use fnctl_core::{
    clock::Clock,
    committer::Stopped,
    id::{StreamName, Timestamp},
    record::{ColumnBuilder, NewRecords},
    registry::Command,
    shard::{Ack, StreamOptions},
    spec::resolve::StreamSettings,
};
use fnctl_store::{Options, Store, disk::real::RealDisk};
use futures_util::future::try_join_all;
use rustix::time::{ClockId, clock_gettime};

use crate::{
    Failure,
    producers::{KEY_BYTES, Sink, Work},
};

/// Different batches that are put in turn, so that every shard gets its share.
const BATCHES: usize = 4_096;

struct MachineClock;

fn millis(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp(millis(ClockId::Realtime))
    }

    fn boot_ms(&self) -> u64 {
        millis(ClockId::Boottime)
    }
}

/// An open store with one stream.
pub(crate) struct Log {
    store: Store,
    loops: Vec<JoinHandle<Result<(), Stopped>>>,
    batches: Vec<NewRecords>,
}

impl Log {
    /// Makes a store with the stream, closes it, and opens it.
    ///
    /// # Errors
    /// It does not open.
    pub(crate) async fn open(directory: &Path, work: &Work) -> Result<Self, Failure> {
        let count = (BATCHES / work.records).max(16);
        let batches: Vec<_> = (0..count).map(|number| batch(work, number)).collect();
        let log = Self::start(directory, batches.clone())?;
        let create = Command::CreateStream {
            name: name()?,
            settings: StreamSettings {
                shards: work.shards,
                retention_ms: 24 * 60 * 60 * 1000,
                ack: Ack::Synced,
                options: StreamOptions::default(),
            },
        };
        log.store.command(create).await?;
        // Every shard has its file when the work begins.
        let puts = (0..count).map(|number| log.put(number));
        try_join_all(puts).await?;
        log.close()?;
        Self::start(directory, batches)
    }

    fn start(directory: &Path, batches: Vec<NewRecords>) -> Result<Self, Failure> {
        let options = Options::new(directory.join("data"));
        let (store, loops) = fnctl_store::open(options, RealDisk, MachineClock)?;
        Ok(Self {
            store,
            loops: vec![
                named("sequencer").spawn(|| loops.sequencer.run())?,
                named("applier").spawn(|| loops.applier.run())?,
            ],
            batches,
        })
    }

    /// Drains, cuts and closes.
    ///
    /// # Errors
    /// A loop failed.
    pub(crate) fn close(self) -> Result<(), Failure> {
        self.store.shutdown();
        for each in self.loops {
            each.join().map_err(|_| "a loop panicked")??;
        }
        Ok(())
    }
}

/// So that a profile tells them apart.
fn named(name: &str) -> Builder {
    Builder::new().name(name.to_owned())
}

fn name() -> Result<StreamName, Failure> {
    Ok(StreamName::parse("log")?)
}

fn batch(work: &Work, number: usize) -> NewRecords {
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    let mut hash_keys = Vec::with_capacity(work.records);
    let payload = work.payload();
    for record in 0..work.records {
        let number = number * work.records + record;
        let key = format!("key-{number:08}");
        assert_eq!(
            key.len(),
            KEY_BYTES,
            "keys are as long as other engines' keys"
        );
        keys.push(key.as_bytes());
        data.push(&payload);
        // Spread as MD5 spreads keys: neighbours go to different shards.
        hash_keys
            .push((number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    }
    NewRecords {
        keys: keys.finish(),
        data: data.finish(),
        hash_keys,
        hops: Vec::new(),
        origins: Vec::new(),
    }
}

impl Sink for Log {
    async fn put(&self, number: usize) -> Result<(), Failure> {
        let records = self.batches[number % self.batches.len()].clone();
        self.store.append(name()?, records, None).await?;
        Ok(())
    }
}

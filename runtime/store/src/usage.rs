//! What each stream takes: bytes of its segments, and what is on its way there.

use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use fnctl_core::{
    entry::Entry,
    id::StreamId,
    quota::weight,
    record::{NewRecords, RecordBlock},
};

/// Every stream's bytes. Kept while it runs and counted anew at a start, from what is recorded of the
/// segments and from what the journal still owes them.
#[derive(Debug, Default)]
pub(crate) struct Usage(RwLock<HashMap<StreamId, Arc<StreamUsage>>>);

#[derive(Debug, Default)]
struct StreamUsage {
    segments: AtomicU64,
    waiting: AtomicU64,
    /// Something was refused for its quota since somebody asked.
    was_refused: AtomicBool,
}

impl StreamUsage {
    fn bytes(&self) -> u64 {
        self.segments.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed)
    }
}

impl Usage {
    /// Bytes that a stream takes; 0 for one that is not known.
    pub(crate) fn of(&self, stream: StreamId) -> u64 {
        self.get(stream).map_or(0, |usage| usage.bytes())
    }

    /// Counts what an entry will add to segments. Dead letters have a bound of their own.
    pub(crate) fn accept(&self, entry: &Entry) {
        for (placement, records) in entry.appended() {
            self.wait(placement.stream, records_weight(records));
        }
    }

    /// Counts blocks that a start found in the journal and that segments still lack.
    pub(crate) fn redo(&self, blocks: &[Arc<RecordBlock>]) {
        for block in blocks {
            self.wait(block.stream, block_weight(block));
        }
    }

    /// Takes off what was written to segments.
    pub(crate) fn applied(&self, stream: StreamId, weight: u64) {
        if let Some(usage) = self.get(stream) {
            let less = |waiting: u64| Some(waiting.saturating_sub(weight));
            let _before = usage
                .waiting
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// A segment has grown, shrunk, come or gone.
    pub(crate) fn resized(&self, stream: StreamId, before: u64, after: u64) {
        let usage = self.entry(stream);
        usage.segments.fetch_add(after, Ordering::Relaxed);
        usage.segments.fetch_sub(before, Ordering::Relaxed);
    }

    /// A stream is gone.
    pub(crate) fn forget(&self, stream: StreamId) {
        let mut streams = self.0.write().expect("nothing panics under this lock");
        streams.remove(&stream);
    }

    /// Notes that something was refused for a stream's quota.
    pub(crate) fn refused(&self, stream: StreamId) {
        self.entry(stream)
            .was_refused
            .store(true, Ordering::Relaxed);
    }

    /// Whether anything was refused for a stream's quota since this was asked last.
    pub(crate) fn was_refused(&self, stream: StreamId) -> bool {
        self.get(stream)
            .is_some_and(|usage| usage.was_refused.swap(false, Ordering::Relaxed))
    }

    fn wait(&self, stream: StreamId, weight: u64) {
        self.entry(stream)
            .waiting
            .fetch_add(weight, Ordering::Relaxed);
    }

    fn get(&self, stream: StreamId) -> Option<Arc<StreamUsage>> {
        let streams = self.0.read().expect("nothing panics under this lock");
        streams.get(&stream).cloned()
    }

    fn entry(&self, stream: StreamId) -> Arc<StreamUsage> {
        self.get(stream).unwrap_or_else(|| {
            let mut streams = self.0.write().expect("nothing panics under this lock");
            Arc::clone(streams.entry(stream).or_default())
        })
    }
}

fn records_weight(records: &NewRecords) -> u64 {
    weight(records.byte_len(), records.len())
}

/// What a block weighs until it is in a segment.
pub(crate) fn block_weight(block: &RecordBlock) -> u64 {
    weight(block.records.byte_len(), block.len())
}

//! Gathered records become frames.

use std::{
    io::{self, ErrorKind},
    sync::{Arc, atomic::Ordering},
};

use fnctl_core::{
    id::{Lsn, Ordinal},
    record::RecordBlock,
};

use super::{ApplierLoop, Gathered};
use crate::{
    block::{BlockBuilder, ShardKey, block_bytes, slice},
    limits::{SEGMENT_FRAME_BYTES, SEGMENT_FRAME_BYTES_MAX},
    segment::writer::SegmentWriter,
};

impl ApplierLoop {
    /// Writes everything gathered; answers whether there was room for all of it.
    pub(crate) fn write_all(&mut self) -> io::Result<bool> {
        let keys: Vec<ShardKey> = self.gathered.keys().copied().collect();
        for key in keys {
            if !self.write_shard(key)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes what is gathered of a shard; answers whether there was room for all of it.
    pub(super) fn write_shard(&mut self, key: ShardKey) -> io::Result<bool> {
        let Some(mut gathered) = self.gathered.remove(&key) else {
            return Ok(true);
        };
        while let Some((frame, count)) = next_frame(key, &gathered) {
            match self.write_frame(key, &frame, gathered.lsns) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    self.gathered.insert(key, gathered);
                    self.disk_is_full();
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
            let before: usize = gathered.blocks.iter().map(|block| block_bytes(block)).sum();
            consume(&mut gathered, &frame, count);
            let after: usize = gathered.blocks.iter().map(|block| block_bytes(block)).sum();
            gathered.bytes = after;
            self.gathered_bytes = (self.gathered_bytes + after).saturating_sub(before);
            self.shared.space.apply(before.saturating_sub(after) as u64);
            self.shared.tail.applied(key, frame.last().next());
        }
        Ok(true)
    }

    fn write_frame(
        &mut self,
        key: ShardKey,
        block: &RecordBlock,
        lsns: (Lsn, Lsn),
    ) -> io::Result<()> {
        let stamp = self.shared.clocks.retention_ms();
        self.ready_writer(key, block.first, stamp)?;
        let writer = self
            .unsynced
            .get_mut(&key)
            .and_then(|writers| writers.last_mut())
            .expect("it was made ready");
        let bytes = writer.write(block, lsns, stamp)?;
        self.shared.segments.update(key, writer.meta());
        self.cutter.segment_changed(key, writer.meta(), bytes);
        self.shared
            .counters
            .segment_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Sees to it that the last unsynced segment of the shard takes a frame that starts at `first`.
    fn ready_writer(&mut self, key: ShardKey, first: Ordinal, stamp: u64) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let writers = self.unsynced.entry(key).or_default();
        if writers.is_empty() {
            let newest = shared.segments.newest(key);
            if let Some(meta) = newest.filter(|meta| !meta.is_sealed && meta.next == first) {
                let writer = SegmentWriter::resume(&shared.segments, key, meta);
                writers.push(writer.map_err(io::Error::other)?);
            }
        }
        if let Some(last) = writers.last_mut() {
            if last.meta().next == first && !last.is_full(stamp, shared.sizes.segment) {
                return Ok(());
            }
            if !last.meta().is_sealed {
                last.seal(stamp)?;
                shared.segments.update(key, last.meta());
                self.cutter.segment_changed(key, last.meta(), 0);
            }
        }
        let writer = SegmentWriter::create(&*shared.disk, &shared.directory, key, first, stamp)?;
        shared.segments.keep_open(key, first, writer.open());
        writers.push(writer);
        Ok(())
    }

    /// Seals a shard's newest segment, so that it can be trimmed.
    pub(crate) fn seal_newest(&mut self, key: ShardKey) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let Some(meta) = shared.segments.newest(key).filter(|meta| !meta.is_sealed) else {
            return Ok(());
        };
        let stamp = shared.clocks.retention_ms();
        let writers = self.unsynced.entry(key).or_default();
        if writers.is_empty() {
            let writer = SegmentWriter::resume(&shared.segments, key, meta);
            writers.push(writer.map_err(io::Error::other)?);
        }
        let last = writers.last_mut().expect("one was just pushed");
        last.seal(stamp)?;
        shared.segments.update(key, last.meta());
        self.cutter.segment_changed(key, last.meta(), 0);
        Ok(())
    }
}

/// The next frame of what is gathered, and how many blocks it takes up whole: small ones are joined, a
/// large one is cut.
fn next_frame(key: ShardKey, gathered: &Gathered) -> Option<(Arc<RecordBlock>, usize)> {
    let first = gathered.blocks.front()?;
    if first.records.byte_len() > SEGMENT_FRAME_BYTES_MAX && first.len() > 1 {
        let count = records_within(first, SEGMENT_FRAME_BYTES_MAX);
        if count < first.len() {
            return Some((Arc::new(slice(first, 0..count)), 0));
        }
    }
    let mut builder = BlockBuilder::new(key, first.first);
    let mut count = 0;
    for block in &gathered.blocks {
        let is_large = block.records.byte_len() >= SEGMENT_FRAME_BYTES;
        let fits = builder.takes(!block.origins.is_empty())
            && block.first == builder.next()
            && builder.byte_len() < SEGMENT_FRAME_BYTES;
        if count > 0 && (is_large || !fits) {
            break;
        }
        count += 1;
        if is_large {
            return Some((Arc::clone(block), count));
        }
        builder.push(block);
    }
    if count == 1 {
        return Some((Arc::clone(first), 1));
    }
    Some((Arc::new(builder.finish()), count))
}

/// How many of a block's first records stay within `bytes`; at least one.
fn records_within(block: &RecordBlock, bytes: usize) -> usize {
    let (keys, data) = (&block.records.keys.ends, &block.records.data.ends);
    let is_within = |&(key, data): &(u32, u32)| key as usize + data as usize <= bytes;
    let pairs: Vec<(u32, u32)> = keys.iter().copied().zip(data.iter().copied()).collect();
    pairs.partition_point(is_within).max(1)
}

/// Drops what a frame has taken up.
fn consume(gathered: &mut Gathered, frame: &RecordBlock, count: usize) {
    if count == 0 {
        let first = gathered
            .blocks
            .pop_front()
            .expect("the frame was cut from it");
        let rest = slice(&first, frame.len()..first.len());
        gathered.blocks.push_front(Arc::new(rest));
    } else {
        gathered.blocks.drain(..count);
    }
}

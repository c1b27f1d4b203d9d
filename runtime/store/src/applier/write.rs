//! Gathered records become frames.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::{Arc, atomic::Ordering},
};

use fnctl_core::{id::Ordinal, record::RecordBlock};

use super::{ApplierLoop, Gathered};
use crate::{
    block::{ShardKey, block_bytes, slice},
    limits::{SEGMENT_FRAME_BYTES, SEGMENT_FRAME_BYTES_MAX, SEGMENT_WRITE_BYTES},
    segment::writer::SegmentWriter,
    usage::block_weight,
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
        while let Some(first) = gathered.blocks.front().map(|block| block.first) {
            let kept = gathered.blocks.clone();
            match self.write_frames(key, first, &mut gathered) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    gathered.blocks = kept;
                    self.gathered.insert(key, gathered);
                    self.disk_is_full();
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
            // What is left may begin with a part of a block, so both are counted.
            let count = |blocks: &VecDeque<Arc<RecordBlock>>| {
                blocks.iter().fold((0, 0), |(bytes, weight), block| {
                    (bytes + block_bytes(block), weight + block_weight(block))
                })
            };
            let ((before, weight_before), (after, weight_after)) =
                (count(&kept), count(&gathered.blocks));
            gathered.bytes = after;
            self.gathered_bytes = (self.gathered_bytes + after).saturating_sub(before);
            self.shared.space.apply(before.saturating_sub(after) as u64);
            let written = weight_before.saturating_sub(weight_after);
            self.shared.segments.usage.applied(key.0, written);
        }
        Ok(true)
    }

    /// Writes the next frames, as many as one write takes.
    fn write_frames(
        &mut self,
        key: ShardKey,
        first: Ordinal,
        gathered: &mut Gathered,
    ) -> io::Result<()> {
        let stamp = self.shared.clocks.retention_ms();
        self.ready_writer(key, first, stamp)?;
        let segment_bytes_max = self.segment_bytes(key);
        let writer = self
            .unsynced
            .get_mut(&key)
            .and_then(|writers| writers.last_mut())
            .expect("it was made ready");
        while writer.pending_bytes() < SEGMENT_WRITE_BYTES
            && !writer.is_full(stamp, segment_bytes_max)
            && let Some(blocks) = next_frame(&mut gathered.blocks)
        {
            writer.push(&blocks, gathered.lsns, stamp);
        }
        let bytes = writer.flush()?;
        self.shared.segments.update(key, writer.meta());
        self.shared.tail.applied(key, writer.meta().next);
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
        let segment_bytes_max = self.segment_bytes(key);
        let writers = self.unsynced.entry(key).or_default();
        if writers.is_empty() {
            let newest = shared.segments.newest(key);
            if let Some(meta) = newest.filter(|meta| !meta.is_sealed && meta.next == first) {
                let writer = SegmentWriter::resume(&shared.segments, key, meta);
                writers.push(writer.map_err(io::Error::other)?);
            }
        }
        if let Some(last) = writers.last_mut() {
            if last.meta().next == first && !last.is_full(stamp, segment_bytes_max) {
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

/// Takes the blocks of the next frame: small ones together, of a large one what a frame holds.
fn next_frame(blocks: &mut VecDeque<Arc<RecordBlock>>) -> Option<Vec<Arc<RecordBlock>>> {
    let first = blocks.pop_front()?;
    if first.records.byte_len() > SEGMENT_FRAME_BYTES_MAX && first.len() > 1 {
        let count = records_within(&first, SEGMENT_FRAME_BYTES_MAX);
        if count < first.len() {
            blocks.push_front(Arc::new(slice(&first, count..first.len())));
            return Some(vec![Arc::new(slice(&first, 0..count))]);
        }
    }
    let has_origins = !first.origins.is_empty();
    let (mut bytes, mut next) = (first.records.byte_len(), first.last().next());
    let mut frame = vec![first];
    while bytes < SEGMENT_FRAME_BYTES
        && let Some(block) = blocks.pop_front_if(|block| {
            block.first == next
                && block.origins.is_empty() != has_origins
                && block.records.byte_len() < SEGMENT_FRAME_BYTES
        })
    {
        bytes += block.records.byte_len();
        next = block.last().next();
        frame.push(block);
    }
    Some(frame)
}

/// How many of a block's first records stay within `bytes`; at least one.
fn records_within(block: &RecordBlock, bytes: usize) -> usize {
    let (keys, data) = (&block.records.keys.ends, &block.records.data.ends);
    let is_within = |&(key, data): &(u32, u32)| key as usize + data as usize <= bytes;
    let pairs: Vec<(u32, u32)> = keys.iter().copied().zip(data.iter().copied()).collect();
    pairs.partition_point(is_within).max(1)
}

//! Reads records back: find the segment, find the frame, check it, hand out its bytes.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId, Timestamp},
    record::RecordBlock,
};

use crate::{
    block::ShardKey,
    limits::{READ_BYTES_MAX, SEGMENT_INDEX_BYTES},
    segment::{
        SegmentMeta, Segments,
        buffers::ReadBuffers,
        frame::{FrameHeader, FrameKind, HEADER_BYTES},
        open::{IndexEntry, OpenSegment},
        path,
    },
};

/// Why records cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No such stream or shard.
    #[error("no such shard")]
    NoSuchShard,
    /// Retention has taken the record after the given position.
    #[error("the position was trimmed, records start at {horizon}")]
    Trimmed {
        /// The oldest record that is shown.
        horizon: Ordinal,
    },
    /// The file is not what was written.
    #[error("{} is damaged at offset {offset}: stream {stream}, shard {shard}, records {first} up to {next}", file.display())]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// The stream.
        stream: StreamId,
        /// The shard.
        shard: ShardNumber,
        /// First record of the segment.
        first: Ordinal,
        /// First record behind the segment.
        next: Ordinal,
    },
    /// The disk failed.
    #[error("{}: {error}", file.display())]
    Io {
        /// The segment.
        file: PathBuf,
        /// What the system said.
        error: String,
    },
}

impl Segments {
    /// Opens a segment, or finds it open.
    pub(crate) fn open(
        &self,
        key: ShardKey,
        meta: &SegmentMeta,
    ) -> Result<Arc<OpenSegment>, ReadError> {
        let file = || path(&self.data, key, meta.base);
        let open = || {
            let path = file();
            let file = if meta.is_sealed {
                self.disk.open(&path)?
            } else {
                self.disk.open_log(&path)?
            };
            Ok(OpenSegment::new(path, file))
        };
        self.open
            .get(open, (key, meta.base))
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => ReadError::Damaged {
                    file: file(),
                    offset: 0,
                    stream: key.0,
                    shard: key.1,
                    first: meta.base,
                    next: meta.next,
                },
                _ => ReadError::Io {
                    file: file(),
                    error: error.to_string(),
                },
            })
    }

    /// Keeps a segment open that was just made.
    pub(crate) fn keep_open(&self, key: ShardKey, base: Ordinal, segment: &Arc<OpenSegment>) {
        self.open.put((key, base), segment);
    }

    /// Blocks from the one that holds the record after `after`, up to about `bytes_max` and at least
    /// one; empty when no segment reaches that far.
    pub(crate) fn read(
        &self,
        key: ShardKey,
        after: Ordinal,
        bytes_max: usize,
    ) -> Result<Vec<Arc<RecordBlock>>, ReadError> {
        let wanted = after.next();
        let Some(meta) = self.find(key, wanted) else {
            return Ok(Vec::new());
        };
        let segment = self.open(key, &meta)?;
        if meta.base > wanted {
            // Ordinals have no gap: what lies between is missing.
            return Err(segment.damaged(
                key,
                &SegmentMeta {
                    next: meta.base,
                    base: wanted,
                    ..meta
                },
                0,
            ));
        }
        let offset = segment.with_index(key, &meta, |entries| start(entries, wanted));
        let mut found = Vec::new();
        let frames = Frames {
            segment: &segment,
            buffers: &self.buffers,
            key,
            meta: &meta,
        };
        match frames.read(offset, wanted, bytes_max, &mut found) {
            // What lies in front of a hole is readable: whoever goes on from there meets it.
            Err(_) if found.first().is_some_and(|block| block.first <= wanted) => Ok(found),
            Err(error) => Err(error),
            Ok(()) => Ok(found),
        }
    }

    /// The first record of the shard's segments that arrived at or after `time`; `None`: none did.
    pub(crate) fn find_time(
        &self,
        key: ShardKey,
        time: Timestamp,
    ) -> Result<Option<Ordinal>, ReadError> {
        let segments = self.of(key);
        let at = segments.partition_point(|segment| segment.last_arrival < time);
        let Some(meta) = segments.get(at) else {
            return Ok(None);
        };
        if meta.first_arrival >= time {
            // The segments in front of it end before that.
            return Ok(Some(meta.base));
        }
        let segment = self.open(key, meta)?;
        let mut wanted = segment.with_index(key, meta, |entries| {
            let at = entries.partition_point(|entry| entry.first_arrival < time);
            entries
                .get(at.saturating_sub(1))
                .map_or(meta.base, |entry| entry.first)
        });
        while wanted < meta.next {
            // It is in the run that was found, or begins the next one.
            for block in self.read(key, Ordinal(wanted.0 - 1), SEGMENT_INDEX_BYTES as usize)? {
                let at = block.records.arrival_ms.partition_point(|&ms| ms < time.0);
                if at < block.len() {
                    return Ok(Some(block.ordinal(at)));
                }
                wanted = block.last().next();
            }
        }
        Ok(None)
    }

    /// First record of the shard's segments whose frame was written after `stamp` on the retention
    /// clock; the end of the segments when there is none.
    pub(crate) fn find_stamp(
        &self,
        key: ShardKey,
        stamp: u64,
    ) -> Result<Option<Ordinal>, ReadError> {
        let segments = self.of(key);
        let Some(last) = segments.last() else {
            return Ok(None);
        };
        let at = segments.partition_point(|segment| segment.last_stamp <= stamp);
        let Some(meta) = segments.get(at) else {
            return Ok(Some(last.next));
        };
        if meta.first_stamp > stamp {
            return Ok(Some(meta.base));
        }
        let segment = self.open(key, meta)?;
        let mut offset = segment.with_index(key, meta, |entries| {
            let at = entries.partition_point(|entry| entry.stamp <= stamp);
            entries
                .get(at.saturating_sub(1))
                .map_or(0, |entry| entry.offset)
        });
        while offset < meta.length {
            let header = segment.header(key, meta, offset)?;
            if header.kind == FrameKind::Records && header.stamp > stamp {
                return Ok(Some(header.first));
            }
            offset += header.frame_bytes();
        }
        Ok(Some(meta.next))
    }
}

/// Offset of the run of frames that holds `wanted`.
fn start(entries: &[IndexEntry], wanted: Ordinal) -> u64 {
    let at = entries.partition_point(|entry| entry.first <= wanted);
    entries
        .get(at.saturating_sub(1))
        .map_or(0, |entry| entry.offset)
}

/// The frames of one segment, and where they are read to.
struct Frames<'a> {
    segment: &'a OpenSegment,
    buffers: &'a Arc<ReadBuffers>,
    key: ShardKey,
    meta: &'a SegmentMeta,
}

impl Frames<'_> {
    /// Gathers blocks from `offset` on into `found`; at an error it holds what lies in front of it.
    fn read(
        &self,
        mut offset: u64,
        wanted: Ordinal,
        bytes_max: usize,
        found: &mut Vec<Arc<RecordBlock>>,
    ) -> Result<(), ReadError> {
        let Self {
            segment, key, meta, ..
        } = *self;
        let (mut bytes, mut size) = (0, bytes_max.clamp(READ_BYTES_MAX / 8, READ_BYTES_MAX));
        while found.is_empty() && offset < meta.length {
            let chunk = self.chunk(offset, size)?;
            let mut at = 0;
            while bytes < bytes_max || found.is_empty() {
                let rest = chunk.slice(at..);
                if rest.len() < HEADER_BYTES {
                    break;
                }
                let header = FrameHeader::parse(&rest)
                    .filter(|header| header.salt == meta.salt && header.shard == key)
                    .ok_or_else(|| segment.damaged(key, meta, offset))?;
                let length = usize::try_from(header.frame_bytes()).expect("frames fit memory");
                if header.kind != FrameKind::Records || header.next() <= wanted {
                    // Nothing of it is wanted; the next one may lie behind this piece.
                    offset += header.frame_bytes();
                    at += length;
                    if at >= chunk.len() {
                        break;
                    }
                    continue;
                }
                if rest.len() < length {
                    // All of it was asked for: the file ends inside the frame, or its length is wrong.
                    if at == 0 && size >= length {
                        return Err(segment.damaged(key, meta, offset));
                    }
                    size = size.max(length);
                    break;
                }
                let frame = rest.slice(..length);
                let expected = found.last().map(|block| block.last().next());
                let is_next = expected.is_none_or(|expected| expected == header.first);
                if !header.matches(&frame) || !is_next {
                    return Err(segment.damaged(key, meta, offset));
                }
                let block = header
                    .decode(&frame)
                    .map_err(|_| segment.damaged(key, meta, offset))?;
                bytes += length;
                offset += header.frame_bytes();
                at += length;
                found.push(Arc::new(block));
            }
            if chunk.len() < HEADER_BYTES {
                return Err(segment.damaged(key, meta, offset));
            }
        }
        match found.first() {
            Some(block) if block.first <= wanted => Ok(()),
            _ => Err(segment.damaged(key, meta, offset)),
        }
    }

    /// Up to `size` bytes from `offset` on, fewer at the end of the segment.
    fn chunk(&self, offset: u64, size: usize) -> Result<Bytes, ReadError> {
        let left = usize::try_from(self.meta.length - offset).unwrap_or(usize::MAX);
        let read = self.buffers.fill(size.min(left), |bytes| {
            self.segment.file.read_at(bytes, offset)
        });
        read.map_err(|e| self.segment.io(&e))
    }
}

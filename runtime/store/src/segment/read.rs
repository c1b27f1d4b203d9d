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
        /// First record that cannot be read: the one that was wanted, or one in front of it.
        first: Ordinal,
        /// First record behind them. There reading goes on, or meets the next part of a long hole.
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
            return Err(segment.damaged(key, 0, (wanted, meta.base)));
        }
        let run = segment.with_index(key, &meta, |entries| Run::of(entries, &meta, wanted));
        let mut found = Vec::new();
        let frames = Frames {
            segment: &segment,
            buffers: &self.buffers,
            key,
            meta: &meta,
        };
        match frames.read(run, wanted, bytes_max, &mut found) {
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
            let before = at.checked_sub(1).map(|at| entries[at]);
            before.map_or(meta.base, |entry| entry.first)
        });
        // The hole that ends at `wanted`.
        let mut hole = None;
        while wanted < meta.next {
            // It is in the run that was found, or begins the next one.
            let before = Ordinal(wanted.0 - 1);
            let read = match self.read(key, before, SEGMENT_INDEX_BYTES as usize) {
                Ok(read) => read,
                Err(error @ ReadError::Damaged { next, .. }) if next > wanted => {
                    hole.get_or_insert(error);
                    wanted = next;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for block in read {
                let at = block.records.arrival_ms.partition_point(|&ms| ms < time.0);
                let found = (at < block.len()).then(|| block.ordinal(at));
                // Where the first one behind a hole came before that time, so did all that was in it.
                match (found, hole.take()) {
                    (Some(found), Some(error)) if found <= wanted => return Err(error),
                    (Some(found), _) => return Ok(Some(found)),
                    (None, _) => wanted = block.last().next(),
                }
            }
        }
        hole.map_or(Ok(None), Err)
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
        let (mut offset, mut reach) = segment.with_index(key, meta, |entries| {
            let at = entries.partition_point(|entry| entry.stamp <= stamp);
            let before = at.checked_sub(1).map(|at| entries[at]);
            before.map_or((0, meta.base), |entry| (entry.offset, entry.first))
        });
        while offset < meta.length {
            let found = match segment.header(key, meta, offset)? {
                Some(header) => Some((offset, header)),
                None => segment.frame_behind(key, meta, (offset, meta.length), reach)?,
            };
            let Some((at, header)) = found else {
                break;
            };
            if header.kind == FrameKind::Records {
                if header.stamp > stamp {
                    // Of a hole in front of it nobody knows when it was written: it goes with what is behind it.
                    break;
                }
                reach = header.next();
            }
            offset = at + header.frame_bytes();
        }
        Ok(Some(reach))
    }
}

/// A run of frames that an entry of the index begins.
#[derive(Clone, Copy, Debug)]
struct Run {
    offset: u64,
    /// First record of it.
    first: Ordinal,
    /// Where the next one begins, and its first record; the end of the segment behind the last.
    end: (u64, Ordinal),
}

impl Run {
    /// The one that holds `wanted`.
    fn of(entries: &[IndexEntry], meta: &SegmentMeta, wanted: Ordinal) -> Self {
        let at = entries.partition_point(|entry| entry.first <= wanted);
        // In front of the first entry lies what cannot be read.
        let before = at.checked_sub(1).map(|at| entries[at]);
        let (offset, first) = before.map_or((0, meta.base), |entry| (entry.offset, entry.first));
        let end = entries.get(at).map(|entry| (entry.offset, entry.first));
        let end = end.unwrap_or((meta.length, meta.next));
        Self { offset, first, end }
    }
}

/// The frames of one segment, and where they are read to.
struct Frames<'a> {
    segment: &'a OpenSegment,
    buffers: &'a Arc<ReadBuffers>,
    key: ShardKey,
    meta: &'a SegmentMeta,
}

impl Frames<'_> {
    /// Gathers blocks of a run and what follows into `found`, from the one that holds `wanted` on. What is damaged
    /// in front of that is passed over; at an error it holds what lies in front of the damage.
    fn read(
        &self,
        run: Run,
        wanted: Ordinal,
        bytes_max: usize,
        found: &mut Vec<Arc<RecordBlock>>,
    ) -> Result<(), ReadError> {
        let Self {
            segment, key, meta, ..
        } = *self;
        // First record behind those that were passed.
        let (mut offset, mut reach) = (run.offset, run.first);
        let (mut bytes, mut size) = (0, bytes_max.clamp(READ_BYTES_MAX / 8, READ_BYTES_MAX));
        while found.is_empty() && offset < meta.length {
            let chunk = self.chunk(offset, size)?;
            let mut at = 0;
            while bytes < bytes_max || found.is_empty() {
                let rest = chunk.slice(at..);
                // The next one may lie behind this piece.
                if rest.len() < HEADER_BYTES && at > 0 {
                    break;
                }
                let header = FrameHeader::parse(&rest)
                    .filter(|header| header.salt == meta.salt && header.shard == key);
                let Some(header) = header else {
                    if found.is_empty() {
                        (offset, reach) = self.behind(offset, reach, run, wanted)?;
                    }
                    break;
                };
                let length = usize::try_from(header.frame_bytes()).expect("frames fit memory");
                if header.kind != FrameKind::Records || header.next() <= wanted {
                    // Nothing of it is wanted.
                    if header.kind == FrameKind::Records {
                        reach = header.next();
                    }
                    offset += header.frame_bytes();
                    at += length;
                    if at >= chunk.len() {
                        break;
                    }
                    continue;
                }
                if found.is_empty() && header.first > wanted {
                    return Err(segment.damaged(key, offset, (reach, header.first)));
                }
                let lost = || segment.damaged(key, offset, (header.first, header.next()));
                if rest.len() < length {
                    // All of it was asked for: the file ends inside the frame.
                    if at == 0 && size >= length {
                        return Err(lost());
                    }
                    size = size.max(length);
                    break;
                }
                let expected = found.last().map(|block| block.last().next());
                let is_next = expected.is_none_or(|expected| expected == header.first);
                let frame = rest.slice(..length);
                if !header.matches(&frame) || !is_next {
                    return Err(lost());
                }
                let block = header.decode(&frame).map_err(|_| lost())?;
                bytes += length;
                offset += header.frame_bytes();
                at += length;
                found.push(Arc::new(block));
            }
        }
        match found.is_empty() {
            false => Ok(()),
            true => Err(segment.damaged(key, offset, (reach, meta.next))),
        }
    }

    /// Where frames of a run go on behind `offset`, where there is none, and the first record there: for a reader
    /// that has passed what is below `reach`.
    ///
    /// # Errors
    /// They go on behind `wanted`: it cannot be read.
    fn behind(
        &self,
        offset: u64,
        reach: Ordinal,
        run: Run,
        wanted: Ordinal,
    ) -> Result<(u64, Ordinal), ReadError> {
        let (segment, key, meta) = (self.segment, self.key, self.meta);
        // What is behind the run is behind `wanted`, too.
        let found = segment.frame_behind(key, meta, (offset, run.end.0), reach)?;
        let (at, first) = found.map_or(run.end, |(at, header)| (at, header.first));
        if first > wanted {
            return Err(segment.damaged(key, offset, (reach, first)));
        }
        Ok((at, first))
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

//! Segments open for reading: file and sparse index, the least used let go.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use fnctl_core::id::{Ordinal, Timestamp};

use crate::{
    block::ShardKey,
    codec::{self, Value, fields},
    disk::DiskFile,
    journal::scan::ChunkReader,
    limits::{OPEN_SEGMENTS_MAX, READ_BYTES_MAX, SEGMENT_INDEX_BYTES},
    segment::{
        SegmentMeta,
        frame::{FrameHeader, FrameKind, HEADER_BYTES},
        read::ReadError,
        resync::next_header,
    },
};

/// Where a run of frames starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) first: Ordinal,
    pub(crate) offset: u64,
    pub(crate) first_arrival: Timestamp,
    pub(crate) stamp: u64,
}

fields!(IndexEntry {
    first,
    offset,
    first_arrival,
    stamp
});

const INDEX_FORMAT: u8 = 1;

/// A segment's file and what is known of its inside.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    index: Mutex<SegmentIndex>,
}

/// A sparse index, as far as the segment was walked.
#[derive(Debug, Default)]
struct SegmentIndex {
    entries: Vec<IndexEntry>,
    /// Everything below this offset is indexed, or cannot be.
    covered: u64,
    /// First record behind those below `covered`, where that is known.
    reach: Ordinal,
}

impl SegmentIndex {
    fn note(&mut self, header: &FrameHeader, offset: u64) {
        self.reach = header.next();
        let is_far = |last: &IndexEntry| offset >= last.offset + SEGMENT_INDEX_BYTES;
        if self.entries.last().is_none_or(is_far) {
            self.entries.push(IndexEntry {
                first: header.first,
                offset,
                first_arrival: header.first_arrival,
                stamp: header.stamp,
            });
        }
    }
}

impl OpenSegment {
    pub(crate) fn new(path: PathBuf, file: Arc<dyn DiskFile>) -> Self {
        Self {
            path,
            file,
            index: Mutex::default(),
        }
    }

    /// Takes a frame that was just written into the index, so that nobody has to read it back for it.
    pub(crate) fn note(&self, header: &FrameHeader, offset: u64) {
        let mut index = self.index.lock().expect("nothing panics under this lock");
        // What lies before it has to be walked first, if a start found it there.
        if index.covered == offset {
            if header.kind == FrameKind::Records {
                index.note(header, offset);
            }
            index.covered = match header.kind {
                // Nothing comes behind a footer but its length.
                FrameKind::Footer => u64::MAX,
                FrameKind::Header | FrameKind::Records => offset + header.frame_bytes(),
            };
        }
    }

    /// Reads the header of the frame at `offset`; `None`: it is not sound, or none of this segment.
    pub(crate) fn header(
        &self,
        shard: ShardKey,
        meta: &SegmentMeta,
        offset: u64,
    ) -> Result<Option<FrameHeader>, ReadError> {
        let mut bytes = [0; HEADER_BYTES];
        let filled = self
            .file
            .read_at(&mut bytes, offset)
            .map_err(|e| self.io(&e))?;
        let header = FrameHeader::parse(&bytes[..filled]);
        Ok(header.filter(|header| header.salt == meta.salt && header.shard == shard))
    }

    /// Where frames go on behind `offset`, where there is none, and below `end`: the first of which no record
    /// lies before `reach`. A payload may hold a copy of an earlier frame, which is none here.
    pub(crate) fn frame_behind(
        &self,
        shard: ShardKey,
        meta: &SegmentMeta,
        (offset, end): (u64, u64),
        reach: Ordinal,
    ) -> Result<Option<(u64, FrameHeader)>, ReadError> {
        let file = Arc::clone(&self.file);
        let mut reader = ChunkReader::of_pieces(file, meta.length, READ_BYTES_MAX);
        let is_ours = |header: &FrameHeader| {
            header.salt == meta.salt
                && header.shard == shard
                && header.kind != FrameKind::Header
                && header.first >= reach
                && header.next() <= meta.next
        };
        next_header(&mut reader, offset + 1, end, is_ours).map_err(|e| self.io(&e))
    }

    /// Walks the part of the segment that is not indexed yet, and goes on behind what is damaged; sealed
    /// segments tell by their footer. Then runs `f` on the index: whoever reads on from there finds what is
    /// readable, and meets what is not.
    pub(crate) fn with_index<R>(
        &self,
        shard: ShardKey,
        meta: &SegmentMeta,
        f: impl FnOnce(&[IndexEntry]) -> R,
    ) -> R {
        let mut index = self.index.lock().expect("nothing panics under this lock");
        if index.covered == 0
            && let Some(entries) = self.footer(meta)
        {
            index.entries = entries;
            index.covered = meta.length;
        }
        while index.covered < meta.length {
            let (reach, offset) = (index.reach.max(meta.base), index.covered);
            let here = self.header(shard, meta, offset);
            let found = here.and_then(|header| match header {
                Some(header) => Ok(Some((offset, header))),
                None => self.frame_behind(shard, meta, (offset, meta.length), reach),
            });
            let (offset, header) = match found {
                Ok(Some(found)) => found,
                Ok(None) => {
                    index.covered = meta.length;
                    break;
                }
                // Whoever reads on meets it.
                Err(_) => break,
            };
            if header.kind == FrameKind::Records {
                index.note(&header, offset);
            }
            index.covered = match header.kind {
                // Nothing but its length lies behind a footer.
                FrameKind::Footer => meta.length,
                FrameKind::Header | FrameKind::Records => offset + header.frame_bytes(),
            };
        }
        f(&index.entries)
    }

    /// The index of a sealed segment; `None` if it has none that is whole, then it is walked.
    fn footer(&self, meta: &SegmentMeta) -> Option<Vec<IndexEntry>> {
        if !meta.is_sealed {
            return None;
        }
        // The last eight bytes of a sealed segment are the length of its footer frame.
        let mut tail = [0; 8];
        let at = meta.length.checked_sub(8)?;
        (self.file.read_at(&mut tail, at).ok()? == 8).then_some(())?;
        let length = u64::from_le_bytes(tail);
        let start = at.checked_sub(length)?;
        let mut frame = vec![0; usize::try_from(length).ok()?];
        (self.file.read_at(&mut frame, start).ok()? == frame.len()).then_some(())?;
        let header = FrameHeader::parse(&frame)?;
        let is_whole =
            header.kind == FrameKind::Footer && header.salt == meta.salt && header.matches(&frame);
        is_whole.then_some(())?;
        codec::decode(INDEX_FORMAT, Bytes::from(frame).slice(header.payload())).ok()
    }

    /// What goes into a footer.
    pub(crate) fn encode_index(entries: &[IndexEntry], out: &mut Vec<u8>) {
        out.push(INDEX_FORMAT);
        entries.to_vec().put(out);
    }

    pub(crate) fn io(&self, error: &io::Error) -> ReadError {
        ReadError::Io {
            file: self.path.clone(),
            error: error.to_string(),
        }
    }

    /// What a reader is told who wants one of the records from `first` on, up to before `next`, and met bytes at
    /// `offset` that are not what was written.
    pub(crate) fn damaged(
        &self,
        shard: ShardKey,
        offset: u64,
        (first, next): (Ordinal, Ordinal),
    ) -> ReadError {
        ReadError::Damaged {
            file: self.path.clone(),
            offset,
            stream: shard.0,
            shard: shard.1,
            first,
            next,
        }
    }
}

type SegmentKey = (ShardKey, Ordinal);

/// Open segments, at most [`OPEN_SEGMENTS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct OpenSegments(Mutex<Lru>);

#[derive(Debug, Default)]
struct Lru {
    segments: HashMap<SegmentKey, (Arc<OpenSegment>, u64)>,
    uses: u64,
}

impl OpenSegments {
    pub(crate) fn get(
        &self,
        open: impl FnOnce() -> io::Result<OpenSegment>,
        key: SegmentKey,
    ) -> io::Result<Arc<OpenSegment>> {
        {
            let mut lru = self.0.lock().expect("nothing panics under this lock");
            lru.uses += 1;
            let now = lru.uses;
            if let Some((segment, used)) = lru.segments.get_mut(&key) {
                *used = now;
                return Ok(Arc::clone(segment));
            }
        }
        let segment = Arc::new(open()?);
        self.put(key, &segment);
        Ok(segment)
    }

    pub(crate) fn put(&self, key: SegmentKey, segment: &Arc<OpenSegment>) {
        let mut lru = self.0.lock().expect("nothing panics under this lock");
        lru.uses += 1;
        let now = lru.uses;
        lru.segments.insert(key, (Arc::clone(segment), now));
        if lru.segments.len() > OPEN_SEGMENTS_MAX {
            let oldest = lru.segments.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                lru.segments.remove(&oldest);
            }
        }
    }

    pub(crate) fn forget(&self, key: SegmentKey) {
        self.0
            .lock()
            .expect("nothing panics under this lock")
            .segments
            .remove(&key);
    }
}

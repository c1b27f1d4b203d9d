//! Writes one shard's segments.

use std::{io, path::Path, sync::Arc};

use fnctl_core::{
    id::{Lsn, Ordinal, Timestamp},
    record::RecordBlock,
};

use crate::{
    block::ShardKey,
    codec,
    disk::{Disk, parent},
    limits::SEGMENT_AGE_MS,
    segment::{
        SegmentMeta, Segments,
        frame::{FrameHeader, FrameKind, HEADER_BYTES, seal},
        open::OpenSegment,
        path,
        read::ReadError,
    },
};

/// A segment that may have bytes that are not synced.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    key: ShardKey,
    /// What was written.
    meta: SegmentMeta,
    open: Arc<OpenSegment>,
    is_new: bool,
    /// Frames that are not written yet, and what the segment will be with them.
    buffer: Vec<u8>,
    frames: Vec<(FrameHeader, u64)>,
    ahead: SegmentMeta,
}

impl SegmentWriter {
    /// Goes on with a segment whose recorded length is the file's.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn resume(
        segments: &Segments,
        key: ShardKey,
        meta: SegmentMeta,
    ) -> Result<Self, ReadError> {
        Ok(Self {
            key,
            meta,
            open: segments.open(key, &meta)?,
            is_new: false,
            buffer: Vec::new(),
            frames: Vec::new(),
            ahead: meta,
        })
    }

    /// Makes a segment for the records from `base` on.
    ///
    /// # Errors
    /// Any failure; the file is removed again.
    pub(crate) fn create(
        disk: &dyn Disk,
        data: &Path,
        key: ShardKey,
        base: Ordinal,
        stamp: u64,
    ) -> io::Result<Self> {
        let path = path(data, key, base);
        disk.create_dir(parent(&path))?;
        let file = disk.create_log(&path)?;
        let meta = SegmentMeta {
            base,
            next: base,
            length: 0,
            salt: disk.salt(),
            first_arrival: Timestamp(0),
            last_arrival: Timestamp(0),
            first_stamp: stamp,
            last_stamp: stamp,
            is_sealed: false,
        };
        let mut writer = Self {
            key,
            meta,
            open: Arc::new(OpenSegment::new(path, file)),
            is_new: true,
            buffer: Vec::new(),
            frames: Vec::new(),
            ahead: meta,
        };
        let header = writer.header(FrameKind::Header, stamp);
        let start = writer.begin();
        writer.end(start, header);
        if let Err(error) = writer.flush() {
            drop(disk.remove(&writer.open.path));
            return Err(error);
        }
        Ok(writer)
    }

    pub(crate) const fn meta(&self) -> SegmentMeta {
        self.meta
    }

    pub(crate) const fn open(&self) -> &Arc<OpenSegment> {
        &self.open
    }

    /// Whether the next frame belongs into a new segment: full, old, or all of it expired.
    pub(crate) const fn is_full(&self, stamp: u64, bytes_max: u64) -> bool {
        self.ahead.is_sealed
            || self.ahead.length >= bytes_max
            || (self.ahead.next.0 > self.ahead.base.0
                && stamp.saturating_sub(self.ahead.first_stamp) >= SEGMENT_AGE_MS)
    }

    /// Bytes of frames that are not written yet.
    pub(crate) const fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Takes blocks that follow each other as one frame, for [`Self::flush`] to write.
    pub(crate) fn push(&mut self, blocks: &[Arc<RecordBlock>], lsns: (Lsn, Lsn), stamp: u64) {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return;
        };
        assert_eq!(first.first, self.ahead.next, "a shard's frames have no gap");
        let next = last.last().next();
        let header = FrameHeader {
            first: first.first,
            lsns,
            records: u32::try_from(next.0 - first.first.0).expect("a frame holds fewer records"),
            first_arrival: first.arrival(0),
            last_arrival: last.arrival(last.len() - 1),
            ..self.header(FrameKind::Records, stamp)
        };
        let start = self.begin();
        codec::block::put(blocks, &mut self.buffer);
        self.end(start, header);
        if self.ahead.next == self.ahead.base {
            self.ahead.first_arrival = header.first_arrival;
            self.ahead.first_stamp = stamp;
        }
        self.ahead.next = next;
        self.ahead.last_arrival = header.last_arrival;
        self.ahead.last_stamp = stamp;
    }

    /// Appends the frames taken, in one write. Answers their bytes.
    ///
    /// # Errors
    /// Any failure; the segment ends where it ended before, and the frames have to be taken again.
    pub(crate) fn flush(&mut self) -> io::Result<u64> {
        let file = &self.open.file;
        if let Err(error) = file.write_at(&self.buffer, self.meta.length) {
            self.buffer.clear();
            self.frames.clear();
            self.ahead = self.meta;
            // Cut back to the last good end, so that a retry starts clean.
            file.truncate(self.meta.length)?;
            return Err(error);
        }
        for (header, offset) in self.frames.drain(..) {
            self.open.note(&header, offset);
        }
        self.meta = self.ahead;
        let bytes = self.buffer.len() as u64;
        self.buffer.clear();
        Ok(bytes)
    }

    /// Ends the segment with its index.
    ///
    /// # Errors
    /// Any failure; the segment ends where it ended before.
    pub(crate) fn seal(&mut self, stamp: u64) -> io::Result<()> {
        let mut index = Vec::new();
        self.open.with_index(self.key, &self.meta, |entries| {
            OpenSegment::encode_index(entries, &mut index);
        });
        let start = self.begin();
        self.buffer.extend_from_slice(&index);
        self.end(start, self.header(FrameKind::Footer, stamp));
        let length = (self.buffer.len() - start) as u64;
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.ahead.length += 8;
        self.ahead.is_sealed = true;
        self.flush().map(drop)
    }

    /// Makes the segment durable; the directory is the caller's to sync when [`Self::is_new`].
    ///
    /// # Errors
    /// Any failure: the node stops.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.open.file.sync()
    }

    /// Whether its name is not durable yet.
    pub(crate) const fn is_new(&self) -> bool {
        self.is_new
    }

    const fn header(&self, kind: FrameKind, stamp: u64) -> FrameHeader {
        FrameHeader {
            length: 0,
            crc: 0,
            salt: self.meta.salt,
            shard: self.key,
            first: self.ahead.next,
            lsns: (Lsn(0), Lsn(0)),
            records: 0,
            kind,
            required: 0,
            optional: 0,
            first_arrival: Timestamp(0),
            last_arrival: Timestamp(0),
            stamp,
            journal: 0,
        }
    }

    /// Makes room for a frame's header; answers where the frame starts.
    fn begin(&mut self) -> usize {
        let start = self.buffer.len();
        self.buffer.resize(start + HEADER_BYTES, 0);
        start
    }

    /// Completes the frame that starts at `start`.
    fn end(&mut self, start: usize, mut header: FrameHeader) {
        seal(&mut self.buffer, start, &header);
        let payload = self.buffer.len() - start - HEADER_BYTES;
        // With its padding: only where the next frame starts is asked of it.
        header.length = u32::try_from(payload).expect("a frame stays below 4 GiB");
        self.frames.push((header, self.ahead.length));
        self.ahead.length += header.frame_bytes();
    }
}

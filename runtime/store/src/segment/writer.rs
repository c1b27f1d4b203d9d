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
    meta: SegmentMeta,
    open: Arc<OpenSegment>,
    is_new: bool,
    buffer: Vec<u8>,
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
        let file = disk.create(&path)?;
        let mut writer = Self {
            key,
            meta: SegmentMeta {
                base,
                next: base,
                length: 0,
                salt: disk.salt(),
                first_arrival: Timestamp(0),
                last_arrival: Timestamp(0),
                first_stamp: stamp,
                last_stamp: stamp,
                is_sealed: false,
            },
            open: Arc::new(OpenSegment::new(path, file)),
            is_new: true,
            buffer: Vec::new(),
        };
        let header = writer.header(FrameKind::Header, stamp);
        writer.buffer.resize(HEADER_BYTES, 0);
        if let Err(error) = writer.write_sealed(&header) {
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
        self.meta.is_sealed
            || self.meta.length >= bytes_max
            || (self.meta.next.0 > self.meta.base.0
                && stamp.saturating_sub(self.meta.first_stamp) >= SEGMENT_AGE_MS)
    }

    /// Appends a frame. Answers its bytes.
    ///
    /// # Errors
    /// Any failure; the segment ends where it ended before.
    pub(crate) fn write(
        &mut self,
        block: &RecordBlock,
        lsns: (Lsn, Lsn),
        stamp: u64,
    ) -> io::Result<u64> {
        assert_eq!(block.first, self.meta.next, "a shard's frames have no gap");
        let count = u32::try_from(block.len()).expect("a frame holds fewer records");
        let header = FrameHeader {
            first: block.first,
            lsns,
            records: count,
            first_arrival: block.arrival(0),
            last_arrival: block.arrival(block.len() - 1),
            ..self.header(FrameKind::Records, stamp)
        };
        self.buffer.clear();
        self.buffer.resize(HEADER_BYTES, 0);
        codec::block::put(block, &mut self.buffer);
        self.write_sealed(&header)?;
        if self.meta.next == self.meta.base {
            self.meta.first_arrival = header.first_arrival;
            self.meta.first_stamp = stamp;
        }
        self.meta.next = header.next();
        self.meta.last_arrival = header.last_arrival;
        self.meta.last_stamp = stamp;
        Ok(self.buffer.len() as u64)
    }

    /// Ends the segment with its index.
    ///
    /// # Errors
    /// Any failure; the segment ends where it ended before.
    pub(crate) fn seal(&mut self, stamp: u64) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.resize(HEADER_BYTES, 0);
        let buffer = &mut self.buffer;
        self.open
            .with_index(self.key, &self.meta, |entries| {
                OpenSegment::encode_index(entries, buffer);
            })
            .map_err(io::Error::other)?;
        let header = self.header(FrameKind::Footer, stamp);
        seal(&mut self.buffer, 0, &header);
        let length = self.buffer.len() as u64;
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.put()?;
        self.meta.is_sealed = true;
        Ok(())
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
            first: self.meta.next,
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

    fn write_sealed(&mut self, header: &FrameHeader) -> io::Result<()> {
        seal(&mut self.buffer, 0, header);
        self.put()
    }

    fn put(&mut self) -> io::Result<()> {
        let file = &self.open.file;
        if let Err(error) = file.write_at(&self.buffer, self.meta.length) {
            // Cut back to the last good end, so that a retry starts clean.
            file.truncate(self.meta.length)?;
            return Err(error);
        }
        self.meta.length += self.buffer.len() as u64;
        Ok(())
    }
}

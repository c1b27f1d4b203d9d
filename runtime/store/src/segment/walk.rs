//! Walks a segment from front to back and goes on behind what is damaged: for those who look at every
//! byte. Readers are stopped by what is damaged of what they want, and by nothing else (`read.rs`).

use std::{io, sync::Arc};

use bytes::Bytes;

use crate::{
    block::ShardKey,
    disk::DiskFile,
    journal::scan::ChunkReader,
    segment::{
        frame::{FrameHeader, FrameKind, HEADER_BYTES},
        resync::next_header,
    },
};

/// What lies at an offset of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Walked {
    pub(crate) offset: u64,
    /// Bytes to where the next one begins.
    pub(crate) length: u64,
    pub(crate) found: Found,
}

/// What it is.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A whole frame, header included.
    Frame(FrameHeader, Bytes),
    /// A frame of another shard or of an earlier life of the name.
    Foreign,
    /// Bytes that are no frame.
    Damaged,
    /// The length of the footer in front, the last eight bytes of a sealed segment.
    Trailer,
}

/// A walk over the first `end` bytes of a segment.
pub(crate) struct Walk {
    reader: ChunkReader,
    /// Whose frames these are; taken from the first sound one when it is not known.
    shard: Option<ShardKey>,
    salt: Option<u64>,
    offset: u64,
    end: u64,
    is_behind_footer: bool,
}

impl Walk {
    /// Of a segment whose shard and salt are recorded.
    pub(crate) fn new(file: Arc<dyn DiskFile>, shard: ShardKey, salt: u64, end: u64) -> Self {
        Self {
            shard: Some(shard),
            salt: Some(salt),
            ..Self::of_unknown(file, end)
        }
    }

    /// As [`Self::new`], in pieces of `piece` bytes.
    pub(crate) fn of_pieces(
        file: Arc<dyn DiskFile>,
        shard: ShardKey,
        salt: u64,
        end: u64,
        piece: usize,
    ) -> Self {
        Self {
            reader: ChunkReader::of_pieces(Arc::clone(&file), end, piece),
            ..Self::new(file, shard, salt, end)
        }
    }

    /// Of a file of which nothing is recorded.
    pub(crate) fn of_unknown(file: Arc<dyn DiskFile>, end: u64) -> Self {
        Self {
            reader: ChunkReader::new(file, end),
            shard: None,
            salt: None,
            offset: 0,
            end,
            is_behind_footer: false,
        }
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn next(&mut self) -> io::Result<Option<Walked>> {
        if self.offset >= self.end {
            return Ok(None);
        }
        let offset = self.offset;
        let (length, found) = self.look(offset)?;
        self.is_behind_footer =
            matches!(&found, Found::Frame(header, _) if header.kind == FrameKind::Footer);
        self.offset += length;
        Ok(Some(Walked {
            offset,
            length,
            found,
        }))
    }

    fn look(&mut self, offset: u64) -> io::Result<(u64, Found)> {
        let left = self.end - offset;
        if self.is_behind_footer && left == size_of::<u64>() as u64 {
            return Ok((left, Found::Trailer));
        }
        let Some(head) = self.reader.get(offset, HEADER_BYTES)? else {
            return Ok((left, Found::Damaged));
        };
        let Some(header) = FrameHeader::parse(&head) else {
            return Ok((self.next_frame(offset)? - offset, Found::Damaged));
        };
        let length = header.frame_bytes();
        let is_ours = self.shard.is_none_or(|shard| shard == header.shard)
            && self.salt.is_none_or(|salt| salt == header.salt);
        if !is_ours {
            return Ok((length.min(left), Found::Foreign));
        }
        let frame = match usize::try_from(length) {
            Ok(bytes) => self.reader.get(offset, bytes)?,
            Err(_) => None,
        };
        match frame {
            Some(frame) if header.matches(&frame) => {
                (self.shard, self.salt) = (Some(header.shard), Some(header.salt));
                Ok((length, Found::Frame(header, frame)))
            }
            // The header is sound: the next frame, if there is one, begins where it says.
            Some(_) => Ok((length, Found::Damaged)),
            None => Ok((left, Found::Damaged)),
        }
    }

    /// Where the next sound header of this segment lies behind `offset`; the end if nowhere.
    fn next_frame(&mut self, offset: u64) -> io::Result<u64> {
        let (shard, salt) = (self.shard, self.salt);
        let found = next_header(&mut self.reader, offset + 1, self.end, |header| {
            shard.is_none_or(|shard| shard == header.shard)
                && salt.is_none_or(|salt| salt == header.salt)
        })?;
        Ok(found.map_or(self.end, |(at, _)| at))
    }
}

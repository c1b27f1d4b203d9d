//! What a start need not read: the frames below its cut. They are looked at afterwards, piece by piece,
//! because the older snapshot needs them should the image be lost (commit and storage rules §5).

use std::{path::PathBuf, sync::Arc};

use fnctl_core::id::Lsn;

use crate::journal::{frame::FrameKind, listing::JournalFile, scan::ChunkReader};

/// The part of a journal file between its header and the last frame below the cut.
#[derive(Clone, Debug)]
pub(crate) struct Unread {
    pub(crate) file: JournalFile,
    /// Offset where it ends.
    pub(crate) end: u64,
    /// First LSN of the frame there.
    pub(crate) next: Lsn,
    /// What that frame names as the CRC of the one before it.
    pub(crate) previous: u32,
}

/// A walk over it.
pub(crate) struct Below {
    unread: Unread,
    reader: ChunkReader,
    offset: u64,
    next: Lsn,
    previous: u32,
}

/// How far the walk came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// There is more.
    Some,
    /// All of it is sound.
    Sound,
    /// A frame at this offset of this file is damaged or does not follow the one before it.
    Damaged(PathBuf, u64),
}

impl Below {
    pub(crate) fn new(unread: Unread) -> Self {
        let file = &unread.file;
        Self {
            reader: ChunkReader::new(Arc::clone(&file.file), unread.end),
            offset: file.header.frame_bytes(),
            next: file.header.first,
            previous: file.header.previous,
            unread,
        }
    }

    /// Looks at about `bytes` more. What cannot be read counts as damaged.
    pub(crate) fn look(&mut self, bytes: u64) -> Looked {
        let stop = self.offset.saturating_add(bytes);
        while self.offset < self.unread.end {
            if self.offset >= stop {
                return Looked::Some;
            }
            match self.reader.frame(self.offset) {
                Ok(Ok((header, _)))
                    if header.belongs_to(&self.unread.file.header)
                        && header.kind == FrameKind::Entries
                        && header.first == self.next
                        && header.previous == self.previous =>
                {
                    self.offset += header.frame_bytes();
                    (self.next, self.previous) = (header.next(), header.crc);
                }
                _ => return self.damaged(),
            }
        }
        let meets = self.offset == self.unread.end
            && self.next == self.unread.next
            && self.previous == self.unread.previous;
        if meets { Looked::Sound } else { self.damaged() }
    }

    fn damaged(&self) -> Looked {
        Looked::Damaged(self.unread.file.path.clone(), self.offset)
    }
}

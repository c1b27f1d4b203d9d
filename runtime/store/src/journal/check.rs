//! Checks a journal file at rest: frame by frame, each following the one before it.

use std::{io, sync::Arc};

use fnctl_core::id::Lsn;

use crate::{
    journal::{
        frame::{ALIGNMENT, BadFrame, FrameKind},
        listing::JournalFile,
        scan::ChunkReader,
    },
    limits::SCRUB_READ_BYTES,
};

/// Up to where a file must be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Later files hold everything from this LSN on; what lies behind it here does not count.
    Until(Lsn),
    /// It is being written: up to this offset, where the last visible frame begins.
    Offset(u64),
    /// Up to its last sound frame: a torn one behind it was never acknowledged.
    Torn,
}

/// Entries of a file that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadEntries {
    /// Where in the file.
    pub(crate) offset: u64,
    /// LSN of the first of them.
    pub(crate) first: Lsn,
    /// LSN behind them; `None`: not known.
    pub(crate) next: Option<Lsn>,
}

/// Reads a file to where it must be whole; `progress` is told of bytes as they are read and says whether
/// to go on, `bad` of what is damaged. Answers whether it came to the end.
///
/// # Errors
/// The disk failed.
pub(crate) fn check(
    file: &JournalFile,
    extent: Extent,
    progress: &mut dyn FnMut(u64) -> bool,
    bad: &mut dyn FnMut(BadEntries),
) -> io::Result<bool> {
    let length = match extent {
        Extent::Offset(end) => end,
        Extent::Until(_) | Extent::Torn => file.length,
    };
    let mut reader = ChunkReader::of_pieces(Arc::clone(&file.file), length, SCRUB_READ_BYTES);
    let mut offset = file.header.frame_bytes();
    let (mut next, mut previous) = (file.header.first, Some(file.header.previous));
    loop {
        match extent {
            Extent::Until(until) if until <= next => return Ok(true),
            Extent::Offset(end) if end <= offset => return Ok(true),
            _ => {}
        }
        match reader.frame(offset)? {
            Ok((header, _)) if header.belongs_to(&file.header) => {
                if !progress(header.frame_bytes()) {
                    return Ok(false);
                }
                let follows = header.first == next
                    && previous.is_none_or(|previous| previous == header.previous);
                if !follows {
                    bad(BadEntries {
                        offset,
                        first: next,
                        next: Some(header.first.max(next)),
                    });
                }
                if header.kind == FrameKind::Footer {
                    return Ok(true);
                }
                (next, previous) = (header.next(), Some(header.crc));
                offset += header.frame_bytes();
            }
            found => {
                let behind = match found {
                    Err(BadFrame::Payload { length }) => offset + length,
                    _ => offset + ALIGNMENT as u64,
                };
                let resumed = reader.resync(behind, &file.header)?;
                let lost_to = match (&resumed, extent) {
                    (Some((_, header)), _) => Some(Some(header.first)),
                    (None, Extent::Until(until)) => Some(Some(until)),
                    (None, Extent::Offset(_)) => Some(None),
                    (None, Extent::Torn) => None,
                };
                if let Some(lost_to) = lost_to {
                    bad(BadEntries {
                        offset,
                        first: next,
                        next: lost_to,
                    });
                }
                let Some((at, header)) = resumed else {
                    return Ok(true);
                };
                (offset, next, previous) = (at, header.first, None);
            }
        }
    }
}

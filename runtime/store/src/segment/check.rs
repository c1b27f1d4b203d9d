//! Checks a segment frame by frame: what of it cannot be read, record by record.

use std::io;

use fnctl_core::id::Ordinal;

use crate::segment::{
    SegmentMeta,
    frame::FrameKind,
    walk::{Found, Walk},
};

/// A part of a segment that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadRun {
    /// Where in the file.
    pub(crate) offset: u64,
    /// First record that cannot be read.
    pub(crate) first: Ordinal,
    /// First record behind them; not above `first` where no record is lost.
    pub(crate) next: Ordinal,
    /// The file ends here, before its recorded length.
    pub(crate) is_end: bool,
}

/// Reads what is recorded of a segment whose file has `length` bytes; `progress` is told of bytes as they
/// are read and says whether to go on, `bad` of what is damaged. Answers the records that are sound;
/// `None` when it was told to stop.
///
/// # Errors
/// The disk failed.
pub(crate) fn check(
    mut walk: Walk,
    meta: &SegmentMeta,
    length: u64,
    progress: &mut dyn FnMut(u64) -> bool,
    bad: &mut dyn FnMut(BadRun),
) -> io::Result<Option<u64>> {
    let (mut expected, mut records, mut pending) = (meta.base, 0, None);
    while let Some(walked) = walk.next()? {
        if !progress(walked.length) {
            return Ok(None);
        }
        match walked.found {
            Found::Frame(header, bytes) if header.kind == FrameKind::Records => {
                if header.first != expected || header.decode(&bytes).is_err() {
                    pending.get_or_insert(walked.offset);
                }
                if let Some(offset) = pending.take() {
                    // What lies between the last good frame and this one.
                    bad(BadRun {
                        offset,
                        first: expected,
                        next: header.first.max(expected),
                        is_end: false,
                    });
                }
                records += u64::from(header.records);
                expected = header.next().max(expected);
            }
            Found::Frame(..) | Found::Trailer => {}
            Found::Foreign | Found::Damaged => {
                pending.get_or_insert(walked.offset);
            }
        }
    }
    let is_end = length < meta.length;
    if is_end || pending.is_some() || expected < meta.next {
        let offset = if is_end {
            length
        } else {
            pending.unwrap_or(meta.length)
        };
        bad(BadRun {
            offset,
            first: expected,
            next: meta.next,
            is_end,
        });
    }
    Ok(Some(records))
}

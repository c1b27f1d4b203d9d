//! Where frames go on behind bytes that are none: for those who look at every byte, and for readers.

use std::io;

use crate::{
    journal::scan::ChunkReader,
    limits::READ_BYTES_MAX,
    segment::frame::{ALIGNMENT, FrameHeader, HEADER_BYTES, MAGIC},
};

/// The first sound header at or behind `from` and whole below `end` that `is_ours` takes: where it lies, and
/// what it says. `None`: there is none.
///
/// # Errors
/// The disk failed.
pub(crate) fn next_header(
    reader: &mut ChunkReader,
    from: u64,
    end: u64,
    is_ours: impl Fn(&FrameHeader) -> bool,
) -> io::Result<Option<(u64, FrameHeader)>> {
    // A file that was cut off ends before what is recorded of it.
    let end = end.min(reader.file_length()?);
    let mut at = from.next_multiple_of(ALIGNMENT as u64);
    while at + HEADER_BYTES as u64 <= end {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let Some(piece) = reader.get(at, left.min(READ_BYTES_MAX))? else {
            break;
        };
        for start in (0..piece.len()).step_by(ALIGNMENT) {
            if !piece[start..].starts_with(&MAGIC) {
                continue;
            }
            let candidate = at + start as u64;
            let header = reader.get(candidate, HEADER_BYTES)?;
            let header = header.and_then(|head| FrameHeader::parse(&head));
            if let Some(header) = header.filter(&is_ours) {
                return Ok(Some((candidate, header)));
            }
        }
        at += piece.len() as u64;
        at = at.next_multiple_of(ALIGNMENT as u64);
    }
    Ok(None)
}

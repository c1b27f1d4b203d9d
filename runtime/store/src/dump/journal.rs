//! Every frame and entry of every journal file, each file by itself: also those that a later one
//! supersedes, and what lies behind damage.

use std::path::Path;

use bytes::Bytes;

use super::{DumpError, Field, Line, Lines, Wanted, at, describe};
use crate::{
    codec::Decoder,
    disk::Disk,
    journal::{
        self,
        frame::{ALIGNMENT, BadFrame, FrameHeader, FrameKind},
        parse_file_name,
        scan::ChunkReader,
    },
    recovery,
};

pub(super) fn dump(
    disk: &dyn Disk,
    data: &Path,
    wanted: &Wanted,
    lines: &mut Lines<'_>,
) -> Result<(), DumpError> {
    let directory = journal::directory(data);
    for entry in disk.list(&directory).map_err(at(&directory))? {
        if parse_file_name(&entry.name).is_some() {
            file(disk, &directory.join(&entry.name), wanted, lines)?;
        }
    }
    Ok(())
}

fn file(
    disk: &dyn Disk,
    path: &Path,
    wanted: &Wanted,
    lines: &mut Lines<'_>,
) -> Result<(), DumpError> {
    let file = disk.open_to_read(path).map_err(at(path))?;
    let length = file.length().map_err(at(path))?;
    let mut reader = ChunkReader::new(file, length);
    let (mut offset, mut first, mut previous) = (0, None::<FrameHeader>, None);
    loop {
        let read = reader.frame(offset).map_err(at(path))?;
        let ours = read.and_then(|(header, payload)| {
            let is_ours = first.is_none_or(|first| header.belongs_to(&first));
            if is_ours {
                Ok((header, payload))
            } else {
                Err(BadFrame::Header)
            }
        });
        let (header, payload) = match ours {
            Ok(whole) => whole,
            Err(bad) => {
                let behind = match bad {
                    BadFrame::Payload { length } => offset + length,
                    BadFrame::Header => offset + ALIGNMENT as u64,
                };
                let next = match &first {
                    Some(first) => reader.resync(behind, first).map_err(at(path))?,
                    None => None,
                };
                let Some((next, _)) = next else {
                    if !reader.is_blank(offset).map_err(at(path))? {
                        let what = "a torn last frame, or damage up to the end";
                        lines(Line::new("damaged", path, offset).with("what", what))?;
                    }
                    return Ok(());
                };
                let line = Line::new("damaged", path, offset)
                    .with("what", "bytes that are no frame; whole frames follow")
                    .with("bytes", next - offset);
                lines(line)?;
                (offset, previous) = (next, None);
                continue;
            }
        };
        frame(path, offset, &header, &payload, previous, wanted, lines)?;
        match header.kind {
            FrameKind::FileHeader => first = Some(header),
            FrameKind::Entries => previous = Some(header.crc),
            FrameKind::Footer | FrameKind::Values => return Ok(()),
        }
        offset += header.frame_bytes();
    }
}

fn frame(
    path: &Path,
    offset: u64,
    header: &FrameHeader,
    payload: &Bytes,
    previous: Option<u32>,
    wanted: &Wanted,
    lines: &mut Lines<'_>,
) -> Result<(), DumpError> {
    let kind = match header.kind {
        FrameKind::FileHeader => "file",
        FrameKind::Entries => "frame",
        FrameKind::Footer => "footer",
        FrameKind::Values => "values",
    };
    if header.kind == FrameKind::Entries && header.next().0 <= wanted.from {
        return Ok(());
    }
    let mut line = Line::new(kind, path, offset)
        .with("lsn", Field::Id(header.first.0))
        .with("entries", u64::from(header.entries))
        .with("bytes", header.frame_bytes())
        .with("written_ms", header.wall.0)
        .with("retention_ms", header.retention_ms);
    if previous.is_some_and(|previous| previous != header.previous) {
        line = line.with("what", "does not follow the frame in front of it");
    }
    // A frame's own line is of no stream.
    if wanted.stream.is_none() {
        lines(line)?;
    }
    if header.kind != FrameKind::Entries {
        return Ok(());
    }
    let mut entries = Decoder::new(payload.clone());
    for number in 0..u64::from(header.entries) {
        let lsn = header.first.0 + number;
        let entry = match recovery::take_entry(&mut entries) {
            Ok(entry) => entry,
            Err(error) => {
                let line = Line::new("damaged", path, offset).with("lsn", Field::Id(lsn));
                return lines(line.with("what", error.to_string()));
            }
        };
        if lsn >= wanted.from {
            for line in describe::entry(path, offset, lsn, &entry, wanted.payloads) {
                if describe::is_of(&line, wanted) {
                    lines(line)?;
                }
            }
        }
    }
    Ok(())
}

//! A snapshot: every value of the view and every segment's length as of one LSN, in journal frames. The
//! image is a cache of it.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;
use fnctl_core::id::Lsn;

use crate::{
    codec::{Decoder, Value},
    cut::CutValue,
    disk::{Disk, DiskFile},
    image::ImageValue,
    journal::{
        frame::{FrameHeader, FrameKind, HEADER_BYTES, REQUIRED_KNOWN, seal},
        scan::ChunkReader,
        writer::FrameClocks,
    },
    limits::{SCAN_READ_BYTES, SNAPSHOT_FRAME_BYTES},
};

/// The name of the snapshot of everything below `next`.
pub(crate) fn file_name(next: Lsn) -> String {
    format!("snapshot-{:020}", next.0)
}

/// The LSN in a snapshot's name.
pub(crate) fn parse_file_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("snapshot-")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok().map(Lsn))?
}

/// Writes a snapshot: temporary name, sync, rename, directory sync. Answers its bytes.
///
/// # Errors
/// Any failure; nothing is left behind.
pub(crate) fn write(
    disk: &dyn Disk,
    directory: &Path,
    journal: u64,
    cut: CutValue,
    clocks: FrameClocks,
    values: impl Iterator<Item = ImageValue>,
) -> io::Result<u64> {
    let temporary = directory.join("snapshot.tmp");
    let written = write_file(disk, &temporary, journal, cut, clocks, values).and_then(|bytes| {
        disk.rename(&temporary, &directory.join(file_name(cut.next)))?;
        disk.sync_dir(directory)?;
        Ok(bytes)
    });
    if written.is_err() {
        drop(disk.remove(&temporary));
    }
    written
}

fn write_file(
    disk: &dyn Disk,
    path: &Path,
    journal: u64,
    cut: CutValue,
    clocks: FrameClocks,
    values: impl Iterator<Item = ImageValue>,
) -> io::Result<u64> {
    let file = disk.create(path)?;
    let mut header = FrameHeader {
        length: 0,
        crc: 0,
        journal,
        salt: disk.salt(),
        first: cut.next,
        entries: 0,
        kind: FrameKind::FileHeader,
        required: 0,
        optional: 0,
        previous: 0,
        retention_ms: clocks.retention_ms,
        wall: clocks.wall,
        file: cut.life,
    };
    let (mut offset, mut total) = (0, 0);
    let mut put = |buffer: &mut Vec<u8>, kind, entries| -> io::Result<()> {
        header.kind = kind;
        header.entries = entries;
        header.previous = seal(buffer, &header);
        file.write_at(buffer, offset)?;
        offset += buffer.len() as u64;
        buffer.clear();
        buffer.resize(HEADER_BYTES, 0);
        Ok(())
    };
    let mut buffer = vec![0; HEADER_BYTES];
    put(&mut buffer, FrameKind::FileHeader, 0)?;
    let mut entries = 0;
    for (key, value) in values {
        Bytes::from(key).put(&mut buffer);
        Bytes::from(value).put(&mut buffer);
        entries += 1;
        total += 1;
        if buffer.len() >= SNAPSHOT_FRAME_BYTES {
            put(&mut buffer, FrameKind::Values, entries)?;
            entries = 0;
        }
    }
    if entries > 0 {
        put(&mut buffer, FrameKind::Values, entries)?;
    }
    // The footer counts the values: a file that ends early is none.
    put(&mut buffer, FrameKind::Footer, total)?;
    file.sync()?;
    Ok(offset)
}

/// Reads a snapshot; where it is damaged when it is.
///
/// # Errors
/// The disk failed.
pub(crate) fn read(
    disk: &dyn Disk,
    path: &Path,
    journal: u64,
) -> io::Result<Result<(CutValue, Vec<ImageValue>), u64>> {
    let mut values = Vec::new();
    let mut keep = |key: Bytes, value: Bytes| values.push((key.to_vec(), value.to_vec()));
    let walked = walk(
        disk.open(path)?,
        journal,
        SCAN_READ_BYTES,
        &mut |_| true,
        &mut keep,
    )?;
    Ok(match walked {
        Walked::Whole(cut) => Ok((cut, values)),
        Walked::Damaged(offset) => Err(offset),
        Walked::Stopped => unreachable!("it is always told to go on"),
    })
}

/// What a walk over a snapshot came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Walked {
    /// It is whole, and holds what this cut says.
    Whole(CutValue),
    /// It is damaged at this offset.
    Damaged(u64),
    /// It was told to stop.
    Stopped,
}

/// Reads a snapshot in pieces of `piece` bytes and hands out its values; `progress` is told of bytes as
/// they are read and says whether to go on.
///
/// # Errors
/// The disk failed.
pub(crate) fn walk(
    file: Arc<dyn DiskFile>,
    journal: u64,
    piece: usize,
    progress: &mut dyn FnMut(u64) -> bool,
    value: &mut dyn FnMut(Bytes, Bytes),
) -> io::Result<Walked> {
    let length = file.length()?;
    let mut reader = ChunkReader::of_pieces(file, length, piece);
    let (mut offset, mut previous, mut values) = (0, 0, 0_usize);
    let mut first: Option<FrameHeader> = None;
    loop {
        let Ok((header, payload)) = reader.frame(offset)? else {
            return Ok(Walked::Damaged(offset));
        };
        let is_expected = header.journal == journal
            && header.previous == previous
            && header.required & !REQUIRED_KNOWN == 0
            && match first {
                None => header.kind == FrameKind::FileHeader,
                Some(first) => {
                    header.salt == first.salt
                        && header.first == first.first
                        && header.file == first.file
                }
            };
        if !is_expected {
            return Ok(Walked::Damaged(offset));
        }
        match header.kind {
            FrameKind::FileHeader => first = Some(header),
            FrameKind::Values => {
                let mut from = Decoder::new(payload);
                for _ in 0..header.entries {
                    let (Ok(key), Ok(read)) = (Bytes::take(&mut from), Bytes::take(&mut from))
                    else {
                        return Ok(Walked::Damaged(offset));
                    };
                    value(key, read);
                    values += 1;
                }
            }
            FrameKind::Footer if header.entries as usize == values => {
                return Ok(Walked::Whole(CutValue {
                    next: header.first,
                    life: header.file,
                }));
            }
            FrameKind::Footer | FrameKind::Entries => return Ok(Walked::Damaged(offset)),
        }
        if !progress(header.frame_bytes()) {
            return Ok(Walked::Stopped);
        }
        previous = header.crc;
        offset += header.frame_bytes();
    }
}

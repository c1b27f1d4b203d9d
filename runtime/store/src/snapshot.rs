//! A snapshot: every value of the view and every segment's length as of one LSN, in journal frames. The
//! image is a cache of it.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;
use fnctl_core::id::Lsn;

use crate::{
    codec::{Decoder, Value},
    cut::CutValue,
    disk::Disk,
    image::ImageValue,
    journal::{
        frame::{FrameHeader, FrameKind, HEADER_BYTES, REQUIRED_KNOWN, seal},
        scan::ChunkReader,
        writer::FrameClocks,
    },
    limits::SNAPSHOT_FRAME_BYTES,
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

/// Reads a snapshot; `None` when it is damaged.
///
/// # Errors
/// The disk failed.
pub(crate) fn read(
    disk: &dyn Disk,
    path: &Path,
    journal: u64,
) -> io::Result<Option<(CutValue, Vec<ImageValue>)>> {
    let file = disk.open(path)?;
    let length = file.length()?;
    let mut reader = ChunkReader::new(Arc::clone(&file), length);
    let (mut offset, mut previous, mut values) = (0, 0, Vec::new());
    let mut first: Option<FrameHeader> = None;
    loop {
        let Ok((header, payload)) = reader.frame(offset)? else {
            return Ok(None);
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
            return Ok(None);
        }
        match header.kind {
            FrameKind::FileHeader => first = Some(header),
            FrameKind::Values => {
                let mut from = Decoder::new(payload);
                for _ in 0..header.entries {
                    let (Ok(key), Ok(value)) = (Bytes::take(&mut from), Bytes::take(&mut from))
                    else {
                        return Ok(None);
                    };
                    values.push((key.to_vec(), value.to_vec()));
                }
            }
            FrameKind::Footer if header.entries as usize == values.len() => {
                let cut = CutValue {
                    next: header.first,
                    life: header.file,
                };
                return Ok(Some((cut, values)));
            }
            FrameKind::Footer | FrameKind::Entries => return Ok(None),
        }
        previous = header.crc;
        offset += header.frame_bytes();
    }
}

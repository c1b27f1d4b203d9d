//! Reads the journal back: tells a torn tail from corruption, and which file supersedes which.

use std::{io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use fnctl_core::id::{Lsn, Timestamp};

use crate::{
    codec::fields,
    disk::DiskFile,
    journal::{
        below::Unread,
        frame::{ALIGNMENT, BadFrame, FrameHeader, FrameKind, HEADER_BYTES, MAGIC},
        listing::JournalFile,
    },
    limits::SCAN_READ_BYTES,
};

/// A part of the journal that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) file: PathBuf,
    pub(crate) offset: u64,
    /// First LSN missing.
    pub(crate) first: Lsn,
    /// First LSN that is there again.
    pub(crate) next: Lsn,
}

/// Why the journal cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} belongs to another journal")]
    OtherJournal { path: PathBuf },
    #[error("{path}: written by a newer version (required features {required:#06x})")]
    NewerVersion { path: PathBuf, required: u16 },
    #[error("{path}, offset {offset}: {what}")]
    Refused {
        path: PathBuf,
        offset: u64,
        what: String,
    },
}

/// What a replay found besides the entries.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    /// LSN after the last entry.
    pub(crate) next: Lsn,
    /// The last frame of entries seen, with its payload.
    pub(crate) last: Option<(FrameHeader, Bytes)>,
    /// CRC of the last frame, seen or named by the last file's header.
    pub(crate) previous: u32,
    /// What the next frame names as its predecessor's CRC; unknown behind a hole.
    chain: Option<u32>,
    /// Whether the last file was ended in order.
    pub(crate) is_clean: bool,
    /// The torn tail that was cut off: file and offset.
    pub(crate) torn: Option<(PathBuf, u64)>,
    /// Where the last file ends, unless it is torn: nothing was written behind.
    pub(crate) end: Option<u64>,
    /// What is missing.
    pub(crate) holes: Vec<Hole>,
    /// What lies in front of the frames that were read, in the first file.
    pub(crate) unread: Option<Unread>,
    /// Clocks of the newest frame.
    pub(crate) retention_ms: u64,
    pub(crate) wall: Timestamp,
}

/// First LSN that is in no later file: frames at or above it are superseded
/// (commit and storage rules §5).
pub(crate) fn superseded_from(files: &[JournalFile], index: usize) -> Option<Lsn> {
    files[index + 1..]
        .iter()
        .map(|file| file.header.first)
        .min()
}

/// Where the last frame below a cut begins: what lies in front of it in its file need not be read to go
/// on from there. A hint, believed only if that frame is found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the file.
    pub(crate) file: u64,
    pub(crate) offset: u64,
}

fields!(Place { file, offset });

/// Visits every frame that holds entries from `from` on, oldest first, and checks the whole of each
/// file it opens, of the first one only what lies from `place` on. `None` when the journal does not
/// reach back that far.
///
/// # Errors
/// A file cannot be read, or the visitor refuses a frame.
pub(crate) fn replay(
    files: &[JournalFile],
    from: Lsn,
    place: Option<Place>,
    visit: &mut dyn FnMut(&FrameHeader, &Bytes) -> Result<(), String>,
) -> Result<Option<Replay>, ScanError> {
    // Of files with the same first LSN the last one supersedes the others.
    let Some(start) = files.iter().rposition(|file| file.header.first <= from) else {
        return Ok(None);
    };
    let first = &files[start].header;
    let mut replay = Replay {
        next: first.first,
        last: None,
        previous: first.previous,
        chain: Some(first.previous),
        is_clean: false,
        torn: None,
        end: None,
        holes: Vec::new(),
        unread: None,
        retention_ms: first.retention_ms,
        wall: first.wall,
    };
    let mut skip = None;
    if let Some(place) = place.filter(|place| place.file == files[start].number)
        && let Some(header) = last_below(&files[start], place, from)?
    {
        skip = Some(place.offset);
        (replay.next, replay.previous) = (header.first, header.previous);
        replay.chain = Some(header.previous);
        replay.unread = Some(Unread {
            file: files[start].clone(),
            end: place.offset,
            next: header.first,
            previous: header.previous,
        });
    }
    for index in start..files.len() {
        let until = superseded_from(files, index);
        if until.is_some_and(|until| until <= replay.next) && index > start {
            continue;
        }
        let offset = skip
            .take()
            .unwrap_or_else(|| files[index].header.frame_bytes());
        read_file(&files[index], until, from, offset, &mut replay, visit)?;
    }
    Ok(Some(replay))
}

/// The frame at `place`, if it is sound and the last one below `from`.
fn last_below(
    file: &JournalFile,
    place: Place,
    from: Lsn,
) -> Result<Option<FrameHeader>, ScanError> {
    let mut reader = ChunkReader::of_pieces(Arc::clone(&file.file), file.length, HEADER_BYTES);
    let found = reader.frame(place.offset).map_err(|source| ScanError::Io {
        path: file.path.clone(),
        source,
    })?;
    Ok(found.ok().map(|(header, _)| header).filter(|header| {
        header.belongs_to(&file.header)
            && header.kind == FrameKind::Entries
            && header.next() == from
    }))
}

/// Reads one file up to where it ends or is superseded.
fn read_file(
    file: &JournalFile,
    until: Option<Lsn>,
    from: Lsn,
    mut offset: u64,
    replay: &mut Replay,
    visit: &mut dyn FnMut(&FrameHeader, &Bytes) -> Result<(), String>,
) -> Result<(), ScanError> {
    let io = |source| ScanError::Io {
        path: file.path.clone(),
        source,
    };
    let mut reader = ChunkReader::new(Arc::clone(&file.file), file.length);
    (replay.is_clean, replay.end) = (false, None);
    replay.follow_clocks(&file.header);
    // What lies between two files is missing, even if the later one holds no frame yet.
    let first = until.map_or(file.header.first, |until| until.min(file.header.first));
    if first > replay.next {
        replay.hole(file, 0, first);
    }
    loop {
        if until.is_some_and(|until| until <= replay.next) {
            return Ok(());
        }
        let (header, payload) = match reader.frame(offset).map_err(io)? {
            Ok((header, payload)) if header.belongs_to(&file.header) => (header, payload),
            bad => {
                let (behind, is_sound) = match bad {
                    Err(BadFrame::Payload { length }) => (offset + length, true),
                    _ => (offset + ALIGNMENT as u64, false),
                };
                let found = reader.resync(behind, &file.header).map_err(io)?;
                match found {
                    Some((at, header)) => {
                        replay.hole(file, offset, header.first);
                        offset = at;
                        continue;
                    }
                    None => {
                        if let Some(until) = until {
                            replay.hole(file, offset, until);
                        } else if file
                            .allocated
                            .is_some_and(|allocated| file.length < allocated)
                        {
                            // It lost its end after it was made: no crash does that.
                            replay.ends_early(file, offset);
                        } else if is_sound || !reader.is_blank(offset).map_err(io)? {
                            replay.torn = Some((file.path.clone(), offset));
                        } else {
                            replay.end = Some(offset);
                        }
                        return Ok(());
                    }
                }
            }
        };
        if let Some(until) = until.filter(|&until| header.first >= until) {
            // Superseded from here on; what lies between is missing.
            replay.hole(file, offset, until);
            return Ok(());
        }
        if header.first != replay.next {
            replay.hole(file, offset, header.first);
        }
        if replay
            .chain
            .is_some_and(|previous| previous != header.previous)
        {
            return Err(ScanError::Refused {
                path: file.path.clone(),
                offset,
                what: "the frame does not follow the one before it".to_owned(),
            });
        }
        replay.follow_clocks(&header);
        if header.kind == FrameKind::Footer {
            replay.is_clean = true;
            replay.end = Some(offset + header.frame_bytes());
            return Ok(());
        }
        replay.next = header.next();
        replay.previous = header.crc;
        replay.chain = Some(header.crc);
        if replay.next > from && replay.broken_at(from).is_none() {
            visit(&header, &payload).map_err(|what| ScanError::Refused {
                path: file.path.clone(),
                offset,
                what,
            })?;
        }
        offset += header.frame_bytes();
        replay.last = Some((header, payload));
    }
}

impl Replay {
    /// First LSN missing at or above `from`: nothing behind it is visited.
    pub(crate) fn broken_at(&self, from: Lsn) -> Option<Lsn> {
        let hole = self.holes.iter().find(|hole| hole.next > from);
        hole.map(|hole| hole.first.max(from))
    }

    /// The newest clocks are those of the frame with the highest retention clock: a frame that was
    /// written again keeps its old ones.
    fn follow_clocks(&mut self, header: &FrameHeader) {
        if header.retention_ms >= self.retention_ms {
            self.retention_ms = header.retention_ms;
            self.wall = header.wall;
        }
    }

    /// Notes that the journal went on behind `offset` of its last file, nobody knows how far.
    pub(crate) fn ends_early(&mut self, file: &JournalFile, offset: u64) {
        self.holes.push(Hole {
            file: file.path.clone(),
            offset,
            first: self.next,
            next: Lsn(u64::MAX),
        });
    }

    fn hole(&mut self, file: &JournalFile, offset: u64, next: Lsn) {
        if self.next != next {
            self.holes.push(Hole {
                file: file.path.clone(),
                offset,
                first: self.next,
                next,
            });
            self.next = next;
            self.chain = None;
        }
    }
}

impl FrameHeader {
    /// Whether a frame lies in the file whose header is `file`, and not in an earlier life of its
    /// blocks.
    pub(crate) fn belongs_to(&self, file: &Self) -> bool {
        self.journal == file.journal
            && self.salt == file.salt
            && self.file == file.file
            && matches!(self.kind, FrameKind::Entries | FrameKind::Footer)
    }
}

/// Reads a file in large pieces and hands out shared parts of them.
pub(crate) struct ChunkReader {
    file: Arc<dyn DiskFile>,
    length: u64,
    /// Bytes of a piece.
    piece: usize,
    chunk: Bytes,
    start: u64,
}

impl ChunkReader {
    pub(crate) fn new(file: Arc<dyn DiskFile>, length: u64) -> Self {
        Self::of_pieces(file, length, SCAN_READ_BYTES)
    }

    /// As [`Self::new`], for a reader that wants little.
    pub(crate) fn of_pieces(file: Arc<dyn DiskFile>, length: u64, piece: usize) -> Self {
        Self {
            file,
            length,
            piece,
            chunk: Bytes::new(),
            start: 0,
        }
    }

    /// Bytes of the file, whatever is to be read of it.
    pub(crate) fn file_length(&self) -> io::Result<u64> {
        self.file.length()
    }

    /// `length` bytes at `offset`; `None` when the file ends before.
    pub(crate) fn get(&mut self, offset: u64, length: usize) -> io::Result<Option<Bytes>> {
        if offset.saturating_add(length as u64) > self.length {
            return Ok(None);
        }
        let end = self.start + self.chunk.len() as u64;
        if (self.start..end).contains(&offset) && offset + length as u64 > end {
            // Only what follows is read; what lies across the two is put together.
            let at = usize::try_from(offset - self.start).expect("within the chunk");
            let mut whole = Vec::with_capacity(length);
            whole.extend_from_slice(&self.chunk[at..]);
            let missing = length - whole.len();
            if !self.fill(end, missing)? {
                return Ok(None);
            }
            whole.extend_from_slice(&self.chunk[..missing]);
            return Ok(Some(whole.into()));
        }
        if (offset < self.start || offset + length as u64 > end) && !self.fill(offset, length)? {
            return Ok(None);
        }
        let at = usize::try_from(offset - self.start).expect("within the chunk");
        Ok(Some(self.chunk.slice(at..at + length)))
    }

    /// Reads a piece from `offset` on; answers whether it holds `length` bytes.
    fn fill(&mut self, offset: u64, length: usize) -> io::Result<bool> {
        let left = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
        self.chunk = Bytes::new();
        self.chunk = self
            .file
            .read_piece(length.max(self.piece).min(left), offset)?;
        self.start = offset;
        Ok(self.chunk.len() >= length)
    }

    /// The frame at `offset` with its payload, checked whole.
    pub(crate) fn frame(
        &mut self,
        offset: u64,
    ) -> io::Result<Result<(FrameHeader, Bytes), BadFrame>> {
        let Some(head) = self.get(offset, HEADER_BYTES)? else {
            return Ok(Err(BadFrame::Header));
        };
        let Some(header) = FrameHeader::parse(&head) else {
            return Ok(Err(BadFrame::Header));
        };
        let payload = self.get(offset + HEADER_BYTES as u64, header.length as usize)?;
        match payload {
            Some(payload) if header.matches(&head, &payload) => Ok(Ok((header, payload))),
            _ => Ok(Err(BadFrame::Payload {
                length: header.frame_bytes(),
            })),
        }
    }

    /// The first valid frame of this file at or behind `offset`. Payloads may hold frames of other
    /// files, which their salt gives away.
    pub(crate) fn resync(
        &mut self,
        mut offset: u64,
        file: &FrameHeader,
    ) -> io::Result<Option<(u64, FrameHeader)>> {
        offset = offset.next_multiple_of(ALIGNMENT as u64);
        while offset + (HEADER_BYTES as u64) <= self.length {
            let left = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
            let Some(piece) = self.get(offset, left.min(SCAN_READ_BYTES))? else {
                return Ok(None);
            };
            for at in (0..piece.len()).step_by(ALIGNMENT) {
                if !piece[at..].starts_with(&MAGIC) {
                    continue;
                }
                let candidate = offset + at as u64;
                match self.frame(candidate)? {
                    Ok((header, _)) if header.belongs_to(file) => {
                        return Ok(Some((candidate, header)));
                    }
                    _ => {}
                }
            }
            offset += piece.len() as u64;
            offset = offset.next_multiple_of(ALIGNMENT as u64);
        }
        Ok(None)
    }

    /// Whether nothing but zeros lies at `offset` for the length of a header: nothing was written.
    pub(crate) fn is_blank(&mut self, offset: u64) -> io::Result<bool> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let head = self.get(offset, left.min(HEADER_BYTES))?;
        Ok(head.is_none_or(|head| head.iter().all(|&byte| byte == 0)))
    }
}

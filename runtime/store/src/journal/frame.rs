//! Frames: what is written and synced as one, in the journal and in snapshots.
//!
//! ```text
//!  0 magic          4
//!  4 length         4   of the payload
//!  8 crc            4   CRC32C of everything from byte 16
//! 12 header crc     4   CRC32C of bytes 4..12 and 16..80
//! 16 journal id     8
//! 24 file salt      8
//! 32 first LSN      8
//! 40 entries        4
//! 44 kind           1   then 3 zero
//! 48 required flags 2
//! 50 optional flags 2
//! 52 previous crc   4
//! 56 retention ms   8
//! 64 wall ms        8
//! 72 file number    8
//! 80 payload, then zeros up to a multiple of 8
//! ```

use fnctl_core::id::{Lsn, Timestamp};

/// First bytes of a frame.
pub(crate) const MAGIC: [u8; 4] = *b"fnJ1";
/// Length of the header in front of a payload.
pub(crate) const HEADER_BYTES: usize = 80;
/// Frames start at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;
/// Required features that this version knows: none. A frame with any other is refused.
pub(crate) const REQUIRED_KNOWN: u16 = 0;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// First of a file; no payload.
    FileHeader,
    /// Entries.
    Entries,
    /// Last of a file that was ended in order; no payload.
    Footer,
    /// Values of a snapshot.
    Values,
}

impl FrameKind {
    const fn number(self) -> u8 {
        match self {
            Self::FileHeader => 1,
            Self::Entries => 2,
            Self::Footer => 3,
            Self::Values => 4,
        }
    }

    const fn parse(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::FileHeader,
            2 => Self::Entries,
            3 => Self::Footer,
            4 => Self::Values,
            _ => return None,
        })
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) length: u32,
    pub(crate) crc: u32,
    /// Of the journal: never changes.
    pub(crate) journal: u64,
    /// Of the file: so that the frames of an earlier life of these blocks never validate.
    pub(crate) salt: u64,
    /// Of the first entry; in a header or footer, of the next one.
    pub(crate) first: Lsn,
    pub(crate) entries: u32,
    pub(crate) kind: FrameKind,
    pub(crate) required: u16,
    pub(crate) optional: u16,
    /// CRC of the frame before this one, in whatever file.
    pub(crate) previous: u32,
    /// Retention clock, ms.
    pub(crate) retention_ms: u64,
    /// Wall clock.
    pub(crate) wall: Timestamp,
    /// Number of the file.
    pub(crate) file: u64,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadFrame {
    /// Not even the header is sound.
    Header,
    /// The header is sound, the rest is not: the next frame, if any, starts `length` bytes further.
    Payload {
        /// Bytes from this frame's start to the next.
        length: u64,
    },
}

impl FrameHeader {
    /// LSN after the last entry.
    pub(crate) const fn next(&self) -> Lsn {
        Lsn(self.first.0 + self.entries as u64)
    }

    /// Bytes from this frame's start to the next.
    pub(crate) fn frame_bytes(&self) -> u64 {
        padded(HEADER_BYTES + self.length as usize) as u64
    }

    /// Reads a header; `None` when it is not sound. The payload is not looked at.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        if bytes[..4] != MAGIC || u32_at(bytes, 12) != header_crc(bytes) {
            return None;
        }
        Some(Self {
            length: u32_at(bytes, 4),
            crc: u32_at(bytes, 8),
            journal: u64_at(bytes, 16),
            salt: u64_at(bytes, 24),
            first: Lsn(u64_at(bytes, 32)),
            entries: u32_at(bytes, 40),
            kind: FrameKind::parse(bytes[44])?,
            required: u16_at(bytes, 48),
            optional: u16_at(bytes, 50),
            previous: u32_at(bytes, 52),
            retention_ms: u64_at(bytes, 56),
            wall: Timestamp(u64_at(bytes, 64)),
            file: u64_at(bytes, 72),
        })
    }

    /// Whether `payload` is this frame's: `header` are the header's bytes.
    pub(crate) fn matches(&self, header: &[u8], payload: &[u8]) -> bool {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[16..HEADER_BYTES]), payload);
        payload.len() == self.length as usize && crc == self.crc
    }
}

/// Rounds up to where the next frame may start.
pub(crate) const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// Completes a frame whose payload lies in `buffer` behind [`HEADER_BYTES`] reserved bytes; length and
/// CRC of `header` are filled in. Returns the CRC.
///
/// # Panics
/// If the payload reaches 4 GiB; frames are bounded far below (`limits`).
pub(crate) fn seal(buffer: &mut Vec<u8>, header: &FrameHeader) -> u32 {
    let length = u32::try_from(buffer.len() - HEADER_BYTES).expect("a frame stays below 4 GiB");
    let head = &mut buffer[..HEADER_BYTES];
    head.fill(0);
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&length.to_le_bytes());
    head[16..24].copy_from_slice(&header.journal.to_le_bytes());
    head[24..32].copy_from_slice(&header.salt.to_le_bytes());
    head[32..40].copy_from_slice(&header.first.0.to_le_bytes());
    head[40..44].copy_from_slice(&header.entries.to_le_bytes());
    head[44] = header.kind.number();
    head[48..50].copy_from_slice(&header.required.to_le_bytes());
    head[50..52].copy_from_slice(&header.optional.to_le_bytes());
    head[52..56].copy_from_slice(&header.previous.to_le_bytes());
    head[56..64].copy_from_slice(&header.retention_ms.to_le_bytes());
    head[64..72].copy_from_slice(&header.wall.0.to_le_bytes());
    head[72..80].copy_from_slice(&header.file.to_le_bytes());
    let crc = crc32c::crc32c(&buffer[16..]);
    buffer[8..12].copy_from_slice(&crc.to_le_bytes());
    let head: &[u8; HEADER_BYTES] = buffer[..HEADER_BYTES].try_into().expect("it is that long");
    let header_crc = header_crc(head);
    buffer[12..16].copy_from_slice(&header_crc.to_le_bytes());
    buffer.resize(padded(buffer.len()), 0);
    crc
}

fn header_crc(header: &[u8; HEADER_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[4..12]), &header[16..])
}

fn u16_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

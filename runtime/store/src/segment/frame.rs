//! Frames of a segment.
//!
//! ```text
//!  0 magic            4
//!  4 length           4   of the payload
//!  8 crc              4   CRC32C of everything from byte 16
//! 12 header crc       4   CRC32C of bytes 4..12 and 16..104
//! 16 salt             8   of the segment
//! 24 stream           8
//! 32 first ordinal    8   in a footer: the next one
//! 40 first LSN        8
//! 48 next LSN         8
//! 56 shard            4
//! 60 records          4
//! 64 kind             1   then 3 zero
//! 68 required flags   2
//! 70 optional flags   2
//! 72 first arrival    8
//! 80 last arrival     8
//! 88 retention stamp  8
//! 96 journal id       8
//! 104 payload, then zeros up to a multiple of 8
//! ```

use std::ops::Range;

use bytes::Bytes;
use fnctl_core::{
    id::{Lsn, Ordinal, ShardNumber, StreamId, Timestamp},
    record::{RecordBlock, Records},
};

use crate::{
    block::ShardKey,
    codec::{self, DecodeError, Decoder},
};

pub(crate) const MAGIC: [u8; 4] = *b"fnS1";
/// Length of the header in front of a payload.
pub(crate) const HEADER_BYTES: usize = 104;
/// Frames start at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// First of a segment; no payload.
    Header,
    /// Records as columns.
    Records,
    /// Last of a sealed segment: its sparse index.
    Footer,
}

impl FrameKind {
    const fn number(self) -> u8 {
        match self {
            Self::Header => 1,
            Self::Records => 2,
            Self::Footer => 3,
        }
    }

    const fn parse(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Header,
            2 => Self::Records,
            3 => Self::Footer,
            _ => return None,
        })
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) length: u32,
    pub(crate) crc: u32,
    pub(crate) salt: u64,
    pub(crate) shard: ShardKey,
    pub(crate) first: Ordinal,
    pub(crate) lsns: (Lsn, Lsn),
    pub(crate) records: u32,
    pub(crate) kind: FrameKind,
    pub(crate) required: u16,
    pub(crate) optional: u16,
    pub(crate) first_arrival: Timestamp,
    pub(crate) last_arrival: Timestamp,
    pub(crate) stamp: u64,
    pub(crate) journal: u64,
}

impl FrameHeader {
    /// Ordinal after the last record.
    pub(crate) const fn next(&self) -> Ordinal {
        Ordinal(self.first.0 + self.records as u64)
    }

    /// Bytes from this frame's start to the next.
    pub(crate) const fn frame_bytes(&self) -> u64 {
        (HEADER_BYTES + self.length as usize).next_multiple_of(ALIGNMENT) as u64
    }

    /// Where the payload lies in a frame.
    pub(crate) const fn payload(&self) -> Range<usize> {
        HEADER_BYTES..HEADER_BYTES + self.length as usize
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
            salt: u64_at(bytes, 16),
            shard: (StreamId(u64_at(bytes, 24)), ShardNumber(u32_at(bytes, 56))),
            first: Ordinal(u64_at(bytes, 32)),
            lsns: (Lsn(u64_at(bytes, 40)), Lsn(u64_at(bytes, 48))),
            records: u32_at(bytes, 60),
            kind: FrameKind::parse(bytes[64])?,
            required: u16::from_le_bytes([bytes[68], bytes[69]]),
            optional: u16::from_le_bytes([bytes[70], bytes[71]]),
            first_arrival: Timestamp(u64_at(bytes, 72)),
            last_arrival: Timestamp(u64_at(bytes, 80)),
            stamp: u64_at(bytes, 88),
            journal: u64_at(bytes, 96),
        })
    }

    /// Whether `frame`, header included, is whole.
    pub(crate) fn matches(&self, frame: &[u8]) -> bool {
        frame.len() >= self.payload().end
            && crc32c::crc32c(&frame[16..self.payload().end]) == self.crc
    }

    /// The records of a whole frame; arenas are slices of it.
    pub(crate) fn decode(&self, frame: &Bytes) -> Result<RecordBlock, DecodeError> {
        let mut from = Decoder::new(frame.slice(self.payload()));
        let place = RecordBlock {
            stream: self.shard.0,
            shard: self.shard.1,
            first: self.first,
            records: Records::default(),
            hash_keys: Vec::new(),
            hops: Vec::new(),
            origins: Vec::new(),
        };
        let block = codec::block::take(&mut from, place)?;
        from.end()?;
        if block.len() != self.records as usize {
            return Err(from.fail("a frame's records are not as many as it says"));
        }
        Ok(block)
    }
}

/// Completes a frame whose payload lies in `buffer[start..]` behind [`HEADER_BYTES`] reserved bytes;
/// length and CRC of `header` are filled in.
///
/// # Panics
/// If the payload reaches 4 GiB; frames are bounded far below (`limits`).
pub(crate) fn seal(buffer: &mut Vec<u8>, start: usize, header: &FrameHeader) {
    let length = buffer.len() - start - HEADER_BYTES;
    let length = u32::try_from(length).expect("a frame stays below 4 GiB");
    let head = &mut buffer[start..start + HEADER_BYTES];
    head.fill(0);
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&length.to_le_bytes());
    head[16..24].copy_from_slice(&header.salt.to_le_bytes());
    head[24..32].copy_from_slice(&header.shard.0.0.to_le_bytes());
    head[32..40].copy_from_slice(&header.first.0.to_le_bytes());
    head[40..48].copy_from_slice(&header.lsns.0.0.to_le_bytes());
    head[48..56].copy_from_slice(&header.lsns.1.0.to_le_bytes());
    head[56..60].copy_from_slice(&header.shard.1.0.to_le_bytes());
    head[60..64].copy_from_slice(&header.records.to_le_bytes());
    head[64] = header.kind.number();
    head[68..70].copy_from_slice(&header.required.to_le_bytes());
    head[70..72].copy_from_slice(&header.optional.to_le_bytes());
    head[72..80].copy_from_slice(&header.first_arrival.0.to_le_bytes());
    head[80..88].copy_from_slice(&header.last_arrival.0.to_le_bytes());
    head[88..96].copy_from_slice(&header.stamp.to_le_bytes());
    head[96..104].copy_from_slice(&header.journal.to_le_bytes());
    let crc = crc32c::crc32c(&buffer[start + 16..]);
    buffer[start + 8..start + 12].copy_from_slice(&crc.to_le_bytes());
    let head: &[u8; HEADER_BYTES] = buffer[start..start + HEADER_BYTES]
        .try_into()
        .expect("it is that long");
    let header_crc = header_crc(head);
    buffer[start + 12..start + 16].copy_from_slice(&header_crc.to_le_bytes());
    let end = start + (buffer.len() - start).next_multiple_of(ALIGNMENT);
    buffer.resize(end, 0);
}

fn header_crc(header: &[u8; HEADER_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[4..12]), &header[16..])
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

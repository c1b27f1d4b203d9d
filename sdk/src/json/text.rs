//! Texts: quoted, and escaped where JSON asks for it.

use std::fmt;

use crate::append::{BLOCK, append, overlap};

/// Bytes that are looked at together.
const WORD: usize = 8;

const LOW_BITS: u64 = u64::MAX / 0xff;
const HIGH_BITS: u64 = LOW_BITS << 7;

/// Appends a text with its quotes.
#[inline]
pub(super) fn quoted(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + BLOCK + 2);
    out.push(b'"');
    escaped(out, text.as_bytes());
    out.push(b'"');
}

/// Appends UTF-8 without quotes, escaped.
#[inline]
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    if !copied(out, bytes) {
        out.truncate(start);
        escaped_apart(out, bytes);
    }
}

/// Appends bytes as they are, looking at them on the way: false when one needs an escape, and what was
/// appended is to be taken back.
#[inline]
fn copied(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let end = out.len() + bytes.len();
    let Some(last) = bytes.last_chunk::<BLOCK>() else {
        append(out, bytes);
        return short_is_plain(bytes);
    };
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    for block in blocks {
        if !is_plain(block) {
            return false;
        }
        out.extend_from_slice(block);
    }
    overlap::<BLOCK>(out, bytes, end);
    is_plain(last)
}

/// Whether none of less than a block of bytes needs an escape.
#[inline]
fn short_is_plain(bytes: &[u8]) -> bool {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<WORD>(), bytes.last_chunk::<WORD>()) {
        return marks(u64::from_le_bytes(*first)) | marks(u64::from_le_bytes(*last)) == 0;
    }
    let half = |half: &[u8; WORD / 2]| u64::from(u32::from_le_bytes(*half));
    let word = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => half(first) | half(last) << (4 * WORD),
        // Up to three bytes: the first, the middle and the last are all of them.
        _ => match bytes {
            [] => return true,
            [first, .., last] => {
                let middle = bytes[bytes.len() / 2];
                u64::from_le_bytes([*first, middle, *last, b' ', b' ', b' ', b' ', b' '])
            }
            [one] => u64::from_le_bytes([*one, b' ', b' ', b' ', b' ', b' ', b' ', b' ']),
        },
    };
    marks(word) == 0
}

#[inline]
fn is_plain(block: &[u8; BLOCK]) -> bool {
    let (words, _) = block.as_chunks::<WORD>();
    marks(u64::from_le_bytes(words[0])) | marks(u64::from_le_bytes(words[1])) == 0
}

/// Texts with an escape: piece by piece.
#[cold]
fn escaped_apart(out: &mut Vec<u8>, mut bytes: &[u8]) {
    loop {
        let plain = plain_len(bytes);
        let (head, tail) = bytes.split_at(plain);
        append(out, head);
        let Some((byte, rest)) = tail.split_first() else {
            return;
        };
        escape(out, *byte);
        bytes = rest;
    }
}

/// How many bytes stand before the first that needs an escape.
fn plain_len(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (at, block) in blocks.iter().enumerate() {
        let (words, _) = block.as_chunks::<WORD>();
        let low = marks(u64::from_le_bytes(words[0]));
        let high = marks(u64::from_le_bytes(words[1]));
        if low | high != 0 {
            let within = if low == 0 {
                WORD + first(high)
            } else {
                first(low)
            };
            return at * BLOCK + within;
        }
    }
    // What is left is looked at as one block too, filled up with a byte that is plain.
    let mut last = [b' '; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    let (words, _) = last.as_chunks::<WORD>();
    let low = marks(u64::from_le_bytes(words[0]));
    let high = marks(u64::from_le_bytes(words[1]));
    let within = match (low, high) {
        (0, 0) => rest.len(),
        (0, high) => WORD + first(high),
        (low, _) => first(low),
    };
    blocks.len() * BLOCK + within
}

/// Marks the bytes that need an escape: control characters, `"` and `\`. The lowest mark is exact;
/// above it a borrow may mark a byte that is plain.
#[inline]
fn marks(word: u64) -> u64 {
    let below = |word: u64, limit: u64| word.wrapping_sub(LOW_BITS * limit) & !word;
    let quote = word ^ (LOW_BITS * u64::from(b'"'));
    let backslash = word ^ (LOW_BITS * u64::from(b'\\'));
    (below(word, 0x20) | below(quote, 1) | below(backslash, 1)) & HIGH_BITS
}

/// The index of the first marked byte.
#[inline]
fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / WORD
}

#[cold]
fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        control => {
            let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
            out.extend_from_slice(b"\\u00");
            out.push(digit(control >> 4));
            out.push(digit(control & 0xf));
            return;
        }
    };
    out.push(b'\\');
    out.push(short);
}

/// Escapes what is formatted into it.
pub(super) struct Escaped<'o> {
    pub(super) out: &'o mut Vec<u8>,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escaped(self.out, text.as_bytes());
        Ok(())
    }
}

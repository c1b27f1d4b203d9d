//! Texts: quoted, and escaped where JSON asks for it.

use std::fmt;

/// Bytes that are looked at together.
const WORD: usize = 8;
const BLOCK: usize = 2 * WORD;

const LOW_BITS: u64 = u64::MAX / 0xff;
const HIGH_BITS: u64 = LOW_BITS << 7;

/// Appends a text with its quotes.
#[inline]
pub(super) fn quoted(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    escaped(out, text.as_bytes());
    out.push(b'"');
}

/// Appends UTF-8 without quotes, escaped.
#[inline]
fn escaped(out: &mut Vec<u8>, mut bytes: &[u8]) {
    loop {
        let plain = plain_len(bytes);
        let (head, tail) = bytes.split_at(plain);
        out.extend_from_slice(head);
        let Some((byte, rest)) = tail.split_first() else {
            return;
        };
        escape(out, *byte);
        bytes = rest;
    }
}

/// How many bytes stand before the first that needs an escape.
#[inline]
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

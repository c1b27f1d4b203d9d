//! Texts: quoted, and escaped where JSON asks for it.

use std::fmt;

use crate::{
    append::{BLOCK, append, overlap},
    json::scan::{is_plain, special},
};

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
    // Filled up with a byte that is plain; without a loop, and without a copy of unknown length.
    let mut block = [b' '; BLOCK];
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        block[..8].copy_from_slice(first);
        block[8..].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        block[..4].copy_from_slice(first);
        block[4..8].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
        // Up to three bytes: the first, the middle and the last are all of them.
        block[..3].copy_from_slice(&[*first, bytes[bytes.len() / 2], *last]);
    }
    is_plain(&block)
}

/// Texts with an escape: piece by piece.
#[cold]
fn escaped_apart(out: &mut Vec<u8>, mut bytes: &[u8]) {
    loop {
        let (head, tail) = bytes.split_at(special(bytes, 0));
        append(out, head);
        let Some((byte, rest)) = tail.split_first() else {
            return;
        };
        escape(out, *byte);
        bytes = rest;
    }
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

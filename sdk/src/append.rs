//! Appends short byte strings without asking the host. A copy whose length is not known at compile time
//! is one instruction of a function, and a call out of it for the engine: more than the copy itself for
//! what a record is made of.

/// Bytes that move together.
pub(crate) const BLOCK: usize = 16;

/// From here on one copy is cheaper than many blocks.
const LONG: usize = 256;

/// Appends `bytes`.
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() < BLOCK || bytes.len() >= LONG {
        return append_rest(out, bytes);
    }
    out.reserve(bytes.len() + BLOCK);
    let end = out.len() + bytes.len();
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    for block in blocks {
        out.extend_from_slice(block);
    }
    overlap::<BLOCK>(out, bytes, end);
}

#[inline]
fn append_rest(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        8..BLOCK => halves::<8>(out, bytes),
        4..8 => halves::<4>(out, bytes),
        // A byte at a time, without a loop.
        1..4 => {
            out.push(bytes[0]);
            if bytes.len() > 1 {
                out.push(bytes[1]);
            }
            if bytes.len() > 2 {
                out.push(bytes[2]);
            }
        }
        0 => {}
        _ => out.extend_from_slice(bytes),
    }
}

/// Appends N to 2 N bytes: the first N, and the last N over them.
#[inline]
fn halves<const N: usize>(out: &mut Vec<u8>, bytes: &[u8]) {
    let end = out.len() + bytes.len();
    if let Some(first) = bytes.first_chunk::<N>() {
        out.extend_from_slice(first);
    }
    overlap::<N>(out, bytes, end);
}

/// Ends what was appended of `bytes` at `end`, with their last N.
#[inline]
pub(crate) fn overlap<const N: usize>(out: &mut Vec<u8>, bytes: &[u8], end: usize) {
    if let Some(last) = bytes.last_chunk::<N>() {
        out.truncate(end - N);
        out.extend_from_slice(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_arrives_whole() {
        let text: Vec<u8> = (0..=255).cycle().take(2 * LONG).collect();
        for length in 0..=text.len() {
            for before in [0, 3, 16] {
                let mut out = text[..before].to_vec();
                append(&mut out, &text[..length]);
                assert_eq!(out, [&text[..before], &text[..length]].concat(), "{length}");
            }
        }
    }
}

//! Looks for what ends the plain part of a text: `"`, `\` and control characters.

pub(super) use crate::append::BLOCK;

/// Whether a byte is one of them.
#[inline]
pub(super) fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The index of the first of them from `from` on, or the length.
#[inline]
pub(super) fn special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let found = first_special(block, 0);
        if found < BLOCK {
            return at + found;
        }
        at += BLOCK;
    }
    // What is left, seen with what stands before it.
    match bytes.last_chunk::<BLOCK>() {
        Some(block) => {
            let start = bytes.len() - BLOCK;
            start + first_special(block, at - start)
        }
        None => {
            let rest = bytes.get(at..).unwrap_or_default();
            at + rest
                .iter()
                .position(|byte| is_special(*byte))
                .unwrap_or(rest.len())
        }
    }
}

/// Whether none is in the block.
#[inline]
pub(super) fn is_plain(block: &[u8; BLOCK]) -> bool {
    first_special(block, 0) == BLOCK
}

/// The index of the first at or after `skip`, which is at most `BLOCK`; `BLOCK` for none.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline]
fn first_special(block: &[u8; BLOCK], skip: usize) -> usize {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128_or};

    let (words, _) = block.as_chunks::<8>();
    let bytes = u64x2(u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]));
    let control = u8x16_lt(bytes, u8x16_splat(0x20));
    let quote = u8x16_eq(bytes, u8x16_splat(b'"'));
    let backslash = u8x16_eq(bytes, u8x16_splat(b'\\'));
    let mask = u32::from(u8x16_bitmask(v128_or(control, v128_or(quote, backslash))));
    // A bit of its own ends the search.
    ((mask | 1 << BLOCK) >> skip << skip).trailing_zeros() as usize
}

/// The same, a word at a time.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[inline]
fn first_special(block: &[u8; BLOCK], skip: usize) -> usize {
    let (words, _) = block.as_chunks::<8>();
    let from = |marks: u64, skip: usize| marks & u64::MAX.checked_shl(8 * skip as u32).unwrap_or(0);
    let low = from(marks(u64::from_le_bytes(words[0])), skip);
    if low != 0 {
        return low.trailing_zeros() as usize / 8;
    }
    let high = from(marks(u64::from_le_bytes(words[1])), skip.saturating_sub(8));
    // Without a mark there are 64 zeros: the end of the block.
    8 + high.trailing_zeros() as usize / 8
}

/// Marks the highest bit of each byte that is one of them; exactly these, so that bytes in front may be
/// left out.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[inline]
fn marks(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    const LOW: u64 = EACH * 0x7f;
    let is_zero = |word: u64| !(((word & LOW) + LOW) | word | LOW);
    let is_control = !(((word & LOW) + EACH * 0x60) | word) & !LOW;
    let is_quote = is_zero(word ^ (EACH * u64::from(b'"')));
    let is_backslash = is_zero(word ^ (EACH * u64::from(b'\\')));
    is_control | is_quote | is_backslash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_is_found_wherever_it_stands(
            bytes in prop::collection::vec(prop_oneof![
                3 => any::<u8>(), 2 => Just(b'"'), 10 => b'a'..=b'z', 1 => 0x1eu8..0x22, 1 => 0x5bu8..0x5e,
            ], 0..60),
            from in 0usize..60,
        ) {
            let from = from.min(bytes.len());
            let rest = &bytes[from..];
            let first = rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len());
            prop_assert_eq!(special(&bytes, from), from + first);
        }
    }
}

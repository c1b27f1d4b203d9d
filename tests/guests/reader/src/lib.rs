//! Reads every byte of every record and returns nothing: what is left is the boundary.

use std::hint::black_box;

use fnctl_sdk::prelude::*;

/// The same code, called natively by the bench.
#[stream_fn]
pub fn read(record: Record<'_>, _: &mut Context) -> Result<()> {
    black_box(digest(record.key()) ^ digest(record.data()));
    Ok(())
}

/// A word at a time, each depending on the last: neither side can vectorise it away. Eight words a step,
/// because what a loop costs on either side is the engine's figure and not the boundary's; what no word
/// covers is in the last eight bytes.
#[inline(always)]
pub fn digest(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, word: &[u8; 8]| {
        (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x517c_c1b7_2722_0a95)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let (steps, words) = words.as_chunks::<8>();
    let hash = steps
        .iter()
        .fold(0, |hash, step| step.iter().fold(hash, fold));
    let hash = words.iter().fold(hash, fold);
    match bytes.last_chunk::<8>() {
        Some(last) => fold(hash, last),
        None => rest
            .iter()
            .fold(hash, |hash, byte| hash << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        let text = b"0123456789abcdefghi";
        for at in 0..text.len() {
            let mut other = *text;
            other[at] ^= 1;
            assert_ne!(digest(text), digest(&other), "{at}");
        }
        assert!(
            testing::run(read, [testing::record("x")])
                .rows(Output::DEFAULT)
                .is_empty()
        );
    }
}

//! Reads every byte of every record and returns nothing: what is left is the boundary.

use std::hint::black_box;

use fnctl_sdk::prelude::*;

/// The same code, called natively by the bench.
#[stream_fn]
pub fn read(record: Record<'_>, _: &mut Context) -> Result<()> {
    black_box(digest(record.key()) ^ digest(record.data()));
    Ok(())
}

/// A word at a time, each depending on the last: neither side can vectorise it away.
pub fn digest(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let fold =
        |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    let hash = words
        .iter()
        .map(|word| u64::from_le_bytes(*word))
        .fold(0, fold);
    rest.iter().map(|byte| u64::from(*byte)).fold(hash, fold)
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

//! Partition key to hash key: where in the 128-bit space a record belongs (Kinesis reference B7).

mod lanes;

use fnctl_core::record::ByteColumn;
use md5::{Digest, Md5};

/// The hash key of a partition key: its MD5 as an unsigned big-endian integer.
#[must_use]
pub fn hash_key(partition_key: &[u8]) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}

/// The hash key of every partition key of a column, short ones many at a time.
#[must_use]
pub fn hash_keys(partition_keys: &ByteColumn) -> Vec<u128> {
    let mut hash_keys = Vec::with_capacity(partition_keys.len());
    for first in (0..partition_keys.len()).step_by(lanes::LANES) {
        let count = (partition_keys.len() - first).min(lanes::LANES);
        let keys: [&[u8]; lanes::LANES] = std::array::from_fn(|lane| {
            if lane < count {
                partition_keys.get(first + lane)
            } else {
                &[]
            }
        });
        let are_short = keys.iter().all(|key| key.len() <= lanes::KEY_BYTES_MAX);
        if are_short && count >= lanes::KEYS_MIN {
            hash_keys.extend_from_slice(&lanes::digests(&keys)[..count]);
        } else {
            hash_keys.extend(keys[..count].iter().map(|key| hash_key(key)));
        }
    }
    hash_keys
}

/// Reads an explicit hash key: `0|([1-9]\d{0,38})` below 2^128. `None` for anything else.
#[must_use]
pub fn explicit(text: &str) -> Option<u128> {
    let digits = text.as_bytes();
    let is_plain = !digits.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
        && (digits[0] != b'0' || digits.len() == 1);
    is_plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use fnctl_core::{record::ColumnBuilder, shard::HashKeyRange};

    use super::*;

    #[test]
    fn keys_land_where_kinesis_puts_them() {
        let shards = HashKeyRange::initial(3);
        for (key, hash, shard) in [
            ("a", 16_955_237_001_963_240_173_058_271_559_858_726_497, 0),
            ("b", 195_289_424_170_611_159_128_911_017_612_795_795_343, 1),
            ("e", 299_611_584_147_932_843_547_128_611_849_858_313_266, 2),
            ("f", 190_917_122_200_326_810_055_233_066_464_581_373_159, 1),
        ] {
            assert_eq!(hash_key(key.as_bytes()), hash, "{key}");
            assert_eq!(
                shards.iter().position(|range| range.contains(hash)),
                Some(shard),
                "{key}"
            );
        }
    }

    #[test]
    fn a_column_hashes_as_its_keys_do() {
        // Every length alone around the block's end, and every number of keys around the lanes'.
        let lengths = (0..80)
            .chain([0; 7])
            .chain([55; 8])
            .chain([56; 8])
            .chain([3; 5]);
        let mut keys = ColumnBuilder::default();
        for (index, length) in lengths.enumerate() {
            keys.push(&vec![u8::try_from(index % 256).unwrap(); length]);
        }
        let keys = keys.finish();
        for count in 0..=keys.len() {
            let some = keys.slice(0..count);
            let expected: Vec<_> = (0..count).map(|i| hash_key(keys.get(i))).collect();
            assert_eq!(hash_keys(&some), expected);
        }
    }

    #[test]
    fn explicit_keys_are_plain_decimals_below_two_to_the_128() {
        for (text, value) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("340282366920938463463374607431768211455", Some(u128::MAX)),
            ("340282366920938463463374607431768211456", None),
            ("999999999999999999999999999999999999999", None),
            ("00", None),
            ("01", None),
            ("+1", None),
            ("", None),
            ("a", None),
        ] {
            assert_eq!(explicit(text), value, "{text}");
        }
    }
}

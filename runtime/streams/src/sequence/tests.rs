use proptest::prelude::*;

use super::*;

/// A plain conversion, digit by digit, to hold the fast one against.
fn slow_decimal(nibbles: &str) -> String {
    let mut digits = vec![0u8];
    for nibble in nibbles.chars() {
        let mut carry = nibble.to_digit(16).unwrap();
        for digit in &mut digits {
            let value = u32::from(*digit) * 16 + carry;
            *digit = (value % 10) as u8;
            carry = value / 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(b'0' + digit))
        .collect()
}

fn layout(created_s: u64, shard: u32, index: u64, arrival_s: u64) -> String {
    format!(
        "2{created_s:09x}{:x}{index:016x}00{arrival_s:09x}{shard:08x}2",
        shard & 0xf
    )
}

#[test]
fn a_number_is_the_decimal_of_its_layout() {
    let text = encode(
        Timestamp(1_421_865_042_123),
        ShardNumber(17),
        Ordinal(5),
        Timestamp(1_421_865_099_999),
    );
    assert_eq!(text.len(), SEQUENCE_CHARS);
    assert!(text.starts_with("49"), "{text}");
    assert_eq!(
        text,
        slow_decimal(&layout(1_421_865_042, 17, 5, 1_421_865_099))
    );
}

#[test]
fn what_kinesis_recognises_decodes_and_the_rest_does_not() {
    let version_two = slow_decimal(&layout(1_421_865_042, 3, 9, 1_421_865_050));
    let negative = slow_decimal(&layout(1_421_865_042, u32::MAX, 9, 1_421_865_050));
    let high_index = slow_decimal(&layout(1_421_865_042, 3, 1 << 63, 1_421_865_050));
    let late = slow_decimal(&layout(CREATED_S_MAX, 3, 9, 1_421_865_050));
    let version_one = slow_decimal(&format!(
        "2{:09x}3{:02x}{:09x}{:014x}{:02x}{:08x}1",
        77, 0, 88, 0, 4, 3
    ));
    let version_three = slow_decimal(&format!("2{}3", "0".repeat(45)));
    let gap = slow_decimal(&format!("1{}", "0".repeat(40)));
    let too_long = "9".repeat(129);
    for (text, expected) in [
        ("0", Some((0, 0, 0))),
        ("5", Some((0, 0, 5))),
        (version_two.as_str(), Some((2, 1_421_865_042, 3))),
        (negative.as_str(), Some((2, 1_421_865_042, -1))),
        (version_one.as_str(), Some((1, 77, 3))),
        (high_index.as_str(), None),
        (late.as_str(), None),
        (version_three.as_str(), None),
        (gap.as_str(), None),
        (too_long.as_str(), None),
        ("", None),
        ("05", None),
        ("-5", None),
        ("5a", None),
    ] {
        let decoded = decode(text).ok();
        assert_eq!(
            decoded.map(|d| (d.version, d.created_s, d.shard)),
            expected,
            "{text}"
        );
    }
    assert_eq!(decode(&version_one).unwrap().arrival_s, 88);
    assert_eq!(decode(&version_one).unwrap().index, 4);
}

#[test]
fn a_closed_shard_ends_above_everything_it_holds() {
    let (created, shard) = (Timestamp(1_700_000_000_000), ShardNumber(2));
    let end = end_of_shard(created, shard, created);
    assert_eq!(decode(&end).unwrap().index, INDEX_END);
    assert!(
        end > encode(
            created,
            shard,
            Ordinal(u64::MAX >> 2),
            Timestamp(u64::MAX >> 20)
        )
    );
}

proptest! {
    #[test]
    fn encoding_and_decoding_agree(
        created_s in 0..CREATED_S_MAX,
        shard in 0..i32::MAX as u32,
        index in 0..=INDEX_END,
        arrival_s in 0..=SECONDS_MASK,
    ) {
        let (created, arrival) = (Timestamp(created_s * 1_000), Timestamp(arrival_s * 1_000 + 999));
        let text = encode(created, ShardNumber(shard), Ordinal(index), arrival);
        prop_assert_eq!(&text, &slow_decimal(&layout(created_s, shard, index, arrival_s)));
        let expected = Decoded { version: 2, created_s, shard: shard as i32, index, arrival_s };
        prop_assert_eq!(decode(&text), Ok(expected));
    }

    #[test]
    fn a_run_writes_what_encoding_one_by_one_writes(
        created_s in 1_000_000_000..CREATED_S_MAX,
        shard in 0..10_000u32,
        first in 0..u64::MAX >> 2,
        arrival_s in 1_000_000_000..SECONDS_MASK,
    ) {
        let (created, arrival) = (Timestamp(created_s * 1_000), Timestamp(arrival_s * 1_000));
        let shard = ShardNumber(shard);
        let mut run = Run::new(created, shard, Ordinal(first), arrival);
        let mut before = String::new();
        for ordinal in first..first + 50 {
            let mut out = Vec::new();
            run.write_next(&mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(&text, &encode(created, shard, Ordinal(ordinal), arrival));
            // Equal lengths: text order is numeric order.
            prop_assert!(text > before);
            before = text;
        }
    }

    #[test]
    fn arbitrary_digits_never_panic(text in "[0-9]{0,140}") {
        if let Ok(decoded) = decode(&text) {
            prop_assert!(decoded.index <= INDEX_END);
        }
    }
}

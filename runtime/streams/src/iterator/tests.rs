use proptest::prelude::*;

use super::*;

fn iterator(name: &str) -> ShardIterator {
    ShardIterator {
        name: StreamName::parse(name).unwrap(),
        stream: StreamId(3),
        shard: ShardNumber(2),
        after: Ordinal(41),
        issued_at: Timestamp(1_700_000_000_000),
    }
}

#[test]
fn a_token_lives_five_minutes() {
    let (seal, iterator) = (Seal::new(&[1; 32]), iterator("a"));
    let token = iterator.seal(&seal, 0);
    let issued_at = iterator.issued_at;
    for (age_ms, expected) in [
        (0, Ok(iterator.clone())),
        (300_000, Ok(iterator.clone())),
        (300_001, Err(IteratorError::Expired { issued_at })),
    ] {
        assert_eq!(
            ShardIterator::open(&seal, &token, issued_at.plus_ms(age_ms)),
            expected
        );
    }
    assert_eq!(
        ShardIterator::open(&seal, &token, Timestamp(0)),
        Ok(iterator)
    );
}

#[test]
fn quotes_around_a_token_are_taken() {
    let (seal, iterator) = (Seal::new(&[1; 32]), iterator("a"));
    let quoted = format!("\"{}\"", iterator.seal(&seal, 0));
    assert_eq!(
        ShardIterator::open(&seal, &quoted, iterator.issued_at),
        Ok(iterator)
    );
}

#[test]
fn tokens_of_one_place_differ() {
    let (seal, iterator) = (Seal::new(&[1; 32]), iterator("a"));
    assert_ne!(iterator.seal(&seal, 0), iterator.seal(&seal, 1));
}

proptest! {
    #[test]
    fn every_place_survives_its_token(
        name in "[a-zA-Z0-9_.-]{1,128}",
        stream in any::<u64>(),
        shard in any::<u32>(),
        after in any::<u64>(),
        nonce in any::<u64>(),
    ) {
        let seal = Seal::new(&[1; 32]);
        let iterator = ShardIterator {
            name: StreamName::parse(&name).unwrap(),
            stream: StreamId(stream),
            shard: ShardNumber(shard),
            after: Ordinal(after),
            issued_at: Timestamp(5),
        };
        let token = iterator.seal(&seal, nonce);
        prop_assert!(token.len() <= 512);
        let raw = base64_simd::STANDARD.decode_to_vec(&token).unwrap();
        prop_assert_eq!(raw.len(), 152 + (name.len() + 2) / 16 * 16);
        prop_assert_eq!(&raw[..8], &[0, 0, 0, 0, 0, 0, 0, 1]);
        prop_assert_eq!(ShardIterator::open(&seal, &token, Timestamp(5)), Ok(iterator));
    }

    #[test]
    fn garbage_is_invalid(text in ".{0,200}") {
        let opened = ShardIterator::open(&Seal::new(&[1; 32]), &text, Timestamp(5));
        prop_assert_eq!(opened, Err(IteratorError::Invalid));
    }
}

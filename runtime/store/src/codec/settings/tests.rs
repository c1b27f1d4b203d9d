use std::sync::Arc;

use bytes::Bytes;
use fnctl_core::{
    filter::Filter,
    mapping::{MappingSettings, MaxAttempts, OnFailureFull, OnFatal, OnUnparsable, Ordering},
};
use proptest::prelude::*;

use super::{
    CIRCUIT_BREAKER, FILTER, HAS_OPTIONS, KEY_GROUPS, MAX_RECORD_AGE, ON_UNPARSABLE,
    TUMBLING_WINDOW,
};
use crate::codec::{DecodeError, Decoder, Value};

fn encoded(settings: &MappingSettings) -> Vec<u8> {
    let mut out = Vec::new();
    settings.put(&mut out);
    out
}

fn decoded(bytes: &[u8]) -> Result<MappingSettings, DecodeError> {
    let mut from = Decoder::new(Bytes::copy_from_slice(bytes));
    let settings = Value::take(&mut from)?;
    from.end()?;
    Ok(settings)
}

fn filter(keys: &[String]) -> Arc<Filter> {
    let patterns = keys
        .iter()
        .map(|key| format!("{{\"partitionKey\": [\"{key}\"]}}"));
    Arc::new(Filter::parse(patterns).unwrap())
}

/// The seven fields that every version has.
fn fields() -> Vec<u8> {
    let mut bytes = Vec::new();
    100_u32.put(&mut bytes);
    (6_u64 << 20).put(&mut bytes);
    0_u64.put(&mut bytes);
    1_u16.put(&mut bytes);
    MaxAttempts::Count(5).put(&mut bytes);
    100_u64.put(&mut bytes);
    60_000_u64.put(&mut bytes);
    bytes
}

/// Where the parallelization factor stands.
const FACTOR: usize = 20;

fn with_options(options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = fields();
    bytes[FACTOR + 1] |= 0x80;
    bytes.push(u8::try_from(options.len()).unwrap());
    for (tag, value) in options {
        bytes.push(*tag);
        Bytes::copy_from_slice(value).put(&mut bytes);
    }
    bytes
}

#[test]
fn a_mapping_that_uses_no_option_is_encoded_as_before_there_were_any() {
    let settings = MappingSettings::default();
    assert_eq!(encoded(&settings), fields());
    assert_eq!(decoded(&fields()), Ok(settings));
}

#[test]
fn an_option_stands_behind_the_fields_by_tag_and_length() {
    let settings = MappingSettings {
        max_record_age_ms: Some(3_600_000),
        ..MappingSettings::default()
    };
    let bytes = with_options(&[(MAX_RECORD_AGE, &3_600_000_u64.to_le_bytes())]);
    assert_eq!(encoded(&settings), bytes);
    assert_eq!(decoded(&bytes), Ok(settings));
}

#[test]
fn a_filter_is_kept_as_it_was_written() {
    let settings = MappingSettings {
        filter: Some(filter(&["a".to_owned()])),
        on_unparsable: OnUnparsable::DeadLetter,
        ..MappingSettings::default()
    };
    let pattern = b"\x01\0\0\0\x17\0\0\0{\"partitionKey\": [\"a\"]}";
    let bytes = with_options(&[(FILTER, pattern), (ON_UNPARSABLE, &[2])]);
    assert_eq!(encoded(&settings), bytes);
    assert_eq!(decoded(&bytes), Ok(settings));
}

#[test]
fn a_circuit_breaker_is_written_where_it_is_off() {
    let settings = MappingSettings {
        circuit_breaker: false,
        ..MappingSettings::default()
    };
    let bytes = with_options(&[(CIRCUIT_BREAKER, &[0])]);
    assert_eq!(encoded(&settings), bytes);
    assert_eq!(decoded(&bytes), Ok(settings));
}

#[test]
fn windows_and_groups_are_options_of_their_own() {
    let settings = MappingSettings {
        tumbling_window_ms: 60_000,
        key_groups: 8,
        ..MappingSettings::default()
    };
    let (length, groups) = (60_000_u32.to_le_bytes(), 8_u32.to_le_bytes());
    let bytes = with_options(&[(TUMBLING_WINDOW, &length), (KEY_GROUPS, &groups)]);
    assert_eq!(encoded(&settings), bytes);
    assert_eq!(decoded(&bytes), Ok(settings));
}

#[test]
fn options_that_are_not_known_or_not_whole_are_refused() {
    let age = 1_u64.to_le_bytes();
    for (options, what) in [
        (&[(255_u8, &age[..])][..], "does not know"),
        (&[(0, &age)], "do not ascend"),
        (
            &[(MAX_RECORD_AGE, &age), (MAX_RECORD_AGE, &age)],
            "do not ascend",
        ),
        (&[(MAX_RECORD_AGE, &age[..7])], "ends early"),
        (&[(MAX_RECORD_AGE, &[0; 9])], "bytes follow"),
        (
            &[(FILTER, b"\x01\0\0\0\x02\0\0\0{}")],
            "a pattern that is none",
        ),
        (&[(ON_UNPARSABLE, &[9])], "is not known"),
    ] {
        let refused = decoded(&with_options(options)).unwrap_err();
        assert!(refused.what.contains(what), "{options:?}: {refused}");
    }
}

/// What a version without options does with the bytes: the factor is no factor to it, and what follows
/// is read as a count of outputs larger than anything behind it.
#[test]
fn a_version_without_options_refuses_a_mapping_with_one() {
    let bytes = with_options(&[(MAX_RECORD_AGE, &1_u64.to_le_bytes())]);
    let behind = &bytes[fields().len()..];
    let count = u32::from_le_bytes(behind[..4].try_into().unwrap());
    assert!(count as usize > 1 << 16, "{count}");
}

proptest! {
    #[test]
    fn settings_come_back(
        factor in 1_u16..=256,
        age in any::<Option<u64>>(),
        bisects in any::<bool>(),
        breaks in any::<bool>(),
        holds_the_shard in any::<bool>(),
        partial in any::<bool>(),
        reacts in any::<[bool; 2]>(),
        patterns in prop::collection::vec("[a-z]{1,9}", 0..4),
        on_unparsable in prop_oneof![
            Just(OnUnparsable::Drop),
            Just(OnUnparsable::Pass),
            Just(OnUnparsable::DeadLetter),
        ],
        windows in any::<[u32; 2]>(),
        attempts in prop_oneof![
            Just(MaxAttempts::Unlimited),
            any::<u32>().prop_map(MaxAttempts::Count),
        ],
    ) {
        let settings = MappingSettings {
            parallelization_factor: factor,
            max_attempts: attempts,
            max_record_age_ms: age,
            bisect_on_error: bisects,
            circuit_breaker: breaks,
            ordering: if holds_the_shard { Ordering::Shard } else { Ordering::Key },
            partial_failures: partial,
            on_fatal: if reacts[0] { OnFatal::DeadLetter } else { OnFatal::Stop },
            on_failure_full: if reacts[1] {
                OnFailureFull::DropAndCount
            } else {
                OnFailureFull::Hold
            },
            filter: (!patterns.is_empty()).then(|| filter(&patterns)),
            on_unparsable,
            tumbling_window_ms: windows[0],
            key_groups: windows[1],
            ..MappingSettings::default()
        };
        let bytes = encoded(&settings);
        prop_assert_eq!(decoded(&bytes), Ok(settings));
        for end in 0..bytes.len() {
            prop_assert!(decoded(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
        let mut bytes = [fields(), bytes].concat();
        bytes[FACTOR + 1] |= (HAS_OPTIONS >> 8) as u8;
        let _outcome = decoded(&bytes);
    }
}

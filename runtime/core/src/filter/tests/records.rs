//! Section 13: which part of a record is judged, and what becomes of one that is not JSON (Lambda ESM
//! specification §13, §20 row 14, §22 row Filter).

use super::{FilterVerdict::*, *};

/// A row of section 13's second table: the record, the patterns, and one rule for every source (section
/// 21 row 12) where Lambda has one a source.
#[test]
fn records_by_patterns_of_section_13() {
    let json = r#"{"data": {"a": [1]}}"#;
    let metadata = r#"{"partitionKey": ["user-7"]}"#;
    let plain = r#"{"data": ["hello"]}"#;
    let rows: &[(&str, &[&str], &[u8], FilterVerdict)] = &[
        ("JSON, JSON pattern", &[json], br#"{"a":1}"#, Match),
        ("JSON, JSON pattern", &[json], br#"{"a":2}"#, NoMatch),
        (
            "any, no pattern for the data",
            &[metadata],
            b"\xFF\x00",
            Match,
        ),
        (
            "any, no pattern for the data",
            &[r#"{"partitionKey": ["other"]}"#],
            b"x",
            NoMatch,
        ),
        // Ours: Kinesis refuses a plain string, Kafka lets such a record pass.
        ("JSON, plain string", &[plain], br#"{"a":1}"#, NoMatch),
        ("JSON, plain string", &[plain], br#""hello""#, Match),
        ("not JSON, JSON pattern", &[json], b"hello", Unparsable),
        ("not JSON, JSON pattern", &[json], b"{\"a\":1", Unparsable),
        ("not JSON, JSON pattern", &[json], b"{\"a\":1}x", Unparsable),
        ("not JSON, JSON pattern", &[json], b"", Unparsable),
        ("plain string, plain string", &[plain], b"hello", Match),
        ("plain string, plain string", &[plain], b"hello!", NoMatch),
        (
            "not UTF-8",
            &[json],
            b"{\"a\":1,\"b\":\"\xFF\"}",
            Unparsable,
        ),
        ("not UTF-8", &[plain], b"\xFF", Unparsable),
        (
            "not UTF-8, metadata decide",
            &[json, metadata],
            b"\xFF",
            Match,
        ),
        // The payload does not decide: whether it is JSON is nobody's concern.
        (
            "not JSON, metadata decide",
            &[r#"{"partitionKey": ["other"], "data": {"a": [1]}}"#],
            b"hello",
            NoMatch,
        ),
        (
            "not JSON, one pattern asks for text",
            &[json, plain],
            b"hello",
            Match,
        ),
        (
            "not JSON, one pattern asks for text",
            &[json, plain],
            b"other",
            Unparsable,
        ),
        (
            "not JSON, absence asked for",
            &[r#"{"data": {"a": [{"exists": false}]}}"#],
            b"hello",
            Unparsable,
        ),
    ];
    for (row, patterns, data, expected) in rows {
        let text = String::from_utf8_lossy(data);
        assert_eq!(
            judge(patterns, data),
            *expected,
            "{row}: {patterns:?} on {text}"
        );
    }
}

/// Section 13: filters are ORed, the fields of one are ANDed.
#[test]
fn one_pattern_of_several_is_enough_and_all_of_its_fields_are_needed() {
    let patterns = [
        r#"{"data": {"a": [1], "b": [2]}}"#,
        r#"{"data": {"c": [3]}}"#,
    ];
    assert_eq!(judge(&patterns, br#"{"a":1,"b":2}"#), Match);
    assert_eq!(judge(&patterns, br#"{"c":3}"#), Match);
    assert_eq!(judge(&patterns, br#"{"a":1,"b":3,"c":2}"#), NoMatch);
    assert_eq!(judge(&[], b"anything"), Match);
}

/// Section 20 row 14: any field of the envelope.
#[test]
fn every_field_of_the_envelope_may_be_asked_for() {
    let rows = [
        (r#"{"partitionKey": [{"prefix": "user-"}]}"#, Match),
        (r#"{"sequenceNumber": [{"prefix": "4959033"}]}"#, Match),
        (r#"{"sequenceNumber": [{"numeric": [">", 0]}]}"#, NoMatch),
        (
            r#"{"approximateArrivalTimestamp": [1545084650.987]}"#,
            Match,
        ),
        (
            r#"{"approximateArrivalTimestamp": [{"numeric": [">=", 1545084651]}]}"#,
            NoMatch,
        ),
        (r#"{"shardId": ["shardId-000000000006"]}"#, Match),
        (
            r#"{"eventID": [{"wildcard": "shardId-000000000006:4959*8898"}]}"#,
            Match,
        ),
        (r#"{"partitionKey": [{"exists": false}]}"#, NoMatch),
        (r#"{"partitionKey": [null]}"#, NoMatch),
        (
            r#"{"$or": [{"shardId": ["x"]}, {"data": {"a": [1]}}]}"#,
            Match,
        ),
    ];
    for (pattern, expected) in rows {
        assert_eq!(judge(&[pattern], br#"{"a":1}"#), expected, "{pattern}");
    }
    assert!(filter(&[rows[1].0]).asks_for_sequence_number());
    assert!(!filter(&[rows[0].0]).asks_for_sequence_number());
}

#[test]
fn a_record_without_key_or_payload_has_null_there() {
    let bare = Envelope {
        key: None,
        data: None,
        ..record(b"")
    };
    let mut scratch = FilterScratch::default();
    for (pattern, expected) in [
        (r#"{"partitionKey": [null]}"#, Match),
        (r#"{"data": [null]}"#, Match),
        (r#"{"data": {"a": [{"exists": false}]}}"#, Match),
        (r#"{"data": {"a": [null]}}"#, NoMatch),
    ] {
        assert_eq!(
            filter(&[pattern]).verdict(&bare, &mut scratch),
            expected,
            "{pattern}"
        );
    }
}

/// Kinesis data is judged whole and given to the function as it is: nothing here makes bytes anew.
#[test]
fn json_nested_too_deeply_cannot_be_judged() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let pattern = r#"{"data": {"a": [{"exists": false}]}}"#;
    let most = limits::JSON_DEPTH_MAX as usize;
    assert_eq!(judge(&[pattern], nested(most).as_bytes()), Match);
    assert_eq!(judge(&[pattern], nested(most + 1).as_bytes()), Unparsable);
    let inside = format!("{{\"b\":{}}}", nested(most));
    assert_eq!(judge(&[pattern], inside.as_bytes()), Unparsable);
}

#[test]
fn what_kept_a_pattern_from_matching_is_told_field_by_field() {
    let told = |pattern: &str, data: &str| {
        let unmet = filter(&[pattern]).explain(&record(data.as_bytes())).1;
        let words = unmet
            .iter()
            .map(|one| format!("{} {}", one.field, one.reason));
        words.collect::<Vec<_>>().join(", ")
    };
    for (pattern, data, expected) in [
        (
            r#"{"data": {"a": [1], "b": [2]}}"#,
            r#"{"a":1,"b":3}"#,
            "data.b other-value",
        ),
        (
            r#"{"data": {"a": [1], "b": [2]}}"#,
            r#"{"a":2}"#,
            "data.a other-value, data.b absent",
        ),
        (
            r#"{"data": {"l": {"a": [1], "b": [2]}}}"#,
            r#"{"l":[{"a":1},{"b":2}]}"#,
            "data.l.a other-element, data.l.b other-element",
        ),
        (
            r#"{"data": {"a": [{"exists": false}]}}"#,
            r#"{"a":1}"#,
            "data.a present",
        ),
        (
            r#"{"partitionKey": ["x"], "data": {"a": [1]}}"#,
            r#"{"a":1}"#,
            "partitionKey other-value",
        ),
        (r#"{"data": {"a": [1]}}"#, "nonsense", "data.a unparsable"),
        (
            r#"{"data": {"$or": [{"a": [1], "b": [1]}, {"c": [1]}]}}"#,
            r#"{"c":2}"#,
            "data.c other-value",
        ),
    ] {
        assert_eq!(told(pattern, data), expected, "{pattern} on {data}");
    }
}

/// A `FilterCriteria` of AWS is its patterns, any of which lets through (§13).
#[test]
fn what_aws_wraps_filters_as_its_patterns_do() {
    let criteria = r#"{"Filters": [{"Pattern": "{\"data\": {\"a\": [1]}}"}, {"Pattern": "{\"data\": {\"b\": [2]}}"}]}"#;
    let plain = [r#"{"data": {"a": [1]}}"#, r#"{"data": {"b": [2]}}"#];
    assert_eq!(filter(&[criteria]), filter(&plain));
    assert_eq!(filter(&[criteria]).patterns().len(), 2);
    for (data, verdict) in [
        (r#"{"a": 1}"#, FilterVerdict::Match),
        (r#"{"b": 2}"#, FilterVerdict::Match),
        (r#"{"a": 2}"#, FilterVerdict::NoMatch),
    ] {
        assert_eq!(judge(&[criteria], data.as_bytes()), verdict, "{data}");
    }
    let one = r#"{"Pattern": "{\"data\": {\"a\": [1]}}"}"#;
    assert_eq!(filter(&[one]), filter(&plain[..1]));
}

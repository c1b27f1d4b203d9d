//! Tables: a row of the specification of filters is a case here, and names it.

mod model;
mod patterns;
mod records;
mod refused;

use super::*;

/// A filter of these patterns.
fn filter(patterns: &[&str]) -> Filter {
    match Filter::parse(patterns) {
        Ok(filter) => filter,
        Err(mistakes) => panic!("{patterns:?}: {mistakes:?}"),
    }
}

/// A record of this payload.
fn record(data: &[u8]) -> Envelope<'_> {
    Envelope {
        key: Some(b"user-7"),
        data: Some(data),
        arrival: Timestamp(1_545_084_650_987),
        sequence_number: "49590338271490256608559692538361571095921575989136588898",
        shard_id: "shardId-000000000006",
    }
}

/// What the patterns say of a payload.
fn judge(patterns: &[&str], data: &[u8]) -> FilterVerdict {
    let record = record(data);
    let filter = filter(patterns);
    let mut scratch = FilterScratch::default();
    let verdict = filter.verdict(&record, &mut scratch);
    assert_eq!(filter.explain(&record).0, verdict, "{patterns:?}");
    assert_eq!(
        filter.verdict(&record, &mut scratch),
        verdict,
        "a scratch is used again"
    );
    verdict
}

/// Whether `fields` as the pattern of the payload match it.
fn matches(fields: &str, data: &str) -> bool {
    let pattern = format!("{{\"data\": {fields}}}");
    match judge(&[&pattern], data.as_bytes()) {
        FilterVerdict::Match => true,
        FilterVerdict::NoMatch => false,
        FilterVerdict::Unparsable => panic!("{data} is not JSON"),
    }
}

/// Checks rows of: the row's name, the payload's pattern, payloads that match, payloads that do not.
fn check(rows: &[(&str, &str, &[&str], &[&str])]) {
    for (row, pattern, yes, no) in rows {
        for data in *yes {
            assert!(matches(pattern, data), "{row}: {pattern} matches {data}");
        }
        for data in *no {
            assert!(
                !matches(pattern, data),
                "{row}: {pattern} does not match {data}"
            );
        }
    }
}

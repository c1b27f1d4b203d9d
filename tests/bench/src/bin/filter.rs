//! What a filter costs a record: the compiled patterns beside reading the record into a `serde_json`
//! value and looking the fields up, in the same run.

use std::{hint::black_box, time::Instant};

use fnctl_bench::{
    report::{Figure, Target, record},
    usage::median,
};
use fnctl_core::{
    filter::{Envelope, Filter, FilterScratch, FilterVerdict},
    id::Timestamp,
};
use serde_json::{Value, json};

/// Records of a round.
const RECORDS: usize = 20_000;
/// The two take turns, so that both see the same machine.
const ROUNDS: usize = 9;
const PATTERN: &str =
    r#"{"data": {"age": [{"numeric": [">=", 18]}], "address": {"city": [{"prefix": "A"}]}}}"#;

fn main() {
    let records: Vec<Vec<u8>> = (0..RECORDS).map(line).collect();
    let filter = Filter::parse([PATTERN]).expect("a pattern");
    let by_key = Filter::parse([r#"{"partitionKey": ["user-7"]}"#]).expect("a pattern");
    let expected = records.iter().filter(|data| by_value(data)).count();
    let mut scratch = FilterScratch::default();
    let (mut ours, mut theirs, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(nanoseconds(|| {
            let found = records
                .iter()
                .filter(|data| is_match(&filter, data, &mut scratch));
            assert_eq!(found.count(), expected, "both say the same");
        }));
        theirs.push(nanoseconds(|| {
            let found = records.iter().filter(|data| by_value(data));
            assert_eq!(black_box(found.count()), expected);
        }));
        keys.push(nanoseconds(|| {
            let found = records
                .iter()
                .filter(|data| is_match(&by_key, data, &mut scratch));
            assert_eq!(black_box(found.count()), 0);
        }));
    }
    let (ours, theirs, keys) = (median(&mut ours), median(&mut theirs), median(&mut keys));
    let figure = |name: &str, value, unit, reference: String, target| {
        record(&Figure {
            name: format!("filter/{name}"),
            value,
            unit,
            reference,
            target,
        });
    };
    figure("payload", ours, "ns/record", String::new(), Target::None);
    figure("envelope", keys, "ns/record", String::new(), Target::None);
    figure(
        "over-value",
        ours / theirs,
        "ratio",
        format!("serde_json value and look-ups {theirs:.0} ns"),
        Target::AtMost(0.5),
    );
}

/// A record of about 200 bytes.
fn line(n: usize) -> Vec<u8> {
    let city = ["Anchorage", "Berlin", "Aarhus", "Cairo"][n % 4];
    let value = json!({
        "user_id": n, "name": format!("Ada Lovelace {n}"), "age": n % 60, "tags": ["new", "web", "eu"],
        "address": {"street": "Analytical Way 12", "zip": "99501", "city": city},
        "note": "the quick brown fox jumps over the lazy dog",
    });
    value.to_string().into_bytes()
}

fn is_match(filter: &Filter, data: &[u8], scratch: &mut FilterScratch) -> bool {
    let envelope = Envelope {
        key: Some(b"user-1"),
        data: Some(data),
        arrival: Timestamp(1),
        sequence_number: "",
        shard_id: "shardId-000000000000",
    };
    filter.verdict(&envelope, scratch) == FilterVerdict::Match
}

fn by_value(data: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return false;
    };
    let age = value["age"].as_f64();
    let city = value["address"]["city"].as_str();
    age.is_some_and(|age| age >= 18.0) && city.is_some_and(|city| city.starts_with('A'))
}

fn nanoseconds(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64() * 1e9 / RECORDS as f64
}

use std::{cmp::Ordering, collections::BTreeMap};

use serde::Deserialize;

use super::*;
use crate::{
    FailureKind, OrFail, Output,
    testing::{self, Emitted, Harness},
};

type Counts = BTreeMap<String, u64>;

/// Counts by key; does otherwise where the record says so.
fn count(record: Record<'_>, counts: &mut Counts, cx: &mut Context) -> Result<()> {
    *counts.entry(record.key_text()?.to_owned()).or_default() += 1;
    match record.text()? {
        "emit" => cx.emit_bytes(b"seen"),
        "skip" => Err(Error::skip("bad", "no good")),
        "retry" => Err(Error::retry("busy", "later")),
        "grow" => {
            counts.insert("x".repeat(5 << 20), 1);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn report(counts: Counts, cx: &mut Context) -> Result<()> {
    let window = cx.window().or_fatal("no-window", "a window closes")?;
    assert!(window.is_final != window.is_terminated_early);
    for (key, count) in counts {
        let body = format!("{} {count} {}", window.start_ms, window.is_terminated_early);
        cx.row().key(&key).bytes(body.as_bytes())?;
    }
    Ok(())
}

fn records(all: &[(&str, &str)]) -> Vec<testing::Input> {
    let each = all.iter();
    each.map(|(key, body)| testing::record(*body).key(key))
        .collect()
}

fn told(rows: &[Emitted]) -> Vec<(&str, &str)> {
    rows.iter()
        .map(|row| (std::str::from_utf8(&row.key).unwrap(), row.text()))
        .collect()
}

#[test]
fn a_state_goes_from_call_to_call_and_is_closed_once() {
    let mut window = testing::window(count, report).span(
        SystemTime::UNIX_EPOCH + Duration::from_secs(120),
        Duration::from_secs(60),
    );
    let out = window.run(records(&[("a", ""), ("b", "emit"), ("a", "")]));
    assert_eq!(told(out.rows(Output::DEFAULT)), [("b", "seen")]);
    window.run(records(&[("a", "")]));
    let rows = window.close();
    let rows = told(rows.rows(Output::DEFAULT));
    assert_eq!(rows, [("a", "120000 3 false"), ("b", "120000 1 false")]);
    assert!(window.state().unwrap().is_empty());
    assert!(window.close().rows(Output::DEFAULT).is_empty());
}

#[test]
fn an_early_end_closes_the_state_and_the_window_goes_on() {
    let mut window = testing::window(count, report);
    window.run(records(&[("a", "")]));
    let early = window.end_early();
    let row = early.rows(Output::DEFAULT)[0].text();
    assert!(row.ends_with(" 1 true"), "{row}");
    window.run(records(&[("a", "")]));
    let last = window.close();
    let row = last.rows(Output::DEFAULT)[0].text();
    assert!(row.ends_with(" 1 false"), "{row}");
}

#[test]
fn a_call_with_a_failed_record_counts_as_never_made() {
    let mut window = testing::window(count, report);
    window.run(records(&[("a", "")]));
    for kind in ["skip", "retry"] {
        let out = window.run(records(&[("a", "emit"), ("b", kind)]));
        assert_eq!(out.failures().len(), 1);
        assert!(out.rows(Output::DEFAULT).is_empty());
        assert_eq!(window.state().unwrap(), Counts::from([("a".to_owned(), 1)]));
    }
}

#[test]
fn a_state_above_the_limit_fails_its_call() {
    let mut window = testing::window(count, report);
    let out = window.run(records(&[("a", "grow")]));
    let error = out.call.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Retry, "bad-state")
    );
    assert!(
        error.message().contains("at most 4194304"),
        "{}",
        error.message()
    );
    assert!(window.state().unwrap().is_empty());
}

#[test]
fn without_a_window_the_mapping_stops_and_says_what_to_set() {
    let run = |batch: Batch<'_>, cx: &mut Context| run_window(batch, cx, count, report);
    let out = testing::run_batch(run, [testing::record("x")]);
    let error = out.call.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Fatal, "no-window")
    );
    assert!(error.message().contains("--tumbling-window"));
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Grown {
    count: u64,
    #[serde(default)]
    sum: u64,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Strict {
    count: u64,
    total: u64,
}

#[test]
fn a_state_of_an_earlier_version_is_read_or_refused_in_words() {
    assert_eq!(read::<Grown>(b"").unwrap(), Grown::default());
    let grown = read::<Grown>(br#"{"count":3}"#).unwrap();
    assert_eq!(grown, Grown { count: 3, sum: 0 });
    let refused = read::<Strict>(br#"{"count":3}"#).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::Fatal, "bad-state")
    );
    for words in ["Strict", "missing field `total`", "#[serde(default)]"] {
        assert!(refused.message().contains(words), "{}", refused.message());
    }
}

/// Maps under keys that are no text have no JSON.
#[test]
fn a_state_that_cannot_be_written_is_fatal() {
    type Pairs = BTreeMap<(u8, u8), u8>;
    let put = |_: Record<'_>, pairs: &mut Pairs, _: &mut Context| -> Result<()> {
        pairs.insert((1, 2), 3);
        Ok(())
    };
    let close = |_: Pairs, _: &mut Context| -> Result<()> { Ok(()) };
    let mut window = Harness::new().window(put, close);
    let error = window.run([testing::record("x")]).call.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Fatal, "bad-state")
    );
}

#[test]
fn a_key_that_is_no_number_fails_its_call_as_a_value_does() {
    #[derive(Serialize, Deserialize)]
    struct Price(f64);
    impl Ord for Price {
        fn cmp(&self, other: &Self) -> Ordering {
            self.0.total_cmp(&other.0)
        }
    }
    impl PartialOrd for Price {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl PartialEq for Price {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }
    impl Eq for Price {}
    type Prices = BTreeMap<Price, u64>;
    let put = |record: Record<'_>, prices: &mut Prices, _: &mut Context| -> Result<()> {
        let price = record.text()?.parse().or_skip("bad", "no float")?;
        *prices.entry(Price(price)).or_default() += 1;
        Ok(())
    };
    let close = |_: Prices, _: &mut Context| -> Result<()> { Ok(()) };
    let mut window = Harness::new().window(put, close);
    window.run([testing::record("1.5")]);
    let error = window.run([testing::record("NaN")]).call.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Retry, "bad-state")
    );
    assert_eq!(window.state().unwrap()[&Price(1.5)], 1);
}

/// `null` in its place would be committed, and stop every call behind it.
#[test]
fn a_float_that_is_no_number_fails_its_call_and_leaves_the_state_as_it_was() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Mean {
        Of(Option<f64>),
    }
    type Means = BTreeMap<String, Vec<Mean>>;
    let put = |record: Record<'_>, means: &mut Means, _: &mut Context| -> Result<()> {
        let value = record.text()?.parse().or_skip("bad", "no float")?;
        means
            .entry("all".to_owned())
            .or_default()
            .push(Mean::Of(Some(value)));
        Ok(())
    };
    let close = |_: Means, _: &mut Context| -> Result<()> { Ok(()) };
    let mut window = Harness::new().window(put, close);
    window.run([testing::record("1.5")]);
    for bad in ["NaN", "inf", "-inf"] {
        let error = window.run([testing::record(bad)]).call.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (FailureKind::Retry, "bad-state")
        );
        assert!(error.message().contains("NaN or infinite"), "{bad}");
        assert_eq!(window.state().unwrap()["all"], [Mean::Of(Some(1.5))]);
    }
}

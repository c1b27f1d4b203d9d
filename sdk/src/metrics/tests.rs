use super::*;
use crate::{Context, Error, Record, Result, limits::KNOWN_SERIES_MAX, testing};

static SEEN: Counter = Counter::new("seen");
static SOLD: Counter = Counter::new("sold_total");
static SIZE: Gauge = Gauge::new("size_bytes");

fn count(record: Record<'_>, _: &mut Context) -> Result<()> {
    let text = record.text()?;
    SEEN.increment();
    SOLD.with(&[("kind", text), ("by", "hand")]).add(2.5);
    SIZE.set(text.len() as f64);
    SIZE.with(&[("of", "all")]).add(text.len() as f64);
    if text == "bad" {
        return Err(Error::skip("bad", "no good"));
    }
    Ok(())
}

#[test]
fn what_a_run_counts_stays_also_of_a_record_that_fails() {
    let out = testing::run(count, ["book", "bad", "book"].map(testing::record));
    assert_eq!(out.failures().len(), 1);
    assert_eq!(out.metric("seen_total", &[]), Some(3.0));
    let sold = |kind| out.metric("sold_total", &[("by", "hand"), ("kind", kind)]);
    assert_eq!((sold("book"), sold("bad")), (Some(5.0), Some(2.5)));
    assert_eq!(out.metric("size_bytes", &[]), Some(4.0));
    assert_eq!(out.metric("size_bytes", &[("of", "all")]), Some(11.0));
    assert_eq!(out.metric("seen", &[]), None);
    // Another run begins at zero.
    let out = testing::run(count, [testing::record("book")]);
    assert_eq!(out.metric("seen_total", &[]), Some(1.0));
}

#[test]
fn what_the_host_would_drop_is_dropped_and_told() {
    fn wrong(record: Record<'_>, _: &mut Context) -> Result<()> {
        match record.text()? {
            "negative" => SEEN.add(-1.0),
            "nan" => SIZE.set(f64::NAN),
            "label" => SEEN.with(&[("function", "other")]).increment(),
            "twice" => SEEN.with(&[("a", "1"), ("a", "2")]).increment(),
            "long" => SEEN.with(&[("a", &"v".repeat(65))]).increment(),
            "five" => SEEN
                .with(&["a", "b", "c", "d", "e"].map(|a| (a, "1")))
                .increment(),
            other => SEEN.with(&[("a", other)]).increment(),
        }
        Ok(())
    }
    for word in ["negative", "nan", "label", "twice", "long", "five"] {
        let out = testing::run(wrong, [testing::record(word)]);
        let told = |entry: &testing::LogEntry| entry.message.contains("dropped");
        assert!(out.logs().iter().any(told), "{word}: {:?}", out.logs());
        assert!(
            matches!(out.metric("seen_total", &[]), None | Some(0.0)),
            "{word}"
        );
    }
    let many = (0..=KNOWN_SERIES_MAX).map(|number| testing::record(number.to_string()));
    let out = testing::run(wrong, many);
    let of = |number: usize| out.metric("seen_total", &[("a", &number.to_string())]);
    assert_eq!(of(KNOWN_SERIES_MAX - 1), Some(1.0));
    assert_eq!((of(KNOWN_SERIES_MAX), out.logs().len()), (None, 1));
}

#[test]
fn names_are_those_that_the_host_takes() {
    for name in ["a", "a0__b", "orders_total", "total", &"a".repeat(64)] {
        assert!(is_metric_name(Kind::Counter, name), "{name}");
    }
    for name in [
        "",
        "A",
        "0a",
        "_a",
        "a-b",
        "zäh",
        "a_count",
        "a_sum_total",
        "a_info",
        "a_created",
        "a_bucket",
        &"a".repeat(65),
    ] {
        assert!(!is_metric_name(Kind::Counter, name), "{name}");
        assert!(!is_metric_name(Kind::Gauge, name), "{name}");
    }
    assert!(!is_metric_name(Kind::Gauge, "orders_total"));
    assert!(is_metric_name(Kind::Gauge, "total"));
}

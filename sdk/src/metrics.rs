//! The function's own counters and gauges.

#[cfg(not(target_os = "wasi"))]
mod native;
#[cfg(test)]
mod tests;
#[cfg(target_os = "wasi")]
mod wasm;

#[cfg(not(target_os = "wasi"))]
use native::Known;
#[cfg(not(target_os = "wasi"))]
pub(crate) use native::Measured;
#[cfg(target_os = "wasi")]
use wasm::Known;

use crate::limits::METRIC_NAME_BYTES_MAX;

/// Names and values, in any order.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// Something that only grows, such as what the function has seen: `fnctl_custom_<name>_total` in `/metrics`, with
/// the label `function`.
///
/// ```
/// use fnctl_sdk::prelude::*;
///
/// static ORDERS: Counter = Counter::new("orders");
///
/// #[stream_fn]
/// fn sort(record: Record<'_>, cx: &mut Context) -> Result<()> {
///     let kind = if record.data().starts_with(b"-") { "refund" } else { "sale" };
///     ORDERS.with(&[("kind", kind)]).increment();
///     cx.forward(record)
/// }
///
/// let out = testing::run(sort, ["-3", "5", "7"].map(testing::record));
/// assert_eq!(out.metric("orders_total", &[("kind", "sale")]), Some(2.0));
/// ```
///
/// It counts at once, also where the record or the call fails, and again when it is retried. A function has 100
/// series, each combination of name and values being one: what is beyond is dropped, as is an amount below zero,
/// and `fnctl logs` says so.
#[derive(Debug)]
pub struct Counter(Metric);

/// Something that goes both ways: `fnctl_custom_<name>` in `/metrics`, with the label `function`. It is what an
/// instance set last, whichever it was: what is to be summed over instances is better [added](Self::add).
///
/// ```
/// use fnctl_sdk::prelude::*;
///
/// static TABLE_ROWS: Gauge = Gauge::new("table_rows");
///
/// #[stream_fn]
/// fn look_up(_: Record<'_>, _: &mut Context) -> Result<()> {
///     TABLE_ROWS.set(12.0);
///     Ok(())
/// }
///
/// let out = testing::run(look_up, [testing::record("a")]);
/// assert_eq!(out.metric("table_rows", &[]), Some(12.0));
/// ```
#[derive(Debug)]
pub struct Gauge(Metric);

/// A [`Counter`] or [`Gauge`] with labels, made by its `with`.
#[derive(Clone, Copy, Debug)]
#[must_use = "labels measure nothing"]
pub struct Labelled<'a, M> {
    metric: &'a M,
    labels: Labels<'a>,
}

#[derive(Debug)]
struct Metric {
    kind: Kind,
    name: &'static str,
    known: Known,
}

impl Metric {
    const fn new(kind: Kind, name: &'static str) -> Self {
        assert!(
            is_metric_name(kind, name),
            "a metric's name is 1 to 64 of a-z, 0-9 and `_`, starting with a letter; it ends neither in `_bucket`, \
             `_count`, `_created`, `_info` nor `_sum`, and that of a gauge not in `_total`"
        );
        Self {
            kind,
            name,
            known: Known::new(),
        }
    }
}

impl Counter {
    /// A counter of this name, with `_total` at its end or without. Make it a `static`.
    ///
    /// # Panics
    /// If it is no name of a counter: 1 to 64 of a-z, 0-9 and `_`, starting with a letter. A `static` does not
    /// compile then.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(Metric::new(Kind::Counter, name))
    }

    /// Adds one. One host call.
    #[inline]
    pub fn increment(&self) {
        self.add(1.0);
    }

    /// Adds an amount, not below zero. One host call.
    #[inline]
    pub fn add(&self, amount: f64) {
        self.with(&[]).add(amount);
    }

    /// The series with these labels, at most 4: names of a-z, 0-9 and `_`, values of at most 64 characters.
    /// Labels are looked up here and not in the host; values are of a few, never taken from records as they come.
    #[inline]
    pub const fn with<'a>(&'a self, labels: &'a [(&'a str, &'a str)]) -> Labelled<'a, Self> {
        Labelled {
            metric: self,
            labels,
        }
    }
}

impl Gauge {
    /// A gauge of this name. Make it a `static`.
    ///
    /// # Panics
    /// As [`Counter::new`]; `_total` at its end is that of counters.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(Metric::new(Kind::Gauge, name))
    }

    /// Sets it. One host call.
    #[inline]
    pub fn set(&self, value: f64) {
        self.with(&[]).set(value);
    }

    /// Adds to it; below zero it falls. One host call.
    #[inline]
    pub fn add(&self, amount: f64) {
        self.with(&[]).add(amount);
    }

    /// The series with these labels, as [`Counter::with`].
    #[inline]
    pub const fn with<'a>(&'a self, labels: &'a [(&'a str, &'a str)]) -> Labelled<'a, Self> {
        Labelled {
            metric: self,
            labels,
        }
    }
}

impl Labelled<'_, Counter> {
    /// Adds one.
    #[inline]
    pub fn increment(self) {
        self.add(1.0);
    }

    /// Adds an amount, not below zero.
    #[inline]
    pub fn add(self, amount: f64) {
        let Metric { kind, name, known } = &self.metric.0;
        known.add(*kind, name, self.labels, amount);
    }
}

impl Labelled<'_, Gauge> {
    /// Sets it.
    #[inline]
    pub fn set(self, value: f64) {
        let Metric { kind, name, known } = &self.metric.0;
        known.set(*kind, name, self.labels, value);
    }

    /// Adds to it; below zero it falls.
    #[inline]
    pub fn add(self, amount: f64) {
        let Metric { kind, name, known } = &self.metric.0;
        known.add(*kind, name, self.labels, amount);
    }
}

/// The rule for a metric's name.
const fn is_metric_name(kind: Kind, name: &str) -> bool {
    let name = name.as_bytes();
    if name.is_empty() || name.len() > METRIC_NAME_BYTES_MAX || !name[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 0;
    while at < name.len() {
        let sign = name[at];
        if !(sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'_') {
            return false;
        }
        at += 1;
    }
    let stem = match (without_end(name, b"_total"), kind) {
        (Some(_), Kind::Gauge) => return false,
        (Some(stem), Kind::Counter) => stem,
        (None, _) => name,
    };
    without_end(stem, b"_bucket").is_none()
        && without_end(stem, b"_count").is_none()
        && without_end(stem, b"_created").is_none()
        && without_end(stem, b"_info").is_none()
        && without_end(stem, b"_sum").is_none()
}

const fn without_end<'a>(name: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    if name.len() < end.len() {
        return None;
    }
    let (stem, last) = name.split_at(name.len() - end.len());
    let mut at = 0;
    while at < end.len() {
        if last[at] != end[at] {
            return None;
        }
        at += 1;
    }
    Some(stem)
}

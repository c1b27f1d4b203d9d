//! What a harness counts, by the host's rules.

use std::collections::BTreeMap;

use super::{Kind, Labels};
use crate::{
    call::{NO_RECORD, in_hand},
    host::native::with,
    limits::{KNOWN_SERIES_MAX, METRIC_LABELS_MAX, METRIC_NAME_BYTES_MAX, METRIC_VALUE_CHARS_MAX},
    testing::LogEntry,
};

/// Labels by name.
type Sorted = Vec<(String, String)>;

/// Where the series of a run stand.
#[derive(Default)]
pub(crate) struct Measured(BTreeMap<(String, Sorted), f64>);

impl Measured {
    /// Where a series stands; none that the run did not measure.
    pub(crate) fn get(&self, name: &str, labels: Labels<'_>) -> Option<f64> {
        let labels = sorted(labels).ok()?;
        self.0.get(&(name.to_owned(), labels)).copied()
    }
}

/// Nothing to remember: the harness is asked each time.
#[derive(Debug)]
pub(super) struct Known;

impl Known {
    pub(super) const fn new() -> Self {
        Self
    }

    pub(super) fn add(&self, kind: Kind, name: &str, labels: Labels<'_>, amount: f64) {
        measure(kind, name, labels, |value| {
            if kind == Kind::Counter && amount < 0.0 {
                f64::NAN
            } else {
                value + amount
            }
        });
    }

    pub(super) fn set(&self, kind: Kind, name: &str, labels: Labels<'_>, value: f64) {
        measure(kind, name, labels, |_| value);
    }
}

/// Takes a series on to a value. What the host would refuse is dropped and told in the run's log, as the host
/// does.
fn measure(kind: Kind, name: &str, labels: Labels<'_>, next: impl FnOnce(f64) -> f64) {
    let name = match kind {
        Kind::Counter if !name.ends_with("_total") => format!("{name}_total"),
        _ => name.to_owned(),
    };
    // Outside of a harness nobody looks.
    with(|scene| {
        let measured = &mut scene.measured.0;
        let refusal = match sorted(labels) {
            Err(words) => words,
            Ok(labels) => {
                let is_full = measured.len() >= KNOWN_SERIES_MAX;
                let series = (name.clone(), labels);
                if is_full && !measured.contains_key(&series) {
                    format!("the function has {KNOWN_SERIES_MAX} series")
                } else {
                    let value = measured.entry(series).or_default();
                    let next = next(*value);
                    if next.is_finite() {
                        *value = next;
                        return;
                    }
                    "amounts are finite, sums too, and counters only grow".to_owned()
                }
            }
        };
        scene.logs.push(LogEntry {
            level: ::log::Level::Warn,
            source: Some(in_hand()).filter(|index| *index != NO_RECORD),
            message: format!("a metric is dropped: `{name}`: {refusal}"),
        });
    });
}

/// The labels as they tell a series apart, or what is wrong with them.
fn sorted(labels: Labels<'_>) -> Result<Sorted, String> {
    if labels.len() > METRIC_LABELS_MAX {
        return Err(format!("it has more than {METRIC_LABELS_MAX} labels"));
    }
    let mut all = Sorted::new();
    for &(name, value) in labels {
        if !is_label(name) {
            return Err(format!("`{name}` is no label that a function may set"));
        }
        if !is_value(value) {
            return Err(format!("the value of the label `{name}` is none"));
        }
        if all.iter().any(|(other, _)| other == name) {
            return Err(format!("the label `{name}` stands twice"));
        }
        all.push((name.to_owned(), value.to_owned()));
    }
    all.retain(|(_, value)| !value.is_empty());
    all.sort_unstable();
    Ok(all)
}

fn is_label(name: &str) -> bool {
    let is_sign = |sign: &u8| sign.is_ascii_lowercase() || sign.is_ascii_digit() || *sign == b'_';
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && !name.starts_with("__")
        && name.len() <= METRIC_NAME_BYTES_MAX
        && name.as_bytes().iter().all(is_sign)
        && !["function", "instance", "job", "le", "quantile"].contains(&name)
}

fn is_value(value: &str) -> bool {
    let is_harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    value.chars().count() <= METRIC_VALUE_CHARS_MAX && !value.contains(is_harmful)
}

//! What a function's own counters and gauges may be called: the names that become part of the exposition, and
//! why one does not (rules of `wit/metrics.wit`).

use crate::limits::{
    FUNCTION_SERIES_MAX, SERIES_LABELS_MAX, SERIES_NAME_CHARS_MAX, SERIES_VALUE_CHARS_MAX,
};

/// What all of their names begin with. No metric of the host does.
pub const SERIES_PREFIX: &str = "fnctl_custom_";
/// What the name of every counter ends in, and that of no gauge.
const COUNTER_SUFFIX: &str = "_total";
/// Ends that mean something else to Prometheus.
const SUFFIXES_TAKEN: [&str; 5] = ["_bucket", "_count", "_created", "_info", "_sum"];
/// Labels that are the host's, Prometheus's, or those of histograms and summaries.
const LABELS_TAKEN: [&str; 5] = ["function", "instance", "job", "le", "quantile"];
/// How much of a bad name is told.
const TOLD_CHARS_MAX: usize = 80;

/// What a series does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeriesKind {
    /// Only grows.
    Counter,
    /// Goes both ways.
    Gauge,
}

impl SeriesKind {
    /// The word of the text format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// One series of a function: its exposed name and its labels. Ordered by name, then by labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    family: Box<str>,
    labels: Vec<(Box<str>, Box<str>)>,
    kind: SeriesKind,
}

impl Series {
    /// A series by the name and labels that a function gives; labels in any order.
    ///
    /// # Errors
    /// The name, or a label, is none.
    pub fn new<'a>(
        kind: SeriesKind,
        name: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, SeriesRefusal> {
        let family = family(kind, name)?;
        let mut all: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (index, (label, value)) in labels.into_iter().enumerate() {
            if index == SERIES_LABELS_MAX {
                return Err(SeriesRefusal::TooManyLabels(told(name)));
            }
            check_label(label, value)?;
            if all.iter().any(|(other, _)| **other == *label) {
                return Err(SeriesRefusal::LabelTwice(told(label)));
            }
            all.push((label.into(), value.into()));
        }
        // To Prometheus an empty value is no label: kept, two series would become one there.
        all.retain(|(_, value)| !value.is_empty());
        all.sort_unstable();
        Ok(Self {
            family,
            labels: all,
            kind,
        })
    }

    /// Its exposed name: [`SERIES_PREFIX`], the given one, and for a counter `_total`.
    #[must_use]
    pub fn family(&self) -> &str {
        &self.family
    }

    /// Names and values, by name; the label `function` is not among them.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (&**name, &**value))
    }

    /// What it does.
    #[must_use]
    pub const fn kind(&self) -> SeriesKind {
        self.kind
    }
}

/// Why something that a function measured is dropped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SeriesRefusal {
    /// The name is none.
    #[error("`{0}` is no name of a metric: [a-z][a-z0-9_]{{0,63}}")]
    Name(String),
    /// The name says that it is something else.
    #[error("`{name}` is no name of a {kind}: it ends in `{suffix}`")]
    Suffix {
        /// The name.
        name: String,
        /// What it was to be.
        kind: &'static str,
        /// Its end.
        suffix: &'static str,
    },
    /// It has more labels than [`SERIES_LABELS_MAX`].
    #[error("`{0}` has more than {SERIES_LABELS_MAX} labels")]
    TooManyLabels(String),
    /// The name of a label is none.
    #[error("`{0}` is no name of a label: [a-z_][a-z0-9_]{{0,63}}, and not `__` at its beginning")]
    Label(String),
    /// The name of a label has a meaning already.
    #[error("the label `{0}` is not a function's to set")]
    LabelTaken(String),
    /// A label stands twice.
    #[error("the label `{0}` stands twice")]
    LabelTwice(String),
    /// The value of a label is too long, or would tear the text.
    #[error(
        "the value of the label `{0}` is above {SERIES_VALUE_CHARS_MAX} characters, or has a control character"
    )]
    Value(String),
    /// The function has as many series as it may.
    #[error(
        "the function has {FUNCTION_SERIES_MAX} series, and `{0}` would be one more: do labels have values without end?"
    )]
    Budget(String),
    /// A counter was to be set.
    #[error("`{0}` is a counter: it is added to, and not set")]
    SetCounter(String),
    /// An amount that would take the series where it cannot go.
    #[error(
        "`{family}` cannot take {amount}: amounts are finite, sums too, and counters only grow"
    )]
    Amount {
        /// The exposed name.
        family: String,
        /// What was given.
        amount: f64,
    },
    /// No series has the number.
    #[error("no series has the number {0}")]
    Number(u32),
}

/// Why something is dropped, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// The name.
    Name,
    /// A label.
    Label,
    /// The function has as many series as it may.
    Budget,
    /// A counter that was to be set.
    Kind,
    /// An amount.
    Amount,
    /// A number of no series.
    Number,
}

impl RefusalReason {
    /// All of them; each stands at its own number.
    pub const ALL: [Self; 6] = [
        Self::Name,
        Self::Label,
        Self::Budget,
        Self::Kind,
        Self::Amount,
        Self::Number,
    ];

    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Label => "label",
            Self::Budget => "budget",
            Self::Kind => "kind",
            Self::Amount => "amount",
            Self::Number => "number",
        }
    }
}

impl SeriesRefusal {
    /// In one word.
    #[must_use]
    pub const fn reason(&self) -> RefusalReason {
        match self {
            Self::Name(_) | Self::Suffix { .. } => RefusalReason::Name,
            Self::TooManyLabels(_)
            | Self::Label(_)
            | Self::LabelTaken(_)
            | Self::LabelTwice(_)
            | Self::Value(_) => RefusalReason::Label,
            Self::Budget(_) => RefusalReason::Budget,
            Self::SetCounter(_) => RefusalReason::Kind,
            Self::Amount { .. } => RefusalReason::Amount,
            Self::Number(_) => RefusalReason::Number,
        }
    }
}

/// The exposed name.
fn family(kind: SeriesKind, name: &str) -> Result<Box<str>, SeriesRefusal> {
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase()) && is_word(name);
    if !is_name {
        return Err(SeriesRefusal::Name(told(name)));
    }
    let stem = match kind {
        SeriesKind::Counter => name.strip_suffix(COUNTER_SUFFIX).unwrap_or(name),
        SeriesKind::Gauge => name,
    };
    let taken = SUFFIXES_TAKEN.iter().chain(match kind {
        SeriesKind::Counter => None,
        SeriesKind::Gauge => Some(&COUNTER_SUFFIX),
    });
    for suffix in taken {
        if stem.ends_with(suffix) {
            return Err(SeriesRefusal::Suffix {
                name: told(name),
                kind: kind.as_str(),
                suffix,
            });
        }
    }
    let end = match kind {
        SeriesKind::Counter => COUNTER_SUFFIX,
        SeriesKind::Gauge => "",
    };
    Ok([SERIES_PREFIX, stem, end].concat().into())
}

fn check_label(label: &str, value: &str) -> Result<(), SeriesRefusal> {
    let is_name = label.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if !is_name || !is_word(label) || label.starts_with("__") {
        return Err(SeriesRefusal::Label(told(label)));
    }
    if LABELS_TAKEN.contains(&label) {
        return Err(SeriesRefusal::LabelTaken(told(label)));
    }
    // Counted only as far as need be: a value may be as large as the function's memory.
    let is_long = value.chars().nth(SERIES_VALUE_CHARS_MAX).is_some();
    let is_harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if is_long || value.contains(is_harmful) {
        return Err(SeriesRefusal::Value(told(label)));
    }
    Ok(())
}

/// Letters, digits and underscores, and not too many.
fn is_word(text: &str) -> bool {
    let is_sign = |sign: &u8| sign.is_ascii_lowercase() || sign.is_ascii_digit() || *sign == b'_';
    text.len() <= SERIES_NAME_CHARS_MAX && text.as_bytes().iter().all(is_sign)
}

/// A name of a guest's making, as it can be told.
fn told(text: &str) -> String {
    text.chars()
        .take(TOLD_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests;

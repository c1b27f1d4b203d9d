//! Prometheus text, written once into one string.

use std::fmt::{self, Write as _};

use fnctl_core::{
    id::FunctionName,
    series::{Series, SeriesKind},
};

use crate::metrics::{histogram::Histogram, table};

/// The text so far.
#[derive(Debug)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Nothing yet, with room for `bytes`.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// The finished text.
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Begins a family; all its samples follow.
    ///
    /// # Panics
    /// If the table does not have it.
    pub(super) fn family(&mut self, name: &str) {
        let metric =
            table::metric(name).expect("every scrape writes all families: a test would know");
        let (help, kind) = (metric.help, metric.kind.as_str());
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    /// Begins a family of functions' own series, whose name is not in the table.
    pub(super) fn custom_family(&mut self, name: &str, kind: SeriesKind) {
        let kind = kind.as_str();
        self.line(format_args!(
            "# HELP {name} Counted by functions themselves\n# TYPE {name} {kind}"
        ));
    }

    /// Writes a sample of such a family; the values of its labels are the function's, and may be anything.
    pub(super) fn custom(&mut self, function: &FunctionName, series: &Series, value: f64) {
        self.start(series.family(), "function", function.as_str());
        for (label, text) in series.labels() {
            for part in [",", label, "=\""] {
                self.0.push_str(part);
            }
            for sign in text.chars() {
                match sign {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    _ => self.0.push(sign),
                }
            }
            self.0.push('"');
        }
        self.end(value);
    }

    /// Writes a family of one sample without labels, or of none.
    pub(super) fn single(&mut self, name: &str, value: Option<f64>) {
        self.family(name);
        if let Some(value) = value {
            self.line(format_args!("{name} {value}"));
        }
    }

    /// Writes a line.
    pub(super) fn line(&mut self, text: fmt::Arguments<'_>) {
        self.0
            .write_fmt(text)
            .expect("writing to memory does not fail");
        self.0.push('\n');
    }

    /// Writes a sample whose labels are one name and value: the shape of nearly all of them.
    pub(super) fn sample(&mut self, name: &str, label: &str, of: &str, value: impl fmt::Display) {
        self.start(name, label, of);
        self.end(value);
    }

    /// Writes a sample with a second label.
    pub(super) fn sample2(
        &mut self,
        name: &str,
        (label, of): (&str, &str),
        (second, is): (&str, &str),
        value: impl fmt::Display,
    ) {
        self.start(name, label, of);
        for part in [",", second, "=\"", is, "\""] {
            self.0.push_str(part);
        }
        self.end(value);
    }

    /// Writes the samples of a histogram. `labels` are those of the series as they stand in it, `bounds` its
    /// buckets as text.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &str,
        bounds: &[String],
        from: &Histogram,
    ) {
        let snapshot = from.snapshot();
        let bounds = bounds.iter().map(String::as_str).chain(["+Inf"]);
        for (count, bound) in snapshot.cumulative.iter().zip(bounds) {
            for part in [name, "_bucket{", labels, ",le=\"", bound, "\""] {
                self.0.push_str(part);
            }
            self.end(count);
        }
        let (sum, count) = (snapshot.sum, snapshot.cumulative.last().unwrap_or(&0));
        self.line(format_args!("{name}_sum{{{labels}}} {sum}"));
        self.line(format_args!("{name}_count{{{labels}}} {count}"));
    }

    /// Appends text that is an exposition already.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.0);
    }

    fn start(&mut self, name: &str, label: &str, of: &str) {
        // Names are configured and checked: none needs escaping.
        for part in [name, "{", label, "=\"", of, "\""] {
            self.0.push_str(part);
        }
    }

    fn end(&mut self, value: impl fmt::Display) {
        writeln!(self.0, "}} {value}").expect("writing to memory does not fail");
    }
}

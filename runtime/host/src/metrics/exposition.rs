//! Prometheus text, written once into one string.

use std::fmt::{self, Write as _};

use prometheus::{Histogram, core::Metric as _};

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
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
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
        self.start(name, "", label, of);
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
        self.start(name, "", label, of);
        for part in [",", second, "=\"", is, "\""] {
            self.0.push_str(part);
        }
        self.end(value);
    }

    /// Writes the samples of a histogram of one function. `bounds` are its buckets as text.
    pub(super) fn histogram(&mut self, name: &str, of: &str, bounds: &[String], from: &Histogram) {
        let metric = from.metric();
        let histogram = metric.get_histogram();
        for (bucket, bound) in histogram.get_bucket().iter().zip(bounds) {
            self.start(name, "_bucket", "function", of);
            for part in [",le=\"", bound, "\""] {
                self.0.push_str(part);
            }
            self.end(bucket.cumulative_count());
        }
        self.start(name, "_bucket", "function", of);
        self.0.push_str(",le=\"+Inf\"");
        self.end(histogram.get_sample_count());
        self.start(name, "_sum", "function", of);
        self.end(histogram.get_sample_sum());
        self.start(name, "_count", "function", of);
        self.end(histogram.get_sample_count());
    }

    /// Appends text that is an exposition already.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.0);
    }

    fn start(&mut self, name: &str, suffix: &str, label: &str, of: &str) {
        // Names are configured and checked: none needs escaping.
        for part in [name, suffix, "{", label, "=\"", of, "\""] {
            self.0.push_str(part);
        }
    }

    fn end(&mut self, value: impl fmt::Display) {
        writeln!(self.0, "}} {value}").expect("writing to memory does not fail");
    }
}

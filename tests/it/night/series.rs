//! What was scraped, minute by minute, as `promtool` takes it.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

/// Every series of one server, a sample a minute.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// By name and labels; `None`: it was not there at that minute.
    samples: BTreeMap<String, Vec<Option<f64>>>,
    minutes: usize,
    /// When the first scrape was, seconds since 1970: the night begins at 0 for those who evaluate rules.
    began: f64,
}

impl Series {
    /// A scrape at `now`, seconds since 1970; `None`: nobody answered.
    pub(super) fn scraped(
        &mut self,
        exposition: Option<&str>,
        now: f64,
        is_read: impl Fn(&str) -> bool,
    ) {
        if self.minutes == 0 {
            self.began = now;
        }
        self.sample("up", f64::from(u8::from(exposition.is_some())));
        let lines = exposition.unwrap_or_default().lines();
        for line in lines.filter(|line| !line.starts_with('#')) {
            let (series, value) = line
                .rsplit_once(' ')
                .unwrap_or_else(|| panic!("no sample: {line}"));
            let name = series.split('{').next().unwrap_or_default();
            if !is_read(name) {
                continue;
            }
            let value: f64 = value.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
            // 0 is "never"; all others are moments, told from where the night begins.
            let is_moment =
                name.ends_with("_timestamp_seconds") || name == "process_start_time_seconds";
            let moved = if is_moment && value > 0.0 {
                value - self.began
            } else {
                value
            };
            self.sample(series, moved);
        }
        self.minutes += 1;
    }

    fn sample(&mut self, series: &str, value: f64) {
        let samples = self.samples.entry(series.to_owned()).or_default();
        samples.resize(self.minutes, None);
        samples.push(Some(value));
    }

    /// The minute of the last scrape.
    pub(super) const fn minute(&self) -> usize {
        self.minutes - 1
    }

    /// As `input_series` of a file of tests.
    pub(super) fn input(&self) -> Value {
        let all = self.samples.iter().map(|(series, samples)| {
            let labels = r#"job="fnctl",instance="night""#;
            let series = match series.split_once('{') {
                Some((name, rest)) => format!("{name}{{{labels},{rest}"),
                None => format!("{series}{{{labels}}}"),
            };
            json!({ "series": series, "values": self.values(samples) })
        });
        all.collect()
    }

    fn values(&self, samples: &[Option<f64>]) -> String {
        let mut values = String::new();
        let mut was_there = false;
        for minute in 0..self.minutes {
            let sample = samples.get(minute).copied().flatten();
            match sample {
                Some(value) => write!(values, "{value} "),
                // What Prometheus writes when a series is not in a scrape any more.
                None if was_there => write!(values, "stale "),
                None => write!(values, "_ "),
            }
            .expect("a string takes everything");
            was_there = sample.is_some();
        }
        values
    }
}

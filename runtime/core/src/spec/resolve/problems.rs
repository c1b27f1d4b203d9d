//! The problems of one input, collected while it is settled.

use crate::{
    error_code::Problem,
    spec::{
        Setting,
        duration::Duration,
        later::unknown_key,
        setting::{Count, Unfit},
        size::ByteSize,
    },
};

/// Collects the problems of one input.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem::new(path, message));
    }

    /// Adds the reason why something given cannot be taken.
    pub fn refuse(&mut self, path: impl Into<String>, why: &Unfit) {
        let problem = Problem::new(path, why.words());
        self.0.push(match why {
            Unfit::NotYet(_) => problem.not_yet(),
            Unfit::Unreadable(_) | Unfit::NotAllowed(_) => problem,
        });
    }

    /// Adds what is allowed to the reason of a number that was out of range before it was one.
    fn with_range<T: Clone>(given: Option<&Setting<T>>, range: &str) -> Option<Setting<T>> {
        match given? {
            Setting::Unfit(Unfit::NotAllowed(why)) => {
                let words = format!("{why}: {range} is allowed");
                Some(Setting::Unfit(Unfit::NotAllowed(words)))
            }
            other => Some(other.clone()),
        }
    }

    /// The value of a setting: `live` where nothing is named, `default` where it is reset.
    pub(super) fn pick<T: Clone>(
        &mut self,
        path: &str,
        given: Option<&Setting<T>>,
        live: T,
        default: T,
    ) -> T {
        match given {
            None => live,
            Some(Setting::Default) => default,
            Some(Setting::Value(value)) => value.clone(),
            Some(Setting::Unfit(why)) => {
                self.refuse(path, why);
                live
            }
        }
    }

    pub(super) fn in_range(
        &mut self,
        path: &str,
        value: u64,
        min: u64,
        max: u64,
        show: fn(u64) -> String,
    ) {
        if value < min {
            self.push(path, format!("{} is below {}", show(value), show(min)));
        } else if value > max {
            self.push(path, format!("{} is above {}", show(value), show(max)));
        }
    }

    pub(super) fn duration(
        &mut self,
        path: &str,
        given: Option<&Setting<Duration>>,
        ms: [u64; 4],
    ) -> u64 {
        let [live, default, min, max] = ms;
        let show = |ms| Duration { ms }.to_string();
        let given = Self::with_range(given, &format!("{} to {}", show(min), show(max)));
        let (live, default) = (Duration { ms: live }, Duration { ms: default });
        let picked = self.pick(path, given.as_ref(), live, default);
        self.in_range(path, picked.ms, min, max, show);
        picked.ms
    }

    pub(super) fn size(
        &mut self,
        path: &str,
        given: Option<&Setting<ByteSize>>,
        bytes: [u64; 4],
    ) -> u64 {
        let [live, default, min, max] = bytes;
        let show = |bytes| ByteSize { bytes }.to_string();
        let given = Self::with_range(given, &format!("{} to {}", show(min), show(max)));
        let (live, default) = (ByteSize { bytes: live }, ByteSize { bytes: default });
        let picked = self.pick(path, given.as_ref(), live, default);
        self.in_range(path, picked.bytes, min, max, show);
        picked.bytes
    }

    /// A bound that may be absent, which is the default.
    pub(super) fn bound(
        &mut self,
        path: &str,
        given: Option<&Setting<ByteSize>>,
        live: Option<u64>,
        min: u64,
    ) -> Option<u64> {
        match given {
            None => live,
            Some(Setting::Default) => None,
            Some(_) => Some(self.size(path, given, [min, min, min, u64::MAX])),
        }
    }

    /// As [`Self::bound`], of a duration, ms.
    pub(super) fn duration_bound(
        &mut self,
        path: &str,
        given: Option<&Setting<Duration>>,
        live: Option<u64>,
        range: [u64; 2],
    ) -> Option<u64> {
        let [min, max] = range;
        match given {
            None => live,
            Some(Setting::Default) => None,
            Some(_) => Some(self.duration(path, given, [min, min, min, max])),
        }
    }

    pub(super) fn count(
        &mut self,
        path: &str,
        given: Option<&Setting<Count>>,
        counts: [u64; 4],
    ) -> u64 {
        let [live, default, min, max] = counts;
        let given = Self::with_range(given, &format!("{min} to {max}"));
        let picked = self.pick(path, given.as_ref(), Count(live), Count(default));
        self.in_range(path, picked.0, min, max, |count| count.to_string());
        picked.0
    }

    pub(super) fn unknown(&mut self, table: &str, keys: &[String], known: &[&str], later: &[&str]) {
        for key in keys {
            let path = if table.is_empty() {
                key.clone()
            } else {
                format!("{table}.{key}")
            };
            self.refuse(path, &unknown_key(key, known, later));
        }
    }
}

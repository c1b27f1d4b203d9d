//! Dead letters by code. The codes are the authors' own: the first ones of a mapping have a series each, all
//! others share `other`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use prometheus::IntCounter;

use super::counter;
use crate::limits::{METRIC_CODE_CHARS_MAX, METRIC_CODES_MAX};

/// The label of codes that have no series of their own.
const OTHER: &str = "other";

/// The counters of one mapping. Only what was given up is counted here, so the lock is asked for seldom.
#[derive(Debug)]
pub(super) struct Codes {
    known: Mutex<BTreeMap<String, IntCounter>>,
    other: IntCounter,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            other: counter(),
        }
    }
}

impl Codes {
    /// Counts a dead letter of a code.
    pub(super) fn count(&self, code: &str) {
        let label = label(code);
        let mut known = self.lock();
        if let Some(counter) = known.get(&label) {
            counter.inc();
        } else if label == OTHER || known.len() >= METRIC_CODES_MAX {
            self.other.inc();
        } else {
            let made = counter();
            made.inc();
            known.insert(label, made);
        }
    }

    /// What was counted by label; `other` is always there, as the last.
    pub(super) fn all(&self) -> Vec<(String, u64)> {
        let known = self.lock();
        let known = known.iter();
        let known = known.map(|(label, counter)| (label.clone(), counter.get()));
        known
            .chain([(OTHER.to_owned(), self.other.get())])
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, IntCounter>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A code as the value of a label: short, and with nothing in it that would have to be escaped.
fn label(code: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\');
    let plain = |c: char| if is_plain(c) { c } else { '_' };
    code.chars()
        .take(METRIC_CODE_CHARS_MAX)
        .map(plain)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_codes_have_series_and_all_others_share_one() {
        let codes = Codes::default();
        assert_eq!(codes.all(), [("other".to_owned(), 0)]);
        for number in 0..METRIC_CODES_MAX + 5 {
            codes.count(&format!("code-{number:02}"));
        }
        codes.count("code-00");
        codes.count("other");
        let all = codes.all();
        assert_eq!(all.len(), METRIC_CODES_MAX + 1);
        assert_eq!(all[0], ("code-00".to_owned(), 2));
        assert_eq!(all[METRIC_CODES_MAX], ("other".to_owned(), 6));
    }

    #[test]
    fn a_code_cannot_break_out_of_its_label() {
        let codes = Codes::default();
        codes.count("a\"} 1\n\\");
        codes.count(&"é".repeat(100));
        let all = codes.all();
        assert_eq!(all[0], ("a_} 1__".to_owned(), 1));
        assert_eq!(all[1], ("é".repeat(METRIC_CODE_CHARS_MAX), 1));
    }
}

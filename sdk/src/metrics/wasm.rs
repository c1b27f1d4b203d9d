//! The numbers that the host gave this instance.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use super::{Kind, Labels};
use crate::{host, limits::KNOWN_SERIES_MAX};

/// No number yet. The host gives a hundred.
const UNKNOWN: u32 = u32::MAX;

/// The series of one metric that this instance has used.
#[derive(Debug)]
pub(super) struct Known {
    /// The one without labels.
    plain: AtomicU32,
    /// The others, as they were asked for.
    labelled: Mutex<Vec<KnownSeries>>,
}

#[derive(Debug)]
struct KnownSeries {
    labels: Box<[(Box<str>, Box<str>)]>,
    number: u32,
}

impl KnownSeries {
    fn is(&self, labels: Labels<'_>) -> bool {
        let known = self.labels.iter().map(|(name, value)| (&**name, &**value));
        known.eq(labels.iter().copied())
    }
}

impl Known {
    pub(super) const fn new() -> Self {
        Self {
            plain: AtomicU32::new(UNKNOWN),
            labelled: Mutex::new(Vec::new()),
        }
    }

    #[inline]
    pub(super) fn add(&self, kind: Kind, name: &str, labels: Labels<'_>, amount: f64) {
        if let Some(number) = self.number(kind, name, labels) {
            host::add(number, amount);
        }
    }

    #[inline]
    pub(super) fn set(&self, kind: Kind, name: &str, labels: Labels<'_>, value: f64) {
        if let Some(number) = self.number(kind, name, labels) {
            host::set(number, value);
        }
    }

    /// None: the host refuses the series. It is asked again each time, and so counts what is dropped.
    #[inline]
    fn number(&self, kind: Kind, name: &str, labels: Labels<'_>) -> Option<u32> {
        if !labels.is_empty() {
            return self.number_with(kind, name, labels);
        }
        let known = self.plain.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return Some(known);
        }
        let number = host::series(kind, name, labels)?;
        self.plain.store(number, Ordering::Relaxed);
        Some(number)
    }

    fn number_with(&self, kind: Kind, name: &str, labels: Labels<'_>) -> Option<u32> {
        // One thread: nobody else ever holds it.
        let mut all = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| known.is(labels)) {
            return Some(known.number);
        }
        let number = host::series(kind, name, labels)?;
        if all.len() < KNOWN_SERIES_MAX {
            let labels = labels
                .iter()
                .map(|&(name, value)| (name.into(), value.into()));
            all.push(KnownSeries {
                labels: labels.collect(),
                number,
            });
        }
        Some(number)
    }
}

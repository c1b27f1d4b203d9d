//! The series of one function, over all its versions and instances: how many there may be, and what they
//! stand at.
//!
//! A series is looked up once an instance, by name and under a lock. Afterwards it is a cell that the instance
//! holds: adding to it is one exchange of eight bytes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use fnctl_core::{
    limits::FUNCTION_SERIES_MAX,
    series::{RefusalReason, Series, SeriesKind, SeriesRefusal},
};

/// What a function counted itself. Cheap to share among its versions; made by default it is nobody's, and what
/// is counted in it goes with it.
#[derive(Debug, Default)]
pub struct FunctionSeries {
    cells: Mutex<BTreeMap<Arc<Series>, Arc<SeriesCell>>>,
    /// What was dropped, by [`RefusalReason::ALL`].
    refused: [AtomicU64; RefusalReason::ALL.len()],
}

/// Where one series stands.
#[derive(Debug)]
pub(crate) struct SeriesCell {
    series: Arc<Series>,
    /// The bits of an `f64`, always finite.
    value: AtomicU64,
}

impl FunctionSeries {
    /// Every series and where it stands, by name and labels.
    #[must_use]
    pub fn samples(&self) -> Vec<(Arc<Series>, f64)> {
        let cells = self.lock();
        let sample =
            |(series, cell): (&Arc<Series>, &Arc<SeriesCell>)| (Arc::clone(series), cell.get());
        cells.iter().map(sample).collect()
    }

    /// What was dropped for a reason, times.
    #[must_use]
    pub fn refused(&self, reason: RefusalReason) -> u64 {
        self.refused[reason as usize].load(Ordering::Relaxed)
    }

    /// Counts what was dropped.
    pub(crate) fn count_refused(&self, reason: RefusalReason) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The cell of a series, made at zero when first asked for.
    ///
    /// # Errors
    /// The function has as many as it may.
    pub(crate) fn cell(&self, series: Series) -> Result<Arc<SeriesCell>, SeriesRefusal> {
        let mut cells = self.lock();
        if let Some(cell) = cells.get(&series) {
            return Ok(Arc::clone(cell));
        }
        if cells.len() >= FUNCTION_SERIES_MAX {
            return Err(SeriesRefusal::Budget(series.family().to_owned()));
        }
        let series = Arc::new(series);
        let cell = Arc::new(SeriesCell {
            series: Arc::clone(&series),
            value: AtomicU64::new(0.0_f64.to_bits()),
        });
        cells.insert(series, Arc::clone(&cell));
        Ok(cell)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<Series>, Arc<SeriesCell>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeriesCell {
    /// Adds an amount.
    ///
    /// # Errors
    /// The amount or the sum is not finite, or a counter would fall.
    pub(crate) fn add(&self, amount: f64) -> Result<(), SeriesRefusal> {
        let may_fall = self.series.kind() == SeriesKind::Gauge;
        if !amount.is_finite() || (amount < 0.0 && !may_fall) {
            return Err(self.refused(amount));
        }
        let add = |bits: u64| {
            let sum = f64::from_bits(bits) + amount;
            sum.is_finite().then(|| sum.to_bits())
        };
        let added = self
            .value
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        added.map(drop).map_err(|_| self.refused(amount))
    }

    /// Sets a gauge.
    ///
    /// # Errors
    /// It is a counter, or the value is not finite.
    pub(crate) fn set(&self, value: f64) -> Result<(), SeriesRefusal> {
        if self.series.kind() == SeriesKind::Counter {
            return Err(SeriesRefusal::SetCounter(self.series.family().to_owned()));
        }
        if !value.is_finite() {
            return Err(self.refused(value));
        }
        self.value.store(value.to_bits(), Ordering::Relaxed);
        Ok(())
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed))
    }

    #[cold]
    fn refused(&self, amount: f64) -> SeriesRefusal {
        SeriesRefusal::Amount {
            family: self.series.family().to_owned(),
            amount,
        }
    }
}

#[cfg(test)]
mod tests;

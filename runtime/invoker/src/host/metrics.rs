//! `metrics`: the function's own counters and gauges.
//!
//! A number is the place of a cell that the instance holds: adding takes no lock, looks up no name and
//! allocates nothing. No metric fails a call: what is refused is dropped here, counted, and told once.

use std::sync::{Arc, atomic::Ordering};

use fnctl_core::{
    limits::SERIES_LABELS_MAX,
    series::{Series, SeriesKind, SeriesRefusal},
};
use wasmtime::{
    AsContextMut, Result, StoreContextMut,
    component::{Linker, WasmList, WasmStr},
};

use super::{HostState, log::LogLevel};
use crate::{
    bindings::{GuestSeriesKind, METRICS},
    series::SeriesCell,
};

type Store<'a> = StoreContextMut<'a, HostState>;
type SeriesArguments = (GuestSeriesKind, WasmStr, WasmList<(WasmStr, WasmStr)>);
type Answer = (Result<u32, String>,);

/// Offers `metrics`.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> Result<()> {
    let mut metrics = linker.instance(METRICS)?;
    metrics.func_wrap(
        "series",
        |mut store: Store<'_>, (kind, name, labels): SeriesArguments| -> Result<Answer> {
            let asked = asked(&mut store, kind.into(), &name, &labels)?;
            let state = store.data_mut();
            let found = asked.and_then(|series| state.version.series.cell(series));
            Ok((match found {
                Ok(cell) => Ok(state.number_of(cell)),
                Err(refusal) => {
                    state.refuse(&refusal);
                    Err(refusal.to_string())
                }
            },))
        },
    )?;
    metrics.func_wrap("add", |store: Store<'_>, (series, amount): (u32, f64)| {
        store.data().measure(series, |cell| cell.add(amount));
        Ok(())
    })?;
    metrics.func_wrap("set", |store: Store<'_>, (series, value): (u32, f64)| {
        store.data().measure(series, |cell| cell.set(value));
        Ok(())
    })
}

/// The series as the guest names it, read where it lies in its memory.
fn asked(
    store: &mut Store<'_>,
    kind: SeriesKind,
    name: &WasmStr,
    labels: &WasmList<(WasmStr, WasmStr)>,
) -> Result<Result<Series, SeriesRefusal>> {
    // One too many is enough to refuse them.
    let pairs = labels.iter(store.as_context_mut())?;
    let pairs: Result<Vec<_>> = pairs.take(SERIES_LABELS_MAX + 1).collect();
    let store = &*store;
    let name = name.to_str(store)?;
    let mut texts = Vec::new();
    for (label, value) in &pairs? {
        texts.push((label.to_str(store)?, value.to_str(store)?));
    }
    let labels = texts.iter().map(|(label, value)| (&**label, &**value));
    Ok(Series::new(kind, &name, labels))
}

impl HostState {
    /// The number of a cell in this instance.
    fn number_of(&mut self, cell: Arc<SeriesCell>) -> u32 {
        let known = self
            .series
            .iter()
            .position(|known| Arc::ptr_eq(known, &cell));
        let number = known.unwrap_or_else(|| {
            self.series.push(cell);
            self.series.len() - 1
        });
        u32::try_from(number).expect("a function has a hundred series at most")
    }

    fn measure(&self, series: u32, measure: impl FnOnce(&SeriesCell) -> Result<(), SeriesRefusal>) {
        let measured = match self.series.get(series as usize) {
            Some(cell) => measure(cell),
            None => Err(SeriesRefusal::Number(series)),
        };
        if let Err(refusal) = measured {
            self.refuse(&refusal);
        }
    }

    /// Counts what is dropped; the first of each reason in a version is told in the function's log.
    #[cold]
    fn refuse(&self, refusal: &SeriesRefusal) {
        let version = &self.version;
        version.series.count_refused(refusal.reason());
        let bit = 1 << refusal.reason() as u8;
        if version.refusals_told.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let words =
                format!("a metric is dropped, as will be others for this reason: {refusal}");
            self.log().say(LogLevel::Warn, &words);
        }
    }
}

//! The component's imports, and the translation of its own values into those of the wire.

use std::time::Duration;

use crate::{
    Error, FailureKind, Result, Window,
    batch::{Column, Columns},
    emit::{Arena, Pending},
    metrics::Kind,
};

/// Generated from `wit/` and checked in, so that a function is built without the generator. `FNCTL_BLESS=1
/// cargo test -p guest-bindings` in the repository's `tests/guests` writes it anew; the gate compares.
#[rustfmt::skip]
#[allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    reason = "generated: documented in wit/, canonical ABI"
)]
pub mod bindings;

pub(crate) use bindings::fnctl::function::{
    config::{get as config, secret},
    context::{attempt, function_version, mapping, record_id, remaining_ms, sequence_number},
    log::panicking,
    metrics::{add, set},
    state::{get as state, set as set_state},
    types::{Failure as WireFailure, ItemFailure, Records as WireRecords},
};

use bindings::fnctl::function::{
    context, emit as wire, log as wire_log, metrics as wire_metrics, state as wire_state,
    types::{ByteColumn, FailureKind as WireKind},
};

pub(crate) fn header(index: u32, name: &str) -> Option<Vec<u8>> {
    context::header(index, name)
}

pub(crate) fn window() -> Option<Window> {
    wire_state::window().map(|window| Window {
        start_ms: window.start_ms,
        end_ms: window.end_ms,
        is_final: window.is_final,
        is_terminated_early: window.is_terminated_early,
    })
}

/// The number of a series; none: the host refuses it, and says why in the function's log.
#[cold]
pub(crate) fn series(kind: Kind, name: &str, labels: &[(&str, &str)]) -> Option<u32> {
    let kind = match kind {
        Kind::Counter => wire_metrics::Kind::Counter,
        Kind::Gauge => wire_metrics::Kind::Gauge,
    };
    let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    let labels: Vec<(String, String)> = labels.iter().map(own).collect();
    wire_metrics::series(kind, name, &labels).ok()
}

/// The records as the rest of the crate reads them.
pub(crate) fn columns(records: &WireRecords) -> Columns<'_> {
    fn column(column: &ByteColumn) -> Column<'_> {
        Column {
            bytes: &column.bytes,
            ends: &column.ends,
            nulls: &column.nulls,
        }
    }
    Columns {
        keys: column(&records.keys),
        data: column(&records.data),
        arrival_ms: &records.arrival_ms,
    }
}

/// Hands over what is pending for one output, and keeps its memory.
pub(crate) fn emit(pending: &mut Pending) -> Result<()> {
    if pending.is_empty() {
        return Ok(());
    }
    let output = wire::find_output(pending.output.name())
        .map_err(|words| Error::fatal("unbound-output", words))?;
    let refused = |words| Error::fatal("emit-refused", words);
    // First: see `Pending::forward`.
    if !pending.forwards.is_empty() {
        wire::forward(output, &pending.forwards).map_err(refused)?;
    }
    if !pending.sources.is_empty() {
        let has_keys = !pending.keys.ends.is_empty();
        let rows = wire::Rows {
            sources: std::mem::take(&mut pending.sources),
            keys: has_keys.then(|| into_wire(&mut pending.keys)),
            data: into_wire(&mut pending.data),
        };
        let answer = wire::emit(output, &rows);
        pending.sources = rows.sources;
        pending.data = from_wire(rows.data);
        if let Some(keys) = rows.keys {
            pending.keys = from_wire(keys);
        }
        answer.map_err(refused)?;
    }
    pending.clear();
    Ok(())
}

fn into_wire(arena: &mut Arena) -> ByteColumn {
    let Arena { bytes, ends, nulls } = std::mem::take(arena);
    ByteColumn { bytes, ends, nulls }
}

fn from_wire(column: ByteColumn) -> Arena {
    let ByteColumn { bytes, ends, nulls } = column;
    Arena { bytes, ends, nulls }
}

pub(crate) fn failure(error: Error) -> WireFailure {
    let (kind, code, message, retry_after) = error.into_parts();
    let kind = match kind {
        FailureKind::Retry => WireKind::Retry,
        FailureKind::Skip => WireKind::Skip,
        FailureKind::Fatal => WireKind::Fatal,
    };
    // Above 49 days is above any host's maximum backoff.
    let ms = |delay: Duration| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
    WireFailure {
        kind,
        retry_after_ms: retry_after.map(ms),
        code,
        message,
    }
}

pub(crate) fn item_failure((index, error): (u32, Error)) -> ItemFailure {
    ItemFailure {
        index,
        failure: failure(error),
    }
}

pub(crate) fn write_log(level: ::log::Level, source: u32, message: &str) {
    let level = match level {
        ::log::Level::Error => wire_log::Level::Error,
        ::log::Level::Warn => wire_log::Level::Warn,
        ::log::Level::Info => wire_log::Level::Info,
        ::log::Level::Debug => wire_log::Level::Debug,
        ::log::Level::Trace => wire_log::Level::Trace,
    };
    wire_log::write(level, source, message);
}

pub(crate) fn max_level() -> ::log::LevelFilter {
    match wire_log::max_level() {
        wire_log::Level::Error => ::log::LevelFilter::Error,
        wire_log::Level::Warn => ::log::LevelFilter::Warn,
        wire_log::Level::Info => ::log::LevelFilter::Info,
        wire_log::Level::Debug => ::log::LevelFilter::Debug,
        wire_log::Level::Trace => ::log::LevelFilter::Trace,
    }
}

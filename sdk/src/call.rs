//! One call, from the columns to the rows: the loop over the records and the record in hand.

use std::cell::Cell;

use crate::{Batch, Context, Record, Result, emit::WHOLE_CALL};

#[cfg(not(target_os = "wasi"))]
pub(crate) mod native;
#[cfg(target_os = "wasi")]
mod wasm;

#[cfg(target_os = "wasi")]
pub use wasm::{each, whole, windowed};

/// No record is in hand.
pub(crate) const NO_RECORD: u32 = u32::MAX;

thread_local! {
    /// The record that a panic is charged to and a log entry names.
    static IN_HAND: Cell<u32> = const { Cell::new(NO_RECORD) };
}

pub(crate) fn in_hand() -> u32 {
    IN_HAND.get()
}

#[inline]
pub(crate) fn take_in_hand(index: u32) {
    IN_HAND.set(index);
}

/// Runs `function` for each record. An error is that record's own; a `fatal` ends the loop: either nothing of
/// the call will be kept, or the records behind it are called again.
pub(crate) fn run_each<'a, F>(batch: Batch<'a>, cx: &mut Context, mut function: F)
where
    F: for<'c> FnMut(Record<'a>, &'c mut Context) -> Result<()>,
{
    let outer = cx.current;
    for record in batch.iter() {
        cx.current = record.index();
        if let Err(error) = function(record, cx) {
            cx.fail(record, error);
            if cx.has_fatal() {
                break;
            }
        }
    }
    cx.current = outer;
}

/// Runs `function` once for the batch.
pub(crate) fn run_whole<F>(batch: Batch<'_>, cx: &mut Context, function: F) -> Result<()>
where
    F: for<'r, 'c> FnOnce(Batch<'r>, &'c mut Context) -> Result<()>,
{
    cx.current = WHOLE_CALL;
    function(batch, cx)
}

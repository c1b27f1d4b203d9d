//! What the generated export calls.

use std::cell::RefCell;

use crate::{
    Batch, Context, Record, Result,
    batch::Columns,
    call::{NO_RECORD, run_each, run_whole, take_in_hand},
    host::{self, ItemFailure, WireFailure, WireRecords},
    log,
    window::{State, run_window},
};

thread_local! {
    /// The context of the last call, for its memory and its config. Taken while a call runs.
    static IDLE: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// `#[stream_fn]`.
///
/// # Errors
/// Rows that the host refuses.
pub fn each<F>(records: WireRecords, function: F) -> Result<Vec<ItemFailure>, WireFailure>
where
    F: for<'r, 'c> Fn(Record<'r>, &'c mut Context) -> Result<()>,
{
    call(&records, |batch, cx| {
        run_each(batch, cx, function);
        Ok(())
    })
}

/// `#[stream_fn(batch)]`.
///
/// # Errors
/// The function's own, and rows that the host refuses.
pub fn whole<F>(records: WireRecords, function: F) -> Result<Vec<ItemFailure>, WireFailure>
where
    F: for<'r, 'c> Fn(Batch<'r>, &'c mut Context) -> Result<()>,
{
    call(&records, |batch, cx| run_whole(batch, cx, function))
}

/// `#[stream_fn(window, close = …)]`.
///
/// # Errors
/// Those of the function that closes, a state that cannot be read or set, and rows that the host refuses.
pub fn windowed<S, F, C>(
    records: WireRecords,
    function: F,
    close: C,
) -> Result<Vec<ItemFailure>, WireFailure>
where
    S: State,
    F: for<'r, 's, 'c> Fn(Record<'r>, &'s mut S, &'c mut Context) -> Result<()>,
    C: for<'c> Fn(S, &'c mut Context) -> Result<()>,
{
    call(&records, |batch, cx| run_window(batch, cx, function, close))
}

fn call(
    records: &WireRecords,
    run: impl FnOnce(Batch<'_>, &mut Context) -> Result<()>,
) -> Result<Vec<ItemFailure>, WireFailure> {
    log::start_call();
    take_in_hand(NO_RECORD);
    let mut cx = IDLE.take().unwrap_or_else(Context::new);
    let columns: Columns<'_> = host::columns(records);
    let answer = run(Batch::new(&columns), &mut cx)
        .and_then(|()| {
            let failures = cx.settle();
            cx.outputs.iter_mut().try_for_each(host::emit)?;
            Ok(failures)
        })
        .map(|failures| failures.into_iter().map(host::item_failure).collect())
        .map_err(host::failure);
    cx.clear();
    IDLE.set(Some(cx));
    answer
}

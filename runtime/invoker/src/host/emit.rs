//! `emit`: takes rows over where they lie in the guest, one copy in all.

use std::time::Instant;

use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, WasmList, WasmStr},
};

use super::{CallState, HostState, NoCall};
use crate::{
    bindings::{ColumnOut, EMIT, RowsOut},
    rows::{ColumnView, Emitted, Outputs, RowsView},
    stop::OutputOverflow,
};

type Store<'a> = StoreContextMut<'a, HostState>;
type Answer = (Result<(), String>,);

/// Offers `emit`.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> Result<()> {
    let mut emit = linker.instance(EMIT)?;
    emit.func_wrap("find-output", |store: Store<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        Ok((find_output(store.data().call("emit.find-output")?, &name),))
    })?;
    emit.func_wrap(
        "emit",
        |store: Store<'_>, (output, rows): (u16, RowsOut)| {
            with_rows(store, "emit.emit", |store, call, emitted| {
                let rows = RowsView {
                    sources: rows.sources.as_le_slice(store),
                    keys: rows.keys.as_ref().map(|keys| view(keys, store)),
                    data: view(&rows.data, store),
                };
                emitted.emit(
                    output,
                    Outputs::of(&call.context),
                    &call.records,
                    &*call.facts,
                    rows,
                )
            })
        },
    )?;
    emit.func_wrap(
        "forward",
        |store: Store<'_>, (output, sources): (u16, WasmList<u32>)| {
            with_rows(store, "emit.forward", |store, call, emitted| {
                let sources = sources.as_le_slice(store);
                emitted.forward(
                    output,
                    Outputs::of(&call.context),
                    &call.records,
                    &*call.facts,
                    sources,
                )
            })
        },
    )
}

fn find_output(call: &CallState, name: &str) -> Result<u16, String> {
    let number = call
        .context
        .outputs
        .iter()
        .position(|output| **output == *name);
    number
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| {
            format!(
                "the mapping `{}` binds no output `{}`",
                call.context.mapping,
                name.escape_debug()
            )
        })
}

fn view<'a>(column: &ColumnOut, store: &'a Store<'_>) -> ColumnView<'a> {
    ColumnView {
        bytes: column.bytes.as_le_slice(store),
        ends: column.ends.as_le_slice(store),
        nulls: column.nulls.as_le_slice(store),
    }
}

/// Lends out what was emitted so far, while the guest's memory is looked at.
fn with_rows(
    mut store: Store<'_>,
    function: &'static str,
    take: impl FnOnce(
        &Store<'_>,
        &CallState,
        &mut Emitted,
    ) -> Result<Result<(), String>, OutputOverflow>,
) -> Result<Answer> {
    let start = Instant::now();
    let call = store.data_mut().call.as_mut().ok_or(NoCall(function))?;
    let mut emitted = std::mem::take(&mut call.emitted);
    let answer = take(&store, store.data().call(function)?, &mut emitted);
    let call = store.data_mut().call.as_mut().ok_or(NoCall(function))?;
    call.emitted = emitted;
    call.lift_ns += u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    Ok((answer?,))
}

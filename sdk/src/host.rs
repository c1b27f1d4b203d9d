//! What a function asks its host: the component's imports, or what the test harness set.

#[cfg(not(target_os = "wasi"))]
pub(crate) mod native;
#[cfg(target_os = "wasi")]
mod wasm;

#[cfg(not(target_os = "wasi"))]
pub(crate) use native::{
    attempt, config, function_version, header, mapping, record_id, remaining_ms, secret,
    sequence_number, set_state, state, window,
};
#[cfg(target_os = "wasi")]
pub use wasm::bindings;
#[cfg(target_os = "wasi")]
pub(crate) use wasm::{
    ItemFailure, WireFailure, WireRecords, add, attempt, columns, config, emit, failure,
    function_version, header, item_failure, mapping, max_level, panicking, record_id, remaining_ms,
    secret, sequence_number, series, set, set_state, state, window, write_log,
};

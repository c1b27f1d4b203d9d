//! `state`: the window of the call, and what its calls hand on.

use bytes::Bytes;
use fnctl_core::{limits::WINDOW_STATE_SET_BYTES_MAX, window::WindowCall};
use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, WasmList},
};

use super::{CallState, HostState, NoCall};
use crate::bindings::{STATE, WindowIn};

type Store<'a> = StoreContextMut<'a, HostState>;
type Answer = (Result<(), String>,);

/// Offers `state`.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> Result<()> {
    let mut state = linker.instance(STATE)?;
    state.func_wrap("window", |store: Store<'_>, ()| {
        let call = store.data().call("state.window")?;
        Ok((call.window.as_ref().map(window),))
    })?;
    state.func_wrap("get", |store: Store<'_>, ()| {
        Ok((held(store.data().call("state.get")?).to_vec(),))
    })?;
    state.func_wrap("set", |mut store: Store<'_>, (state,): (WasmList<u8>,)| {
        let call = store.data().call("state.set")?;
        let set = match refusal(call, state.len()) {
            Some(words) => Err(words),
            None => Ok(Bytes::copy_from_slice(state.as_le_slice(&store))),
        };
        let call = store.data_mut().call.as_mut();
        let call = call.ok_or(NoCall("state.set"))?;
        let answer: Answer = match set {
            Ok(state) => {
                call.state = Some(state);
                (Ok(()),)
            }
            Err(words) => {
                call.state_refusal = Some(words.clone());
                (Err(words),)
            }
        };
        Ok(answer)
    })
}

fn window(call: &WindowCall) -> WindowIn {
    WindowIn {
        start_ms: call.window.start.0,
        end_ms: call.window.end.0,
        is_final: call.is_final,
        is_terminated_early: call.is_terminated_early,
    }
}

/// What the function set, or what it was called with.
fn held(call: &CallState) -> &[u8] {
    let given = || call.window.as_ref().map(|window| &window.state);
    call.state
        .as_ref()
        .or_else(given)
        .map_or(&[], Bytes::as_ref)
}

/// Why a state of so many bytes is not taken.
fn refusal(call: &CallState, bytes: usize) -> Option<String> {
    let most = WINDOW_STATE_SET_BYTES_MAX;
    if call.window.is_none() {
        Some("there is no state: the mapping has no tumbling windows".to_owned())
    } else if bytes as u64 > most {
        Some(format!(
            "a state of {bytes} bytes: a call leaves at most {most}"
        ))
    } else {
        None
    }
}

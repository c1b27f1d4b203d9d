//! The answers of the test harness, for the thread that runs a function under it.

use std::{cell::RefCell, collections::BTreeMap};

use crate::{Window, limits::STATE_BYTES_MAX, metrics::Measured, testing::LogEntry};

/// What a harness set for one run, and the log of that run.
#[derive(Default)]
pub(crate) struct Scene {
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, Vec<u8>>,
    pub(crate) facts: Vec<Facts>,
    pub(crate) logs: Vec<LogEntry>,
    pub(crate) window: Option<Window>,
    /// The window's state; empty: there is none yet.
    pub(crate) state: Vec<u8>,
    pub(crate) measured: Measured,
}

/// What a record answers on demand.
pub(crate) struct Facts {
    pub(crate) attempt: u32,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

thread_local! {
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// Takes the scene away at the end of a run, also of one that panics.
pub(crate) struct Stage {
    outer: Option<Scene>,
}

impl Stage {
    pub(crate) fn set(scene: Scene) -> Self {
        Self {
            outer: SCENE.replace(Some(scene)),
        }
    }

    /// The log of the run.
    pub(crate) fn logs(&self) -> Vec<LogEntry> {
        with(|scene| std::mem::take(&mut scene.logs)).unwrap_or_default()
    }

    /// What the run counted.
    pub(crate) fn measured(&self) -> Measured {
        with(|scene| std::mem::take(&mut scene.measured)).unwrap_or_default()
    }

    /// The state as the run left it.
    pub(crate) fn state(&self) -> Vec<u8> {
        with(|scene| std::mem::take(&mut scene.state)).unwrap_or_default()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        SCENE.set(self.outer.take());
    }
}

/// The scene of this thread; outside of a harness there is none.
pub(crate) fn with<T>(look: impl FnOnce(&mut Scene) -> T) -> Option<T> {
    SCENE.with_borrow_mut(|scene| scene.as_mut().map(look))
}

fn fact<T>(index: u32, look: impl FnOnce(&Facts) -> T) -> Option<T> {
    with(|scene| scene.facts.get(index as usize).map(look)).flatten()
}

pub(crate) fn attempt(index: u32) -> u32 {
    fact(index, |facts| facts.attempt).unwrap_or(1)
}

pub(crate) fn sequence_number(index: u32) -> String {
    format!("4967{index:052}")
}

pub(crate) fn record_id(index: u32) -> String {
    format!("test:shardId-000000000000:{index}")
}

pub(crate) fn header(index: u32, name: &str) -> Option<Vec<u8>> {
    let first = |facts: &Facts| {
        let (_, value) = facts.headers.iter().find(|(at, _)| at == name)?;
        Some(value.clone())
    };
    fact(index, first).flatten()
}

pub(crate) fn config(name: &str) -> Option<String> {
    with(|scene| scene.config.get(name).cloned()).flatten()
}

pub(crate) fn secret(name: &str) -> Option<Vec<u8>> {
    with(|scene| scene.secrets.get(name).cloned()).flatten()
}

pub(crate) fn remaining_ms() -> u64 {
    30_000
}

pub(crate) fn mapping() -> String {
    "test/records".to_owned()
}

pub(crate) fn function_version() -> u64 {
    1
}

pub(crate) fn window() -> Option<Window> {
    with(|scene| scene.window).flatten()
}

pub(crate) fn state() -> Vec<u8> {
    with(|scene| scene.state.clone()).unwrap_or_default()
}

pub(crate) fn set_state(state: &[u8]) -> Result<(), String> {
    if state.len() > STATE_BYTES_MAX {
        let bytes = state.len();
        return Err(format!(
            "a state of {bytes} bytes: a call leaves at most {STATE_BYTES_MAX}"
        ));
    }
    with(|scene| scene.state = state.to_vec());
    Ok(())
}

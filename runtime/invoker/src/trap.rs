//! A guest that did not return, in the words of an outcome.

use std::fmt::Write as _;

use fnctl_core::{
    limits::{FAILURE_MESSAGE_BYTES_MAX, OUTPUT_BYTES_MAX},
    outcome::Outcome,
};
use wasmtime::{Error, PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::{
    host::HostState,
    stop::{MemoryRefused, OutputOverflow, Stopped},
    text,
};

/// Frames of the guest named in a message.
const FRAMES_MAX: usize = 4;
/// How Wasmtime says that a host call copied more than `HOSTCALL_BYTES_MAX`; its error type is private,
/// so a test holds these words.
const FUEL_WORDS: &str = "fuel allocated for hostcalls has been exhausted";

/// What ended a guest.
pub(crate) enum Ending {
    /// The guest's doing: a value that decides retry.
    Guest(Outcome),
    /// The host's doing: nobody is charged.
    Host(String),
}

/// Why an instance could not be made, or its call failed.
pub(crate) fn ending(error: &Error, state: Option<&HostState>, timeout_ms: u64) -> Ending {
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        return Ending::Guest(match stopped {
            Stopped::Deadline => Outcome::Timeout {
                after_ms: timeout_ms,
            },
            Stopped::TakenBack => Outcome::Interrupted,
        });
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return Ending::Host(format!("no slot in the pool: {error}"));
    }
    if error.is::<OutputOverflow>()
        || error
            .chain()
            .any(|cause| cause.to_string().contains(FUEL_WORDS))
    {
        return Ending::Guest(Outcome::OutputTooLarge {
            limit_bytes: OUTPUT_BYTES_MAX,
        });
    }
    if let Some(MemoryRefused { limit_bytes }) = error.downcast_ref() {
        return Ending::Guest(Outcome::OutOfMemory {
            limit_bytes: *limit_bytes,
        });
    }
    let Some(state) = state else {
        return Ending::Guest(trap(None, &words(error)));
    };
    let log = state.log();
    if let Some(panic) = &log.panic {
        return Ending::Guest(trap(panic.record, &panic.message));
    }
    // Behind a panic: one who was refused memory and went on did not end of it.
    if state.limiter.is_memory_refused {
        return Ending::Guest(Outcome::OutOfMemory {
            limit_bytes: state.limiter.memory_bytes_max,
        });
    }
    let mut message = words(error);
    let stderr = log.stderr_tail();
    if !stderr.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(message, "; the last lines of stderr: {stderr}");
    }
    Ending::Guest(trap(None, &message))
}

fn trap(record: Option<u32>, message: &str) -> Outcome {
    Outcome::Trap {
        record,
        message: text::cut(message, FAILURE_MESSAGE_BYTES_MAX).into(),
    }
}

/// The trap's own words, translated where they mislead, and where it happened.
pub(crate) fn words(error: &Error) -> String {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return format!(
            "called exit({}) in place of returning from `handle`",
            exit.0
        );
    }
    let mut message = match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => "stack overflow: recursion is too deep".to_owned(),
        // A Rust guest keeps its stack at the bottom of its memory: running over it looks like this.
        Some(Trap::MemoryOutOfBounds) => {
            "memory access out of bounds (in Rust most often a stack overflow: recursion that is too deep, or a \
             large value on the stack)"
                .to_owned()
        }
        Some(Trap::UnreachableCodeReached) => "the function aborted (`unreachable` executed)".to_owned(),
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let names: Vec<String> = backtrace
            .frames()
            .iter()
            .filter_map(|frame| {
                Some(format!(
                    "{:#}",
                    rustc_demangle::demangle(frame.func_name()?)
                ))
            })
            .filter(|name| !is_noise(name))
            .take(FRAMES_MAX)
            .collect();
        if !names.is_empty() {
            let _ = write!(message, "; in {}", names.join(" < "));
        }
    }
    text::clean(&message).into_owned()
}

/// Frames that every Rust panic or abort goes through.
fn is_noise(name: &str) -> bool {
    [
        "core::", "std::", "rust_", "__rust", "abort", "alloc::", "__",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

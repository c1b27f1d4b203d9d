//! Runs functions: the only crate that knows Wasmtime. One call in, one outcome out; never retries.
//!
//! An [`Engine`] is one a node. It judges uploads ([`Engine::inspect`]), makes versions callable
//! ([`Engine::load`]) and runs guests on threads of its own. A [`Function`] implements
//! [`Invoker`](fnctl_core::invoker::Invoker): outcomes are values that decide retry, an error means that
//! the host is at fault. Dropping the future of a call stops its guest at the next epoch (5 ms).
//!
//! What a guest hands over is never trusted: sizes, ends, indices, keys, codes and words are checked or
//! cut here, and the bounds are in [`limits`].

mod answer;
mod bindings;
mod cache;
mod compiler;
mod component;
mod cpu;
mod engine;
mod error;
mod fixed;
mod function;
mod host;
mod instance;
pub mod limits;
mod rows;
mod series;
mod stop;
mod text;
mod ticker;
mod trap;
mod turns;
mod validate;
mod warm;

pub use cache::hex;
pub use compiler::{CompileLimits, Compiler, compile_if_asked};
pub use component::Inspected;
pub use engine::{
    Allocation, ComponentSource, Engine, EngineError, EngineOptions, EngineStats, WASMTIME_VERSION,
    digest,
};
pub use error::ComponentError;
pub use fixed::FixedWorld;
pub use function::{Function, Isolation, VersionSettings};
pub use host::log::{LogEntry, LogLevel, LogSink, LogSource, NoLog};
pub use series::FunctionSeries;
pub use text::clean as clean_text;
pub use turns::Turns;

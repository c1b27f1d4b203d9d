//! Write a plain function, test it natively, compile it to a stream function for fnctl.
//!
//! ```
//! use fnctl_sdk::prelude::*;
//!
//! const SHORT: Output = output!("short");
//!
//! #[stream_fn]
//! fn shout(record: Record<'_>, cx: &mut Context) -> Result<()> {
//!     let text = record.text()?; // not UTF-8: skip, code `not-utf8`
//!     if text.len() < 3 {
//!         return cx.row().to(SHORT).bytes(record.data());
//!     }
//!     cx.emit_bytes(text.to_uppercase().as_bytes())
//! }
//!
//! let out = testing::run(shout, [testing::record("hello"), testing::record("hm")]);
//! assert_eq!(out.rows(Output::DEFAULT)[0].data, b"HELLO");
//! assert_eq!(out.rows(SHORT)[0].source, Some(1));
//! ```
//!
//! `cargo build --release --target wasm32-wasip2` makes the component. `README.md` beside this crate
//! says what a failure means and how a batch is worked through.

#[cfg(doctest)]
mod refused;

mod append;
mod batch;
mod call;
mod context;
mod emit;
mod error;
mod host;
mod json;
mod limits;
mod log;
mod metrics;
mod record;
mod secret;
#[cfg(not(target_os = "wasi"))]
pub mod testing;
mod window;

pub use crate::{
    batch::{Batch, Records},
    context::Context,
    emit::{Output, Row},
    error::{Error, FailureKind, OrFail, Result},
    metrics::{Counter, Gauge, Labelled},
    record::Record,
    secret::Secret,
    window::{State, Window},
};
pub use fnctl_sdk_macros::stream_fn;

/// What a function's file needs.
pub mod prelude {
    #[cfg(not(target_os = "wasi"))]
    pub use crate::testing;
    pub use crate::{
        Batch, Context, Counter, Error, Gauge, OrFail, Output, Record, Result, Window, output,
        stream_fn,
    };
}

/// What the macros expand to. No promise holds here.
#[doc(hidden)]
pub mod __private {
    #[cfg(not(target_os = "wasi"))]
    pub use crate::call::native::{NativeCall, NativeColumns};
    pub use crate::emit::is_output_name;
    #[cfg(target_os = "wasi")]
    pub use crate::{
        call::{each, whole, windowed},
        host::bindings,
    };
}

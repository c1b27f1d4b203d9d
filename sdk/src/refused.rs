//! Functions that `#[stream_fn]` refuses by their types. The compiler says which type it expects, at
//! the function's name; what can be refused without types is tested in the macro's own crate.
//!
//! ```
//! use fnctl_sdk::prelude::*;
//! #[stream_fn]
//! fn right(_: Record<'_>, _: &mut Context) -> Result<()> {
//!     Ok(())
//! }
//! ```
//! ```compile_fail,E0308
//! use fnctl_sdk::prelude::*;
//! #[stream_fn]
//! fn takes_something_else(_: &[u8], _: &mut Context) -> Result<()> {
//!     Ok(())
//! }
//! ```
//! ```compile_fail,E0308
//! use fnctl_sdk::prelude::*;
//! #[stream_fn(batch)]
//! fn returns_something_else(_: Batch<'_>, _: &mut Context) -> Result<u8> {
//!     Ok(1)
//! }
//! ```
//! ```compile_fail
//! use fnctl_sdk::prelude::*;
//! #[stream_fn]
//! async fn waits(_: Record<'_>, _: &mut Context) -> Result<()> {
//!     Ok(())
//! }
//! ```
//! ```compile_fail,E0080
//! use fnctl_sdk::prelude::*;
//! const SHOUTED: Output = output!("REJECTED");
//! ```
//!
//! ```compile_fail,E0080
//! use fnctl_sdk::prelude::*;
//! static ORDERS: Counter = Counter::new("Orders");
//! ```
//! ```compile_fail,E0080
//! use fnctl_sdk::prelude::*;
//! static ORDERS: Gauge = Gauge::new("orders_total");
//! ```
//!
//! A state that begins with nothing, and a close of another state:
//!
//! ```compile_fail,E0277
//! use fnctl_sdk::prelude::*;
//! struct Counts;
//! #[stream_fn(window, close = report)]
//! fn count(_: Record<'_>, _: &mut Counts, _: &mut Context) -> Result<()> {
//!     Ok(())
//! }
//! fn report(_: Counts, _: &mut Context) -> Result<()> {
//!     Ok(())
//! }
//! ```
//! ```compile_fail,E0308
//! use fnctl_sdk::prelude::*;
//! #[stream_fn(window, close = report)]
//! fn count(_: Record<'_>, _: &mut u64, _: &mut Context) -> Result<()> {
//!     Ok(())
//! }
//! fn report(_: u32, _: &mut Context) -> Result<()> {
//!     Ok(())
//! }
//! ```
//!
//! Two in one module; a component has one, the other belongs in a crate of its own:
//!
//! ```compile_fail,E0428
//! use fnctl_sdk::prelude::*;
//! #[stream_fn]
//! fn first(record: Record<'_>, cx: &mut Context) -> Result<()> {
//!     cx.forward(record)
//! }
//! #[stream_fn]
//! fn second(record: Record<'_>, cx: &mut Context) -> Result<()> {
//!     cx.forward(record)
//! }
//! ```

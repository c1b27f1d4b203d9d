//! JSON in and out: what `serde_json` reads and writes, faster where a function spends its time.
//!
//! A check of the host's clock stands in every turn of a function's loops, so what costs there are
//! loops over single bytes. Texts and numbers go by in blocks.

mod read;
mod scan;
mod write;

pub(crate) use read::read;
pub(crate) use write::{write, write_finite};

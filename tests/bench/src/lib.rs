//! What the benchmarks share: how a figure is written down, and how time is measured.
//!
//! Each figure is a program in `src/bin`; `make bench` runs them in turn.

pub mod guests;
pub mod hostile;
pub mod report;
pub mod usage;

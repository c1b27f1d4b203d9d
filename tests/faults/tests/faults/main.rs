//! One binary of tests, a module per subject.

mod power;
mod proof;
mod runs;

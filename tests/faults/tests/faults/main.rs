//! One binary of tests, a module per subject.

mod errors;
mod load;
mod power;
mod proof;
mod runs;

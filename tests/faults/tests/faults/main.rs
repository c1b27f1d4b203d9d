//! One binary of tests, a module per subject.

mod errors;
mod full;
mod image;
mod load;
mod power;
mod proof;
mod rot;
mod runs;

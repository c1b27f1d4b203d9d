//! What the real binary does when the power goes, the disk fails, fills up or rots.
//!
//! The binary runs unmodified with [`fnctl_interposer`] loaded into it. What it did to its data
//! directory is read from the interposer's records, and [`disk::Disk`] says what a disk would have kept
//! of that: the next start is on exactly this.

pub mod content;
pub mod disk;
mod interposed;
pub mod node;
mod random;

pub use interposed::Interposed;
pub use random::Random;

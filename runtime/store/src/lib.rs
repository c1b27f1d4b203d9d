//! Knows how data lies on disk: journal, shard logs, image, snapshot, artefacts. Nothing else does.
//!
//! It decides nothing: what an entry means is said by `fnctl_core`'s `NodeView`, which this crate feeds,
//! persists and recovers. It knows no protocol, no HTTP and no WebAssembly, and starts no thread: its
//! loops are run by whoever opens it.

pub mod access;
mod admission;
mod applier;
mod artifact;
mod backlog;
pub mod backup;
mod block;
mod clocks;
pub mod codec;
mod command;
mod cut;
mod digest;
pub mod disk;
pub mod doctor;
pub mod dump;
pub mod image;
mod journal;
pub mod limits;
mod recovery;
pub mod redrives;
mod retention;
mod scrub;
mod segment;
mod sequencer;
mod shared;
mod sizes;
mod snapshot;
mod space;
mod stats;
mod store;
mod tail;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unclean;
mod usage;

pub use self::{
    admission::PutRoom,
    applier::ApplierLoop,
    artifact::{ArtifactError, ArtifactPin},
    clocks::ArrivalClock,
    command::CommandError,
    recovery::{FORMAT_VERSION, Loops, OpenError, Options, open},
    scrub::{ScrubFinding, ScrubKind, ScrubLoop, ScrubOptions, ScrubStats},
    sequencer::{AppendTarget, SequencerLoop, Step},
    sizes::Sizes,
    space::Room,
    stats::{PutsRefused, StoreStats},
    store::{AppendError, Appended, CommitTicket, DecideError, ReadError, Store},
};

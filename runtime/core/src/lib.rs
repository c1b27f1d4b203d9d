//! Decides. Pure values and pure functions: no I/O, no clock, no randomness, no runtime, no logging.
//!
//! Everything fnctl promises about order, retries, dead letters and commits is decided here and
//! acted on elsewhere; see `runtime/ARCHITECTURE.md` for the map.

pub mod access;
pub mod admission;
pub mod batch;
pub mod breaker;
pub mod canary;
pub mod capture;
pub mod clock;
pub mod commit;
pub mod committer;
pub mod destination;
pub mod diagnosis;
pub mod entry;
pub mod error_code;
pub mod filter;
pub mod function;
pub mod id;
pub mod invariants;
pub mod invoker;
pub mod lane;
pub mod limits;
pub mod mapping;
pub mod outcome;
pub mod park;
pub mod pipeline;
pub mod quota;
pub mod recent;
pub mod reconcile;
pub mod record;
pub mod registry;
pub mod retry;
pub mod rfc3339;
pub mod settled;
pub mod shadow;
pub mod shard;
pub mod source;
pub mod spec;
pub mod status;
pub mod view;
pub mod window;

//! Deterministic simulation of one unit: the real `ShardPipeline` and the real `NodeView` under
//! seeded schedules of failing functions, slow and refused commits, crashes and restarts.
//!
//! [`world`] has a model of the journal and every kind of failing function; [`node`] has the production
//! store over a disk that loses, tears, fails and fills up. People do the same things in both, and one ledger
//! judges what the commits say.
//!
//! One seed is one schedule, to the byte. Nothing here draws a random number that is not from the
//! seed, reads a clock or starts a thread.

pub mod coverage;
pub mod guest;
mod hands;
pub mod journal;
mod ledger;
pub mod node;
pub mod profile;
pub mod random;
pub mod trace;
pub mod versions;
pub mod worker;
pub mod world;

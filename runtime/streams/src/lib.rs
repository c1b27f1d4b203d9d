//! Alone knows Kinesis: operations, wire formats, sequence numbers, iterators and hash keys.
//!
//! [`Kinesis`] answers HTTP requests over a [`log::Log`], which is where the records are; this crate
//! opens no data file, spawns nothing, and knows nothing of functions. Host gives it a listener.
//!
//! The rules come from the Kinesis reference: transport and order of checks (B1, B2), errors (B3 to
//! B5), operations (B6), routing (B7), sequence numbers (B8), iterators (B9), reads (B11), limits
//! (B12).

mod api;
mod body;
mod credentials;
pub mod hash_key;
mod iterator;
pub mod limits;
pub mod log;
mod protocol;
mod request_id;
mod seal;
pub mod sequence;
mod service;

pub use credentials::{Credentials, CredentialsError};
pub use hash_key::hash_key;
pub use service::{Asker, Kinesis, Options, Unsigned};

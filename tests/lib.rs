//! The binary as a person uses it, for tests, demo and benchmarks: a server of one's own in the
//! background, and commands against it. Nothing here knows more of fnctl than the command line, the
//! HTTP API and their JSON.

mod failure;
mod following;
mod http;
pub mod ledger;
mod producing;
mod server;
mod watching;

pub use failure::Failure;
pub use following::Following;
pub use http::{Answer, get, request};
pub use producing::produce;
pub use server::{Server, ServerOptions, binary};
pub use watching::Seen;

/// A field of a JSON object as text; empty when it is not there or no text.
#[must_use]
pub fn text(value: &serde_json::Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

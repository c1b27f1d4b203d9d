//! The host: spawns every long-lived task, reads the clock, records metrics, serves the control API.
//!
//! Decides nothing that `fnctl-core` can decide, and touches no data file but through `fnctl-store`.

mod access;
mod api;
mod audit;
mod backoff;
mod canaries;
mod clock;
mod exposure;
mod functions;
mod http;
mod kinesis;
pub mod limits;
mod logs;
mod metrics;
mod node;
mod own_files;
mod poller;
mod recent;
mod redrives;
mod relay;
mod reload;
mod retries;
mod secret;
mod secret_files;
mod server;
mod shadow;
mod shard_worker;
mod source;
mod supervisor;
mod text;
mod tls;

pub use access::{TokensError, file::OfflineTokens};
pub use api::key_at;
pub use clock::SystemClock;
pub use fnctl_store::{OpenError, ScrubOptions};
pub use http::listener::ListenError;
pub use kinesis::KinesisCredentialsError;
pub use server::{Running, Server, ServerOptions, ServerStopped, StartError, TlsInUse};
pub use tls::{Tls, TlsError};

//! The engine with real components: what an author, and an attacker, can make it do.

mod boundary;
mod cache;
mod features;
#[allow(dead_code, reason = "shared with the other tests")]
mod handmade;
mod hostile;
mod lifecycle;
mod metrics;
mod support;
mod validation;
mod windows;

//! The engine with real components: what an author, and an attacker, can make it do.

mod boundary;
mod cache;
mod hostile;
mod lifecycle;
mod support;
mod validation;

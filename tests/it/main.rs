//! The whole, from outside: one binary of tests, a module per subject.

mod access;
mod book;
mod canaries;
mod captures;
mod caution;
mod circuit;
mod cli_strangers;
mod cli_streams;
mod cli_words;
mod compiling;
mod counters;
mod crash;
mod dead_letters;
mod deploys;
mod explained;
mod filters;
mod flow;
#[path = "../../runtime/invoker/tests/it/handmade.rs"]
#[allow(dead_code, reason = "shared with the invoker's tests")]
mod handmade;
mod held;
mod hostile;
mod kinesis;
mod letters;
mod logs;
mod neighbours;
mod parked;
mod policies;
mod pressure;
mod prometheus;
mod puts;
mod quotas;
mod redrives;
mod refusals;
mod relays;
mod resharding;
mod scrub;
mod seeks;
mod service;
mod shadows;
mod statuses;
mod support;
mod tools;
mod updates;
mod waiting;
mod windows;

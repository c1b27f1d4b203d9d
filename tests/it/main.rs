//! The whole, from outside: one binary of tests, a module per subject.

mod caution;
mod cli_strangers;
mod cli_streams;
mod cli_words;
mod compiling;
mod crash;
mod deploys;
mod flow;
#[path = "../../runtime/invoker/tests/it/handmade.rs"]
#[allow(dead_code, reason = "shared with the invoker's tests")]
mod handmade;
mod hostile;
mod kinesis;
mod letters;
mod logs;
mod neighbours;
mod pressure;
mod puts;
mod quotas;
mod refusals;
mod resharding;
mod scrub;
mod support;
mod tools;
mod waiting;

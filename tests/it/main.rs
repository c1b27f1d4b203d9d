//! The whole, from outside: one binary of tests, a module per subject.

mod cli_strangers;
mod cli_streams;
mod cli_words;
mod crash;
mod flow;
mod kinesis;
mod letters;
mod neighbours;
mod refusals;
mod support;

//! The bad night: a function turns slow, its input poisonous, a version traps, a shard stops, the disk fills, the
//! clock jumps. For each the alert that must fire does, `fnctl mappings describe` names the cause, and what it and
//! `runtime/docs/runbooks.md` say to do, done here, restores the mapping with nothing lost.
//!
//! An alert waits for minutes. Here a minute is a step of the server's wall clock and one scrape ([`Night::minute`]):
//! what is scraped is what the server says of itself, ages and all, only the time between two scrapes is short. The
//! rules of `deploy/prometheus` are evaluated on these series by `promtool` ([`rules`]).

mod clock;
mod damaged;
mod disk;
mod minutes;
mod poison;
mod rules;
mod series;
mod slow;
mod states;
mod stopped;
mod traps;

use self::minutes::Night;

//! The protocol checker: every interleaving of a unit's commits, exhausted.
//!
//! One unit, a handful of records, lanes and the retry slot, an owner and the one it replaces, a
//! journal with its unsynced tail, crashes at every step; from outside, retention that takes what is
//! unsettled, an output stream that is deleted and made anew, a mapping likewise, people who send a unit
//! elsewhere, have letters redriven and throw them away. What a worker and a
//! journal do is modelled here, small; **what the sequencer answers is asked of the production
//! `NodeView`**: each pair of a view and a commit once, because evaluating is a pure function, and the
//! answer is remembered. With the production pipeline as its worker (`explore_pipeline`) there are
//! fewer records, and two units where that is asked; letters are redriven there alone, and windows have their
//! states there alone (`window.rs`).
//!
//! Splits and merges are made before a schedule begins: what matters of them is when a child's unit gets
//! its owner, and that the view decides ([`Family`]).
//!
//! A configuration either holds (no violation in any reachable state, and from every one of them a
//! path to all records settled) or yields the shortest schedule that breaks it. `tests/protocol.rs`
//! lists both: the protocol as it is, and the protocol with one rule taken away
//! (commit and storage rules §3).

mod check;
mod config;
mod content;
mod explore;
mod facts;
mod journal;
mod pipeline;
mod schedule;
mod state;
mod step;
mod views;
mod window;
mod worker;

pub use self::{
    check::Violation,
    config::{Config, Family},
    explore::{Report, Verdict},
    pipeline::explore_pipeline,
    step::explore,
};

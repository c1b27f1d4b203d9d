//! The contract of the thing that makes a commit durable.

use crate::commit::{Commit, CommitAnswer};

/// The node stopped accepting: a failed write or sync, or shutdown. Nothing more is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store has stopped: {0}")]
pub struct Stopped(pub String);

/// A commit handed in.
pub trait Ticket: Send {
    /// Waits for the sequencer's answer: guards evaluated in log order, nothing synced yet.
    ///
    /// # Errors
    /// The store stopped.
    fn answer(&mut self) -> impl Future<Output = Result<CommitAnswer, Stopped>> + Send;

    /// After `Accepted`: waits until it is synced and visible.
    ///
    /// # Errors
    /// The store stopped; whether the commit survives shows after the restart.
    fn durable(&mut self) -> impl Future<Output = Result<(), Stopped>> + Send;
}

/// Takes commits: all of one becomes durable and visible, or nothing
/// (commit and storage rules §3). Commits of one slot are answered in the order handed in.
pub trait Committer: Send + Sync + 'static {
    /// A handed-in commit.
    type Ticket: Ticket;

    /// Hands a commit in; returns at once.
    fn commit(&self, commit: Commit) -> Self::Ticket;
}

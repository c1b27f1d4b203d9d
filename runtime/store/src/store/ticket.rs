//! The store as the committer of pipelines.

use std::sync::Arc;

use fnctl_core::{
    commit::{Commit, CommitAnswer},
    committer::{Committer, Stopped, Ticket},
};
use tokio::sync::oneshot;

use super::Store;
use crate::{
    sequencer::{self, Request},
    shared::Shared,
};

/// A commit that was handed in.
pub struct CommitTicket {
    shared: Arc<Shared>,
    answer: Result<oneshot::Receiver<CommitAnswer>, Stopped>,
    durable: oneshot::Receiver<()>,
}

impl Committer for Store {
    type Ticket = CommitTicket;

    fn commit(&self, commit: Commit) -> CommitTicket {
        let (answer, answered) = oneshot::channel();
        let (durable, is_durable) = oneshot::channel();
        let request = Request::Commit {
            commit: Arc::new(commit),
            answer,
            durable,
        };
        CommitTicket {
            shared: Arc::clone(&self.shared),
            answer: sequencer::submit(&self.shared, request).map(|()| answered),
            durable: is_durable,
        }
    }
}

impl Ticket for CommitTicket {
    async fn answer(&mut self) -> Result<CommitAnswer, Stopped> {
        match &mut self.answer {
            Ok(answer) => answer.await.map_err(|_| self.shared.stopped()),
            Err(stopped) => Err(stopped.clone()),
        }
    }

    async fn durable(&mut self) -> Result<(), Stopped> {
        (&mut self.durable).await.map_err(|_| self.shared.stopped())
    }
}

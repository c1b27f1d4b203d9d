//! Commits on their way: handed in, answered, durable.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use fnctl_core::{
    commit::{Commit, CommitAnswer},
    committer::{Committer, Stopped, Ticket},
    id::Lsn,
    pipeline::Event,
};
use fnctl_store::{CommitTicket, Store};

use super::{CommitHabits, Worker};
use crate::node::windows;

/// A commit on its way, as its worker meant it.
pub(in crate::node) struct Flight {
    commit: Arc<Commit>,
    is_accepted: bool,
    ticket: CommitTicket,
}

/// What a commit on its way came to.
pub(in crate::node) enum Progress {
    Answered(Event, CommitAnswer, Arc<Commit>),
    Durable(Event),
    Stopped,
}

fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl Flight {
    /// Where the sequencer took it, if it did and nobody was told yet.
    pub(in crate::node) fn overheard(&mut self) -> Option<(Lsn, Arc<Commit>)> {
        if self.is_accepted {
            return None;
        }
        match poll(self.ticket.answer()) {
            Poll::Ready(Ok(CommitAnswer::Accepted(lsn))) => {
                self.is_accepted = true;
                Some((lsn, Arc::clone(&self.commit)))
            }
            _ => None,
        }
    }
}

impl CommitHabits {
    /// What reaches the store of a commit.
    fn tamper(self, commit: &mut Commit) {
        if self.drops_effects && commit.number.is_multiple_of(7) {
            commit.outputs.clear();
        }
        if self.forgets_letters {
            commit.redriven = None;
        }
    }
}

impl Worker {
    pub(super) fn hand_in(&mut self, commit: Commit, store: &Store) {
        windows::check(&self.windows, commit.window.as_ref());
        let mut sent = commit.clone();
        self.habits.tamper(&mut sent);
        self.flights.push_back(Flight {
            commit: Arc::new(commit),
            is_accepted: false,
            ticket: store.commit(sent),
        });
    }

    /// Whether the sequencer may have said something.
    pub(in crate::node) fn has_flights(&self) -> bool {
        !self.flights.is_empty()
    }

    /// What the store says of the commits on their way: an answer before a durability, in the order
    /// handed in.
    pub(in crate::node) fn progress(&mut self) -> Option<Progress> {
        for at in 0..self.flights.len() {
            let flight = &mut self.flights[at];
            if flight.is_accepted {
                continue;
            }
            match poll(flight.ticket.answer()) {
                Poll::Pending => continue,
                Poll::Ready(Err(Stopped(_))) => return Some(Progress::Stopped),
                Poll::Ready(Ok(answer)) => {
                    let commit = Arc::clone(&flight.commit);
                    let event = Event::CommitAnswered {
                        slot: commit.slot,
                        number: commit.number,
                        answer: answer.clone(),
                    };
                    if matches!(answer, CommitAnswer::Accepted(_)) {
                        flight.is_accepted = true;
                        if let Some(change) = &commit.window {
                            let becomes = Arc::new(change.becomes.clone());
                            self.windows.insert(change.group, becomes);
                        }
                    } else {
                        self.flights.remove(at);
                    }
                    return Some(Progress::Answered(event, answer, commit));
                }
            }
        }
        let at = self.flights.iter().position(|flight| flight.is_accepted)?;
        let flight = &mut self.flights[at];
        match poll(flight.ticket.durable()) {
            Poll::Pending => None,
            Poll::Ready(Err(Stopped(_))) => Some(Progress::Stopped),
            Poll::Ready(Ok(())) => {
                let flight = self.flights.remove(at).expect("it was just found");
                Some(Progress::Durable(Event::CommitDurable {
                    slot: flight.commit.slot,
                    number: flight.commit.number,
                }))
            }
        }
    }

    /// Those that nobody waits for any more.
    pub(in crate::node) fn into_flights(self) -> impl Iterator<Item = Flight> {
        self.flights.into_iter()
    }
}

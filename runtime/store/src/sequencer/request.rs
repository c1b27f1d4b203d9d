//! What may be asked of the sequencer, and who waits for the answer.

use std::sync::Arc;

use fnctl_core::{
    commit::{Commit, CommitAnswer},
    entry::Entry,
    id::{StreamId, StreamName, Timestamp},
    record::NewRecords,
    view::{NodeView, ProducerSequence, StreamRef},
};
use tokio::sync::oneshot;

use crate::{
    admission::PutRoom,
    store::{AppendError, Appended},
};

/// Which stream an append is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendTarget {
    /// This one, and no later one of its name.
    Id(StreamId),
    /// Whichever has the name when the append is taken.
    Name(StreamName),
}

impl AppendTarget {
    pub(super) fn by_ref(&self) -> StreamRef<'_> {
        match self {
            Self::Id(id) => StreamRef::Id(*id),
            Self::Name(name) => StreamRef::Name(name),
        }
    }
}

impl From<StreamId> for AppendTarget {
    fn from(id: StreamId) -> Self {
        Self::Id(id)
    }
}

impl From<StreamName> for AppendTarget {
    fn from(name: StreamName) -> Self {
        Self::Name(name)
    }
}

/// Says an answer once everything taken before it is visible; dropped, it says "stopped".
pub(crate) type Announce = Box<dyn FnOnce() + Send>;

/// Judges something against the view: an entry to take over, or none, and what to say about it.
pub(crate) type Decision =
    Box<dyn FnOnce(&NodeView, Timestamp) -> (Option<Entry>, Announce) + Send>;

/// What may be asked of the sequencer.
pub(crate) enum Request {
    Append {
        target: AppendTarget,
        records: Arc<NewRecords>,
        producer: Option<ProducerSequence>,
        reply: oneshot::Sender<Result<Appended, AppendError>>,
        room: PutRoom,
    },
    Commit {
        commit: Arc<Commit>,
        answer: oneshot::Sender<CommitAnswer>,
        durable: oneshot::Sender<()>,
    },
    Decide(Decision),
}

/// Who waits for a frame.
pub(crate) enum Waiter {
    Append {
        reply: oneshot::Sender<Result<Appended, AppendError>>,
        result: Result<Appended, AppendError>,
        /// Answered once written (`ack = "written"`).
        is_early: bool,
        room: PutRoom,
    },
    Commit(oneshot::Sender<()>),
    Announce(Announce),
}

impl Waiter {
    pub(super) fn answer(self) {
        // Who went away needs no answer.
        match self {
            Self::Append {
                reply,
                result,
                room,
                is_early: _,
            } => {
                drop(reply.send(result));
                drop(room);
            }
            Self::Commit(durable) => drop(durable.send(())),
            Self::Announce(announce) => announce(),
        }
    }
}

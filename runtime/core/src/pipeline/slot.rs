//! One sequence of attempts: a lane's, or the retry slot's.

use std::collections::VecDeque;

use super::{CommitPlan, PlannedWindow, backlog::Serial, judge::Judgement};
use crate::{
    breaker::Outages,
    commit::{CallCost, Unavailable, UnitTotals},
    id::{AttemptId, SlotId, Timestamp},
    lane::KeyHash,
    limits,
};

/// A call under way.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) attempt: AttemptId,
    pub(super) records: Vec<Serial>,
}

/// How far a commit has come.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Decided; waits for its turn to be sent.
    Queued(Box<CommitPlan>),
    /// Refused before; waits for its turn to be sent again.
    Requeued,
    /// With the sequencer.
    Sent,
    /// Refused; sent again after a pause.
    Refused { resend_at: Timestamp },
}

/// What a commit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It says what became of records.
    Outcome,
    /// It marks a record in front of its call.
    Mark,
    /// It takes such a mark back.
    Unmark,
    /// It says what became of a redriven letter; whether it failed again.
    Redrive { is_dead: bool },
}

/// A commit that is not accepted. Nothing it says has happened yet.
#[derive(Clone, Debug)]
pub(super) struct Unaccepted {
    pub(super) records: Vec<Serial>,
    pub(super) judgement: Judgement,
    /// Records that the filter let fall and that it takes along.
    pub(super) filtered: Vec<Serial>,
    /// What it adds to the totals.
    pub(super) adds: UnitTotals,
    pub(super) phase: Phase,
    pub(super) refusals: u32,
    pub(super) purpose: Purpose,
    /// Its dead letters are left out: there is no room for them.
    pub(super) drops_letters: bool,
    /// What it says of a window.
    pub(super) window: Option<PlannedWindow>,
    /// What it says of circuits.
    pub(super) outages: Option<Outages>,
}

/// A slot holds the keys of its batch from the batch's start until its last commit is accepted.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) id: SlotId,
    /// Number of the last accepted commit.
    pub(super) accepted: u64,
    /// Number of the last commit known to be synced.
    pub(super) durable: u64,
    pub(super) call: Option<Call>,
    /// What the call took that is being judged.
    pub(super) cost: Option<CallCost>,
    /// A call that waits for payload to be read again.
    pub(super) reread: Option<Vec<Serial>>,
    pub(super) unaccepted: Option<Unaccepted>,
    /// Pieces of the slot's batch that are to be run (again), in order.
    pub(super) pieces: VecDeque<Vec<Serial>>,
    /// Starts no call before.
    pub(super) not_before: Timestamp,
    /// Calls in a row that cost nobody an attempt.
    pub(super) faults: u32,
    /// The parked keys in the slot, ascending: those of one call, or of a suspect; retry slot only.
    pub(super) keys: Vec<KeyHash>,
    /// The first of the pieces is the upper half of what failed as a whole, and if what is in hand, the lower
    /// half, succeeds, it is to blame.
    pub(super) presumes: bool,
    /// Number of the commit that marked the first record of the pieces, or of the call, as in hand.
    pub(super) mark: Option<u64>,
    /// Why its last commit was refused; unset once one is accepted.
    pub(super) refusal: Option<Unavailable>,
    /// Refusals in a row of a slot that drops what is refused.
    pub(super) refusals: u32,
}

impl Slot {
    pub(super) const fn new(id: SlotId) -> Self {
        Self {
            id,
            accepted: 0,
            durable: 0,
            call: None,
            cost: None,
            reread: None,
            unaccepted: None,
            pieces: VecDeque::new(),
            not_before: Timestamp(0),
            faults: 0,
            keys: Vec::new(),
            presumes: false,
            mark: None,
            refusal: None,
            refusals: 0,
        }
    }

    /// Whether the next call may start as far as calls and commits go: the commit of the last one is
    /// accepted, and few enough are unsynced (commit and storage rules §3).
    pub(super) fn is_free(&self) -> bool {
        self.is_at_rest() && self.accepted - self.durable < u64::from(limits::COMMITS_IN_FLIGHT_MAX)
    }

    /// Whether nothing of it is under way: at most pieces wait.
    pub(super) fn is_at_rest(&self) -> bool {
        self.call.is_none() && self.reread.is_none() && self.unaccepted.is_none()
    }

    /// Takes the call back if it is `attempt`; a late answer of another one is discarded.
    pub(super) fn end_call(&mut self, attempt: AttemptId) -> Option<Vec<Serial>> {
        let call = self.call.take_if(|call| call.attempt == attempt)?;
        Some(call.records)
    }

    /// The records whose keys the slot holds.
    pub(super) fn held(&self) -> impl Iterator<Item = Serial> {
        let call = self.call.iter().flat_map(|call| &call.records);
        let commit = self.unaccepted.iter().flat_map(|commit| &commit.records);
        let pieces = self.pieces.iter().flatten();
        let reread = self.reread.iter().flatten();
        call.chain(commit).chain(pieces).chain(reread).copied()
    }
}

//! What a pipeline wants done.

use std::sync::Arc;

use super::{BlockId, CommitPlan, RedriveEnding};
use crate::{
    breaker::Sign,
    commit::UnitTotals,
    id::{AttemptId, FunctionVersion, Ordinal, SlotId},
    window::WindowCall,
};

/// A record as a call or a dead letter refers to it; the worker resolves it to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef {
    /// Its position in the shard.
    pub position: Ordinal,
    /// The block that holds its payload.
    pub block: BlockId,
    /// Its index in that block.
    pub index: u32,
    /// Charged attempts so far: the coming one is this plus 1.
    pub attempts: u32,
}

/// A call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Its id, for `Event::Invoked` and `Action::Interrupt`.
    pub attempt: AttemptId,
    /// Whose call it is.
    pub slot: SlotId,
    /// The records, in shard order; none in a call that ends a window.
    pub records: Vec<RecordRef>,
    /// The version that is called.
    pub version: FunctionVersion,
    /// Start from a new store: every piece of a batch that is run again, and every retry but those of records
    /// that failed by the function's own answer and have attempts left.
    pub is_fresh: bool,
    /// The redrive that it is for, by its ticket: then its one record is that of a dead letter.
    pub redrive: Option<u64>,
    /// The window that it is in; without records it ends it.
    pub window: Option<WindowCall>,
}

/// Why a pipeline stopped. It answers nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Another owner, or none: ask for a new lease if the mapping still wants one.
    Fenced,
    /// `Event::Drain` is done.
    Drained,
    /// The function said `fatal`: stop the mapping. Nothing of the batch committed.
    Fatal {
        /// The function's code.
        code: Arc<str>,
        /// The function's words.
        message: Arc<str>,
        /// The version that said so.
        version: FunctionVersion,
    },
}

/// Something to do. Done in the order given: a block is released only after the commits in front of
/// it were completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read on, answered by `Event::Fetched` or `Event::FetchFailed`. One is under way at a
    /// time.
    Fetch {
        /// Records above this position.
        after: Ordinal,
        /// At most this many.
        records_max: u32,
        /// Stop at this many bytes of keys and payloads; the first record always fits.
        bytes_max: u64,
    },
    /// Read these parked records again, answered by `Event::Reread` or `Event::RereadFailed`. Not
    /// counted as the one read of `Fetch`.
    Reread {
        /// For this slot's next call.
        slot: SlotId,
        /// Their positions, ascending.
        records: Vec<Ordinal>,
    },
    /// Make a call.
    Invoke(Invocation),
    /// Take a call back; its answer is not awaited.
    Interrupt {
        /// Which.
        attempt: AttemptId,
    },
    /// Complete this commit ([`super::complete`]), keep it until it is answered, send it.
    Commit(Box<CommitPlan>),
    /// Send the kept commit of this slot again, with these totals.
    Resend {
        /// Its slot.
        slot: SlotId,
        /// Its number.
        number: u64,
        /// Totals to put in: other slots' commits were accepted meanwhile.
        totals: UnitTotals,
        /// Leave its dead letters out: there is no room for them, and the mapping says to go on.
        drops_letters: bool,
    },
    /// Forget the kept, refused commit of this slot: its batch runs again.
    DropCommit {
        /// Its slot.
        slot: SlotId,
        /// Its number, which the slot's next commit has again.
        number: u64,
    },
    /// A call that ended says so much of what the function needs, to all units of the mapping
    /// (`Event::MappingSick`).
    Felt {
        /// The version that was called.
        version: FunctionVersion,
        /// What it says, never [`Sign::None`].
        sign: Sign,
    },
    /// Ask for the node's turn, answered by `Event::TurnGranted`: who has it calls one record with care,
    /// nobody else on the node does. Whole batches need no turn.
    AskTurn,
    /// Give the turn back, or ask for it no more.
    EndTurn,
    /// A redrive ended, and what it did is synced. Not said of those that a pipeline stops with.
    Redriven {
        /// Which.
        ticket: u64,
        /// How.
        ending: RedriveEnding,
    },
    /// A record that a person gave up is over, and what became of it is synced; once a record, however
    /// often it was asked for. Not said of those that a pipeline stops with.
    GivenUp {
        /// Which.
        position: Ordinal,
        /// Whether it was given up; else it had ended otherwise before.
        is_letter: bool,
    },
    /// Of a block keep these records alone, by their indices in it, ascending: the others are needed no more.
    /// What is kept goes by the same number and indices.
    KeepOnly {
        /// The block.
        block: BlockId,
        /// What is kept of it; less than it held so far.
        records: Vec<u32>,
    },
    /// Free a block: no record of it is needed any more, or it is read again when it is.
    ReleaseBlock(BlockId),
    /// The last action of all.
    Stop(StopReason),
}

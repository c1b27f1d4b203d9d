//! What a pipeline is told.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::Redrive;
use crate::{
    breaker::Outages,
    commit::{AttemptMark, CallCost, CommitAnswer, UnitTotals},
    filter::FilterVerdict,
    id::{AttemptId, LeaseEpoch, Ordinal, SlotId, Timestamp},
    lane::KeyHash,
    outcome::Outcome,
    settled::Settled,
    window::GroupWindow,
};

/// A block of payload that the worker holds in memory. The worker numbers blocks densely from 1 and
/// never reuses a number; it frees a block at `Action::ReleaseBlock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u64);

/// A block that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockMeta {
    /// Its number.
    pub id: BlockId,
    /// Memory that goes free with it: keys and payloads of every record in it, bytes.
    pub bytes: u64,
}

/// What decisions need to know of a record that was read; its payload stays with the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// Its position in the shard.
    pub position: Ordinal,
    /// Its key, hashed once ([`crate::lane::key_hash`]).
    pub key: KeyHash,
    /// When it arrived at its stream.
    pub arrival: Timestamp,
    /// Where its payload lies.
    pub block: BlockId,
    /// Its index in that block.
    pub index: u32,
    /// Bytes of key and payload, capped at `u32::MAX`.
    pub bytes: u32,
    /// How many functions it has come through.
    pub hops: u8,
    /// What the mapping's filter says of it; a match where there is none.
    pub verdict: FilterVerdict,
}

/// The state that an owner starts from, as the published view has it **once it shows the owner's
/// epoch**: then everything that a former owner had accepted is in it too, and nothing can follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The owner's epoch.
    pub epoch: LeaseEpoch,
    /// What is done.
    pub settled: Settled,
    /// Charged attempts of records that are not done. Marks of another version are ignored: a new
    /// version starts from nothing (commit and storage rules §4). One in hand says that the last
    /// process died with the record ([`crate::view::UnitView::marks_at_start`]).
    pub attempts: Vec<AttemptMark>,
    /// The unit's totals.
    pub totals: UnitTotals,
    /// The shard's last published position.
    pub tail: Ordinal,
    /// The windows of its groups ([`crate::view::UnitView::windows`]).
    pub windows: BTreeMap<u32, Arc<GroupWindow>>,
    /// Circuits that an owner before it left open.
    pub outages: Outages,
    /// Whether the shard is closed, and nothing follows `tail`: then open windows have their final call at
    /// its end. Nothing else asks for that.
    pub is_closed: bool,
}

/// Records that `Action::Fetch` brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The blocks they lie in, ascending by number, above every earlier one.
    pub blocks: Vec<BlockMeta>,
    /// The records, ascending by position, all above `after` of the fetch. Empty: nothing there.
    pub records: Vec<RecordMeta>,
}

/// Where the payload of a record that was read again lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocated {
    /// The record.
    pub position: Ordinal,
    /// Its new block.
    pub block: BlockId,
    /// Its index in that block.
    pub index: u32,
}

/// Something that happened. Plain values only, so that a recorded log of events replays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The lease was granted: always the first event.
    Started(Started),
    /// `Action::Fetch` ended.
    Fetched(Fetched),
    /// `Action::Reread` ended.
    Reread {
        /// As asked.
        slot: SlotId,
        /// The blocks that were read, numbered like fetched ones.
        blocks: Vec<BlockMeta>,
        /// Every record asked for, in the order asked.
        records: Vec<Relocated>,
    },
    /// `Action::Fetch` failed; it is asked for again after a pause.
    FetchFailed,
    /// `Action::Reread` failed; it is asked for again after a pause.
    RereadFailed {
        /// As asked.
        slot: SlotId,
    },
    /// Records up to `tail` are published.
    TailAdvanced {
        /// The shard's last published position.
        tail: Ordinal,
    },
    /// A call ended. One that the pipeline took back (`Action::Interrupt`) is discarded by its id.
    Invoked {
        /// Which call.
        attempt: AttemptId,
        /// How.
        outcome: Outcome,
        /// The window's state as it left it; `None`: as it was, or no window.
        state: Option<Bytes>,
        /// What it took.
        cost: CallCost,
    },
    /// What the calls of the whole mapping say, as its units told it by `Action::Felt`: whether the witnesses are
    /// enough ([`crate::breaker::Witnesses::are_enough`]). It counts for the calls that end from now on.
    MappingSick {
        /// Those of the version that most keys meet.
        live: bool,
        /// Those of the canary.
        canary: bool,
    },
    /// A call could not be made: the host is at fault, nobody is charged, it is made again.
    HostFault {
        /// Which call.
        attempt: AttemptId,
    },
    /// The sequencer answered a commit.
    CommitAnswered {
        /// Its slot.
        slot: SlotId,
        /// Its number.
        number: u64,
        /// What it said.
        answer: CommitAnswer,
    },
    /// A commit, and so every earlier one of its slot, is synced and visible.
    CommitDurable {
        /// Its slot.
        slot: SlotId,
        /// Its number.
        number: u64,
    },
    /// The node is short of memory for refused results: drop this one and run its batch again,
    /// uncharged. Ignored when the slot has no refused commit.
    DropRefused {
        /// Its slot.
        slot: SlotId,
    },
    /// The lanes' next batches and every retry are called record by record, each with its attempt
    /// marked durably before, or no longer so (commit and storage rules §4). Told before the first
    /// record is, or later.
    Caution {
        /// Whether it is so.
        is_on: bool,
    },
    /// A dead letter is to be given to the function again, answered by `Action::Redriven`.
    Redrive(Box<Redrive>),
    /// Nobody wants a redrive any more: one that was not called yet ends as `RedriveEnding::Closed`; one that is
    /// called ends as its call does.
    RedriveWithdrawn {
        /// Its ticket.
        ticket: u64,
    },
    /// The turn that `Action::AskTurn` asked for is granted.
    TurnGranted,
    /// A person has charged records tried now, whatever is left of their backoff.
    Release {
        /// Their positions. What is done already, or being tried, is passed over.
        positions: Vec<Ordinal>,
    },
    /// A person has everything tried now that waits, charged or not.
    ReleaseAll,
    /// A person gives records up: they become dead letters without another call, told by
    /// `Action::GivenUp`. What is in hand is left to its call first.
    GiveUp {
        /// Their positions.
        positions: Vec<Ordinal>,
        /// Who asked, for the letters.
        by: Arc<str>,
    },
    /// Time passed: sent at or after `ShardPipeline::deadline`.
    Tick,
    /// Start no call; running ones may commit until then and are taken back uncharged afterwards.
    Pause {
        /// End of the moment that running calls get.
        until: Timestamp,
    },
    /// Go on.
    Resume,
    /// As `Pause`, and stop for good when nothing is under way any more.
    Drain {
        /// End of the moment that running calls get.
        until: Timestamp,
    },
}

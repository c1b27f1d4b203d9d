//! The steps of a schedule, in words.

use std::fmt;

/// One step of a schedule, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A lease is accepted.
    Lease {
        /// The epoch granted.
        epoch: u8,
    },
    /// A granted owner hears that another was appointed, and never starts.
    GiveUp {
        /// The epoch that was granted.
        epoch: u8,
    },
    /// An owner starts.
    Start {
        /// Its epoch.
        epoch: u8,
    },
    /// A former owner finds out.
    FindOut {
        /// Its epoch.
        epoch: u8,
    },
    /// A batch goes to the function.
    Invoke {
        /// The owner.
        epoch: u8,
        /// The slot.
        slot: usize,
        /// The records, as a mask.
        records: u8,
    },
    /// A call ends, its commit is handed in.
    Conclude {
        /// The owner.
        epoch: u8,
        /// The slot.
        slot: usize,
        /// Records that end as outputs.
        outputs: u8,
        /// Records that end as dead letters.
        dead: u8,
    },
    /// A call is taken back, uncharged.
    TakeBack {
        /// The owner.
        epoch: u8,
        /// The slot.
        slot: usize,
    },
    /// A call's deadline passes; its answer may still come.
    TimeOut {
        /// The owner.
        epoch: u8,
        /// The slot.
        slot: usize,
    },
    /// The answer of a call that timed out comes, and is believed.
    AnswerLate {
        /// The owner.
        epoch: u8,
    },
    /// The sequencer answers a commit.
    Answer {
        /// The owner.
        epoch: u8,
        /// The slot.
        slot: usize,
        /// Its number, from the slot's last accepted one.
        number: u8,
        /// Records it settles.
        settles: u8,
        /// Whether it was accepted.
        is_accepted: bool,
        /// Whether the answer arrived.
        is_heard: bool,
    },
    /// Retention takes what is unsettled up to a record.
    Expire {
        /// The record.
        through: usize,
    },
    /// Somebody sends the unit to the place after a record.
    Seek {
        /// How many records are in front of it.
        after: u64,
    },
    /// The output stream goes.
    DeleteOutput,
    /// A stream of its name is made.
    MakeOutput,
    /// The mapping goes, and its progress with it.
    DeleteMapping,
    /// A mapping of its name is made.
    MakeMapping,
    /// A frame is written.
    Write,
    /// Its sync returns.
    Sync,
    /// The node stops and starts again.
    Crash {
        /// Whether the unsynced frame is found again.
        keeps_frame: bool,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot_name = |slot: usize| ["lane 0", "lane 1", "retry"][slot];
        match *self {
            Self::Lease { epoch } => write!(f, "lease {epoch} is accepted"),
            Self::GiveUp { epoch } => write!(f, "owner {epoch} never starts"),
            Self::Start { epoch } => write!(f, "owner {epoch} starts"),
            Self::FindOut { epoch } => write!(f, "owner {epoch} is fenced"),
            Self::Invoke {
                epoch,
                slot,
                records,
            } => write!(f, "owner {epoch} {}: calls {records:05b}", slot_name(slot)),
            Self::Conclude {
                epoch,
                slot,
                outputs,
                dead,
            } => write!(
                f,
                "owner {epoch} {}: outputs {outputs:05b}, dead letters {dead:05b}",
                slot_name(slot)
            ),
            Self::TakeBack { epoch, slot } => {
                write!(f, "owner {epoch} {}: takes its call back", slot_name(slot))
            }
            Self::TimeOut { epoch, slot } => {
                write!(f, "owner {epoch} {}: its call times out", slot_name(slot))
            }
            Self::AnswerLate { epoch } => write!(f, "owner {epoch}: the late answer comes"),
            Self::Answer {
                epoch,
                slot,
                number,
                settles,
                is_accepted,
                is_heard,
            } => write!(
                f,
                "owner {epoch} {}: commit +{number} settling {settles:05b} is {}{}",
                slot_name(slot),
                if is_accepted { "accepted" } else { "refused" },
                if is_heard { "" } else { ", unheard" }
            ),
            Self::Expire { through } => {
                write!(
                    f,
                    "retention takes what is unsettled up to record {through}"
                )
            }
            Self::Seek { after } => write!(f, "somebody seeks to the place after {after} records"),
            Self::DeleteOutput => f.write_str("the output stream is deleted"),
            Self::MakeOutput => f.write_str("an output stream of that name is made"),
            Self::DeleteMapping => f.write_str("the mapping is deleted"),
            Self::MakeMapping => f.write_str("a mapping of that name is made"),
            Self::Write => f.write_str("a frame is written"),
            Self::Sync => f.write_str("its sync returns"),
            Self::Crash { keeps_frame: true } => f.write_str("crash; the frame is found again"),
            Self::Crash { keeps_frame: false } => f.write_str("crash; what is unsynced is lost"),
        }
    }
}

//! The steps of a schedule of the production pipeline.

use std::fmt;

use fnctl_core::id::SlotId;

/// How a call ends.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// It returns; each record's outcome is a digit: well, retry, skip.
    Returned(usize),
    /// It returns an error for the whole call.
    Error,
    /// It traps, and the first record is named.
    TrapNamed,
    /// It traps namelessly.
    Trap,
}

pub(super) enum Step {
    /// A lease: its unit and epoch. So with the next ones.
    Lease(usize, u8),
    Start(usize, u8),
    FindOut(usize, u8),
    GiveUp(usize, u8),
    End(usize, u8, Vec<u64>, Ending),
    Answer(usize, u8, SlotId, u64),
    /// The sequencer refuses a commit for want of an output stream.
    Refuse(u8, SlotId, u64),
    /// The owner has no room to keep a refused commit.
    DropRefused(u8, SlotId),
    /// A refused commit's pause is over.
    Tick(u8),
    /// Retention takes what is unsettled up to a record.
    Expire(usize),
    /// Somebody sends a unit to the place after so many records.
    Seek(usize, u64),
    /// A letter is given to an owner.
    Redrive(usize, u8, u64),
    /// A letter is thrown away.
    Purge(u64),
    DeleteOutput,
    MakeOutput,
    Write,
    Sync,
    Crash(bool),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lease(unit, epoch) => write!(f, "unit {unit}: lease {epoch} is accepted"),
            Self::Start(unit, epoch) => write!(f, "unit {unit}: owner {epoch} starts"),
            Self::FindOut(unit, epoch) => write!(f, "unit {unit}: owner {epoch} is fenced"),
            Self::End(unit, epoch, records, ending) => {
                write!(f, "unit {unit}: owner {epoch}: the call of {records:?} ")?;
                match ending {
                    Ending::Returned(code) => write!(f, "returns {code}"),
                    Ending::Error => f.write_str("fails"),
                    Ending::TrapNamed => f.write_str("traps, naming its first record"),
                    Ending::Trap => f.write_str("traps"),
                }
            }
            Self::Answer(unit, epoch, slot, number) => {
                write!(
                    f,
                    "unit {unit}: owner {epoch}: commit {number} of {slot:?} is answered"
                )
            }
            Self::GiveUp(unit, epoch) => write!(f, "unit {unit}: owner {epoch} never starts"),
            Self::Refuse(epoch, slot, number) => {
                write!(f, "owner {epoch}: commit {number} of {slot:?} is refused")
            }
            Self::DropRefused(epoch, slot) => {
                write!(
                    f,
                    "owner {epoch}: the refused commit of {slot:?} is dropped"
                )
            }
            Self::Tick(epoch) => write!(f, "owner {epoch}: a pause is over"),
            Self::Expire(record) => {
                write!(f, "retention takes what is unsettled up to record {record}")
            }
            Self::Seek(unit, after) => {
                write!(
                    f,
                    "unit {unit}: somebody seeks to the place after {after} records"
                )
            }
            Self::Redrive(unit, epoch, body) => {
                write!(f, "unit {unit}: owner {epoch}: letter {body} is redriven")
            }
            Self::Purge(body) => write!(f, "letter {body} is thrown away"),
            Self::DeleteOutput => f.write_str("the output stream is deleted"),
            Self::MakeOutput => f.write_str("an output stream of that name is made"),
            Self::Write => f.write_str("a frame is written"),
            Self::Sync => f.write_str("its sync returns"),
            Self::Crash(keeps_frame) => write!(f, "crash, frame found again: {keeps_frame}"),
        }
    }
}

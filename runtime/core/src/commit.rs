//! The result of a settled batch as one value: all of it becomes durable and visible, or none
//! (commit and storage rules §3).

use std::{ops::Add, sync::Arc};

use bytes::Bytes;

use crate::{
    breaker::Outages,
    id::{
        FunctionVersion, LeaseEpoch, Lsn, Ordinal, ShardNumber, SlotId, StreamName, Timestamp,
        UnitId,
    },
    invoker::CallStats,
    outcome::Cause,
    record::NewRecords,
    settled::SettledRanges,
    window::WindowChange,
};

/// How often a record that is still unsettled was charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptMark {
    /// The record.
    pub position: Ordinal,
    /// Charged attempts so far, by `version`.
    pub count: u32,
    /// The version that was charged; another one starts from nothing.
    pub version: FunctionVersion,
    /// When the record may be tried again.
    pub next_retry: Timestamp,
    /// Written in front of a call of this record alone, which `count` counts already: found at the
    /// start after an unclean stop, it says that the process died with the record in hand
    /// (commit and storage rules §4).
    pub is_in_hand: bool,
    /// How it failed last, in brief ([`Cause::in_brief`]); `None`: it is not known, or of very many records
    /// this is one of which that is not kept ([`crate::limits::FAILURES_TOLD_MAX`]).
    pub cause: Option<Arc<Cause>>,
}

/// Totals of a unit since its start or last seek. Absolute, so that redo may repeat them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitTotals {
    /// Records that a filter let fall.
    pub filtered: u64,
    /// Records whose handling succeeded.
    pub processed: u64,
    /// Charged attempts.
    pub failed: u64,
    /// Records that ended as dead letters.
    pub dead_lettered: u64,
    /// Records that retention took unsettled.
    pub expired: u64,
    /// Rows published.
    pub emitted: u64,
    /// Records given up whose dead letters found no room, where the mapping asks for that
    /// (commit and storage rules §7, `on_failure_full`).
    pub dropped: u64,
}

impl UnitTotals {
    /// Records that ended, whatever the end.
    #[must_use]
    pub const fn settled(self) -> u64 {
        self.filtered + self.processed + self.dead_lettered + self.expired + self.dropped
    }

    /// What came to them since they were `before`; nothing where they began anew.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            filtered: self.filtered.saturating_sub(before.filtered),
            processed: self.processed.saturating_sub(before.processed),
            failed: self.failed.saturating_sub(before.failed),
            dead_lettered: self.dead_lettered.saturating_sub(before.dead_lettered),
            expired: self.expired.saturating_sub(before.expired),
            emitted: self.emitted.saturating_sub(before.emitted),
            dropped: self.dropped.saturating_sub(before.dropped),
        }
    }
}

impl Add for UnitTotals {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            filtered: self.filtered + more.filtered,
            processed: self.processed + more.processed,
            failed: self.failed + more.failed,
            dead_lettered: self.dead_lettered + more.dead_lettered,
            expired: self.expired + more.expired,
            emitted: self.emitted + more.emitted,
            dropped: self.dropped + more.dropped,
        }
    }
}

/// Why a record ended as a dead letter (command line and SDK §5, `error_kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The function said so.
    Skip,
    /// A `retry` or whole-call error out of attempts.
    Error,
    /// Traps and panics out of attempts.
    Trap,
    /// Timeouts out of attempts.
    Timeout,
    /// Memory limit, out of attempts.
    OutOfMemory,
    /// One record's rows alone pass the output limit.
    OutputTooLarge,
    /// Larger than a function may be given.
    RecordTooLarge,
    /// More hops than `HOPS_MAX`.
    Loop,
    /// The filter cannot judge it: its payload is not JSON.
    Unparsable,
    /// Older than the mapping allows, before an attempt.
    RecordTooOld,
    /// A `fatal`, where that does not stop the mapping.
    Fatal,
    /// The final call of a window, out of attempts, or a state that another version left and nobody can read:
    /// the letter holds the state.
    WindowFailed,
    /// A person gave it up.
    ByHand,
}

impl ErrorKind {
    /// All kinds, for zero-initialised metrics and codecs.
    pub const ALL: [Self; 13] = [
        Self::Skip,
        Self::Error,
        Self::Trap,
        Self::Timeout,
        Self::OutOfMemory,
        Self::OutputTooLarge,
        Self::RecordTooLarge,
        Self::Loop,
        Self::Unparsable,
        Self::RecordTooOld,
        Self::Fatal,
        Self::WindowFailed,
        Self::ByHand,
    ];

    /// The kebab-case value in JSON and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Error => "error",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out-of-memory",
            Self::OutputTooLarge => "output-too-large",
            Self::RecordTooLarge => "record-too-large",
            Self::Loop => "loop",
            Self::Unparsable => "unparsable",
            Self::RecordTooOld => "record-too-old",
            Self::Fatal => "fatal",
            Self::WindowFailed => "window-failed",
            Self::ByHand => "by-hand",
        }
    }

    /// The kind that is written so; `None`: there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether a letter of this kind holds the record with its payload, so that a function can be given it:
    /// of one that was too large the payload is not kept, and a lost window's letter holds a state.
    #[must_use]
    pub const fn holds_record(self) -> bool {
        !matches!(self, Self::RecordTooLarge | Self::WindowFailed)
    }

    /// Whether no call of the record made a letter of it: there is nothing that calling it again could show.
    #[must_use]
    pub const fn is_without_call(self) -> bool {
        match self {
            Self::RecordTooLarge
            | Self::Loop
            | Self::Unparsable
            | Self::RecordTooOld
            | Self::WindowFailed
            | Self::ByHand => true,
            Self::Skip
            | Self::Error
            | Self::Trap
            | Self::Timeout
            | Self::OutOfMemory
            | Self::OutputTooLarge
            | Self::Fatal => false,
        }
    }
}

/// A record that was given up, with everything needed to understand and redrive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Shard it was read from.
    pub shard: ShardNumber,
    /// Its position there.
    pub position: Ordinal,
    /// When it arrived there.
    pub arrival: Timestamp,
    /// Its sequence number, as the source spells it.
    pub sequence_number: Arc<str>,
    /// Its partition key.
    pub key: Bytes,
    /// Its 128-bit hash key.
    pub hash_key: u128,
    /// Its payload, whole; empty for `record-too-large`.
    pub data: Bytes,
    /// Why.
    pub kind: ErrorKind,
    /// The author's code, else the kind.
    pub code: Arc<str>,
    /// Words.
    pub error: Arc<str>,
    /// Charged attempts.
    pub attempts: u32,
    /// The version that gave up.
    pub version: FunctionVersion,
    /// When.
    pub failed_at: Timestamp,
    /// What the call took that it was given up after; `None`: there was none, or it is from before this was
    /// kept.
    pub cost: Option<CallCost>,
}

/// What a call took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCost {
    /// Wall time, us.
    pub duration_us: u64,
    /// Highest linear memory of the instance, bytes.
    pub memory_bytes: u64,
}

impl From<CallStats> for CallCost {
    fn from(stats: CallStats) -> Self {
        Self {
            duration_us: stats.duration_ns / 1_000,
            memory_bytes: stats.memory_bytes,
        }
    }
}

impl DeadLetter {
    /// Bytes of everything in it that may be long: what the dead-letter quota counts.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        let texts = self.sequence_number.len() + self.code.len() + self.error.len();
        (self.key.len() + self.data.len() + texts) as u64
    }
}

/// A dead letter that was given to the function again (commit and storage rules §7). Its record belongs to
/// no range of the unit: it settled when it was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redriven {
    /// The letter's id: where it was first stored.
    pub id: Ordinal,
    /// Where it is stored now: of two redrives of one letter the later one names a body that is closed.
    pub body: Ordinal,
    /// Its bytes there ([`DeadLetter::byte_len`]).
    pub bytes: u64,
}

/// Rows for one output stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputRecords {
    /// The stream **by name**: resolved in log order, so that a recreated stream means the new one.
    pub stream: StreamName,
    /// The rows, with origin and hops.
    pub records: NewRecords,
}

/// The one act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Whose progress.
    pub unit: UnitId,
    /// By which owner.
    pub epoch: LeaseEpoch,
    /// By which slot of the owner.
    pub slot: SlotId,
    /// Dense per (epoch, slot), from 1.
    pub number: u64,
    /// What is done.
    pub settles: SettledRanges,
    /// What was charged and is not done.
    pub attempts: Vec<AttemptMark>,
    /// The unit's totals after this.
    pub totals: UnitTotals,
    /// What was given up.
    pub dead_letters: Vec<DeadLetter>,
    /// What is published.
    pub outputs: Vec<OutputRecords>,
    /// Which version did it.
    pub function_version: FunctionVersion,
    /// The letter that was redriven. It is resolved; or, with the one dead letter that such a commit may
    /// have, it failed again and is stored anew under its id.
    pub redriven: Option<Redriven>,
    /// What becomes of a group's window (commit and storage rules §8).
    pub window: Option<WindowChange>,
    /// The circuits that are open now, where that is not what the unit's last commit said of them.
    pub outages: Option<Outages>,
}

impl Commit {
    /// Whether it says no more than that calls failed: records are charged, none settles, nothing is published.
    /// Nobody waits for such a commit to be durable, and a crash before it is costs no more than attempts made
    /// again (commit and storage rules §3). A mark in front of a call is waited for.
    #[must_use]
    pub fn only_charges(&self) -> bool {
        let is_charge = |mark: &AttemptMark| !mark.is_in_hand;
        !self.attempts.is_empty()
            && self.attempts.iter().all(is_charge)
            && self.settles.is_empty()
            && self.dead_letters.is_empty()
            && self.outputs.is_empty()
            && self.redriven.is_none()
            && self.window.is_none()
            && self.outages.is_none()
    }
}

/// Why a commit cannot be taken now; the same commit is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// An output stream does not exist.
    NoSuchOutput(StreamName),
    /// No room above the reserve.
    DiskFull,
    /// The dead-letter stream is at its quota.
    DeadLettersFull,
    /// An output stream is at its quota.
    OutputFull(StreamName),
}

impl Unavailable {
    /// The output stream that it is about.
    #[must_use]
    pub fn output(&self) -> Option<&str> {
        match self {
            Self::NoSuchOutput(name) | Self::OutputFull(name) => Some(name.as_str()),
            Self::DiskFull | Self::DeadLettersFull => None,
        }
    }
}

/// What the sequencer says, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitAnswer {
    /// Taken at this LSN; durable later, in order.
    Accepted(Lsn),
    /// Another owner, or none: stop.
    Fenced,
    /// It redrives a letter that is not open any more: never written, the number not consumed, the
    /// attempt dropped.
    Refused {
        /// The letter.
        closed: Ordinal,
    },
    /// Not now; the number is not consumed.
    Unavailable(Unavailable),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{MappingId, StreamId},
        settled::SettledRange,
    };

    #[test]
    fn a_commit_that_only_charges_says_that_calls_failed_and_nothing_else() {
        let mark = AttemptMark {
            position: Ordinal(1),
            count: 1,
            version: FunctionVersion(1),
            next_retry: Timestamp(1),
            is_in_hand: false,
            cause: None,
        };
        let nothing = Commit {
            unit: UnitId {
                mapping: MappingId(1),
                stream: StreamId(1),
                shard: ShardNumber(0),
            },
            epoch: LeaseEpoch(1),
            slot: SlotId::Retry,
            number: 1,
            settles: SettledRanges::new(),
            attempts: Vec::new(),
            totals: UnitTotals::default(),
            dead_letters: Vec::new(),
            outputs: Vec::new(),
            function_version: FunctionVersion(1),
            redriven: None,
            window: None,
            outages: None,
        };
        let charge = Commit {
            attempts: vec![mark.clone()],
            ..nothing.clone()
        };
        assert!(charge.only_charges());
        let range = SettledRange {
            after: Ordinal(1),
            through: Ordinal(2),
        };
        let in_hand = AttemptMark {
            position: Ordinal(2),
            is_in_hand: true,
            ..mark
        };
        let others = [
            nothing,
            Commit {
                settles: SettledRanges::from_iter([range]),
                ..charge.clone()
            },
            Commit {
                attempts: vec![charge.attempts[0].clone(), in_hand],
                ..charge.clone()
            },
            Commit {
                outages: Some(Outages::default()),
                ..charge.clone()
            },
            Commit {
                redriven: Some(Redriven {
                    id: Ordinal(1),
                    body: Ordinal(1),
                    bytes: 1,
                }),
                ..charge
            },
        ];
        for other in others {
            assert!(!other.only_charges(), "{other:?}");
        }
    }

    #[test]
    fn kinds_are_known_by_their_names_and_by_what_their_letters_hold() {
        let without_record = ErrorKind::ALL
            .into_iter()
            .filter(|kind| !kind.holds_record());
        let names: Vec<&str> = without_record.map(ErrorKind::as_str).collect();
        assert_eq!(names, ["record-too-large", "window-failed"]);
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_name(kind.as_str()), Some(kind));
            // What has no record was given up without a call of one.
            assert!(kind.holds_record() || kind.is_without_call(), "{kind:?}");
        }
        assert_eq!(ErrorKind::from_name("later"), None);
    }
}

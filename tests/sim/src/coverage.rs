//! What a run reached: a simulation that stops exploring is worse than none.

use std::collections::BTreeMap;

use crate::versions::Switch;

macro_rules! reached {
    ($(#[$of:meta])* $kind:ident: $($(#[$doc:meta])* $name:ident,)*) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind { $($(#[$doc])* $name,)* }

        impl $kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

pub(crate) use reached;

reached! {
    /// Something that a schedule can reach.
    Reached:
    /// Every record of a call succeeded.
    OutcomeOk,
    /// Some record failed.
    OutcomePartial,
    /// A whole-call `retry`.
    OutcomeError,
    /// A whole-call `skip`.
    OutcomeSkip,
    /// `fatal`.
    OutcomeFatal,
    /// A panic that named its record.
    OutcomePanic,
    /// A trap that named nobody.
    OutcomeTrap,
    /// A timeout.
    OutcomeTimeout,
    /// Out of memory.
    OutcomeOutOfMemory,
    /// Output too large, of more than one record.
    OutcomeHalved,
    /// Output too large, of one record.
    OutcomeTooLargeAlone,
    /// Pieces of a batch that failed as a whole, of several keys, in the retry slot.
    SuspectCalled,
    /// Charged records of several keys in one call of the retry slot.
    RetriesTogether,
    /// Such a call failed as a whole: they are called one by one.
    RetriesParted,
    /// What follows a record in its key went along with its last attempt.
    RetryTookAlong,
    /// Progress within a shard gave what is left a budget of its own.
    BudgetAnew,
    /// Order within the shard held a call back.
    ShardHeld,
    /// A call that never started.
    OutcomeInterrupted,
    /// A host at fault.
    HostFault,
    /// Rows of no record, dropped for a retry.
    WholeCallRowsDropped,
    /// Rows of no record, published.
    WholeCallRowsKept,
    /// A letter of a `skip`.
    LetterSkip,
    /// A letter of a `retry` or error out of attempts.
    LetterError,
    /// A letter of a trap.
    LetterTrap,
    /// A letter of a timeout.
    LetterTimeout,
    /// A letter of a memory limit.
    LetterOutOfMemory,
    /// A letter of one record's rows.
    LetterOutputTooLarge,
    /// A letter of a record that no call may be given.
    LetterRecordTooLarge,
    /// A letter of too many hops.
    LetterLoop,
    /// A letter of a `fatal`.
    LetterFatal,
    /// A record given up and not kept.
    LetterDropped,
    /// The dead letters were full.
    RefusedLettersFull,
    /// A letter of a record that the filter could not judge.
    LetterUnparsable,
    /// A letter of a record that a person gave up.
    LetterByHand,
    /// Records that the filter let fall rode on a commit of others.
    FilteredRode,
    /// Records that the filter let fall had a commit of their own.
    FilteredAlone,
    /// A letter of a record that grew too old.
    LetterRecordTooOld,
    /// The answer of a call that was taken back came late.
    LateAnswer,
    /// The disk was full.
    RefusedDiskFull,
    /// An output did not exist.
    RefusedNoOutput,
    /// A refused commit was sent again and accepted.
    ResentAccepted,
    /// A refused commit was dropped.
    CommitDropped,
    /// A former owner was fenced.
    Fenced,
    /// A crash kept an unsynced frame.
    CrashKeptFrame,
    /// A crash lost unsynced entries.
    CrashLostEntries,
    /// A crash met a commit that was not accepted.
    CrashUnacceptedCommit,
    /// A crash met a key that was parked.
    CrashParkedKey,
    /// An owner started over a done-set with gaps.
    StartedOverGaps,
    /// An owner started with marks.
    StartedWithMarks,
    /// An owner started with another factor, with marks and gaps.
    FactorChanged,
    /// An owner started with another version, with marks of the last one.
    VersionChanged,
    /// The mapping was made anew.
    MappingRemade,
    /// A drain ended with calls taken back.
    DrainInterrupted,
    /// A pause took calls back.
    PauseInterrupted,
    /// A read failed.
    FetchFailed,
    /// Of a block only its parked records were kept.
    BlockCut,
    /// Parked payload was read again.
    Reread,
    /// Reading parked payload again failed.
    RereadFailed,
    /// A lane and the retry slot ran at once.
    LaneBesideRetry,
    /// Two lanes ran at once.
    TwoLanes,
    /// A slot had two commits accepted and unsynced.
    TwoUnsynced,
    /// A marks-only commit.
    MarksOnly,
    /// The clock went back.
    ClockBack,
    /// A circuit was open.
    CircuitOpen,
    /// A circuit recovered.
    CircuitRecovering,
    /// An owner heard how the keys of the mapping's other shards are.
    MappingSick,
    /// The circuit of a canary was open.
    CanaryCircuitOpen,
    /// An owner began with a circuit that the last one left open.
    OutageInherited,
    /// A parked key was released to its lane.
    KeyReleased,
    /// An owner was careful from its start.
    Caution,
    /// Caution ended while an owner worked.
    CautionEnded,
    /// An owner started with a record that the last process died with.
    DiedInHand,
    /// A record that processes died with was given up.
    LetterProcessDied,
    /// A mark was taken back.
    MarkTakenBack,
    /// The wall clock went on by hours.
    ClockForward,
    /// An owner started with another filter, or rule for what it cannot judge.
    FilterChanged,
    /// An owner started with order within another scope.
    OrderingChanged,
    /// A redriven letter is resolved.
    RedriveResolved,
    /// A redriven letter failed again.
    RedriveFailedAgain,
    /// A letter was not open any more when its redrive ended.
    RedriveClosed,
    /// A redrive was called off before its letter had its turn.
    RedriveWithdrawn,
    /// A redrive was called off when its letter had its turn.
    RedriveTooLateToWithdraw,
    /// A letter was redriven with another version.
    RedriveOtherVersion,
    /// A letter was redriven twice at once.
    RedriveTwice,
    /// A letter was redriven while a lane called other keys.
    RedriveBesideLane,
    /// An owner went with letters that it had been given.
    RedriveLost,
    /// A letter was purged while it was redriven.
    PurgedUnderRedrive,
    /// Letters were purged.
    Purged,
    /// Letters of a mapping that was deleted were purged.
    PurgedOfDeleted,
    /// A seek to the oldest record.
    SeekTrimHorizon,
    /// A seek to the end.
    SeekLatest,
    /// A seek to a sequence number.
    SeekSequence,
    /// A seek to a time.
    SeekTime,
    /// A seek that went back over records that were done.
    SeekBack,
    /// A seek that skipped records that were not.
    SeekSkipped,
    /// A seek while a call was under way.
    SeekOverCall,
    /// A seek while a commit waited for the sequencer.
    SeekOverCommit,
    /// A seek while a key was parked.
    SeekOverParkedKey,
    /// A seek while a letter was redriven.
    SeekOverRedrive,
    /// A letter was brought to its destination.
    RelayBrought,
    /// A destination refused a letter.
    RelayRefused,
    /// A letter was brought again.
    RelayAgain,
    /// A letter was closed before its turn to be brought came.
    RelayPassedOver,
    /// A destination was named, or taken away, while letters waited for it.
    RelayChanged,
    /// A canary began.
    CanaryBegun,
    /// A canary has another weight.
    CanaryChanged,
    /// A canary was given the weight that it had.
    CanaryKept,
    /// A canary became live.
    CanaryPromoted,
    /// A canary was taken back by a person.
    CanaryDropped,
    /// A canary was taken back for a `fatal`.
    CanaryRolledBack,
    /// Nothing but the canary was called.
    CanaryCalled,
    /// Both versions were called at once.
    CanaryBesideLive,
    /// What a version was charged is forgotten for good, another one having been called.
    ChargeForgotten,
}

impl Reached {
    /// What a switch of a canary is.
    #[must_use]
    pub const fn of_switch(switch: Switch) -> Self {
        match switch {
            Switch::Begun => Self::CanaryBegun,
            Switch::Changed => Self::CanaryChanged,
            Switch::Kept => Self::CanaryKept,
            Switch::Promoted => Self::CanaryPromoted,
            Switch::Dropped => Self::CanaryDropped,
        }
    }
}

/// How often each was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage<R: Ord = Reached>(BTreeMap<R, u64>);

impl<R: Ord> Default for Coverage<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: Ord + Copy> Coverage<R> {
    /// It was reached once more.
    pub fn note(&mut self, reached: R) {
        self.note_times(reached, 1);
    }

    /// It was reached so many times more.
    pub fn note_times(&mut self, reached: R, times: u64) {
        if times > 0 {
            *self.0.entry(reached).or_default() += times;
        }
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (&reached, count) in &other.0 {
            *self.0.entry(reached).or_default() += count;
        }
    }

    /// How often `reached` was.
    #[must_use]
    pub fn count(&self, reached: R) -> u64 {
        self.0.get(&reached).copied().unwrap_or(0)
    }
}

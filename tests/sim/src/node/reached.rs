//! What a run can reach: each kind of fault, each branch of a recovery.

use fnctl_store::disk::simulated::Counts;

use crate::coverage::reached;

reached! {
    /// Something that a run can reach.
    Branch:
    /// The power went.
    PowerLoss,
    /// The power went and with it everything that was not synced.
    AllUnsyncedLost,
    /// The process was killed and the machine stayed up.
    Killed,
    /// The store was shut down in order.
    ShutDown,
    /// A planned fault struck while a directory was opened.
    DownWhileOpening,
    /// A failed operation made a start fail.
    StartFailed,
    /// The sequencer stopped the node.
    SequencerFailed,
    /// The applier stopped the node.
    ApplierFailed,
    /// An unsynced page was lost.
    PageLost,
    /// An unsynced page was kept.
    PageKept,
    /// A part of an unsynced page was kept.
    PageTorn,
    /// A page reached the disk before those in front of it.
    PageWrittenBack,
    /// A page that looked clean after its sync failed was lost.
    GhostLost,
    /// An unsynced name was lost.
    NameLost,
    /// An unsynced name was kept.
    NameKept,
    /// A sync failed.
    SyncFailed,
    /// A write failed.
    WriteFailed,
    /// A read failed.
    ReadFailed,
    /// A change of names failed.
    NameFailed,
    /// A batch for the image failed.
    ImageFailed,
    /// A write found no room.
    NoRoom,
    /// A put was refused because the disk was full.
    PutRefusedFull,
    /// A commit was refused because the disk was full.
    CommitRefusedFull,
    /// A commit of a former owner was fenced.
    CommitFenced,
    /// A commit was sent again.
    CommitResent,
    /// Reads were served while the disk was full.
    ReadWhileFull,
    /// A start met a full disk and served reads alone.
    StartedReadOnlyFull,
    /// A start gave the ballast up.
    BallastGivenUp,
    /// A start cut a torn tail off.
    TornTailCut,
    /// A start found no image that it could use.
    ImageUnusable,
    /// A start found an image that does not meet the journal.
    ImageUnmet,
    /// A start began from a snapshot or an empty state for want of an image.
    StartedWithoutImage,
    /// A start cut segments back or removed those that were begun later.
    SegmentsCutBack,
    /// A start found a whole journal, ended in order.
    StartedFromWhole,
    /// A start wrote the last frame again.
    LastFrameRewritten,
    /// Journal files were removed.
    JournalRemoved,
    /// A snapshot was written.
    SnapshotWritten,
    /// A cut was made.
    Cut,
    /// A stream was deleted.
    StreamDeleted,
    /// Shards were split or merged.
    Resharded,
    /// A window had its last call.
    WindowEnded,
    /// The last call of a window failed.
    FinalCallFailed,
    /// An old copy of the image was put back.
    OldImage,
    /// The image was removed.
    ImageRemoved,
    /// The image was damaged.
    ImageDamaged,
    /// The wall clock jumped forward.
    ClockForward,
    /// The wall clock jumped back.
    ClockBack,
    /// The store distrusted a leap of the wall clock.
    LeapDistrusted,
    /// Retention took records.
    Trimmed,
    /// Records were expired under a mapping.
    Expired,
    /// A put that nobody answered was there after a crash.
    UnansweredKept,
    /// An owner was told that its unit has another one.
    OwnerFenced,
    /// A person gave records up.
    GivenUpByHand,
    /// A redriven letter is resolved.
    RedriveResolved,
    /// A redriven letter failed again.
    RedriveFailedAgain,
    /// A letter was not open any more when its redrive ended.
    RedriveClosed,
    /// A letter was redriven with another version.
    RedriveOtherVersion,
    /// A letter was redriven by the owner of another shard than its record's.
    RedriveElsewhere,
    /// A letter was redriven into a window.
    RedriveInWindow,
    /// An owner went with letters that it had been given.
    RedriveLost,
    /// Letters were purged.
    Purged,
    /// A letter was purged while it was redriven.
    PurgedUnderRedrive,
    /// A seek that went back over records that were done.
    SeekBack,
    /// A seek that skipped records that were not.
    SeekSkipped,
    /// A seek while a call was under way.
    SeekOverCall,
    /// A seek while a commit was on its way.
    SeekOverCommit,
    /// A seek while a key was parked.
    SeekOverParkedKey,
    /// A seek while a letter was redriven.
    SeekOverRedrive,
    /// A seek of a shard with children.
    SeekOfParent,
    /// A seek while windows were open.
    SeekOverWindow,
    /// A canary began.
    CanaryBegun,
    /// A canary became live.
    CanaryPromoted,
    /// A canary was taken back by a person.
    CanaryDropped,
    /// A canary was taken back for a `fatal`.
    CanaryRolledBack,
    /// Both versions were called at once.
    CanaryBesideLive,
    /// What the function needs went down.
    Outage,
    /// A circuit was open.
    CircuitOpen,
    /// A circuit recovered.
    CircuitRecovering,
    /// Damage was done.
    Damaged,
    /// Damage made a start fail with words.
    DamageRefused,
    /// Damage made a store serve reads alone.
    DamageReadOnly,
    /// Damage made a read fail with words.
    DamageNamed,
    /// Damage that hurt nothing that was needed.
    DamageHarmless,
}

impl Branch {
    /// What the disk counted.
    pub(super) fn of_counts(counts: &Counts) -> [(Self, u64); 13] {
        [
            (Self::PageLost, counts.lost_pages),
            (Self::PageKept, counts.kept_pages),
            (Self::PageTorn, counts.torn_pages),
            (Self::PageWrittenBack, counts.written_back),
            (Self::GhostLost, counts.lost_ghosts),
            (Self::NameLost, counts.lost_names),
            (Self::NameKept, counts.kept_names),
            (Self::SyncFailed, counts.failed_syncs),
            (Self::WriteFailed, counts.failed_writes),
            (Self::ReadFailed, counts.failed_reads),
            (Self::NameFailed, counts.failed_names),
            (Self::ImageFailed, counts.failed_images),
            (Self::NoRoom, counts.full_writes),
        ]
    }

    /// The branch that the node's log speaks of.
    pub(super) fn of_words(words: &str) -> Option<Self> {
        let branches = [
            ("the last frame was torn", Self::TornTailCut),
            ("the image cannot be used", Self::ImageUnusable),
            ("the image does not meet", Self::ImageUnmet),
            ("the disk is full, the ballast", Self::BallastGivenUp),
            ("the wall clock leapt", Self::LeapDistrusted),
        ];
        // Who met a damage stands in front of what it is.
        let found = branches.iter().find(|(part, _)| words.contains(part));
        found.map(|&(_, branch)| branch)
    }
}

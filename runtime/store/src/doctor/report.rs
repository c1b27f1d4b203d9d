//! What an examination comes to.

use std::path::{Path, PathBuf};

use fnctl_core::id::{Lsn, Ordinal, ShardNumber, StreamId};

use crate::limits::DOCTOR_FINDINGS_MAX;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is missing and nothing needs mending.
    Note,
    /// A start mends it, and nothing that was acknowledged is missing.
    Repairable,
    /// Something that was stored cannot be read.
    Damaged,
}

/// How a data directory is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Everything is there and readable.
    Whole,
    /// A start mends what there is to mend.
    Repairable,
    /// Something that was stored cannot be read.
    Damaged,
}

impl Health {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Repairable => "repairable",
            Self::Damaged => "damaged",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $severity:ident;)*) => {
        /// What was found; decides how bad it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum FindingKind {
            $($(#[$doc])* $name,)*
        }

        impl FindingKind {
            /// The stable word in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

kinds! {
    /// A name nobody knows.
    Unknown = "unknown-file", Note;
    /// A component that no version names and that is not what its name says.
    UnusedArtifact = "unused-artifact", Note;
    /// The server did not end in order; the journal is redone.
    UncleanStop = "unclean-stop", Repairable;
    /// The last frame was torn by a crash.
    TornTail = "torn-tail", Repairable;
    /// A part of the journal is damaged that nothing needs any more.
    OldJournal = "old-journal-damaged", Repairable;
    /// A snapshot is damaged; image and journal stand in for it.
    Snapshot = "snapshot-damaged", Repairable;
    /// There is no image; snapshot and journal stand in for it.
    ImageMissing = "image-missing", Repairable;
    /// The image cannot be read, or is of another time; snapshot and journal stand in for it.
    Image = "image-unusable", Repairable;
    /// A temporary file, or what is left of something deleted.
    Leftover = "leftover", Repairable;
    /// Image and journal alone hold what there is: a part of the journal is gone that a lost image would
    /// need.
    NoStandIn = "journal-short", Repairable;
    /// Nothing proves which journal file was the newest.
    Witness = "witness-unusable", Repairable;
    /// The server's secret is missing or has not its length.
    Secret = "secret-unusable", Repairable;
    /// A file that a start makes.
    MissingFile = "missing-file", Repairable;
    /// Entries of the journal that are needed cannot be read.
    Journal = "journal-damaged", Damaged;
    /// A frame of a segment cannot be read.
    Segment = "segment-damaged", Damaged;
    /// A segment is shorter than recorded, or not there.
    SegmentMissing = "segment-missing", Damaged;
    /// Records are in no file.
    RecordsMissing = "records-missing", Damaged;
    /// A component that a version names is damaged or missing.
    Artifact = "artifact-damaged", Damaged;
    /// A start refuses the directory, or serves reads alone.
    CannotOpen = "cannot-open", Damaged;
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Where.
    pub file: PathBuf,
    /// Where in the file.
    pub offset: Option<u64>,
    /// Of which shard.
    pub shard: Option<(StreamId, ShardNumber)>,
    /// The stream's name, where it has one.
    pub stream_name: Option<String>,
    /// First and last record concerned.
    pub records: Option<(Ordinal, Ordinal)>,
    /// First entry concerned, and the last where that is known.
    pub entries: Option<(Lsn, Option<Lsn>)>,
    /// What, in words.
    pub message: String,
    /// What to do.
    pub fix: Option<String>,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, file: &Path, message: impl Into<String>) -> Self {
        Self {
            kind,
            file: file.to_owned(),
            offset: None,
            shard: None,
            stream_name: None,
            records: None,
            entries: None,
            message: message.into(),
            fix: None,
        }
    }

    pub(super) const fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Those from `first` on, up to before `next`.
    pub(super) fn entries(mut self, first: Lsn, next: Lsn) -> Self {
        let last = (next.0 != u64::MAX).then(|| Lsn(next.0.saturating_sub(1)));
        self.entries = Some((first, last));
        self
    }
}

/// How many there are of something, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// Their bytes that count.
    pub bytes: u64,
}

impl Found {
    pub(super) const fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// The result of an examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Files of the journal.
    pub journal: Found,
    /// Snapshots.
    pub snapshots: Found,
    /// Segments that count.
    pub segments: Found,
    /// Components.
    pub artifacts: Found,
    /// Streams, those of dead letters included.
    pub streams: u64,
    /// Records in whole frames of segments.
    pub records: u64,
    /// LSN after the last entry that can be read.
    pub next: Option<Lsn>,
    /// LSN that image or snapshot reach to: what is below is not needed of the journal.
    pub cut: Option<Lsn>,
    /// Why a start would serve reads alone, if it would.
    pub read_only: Option<String>,
    /// What is not as it should be, the worst first.
    pub findings: Vec<Finding>,
    /// Findings beyond the bound, counted alone.
    pub findings_omitted: u64,
    worst: Severity,
}

impl Report {
    pub(super) fn new(data: &Path) -> Self {
        Self {
            data_dir: data.to_owned(),
            journal: Found::default(),
            snapshots: Found::default(),
            segments: Found::default(),
            artifacts: Found::default(),
            streams: 0,
            records: 0,
            next: None,
            cut: None,
            read_only: None,
            findings: Vec::new(),
            findings_omitted: 0,
            worst: Severity::Note,
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.worst = self.worst.max(finding.kind.severity());
        if self.findings.len() < DOCTOR_FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_omitted += 1;
        }
    }

    pub(super) const fn worst(&self) -> Severity {
        self.worst
    }

    /// The worst first.
    pub(super) fn finish(mut self) -> Self {
        self.findings
            .sort_by_key(|finding| std::cmp::Reverse(finding.kind.severity()));
        self
    }

    /// How the directory is as a whole.
    #[must_use]
    pub const fn health(&self) -> Health {
        match self.worst {
            Severity::Note => Health::Whole,
            Severity::Repairable => Health::Repairable,
            Severity::Damaged => Health::Damaged,
        }
    }
}

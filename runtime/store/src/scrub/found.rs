//! Damaged places: what is known of each, and which are new.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use fnctl_core::id::{Lsn, Ordinal, ShardNumber, StreamId};

use crate::limits::SCRUB_FINDINGS_MAX;

/// What kind of file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScrubKind {
    /// A part of a shard's log.
    Segment,
    /// A part of the journal.
    Journal,
    /// A copy of the view.
    Snapshot,
    /// A component.
    Artifact,
}

impl ScrubKind {
    /// All of them, as they are counted.
    pub const ALL: [Self; 4] = [Self::Segment, Self::Journal, Self::Snapshot, Self::Artifact];

    /// The word that metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Journal => "journal",
            Self::Snapshot => "snapshot",
            Self::Artifact => "artifact",
        }
    }
}

/// A damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubFinding {
    /// What kind of file.
    pub kind: ScrubKind,
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// The shard whose log it is.
    pub shard: Option<(StreamId, ShardNumber)>,
    /// First and last record that cannot be read; `None`: bytes that hold none.
    pub records: Option<(Ordinal, Ordinal)>,
    /// First journal entry that cannot be read, and the last where that is known.
    pub entries: Option<(Lsn, Option<Lsn>)>,
    /// What is wrong.
    pub words: String,
}

impl fmt::Display for ScrubFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}: ", self.file.display(), self.offset)?;
        f.write_str(&self.words)?;
        if let Some((stream, shard)) = self.shard {
            write!(f, ", stream {stream}, shard {shard}")?;
        }
        if let Some((first, last)) = self.records {
            write!(f, ", records {first} to {last}")?;
        }
        match self.entries {
            Some((first, Some(last))) => write!(f, ", entries {first} to {last}"),
            Some((first, None)) => write!(f, ", entries from {first} on"),
            None => Ok(()),
        }
    }
}

type Place = (PathBuf, u64);

/// Every damaged place that is known.
#[derive(Debug, Default)]
pub(super) struct Findings {
    known: BTreeMap<Place, ScrubFinding>,
    /// Found in the pass under way.
    seen: BTreeSet<Place>,
    counted: [u64; ScrubKind::ALL.len()],
}

impl Findings {
    /// Takes a finding over; answers whether it is new. Beyond the bound places are counted as new each
    /// time, and not kept.
    pub(super) fn add(&mut self, finding: ScrubFinding) -> bool {
        let place = (finding.file.clone(), finding.offset);
        let is_new = !self.known.contains_key(&place);
        if is_new {
            self.counted[finding.kind as usize] += 1;
        }
        if !is_new || self.known.len() < SCRUB_FINDINGS_MAX {
            self.seen.insert(place.clone());
            self.known.insert(place, finding);
        }
        is_new
    }

    /// A pass is over: what it did not find is not there any more.
    pub(super) fn end_pass(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        self.known.retain(|place, _| seen.contains(place));
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) const fn counted(&self) -> [u64; ScrubKind::ALL.len()] {
        self.counted
    }

    pub(super) fn of(&self, stream: StreamId) -> Vec<ScrubFinding> {
        let is_its = |finding: &&ScrubFinding| finding.shard.is_some_and(|(of, _)| of == stream);
        self.known.values().filter(is_its).cloned().collect()
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<ScrubFinding> {
        self.known.values().cloned().collect()
    }
}

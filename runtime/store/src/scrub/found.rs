//! Damaged places: what is known of each, and which are new.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use fnctl_core::id::{Lsn, Ordinal, ShardNumber, StreamId};

use crate::{block::ShardKey, limits::SCRUB_FINDINGS_MAX};

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
    /// The image: a cache of snapshot and journal.
    Image,
}

impl ScrubKind {
    /// All of them, as they are counted.
    pub const ALL: [Self; 5] = [
        Self::Segment,
        Self::Journal,
        Self::Snapshot,
        Self::Artifact,
        Self::Image,
    ];

    /// The word that metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Journal => "journal",
            Self::Snapshot => "snapshot",
            Self::Artifact => "artifact",
            Self::Image => "image",
        }
    }

    /// Whether a new image and snapshot make up for it.
    pub(crate) const fn is_made_anew(self) -> bool {
        matches!(self, Self::Journal | Self::Snapshot | Self::Image)
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

impl ScrubFinding {
    /// What is wrong and what it costs, without the place: a log line has fields for that.
    pub(crate) fn loss(&self) -> String {
        let mut words = self.words.clone();
        if let Some((first, last)) = self.records {
            words.push_str(&format!(", records {first} to {last}"));
        }
        match self.entries {
            Some((first, Some(last))) => words.push_str(&format!(", entries {first} to {last}")),
            Some((first, None)) => words.push_str(&format!(", entries from {first} on")),
            None => {}
        }
        words
    }
}

impl fmt::Display for ScrubFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}: ", self.file.display(), self.offset)?;
        f.write_str(&self.loss())?;
        if let Some((stream, shard)) = self.shard {
            write!(f, ", stream {stream}, shard {shard}")?;
        }
        Ok(())
    }
}

pub(super) type Place = (PathBuf, u64);

/// Every damaged place that is known.
#[derive(Debug, Default)]
pub(super) struct Findings {
    known: BTreeMap<Place, ScrubFinding>,
    /// Found since the pass under way began, by whoever.
    seen: BTreeSet<Place>,
    /// What a start alone can tell, such as a gap between two segments: no pass finds it again.
    standing: Vec<Place>,
    /// Places of which readers had the file looked at.
    looked: BTreeSet<Place>,
    counted: [u64; ScrubKind::ALL.len()],
}

impl Findings {
    /// Takes a finding over; answers whether it is new. Beyond the bound places are counted as new each
    /// time, and not kept.
    pub(super) fn add(&mut self, finding: ScrubFinding) -> bool {
        let place = (finding.file.clone(), finding.offset);
        if let Some(known) = self.same_as(&place, &finding) {
            self.seen.insert(known.clone());
            if known == place {
                self.known.insert(place, finding);
            }
            return false;
        }
        self.counted[finding.kind as usize] += 1;
        if self.known.len() < SCRUB_FINDINGS_MAX {
            self.seen.insert(place.clone());
            self.known.insert(place, finding);
        }
        true
    }

    /// Where a finding is known already. Entries that are missing between two journal files are told of
    /// either file.
    fn same_as(&self, place: &Place, finding: &ScrubFinding) -> Option<Place> {
        if self.known.contains_key(place) {
            return Some(place.clone());
        }
        let (first, _) = finding.entries?;
        let is_same = |known: &&Place| {
            let entries = self.known[*known].entries;
            entries.is_some_and(|(known, _)| known == first)
        };
        self.known.keys().find(is_same).cloned()
    }

    /// Takes over what no pass will find again.
    pub(super) fn stand(&mut self, places: Vec<Place>) {
        self.standing = places;
    }

    /// Whether a reader that failed here is to have the file looked at: once.
    pub(super) fn is_to_look_at(&mut self, file: &Path, offset: u64) -> bool {
        let place = (file.to_owned(), offset);
        !self.known.contains_key(&place)
            && self.looked.len() < SCRUB_FINDINGS_MAX
            && self.looked.insert(place)
    }

    /// Whether all of these records are known to be lost.
    pub(super) fn holds(&self, key: ShardKey, first: Ordinal, next: Ordinal) -> bool {
        self.known.values().any(|finding| {
            let records = finding.records.filter(|_| finding.shard == Some(key));
            records.is_some_and(|(from, to)| from <= first && next <= to.next())
        })
    }

    /// A file is whole again: what was known of it is so no more.
    pub(super) fn is_whole(&mut self, file: &Path) {
        self.known.retain(|(known, _), _| known != file);
    }

    /// A pass begins: what was found before it is to be found again.
    pub(super) fn begin_pass(&mut self) {
        self.seen.clear();
    }

    /// A pass is over: what it did not find is not there any more.
    /// Of what only a start can tell the places stay while `is_there` says so.
    pub(super) fn end_pass(&mut self, is_there: impl Fn(&ScrubFinding) -> bool) {
        let seen = std::mem::take(&mut self.seen);
        let known = &self.known;
        self.standing
            .retain(|place| known.get(place).is_some_and(&is_there));
        let standing = &self.standing;
        self.known
            .retain(|place, _| seen.contains(place) || standing.contains(place));
        self.looked.clear();
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

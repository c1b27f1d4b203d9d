//! What is known to be damaged, whoever met it: the scrub, a start, or a reader. One place, so that each
//! damaged place is named, counted and told once.

use std::{io::ErrorKind, path::Path, sync::atomic::Ordering};

use fnctl_core::id::{Ordinal, StreamId};

use super::{ScrubFinding, ScrubKind};
use crate::{
    artifact,
    block::ShardKey,
    limits::SCRUB_READ_BYTES,
    segment::{
        self, ReadError, SegmentMeta,
        check::{BadRun, check},
        walk::Walk,
    },
    shared::Shared,
};

/// Told to stop.
#[derive(Debug)]
pub(super) struct Stopped;

/// Who met damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetBy {
    /// A pass over everything at rest.
    Scrub,
    /// A start.
    Start,
    /// Whoever asked for what is damaged.
    Reader,
}

impl MetBy {
    const fn words(self) -> &'static str {
        match self {
            Self::Scrub => "the scrub found damage",
            Self::Start => "the start found damage",
            Self::Reader => "a reader met damage",
        }
    }
}

/// What a start met.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// What is known in full.
    pub(crate) findings: Vec<ScrubFinding>,
    /// Segments that are shorter than recorded, or gone.
    pub(crate) segments: Vec<(ShardKey, SegmentMeta)>,
}

impl Shared {
    /// Takes a finding over: named in the log, counted if it is new. Image and snapshot are made anew where
    /// they stand in for what is damaged, or are it.
    pub(crate) fn found(&self, finding: ScrubFinding, by: MetBy) {
        let kind = finding.kind;
        let is_new = self.scrub.findings().add(finding.clone());
        // A pass says again what is still there; readers come as often as they like.
        if is_new || by == MetBy::Scrub {
            let of = finding.shard;
            let stream = of.map(|(stream, _)| self.stream_name(stream));
            let shard = of.map(|(_, shard)| shard.shard_id());
            tracing::error!(
                kind = kind.as_str(),
                is_new,
                path = %finding.file.display(),
                offset = finding.offset,
                stream,
                shard,
                "{}: {}",
                by.words(),
                finding.loss()
            );
        }
        if is_new && kind.is_made_anew() && !self.is_read_only() {
            if kind == ScrubKind::Image && by == MetBy::Scrub {
                self.scrub.is_image_damaged.store(true, Ordering::Relaxed);
            }
            self.scrub.wants_snapshot.store(true, Ordering::Relaxed);
            self.applier_work.notify_one();
        }
    }

    /// A read of a shard's segments failed: what is damaged there is looked up and taken over at once, as a
    /// pass would find it. Costs a read of that segment, once for each place.
    pub(crate) fn met(&self, key: ShardKey, error: &ReadError) {
        let (file, offset) = match error {
            ReadError::Damaged { file, offset, .. } => (file, *offset),
            ReadError::Io { file, .. } => (file, 0),
            ReadError::NoSuchShard | ReadError::Trimmed { .. } => return,
        };
        // Readers meet a long hole in many places.
        let floor = self.floor(key);
        let is_known = matches!(error, &ReadError::Damaged { first, next, .. }
            if self.scrub.findings().holds(key, first.max(floor), next));
        if is_known || !self.scrub.findings().is_to_look_at(file, offset) {
            return;
        }
        let mut is_found = false;
        let base = file.file_name().and_then(|name| name.to_str());
        let base = base.and_then(segment::parse_file_name);
        let metas = self.segments.of(key);
        if let Some(meta) = metas.iter().find(|meta| Some(meta.base) == base) {
            let found = self.segment_damage(key, meta, &mut |_| true);
            for finding in found.unwrap_or_default() {
                is_found = true;
                self.found(finding, MetBy::Reader);
            }
        }
        if is_found {
            return;
        }
        let &ReadError::Damaged { first, next, .. } = error else {
            return;
        };
        let floor = self.floor(key);
        // A gap between segments that the start named already, or that retention has taken meanwhile.
        if next <= floor || self.scrub.findings().holds(key, first.max(floor), next) {
            return;
        }
        self.found(
            missing_records(file, key, offset, first.max(floor), next),
            MetBy::Reader,
        );
    }

    /// A component is not what was uploaded.
    pub(crate) fn met_artifact(&self, digest: &str) {
        let file = artifact::path(&self.directory, digest);
        self.found(damaged_artifact(&file), MetBy::Reader);
    }

    /// A component was stored as it was uploaded, whatever was there before.
    pub(crate) fn stored_artifact(&self, digest: &str) {
        let file = artifact::path(&self.directory, digest);
        self.scrub.findings().is_whole(&file);
    }

    /// Takes over what a start met: damaged files, records that are missing, and segments to be looked at.
    pub(crate) fn met_at_start(&self, damage: Damage) {
        for (key, meta) in damage.segments {
            let found = self.segment_damage(key, &meta, &mut |_| true);
            for finding in found.unwrap_or_default() {
                self.found(finding, MetBy::Start);
            }
        }
        let mut standing = Vec::new();
        for finding in damage.findings {
            // Where nothing is written, nothing is made up for either.
            if finding.shard.is_some() || self.is_read_only() {
                standing.push((finding.file.clone(), finding.offset));
            }
            self.found(finding, MetBy::Start);
        }
        self.scrub.findings().stand(standing);
    }

    /// Whether what a start said is still so: retention takes what is missing as it takes the rest.
    pub(super) fn is_still_missing(&self, finding: &ScrubFinding) -> bool {
        let (Some(key), Some((_, last))) = (finding.shard, finding.records) else {
            return true;
        };
        let published = self.read_published();
        let tail = published.view.tail(key.0, key.1);
        tail.is_some_and(|tail| tail.floor <= last)
    }

    /// What a stream is called, as people know it; its id where it is gone.
    pub(crate) fn stream_name(&self, id: StreamId) -> String {
        let published = self.read_published();
        let stream = published.view.registry().stream(id);
        stream.map_or_else(|| id.to_string(), |stream| stream.name.to_string())
    }

    /// Oldest record of a shard that is not given up yet.
    fn floor(&self, key: ShardKey) -> Ordinal {
        let published = self.read_published();
        let tail = published.view.tail(key.0, key.1);
        tail.map_or(Ordinal(1), |tail| tail.floor)
    }

    /// What is recorded of a segment as of now; `None` once it was trimmed or its stream deleted.
    fn recorded(&self, key: ShardKey, meta: &SegmentMeta) -> Option<SegmentMeta> {
        let segments = self.segments.of(key);
        segments.into_iter().find(|now| now.base == meta.base)
    }

    /// Checks a segment; `progress` is told of bytes as they are read and says whether to go on.
    pub(super) fn segment_damage(
        &self,
        key: ShardKey,
        meta: &SegmentMeta,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Vec<ScrubFinding>, Stopped> {
        let mut bad = self.look_at_segment(key, meta, progress)?;
        if bad.is_empty() {
            return Ok(Vec::new());
        }
        // It may have been trimmed, or written to, while it was read.
        let Some(now) = self.recorded(key, meta) else {
            return Ok(Vec::new());
        };
        if !meta.is_sealed {
            bad = self.look_at_segment(key, &now, progress)?;
        }
        if self.recorded(key, meta).is_none() {
            return Ok(Vec::new());
        }
        // Those below the floor were given up before.
        let floor = self.floor(key);
        let file = segment::path(&self.directory, key, meta.base);
        let finding = |(run, words): (BadRun, String)| {
            let first = run.first.max(floor);
            ScrubFinding {
                kind: ScrubKind::Segment,
                file: file.clone(),
                offset: run.offset,
                shard: Some(key),
                records: (first < run.next).then(|| (first, Ordinal(run.next.0 - 1))),
                entries: None,
                words,
            }
        };
        Ok(bad.into_iter().map(finding).collect())
    }

    fn look_at_segment(
        &self,
        key: ShardKey,
        meta: &SegmentMeta,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Vec<(BadRun, String)>, Stopped> {
        let whole = |offset| BadRun {
            offset,
            first: meta.base,
            next: meta.next,
            is_end: true,
        };
        let path = segment::path(&self.directory, key, meta.base);
        let opened = self.disk.open_log(&path);
        let (file, length) = match opened.and_then(|file| Ok((file.length()?, file))) {
            Ok((length, file)) => (file, length),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(vec![(whole(0), "the segment is not there".to_owned())]);
            }
            Err(error) => return Ok(vec![(whole(0), format!("it cannot be read: {error}"))]),
        };
        let mut found = Vec::new();
        let walk = Walk::of_pieces(file, key, meta.salt, meta.length, SCRUB_READ_BYTES);
        let checked = check(walk, meta, length, progress, &mut |run| found.push(run));
        let words = |run: BadRun| {
            let words = if run.is_end {
                format!("the segment has {length} bytes of {}", meta.length)
            } else if run.first < run.next {
                "records cannot be read".to_owned()
            } else {
                "bytes are damaged that hold no record".to_owned()
            };
            (run, words)
        };
        match checked {
            Ok(Some(_)) => Ok(found.into_iter().map(words).collect()),
            Ok(None) => Err(Stopped),
            Err(error) => Ok(vec![(whole(0), format!("it cannot be read: {error}"))]),
        }
    }
}

/// Records that no segment holds although they are below the tail.
pub(crate) fn missing_records(
    file: &Path,
    key: ShardKey,
    offset: u64,
    first: Ordinal,
    next: Ordinal,
) -> ScrubFinding {
    ScrubFinding {
        kind: ScrubKind::Segment,
        file: file.to_owned(),
        offset,
        shard: Some(key),
        records: Some((first, Ordinal(next.0.saturating_sub(1)))),
        entries: None,
        words: "records are missing".to_owned(),
    }
}

/// A journal file that belongs to the journal and cannot be listed: in the same words whoever met it.
pub(crate) fn damaged_journal_file(file: &Path) -> ScrubFinding {
    let words = "the journal file is missing, or its header is damaged";
    damaged_file(ScrubKind::Journal, file, 0, words)
}

/// A finding of a file that is no shard's.
pub(crate) fn damaged_file(
    kind: ScrubKind,
    file: &Path,
    offset: u64,
    words: impl Into<String>,
) -> ScrubFinding {
    ScrubFinding {
        kind,
        file: file.to_owned(),
        offset,
        shard: None,
        records: None,
        entries: None,
        words: words.into(),
    }
}

/// A component that is not what was uploaded.
pub(super) fn damaged_artifact(file: &Path) -> ScrubFinding {
    let words = "the component is not what was uploaded; deploy it again";
    damaged_file(ScrubKind::Artifact, file, 0, words)
}

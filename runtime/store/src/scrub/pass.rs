//! One pass over everything at rest.

use std::{
    io::{self, ErrorKind},
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use fnctl_core::id::{Lsn, Ordinal};

use super::{Pace, ScrubFinding, ScrubKind, ScrubLoop};
use crate::{
    artifact,
    block::ShardKey,
    digest::Digester,
    disk::DiskFile,
    journal::{
        self,
        check::{BadEntries, Extent},
        listing::{self, JournalFile},
        scan::{self, ScanError},
    },
    limits::SCRUB_READ_BYTES,
    segment::{
        self, SegmentMeta,
        check::{BadRun, check},
        walk::Walk,
    },
    snapshot::{self, Walked},
};

/// Told to stop.
#[derive(Debug)]
struct Stopped;

type Outcome = Result<(), Stopped>;

impl ScrubLoop {
    /// Reads everything at rest once; answers whether it came to the end.
    pub(super) fn pass(&self) -> bool {
        let mut pace = self.pace();
        let scrubbed = self
            .shards(&mut pace)
            .and_then(|()| self.journal(&mut pace))
            .and_then(|()| self.artifacts(&mut pace));
        if scrubbed.is_err() {
            return false;
        }
        let scrub = &self.shared.scrub;
        scrub.findings().end_pass();
        scrub.passes.fetch_add(1, Ordering::Relaxed);
        let now = self.shared.clocks.now();
        scrub.ended.store(now.0, Ordering::Relaxed);
        true
    }

    fn find(&self, finding: ScrubFinding) {
        let (words, kind) = (finding.to_string(), finding.kind);
        let is_new = self.shared.scrub.findings().add(finding);
        tracing::error!(
            kind = kind.as_str(),
            is_new,
            "the scrub found damage: {words}"
        );
        if is_new && matches!(kind, ScrubKind::Journal | ScrubKind::Snapshot) {
            // What is damaged falls below a new cut, or is replaced.
            let scrub = &self.shared.scrub;
            scrub.wants_snapshot.store(true, Ordering::Relaxed);
            self.shared.applier_work.notify_one();
        }
    }

    fn unreadable(&self, kind: ScrubKind, file: &Path, error: &io::Error) {
        self.find(ScrubFinding {
            kind,
            file: file.to_owned(),
            offset: 0,
            shard: None,
            records: None,
            entries: None,
            words: format!("it cannot be read: {error}"),
        });
    }

    fn shards(&self, pace: &mut Pace<'_>) -> Outcome {
        let segments = &self.shared.segments;
        let mut keys = segments.keys();
        keys.sort_unstable();
        for key in keys {
            for meta in segments.of(key) {
                self.segment(key, &meta, pace)?;
            }
        }
        Ok(())
    }

    /// What is recorded of a segment as of now; `None` once it was trimmed or its stream deleted.
    fn recorded(&self, key: ShardKey, meta: &SegmentMeta) -> Option<SegmentMeta> {
        let segments = self.shared.segments.of(key);
        segments.into_iter().find(|now| now.base == meta.base)
    }

    fn segment(&self, key: ShardKey, meta: &SegmentMeta, pace: &mut Pace<'_>) -> Outcome {
        let mut bad = self.look_at_segment(key, meta, pace)?;
        if bad.is_empty() {
            return Ok(());
        }
        // It may have been trimmed, or written to, while it was read.
        let Some(now) = self.recorded(key, meta) else {
            return Ok(());
        };
        if !meta.is_sealed {
            bad = self.look_at_segment(key, &now, pace)?;
        }
        if self.recorded(key, meta).is_none() {
            return Ok(());
        }
        let tail = {
            let published = self.shared.read_published();
            published.view.tail(key.0, key.1).copied()
        };
        // Those below the floor were given up before.
        let floor = tail.map_or(Ordinal(1), |tail| tail.floor);
        let file = segment::path(&self.shared.directory, key, meta.base);
        for (run, words) in bad {
            let first = run.first.max(floor);
            self.find(ScrubFinding {
                kind: ScrubKind::Segment,
                file: file.clone(),
                offset: run.offset,
                shard: Some(key),
                records: (first < run.next).then(|| (first, Ordinal(run.next.0 - 1))),
                entries: None,
                words,
            });
        }
        Ok(())
    }

    fn look_at_segment(
        &self,
        key: ShardKey,
        meta: &SegmentMeta,
        pace: &mut Pace<'_>,
    ) -> Result<Vec<(BadRun, String)>, Stopped> {
        let whole = |offset| BadRun {
            offset,
            first: meta.base,
            next: meta.next,
            is_end: true,
        };
        let path = segment::path(&self.shared.directory, key, meta.base);
        let opened = self.shared.disk.open_log(&path);
        let (file, length) = match opened.and_then(|file| Ok((file.length()?, file))) {
            Ok((length, file)) => (file, length),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(vec![(whole(0), "the segment is not there".to_owned())]);
            }
            Err(error) => return Ok(vec![(whole(0), format!("it cannot be read: {error}"))]),
        };
        let mut found = Vec::new();
        let walk = Walk::of_pieces(file, key, meta.salt, meta.length, SCRUB_READ_BYTES);
        let checked = check(
            walk,
            meta,
            length,
            &mut |bytes| pace.pass(bytes),
            &mut |run| found.push(run),
        );
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

    fn journal(&self, pace: &mut Pace<'_>) -> Outcome {
        let directory = journal::directory(&self.shared.directory);
        // Read first: files and frames that come later are not asked for.
        let place = self.shared.read_published().place;
        let listing = match listing::files(&*self.shared.disk, &directory) {
            Ok(listing) => listing,
            // A file was removed between the list and its opening: the next pass has another list.
            Err(ScanError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok(());
            }
            Err(error) => {
                self.unreadable(ScrubKind::Journal, &directory, &io::Error::other(error));
                return Ok(());
            }
        };
        for (_, path) in &listing.damaged {
            let error = io::Error::other("its header is damaged");
            self.unreadable(ScrubKind::Journal, path, &error);
        }
        let is_read_only = self.shared.is_read_only();
        for (index, file) in listing.files.iter().enumerate() {
            let later = scan::superseded_from(&listing.files, index);
            let extent = match (place, later) {
                (Some(place), _) if place.file == file.number => Extent::Offset(place.offset),
                // It has no visible frame yet.
                (Some(place), _) if place.file < file.number => continue,
                (_, Some(until)) => Extent::Until(until),
                (None, None) if !is_read_only => continue,
                (_, None) => Extent::Torn,
            };
            self.journal_file(file, extent, pace)?;
        }
        if let Some(first) = listing.files.first() {
            self.snapshots(first.header.journal, pace)?;
        }
        Ok(())
    }

    fn journal_file(&self, file: &JournalFile, extent: Extent, pace: &mut Pace<'_>) -> Outcome {
        let mut found = Vec::new();
        let checked = journal::check::check(
            file,
            extent,
            &mut |bytes| pace.pass(bytes),
            &mut |entries| found.push(entries),
        );
        for BadEntries {
            offset,
            first,
            next,
        } in found
        {
            self.find(ScrubFinding {
                kind: ScrubKind::Journal,
                file: file.path.clone(),
                offset,
                shard: None,
                records: None,
                entries: Some((first, next.map(|next| Lsn(next.0.saturating_sub(1))))),
                words: "entries cannot be read".to_owned(),
            });
        }
        match checked {
            Ok(true) => Ok(()),
            Ok(false) => Err(Stopped),
            Err(error) => {
                self.unreadable(ScrubKind::Journal, &file.path, &error);
                Ok(())
            }
        }
    }

    fn snapshots(&self, journal: u64, pace: &mut Pace<'_>) -> Outcome {
        let directory = journal::directory(&self.shared.directory);
        let Ok(entries) = self.shared.disk.list(&directory) else {
            return Ok(());
        };
        for entry in entries {
            if snapshot::parse_file_name(&entry.name).is_none() {
                continue;
            }
            let path = directory.join(&entry.name);
            let walked = self.shared.disk.open_log(&path).and_then(|file| {
                let mut nothing = |_, _| {};
                snapshot::walk(
                    file,
                    journal,
                    SCRUB_READ_BYTES,
                    &mut |bytes| pace.pass(bytes),
                    &mut nothing,
                )
            });
            match walked {
                Ok(Walked::Whole(_)) => {}
                Ok(Walked::Stopped) => return Err(Stopped),
                Ok(Walked::Damaged(offset)) => self.find(ScrubFinding {
                    kind: ScrubKind::Snapshot,
                    file: path,
                    offset,
                    shard: None,
                    records: None,
                    entries: None,
                    words:
                        "the snapshot is damaged; the image stands in for it, and another is made"
                            .to_owned(),
                }),
                // Replaced by a newer one.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => self.unreadable(ScrubKind::Snapshot, &path, &error),
            }
        }
        Ok(())
    }

    fn artifacts(&self, pace: &mut Pace<'_>) -> Outcome {
        let directory = artifact::directory(&self.shared.directory);
        let Ok(entries) = self.shared.disk.list(&directory) else {
            return Ok(());
        };
        for entry in entries {
            let Some(named) = artifact::parse_file_name(&entry.name) else {
                continue;
            };
            let path = directory.join(&entry.name);
            let digest = self
                .shared
                .disk
                .open_log(&path)
                .and_then(|file| digest(&*file, pace));
            match digest {
                Ok(None) => return Err(Stopped),
                Ok(Some(digest)) if *digest == *named => {}
                Ok(Some(_)) => self.find(ScrubFinding {
                    kind: ScrubKind::Artifact,
                    file: path,
                    offset: 0,
                    shard: None,
                    records: None,
                    entries: None,
                    words: "the component is not what was uploaded; deploy it again".to_owned(),
                }),
                // No version needs it any more.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => self.unreadable(ScrubKind::Artifact, &path, &error),
            }
        }
        Ok(())
    }
}

/// The digest of a file; `None` when told to stop.
fn digest(file: &dyn DiskFile, pace: &mut Pace<'_>) -> io::Result<Option<Arc<str>>> {
    let length = file.length()?;
    let (mut digester, mut offset) = (Digester::default(), 0);
    while offset < length {
        let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
        let piece = file.read_piece(left.min(SCRUB_READ_BYTES), offset)?;
        if piece.is_empty() {
            break;
        }
        digester.push(&piece);
        offset += piece.len() as u64;
        if !pace.pass(piece.len() as u64) {
            return Ok(None);
        }
    }
    Ok(Some(digester.finish()))
}

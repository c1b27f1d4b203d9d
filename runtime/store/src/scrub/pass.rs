//! One pass over everything at rest.

use std::{
    io::{self, ErrorKind},
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use fnctl_core::id::Lsn;

use super::{
    Pace, ScrubFinding, ScrubKind, ScrubLoop,
    look::{MetBy, Stopped, damaged_artifact, damaged_file, damaged_journal_file},
};
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
    segment::SegmentMeta,
    snapshot::{self, Walked},
};

type Outcome = Result<(), Stopped>;

impl ScrubLoop {
    /// Reads everything at rest once; answers whether it came to the end.
    pub(super) fn pass(&self) -> bool {
        let mut pace = self.pace();
        self.shared.scrub.findings().begin_pass();
        let scrubbed = self
            .shards(&mut pace)
            .and_then(|()| self.journal(&mut pace))
            .and_then(|()| self.image(&mut pace))
            .and_then(|()| self.artifacts(&mut pace));
        if scrubbed.is_err() {
            return false;
        }
        let scrub = &self.shared.scrub;
        scrub
            .findings()
            .end_pass(|standing| self.shared.is_still_missing(standing));
        scrub.passes.fetch_add(1, Ordering::Relaxed);
        let now = self.shared.clocks.now();
        scrub.ended.store(now.0, Ordering::Relaxed);
        true
    }

    fn find(&self, finding: ScrubFinding) {
        self.shared.found(finding, MetBy::Scrub);
    }

    fn unreadable(&self, kind: ScrubKind, file: &Path, error: &io::Error) {
        let words = format!("it cannot be read: {error}");
        self.find(damaged_file(kind, file, 0, words));
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

    fn segment(&self, key: ShardKey, meta: &SegmentMeta, pace: &mut Pace<'_>) -> Outcome {
        let progress = &mut |bytes| pace.pass(bytes);
        for finding in self.shared.segment_damage(key, meta, progress)? {
            self.find(finding);
        }
        Ok(())
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
            self.find(damaged_journal_file(path));
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
                Ok(Walked::Damaged(offset)) => {
                    let words =
                        "the snapshot is damaged; the image stands in for it, and another is made";
                    self.find(damaged_file(ScrubKind::Snapshot, &path, offset, words));
                }
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
                Ok(Some(_)) => self.find(damaged_artifact(&path)),
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

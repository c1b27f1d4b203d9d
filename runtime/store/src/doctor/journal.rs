//! Journal, snapshots and image.

use std::io::ErrorKind;

use bytes::Bytes;
use fnctl_core::id::Lsn;

use super::{DoctorError, Finding, FindingKind, Opened, Patient, at};
use crate::{
    Loops, Store,
    codec::Decoder,
    disk::{Disk as _, overlay::Overlay},
    image::chunks::ChunkedImage,
    journal::{
        self,
        frame::FrameHeader,
        listing,
        scan::{self, ScanError},
    },
    recovery, snapshot,
};

const RESTORE: &str =
    "restore a backup (fnctl restore), or serve what can be read: a start is read-only";

impl Patient<'_> {
    /// Every frame of every file, with what recovery replays the journal with.
    pub(super) fn journal(&mut self, opened: Option<&Opened>) -> Result<(), DoctorError> {
        let directory = journal::directory(&self.data);
        let listing = match listing::files(&self.reading, &directory) {
            Ok(listing) => listing,
            Err(ScanError::Io { path, source }) if source.kind() == ErrorKind::NotFound => {
                let finding = Finding::new(FindingKind::Journal, &path, "it is gone");
                self.add(finding.fix(RESTORE));
                return Ok(());
            }
            Err(ScanError::Io { path, source }) => return Err(DoctorError::Io { path, source }),
            Err(error) => {
                let finding = Finding::new(FindingKind::Journal, &directory, error.to_string());
                self.add(finding.fix(RESTORE));
                return Ok(());
            }
        };
        let cut = opened.map(|(_, loops)| loops.applier.taken);
        self.report.cut = cut;
        let last_sound = listing.files.last().map_or(0, |file| file.number);
        for (number, path) in listing.damaged {
            // One in the middle shows as missing entries below, if they are needed.
            let is_end = number > last_sound;
            let harm = match self.reading.open_to_read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => "it is gone",
                _ => "its header is damaged",
            };
            let (kind, words) = if is_end {
                let words =
                    format!("{harm}: how much of the journal's end is missing is not known");
                (FindingKind::Journal, words)
            } else {
                (FindingKind::OldJournal, harm.to_owned())
            };
            self.add(Finding::new(kind, &path, words).at(0));
        }
        for file in &listing.files {
            self.report.journal.add(file.length);
        }
        let Some(first) = listing.files.first() else {
            return Ok(());
        };
        self.journal_id = Some(first.header.journal);
        let progress = &mut self.progress;
        let mut visit = |header: &FrameHeader, payload: &Bytes| {
            progress(header.frame_bytes());
            let mut bytes = Decoder::new(payload.clone());
            for _ in 0..header.entries {
                recovery::take_entry(&mut bytes).map_err(|error| error.to_string())?;
            }
            bytes.end().map_err(|error| error.to_string())
        };
        let replay = match scan::replay(&listing.files, first.header.first, None, &mut visit) {
            Ok(Some(replay)) => replay,
            Ok(None) => return Ok(()),
            Err(ScanError::Io { path, source }) => return Err(DoctorError::Io { path, source }),
            Err(ScanError::Refused { path, offset, what }) => {
                self.add(
                    Finding::new(FindingKind::Journal, &path, what)
                        .at(offset)
                        .fix(RESTORE),
                );
                return Ok(());
            }
            Err(error) => {
                let finding = Finding::new(FindingKind::Journal, &directory, error.to_string());
                self.add(finding.fix(RESTORE));
                return Ok(());
            }
        };
        for hole in &replay.holes {
            let is_needed = cut.is_none_or(|cut| hole.next > cut);
            let (kind, words) = if is_needed {
                (FindingKind::Journal, "entries cannot be read")
            } else {
                let words = "entries cannot be read; image and snapshot hold what they said";
                (FindingKind::OldJournal, words)
            };
            let mut finding = Finding::new(kind, &hole.file, words).at(hole.offset);
            if is_needed {
                finding = finding.fix(RESTORE);
            }
            self.add(finding.entries(hole.first, hole.next));
        }
        self.report.next = Some(
            cut.and_then(|cut| replay.broken_at(cut))
                .unwrap_or(replay.next),
        );
        let is_read_only = opened.is_some_and(|(store, _)| store.read_only().is_some());
        if is_read_only {
            // Said with its reason: what looks torn here has lost more than a frame.
            return Ok(());
        }
        if let Some((path, offset)) = &replay.torn {
            let words = "the last frame is not whole: a crash tore it before it was acknowledged, unless the disk lost what it had synced; a start cuts it off";
            let finding = Finding::new(FindingKind::TornTail, path, words).at(*offset);
            self.add(finding.entries(replay.next, Lsn(u64::MAX)));
        } else if !replay.is_clean {
            let path = listing
                .files
                .last()
                .map_or(directory, |file| file.path.clone());
            let words = "the server did not end in order; a start redoes the journal";
            self.add(Finding::new(FindingKind::UncleanStop, &path, words));
        }
        Ok(())
    }

    /// Every snapshot, read whole.
    pub(super) fn snapshots(&mut self) -> Result<(), DoctorError> {
        let directory = journal::directory(&self.data);
        let Ok(entries) = self.reading.list(&directory) else {
            return Ok(());
        };
        for entry in entries {
            if snapshot::parse_file_name(&entry.name).is_none() {
                continue;
            }
            let path = directory.join(&entry.name);
            let file = self.reading.open_to_read(&path).map_err(at(&path))?;
            let length = file.length().map_err(at(&path))?;
            self.report.snapshots.add(length);
            (self.progress)(length);
            let Some(journal) = self.journal_id else {
                continue;
            };
            let read = snapshot::read(&self.reading, &path, journal).map_err(at(&path))?;
            if read.is_err() {
                let words = "the snapshot is damaged; others, or the image, stand in for it, and it is replaced in time";
                self.add(Finding::new(FindingKind::Snapshot, &path, words));
            }
        }
        Ok(())
    }

    /// The image, if a start can use it.
    pub(super) fn image(
        &mut self,
        store: &Store,
        loops: &Loops,
        start: &Overlay,
    ) -> Result<(), DoctorError> {
        let path = recovery::image_directory(&self.data);
        let is_new = store.published() == Lsn(1);
        if self.reading.list(&path).is_err() {
            if !is_new {
                let words = "there is no image; a start makes it from snapshot and journal";
                self.add(Finding::new(FindingKind::ImageMissing, &path, words));
            }
            return Ok(());
        }
        let error = start.image_error().or_else(|| {
            let image = self.reading.open_image(&path).ok()?;
            let mut image = ChunkedImage::new(image);
            image.load().err().map(|error| error.to_string())
        });
        let words = match error {
            Some(error) => format!("{error}; a start makes it anew from snapshot and journal"),
            None if loops.applier.cutter.needs_all => {
                "it is of another time, or has grown out of all proportion; a start makes it anew from snapshot and journal".to_owned()
            }
            None => return Ok(()),
        };
        self.add(Finding::new(FindingKind::Image, &path, words));
        Ok(())
    }
}

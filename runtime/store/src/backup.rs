//! A backup of a running store: everything as of one LSN, as a stream of files, while it serves on.
//!
//! The applier makes a cut at C with a snapshot of it; segments up to their length at C, artefacts and
//! that snapshot are all there is to copy, and none of their bytes change any more. Until the copy is
//! done nothing of it is removed; the sequencer is not involved at all. A journal file that begins and
//! ends at C goes with them, so that a restored directory opens like any other.

pub mod archive;
mod copy;
pub mod directory;
mod hold;
pub mod manifest;
pub mod restore;

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use fnctl_core::id::{Lsn, Timestamp};
use tokio::sync::oneshot;

pub use self::copy::Sent;
pub(crate) use self::hold::{Backups, Hold};
use self::manifest::{Item, Manifest};
use crate::{
    Store,
    applier::ApplierLoop,
    artifact::{self, ArtifactPin},
    block::ShardKey,
    codec::Value as _,
    cut::CutValue,
    disk::DiskFile,
    journal::{
        self,
        frame::{FrameHeader, FrameKind, HEADER_BYTES, seal},
        writer::{FrameClocks, Life},
    },
    segment::{self, SegmentMeta},
    shared::Shared,
    snapshot,
};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store takes nothing, so it makes no cut either.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// No room for the snapshot that a backup begins with.
    #[error("the disk is full, a backup begins with a snapshot")]
    DiskFull,
    /// The store stopped.
    #[error("the store is stopping")]
    Stopped,
    /// Whoever was given the files takes no more.
    #[error("the backup was given up")]
    Gone,
    /// The disk failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { path, source }
}

/// The moment that a backup is of, with everything that keeps it from going away.
pub(crate) struct Moment {
    journal: u64,
    cut: CutValue,
    clocks: FrameClocks,
    snapshot: (Arc<dyn DiskFile>, u64),
    segments: Vec<(ShardKey, SegmentMeta)>,
    artifacts: Vec<ArtifactPin>,
    _hold: Hold,
}

/// A backup that has begun. Drop it to give it up.
pub struct Backup {
    shared: Arc<Shared>,
    moment: Moment,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup")
            .field("lsn", &self.lsn())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Begins a backup: makes a cut with a snapshot and keeps what it names until the value is dropped.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn begin_backup(&self) -> Result<Backup, BackupError> {
        if let Some(reason) = self.read_only() {
            return Err(BackupError::ReadOnly(reason.to_owned()));
        }
        let (reply, answer) = oneshot::channel();
        self.shared.backups.ask(reply);
        // Taken so that the applier is either before its check or waiting.
        drop(self.shared.lock_applier_queue());
        self.shared.applier_work.notify_all();
        if self.shared.is_ending() {
            return Err(BackupError::Stopped);
        }
        let moment = answer.await.map_err(|_| BackupError::Stopped)?;
        let moment = moment.ok_or(BackupError::DiskFull)?;
        Ok(Backup {
            shared: Arc::clone(&self.shared),
            moment,
        })
    }
}

impl ApplierLoop {
    /// Gives everybody who asked the same moment.
    pub(crate) fn begin_backups(&mut self) -> io::Result<()> {
        let waiting = self.shared.backups.take_waiting();
        if waiting.is_empty() {
            return Ok(());
        }
        let cut = self.cut_with_snapshot()?;
        for reply in waiting {
            let moment = match cut {
                Some(cut) => Some(self.moment(cut)?),
                None => None,
            };
            // Who asked may have gone.
            drop(reply.send(moment));
        }
        Ok(())
    }

    fn moment(&self, cut: CutValue) -> io::Result<Moment> {
        let shared = &self.shared;
        let path = journal::directory(&shared.directory).join(snapshot::file_name(cut.next));
        // Stays readable when a later snapshot takes its place.
        let file = shared.disk.open_to_read(&path)?;
        let length = file.length()?;
        let mut segments = Vec::new();
        for key in shared.segments.keys() {
            segments.extend(shared.segments.of(key).into_iter().map(|meta| (key, meta)));
        }
        segments.sort_by_key(|(key, meta)| (*key, meta.base));
        let mut artifacts = Vec::new();
        for entry in shared.disk.list(&artifact::directory(&shared.directory))? {
            if let Some(digest) = artifact::parse_file_name(&entry.name) {
                artifacts.push(shared.artifacts.pin(&Arc::from(digest)));
            }
        }
        Ok(Moment {
            journal: self.cutter.journal_id(),
            cut,
            clocks: shared.clocks.frame(),
            snapshot: (file, length),
            segments,
            artifacts,
            _hold: shared.backups.hold(),
        })
    }

    /// Removes what was kept for backups that are done.
    pub(crate) fn remove_kept(&self) -> io::Result<()> {
        for path in self.shared.backups.released() {
            let removed = if path.extension().is_some_and(|e| e == "segment") {
                self.shared.disk.remove(&path)
            } else {
                self.shared.disk.remove_dir(&path)
            };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for ApplierLoop {
    fn drop(&mut self) {
        // Who waits for a moment learns that there will be none.
        drop(self.shared.backups.take_waiting());
    }
}

/// A file of a backup, before it is read.
struct Part {
    item: Item,
    content: Content,
}

enum Content {
    Bytes(Vec<u8>),
    File(PathBuf, Arc<dyn DiskFile>),
    Segment(PathBuf, ShardKey, SegmentMeta),
}

/// A backup that knows what it holds and what of it must be sent.
pub struct Prepared {
    backup: Backup,
    manifest: Manifest,
    /// Position in the manifest, and where it comes from.
    parts: Vec<(usize, Content)>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl Backup {
    /// LSN after the last entry that the backup holds.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.moment.cut.next
    }

    /// Decides what must be sent: all but what the receiver says it has, with files of the server's own
    /// beside the store's (`others`, by their name in the data directory; those missing are left out).
    ///
    /// # Errors
    /// The disk failed.
    pub fn prepare(
        self,
        has: &[Item],
        others: &[&str],
        taken: Timestamp,
    ) -> Result<Prepared, BackupError> {
        let mut manifest = Manifest {
            journal: self.moment.journal,
            next: self.lsn(),
            taken,
            items: Vec::new(),
            damaged: Vec::new(),
        };
        let mut parts = Vec::new();
        for part in self.parts(others, &mut manifest.damaged)? {
            let Part { item, content } = part;
            let known = has.iter().find(|known| known.is_copy_of(&item));
            let index = manifest.items.len();
            if let Some(known) = known {
                manifest.items.push(known.clone());
            } else {
                manifest.items.push(item);
                parts.push((index, content));
            }
        }
        Ok(Prepared {
            backup: self,
            manifest,
            parts,
        })
    }

    fn parts(&self, others: &[&str], damaged: &mut Vec<String>) -> Result<Vec<Part>, BackupError> {
        let disk = &self.shared.disk;
        let data = &self.shared.directory;
        let mut parts = Vec::new();
        for pin in &self.moment.artifacts {
            let path = artifact::path(data, pin.digest());
            let file = match disk.open_to_read(&path) {
                // Removed again before it was pinned.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file.map_err(at(&path))?,
            };
            let bytes = file.length().map_err(at(&path))?;
            let target = format!("artifacts/sha256-{}", pin.digest());
            let item = Item::lasting(target, bytes, pin.digest().to_string());
            parts.push(Part {
                item,
                content: Content::File(path, file),
            });
        }
        for &(key, meta) in &self.moment.segments {
            let path = segment::path(data, key, meta.base);
            let target = format!("streams/{}/{}/{:020}.segment", key.0, key.1, meta.base.0);
            let length = match disk.open_to_read(&path).and_then(|file| file.length()) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    damaged.push(target);
                    continue;
                }
                length => length.map_err(at(&path))?,
            };
            if length < meta.length {
                damaged.push(target.clone());
            }
            let bytes = length.min(meta.length);
            let item = if meta.is_sealed {
                Item::lasting(target, bytes, format!("{:016x}-{}", meta.salt, meta.next))
            } else {
                Item::passing(target, bytes)
            };
            parts.push(Part {
                item,
                content: Content::Segment(path, key, meta),
            });
        }
        for name in others {
            let path = data.join(name);
            if let Ok(file) = disk.open_to_read(&path) {
                let bytes = file.length().map_err(at(&path))?;
                parts.push(Part {
                    item: Item::passing((*name).to_owned(), bytes),
                    content: Content::File(path, file),
                });
            }
        }
        let (file, length) = &self.moment.snapshot;
        let name = snapshot::file_name(self.lsn());
        parts.push(Part {
            item: Item::passing(format!("journal/{name}"), *length),
            content: Content::File(journal::directory(data).join(name), Arc::clone(file)),
        });
        let bytes = self.moment.journal_file(disk.salt());
        let name = journal::file_name(self.moment.cut.life);
        parts.push(Part {
            item: Item::passing(format!("journal/{name}"), bytes.len() as u64),
            content: Content::Bytes(bytes),
        });
        Ok(parts)
    }
}

impl Moment {
    /// A journal file that begins and ends at the moment: what a restored directory goes on from.
    fn journal_file(&self, salt: u64) -> Vec<u8> {
        let mut file = Vec::new();
        for kind in [FrameKind::FileHeader, FrameKind::Footer] {
            let mut frame = vec![0; HEADER_BYTES];
            if kind == FrameKind::FileHeader {
                let life = Life {
                    number: self.cut.life,
                    base: self.cut.next,
                };
                life.put(&mut frame);
            }
            let header = FrameHeader {
                length: 0,
                crc: 0,
                journal: self.journal,
                salt,
                first: self.cut.next,
                entries: 0,
                kind,
                required: 0,
                optional: 0,
                previous: 0,
                retention_ms: self.clocks.retention_ms,
                wall: self.clocks.wall,
                file: self.cut.life,
            };
            seal(&mut frame, &header);
            file.extend_from_slice(&frame);
        }
        file
    }
}

/// Takes the pieces of a backup; an error ends it.
pub type Sink<'a> = dyn FnMut(Bytes) -> Result<(), BackupError> + 'a;

#[cfg(test)]
mod tests;

//! Writes frames: one write, one sync, files rolled before they are full.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use fnctl_core::id::{Lsn, Timestamp};

use crate::{
    codec::{Value, fields},
    disk::{Disk, DiskFile},
    journal::{
        file_name,
        frame::{FrameHeader, FrameKind, HEADER_BYTES, seal},
        scan::Place,
        witness,
    },
};

/// The two clocks as they go into a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameClocks {
    /// The retention clock, ms.
    pub(crate) retention_ms: u64,
    /// The wall clock.
    pub(crate) wall: Timestamp,
}

/// Where the journal goes on: what a start found.
#[derive(Clone, Debug)]
pub(crate) struct JournalEnd {
    /// Id of the journal.
    pub(crate) journal: u64,
    /// Number of the file to make.
    pub(crate) number: u64,
    /// LSN that comes next.
    pub(crate) next: Lsn,
    /// CRC of the last frame; 0 when there was none.
    pub(crate) previous: u32,
    /// LSN from which the start replayed: shard logs were cut back to there.
    pub(crate) base: Lsn,
    /// After an unclean stop: the last frame, written again before anything is published.
    pub(crate) rewrite: Option<(FrameHeader, bytes::Bytes)>,
}

/// The files of the journal: the writer adds, the applier allocates the next one and removes old ones.
#[derive(Debug)]
pub(crate) struct JournalFiles {
    /// Allocated before it is needed.
    spare: Mutex<Option<Arc<dyn DiskFile>>>,
    /// Number and first LSN of each, oldest first; the last one is being written.
    files: Mutex<Vec<(u64, Lsn)>>,
    file_bytes: u64,
}

impl JournalFiles {
    /// Those that a start found.
    pub(crate) fn new(files: Vec<(u64, Lsn)>, file_bytes: u64) -> Self {
        Self {
            spare: Mutex::default(),
            files: Mutex::new(files),
            file_bytes,
        }
    }

    fn lock_spare(&self) -> MutexGuard<'_, Option<Arc<dyn DiskFile>>> {
        self.spare.lock().expect("nothing panics under this lock")
    }

    fn lock_files(&self) -> MutexGuard<'_, Vec<(u64, Lsn)>> {
        self.files.lock().expect("nothing panics under this lock")
    }

    /// Makes the spare file if there is none.
    ///
    /// # Errors
    /// Any failure; the file is only needed at the next roll, so it may be tried again.
    pub(crate) fn prepare(&self, disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        // Held to the end: until a writer that took the last one has renamed it, its path is not free.
        let mut spare = self.lock_spare();
        if spare.is_some() {
            return Ok(());
        }
        let path = directory.join(SPARE);
        let file = allocate(disk, &path, self.file_bytes).inspect_err(|_| {
            // What was allocated so far is given back.
            drop(disk.remove(&path));
        })?;
        *spare = Some(file);
        Ok(())
    }

    /// Forgets the files that lie wholly below `needed`, the one being written never; answers their
    /// numbers.
    pub(crate) fn drop_below(&self, needed: Lsn) -> Vec<u64> {
        let mut files = self.lock_files();
        // A file ends where the next one begins.
        let count = files
            .windows(2)
            .take_while(|pair| pair[1].1 <= needed)
            .count();
        files.drain(..count).map(|(number, _)| number).collect()
    }
}

/// Name of the spare file; the temporary file of a start has another, so the two never meet.
pub(crate) const SPARE: &str = "spare.tmp";
const STARTING: &str = "starting.tmp";

fn allocate(disk: &dyn Disk, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create_log(path)?;
    file.allocate(bytes)?;
    file.sync()?;
    Ok(file)
}

/// The end of the journal that is being written.
pub(crate) struct JournalWriter {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    files: Arc<JournalFiles>,
    file: Arc<dyn DiskFile>,
    journal: u64,
    salt: u64,
    number: u64,
    offset: u64,
    /// First LSN of the file.
    first: Lsn,
    next: Lsn,
    previous: u32,
    life: Life,
}

/// Which start a file comes from; its header says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// Number of the file that the start made.
    pub(crate) number: u64,
    /// LSN from which it replayed. Shard logs were cut back to there, so what an earlier life recorded of
    /// them at a later LSN is void.
    pub(crate) base: Lsn,
}

fields!(Life { number, base });

impl JournalWriter {
    /// Makes the new file of a start (commit and storage rules §5): header and rewritten last frame in
    /// a temporary file, then its sync, rename and directory sync.
    ///
    /// # Errors
    /// Any failure: the start fails.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        files: Arc<JournalFiles>,
        end: JournalEnd,
        clocks: FrameClocks,
    ) -> io::Result<Self> {
        let temporary = directory.join(STARTING);
        let file = allocate(&*disk, &temporary, files.file_bytes)?;
        let mut writer = Self {
            salt: disk.salt(),
            disk,
            directory,
            files,
            file,
            journal: end.journal,
            number: end.number,
            offset: 0,
            first: end.next,
            next: end.next,
            previous: end.previous,
            life: Life {
                number: end.number,
                base: end.base,
            },
        };
        if let Some((frame, _)) = &end.rewrite {
            writer.first = frame.first;
            writer.next = frame.first;
            writer.previous = frame.previous;
        }
        writer.write_marker(FrameKind::FileHeader, clocks)?;
        if let Some((frame, payload)) = end.rewrite {
            let mut buffer = vec![0; HEADER_BYTES];
            buffer.extend_from_slice(&payload);
            let kept = FrameClocks {
                retention_ms: frame.retention_ms,
                wall: frame.wall,
            };
            writer.write(&mut buffer, FrameKind::Entries, frame.entries, kept)?;
        }
        writer.file.sync()?;
        writer.put_in_place(&temporary)?;
        Ok(writer)
    }

    /// LSN of the next entry.
    pub(crate) const fn next(&self) -> Lsn {
        self.next
    }

    /// Seals `buffer` (a payload behind [`HEADER_BYTES`] reserved bytes) and writes it. The entries are
    /// journaled when [`Self::sync`] has returned, which must come next. Answers where they are.
    ///
    /// # Errors
    /// Any failure: the node stops.
    pub(crate) fn write_entries(
        &mut self,
        buffer: &mut Vec<u8>,
        entries: u32,
        clocks: FrameClocks,
    ) -> io::Result<Place> {
        let footer = 2 * HEADER_BYTES as u64;
        if self.offset + buffer.len() as u64 + footer > self.files.file_bytes
            && self.next > self.first
        {
            self.roll(clocks)?;
        }
        let place = Place {
            file: self.number,
            offset: self.offset,
        };
        self.write(buffer, FrameKind::Entries, entries, clocks)?;
        Ok(place)
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// Any failure: the node stops.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Ends the journal in order: says that it is whole.
    ///
    /// # Errors
    /// Any failure.
    pub(crate) fn finish(&mut self, clocks: FrameClocks) -> io::Result<()> {
        self.write_marker(FrameKind::Footer, clocks)?;
        self.file.sync()
    }

    fn roll(&mut self, clocks: FrameClocks) -> io::Result<()> {
        self.finish(clocks)?;
        let path = self.directory.join(SPARE);
        // Held until the file has its own name: `prepare` would make the next one in its place.
        let files = Arc::clone(&self.files);
        let mut spare = files.lock_spare();
        self.file = match spare.take() {
            Some(file) => file,
            None => allocate(&*self.disk, &path, self.files.file_bytes)?,
        };
        self.number += 1;
        self.salt = self.disk.salt();
        self.offset = 0;
        self.first = self.next;
        self.write_marker(FrameKind::FileHeader, clocks)?;
        self.file.sync()?;
        self.put_in_place(&path)
    }

    fn put_in_place(&self, from: &Path) -> io::Result<()> {
        self.disk
            .rename(from, &self.directory.join(file_name(self.number)))?;
        self.disk.sync_dir(&self.directory)?;
        witness::write(&*self.disk, &self.directory, self.journal, self.number)?;
        self.files.lock_files().push((self.number, self.first));
        Ok(())
    }

    fn write_marker(&mut self, kind: FrameKind, clocks: FrameClocks) -> io::Result<()> {
        let mut buffer = vec![0; HEADER_BYTES];
        if kind == FrameKind::FileHeader {
            self.life.put(&mut buffer);
            self.files.file_bytes.put(&mut buffer);
        }
        self.write(&mut buffer, kind, 0, clocks)
    }

    fn write(
        &mut self,
        buffer: &mut Vec<u8>,
        kind: FrameKind,
        entries: u32,
        clocks: FrameClocks,
    ) -> io::Result<()> {
        let header = FrameHeader {
            length: 0,
            crc: 0,
            journal: self.journal,
            salt: self.salt,
            first: self.next,
            entries,
            kind,
            required: 0,
            optional: 0,
            previous: self.previous,
            retention_ms: clocks.retention_ms,
            wall: clocks.wall,
            file: self.number,
        };
        let crc = seal(buffer, &header);
        self.file.write_at(buffer, self.offset)?;
        self.offset += buffer.len() as u64;
        if kind == FrameKind::Entries {
            self.previous = crc;
            self.next = header.next();
        }
        Ok(())
    }
}

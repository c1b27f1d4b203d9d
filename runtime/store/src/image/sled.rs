//! The image in sled 0.34.7, durability taken away from it: it is flushed, then synced by us, at every
//! cut, and rebuilt from snapshot and journal when it will not open.
//!
//! The safety rules are measured ones: its `flush` is no fsync, half-written snapshot files stop it from
//! opening, large values go to files it never syncs, its own flusher swallows errors.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use sled::{Batch, Config, Db, Mode};

use crate::{
    image::{Image, ImageBatch, ImageError, ImageValue},
    limits::{IMAGE_CACHE_BYTES, IMAGE_VALUE_BYTES_MAX},
};

/// A sled database in a directory of its own.
#[derive(Debug)]
pub struct SledImage {
    db: Db,
    directory: PathBuf,
    /// Our own handle on sled's file: what we sync.
    file: File,
}

impl From<sled::Error> for ImageError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Io(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl SledImage {
    /// Opens the database, an empty one when there is none. When sled refuses what it finds as corrupt
    /// its snapshot files, which only speed it up, are removed and it is asked once more.
    ///
    /// # Errors
    /// It will not open: the image must be rebuilt.
    pub fn open(directory: &Path) -> Result<Self, ImageError> {
        // What is stored is its owner's alone; sled's own files lie below.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        wait_for_lock(&directory.join("db"))?;
        remove_snapshots(directory, |name| name.ends_with(".generating"))?;
        let db = match unless_it_panics(|| open(directory))? {
            Err(sled::Error::Corruption { .. }) => {
                remove_snapshots(directory, |_| true)?;
                // The attempt that failed lets go of the file on a thread of its own, too.
                wait_for_lock(&directory.join("db"))?;
                unless_it_panics(|| open(directory))?
            }
            other => other,
        }?;
        let file = File::options()
            .read(true)
            .write(true)
            .open(directory.join("db"))?;
        // The names of a new database, before anything depends on them.
        db.flush()?;
        file.sync_data()?;
        sync_directory(directory)?;
        if let Some(parent) = directory.parent() {
            sync_directory(parent)?;
        }
        Ok(Self {
            db,
            directory: directory.to_owned(),
            file,
        })
    }
}

/// Waits until a database that this process dropped has let go of its file: sled does so on a thread of
/// its own, some time later, and refuses to open until then. Nobody else can hold it, the data
/// directory's lock sees to that.
pub(super) fn wait_for_lock(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// What sled answers. Of damage that its checksums do not cover, a bit of a length for instance, it panics: that is
/// damage like any other.
fn unless_it_panics<T>(ask: impl FnOnce() -> T) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(ask)).map_err(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        let words = words.unwrap_or("it does not say why");
        ImageError::Damaged(format!("the image engine panicked: {words}"))
    })
}

fn open(directory: &Path) -> sled::Result<Db> {
    config(directory).open()
}

pub(super) fn config(directory: &Path) -> Config {
    Config::new()
        .path(directory)
        .mode(Mode::LowSpace)
        .cache_capacity(IMAGE_CACHE_BYTES)
        // Its own flusher only logs a failed sync.
        .flush_every_ms(None)
}

/// Removes sled's snapshot files whose name `is_gone` picks.
fn remove_snapshots(directory: &Path, is_gone: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && is_gone(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Image for SledImage {
    fn load(&mut self) -> Result<Vec<ImageValue>, ImageError> {
        unless_it_panics(|| {
            let mut values = Vec::new();
            for entry in self.db.iter() {
                let (key, value) = entry?;
                values.push((key.to_vec(), value.to_vec()));
            }
            Ok(values)
        })?
    }

    fn apply(&mut self, batch: ImageBatch) -> Result<(), ImageError> {
        let mut changes = Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => {
                    assert!(
                        value.len() <= IMAGE_VALUE_BYTES_MAX,
                        "image values are chunked"
                    );
                    changes.insert(key, value);
                }
                None => changes.remove(key),
            }
        }
        self.db.apply_batch(changes)?;
        self.db.flush()?;
        sync_blobs(&self.directory)?;
        self.file.sync_data()?;
        sync_directory(&self.directory)?;
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}

/// Syncs what sled put aside as blobs. Short values make none; if some appear they are made durable
/// before the file that points to them. Answers whether there were any.
pub(super) fn sync_blobs(directory: &Path) -> io::Result<bool> {
    let blobs = directory.join("blobs");
    let entries = match fs::read_dir(&blobs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut is_any = false;
    for entry in entries {
        File::open(entry?.path())?.sync_all()?;
        is_any = true;
    }
    if is_any {
        tracing::warn!(path = %blobs.display(), "the image engine wrote blob files");
        sync_directory(&blobs)?;
    }
    Ok(is_any)
}

//! Makes a data directory of a backup. Until everything is there and is what the manifest says, its
//! `format` file says that it is none yet, so a restore that is cut short leaves nothing that opens.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    archive::{ArchiveError, Reader, Receive},
    directory::{Checker, DirectoryError, at, read_manifest},
    manifest::{self, Manifest},
};
use crate::{
    digest::read_through,
    disk::{self, Disk, DiskFile, parent},
    limits::READ_BYTES_MAX,
    recovery::{FORMAT_VERSION, RESTORING},
};

/// Why a restore came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup or the target cannot be read or written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(ArchiveError),
    /// There is no backup.
    #[error("{} is no backup", .0.display())]
    NoBackup(PathBuf),
    /// The target has something in it.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// A server uses the target.
    #[error("{} is in use by a server", .0.display())]
    Locked(PathBuf),
}

impl From<ArchiveError> for RestoreError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Receiver(error) => Self::Directory(error),
            other => Self::Archive(other),
        }
    }
}

/// Whether a restore would overwrite something; what an earlier one left that was cut short is nothing.
///
/// # Errors
/// The disk failed.
pub fn is_empty(disk: &dyn Disk, data: &Path) -> Result<bool, DirectoryError> {
    match disk.list(data) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Ok(entries) if entries.iter().any(|entry| entry.name == "format") => {
            let format = data.join("format");
            let content = disk::read_all(disk, &format).map_err(at(&format))?;
            Ok(content == RESTORING)
        }
        Ok(entries) => Ok(entries.iter().all(|entry| entry.name == "LOCK")),
        Err(error) => Err(at(data)(error)),
    }
}

/// Makes `data` the data directory that was backed up to `from`, a directory or an archive. With
/// `overwrite` whatever is there goes first. `progress` is told of bytes as they are written.
///
/// # Errors
/// See [`RestoreError`]. When it was under way, what is there does not open; it may be run again.
pub fn restore(
    disk: &Arc<dyn Disk>,
    from: &Path,
    data: &Path,
    overwrite: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Manifest, RestoreError> {
    let source = Source::open(&**disk, from)?;
    if !is_empty(&**disk, data)? {
        if !overwrite {
            return Err(RestoreError::NotEmpty(data.to_owned()));
        }
        // What is there goes only for a backup that is whole.
        let mut checker = Checker::default();
        let manifest = transfer(&**disk, from, &source, &mut checker)?;
        checker.finish(&manifest)?;
    }
    disk.create_dir(data).map_err(at(data))?;
    let lock = data.join("LOCK");
    let Some(_lock) = disk.lock(&lock).map_err(at(&lock))? else {
        return Err(RestoreError::Locked(data.to_owned()));
    };
    let format = data.join("format");
    disk::replace(&**disk, &format, RESTORING).map_err(at(&format))?;
    clear(&**disk, data)?;
    let mut target = Target {
        disk: Arc::clone(disk),
        data: data.to_owned(),
        directories: BTreeSet::new(),
        current: None,
        checker: Checker::default(),
        progress,
    };
    let manifest = transfer(&**disk, from, &source, &mut target)?;
    let manifest = target.finish(&manifest)?;
    let content = format!("fnctl data directory, format {FORMAT_VERSION}\n");
    disk::replace(&**disk, &format, content.as_bytes()).map_err(at(&format))?;
    Ok(manifest)
}

/// Reads a backup into `receive`; answers its manifest, encoded.
fn transfer(
    disk: &dyn Disk,
    from: &Path,
    source: &Source,
    receive: &mut dyn Receive,
) -> Result<Vec<u8>, RestoreError> {
    match source {
        Source::Directory(manifest) => {
            for item in &manifest.items {
                let name = item.stored(manifest.next);
                copy(disk, &from.join(&name), &name, item.bytes, receive)?;
            }
            Ok(manifest.encode())
        }
        Source::Archive(file) => unpack(&**file, from, receive),
    }
}

enum Source {
    Directory(Manifest),
    Archive(Arc<dyn DiskFile>),
}

impl Source {
    fn open(disk: &dyn Disk, from: &Path) -> Result<Self, RestoreError> {
        if disk.list(from).is_ok() {
            let manifest = read_manifest(disk, from)?;
            let manifest = manifest.ok_or_else(|| RestoreError::NoBackup(from.to_owned()))?;
            return Ok(Self::Directory(manifest));
        }
        match disk.open_to_read(from) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(RestoreError::NoBackup(from.to_owned()))
            }
            file => Ok(Self::Archive(file.map_err(at(from))?)),
        }
    }
}

/// Removes everything but the lock and the file that says what is going on.
fn clear(disk: &dyn Disk, data: &Path) -> Result<(), DirectoryError> {
    for entry in disk.list(data).map_err(at(data))? {
        let path = data.join(&entry.name);
        if entry.is_dir {
            disk.remove_dir(&path).map_err(at(&path))?;
        } else if entry.name != "LOCK" && entry.name != "format" {
            disk.remove(&path).map_err(at(&path))?;
        }
    }
    disk.sync_dir(data).map_err(at(data))
}

fn copy(
    disk: &dyn Disk,
    path: &Path,
    name: &str,
    bytes: u64,
    receive: &mut dyn Receive,
) -> Result<(), RestoreError> {
    let file = match disk.open_to_read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(DirectoryError::Damaged(path.to_owned()).into());
        }
        file => file.map_err(at(path))?,
    };
    receive.begin(name, bytes)?;
    read_through(&*file, bytes, at(path), |piece| receive.data(piece))?;
    Ok(receive.end()?)
}

fn unpack(
    file: &dyn DiskFile,
    path: &Path,
    receive: &mut dyn Receive,
) -> Result<Vec<u8>, RestoreError> {
    let mut reader = Reader::default();
    let mut buffer = vec![0; READ_BYTES_MAX];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut buffer, offset).map_err(at(path))?;
        if read == 0 {
            return Ok(reader.finish()?);
        }
        reader.push(&buffer[..read], receive)?;
        offset += read as u64;
    }
}

/// A data directory in the making.
struct Target<'a> {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    directories: BTreeSet<PathBuf>,
    current: Option<(PathBuf, Arc<dyn DiskFile>, u64)>,
    checker: Checker,
    progress: &'a mut dyn FnMut(u64),
}

impl Target<'_> {
    fn finish(self, manifest: &[u8]) -> Result<Manifest, DirectoryError> {
        let manifest = self.checker.finish(manifest)?;
        for directory in &self.directories {
            self.disk.sync_dir(directory).map_err(at(directory))?;
        }
        self.disk.sync_dir(&self.data).map_err(at(&self.data))?;
        if let Some(above) = self
            .data
            .parent()
            .filter(|above| !above.as_os_str().is_empty())
        {
            self.disk.sync_dir(above).map_err(at(above))?;
        }
        Ok(manifest)
    }
}

impl Receive for Target<'_> {
    fn begin(&mut self, name: &str, bytes: u64) -> Result<(), DirectoryError> {
        let path = self.data.join(manifest::target_of(name));
        let mut above = parent(&path);
        self.disk.create_dir(above).map_err(at(above))?;
        while above != self.data {
            self.directories.insert(above.to_owned());
            above = parent(above);
        }
        let file = self.disk.create(&path).map_err(at(&path))?;
        self.current = Some((path, file, 0));
        self.checker.begin(name, bytes)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), DirectoryError> {
        let (path, file, offset) = self.current.as_mut().expect("a file has begun");
        file.write_at(bytes, *offset).map_err(at(path))?;
        *offset += bytes.len() as u64;
        (self.progress)(bytes.len() as u64);
        self.checker.data(bytes)
    }

    fn end(&mut self) -> Result<(), DirectoryError> {
        let (path, file, _) = self.current.take().expect("a file has begun");
        file.sync().map_err(at(&path))?;
        self.checker.end()
    }
}

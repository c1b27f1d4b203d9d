//! A backup in a directory: files that never change are taken over from one backup to the next; the
//! manifest is exchanged last, so an interrupted backup leaves the one before it as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    archive::Receive,
    manifest::{self, Item, Manifest, ManifestError},
};
use crate::{
    digest::{Digester, read_through},
    disk::{self, Disk, DiskFile, parent},
};

/// Why a backup cannot be written, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The directory is in use for something else.
    #[error("{} is not empty and no backup", .0.display())]
    NoBackup(PathBuf),
    /// It is the backup of another data directory.
    #[error("{} is the backup of another data directory", .0.display())]
    OtherBackup(PathBuf),
    /// Its manifest cannot be used.
    #[error("{}: {error}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        error: ManifestError,
    },
    /// A file is not what the manifest says.
    #[error("{} is not what was backed up", .0.display())]
    Damaged(PathBuf),
    /// The disk failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::Io { path, source }
}

/// Reads the manifest of a backup directory; `None` when there is none.
///
/// # Errors
/// It cannot be read.
pub fn read_manifest(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Option<Manifest>, DirectoryError> {
    let path = directory.join(manifest::FILE);
    let file = match disk.open_to_read(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        file => file.map_err(at(&path))?,
    };
    let length = file.length().map_err(at(&path))?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    disk::read_exact(&*file, &mut bytes, 0).map_err(at(&path))?;
    let decoded = Manifest::decode(&bytes);
    let manifest = decoded.map_err(|error| DirectoryError::Manifest { path, error })?;
    Ok(Some(manifest))
}

/// A backup directory that is being written.
pub struct Receiver {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// Of the backup that is there.
    journal: Option<u64>,
    /// What is there already, checked against its digests.
    kept: Vec<Item>,
    /// Digests of what came, by stored name.
    received: BTreeMap<String, (u64, Arc<str>)>,
    directories: BTreeSet<PathBuf>,
    current: Option<Current>,
}

struct Current {
    name: String,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    offset: u64,
    digester: Digester,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// What a backup directory holds after a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The manifest.
    pub manifest: Manifest,
    /// Files that were there already.
    pub reused: u64,
}

impl Receiver {
    /// Into a directory, which is made, or is empty, or holds an earlier backup. What is there of it is
    /// checked by content; damaged files are sent again.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, DirectoryError> {
        disk.create_dir(directory).map_err(at(directory))?;
        let (mut kept, mut journal) = (Vec::new(), None);
        if let Some(manifest) = read_manifest(&*disk, directory)? {
            journal = Some(manifest.journal);
            for item in manifest
                .items
                .into_iter()
                .filter(|item| item.identity.is_some())
            {
                let path = directory.join(&item.target);
                let Ok(file) = disk.open_to_read(&path) else {
                    continue;
                };
                let found = read_through(&*file, item.bytes, at(&path), |_| Ok(()))?;
                if found.as_ref() == Some(&item.sha256) {
                    kept.push(item);
                }
            }
        } else {
            let entries = disk.list(directory).map_err(at(directory))?;
            let is_ours = |name: &str| {
                name.starts_with("at-") || matches!(name, "artifacts" | "streams" | "MANIFEST.tmp")
            };
            if !entries.iter().all(|entry| is_ours(&entry.name)) {
                return Err(DirectoryError::NoBackup(directory.to_owned()));
            }
        }
        Ok(Self {
            disk,
            directory: directory.to_owned(),
            journal,
            kept,
            received: BTreeMap::new(),
            directories: BTreeSet::from([directory.to_owned()]),
            current: None,
        })
    }

    /// What need not be sent.
    #[must_use]
    pub fn kept(&self) -> &[Item] {
        &self.kept
    }

    /// Checks that everything the manifest names is there, makes it the backup, and removes what
    /// belonged to the one before alone.
    ///
    /// # Errors
    /// See [`DirectoryError`]; then the backup before is what the directory holds.
    pub fn finish(self, manifest: &[u8]) -> Result<Stored, DirectoryError> {
        let path = self.directory.join(manifest::FILE);
        let decoded = Manifest::decode(manifest);
        let decoded = decoded.map_err(|error| DirectoryError::Manifest {
            path: path.clone(),
            error,
        })?;
        if self
            .journal
            .is_some_and(|journal| journal != decoded.journal)
        {
            return Err(DirectoryError::OtherBackup(self.directory));
        }
        let mut reused = 0;
        for item in &decoded.items {
            let name = item.stored(decoded.next);
            let is_received = self
                .received
                .get(&name)
                .is_some_and(|(bytes, sha256)| *bytes == item.bytes && *sha256 == item.sha256);
            if !is_received {
                if !self.kept.contains(item) {
                    return Err(DirectoryError::Damaged(self.directory.join(name)));
                }
                reused += 1;
            }
        }
        for directory in &self.directories {
            self.disk.sync_dir(directory).map_err(at(directory))?;
        }
        if let Some(above) = self
            .directory
            .parent()
            .filter(|above| !above.as_os_str().is_empty())
        {
            // The directory itself may be new.
            self.disk.sync_dir(above).map_err(at(above))?;
        }
        disk::replace(&*self.disk, &path, manifest).map_err(at(&path))?;
        self.tidy(&decoded)?;
        Ok(Stored {
            manifest: decoded,
            reused,
        })
    }

    fn tidy(&self, manifest: &Manifest) -> Result<(), DirectoryError> {
        let needed: BTreeSet<PathBuf> = manifest
            .items
            .iter()
            .map(|item| self.directory.join(item.stored(manifest.next)))
            .collect();
        let passing = self
            .directory
            .join(manifest::passing_directory(manifest.next));
        for entry in self
            .disk
            .list(&self.directory)
            .map_err(at(&self.directory))?
        {
            let path = self.directory.join(&entry.name);
            if entry.name.starts_with("at-") && path != passing {
                self.disk.remove_dir(&path).map_err(at(&path))?;
            } else if entry.is_dir && path != passing {
                remove_unneeded(&*self.disk, &path, &needed)?;
            }
        }
        Ok(())
    }
}

/// Removes the files below `directory` that no manifest names.
fn remove_unneeded(
    disk: &dyn Disk,
    directory: &Path,
    needed: &BTreeSet<PathBuf>,
) -> Result<(), DirectoryError> {
    for entry in disk.list(directory).map_err(at(directory))? {
        let path = directory.join(&entry.name);
        if entry.is_dir {
            remove_unneeded(disk, &path, needed)?;
        } else if !needed.contains(&path) {
            disk.remove(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}

impl Receive for Receiver {
    fn begin(&mut self, name: &str, _bytes: u64) -> Result<(), DirectoryError> {
        let path = self.directory.join(name);
        let mut above = parent(&path);
        self.disk.create_dir(above).map_err(at(above))?;
        while above != self.directory {
            self.directories.insert(above.to_owned());
            above = parent(above);
        }
        // A name of its own until it is whole: it may replace one that the backup before names.
        let partial = path.with_extension("partial");
        let file = self.disk.create(&partial).map_err(at(&partial))?;
        self.current = Some(Current {
            name: name.to_owned(),
            path,
            file,
            offset: 0,
            digester: Digester::default(),
        });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), DirectoryError> {
        let current = self.current.as_mut().expect("a file has begun");
        current
            .file
            .write_at(bytes, current.offset)
            .map_err(at(&current.path))?;
        current.offset += bytes.len() as u64;
        current.digester.push(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), DirectoryError> {
        let current = self.current.take().expect("a file has begun");
        let path = current.path;
        current.file.sync().map_err(at(&path))?;
        let partial = path.with_extension("partial");
        self.disk.rename(&partial, &path).map_err(at(&path))?;
        let digest = current.digester.finish();
        self.received.insert(current.name, (current.offset, digest));
        Ok(())
    }
}

/// Checks an archive while it passes, and writes nothing.
#[derive(Debug, Default)]
pub struct Checker {
    received: BTreeMap<String, (u64, Arc<str>)>,
    current: Option<(String, u64, Digester)>,
}

impl Checker {
    /// The manifest, if every file was what it says.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn finish(self, manifest: &[u8]) -> Result<Manifest, DirectoryError> {
        let path = PathBuf::from(manifest::FILE);
        let decoded = Manifest::decode(manifest);
        let decoded = decoded.map_err(|error| DirectoryError::Manifest { path, error })?;
        for item in &decoded.items {
            let name = item.stored(decoded.next);
            if self.received.get(&name) != Some(&(item.bytes, Arc::clone(&item.sha256))) {
                return Err(DirectoryError::Damaged(name.into()));
            }
        }
        Ok(decoded)
    }
}

impl Receive for Checker {
    fn begin(&mut self, name: &str, _bytes: u64) -> Result<(), DirectoryError> {
        self.current = Some((name.to_owned(), 0, Digester::default()));
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), DirectoryError> {
        let (_, length, digester) = self.current.as_mut().expect("a file has begun");
        *length += bytes.len() as u64;
        digester.push(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), DirectoryError> {
        let (name, length, digester) = self.current.take().expect("a file has begun");
        self.received.insert(name, (length, digester.finish()));
        Ok(())
    }
}

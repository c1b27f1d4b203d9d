//! A disk laid over another one: it shows what is there, takes every change, and makes none. So the real
//! start can be run over a data directory to learn what it would do, without doing it.

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use self::file::{Closed, Content, OverlayFile};
use crate::{
    disk::{DirEntry, DirLock, Disk, DiskFile, FileSystem, parent},
    image::{Image, ImageError, ImageValue, memory::MemoryImage},
};

/// The upper layer over a disk that is only read.
#[derive(Clone)]
pub(crate) struct Overlay {
    below: Arc<dyn Disk>,
    upper: Arc<Mutex<Upper>>,
}

/// What differs from the disk below.
#[derive(Default)]
struct Upper {
    /// Files made or changed; `None`: removed.
    files: BTreeMap<PathBuf, Option<Arc<Mutex<Content>>>>,
    made: BTreeSet<PathBuf>,
    removed: BTreeSet<PathBuf>,
    /// Why the image below could not be read.
    image_error: Option<String>,
}

struct Held;

impl DirLock for Held {}

struct Unsynced;

impl FileSystem for Unsynced {
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Overlay {
    /// Nothing laid over `below` yet.
    pub(crate) fn new(below: Arc<dyn Disk>) -> Self {
        Self {
            below,
            upper: Arc::default(),
        }
    }

    /// Whether a file was made that is not there below.
    pub(crate) fn made_file(&self, path: &Path) -> bool {
        let is_made = matches!(self.lock_upper().files.get(path), Some(Some(_)));
        is_made && self.below.open_to_read(path).is_err()
    }

    /// Files that are there below and were removed.
    pub(crate) fn removed_files(&self) -> Vec<PathBuf> {
        let upper = self.lock_upper();
        let is_removed = |(path, content): (&PathBuf, &Option<_>)| {
            (content.is_none() && self.below.open_to_read(path).is_ok()).then(|| path.clone())
        };
        upper.files.iter().filter_map(is_removed).collect()
    }

    /// Directories that were removed, with all in them.
    pub(crate) fn removed_directories(&self) -> Vec<PathBuf> {
        self.lock_upper().removed.iter().cloned().collect()
    }

    /// Why the image below could not be read, if it was asked for and could not.
    pub(crate) fn image_error(&self) -> Option<String> {
        self.lock_upper().image_error.clone()
    }

    fn lock_upper(&self) -> MutexGuard<'_, Upper> {
        self.upper.lock().expect("nothing panics under this lock")
    }

    fn find(&self, path: &Path) -> io::Result<Arc<Mutex<Content>>> {
        {
            let upper = self.lock_upper();
            match upper.files.get(path) {
                Some(Some(content)) => return Ok(Arc::clone(content)),
                Some(None) => return Err(ErrorKind::NotFound.into()),
                None if upper.is_removed(path) => return Err(ErrorKind::NotFound.into()),
                None => {}
            }
        }
        let file = self.below.open_to_read(path)?;
        Ok(Arc::new(Mutex::new(Content::over(file)?)))
    }

    fn file(&self, path: &Path, content: Arc<Mutex<Content>>) -> Arc<dyn DiskFile> {
        let disk = self.clone();
        Arc::new(OverlayFile::new(disk, path.to_owned(), content))
    }

    /// From its first change on a file lives in the upper layer.
    fn keep(&self, path: &Path, content: &Arc<Mutex<Content>>) {
        let mut upper = self.lock_upper();
        upper.files.entry(path.to_owned()).or_insert_with(|| {
            // Many may be changed; none of them is held open for it.
            let closed = Closed::new(Arc::clone(&self.below), path.to_owned());
            content
                .lock()
                .expect("nothing panics under this lock")
                .close(closed);
            Some(Arc::clone(content))
        });
    }
}

impl Upper {
    fn is_removed(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.removed.contains(above))
    }
}

impl Disk for Overlay {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.lock_upper().made.insert(path.to_owned());
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let content = Arc::new(Mutex::new(Content::default()));
        let mut upper = self.lock_upper();
        upper
            .files
            .insert(path.to_owned(), Some(Arc::clone(&content)));
        drop(upper);
        Ok(self.file(path, content))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(path, self.find(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let content = self.find(from)?;
        let mut upper = self.lock_upper();
        upper.files.insert(from.to_owned(), None);
        upper.files.insert(to.to_owned(), Some(content));
        drop(upper);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        self.lock_upper().files.insert(path.to_owned(), None);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut upper = self.lock_upper();
        upper.files.retain(|file, _| !file.starts_with(path));
        upper.made.retain(|made| !made.starts_with(path));
        upper.removed.insert(path.to_owned());
        drop(upper);
        Ok(())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let upper = self.lock_upper();
        let below = if upper.is_removed(path) {
            Err(ErrorKind::NotFound.into())
        } else {
            self.below.list(path)
        };
        let mut entries: BTreeMap<String, bool> = match below {
            Ok(entries) => entries.into_iter().map(|e| (e.name, e.is_dir)).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound && upper.made.contains(path) => {
                BTreeMap::new()
            }
            Err(error) => return Err(error),
        };
        entries.retain(|name, _| !upper.removed.contains(&path.join(name)));
        let name = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
        for (file, content) in upper.files.iter().filter(|(f, _)| parent(f) == path) {
            match (name(file), content) {
                (Some(name), Some(_)) => drop(entries.insert(name, false)),
                (Some(name), None) => drop(entries.remove(&name)),
                (None, _) => {}
            }
        }
        let made = upper.made.iter().filter(|made| made.parent() == Some(path));
        entries.extend(made.filter_map(|made| Some((name(made)?, true))));
        Ok(entries
            .into_iter()
            .map(|(name, is_dir)| DirEntry { name, is_dir })
            .collect())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.below.free_bytes(path)
    }

    fn file_system(&self, _path: &Path) -> io::Result<Box<dyn FileSystem>> {
        Ok(Box::new(Unsynced))
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        Ok(Some(Box::new(Held)))
    }

    fn open_image(&self, path: &Path) -> Result<Box<dyn Image>, ImageError> {
        let mut image = MemoryImage::default();
        let is_there = !self.lock_upper().is_removed(path) && self.below.list(path).is_ok();
        if is_there {
            let values: Vec<ImageValue> = self.below.read_image(path).inspect_err(|error| {
                self.lock_upper().image_error = Some(error.to_string());
            })?;
            image.apply(values.into_iter().map(|(k, v)| (k, Some(v))).collect())?;
        }
        Ok(Box::new(image))
    }

    fn salt(&self) -> u64 {
        self.below.salt()
    }
}

#[cfg(test)]
mod tests;

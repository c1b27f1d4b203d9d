//! What touches data files: one trait, so that a simulated disk can drive the real code.
//!
//! Every method is blocking. Paths are those the store builds below its data directory. Nothing here
//! retries: whoever calls decides what a failure means (commit and storage rules §5: a failed write or
//! sync stops the node).

pub(crate) mod overlay;
pub mod real;
pub(crate) mod remote;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated;

use std::{fmt, io, path::Path, sync::Arc};

use bytes::Bytes;

use crate::image::{Image, ImageError, ImageValue};

/// An open file. Reads and writes name their offset; there is no cursor to share.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Writes all of `bytes` at `offset`. Durable only after [`Self::sync`].
    ///
    /// # Errors
    /// Any failure, a short write included.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills `buffer` from `offset`, as far as the file goes; returns how many bytes that were.
    ///
    /// # Errors
    /// Any failure to read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// `length` bytes from `offset`, fewer where the file ends, in memory of their own: for those who read
    /// much of a file once. A disk may read them past its cache.
    ///
    /// # Errors
    /// Any failure to read.
    fn read_piece(&self, length: usize, offset: u64) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        let filled = self.read_at(&mut bytes, offset)?;
        bytes.truncate(filled);
        Ok(bytes.into())
    }

    /// Makes content and length durable (`fdatasync`). After an error nothing may be assumed about
    /// the file; a second call proves nothing.
    ///
    /// # Errors
    /// Any failure.
    fn sync(&self) -> io::Result<()>;

    /// Reserves blocks up to `length` and extends the file to it with zeros.
    ///
    /// # Errors
    /// Any failure, a full disk first of all.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Cuts (or extends) the file to `length`.
    ///
    /// # Errors
    /// Any failure.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Current length, bytes.
    ///
    /// # Errors
    /// Any failure.
    fn length(&self) -> io::Result<u64>;
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name; names that are not UTF-8 are none of ours and left out.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// A process that holds a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name, where that can be had.
    pub name: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        match &self.name {
            Some(name) => write!(f, " (`{name}`)"),
            None => Ok(()),
        }
    }
}

/// Held as long as the data directory is ours.
pub trait DirLock: Send + Sync {}

/// A mounted file system, opened before the first write so that no failure goes unseen.
pub trait FileSystem: Send + Sync {
    /// Makes everything on it durable, names included (`syncfs`).
    ///
    /// # Errors
    /// Any failure since it was opened.
    fn sync(&self) -> io::Result<()>;
}

/// A disk: files, directories, and the image engine that lives on it.
pub trait Disk: Send + Sync + 'static {
    /// Makes a directory and its parents; one that exists is fine.
    ///
    /// # Errors
    /// Any failure.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Opens a new, empty file for reading and writing; content of an existing one is dropped.
    ///
    /// # Errors
    /// Any failure.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound`, or any other failure.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// As [`Self::create`], for a file that is written from front to back and seldom read: a disk may
    /// write it past its cache, and may end it with zeros up to a multiple of
    /// [`crate::limits::DIRECT_BLOCK_BYTES`] until it is synced.
    ///
    /// # Errors
    /// Any failure.
    fn create_log(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.create(path)
    }

    /// As [`Self::open`], for a file as [`Self::create_log`] makes them.
    ///
    /// # Errors
    /// `NotFound`, or any other failure.
    fn open_log(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    /// Renames a file, replacing the target. Durable only after [`Self::sync_dir`].
    ///
    /// # Errors
    /// Any failure.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`, or any other failure.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with all in it.
    ///
    /// # Errors
    /// `NotFound`, or any other failure.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Any failure.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// What is in a directory, by name.
    ///
    /// # Errors
    /// `NotFound`, or any other failure.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Bytes that may still be written to the file system of `path`.
    ///
    /// # Errors
    /// Any failure.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Opens the file system that `path` lies on.
    ///
    /// # Errors
    /// Any failure.
    fn file_system(&self, path: &Path) -> io::Result<Box<dyn FileSystem>>;

    /// Takes the lock file, creating it, and the directory that it lies in, which nobody can take away
    /// under whoever holds it; `None` when another process holds either.
    ///
    /// # Errors
    /// Any other failure.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>>;

    /// Who holds the lock that [`Self::lock`] was refused, where that can be seen.
    fn holder(&self, path: &Path) -> Option<Holder> {
        let _ = path;
        None
    }

    /// What `statfs` says of the type of the file system that `path` lies on; 0: a disk of no such type.
    ///
    /// # Errors
    /// Any failure.
    fn file_system_magic(&self, path: &Path) -> io::Result<u64> {
        let _ = path;
        Ok(0)
    }

    /// Opens the image in directory `path`, an empty one when there is none.
    ///
    /// # Errors
    /// The engine cannot open what is there.
    fn open_image(&self, path: &Path) -> Result<Box<dyn Image>, ImageError>;

    /// A number no earlier file was given: journal ids and file salts.
    fn salt(&self) -> u64;

    /// Opens an existing file for reading alone, where nothing may be written.
    ///
    /// # Errors
    /// `NotFound`, or any other failure.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    /// As [`Self::lock`], writing nothing: where there is no lock file the directory alone is taken.
    ///
    /// # Errors
    /// `NotFound` where the directory cannot be taken either, or any other failure.
    fn lock_to_read(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.lock(path)
    }

    /// What the image in directory `path` holds, without touching it: an engine that writes while it
    /// reads is given a copy.
    ///
    /// # Errors
    /// The engine cannot open what is there.
    fn read_image(&self, path: &Path) -> Result<Vec<ImageValue>, ImageError> {
        self.open_image(path)?.load()
    }
}

impl<D: Disk> Disk for Arc<D> {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        (**self).create_dir(path)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        (**self).create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        (**self).open(path)
    }
    fn create_log(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        (**self).create_log(path)
    }
    fn open_log(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        (**self).open_log(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (**self).rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        (**self).remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        (**self).remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        (**self).sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        (**self).list(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        (**self).free_bytes(path)
    }
    fn file_system(&self, path: &Path) -> io::Result<Box<dyn FileSystem>> {
        (**self).file_system(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        (**self).lock(path)
    }
    fn holder(&self, path: &Path) -> Option<Holder> {
        (**self).holder(path)
    }
    fn file_system_magic(&self, path: &Path) -> io::Result<u64> {
        (**self).file_system_magic(path)
    }
    fn open_image(&self, path: &Path) -> Result<Box<dyn Image>, ImageError> {
        (**self).open_image(path)
    }
    fn salt(&self) -> u64 {
        (**self).salt()
    }
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        (**self).open_to_read(path)
    }
    fn lock_to_read(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        (**self).lock_to_read(path)
    }
    fn read_image(&self, path: &Path) -> Result<Vec<ImageValue>, ImageError> {
        (**self).read_image(path)
    }
}

/// Fills `buffer` from `offset` or fails: for places whose length is known.
///
/// # Errors
/// Any failure to read, and `UnexpectedEof` when the file ends early.
pub(crate) fn read_exact(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    if file.read_at(buffer, offset)? < buffer.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Writes a whole small file so that it is there in full or not at all: temporary name, sync, rename,
/// directory sync.
///
/// # Errors
/// Any failure.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let file = disk.create(&temporary)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(parent(path))
}

/// The directory a file of ours lies in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent()
        .expect("every path of the store lies below its data directory")
}

/// Reads a whole file.
///
/// # Errors
/// Any failure.
pub(crate) fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let length = usize::try_from(file.length()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    read_exact(&*file, &mut bytes, 0)?;
    Ok(bytes)
}

/// Reads a whole small file; `None` where there is none.
///
/// # Errors
/// It cannot be read, or has more than `most` bytes.
pub(crate) fn read_at_most(
    disk: &dyn Disk,
    path: &Path,
    most: usize,
) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open_to_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.length()?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > most {
        let words = format!("it has {length} bytes, and at most {most} are ours");
        return Err(io::Error::new(io::ErrorKind::InvalidData, words));
    }
    let mut bytes = vec![0; length];
    let filled = file.read_at(&mut bytes, 0)?;
    bytes.truncate(filled);
    Ok(Some(bytes))
}

//! The file of access tokens in a data directory: whole or as it was, readable by its owner alone. What it
//! says is the server's; a backup leaves it out.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    disk::{self, DirLock, Disk},
    limits::{ACCESS_BYTES_MAX, ACCESS_FILE},
    recovery::{self, OpenError},
};

/// A data directory held by a command that changes its tokens while no server runs.
pub struct HeldDirectory {
    data: PathBuf,
    disk: Box<dyn Disk>,
    _lock: Box<dyn DirLock>,
}

impl HeldDirectory {
    /// Holds a data directory, which is made when missing.
    ///
    /// # Errors
    /// A server has it, it is no data directory, or the disk fails.
    pub fn take<D: Disk>(data: &Path, disk: D) -> Result<Self, OpenError> {
        let lock = recovery::hold(&disk, data)?;
        Ok(Self {
            data: data.to_owned(),
            disk: Box::new(disk),
            _lock: lock,
        })
    }

    /// As [`read`].
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(&self) -> io::Result<Option<Vec<u8>>> {
        read(&*self.disk, &self.data)
    }

    /// As [`write()`].
    ///
    /// # Errors
    /// As [`write()`].
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        write(&*self.disk, &self.data, bytes)
    }
}

/// The file's content; `None` where there is none.
///
/// # Errors
/// It cannot be read, or is larger than any of ours.
pub fn read(disk: &dyn Disk, data: &Path) -> io::Result<Option<Vec<u8>>> {
    disk::read_at_most(disk, &data.join(ACCESS_FILE), ACCESS_BYTES_MAX)
}

/// Replaces the file: durable when it returns, and never half.
///
/// # Errors
/// It cannot be written; what was there is there.
pub fn write(disk: &dyn Disk, data: &Path, bytes: &[u8]) -> io::Result<()> {
    disk::replace(disk, &data.join(ACCESS_FILE), bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::disk::real::RealDisk;

    #[test]
    fn the_file_is_replaced_whole_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let held = HeldDirectory::take(&data, RealDisk).unwrap();
        assert_eq!(held.read().unwrap(), None);
        held.write(b"first, and longer").unwrap();
        held.write(b"second").unwrap();
        assert_eq!(held.read().unwrap().as_deref(), Some(&b"second"[..]));
        let mode = std::fs::metadata(data.join(ACCESS_FILE)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert!(matches!(
            HeldDirectory::take(&data, RealDisk),
            Err(OpenError::Locked { .. })
        ));
    }

    #[test]
    fn a_directory_of_something_else_gets_no_tokens() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.tex"), b"words").unwrap();
        let taken = HeldDirectory::take(folder.path(), RealDisk);
        assert!(matches!(taken, Err(OpenError::NoDataDirectory { .. })));
        assert!(!folder.path().join("LOCK").exists());
    }

    #[test]
    fn a_file_beyond_its_bound_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ACCESS_FILE);
        std::fs::write(path, vec![b' '; ACCESS_BYTES_MAX + 1]).unwrap();
        assert!(read(&RealDisk, folder.path()).is_err());
    }
}

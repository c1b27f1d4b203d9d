//! The lock of a data directory: held on the directory itself, which cannot be unlinked from under it
//! while anything lies in it, and on its lock file, where earlier versions look.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::{
    fs::{FlockOperation, flock, major, minor},
    io::Errno,
};

use crate::disk::{DirLock, Holder};

#[derive(Debug)]
struct RealLock {
    _directory: Option<File>,
    _file: Option<File>,
}

impl DirLock for RealLock {}

/// Locks the directory, then its lock file; `None` when another process holds either.
pub(super) fn lock(
    directory: &Path,
    file: io::Result<File>,
) -> io::Result<Option<Box<dyn DirLock>>> {
    let directory = File::open(directory)?;
    let directory = match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Some(directory),
        Err(Errno::WOULDBLOCK) => return Ok(None),
        // A file system that locks no directories: the lock file is all that can be had.
        Err(Errno::BADF | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::ISDIR) => None,
        Err(error) => return Err(error.into()),
    };
    let file = match file {
        // The directory is held all the same.
        Err(error) if error.kind() == io::ErrorKind::NotFound && directory.is_some() => None,
        file => Some(file?),
    };
    if let Some(file) = &file {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(Box::new(RealLock {
        _directory: directory,
        _file: file,
    })))
}

/// The process that holds the lock, as the kernel lists it; `None` where it is not to be seen.
pub(super) fn holder(directory: &Path, file: &Path) -> Option<Holder> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = [directory, file].iter().find_map(|path| {
        let meta = fs::metadata(path).ok()?;
        let exact = find(&locks, |device, inode| {
            inode == meta.ino() && device == name_of(meta.dev())
        });
        // Some file systems tell another device than they list.
        exact.or_else(|| {
            let pid = find(&locks, |_, inode| inode == meta.ino())?;
            has_open(pid, &fs::canonicalize(path).ok()?).then_some(pid)
        })
    })?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    Some(Holder {
        pid,
        name: name.map(|name| name.trim_end().to_owned()),
    })
}

/// A device as the kernel lists it.
fn name_of(device: u64) -> String {
    format!("{:02x}:{:02x}", major(device), minor(device))
}

/// Whether a process has this file or directory open, as far as that can be seen.
fn has_open(pid: u32, path: &Path) -> bool {
    let handles = fs::read_dir(format!("/proc/{pid}/fd"));
    let mut links = handles.into_iter().flatten().flatten();
    links.any(|handle| fs::read_link(handle.path()).is_ok_and(|link| link == path))
}

/// The process that locks what is meant by device and inode, of a list such as
/// `1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF`.
fn find(locks: &str, is_meant: impl Fn(&str, u64) -> bool) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = fields[..] else {
            return None;
        };
        let (device, inode) = place.rsplit_once(':')?;
        let is_its = is_meant(device, inode.parse().ok()?);
        // 0 is a process that cannot be seen from here.
        let pid = is_its.then(|| pid.parse().ok()).flatten();
        pid.filter(|&pid| pid > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_an_inode_is_found_among_all_locks() {
        let locks = "1: POSIX  ADVISORY  WRITE 10 08:01:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 11 08:01:78 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 12 08:01:77 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 0 08:01:79 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 4711 08:01:77 0 EOF\n";
        let find = |inode| {
            find(locks, |device, found| {
                device == name_of(rustix::fs::makedev(8, 1)) && found == inode
            })
        };
        assert_eq!(find(77), Some(4711));
        assert_eq!(find(78), Some(11));
        assert_eq!(find(79), None, "not to be seen from here");
        assert_eq!(find(80), None);
    }

    #[test]
    fn a_lock_outlives_its_file_and_names_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, path) = (folder.path(), folder.path().join("LOCK"));
        let held = lock(directory, File::create(&path)).unwrap();
        assert!(held.is_some());
        fs::remove_file(&path).unwrap();
        assert!(lock(directory, File::create(&path)).unwrap().is_none());
        assert_eq!(
            holder(directory, &path).map(|h| h.pid),
            Some(std::process::id())
        );
        drop(held);
        assert!(lock(directory, File::create(&path)).unwrap().is_some());
        fs::remove_file(&path).unwrap();
        // To read needs no lock file.
        assert!(lock(directory, File::open(&path)).unwrap().is_some());
    }
}

//! The disk of the machine.

mod direct;
mod lock;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FallocateFlags, fallocate, fdatasync, statfs, statvfs, syncfs},
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};

use crate::{
    disk::{DirEntry, DirLock, Disk, DiskFile, FileSystem, Holder, parent},
    image::{Image, ImageError, ImageValue, sled::SledImage},
    limits::WRITE_BYTES,
};

/// The file systems that the machine mounts.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(File);

struct RealFileSystem(File);

impl FileSystem for RealFileSystem {
    fn sync(&self) -> io::Result<()> {
        syncfs(&self.0).map_err(io::Error::from)
    }
}

fn write_at(file: &File, bytes: &[u8], mut offset: u64) -> io::Result<()> {
    for piece in bytes.chunks(WRITE_BYTES) {
        file.write_all_at(piece, offset)?;
        offset += piece.len() as u64;
    }
    Ok(())
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn allocate(file: &File, length: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        // A file system without fallocate: a longer file is all that can be had.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(length),
        other => other.map_err(io::Error::from),
    }
}

impl DiskFile for RealFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        write_at(&self.0, bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(&self.0, buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        fdatasync(&self.0).map_err(io::Error::from)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        allocate(&self.0, length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// What is stored is its owner's alone: it holds payloads and a secret.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// A directory beside the data, gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make(salt: u64) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("fnctl-{salt:016x}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is the system's to tidy up.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Copies by reading: a kernel that shares blocks instead would have nothing of them read.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let from = File::open(from)?;
    let to = options().create_new(true).open(to)?;
    let (mut buffer, mut offset) = (vec![0; WRITE_BYTES], 0);
    loop {
        let filled = read_at(&from, &mut buffer, offset)?;
        if filled == 0 {
            return Ok(());
        }
        to.write_all_at(&buffer[..filled], offset)?;
        offset += filled as u64;
    }
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_directory(&entry.path(), &target)?;
        } else {
            copy_file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = options().create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(options().open(path)?)))
    }

    fn create_log(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(direct::open(path, true)?))
    }

    fn open_log(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(direct::open(path, false)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                let is_dir = entry.file_type()?.is_dir();
                entries.push(DirEntry { name, is_dir });
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let space = statvfs(path)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn file_system(&self, path: &Path) -> io::Result<Box<dyn FileSystem>> {
        Ok(Box::new(RealFileSystem(File::open(path)?)))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        let file = options().create(true).truncate(false).open(path);
        lock::lock(parent(path), file)
    }

    fn holder(&self, path: &Path) -> Option<Holder> {
        lock::holder(parent(path), path)
    }

    fn file_system_magic(&self, path: &Path) -> io::Result<u64> {
        let told = statfs(path)?.f_type;
        // Of 32 bits, whatever the type is on this machine.
        Ok(u64::from(told.cast_unsigned() as u32))
    }

    fn open_image(&self, path: &Path) -> Result<Box<dyn Image>, ImageError> {
        Ok(Box::new(SledImage::open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(File::open(path)?)))
    }

    fn lock_to_read(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        lock::lock(parent(path), File::open(path))
    }

    fn read_image(&self, path: &Path) -> Result<Vec<ImageValue>, ImageError> {
        let copy = Scratch::make(self.salt())?;
        copy_directory(path, &copy.0)?;
        SledImage::open(&copy.0)?.load()
    }

    fn salt(&self) -> u64 {
        let mut bytes = [0; 8];
        let filled = getrandom(&mut bytes, GetRandomFlags::empty());
        assert_eq!(filled, Ok(8), "the kernel always has eight random bytes");
        u64::from_le_bytes(bytes)
    }
}

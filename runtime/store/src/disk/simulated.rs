//! A disk in memory that remembers what was synced, and loses or tears the rest: every file and every
//! directory has a durable and a volatile image. From one seed, so that a failure replays.

mod engine;
mod state;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use self::{engine::SimImage, state::State};
pub use self::{
    engine::{Engine, Unsynced},
    state::{Counts, Fault, Habits},
};
use crate::{
    disk::{DirEntry, DirLock, Disk, DiskFile, FileSystem},
    image::{Image, ImageError, ImageValue},
};

/// A simulated disk; clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// What opens images in place of the one in memory.
    engine: Option<Arc<dyn Engine>>,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(seed))),
            engine: None,
        }
    }

    /// An empty disk whose images are those of an engine.
    #[must_use]
    pub fn with_engine(seed: u64, engine: Arc<dyn Engine>) -> Self {
        Self {
            engine: Some(engine),
            ..Self::new(seed)
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }

    /// Lets the `after`-th operation from now, and all that follow, end in a fault.
    pub fn plan(&self, after: u64, fault: Fault) {
        self.lock_state().plan(after, fault);
    }

    /// Nothing planned happens any more.
    pub fn cancel_plan(&self) {
        self.lock_state().cancel_plan();
    }

    /// What the disk does from now on, asked or not.
    pub fn set_habits(&self, habits: Habits) {
        self.lock_state().set_habits(habits);
    }

    /// Whether the machine or the process is down.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.lock_state().is_down()
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock_state().operations()
    }

    /// What was exercised so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock_state().counts()
    }

    /// Bytes that files may take in all.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock_state().set_capacity(bytes);
    }

    /// Bytes that files take.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock_state().used()
    }

    /// The process was killed and the machine stayed up: what was written is still in its memory.
    pub fn kill(&self) {
        self.lock_state().revive();
        self.tell_engine(Unsynced::Kept);
    }

    /// The power went: what was not synced is kept, lost or torn, at random.
    pub fn power_loss(&self) {
        self.lock_state().power_loss();
        self.tell_engine(Unsynced::Torn);
    }

    /// The power went and everything unsynced with it.
    pub fn lose_unsynced(&self) {
        self.lock_state().lose_unsynced();
        self.tell_engine(Unsynced::Lost);
    }

    fn tell_engine(&self, unsynced: Unsynced) {
        if let Some(engine) = &self.engine {
            engine.crashed(unsynced);
        }
    }

    /// Counts an operation that an engine of its own files makes.
    ///
    /// # Errors
    /// The machine is, or just went, down.
    pub fn operate(&self) -> io::Result<()> {
        self.lock_state().operate()
    }

    /// Whether the fault is due for an operation of the image; then it has happened.
    #[must_use]
    pub fn takes_image_fault(&self) -> bool {
        self.lock_state().takes_image_fault()
    }

    /// The next number of the seed's sequence.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.lock_state().random()
    }

    /// The content of a file as a reader sees it.
    #[must_use]
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.lock_state().read(path)
    }

    /// Changes a file behind the store's back, durably.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        self.lock_state().tamper(path, change);
    }

    /// Every file there is.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.lock_state().files()
    }

    /// A copy of an image, to be put back later; an empty one of an image that its engine cannot open.
    #[must_use]
    pub fn copy_image(&self, path: &Path) -> Vec<ImageValue> {
        if self.engine.is_none() {
            return self.lock_state().image(path);
        }
        if !self.lock_state().is_directory(path) {
            return Vec::new();
        }
        let opened = self.open_image(path);
        opened
            .and_then(|mut image| image.load())
            .unwrap_or_default()
    }

    /// Makes it a file system of another type.
    pub fn set_magic(&self, magic: u64) {
        self.lock_state().magic = magic;
    }

    /// Puts a copy of an image in place.
    ///
    /// # Panics
    /// The engine cannot make it.
    pub fn put_image(&self, path: &Path, values: Vec<ImageValue>) {
        if self.engine.is_none() {
            return self.lock_state().put_image(path, values);
        }
        if self.lock_state().is_directory(path) {
            self.remove_dir(path).expect("it is there");
        }
        let batch = values.into_iter().map(|(key, value)| (key, Some(value)));
        let mut image = self.open_image(path).expect("an empty image");
        image.apply(batch.collect()).expect("it is taken");
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.lock_state().write(self.inode, bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.lock_state().read_at(self.inode, buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.lock_state().sync(self.inode)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.disk.lock_state().allocate(self.inode, length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.lock_state().truncate(self.inode, length)
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.lock_state().length(self.inode)
    }
}

struct SimLock(SimDisk, PathBuf);

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.lock_state().unlock(&self.1);
    }
}

struct SimFileSystem(SimDisk);

impl FileSystem for SimFileSystem {
    fn sync(&self) -> io::Result<()> {
        self.0.lock_state().sync_all()
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.lock_state().create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.lock_state().create(path)?;
        let disk = self.clone();
        Ok(Arc::new(SimFile { disk, inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.lock_state().open(path)?;
        let disk = self.clone();
        Ok(Arc::new(SimFile { disk, inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.lock_state().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.lock_state().remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.lock_state().remove_dir(path)?;
        if let Some(engine) = &self.engine {
            engine.removed(path);
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.lock_state().sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.lock_state().list(path)
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        self.lock_state().free_bytes()
    }

    fn file_system_magic(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.lock_state().magic)
    }

    fn file_system(&self, _path: &Path) -> io::Result<Box<dyn FileSystem>> {
        Ok(Box::new(SimFileSystem(self.clone())))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        if !self.lock_state().lock(path)? {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock(self.clone(), path.to_owned()))))
    }

    fn open_image(&self, path: &Path) -> Result<Box<dyn Image>, ImageError> {
        if let Some(engine) = &self.engine {
            return engine.open(self, path);
        }
        self.lock_state().create_image(path)?;
        Ok(Box::new(SimImage::new(self.clone(), path)))
    }

    fn salt(&self) -> u64 {
        self.lock_state().random()
    }
}

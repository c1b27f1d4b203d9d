//! The image in sled, as production has it, with a model of what a crash leaves of its files.
//!
//! sled does its own I/O on threads of its own, so runs with it are not the same call by call. That it
//! syncs is not seen here but in `tests/faults`, where every call of its is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use tempfile::TempDir;

use crate::{
    disk::{
        Disk as _, parent,
        simulated::{Engine, SimDisk, Unsynced},
    },
    image::{Image, ImageBatch, ImageError, ImageValue, sled::SledImage},
};

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// Content by path below the directory.
type Files = BTreeMap<PathBuf, Vec<u8>>;

struct State {
    root: TempDir,
    random: u64,
    /// Opened so far; each time the files are put into a new directory.
    opened: u64,
    /// What is open, by its number.
    live: Option<(u64, PathBuf)>,
    /// As of the last batch that was acknowledged.
    durable: Files,
    /// As of the moment that it was closed.
    left: Files,
}

/// sled in a folder of its own.
pub(crate) struct SledEngine(Arc<Mutex<State>>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nothing panics under this lock")
}

fn collect(root: &Path, below: &Path, files: &mut Files) {
    for entry in fs::read_dir(root.join(below)).expect("the folder is there") {
        let entry = entry.expect("a name");
        let path = below.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            collect(root, &path, files);
        } else if let Ok(content) = fs::read(entry.path()) {
            files.insert(path, content);
        }
    }
}

fn files_of(root: &Path) -> Files {
    let mut files = Files::new();
    collect(root, Path::new(""), &mut files);
    files
}

fn write_files(root: &Path, files: &Files) {
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(parent(&path)).expect("a folder");
        fs::write(path, content).expect("a file");
    }
}

impl State {
    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005) | 1;
        usize::try_from(self.random >> 33).expect("31 bits") % bound.max(1)
    }

    fn torn(&mut self, old: &[u8], new: &[u8]) -> Vec<u8> {
        let length = [old.len(), new.len()][self.below(2)];
        let mut torn = old.to_vec();
        torn.resize(length, 0);
        for start in (0..length.min(new.len())).step_by(PAGE) {
            let end = (start + PAGE).min(length).min(new.len());
            let kept = match self.below(3) {
                0 => 0,
                1 => PAGE,
                _ => self.below(PAGE / SECTOR) * SECTOR,
            };
            let end = end.min(start + kept);
            torn[start..end].copy_from_slice(&new[start..end]);
        }
        torn
    }
}

/// In memory where that can be had: what is synced is not the question here, and syncs take long.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder")
}

impl SledEngine {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            root: folder(),
            random: seed.wrapping_mul(2) | 1,
            opened: 0,
            live: None,
            durable: Files::new(),
            left: Files::new(),
        })))
    }
}

impl Engine for SledEngine {
    fn open(&self, disk: &SimDisk, path: &Path) -> Result<Box<dyn Image>, ImageError> {
        disk.create_dir(path)?;
        disk.sync_dir(parent(path))?;
        disk.operate()?;
        let mut state = lock(&self.0);
        state.opened += 1;
        let number = state.opened;
        let directory = state.root.path().join(number.to_string());
        fs::create_dir(&directory)?;
        write_files(&directory, &state.left);
        let inner = SledImage::open(&directory)?;
        state.durable = files_of(&directory);
        state.live = Some((number, directory.clone()));
        Ok(Box::new(Watched {
            inner: Some(inner),
            disk: disk.clone(),
            state: Arc::clone(&self.0),
            number,
            directory,
        }))
    }

    fn removed(&self, _path: &Path) {
        let mut state = lock(&self.0);
        state.live = None;
        state.durable.clear();
        state.left.clear();
    }

    fn crashed(&self, unsynced: Unsynced) {
        let mut state = lock(&self.0);
        if let Some((_, directory)) = state.live.take() {
            state.left = files_of(&directory);
        }
        match unsynced {
            Unsynced::Kept => {}
            Unsynced::Lost => state.left = state.durable.clone(),
            Unsynced::Torn => {
                let (old, new) = (state.durable.clone(), state.left.clone());
                state.left.clear();
                for (path, content) in new {
                    let torn = match old.get(&path) {
                        Some(old) => state.torn(old, &content),
                        None if state.below(2) == 0 => continue,
                        None => state.torn(&[], &content),
                    };
                    state.left.insert(path, torn);
                }
            }
        }
        state.durable = state.left.clone();
    }
}

struct Watched {
    /// `None` while it is dropped.
    inner: Option<SledImage>,
    disk: SimDisk,
    state: Arc<Mutex<State>>,
    number: u64,
    directory: PathBuf,
}

impl Watched {
    fn inner(&mut self) -> &mut SledImage {
        self.inner.as_mut().expect("it is open")
    }
}

impl Image for Watched {
    fn load(&mut self) -> Result<Vec<ImageValue>, ImageError> {
        self.disk.operate()?;
        self.inner().load()
    }

    fn apply(&mut self, batch: ImageBatch) -> Result<(), ImageError> {
        let was_down = self.disk.is_down();
        let mut error = self.disk.operate().err();
        if error.is_none() && self.disk.takes_image_fault() {
            error = Some(std::io::Error::other("the image could not be written"));
        }
        if let Some(error) = error {
            // The batch that was under way got somewhere: which pages of it stay is for the crash to say.
            if !was_down && self.disk.random().is_multiple_of(2) {
                self.inner().apply(batch)?;
            }
            return Err(error.into());
        }
        self.inner().apply(batch)?;
        let mut state = lock(&self.state);
        if state.live.as_ref().is_some_and(|(n, _)| *n == self.number) {
            state.durable = files_of(&self.directory);
        }
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        self.inner.as_ref().map_or(0, Image::disk_bytes)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Before sled writes what it writes when it is closed in order: a process that dies does not.
        let mut state = lock(&self.state);
        if state.live.as_ref().is_some_and(|(n, _)| *n == self.number) {
            state.live = None;
            state.left = files_of(&self.directory);
        }
        drop(state);
        drop(self.inner.take());
        drop(fs::remove_dir_all(&self.directory));
    }
}

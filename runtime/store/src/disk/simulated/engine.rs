//! Image engines on a simulated disk: the one in memory, and the seam for others.

use std::path::{Path, PathBuf};

use super::SimDisk;
use crate::image::{Image, ImageBatch, ImageError, ImageValue};

/// What a crash leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// All of it: the process was killed, the machine stayed up.
    Kept,
    /// None of it.
    Lost,
    /// Any pages of it, some by half.
    Torn,
}

/// What opens the images of a simulated disk. An engine that writes through the disk needs the first
/// method alone; one with files of its own is told what happens to them.
pub trait Engine: Send + Sync {
    /// Opens the image in a directory of the disk, which it makes when it is not there.
    ///
    /// # Errors
    /// It cannot be opened.
    fn open(&self, disk: &SimDisk, path: &Path) -> Result<Box<dyn Image>, ImageError>;

    /// A directory was removed.
    fn removed(&self, _path: &Path) {}

    /// The process or the machine went down; nothing of it runs any more.
    fn crashed(&self, _unsynced: Unsynced) {}
}

/// An image that takes a batch whole or, when the power goes, perhaps not at all.
pub(super) struct SimImage(SimDisk, PathBuf);

impl SimImage {
    pub(super) fn new(disk: SimDisk, path: &Path) -> Self {
        Self(disk, path.to_owned())
    }
}

impl Image for SimImage {
    fn load(&mut self) -> Result<Vec<ImageValue>, ImageError> {
        let mut state = self.0.lock_state();
        state.operate()?;
        Ok(state.image(&self.1))
    }

    fn apply(&mut self, batch: ImageBatch) -> Result<(), ImageError> {
        Ok(self.0.lock_state().apply_image(&self.1, batch)?)
    }

    fn disk_bytes(&self) -> u64 {
        let values = self.0.lock_state().image(&self.1);
        values
            .iter()
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum()
    }
}

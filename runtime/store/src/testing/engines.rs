//! Every image engine on the simulated disk, so that one suite runs over all of them.

mod redb;
mod sled;

use std::{path::Path, sync::Arc};

pub(crate) use self::sled::SledEngine;
use crate::{
    disk::{
        Disk as _,
        simulated::{Engine, Habits, SimDisk},
    },
    image::{Image, ImageError, memory::MemoryImage},
};

/// An engine under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A map in memory that takes a batch whole or not at all.
    Memory,
    /// redb, its file on the simulated disk: every call of its is an operation that can be the last.
    Redb,
    /// sled as in production, in files of its own: a crash mixes the pages of the file as it was when
    /// the last batch was acknowledged with those written since.
    Sled,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Redb, Self::Sled];

    /// A disk on which `/data` is there.
    pub(crate) fn disk(self, seed: u64) -> SimDisk {
        let disk = match self {
            Self::Memory => SimDisk::new(seed),
            Self::Redb => SimDisk::with_engine(seed, Arc::new(redb::RedbEngine)),
            Self::Sled => SimDisk::with_engine(seed, Arc::new(SledEngine::new(seed))),
        };
        disk.set_habits(Habits {
            keeps_lengths_whole: self == Self::Redb,
            ..Habits::default()
        });
        let data = Path::new("/data");
        disk.create_dir(data).expect("a directory");
        disk.sync_dir(Path::new("/")).expect("its name");
        disk
    }
}

/// An engine that has forgotten everything whenever it is opened.
pub(crate) struct Forgetful;

impl Engine for Forgetful {
    fn open(&self, disk: &SimDisk, path: &Path) -> Result<Box<dyn Image>, ImageError> {
        disk.create_dir(path)?;
        disk.sync_dir(crate::disk::parent(path))?;
        Ok(Box::new(MemoryImage::default()))
    }
}

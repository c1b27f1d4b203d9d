//! The file of redrives that are under way in a data directory: whole or as it was. What it says is the server's;
//! a backup leaves it out.

use std::{io, path::Path};

use crate::{
    disk::{self, Disk},
    limits::{REDRIVES_BYTES_MAX, REDRIVES_FILE},
};

/// The file's content; `None` where there is none.
///
/// # Errors
/// It cannot be read, or is larger than any of ours.
pub fn read(disk: &dyn Disk, data: &Path) -> io::Result<Option<Vec<u8>>> {
    disk::read_at_most(disk, &data.join(REDRIVES_FILE), REDRIVES_BYTES_MAX)
}

/// Replaces the file: durable when it returns, and never half. One at a time.
///
/// # Errors
/// It cannot be written; what was there is there.
pub fn write(disk: &dyn Disk, data: &Path, bytes: &[u8]) -> io::Result<()> {
    disk::replace(disk, &data.join(REDRIVES_FILE), bytes)
}

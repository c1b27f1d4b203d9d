//! The directories of a data directory, and its version.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::{
    disk::{self, Disk},
    journal,
    limits::{ACCESS_FILE, REDRIVES_FILE, TLS_DIRECTORY},
    recovery::OpenError,
    segment,
};

/// The layout that this version writes and reads.
pub const FORMAT_VERSION: u32 = 1;

const PREFIX: &str = "fnctl data directory, format ";
/// What the format file holds while a restore is under way; [`crate::open`] refuses it.
pub(crate) const RESTORING: &[u8] =
    b"fnctl data directory, being restored: run fnctl restore again\n";

/// The file that is given up when a start finds the disk full.
pub(super) fn ballast(data: &Path) -> PathBuf {
    data.join("ballast")
}

/// Every name that a data directory holds, but those of temporary files. `access.json`, `cache`,
/// `redrives.json`, `secret` and `tls` are the server's, which keeps them there.
pub(crate) const NAMES: [&str; 13] = [
    "LOCK",
    ACCESS_FILE,
    "artifacts",
    "ballast",
    "cache",
    "format",
    "image",
    "journal",
    REDRIVES_FILE,
    "secret",
    "streams",
    TLS_DIRECTORY,
    "unclean-stops",
];

/// Refuses a directory that holds something else and nothing of ours, before anything is written there.
/// A first start that was cut short before its `format` file leaves nothing strange; nor is what a file
/// system or whoever starts the server leaves there: `lost+found`, logs, files without content.
pub(super) fn refuse_strange(disk: &dyn Disk, data: &Path) -> Result<(), OpenError> {
    let entries = disk.list(data).map_err(OpenError::io(data))?;
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    if has("format") || has("journal") {
        return Ok(());
    }
    for entry in &entries {
        let name = entry.name.as_str();
        let is_left_over = name == "lost+found" || name.ends_with(".tmp") || name.ends_with(".log");
        if is_left_over || NAMES.contains(&name) {
            continue;
        }
        let path = data.join(name);
        if entry.is_dir || !is_without_content(disk, &path) {
            return Err(OpenError::NoDataDirectory {
                path: data.to_owned(),
                found: entry.name.clone(),
            });
        }
    }
    Ok(())
}

fn is_without_content(disk: &dyn Disk, path: &Path) -> bool {
    let length = disk.open_to_read(path).and_then(|file| file.length());
    length.is_ok_and(|length| length == 0)
}

/// Makes what is missing and refuses a newer layout.
pub(super) fn prepare(disk: &dyn Disk, data: &Path) -> Result<(), OpenError> {
    let path = data.join("format");
    match disk::read_all(disk, &path) {
        Ok(content) => check(&path, &content)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let content = format!("{PREFIX}{FORMAT_VERSION}\n");
            disk::replace(disk, &path, content.as_bytes()).map_err(OpenError::io(&path))?;
        }
        Err(source) => return Err(OpenError::Io { path, source }),
    }
    for directory in [
        journal::directory(data),
        segment::directory(data),
        data.join("artifacts"),
    ] {
        disk.create_dir(&directory)
            .map_err(OpenError::io(&directory))?;
    }
    disk.sync_dir(data).map_err(OpenError::io(data))?;
    if let Some(above) = data.parent().filter(|above| !above.as_os_str().is_empty()) {
        // The data directory itself may be new.
        disk.sync_dir(above).map_err(OpenError::io(above))?;
    }
    remove_leftovers(disk, &journal::directory(data))?;
    remove_leftovers(disk, &data.join("artifacts"))
}

fn check(path: &Path, content: &[u8]) -> Result<(), OpenError> {
    let content = String::from_utf8_lossy(content);
    let version = content
        .trim_end()
        .strip_prefix(PREFIX)
        .map(str::parse::<u32>);
    match version {
        Some(Ok(FORMAT_VERSION)) => Ok(()),
        Some(Ok(newer)) if newer > FORMAT_VERSION => Err(OpenError::NewerVersion {
            path: path.to_owned(),
            found: format!("format {newer}"),
        }),
        _ if content.as_bytes() == RESTORING => Err(OpenError::Damaged(format!(
            "{} says that a restore was cut short: run `fnctl restore` again",
            path.display()
        ))),
        // It may be that of a later version, so nobody but a person may say that it is not.
        _ => Err(OpenError::Damaged(format!(
            "{} names no known format: `{}`; if this version made the directory, move that file away, and a start \
             notes the format anew",
            path.display(),
            content.lines().next().unwrap_or_default()
        ))),
    }
}

/// Removes temporary files of a life that ended before it could rename them.
fn remove_leftovers(disk: &dyn Disk, directory: &Path) -> Result<(), OpenError> {
    for entry in disk.list(directory).map_err(OpenError::io(directory))? {
        if entry.name.ends_with(".tmp") && !entry.is_dir {
            let path = directory.join(&entry.name);
            disk.remove(&path).map_err(OpenError::io(&path))?;
        }
    }
    Ok(())
}

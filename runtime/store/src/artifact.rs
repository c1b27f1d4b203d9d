//! Component bytes by content: `artifacts/sha256-<hex>`, durable before any entry names them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{
    digest::digest_of,
    disk::{Disk, parent, read_all},
    limits::COMPONENT_BYTES_MAX,
};

/// Why an artefact was not taken or not found.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It is larger than a component may be.
    #[error("the component has {bytes} bytes, above the limit of {COMPONENT_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// There is none of this digest.
    #[error("no artefact `{digest}`")]
    Missing {
        /// What was asked for.
        digest: String,
    },
    /// Its content is not what its name says.
    #[error("artefact `{digest}` is damaged")]
    Damaged {
        /// What was asked for.
        digest: String,
    },
    /// There is no room above the reserve.
    #[error("the disk is full")]
    DiskFull,
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

type Pins = Arc<Mutex<BTreeMap<Arc<str>, usize>>>;

/// The artefacts of a data directory.
pub(crate) struct Artifacts {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    pins: Pins,
}

/// Keeps an artefact from being collected: held from the upload to the answer of the entry that names
/// it.
#[derive(Debug)]
pub struct ArtifactPin {
    digest: Arc<str>,
    pins: Pins,
}

impl ArtifactPin {
    /// SHA-256 of the bytes, lower-case hex.
    #[must_use]
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }
}

impl Drop for ArtifactPin {
    fn drop(&mut self) {
        let mut pins = lock(&self.pins);
        if let Some(count) = pins.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.digest);
            }
        }
    }
}

fn lock(pins: &Pins) -> MutexGuard<'_, BTreeMap<Arc<str>, usize>> {
    pins.lock().expect("nothing panics under this lock")
}

/// The directory of artefacts below a data directory.
pub(crate) fn directory(data: &Path) -> PathBuf {
    data.join("artifacts")
}

/// The file of an artefact.
pub(crate) fn path(data: &Path, digest: &str) -> PathBuf {
    directory(data).join(format!("{PREFIX}{digest}"))
}

/// The digest in an artefact's name.
pub(crate) fn parse_file_name(name: &str) -> Option<&str> {
    let digest = name.strip_prefix(PREFIX)?;
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (digest.len() == 64 && digest.bytes().all(is_hex)).then_some(digest)
}

const PREFIX: &str = "sha256-";

impl Artifacts {
    pub(crate) fn new(disk: Arc<dyn Disk>, data: &Path) -> Self {
        Self {
            disk,
            directory: directory(data),
            pins: Pins::default(),
        }
    }

    /// Where an artefact lies.
    pub(crate) fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(format!("{PREFIX}{digest}"))
    }

    /// Keeps an artefact, whether it is there or not.
    pub(crate) fn pin(&self, digest: &Arc<str>) -> ArtifactPin {
        *lock(&self.pins).entry(Arc::clone(digest)).or_default() += 1;
        ArtifactPin {
            digest: Arc::clone(digest),
            pins: Arc::clone(&self.pins),
        }
    }

    /// Stores bytes durably and pins them.
    ///
    /// # Errors
    /// They are too large, or the disk failed.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<ArtifactPin, ArtifactError> {
        if bytes.len() as u64 > COMPONENT_BYTES_MAX {
            let bytes = bytes.len() as u64;
            return Err(ArtifactError::TooLarge { bytes });
        }
        let digest = digest_of(bytes);
        // Pinned before it is looked for: the collector asks for pins and removes under the same lock.
        let pin = self.pin(&digest);
        let path = self.path(&digest);
        if read_all(&*self.disk, &path).is_ok_and(|stored| stored == bytes) {
            // It may be there since a moment ago, from an upload that is not through yet.
            self.disk.open(&path)?.sync()?;
            self.disk.sync_dir(&self.directory)?;
            return Ok(pin);
        }
        // A name of its own: two uploads of one digest may meet.
        let salt = self.disk.salt();
        let temporary = self
            .directory
            .join(format!("{PREFIX}{digest}.{salt:016x}.tmp"));
        let written = self.write(&temporary, &path, bytes);
        if written.is_err() {
            drop(self.disk.remove(&temporary));
        }
        written?;
        Ok(pin)
    }

    fn write(&self, temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.create(temporary)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        self.disk.rename(temporary, path)?;
        self.disk.sync_dir(parent(path))
    }

    /// Reads an artefact and checks it against its digest.
    ///
    /// # Errors
    /// It is not there, damaged, or the disk failed.
    pub(crate) fn get(&self, digest: &str) -> Result<Vec<u8>, ArtifactError> {
        let bytes = match read_all(&*self.disk, &self.path(digest)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let digest = digest.to_owned();
                return Err(ArtifactError::Missing { digest });
            }
            other => other?,
        };
        if *digest_of(&bytes) != *digest {
            let digest = digest.to_owned();
            return Err(ArtifactError::Damaged { digest });
        }
        Ok(bytes)
    }

    /// Removes what is neither used nor pinned. `used` is asked under the lock of the pins: a pin goes
    /// when the entry that names its artefact is published, so what is not pinned any more is used.
    pub(crate) fn collect(&self, used: impl FnOnce() -> BTreeSet<Arc<str>>) -> io::Result<()> {
        let pins = lock(&self.pins);
        let used = used();
        for entry in self.disk.list(&self.directory)? {
            let Some(digest) = entry.name.strip_prefix(PREFIX) else {
                continue;
            };
            // An upload under way has a longer name that begins with its digest.
            let digest = digest.split('.').next().unwrap_or(digest);
            if !used.contains(digest) && !pins.contains_key(digest) {
                self.disk.remove(&self.directory.join(&entry.name))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

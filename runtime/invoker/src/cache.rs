//! Compiled components on disk: made once per digest, engine and machine.
//!
//! An artefact is machine code that is mapped and run, so it must be our own and whole. Its name holds
//! everything that it depends on; beside it lies a MAC under a key that only this directory's owner can
//! read. Whatever is missing, stale or altered is compiled again, never trusted.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::engine::MODULE_VERSION;

const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 64;
/// Between the name of a file that is being written, and its writer's process id and count.
const TEMPORARY: &str = ".tmp-";

/// The directory of artefacts.
#[derive(Debug)]
pub(crate) struct ArtefactCache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
    /// Engine settings, exact version and CPU: an artefact of any other is never looked at.
    fingerprint: String,
}

impl ArtefactCache {
    /// Opens the directory, making it and its key if need be.
    pub(crate) fn open(dir: &Path, engine: &wasmtime::Engine) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        sweep(dir)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let machine = format!(
            "{MODULE_VERSION}\n{:016x}\n{}",
            hasher.finish(),
            cpu_features()
        );
        let fingerprint = hex(&Sha256::digest(machine)[..8]);
        Ok(Self {
            dir: dir.to_owned(),
            key: key(&dir.join("cache.key"))?,
            fingerprint,
        })
    }

    /// The compiled component of `digest`, if there is a sound one.
    pub(crate) fn load(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        self.load_stored(engine, digest).ok()?.ok()
    }

    /// The component whose artefact was stored a moment ago.
    ///
    /// # Errors
    /// It is not there as it was stored; inside, Wasmtime does not take it.
    pub(crate) fn load_stored(
        &self,
        engine: &wasmtime::Engine,
        digest: &str,
    ) -> io::Result<wasmtime::Result<Component>> {
        let path = self.path(digest);
        if self.mac(File::open(&path)?)? != fs::read_to_string(self.mac_path(&path))? {
            return Err(io::Error::other("it was not read back as it was written"));
        }
        Ok(load_verified(engine, &path))
    }

    /// Keeps an artefact: complete and synced before it has its name, read-only after.
    pub(crate) fn store(&self, digest: &str, artefact: &mut (impl Read + Seek)) -> io::Result<()> {
        let path = self.path(digest);
        artefact.rewind()?;
        let mac = self.mac(&mut *artefact)?;
        artefact.rewind()?;
        self.write(&self.mac_path(&path), mac.as_bytes())?;
        self.write(&path, artefact)?;
        File::open(&self.dir)?.sync_all()
    }

    /// Bytes of the artefact of `digest`.
    pub(crate) fn artefact_bytes(&self, digest: &str) -> Option<u64> {
        fs::metadata(self.path(digest))
            .ok()
            .map(|metadata| metadata.len())
    }

    /// Removes every artefact of `digest`, of other versions and machines too.
    pub(crate) fn remove(&self, digest: &str) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(digest) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir
            .join(format!("{digest}-{}.cwasm", self.fingerprint))
    }

    fn mac_path(&self, path: &Path) -> PathBuf {
        path.with_extension("mac")
    }

    fn write(&self, path: &Path, mut bytes: impl Read) -> io::Result<()> {
        // Two compilations of one digest write the same bytes; the later rename wins.
        let temporary = temporary(path);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        io::copy(&mut bytes, &mut file)?;
        file.set_permissions(Permissions::from_mode(0o400))?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    }

    /// HMAC-SHA-256 (RFC 2104) of the fingerprint and the artefact, in hex.
    fn mac(&self, mut artefact: impl Read) -> io::Result<String> {
        let pad = |byte: u8| -> [u8; BLOCK_BYTES] {
            std::array::from_fn(|index| self.key.get(index).copied().unwrap_or(0) ^ byte)
        };
        let mut inner = Sha256::new()
            .chain_update(pad(0x36))
            .chain_update(&self.fingerprint);
        let mut chunk = vec![0; 1 << 16];
        loop {
            match artefact.read(&mut chunk)? {
                0 => break,
                count => inner.update(&chunk[..count]),
            }
        }
        Ok(hex(&Sha256::new()
            .chain_update(pad(0x5c))
            .chain_update(inner.finalize())
            .finalize()))
    }
}

#[allow(unsafe_code, reason = "mapping machine code")]
fn load_verified(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file's MAC was just verified, so these bytes were serialized by this engine's compiler
    // (name and MAC hold its settings and version). It is read-only, replaced only by rename, and lies in
    // the data directory, to which nobody else may write.
    unsafe { Component::deserialize_file(engine, path) }
}

/// Removes what processes that ended in the middle of a write left behind.
fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let writer = name.to_str().and_then(|name| {
            let (_, writer) = name.rsplit_once(TEMPORARY)?;
            writer.split_once('-')?.0.parse::<u32>().ok()
        });
        // One of a process that took over the number stays until that one is gone as well.
        if writer.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            match fs::remove_file(entry.path()) {
                // Another that opens the directory was faster.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// A name beside `path` that no other writer has, be it of this process or another.
fn temporary(path: &Path) -> PathBuf {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}{TEMPORARY}{}-{write}", std::process::id()))
}

/// The key of this cache, made by whoever comes first: complete and synced before it has its name.
fn key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    if !path.exists() {
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        let temporary = temporary(path);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&key)?;
        file.sync_all()?;
        // A link, not a rename: it never takes the place of a key that another engine made meanwhile.
        let linked = fs::hard_link(&temporary, path);
        fs::remove_file(&temporary)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    match File::open(path)?.read_exact(&mut key) {
        // Nobody writes one that short: it was damaged, and what was made under it is made anew.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            fs::remove_file(path)?;
            self::key(path)
        }
        read => read.map(|()| key),
    }
}

/// The CPU's features as the kernel names them: code made on a larger machine must not run on a smaller.
fn cpu_features() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info
        .lines()
        .find(|line| line.starts_with("flags") || line.starts_with("Features"));
    line.unwrap_or_default().to_owned()
}

/// Bytes as lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests;

//! The server's own secret: authenticates what it hands out and gets back, such as shard iterators.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use fnctl_invoker::hex;
use fnctl_store::limits::{SECRET_BYTES as BYTES, SECRET_FILE as FILE};
use sha2::{Digest as _, Sha256};

/// Reads the secret of a data directory, or makes it, readable by its owner alone.
///
/// # Errors
/// The file cannot be read or made.
pub(crate) fn of(data_dir: &Path) -> io::Result<[u8; BYTES]> {
    let path = data_dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) if bytes.len() == BYTES => {
            let mut secret = [0; BYTES];
            secret.copy_from_slice(&bytes);
            return Ok(secret);
        }
        // A torn one, from a crash in the middle of its first write: made again.
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut secret = [0; BYTES];
    let (left, right) = secret.split_at_mut(BYTES / 2);
    left.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    right.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(&secret)?;
    Ok(secret)
}

/// A name of the data directory that has this secret: 16 hex digits, which tell nothing of it. One that was
/// restored from a backup has another: the secret stays where it is.
pub(crate) fn name_of(secret: &[u8; BYTES]) -> String {
    let digest = Sha256::new()
        .chain_update(b"fnctl data directory")
        .chain_update(secret)
        .finalize();
    hex(&digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = of(directory.path()).expect("made");
        assert_eq!(of(directory.path()).expect("read"), first);
        let name = name_of(&first);
        assert_eq!((name.len(), name_of(&first)), (16, name.clone()));
        assert_ne!(name_of(&[0; BYTES]), name);
        fs::write(directory.path().join(FILE), b"torn").expect("written");
        assert_ne!(of(directory.path()).expect("made again"), first);
    }
}

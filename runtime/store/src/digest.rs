//! SHA-256: of bytes, of bytes in pieces, of a file while it is read.

use std::{fmt::Write as _, io, sync::Arc};

use sha2::{Digest, Sha256};

use crate::{disk::DiskFile, limits::READ_BYTES_MAX};

/// The SHA-256 of bytes that come in pieces.
#[derive(Debug, Default)]
pub(crate) struct Digester(Sha256);

impl Digester {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Lower-case hex.
    pub(crate) fn finish(self) -> Arc<str> {
        let mut text = String::with_capacity(64);
        for byte in self.0.finalize() {
            write!(text, "{byte:02x}").expect("a string takes everything");
        }
        text.into()
    }
}

/// The SHA-256 of bytes, lower-case hex.
pub(crate) fn digest_of(bytes: &[u8]) -> Arc<str> {
    let mut digester = Digester::default();
    digester.push(bytes);
    digester.finish()
}

/// Reads `bytes` bytes of a file piece by piece into `take`; answers their SHA-256, lower-case hex, or
/// `None` when it has fewer.
///
/// # Errors
/// `failed` of what the file fails with, and those of `take`.
pub(crate) fn read_through<E>(
    file: &dyn DiskFile,
    bytes: u64,
    failed: impl FnOnce(io::Error) -> E,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Option<Arc<str>>, E> {
    let mut digester = Digester::default();
    let mut buffer = vec![0; READ_BYTES_MAX];
    let mut offset = 0;
    while offset < bytes {
        let left = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
        let piece = &mut buffer[..left.min(READ_BYTES_MAX)];
        let read = match file.read_at(piece, offset) {
            Ok(read) => read,
            Err(error) => return Err(failed(error)),
        };
        if read == 0 {
            return Ok(None);
        }
        digester.push(&piece[..read]);
        take(&piece[..read])?;
        offset += read as u64;
    }
    Ok(Some(digester.finish()))
}

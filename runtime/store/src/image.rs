//! The materialised image: every value of the view and every segment's recorded length as of one LSN.
//!
//! A cache of snapshot and journal: losing it loses nothing (commit and storage rules §6). Behind a
//! trait, so that each engine passes one conformance suite.

pub(crate) mod chunks;
pub mod memory;
pub mod sled;

#[cfg(test)]
mod tests;

use std::io;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The disk failed or is full.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What is there is no image, or a damaged one.
    #[error("the image is damaged: {0}")]
    Damaged(String),
}

impl ImageError {
    /// Whether only room is missing: the image waits, the node goes on.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::StorageFull)
    }
}

/// What changes at once: a key and its new value, or `None` where it goes.
pub type ImageBatch = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A key's value as it was stored.
pub type ImageValue = (Vec<u8>, Vec<u8>);

/// An ordered map that takes batches atomically. Values are at most `IMAGE_VALUE_BYTES_MAX` long.
pub trait Image: Send {
    /// Everything in it, by key.
    ///
    /// # Errors
    /// It cannot be read in full.
    fn load(&mut self) -> Result<Vec<ImageValue>, ImageError>;

    /// Makes a batch durable: all of it, or none.
    ///
    /// # Errors
    /// Any failure but a full disk stops the node.
    fn apply(&mut self, batch: ImageBatch) -> Result<(), ImageError>;

    /// Bytes it takes on the disk.
    fn disk_bytes(&self) -> u64;
}

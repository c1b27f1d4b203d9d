//! Values of any length over an engine that takes short ones: a long value is cut into chunks, each
//! with a checksum.
//!
//! A stored key is the value's key, its length as the last two bytes (so that no key is another's
//! prefix), and the number of the chunk. A stored value begins with the CRC32C of the rest, which holds
//! the number of chunks and the chunk.

use std::collections::BTreeMap;

use crate::{
    image::{Image, ImageBatch, ImageError, ImageValue},
    limits::{IMAGE_BLOAT_FACTOR, IMAGE_BYTES_SMALL, IMAGE_VALUE_BYTES_MAX},
};

const HEAD: usize = 8;
const CHUNK: usize = IMAGE_VALUE_BYTES_MAX - HEAD;

/// An image of values of any length.
pub(crate) struct ChunkedImage {
    image: Box<dyn Image>,
    /// Chunks of each value that has more than one, so that a shorter one removes the rest.
    chunks: BTreeMap<Vec<u8>, u32>,
}

fn chunk_key(key: &[u8], chunk: u32) -> Vec<u8> {
    let length = u16::try_from(key.len()).expect("keys are short");
    let mut stored = Vec::with_capacity(key.len() + 6);
    stored.extend_from_slice(key);
    stored.extend_from_slice(&chunk.to_be_bytes());
    stored.extend_from_slice(&length.to_be_bytes());
    stored
}

fn chunk_value(chunks: u32, chunk: &[u8]) -> Vec<u8> {
    let mut stored = vec![0; 4];
    stored.extend_from_slice(&chunks.to_le_bytes());
    stored.extend_from_slice(chunk);
    let crc = crc32c::crc32c(&stored[4..]);
    stored[..4].copy_from_slice(&crc.to_le_bytes());
    stored
}

/// How many chunks a value has, and those found with their numbers.
type Parts = (u32, Vec<(u32, Vec<u8>)>);

/// The key, number and number of chunks, and the content of a stored chunk.
fn parse<'a>(key: &'a [u8], value: &'a [u8]) -> Option<(&'a [u8], u32, u32, &'a [u8])> {
    let (rest, length) = key.split_last_chunk::<2>()?;
    let (name, chunk) = rest.split_last_chunk::<4>()?;
    let (crc, content) = value.split_first_chunk::<4>()?;
    let (chunks, bytes) = content.split_first_chunk::<4>()?;
    let is_whole = usize::from(u16::from_be_bytes(*length)) == name.len()
        && crc32c::crc32c(content) == u32::from_le_bytes(*crc);
    is_whole.then(|| {
        (
            name,
            u32::from_be_bytes(*chunk),
            u32::from_le_bytes(*chunks),
            bytes,
        )
    })
}

impl ChunkedImage {
    pub(crate) fn new(image: Box<dyn Image>) -> Self {
        Self {
            image,
            chunks: BTreeMap::new(),
        }
    }

    /// Every value, whole and checked.
    ///
    /// # Errors
    /// A chunk is missing or damaged, or the engine cannot be read.
    pub(crate) fn load(&mut self) -> Result<Vec<ImageValue>, ImageError> {
        let mut values: BTreeMap<Vec<u8>, Parts> = BTreeMap::new();
        for (key, value) in self.image.load()? {
            let (name, chunk, chunks, bytes) = parse(&key, &value)
                .ok_or_else(|| ImageError::Damaged("a chunk's checksum is wrong".to_owned()))?;
            let entry = values.entry(name.to_vec()).or_insert((chunks, Vec::new()));
            if entry.0 != chunks {
                return Err(ImageError::Damaged("chunks of two values".to_owned()));
            }
            entry.1.push((chunk, bytes.to_vec()));
        }
        self.chunks.clear();
        let mut whole = Vec::with_capacity(values.len());
        for (key, (chunks, mut parts)) in values {
            parts.sort_unstable_by_key(|(chunk, _)| *chunk);
            let is_whole = parts.len() == chunks as usize
                && (0..)
                    .zip(&parts)
                    .all(|(number, (chunk, _))| number == *chunk);
            if !is_whole {
                return Err(ImageError::Damaged("a chunk is missing".to_owned()));
            }
            if chunks > 1 {
                self.chunks.insert(key.clone(), chunks);
            }
            whole.push((
                key,
                parts.into_iter().flat_map(|(_, bytes)| bytes).collect(),
            ));
        }
        Ok(whole)
    }

    /// Whether the engine takes far more room than its values: then it is made anew.
    pub(crate) fn is_bloated(&self, value_bytes: u64) -> bool {
        let live = value_bytes.max(IMAGE_BYTES_SMALL);
        self.image.disk_bytes() > live.saturating_mul(IMAGE_BLOAT_FACTOR)
    }

    /// Makes a batch durable: all of it, or none.
    ///
    /// # Errors
    /// As the engine's.
    pub(crate) fn apply(&mut self, batch: ImageBatch) -> Result<(), ImageError> {
        let (mut stored, mut changed) = (ImageBatch::new(), Vec::new());
        // Of two changes of one key the last one counts; chunks of the first must not remain.
        let batch: BTreeMap<Vec<u8>, Option<Vec<u8>>> = batch.into_iter().collect();
        for (key, value) in batch {
            let before = self.chunks.get(&key).copied().unwrap_or(1);
            let after = match &value {
                None => 0,
                Some(value) => {
                    let count = value.len().div_ceil(CHUNK).max(1);
                    let count = u32::try_from(count).expect("values stay below 4 GiB");
                    for number in 0..count {
                        let start = number as usize * CHUNK;
                        let part = &value[start..value.len().min(start + CHUNK)];
                        stored.push((chunk_key(&key, number), Some(chunk_value(count, part))));
                    }
                    count
                }
            };
            stored.extend((after..before).map(|number| (chunk_key(&key, number), None)));
            changed.push((key, after));
        }
        self.image.apply(stored)?;
        for (key, count) in changed {
            if count > 1 {
                self.chunks.insert(key, count);
            } else {
                self.chunks.remove(&key);
            }
        }
        Ok(())
    }
}

//! Shard logs: segments of frames, written by the applier, read by anyone.
//!
//! A segment `streams/<stream>/<shard>/<first ordinal>.segment` holds the records from its first
//! ordinal to the next segment's. What of it is durable is recorded in the image, never read off the
//! file (commit and storage rules §6).

mod buffers;
pub(crate) mod check;
pub(crate) mod frame;
mod open;
mod read;
mod resync;
#[cfg(test)]
mod tests;
pub(crate) mod walk;
pub(crate) mod writer;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, RwLock},
};

use fnctl_core::id::{Ordinal, ShardNumber, StreamId, Timestamp};

pub use self::read::ReadError;
use self::{buffers::ReadBuffers, open::OpenSegments};
use crate::{
    block::ShardKey,
    codec::{self, DecodeError, Decoder, Value, fields},
    disk::Disk,
    usage::Usage,
};

/// What is known of a segment; the image stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentMeta {
    /// Its first ordinal, and its name.
    pub(crate) base: Ordinal,
    /// Ordinal of the record after its last.
    pub(crate) next: Ordinal,
    /// Bytes of it that count.
    pub(crate) length: u64,
    /// Salt of its frames.
    pub(crate) salt: u64,
    /// Arrival of its first and last record.
    pub(crate) first_arrival: Timestamp,
    pub(crate) last_arrival: Timestamp,
    /// Retention clock when its first and last frame were written.
    pub(crate) first_stamp: u64,
    pub(crate) last_stamp: u64,
    /// Whether it has a footer and takes no more.
    pub(crate) is_sealed: bool,
}

fields!(SegmentMeta {
    base,
    next,
    length,
    salt,
    first_arrival,
    last_arrival,
    first_stamp,
    last_stamp,
    is_sealed,
});

/// First byte of a segment's key in image and snapshot.
pub(crate) const SEGMENT_SPACE: u8 = b'g';

/// Key of a segment in image and snapshot.
pub(crate) fn encode_key(shard: ShardKey, base: Ordinal) -> Vec<u8> {
    let mut key = vec![SEGMENT_SPACE];
    key.extend_from_slice(&shard.0.0.to_be_bytes());
    key.extend_from_slice(&shard.1.0.to_be_bytes());
    key.extend_from_slice(&base.0.to_be_bytes());
    key
}

/// The shard of a segment's key.
pub(crate) fn decode_key(key: &[u8]) -> Result<ShardKey, DecodeError> {
    let mut from = Decoder::new(bytes::Bytes::copy_from_slice(key));
    if key.len() != 21 || u8::take(&mut from)? != SEGMENT_SPACE {
        return Err(from.fail("the key is no segment's"));
    }
    let stream = u64::take(&mut from)?.swap_bytes();
    let shard = u32::take(&mut from)?.swap_bytes();
    Ok((StreamId(stream), ShardNumber(shard)))
}

const META_FORMAT: u8 = 1;

/// A segment's value in image and snapshot.
pub(crate) fn encode_meta(meta: &SegmentMeta) -> Vec<u8> {
    codec::encode(META_FORMAT, meta)
}

/// Reads what [`encode_meta`] wrote.
pub(crate) fn decode_meta(bytes: bytes::Bytes) -> Result<SegmentMeta, DecodeError> {
    codec::decode(META_FORMAT, bytes)
}

/// The directory of all shard logs.
pub(crate) fn directory(data: &Path) -> PathBuf {
    data.join("streams")
}

/// The directory of a stream.
pub(crate) fn stream_directory(data: &Path, stream: StreamId) -> PathBuf {
    directory(data).join(stream.to_string())
}

/// The directory of a shard.
pub(crate) fn shard_directory(data: &Path, shard: ShardKey) -> PathBuf {
    stream_directory(data, shard.0).join(shard.1.to_string())
}

/// The file of a segment.
pub(crate) fn path(data: &Path, shard: ShardKey, base: Ordinal) -> PathBuf {
    shard_directory(data, shard).join(format!("{:020}.segment", base.0))
}

/// The first ordinal in a segment's file name.
pub(crate) fn parse_file_name(name: &str) -> Option<Ordinal> {
    let digits = name.strip_suffix(".segment")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok().map(Ordinal))?
}

/// The catalogue of segments: what readers find their way by.
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    shards: RwLock<HashMap<ShardKey, Arc<Mutex<Vec<SegmentMeta>>>>>,
    open: OpenSegments,
    buffers: Arc<ReadBuffers>,
    pub(crate) usage: Usage,
}

type ShardSegments = Arc<Mutex<Vec<SegmentMeta>>>;

fn lock(shard: &Mutex<Vec<SegmentMeta>>) -> MutexGuard<'_, Vec<SegmentMeta>> {
    shard.lock().expect("nothing panics under this lock")
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, data: PathBuf) -> Self {
        Self {
            disk,
            data,
            shards: RwLock::default(),
            open: OpenSegments::default(),
            buffers: Arc::default(),
            usage: Usage::default(),
        }
    }

    fn shard(&self, key: ShardKey) -> Option<ShardSegments> {
        let shards = self.shards.read().expect("nothing panics under this lock");
        shards.get(&key).cloned()
    }

    /// All segments of a shard, oldest first.
    pub(crate) fn of(&self, key: ShardKey) -> Vec<SegmentMeta> {
        self.shard(key)
            .map_or_else(Vec::new, |shard| lock(&shard).clone())
    }

    /// The oldest segment of a shard.
    pub(crate) fn oldest(&self, key: ShardKey) -> Option<SegmentMeta> {
        let shard = self.shard(key)?;
        lock(&shard).first().copied()
    }

    /// The newest segment of a shard.
    pub(crate) fn newest(&self, key: ShardKey) -> Option<SegmentMeta> {
        let shard = self.shard(key)?;
        lock(&shard).last().copied()
    }

    /// The segment that holds a record, or the first one behind it.
    fn find(&self, key: ShardKey, wanted: Ordinal) -> Option<SegmentMeta> {
        let shard = self.shard(key)?;
        let segments = lock(&shard);
        let at = segments.partition_point(|segment| segment.next <= wanted);
        segments.get(at).copied()
    }

    /// Every shard that has a segment.
    pub(crate) fn keys(&self) -> Vec<ShardKey> {
        let shards = self.shards.read().expect("nothing panics under this lock");
        shards.keys().copied().collect()
    }

    /// Takes a segment's new state over, or a new segment.
    pub(crate) fn update(&self, key: ShardKey, meta: SegmentMeta) {
        let shard = self.shard(key).unwrap_or_else(|| {
            let mut shards = self.shards.write().expect("nothing panics under this lock");
            Arc::clone(shards.entry(key).or_default())
        });
        let mut segments = lock(&shard);
        match segments.binary_search_by_key(&meta.base, |segment| segment.base) {
            Ok(at) => {
                let before = std::mem::replace(&mut segments[at], meta);
                self.usage.resized(key.0, before.length, meta.length);
            }
            Err(at) => {
                segments.insert(at, meta);
                self.usage.resized(key.0, 0, meta.length);
            }
        }
    }

    /// Forgets the segments of a shard that end at or below `floor`, the oldest `most` of them; answers
    /// them.
    pub(crate) fn trim(&self, key: ShardKey, floor: Ordinal, most: usize) -> Vec<SegmentMeta> {
        let Some(shard) = self.shard(key) else {
            return Vec::new();
        };
        let mut segments = lock(&shard);
        let count = segments.partition_point(|segment| segment.next <= floor && segment.is_sealed);
        let gone: Vec<SegmentMeta> = segments.drain(..count.min(most)).collect();
        drop(segments);
        for segment in &gone {
            self.usage.resized(key.0, segment.length, 0);
            self.open.forget((key, segment.base));
        }
        gone
    }

    /// Forgets a shard; answers its segments.
    pub(crate) fn forget_shard(&self, key: ShardKey) -> Vec<SegmentMeta> {
        let mut shards = self.shards.write().expect("nothing panics under this lock");
        let gone = shards.remove(&key);
        drop(shards);
        let gone = gone.map_or_else(Vec::new, |shard| lock(&shard).clone());
        for segment in &gone {
            self.usage.resized(key.0, segment.length, 0);
            self.open.forget((key, segment.base));
        }
        gone
    }

    /// Forgets all shards of a stream.
    pub(crate) fn forget(&self, stream: StreamId) -> Vec<(ShardKey, SegmentMeta)> {
        let mut shards = self.shards.write().expect("nothing panics under this lock");
        let mut gone = Vec::new();
        shards.retain(|key, shard| {
            if key.0 == stream {
                gone.extend(lock(shard).iter().map(|meta| (*key, *meta)));
            }
            key.0 != stream
        });
        drop(shards);
        self.usage.forget(stream);
        for (key, meta) in &gone {
            self.open.forget((*key, meta.base));
        }
        gone
    }
}

//! What the two put operations share: records gathered as columns, appended, and placed.

use std::sync::Arc;

use fnctl_core::{
    id::{StreamName, Timestamp},
    record::{ByteColumn, NewRecords},
    shard::{Shard, Stream},
};

use crate::{
    api::call::Call,
    hash_key,
    limits::{DATA_BYTES_MAX, PUT_BYTES_MAX, PUT_RECORDS_MAX, RECORD_BYTES_MAX},
    log::{AppendError, Appended, Log},
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, Kind, Member, Pattern, Rule},
    },
};

pub(super) const PARTITION_KEY: Member = Member {
    name: "PartitionKey",
    kind: Kind::String,
    rules: &[Rule::NotNull, Rule::LengthMin(1), Rule::LengthMax(256)],
};
pub(super) const EXPLICIT_HASH_KEY: Member = Member {
    name: "ExplicitHashKey",
    kind: Kind::String,
    rules: &[Rule::Matches(Pattern::HashKey)],
};
pub(super) const DATA: Member = Member {
    name: "Data",
    kind: Kind::Blob,
    rules: &[Rule::NotNull, Rule::LengthMax(DATA_BYTES_MAX)],
};

/// Room made for a partition key; longer ones make more.
const USUAL_KEY_BYTES: usize = 16;

/// Records on their way in, as columns.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) keys: Column,
    pub(super) data: Column,
    /// Rows whose hash key the producer gave.
    explicit: Vec<(usize, u128)>,
}

/// A column that decoders append to in place.
#[derive(Debug, Default)]
pub(super) struct Column {
    pub(super) bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Column {
    /// Ends a value: all bytes appended since the last one.
    pub(super) fn end(&mut self) {
        let end = u32::try_from(self.bytes.len()).expect("a request is far below 4 GiB");
        self.ends.push(end);
    }

    fn last_bytes(&self) -> usize {
        let before = self.ends.iter().rev().nth(1).copied().unwrap_or(0);
        self.ends.last().map_or(0, |end| (end - before) as usize)
    }

    fn finish(self) -> ByteColumn {
        ByteColumn {
            bytes: self.bytes.into(),
            ends: self.ends,
            nulls: Vec::new(),
        }
    }
}

impl Batch {
    /// With room for the records of a request body of `body_bytes`.
    pub(super) fn with_capacity(body_bytes: usize) -> Self {
        let mut batch = Self::default();
        batch.data.bytes.reserve(body_bytes / 4 * 3);
        batch.data.ends.reserve(PUT_RECORDS_MAX);
        batch.keys.bytes.reserve(PUT_RECORDS_MAX * USUAL_KEY_BYTES);
        batch.keys.ends.reserve(PUT_RECORDS_MAX);
        batch
    }

    pub(super) fn len(&self) -> usize {
        self.data.ends.len()
    }

    pub(super) fn set_hash_key(&mut self, hash_key: u128) {
        self.explicit.push((self.len() - 1, hash_key));
    }

    /// Whether the last record and the whole are within bounds that hold for every stream.
    pub(super) fn is_within_bounds(&self) -> bool {
        self.keys.last_bytes() + self.data.last_bytes() <= RECORD_BYTES_MAX
            && self.keys.bytes.len() + self.data.bytes.len() <= PUT_BYTES_MAX
    }

    /// Adds the record that a checked request, or its entry `index`, describes.
    ///
    /// # Errors
    /// The explicit hash key is too large, or the record is for its stream, or the whole.
    pub(super) fn add(
        &mut self,
        entry: Checked<'_>,
        index: Option<usize>,
        stream: &Stream,
    ) -> Result<(), ApiError> {
        let refuse = |words: String| Err(ApiError::new(ErrorCode::InvalidArgument, words));
        let key = entry.text(PARTITION_KEY.name).unwrap_or("");
        self.keys.bytes.extend_from_slice(key.as_bytes());
        self.keys.end();
        self.data
            .bytes
            .extend(entry.blob(DATA.name).unwrap_or_default());
        self.data.end();
        if let Some(text) = entry.text(EXPLICIT_HASH_KEY.name) {
            match hash_key::explicit(text) {
                Some(hash_key) => self.set_hash_key(hash_key),
                None => {
                    return refuse(format!(
                        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: \
                         [0, 2^128-1]. Specified value was {text}"
                    ));
                }
            }
        }
        let most = usize::try_from(stream.options.record_bytes_max).unwrap_or(usize::MAX);
        let data_bytes = self.data.last_bytes();
        if data_bytes > most {
            return Err(data_too_long(data_bytes, most, index));
        }
        let record_bytes = self.keys.last_bytes() + data_bytes;
        if record_bytes > most {
            return refuse(format!(
                "Record {} has {record_bytes} bytes of data and partition key, above the limit of \
                 {most}.",
                self.len()
            ));
        }
        if self.keys.bytes.len() + self.data.bytes.len() > PUT_BYTES_MAX {
            return refuse(format!(
                "Records size exceeds {} MB limit",
                PUT_BYTES_MAX >> 20
            ));
        }
        Ok(())
    }

    fn finish(self) -> NewRecords {
        let keys = self.keys.finish();
        let mut hash_keys = hash_key::hash_keys(&keys);
        for (row, hash_key) in self.explicit {
            hash_keys[row] = hash_key;
        }
        NewRecords {
            keys,
            data: self.data.finish(),
            hash_keys,
            hops: Vec::new(),
            origins: Vec::new(),
        }
    }
}

/// Data above what its stream takes, in the words of a member's constraint: of old there was one limit.
fn data_too_long(bytes: usize, most: usize, index: Option<usize>) -> ApiError {
    let place = index.map_or_else(
        || "data".to_owned(),
        |index| format!("records.{}.member.data", index + 1),
    );
    ApiError::new(
        ErrorCode::Validation,
        format!(
            "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim={bytes} \
             cap={bytes}]' at '{place}' failed to satisfy constraint: Member must have length less \
             than or equal to {most}"
        ),
    )
}

/// How an append ended.
pub(super) enum Outcome {
    /// The records are in the stream.
    Appended {
        stream: Arc<Stream>,
        appended: Appended,
    },
    /// The disk or the stream is full, or too much is under way; these are the shards that the records belong to.
    Throttled {
        stream: Arc<Stream>,
        hash_keys: Vec<u128>,
    },
}

/// Appends a batch to a stream seen before; answers when it is acknowledged.
///
/// # Errors
/// The stream is gone, or the store has stopped.
pub(super) async fn append<L: Log>(
    call: &Call<'_, L>,
    stream: Arc<Stream>,
    batch: Batch,
) -> Result<Outcome, ApiError> {
    let records = batch.finish();
    let hash_keys = records.hash_keys.clone();
    match call.log.append(&stream.name, records).await {
        Ok(appended) => {
            let newest = appended.rows.iter().map(|(shard, _)| *shard).max();
            let is_known = stream.shards.last().map(|shard| shard.number) >= newest;
            let stream = if appended.stream == stream.id && is_known {
                stream
            } else {
                // Made anew or split in between; should that one be gone as well, so are the records.
                let anew = call.log.stream_by_id(appended.stream);
                anew.ok_or_else(|| call.stream_not_found(stream.name.as_str()))?
            };
            Ok(Outcome::Appended { stream, appended })
        }
        Err(AppendError::NoSuchStream) => Err(call.stream_not_found(stream.name.as_str())),
        Err(AppendError::DiskFull | AppendError::OverQuota | AppendError::Busy) => {
            Ok(Outcome::Throttled { stream, hash_keys })
        }
        Err(AppendError::Stopped(_)) => Err(ApiError::bare(ErrorCode::InternalFailure)),
    }
}

/// When a shard was made; a shard that the catalogue no longer shows cannot have been appended to.
pub(super) fn created_at(stream: &Stream, shard: fnctl_core::id::ShardNumber) -> Timestamp {
    // Where nothing was forgotten a shard's number is its place.
    let at = stream.shards.get(shard.0 as usize);
    at.filter(|candidate: &&Shard| candidate.number == shard)
        .or_else(|| stream.shard(shard))
        .map_or(stream.created_at, |shard| shard.created_at)
}

/// The name of the stream that records go to, checked.
pub(super) fn parse_name(name: &[u8]) -> Option<StreamName> {
    std::str::from_utf8(name)
        .ok()
        .and_then(|name| StreamName::parse(name).ok())
}

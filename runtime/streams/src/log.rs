//! Where the records are: what the Kinesis API needs of a store, and no more.

use std::sync::Arc;

use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId, StreamName, Timestamp},
    record::{NewRecords, RecordBlock},
    shard::{Reshard, ReshardError, Stream, StreamOptions},
};

#[cfg(test)]
pub(crate) mod memory;

/// What was appended, once it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The stream that the name meant.
    pub stream: StreamId,
    /// Arrival of every record.
    pub arrival: Timestamp,
    /// Shard and ordinal of each record, in the order given.
    pub rows: Vec<(ShardNumber, Ordinal)>,
}

/// Why an append was refused: nothing of it is in the stream, except after `Stopped`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No stream has the name.
    #[error("no such stream")]
    NoSuchStream,
    /// The disk's reserve is reached.
    #[error("the disk is full")]
    DiskFull,
    /// Too much is under way.
    #[error("too much is under way")]
    Busy,
    /// The stream is at its quota of bytes.
    #[error("the stream is at its quota")]
    OverQuota,
    /// The store stopped; whether the records are kept shows after the restart.
    #[error("the store has stopped: {0}")]
    Stopped(String),
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A stream of that name exists.
    #[error("the stream exists")]
    Exists,
    /// No stream has the name.
    #[error("no such stream")]
    NoSuchStream,
    /// Its shards cannot be changed so.
    #[error(transparent)]
    Reshard(ReshardError),
    /// The catalogue says no, in words.
    #[error("{0}")]
    Refused(String),
    /// The store stopped; whether the command took effect shows after the restart.
    #[error("the store has stopped: {0}")]
    Stopped(String),
}

/// Why records cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The shard, or its stream, does not exist any more.
    #[error("no such shard")]
    NoSuchShard,
    /// Stored bytes are damaged, or the store stopped.
    #[error("{0}")]
    Failed(String),
}

/// Where a shard begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Oldest ordinal shown.
    pub horizon: Ordinal,
    /// Ordinal of the next record.
    pub next: Ordinal,
    /// Arrival of the newest record; the shard's creation while it has none.
    pub last_arrival: Timestamp,
}

/// Streams of records with a catalogue. Everything seen through it is durable: the published prefix.
///
/// A handle: cloned per connection, so cloning is cheap.
pub trait Log: Clone + Send + Sync + 'static {
    /// The stream of a name, internal ones included.
    fn stream(&self, name: &StreamName) -> Option<Arc<Stream>>;

    /// The stream of an id, internal ones included.
    fn stream_by_id(&self, id: StreamId) -> Option<Arc<Stream>>;

    /// Every stream by name, internal ones included.
    fn streams(&self) -> Vec<Arc<Stream>>;

    /// Where a shard begins and ends.
    fn tail(&self, stream: StreamId, shard: ShardNumber) -> Option<Tail>;

    /// Appends records, resolved by name in log order; answers when they are acknowledged.
    ///
    /// # Errors
    /// As [`AppendError`] says.
    fn append(
        &self,
        name: &StreamName,
        records: NewRecords,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// Reads records above `after`, at least one if there is any. Blocks follow each other without a
    /// gap; the first may begin at or before `after`, the last may go beyond the bounds.
    ///
    /// # Errors
    /// As [`ReadError`] says.
    fn read(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        after: Ordinal,
        records_max: usize,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Vec<Arc<RecordBlock>>, ReadError>> + Send;

    /// The first ordinal shown that arrived at or after `time`; the next ordinal if none did.
    ///
    /// # Errors
    /// As [`ReadError`] says.
    fn find_time(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        time: Timestamp,
    ) -> impl Future<Output = Result<Ordinal, ReadError>> + Send;

    /// Makes a stream; answers when that is durable.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    fn create_stream(
        &self,
        name: &StreamName,
        shards: u32,
        options: StreamOptions,
    ) -> impl Future<Output = Result<(), CommandError>> + Send;

    /// Deletes a stream whoever uses it; answers when that is durable.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    fn delete_stream(
        &self,
        name: &StreamName,
    ) -> impl Future<Output = Result<(), CommandError>> + Send;

    /// Sets how long records are kept; answers when that is durable.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    fn set_retention(
        &self,
        name: &StreamName,
        retention_ms: u64,
    ) -> impl Future<Output = Result<(), CommandError>> + Send;

    /// Splits, merges or resizes a stream's shards; answers when that is durable.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    fn reshard(
        &self,
        name: &StreamName,
        how: Reshard,
    ) -> impl Future<Output = Result<(), CommandError>> + Send;
}

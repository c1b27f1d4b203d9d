//! A shard of the store as a worker reads it.

use std::sync::Arc;

use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId},
    record::RecordBlock,
    source::{Damage, ShardSource, SourceError},
};
use fnctl_store::{ReadError, ScrubFinding, Store};
use tokio::sync::watch;

/// One shard of an embedded stream.
pub(crate) struct StoreSource {
    store: Store,
    stream: StreamId,
    shard: ShardNumber,
    tail: watch::Receiver<Ordinal>,
}

impl StoreSource {
    /// Opens a shard; `None`: it does not exist any more.
    pub(crate) fn open(store: &Store, stream: StreamId, shard: ShardNumber) -> Option<Self> {
        let tail = store.watch(stream, shard).ok()?;
        Some(Self {
            store: store.clone(),
            stream,
            shard,
            tail,
        })
    }
}

impl ShardSource for StoreSource {
    async fn fetch(
        &self,
        after: Ordinal,
        records_max: u32,
        bytes_max: u64,
    ) -> Result<Vec<Arc<RecordBlock>>, SourceError> {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        read(
            &self.store,
            self.stream,
            self.shard,
            after,
            records_max as usize,
            bytes_max,
        )
        .await
        .map_err(|error| match error {
            ReadError::NoSuchShard => SourceError::Gone,
            ReadError::Trimmed { horizon } => SourceError::Trimmed { horizon },
            error => match damage(&self.store, &error, after) {
                Some(damage) => SourceError::Damaged(Box::new(damage)),
                None => SourceError::Transient(error.to_string()),
            },
        })
    }

    fn tail(&self) -> Ordinal {
        *self.tail.borrow()
    }

    async fn tail_above(&mut self, tail: Ordinal) -> Result<Ordinal, SourceError> {
        let above = self.tail.wait_for(|last| *last > tail).await;
        above.map(|last| *last).map_err(|_| SourceError::Gone)
    }
}

/// Reads records: from memory at once, from a file on a thread that may wait.
///
/// # Errors
/// As the store says.
pub(crate) async fn read(
    store: &Store,
    stream: StreamId,
    shard: ShardNumber,
    after: Ordinal,
    records_max: usize,
    bytes_max: usize,
) -> Result<Vec<Arc<RecordBlock>>, ReadError> {
    if let Some(found) = store.read_tail(stream, shard, after, records_max, bytes_max)? {
        return Ok(found);
    }
    let store = store.clone();
    blocking(move || store.read(stream, shard, after, records_max, bytes_max)).await
}

/// Why records behind `after` cannot be read.
pub(crate) fn words(store: &Store, error: &ReadError, after: Ordinal) -> String {
    damage(store, error, after).map_or_else(|| error.to_string(), |damage| damage.words)
}

/// The damage behind `after` that a read met, `None` where it failed otherwise: the place and records as the store
/// found them then, rather than the file they are in.
fn damage(store: &Store, error: &ReadError, after: Ordinal) -> Option<Damage> {
    let ReadError::Damaged {
        file,
        offset,
        stream,
        shard,
        first,
        next,
    } = error
    else {
        return None;
    };
    let name = store.view(|view| {
        let known = view.registry().stream(*stream)?;
        Some(known.name.to_string())
    });
    // Those of dead letters have none.
    let name = name.map_or_else(|| format!("of id {stream}"), |name| format!("`{name}`"));
    // A file may have several: it is the one that holds what was wanted.
    let is_met = |found: &ScrubFinding| {
        let is_it = |(from, last): (Ordinal, Ordinal)| last > after && from < *next;
        let is_there = found.shard == Some((*stream, *shard)) && found.file == *file;
        is_there && found.records.is_some_and(is_it)
    };
    let known = store.damaged(*stream).into_iter();
    let found = known.filter(is_met).min_by_key(|found| found.offset);
    let (offset, what, records) = match &found {
        Some(found) => (found.offset, found.words.as_str(), found.records),
        None => (
            *offset,
            "the file is damaged",
            Some((*first, Ordinal(next.0.saturating_sub(1)))),
        ),
    };
    let records = records.map_or_else(String::new, |(first, last)| {
        format!(", records {first} to {last}")
    });
    let (path, shard) = (file.display().to_string(), shard.shard_id());
    let words = format!("{path} at offset {offset}: {what}, stream {name}, {shard}{records}");
    Some(Damage {
        path,
        offset,
        words,
    })
}

/// Runs something that may wait for a disk.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going down: whoever waits goes with it.
        Err(_) => std::future::pending().await,
    }
}

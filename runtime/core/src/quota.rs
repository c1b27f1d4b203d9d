//! What a stream may take on the disk: when a put or an output is refused, and which of its records go
//! because it holds too many (commit and storage rules §7).
//!
//! Bytes are those of the stream's logs as they lie on the disk, and of what is on its way there: told
//! by the store, never journaled, because no redo judges by them.

use std::collections::BTreeMap;

use crate::{
    entry::Entry,
    id::{Ordinal, ShardNumber, StreamId, StreamName},
    limits,
    view::NodeView,
};

/// An entry that its stream has no room for. Nothing of it is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream `{stream}` holds {stored_bytes} bytes of {quota_bytes}")]
pub struct OverQuota {
    /// The stream.
    pub stream: StreamName,
    /// Bytes it may take.
    pub quota_bytes: u64,
    /// Bytes it takes.
    pub stored_bytes: u64,
}

/// What records weigh while they are on their way to the disk: keys and data, and what a log keeps
/// beside each.
#[must_use]
pub const fn weight(bytes: usize, records: usize) -> u64 {
    bytes as u64 + records as u64 * limits::STORED_RECORD_BYTES
}

/// Whether `adding` bytes more stay within a bound.
#[must_use]
pub const fn has_room(bound: Option<u64>, stored: u64, adding: u64) -> bool {
    match bound {
        None => true,
        Some(bound) => stored.saturating_add(adding) <= bound,
    }
}

impl NodeView {
    /// The stream that has no room for an entry, if there is one. `stored` tells what a stream takes.
    ///
    /// An output that leads back to the stream its mapping reads is never refused: two full streams
    /// would wait for each other for ever. The hop limit and the disk reserve bound those (commit and
    /// storage rules §7). Dead letters have a bound of their own.
    #[must_use]
    pub fn over_quota(&self, entry: &Entry, stored: impl Fn(StreamId) -> u64) -> Option<OverQuota> {
        let has_quota = |stream| {
            let stream = self.registry().stream(stream);
            stream.is_some_and(|stream| stream.options.quota_bytes.is_some())
        };
        let mut adding: BTreeMap<StreamId, u64> = BTreeMap::new();
        for (placement, records) in entry.appended() {
            if has_quota(placement.stream) {
                *adding.entry(placement.stream).or_default() +=
                    weight(records.byte_len(), records.len());
            }
        }
        let leads_back = |over: &OverQuota| match entry {
            Entry::Commit { commit, .. } => self
                .registry()
                .leads_back(commit.unit.mapping, &over.stream),
            _ => false,
        };
        adding.into_iter().find_map(|(stream, adding)| {
            self.refuse(stream, adding, &stored)
                .filter(|over| !leads_back(over))
        })
    }

    fn refuse(
        &self,
        stream: StreamId,
        adding: u64,
        stored: impl Fn(StreamId) -> u64,
    ) -> Option<OverQuota> {
        let stream = self.registry().stream(stream)?;
        let quota_bytes = stream.options.quota_bytes?;
        let stored_bytes = stored(stream.id);
        (adding > 0 && !has_room(Some(quota_bytes), stored_bytes, adding)).then(|| OverQuota {
            stream: stream.name.clone(),
            quota_bytes,
            stored_bytes,
        })
    }
}

/// A run of records that lies in one file and goes as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRun {
    /// Its shard.
    pub shard: ShardNumber,
    /// Ordinal of the record after its last.
    pub next: Ordinal,
    /// What it takes.
    pub bytes: u64,
    /// Retention clock of its last record, ms.
    pub stamp: u64,
}

/// The horizons that leave a stream with at most `bound` bytes shown, of the `shown` it has: whole runs
/// go, the oldest of all shards first. `runs` are those that may go, each shard's in order.
///
/// What goes so is given up like what is too old: it is shown no more at once, and its space comes back
/// as soon as every mapping has settled it.
#[must_use]
pub fn horizons_within(
    bound: u64,
    shown: u64,
    runs: impl IntoIterator<Item = StoredRun>,
) -> BTreeMap<ShardNumber, Ordinal> {
    let mut runs: Vec<StoredRun> = runs.into_iter().collect();
    // Stable: a shard's runs stay in order where stamps are equal.
    runs.sort_by_key(|run| run.stamp);
    let (mut horizons, mut left) = (BTreeMap::new(), shown);
    for run in runs {
        if left <= bound {
            break;
        }
        left = left.saturating_sub(run.bytes);
        let horizon: &mut Ordinal = horizons.entry(run.shard).or_default();
        *horizon = (*horizon).max(run.next);
    }
    horizons
}

/// The size at which a file of a stream's log is ended, so that what goes at the stream's bound is a
/// small part of it: an eighth, shared by its open shards, within `least` and `most`.
#[must_use]
pub fn run_bytes(bound: Option<u64>, shards: usize, least: u64, most: u64) -> u64 {
    match bound {
        None => most,
        Some(bound) => (bound / 8 / (shards.max(1) as u64)).clamp(least.min(most), most),
    }
}

#[cfg(test)]
mod tests;

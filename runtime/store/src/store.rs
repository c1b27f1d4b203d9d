//! The handle: what the rest of the node may ask of the store.

mod append;
mod ticket;

use std::{path::PathBuf, sync::Arc, sync::atomic::Ordering};

use fnctl_core::{
    commit::AttemptMark,
    committer::Stopped,
    entry::Entry,
    id::{LeaseEpoch, Lsn, Ordinal, ShardNumber, StreamId, Timestamp, UnitId},
    record::RecordBlock,
    view::NodeView,
};
use tokio::sync::{oneshot, watch};

pub use self::{
    append::{AppendError, Appended},
    ticket::CommitTicket,
};
pub use crate::segment::ReadError;
use crate::{
    artifact::{ArtifactError, ArtifactPin},
    block::slice,
    clocks::ArrivalClock,
    sequencer::{self, Request},
    shared::Shared,
    space::Room,
    stats::{PutsRefused, StoreStats},
};

/// Embedded storage. A cheap handle; the work is done by the loops that `open` returned beside it.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("directory", &self.shared.directory)
            .finish_non_exhaustive()
    }
}

/// Why a decision came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecideError<E> {
    /// It was refused.
    #[error("{0}")]
    Refused(E),
    /// The store stopped; whether it took the entry shows after the restart.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Store {
    /// Appoints an owner for each of the units that exist; their epochs, once durable.
    ///
    /// # Errors
    /// The store stopped.
    pub async fn lease(&self, units: Vec<UnitId>) -> Result<Vec<(UnitId, LeaseEpoch)>, Stopped> {
        let decide = move |view: &NodeView, _: Timestamp| {
            let entry = view.evaluate_lease(&units);
            let Entry::Lease { grants } = &entry else {
                unreachable!("a lease becomes a lease");
            };
            let grants = grants.clone();
            let is_any = !grants.is_empty();
            Ok::<_, Stopped>((is_any.then_some(entry), grants))
        };
        match self.decide(decide).await {
            Ok(grants) => Ok(grants),
            Err(DecideError::Refused(stopped) | DecideError::Stopped(stopped)) => Err(stopped),
        }
    }

    /// Judges something against the view at the end of the log and takes the entry it resolves to, if
    /// any. Resolves when everything the judgement saw is durable and visible.
    ///
    /// # Errors
    /// The refusal, once everything it speaks of is visible; or the store stopped.
    pub async fn decide<T, E>(
        &self,
        decide: impl FnOnce(&NodeView, Timestamp) -> Result<(Option<Entry>, T), E> + Send + 'static,
    ) -> Result<T, DecideError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let decision = move |view: &NodeView, now: Timestamp| {
            let (entry, result) = match decide(view, now) {
                Ok((entry, value)) => (entry, Ok(value)),
                Err(refusal) => (None, Err(refusal)),
            };
            let announce: sequencer::Announce = Box::new(move || drop(reply.send(result)));
            (entry, announce)
        };
        sequencer::submit(&self.shared, Request::Decide(Box::new(decision)))?;
        let result = answer.await.map_err(|_| self.shared.stopped())?;
        result.map_err(DecideError::Refused)
    }

    /// Looks at the published view: the synced prefix alone. Keep it short, publishing waits for it.
    pub fn view<R>(&self, look: impl FnOnce(&NodeView) -> R) -> R {
        look(&self.shared.read_published().view)
    }

    /// LSN after the last visible entry.
    #[must_use]
    pub fn published(&self) -> Lsn {
        self.shared.read_published().next
    }

    /// Records after `after`, in order: at most `records_max`, and about `bytes_max` bytes but at least
    /// one; empty at the tail. Blocks are shared, those at the ends cut.
    ///
    /// May read a file: not for an async thread unless [`Self::read_tail`] said no.
    ///
    /// # Errors
    /// See [`ReadError`]; `Trimmed` when the record after `after` is below the physical floor.
    pub fn read(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        after: Ordinal,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Arc<RecordBlock>>, ReadError> {
        if let Some(found) = self.read_tail(stream, shard, after, records_max, bytes_max)? {
            return Ok(found);
        }
        let key = (stream, shard);
        let found = self.shared.segments.read(key, after, bytes_max);
        let found = found.inspect_err(|error| self.shared.met(key, error))?;
        if let Some(first) = found.first() {
            let after = Ordinal(after.0.max(first.first.0 - 1));
            return Ok(cut_to(found, after, records_max, bytes_max));
        }
        // The applier was between the two: then it is in memory now, or the shard has a hole.
        match self.read_tail(stream, shard, after, records_max, bytes_max)? {
            Some(found) => Ok(found),
            None => {
                let error = self.missing(stream, shard, after);
                self.shared.met(key, &error);
                Err(error)
            }
        }
    }

    /// As [`Self::read`], from memory alone; `None` when a segment must be read.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_tail(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        after: Ordinal,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Vec<Arc<RecordBlock>>>, ReadError> {
        let tail = self.tail(stream, shard)?;
        if after >= tail.last() || records_max == 0 {
            return Ok(Some(Vec::new()));
        }
        if after.next() < tail.floor {
            return Err(ReadError::Trimmed {
                horizon: tail.horizon,
            });
        }
        let (mut records, mut bytes) = (0_u64, 0);
        let found = self.shared.tail.read((stream, shard), after, |block| {
            if block.first > after {
                bytes += block.records.byte_len();
            }
            // What lies before `after` does not count.
            records += block.last().0 - after.0.max(block.first.0 - 1);
            records < records_max as u64 && bytes < bytes_max
        });
        Ok(found.map(|found| cut_to(found, after, records_max, bytes_max)))
    }

    fn tail(
        &self,
        stream: StreamId,
        shard: ShardNumber,
    ) -> Result<fnctl_core::view::ShardTail, ReadError> {
        self.view(|view| view.tail(stream, shard).copied())
            .ok_or(ReadError::NoSuchShard)
    }

    fn missing(&self, stream: StreamId, shard: ShardNumber, after: Ordinal) -> ReadError {
        match self.tail(stream, shard) {
            Err(error) => error,
            Ok(tail) if after.next() < tail.floor => ReadError::Trimmed {
                horizon: tail.horizon,
            },
            Ok(tail) => ReadError::Damaged {
                file: crate::segment::shard_directory(&self.shared.directory, (stream, shard)),
                offset: 0,
                stream,
                shard,
                first: after.next(),
                next: tail.next,
            },
        }
    }

    /// The first record that arrived at or after `time`; the next ordinal when there is none.
    ///
    /// May read a file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn find_time(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        time: Timestamp,
    ) -> Result<Ordinal, ReadError> {
        let tail = self.tail(stream, shard)?;
        if tail.last_arrival < time {
            return Ok(tail.next);
        }
        let key = (stream, shard);
        let found = self.shared.segments.find_time(key, time);
        let found = found.inspect_err(|error| self.shared.met(key, error))?;
        let mut wanted = match found {
            Some(found) => return Ok(found.max(tail.floor)),
            None => {
                let newest = self.shared.segments.newest(key);
                newest.map_or(tail.floor, |newest| newest.next.max(tail.floor))
            }
        };
        while wanted < tail.next {
            let before = Ordinal(wanted.0 - 1);
            for block in self.read(stream, shard, before, usize::MAX, 1 << 20)? {
                let at = block.records.arrival_ms.partition_point(|&ms| ms < time.0);
                if at < block.len() {
                    return Ok(block.ordinal(at));
                }
                wanted = block.last().next();
            }
        }
        Ok(tail.next)
    }

    /// Watches the last visible ordinal of a shard: pushed, never polled. The channel closes when the
    /// shard goes.
    ///
    /// # Errors
    /// There is no such shard.
    pub fn watch(
        &self,
        stream: StreamId,
        shard: ShardNumber,
    ) -> Result<watch::Receiver<Ordinal>, ReadError> {
        let published = self.shared.read_published();
        let tail = published
            .view
            .tail(stream, shard)
            .ok_or(ReadError::NoSuchShard)?;
        // Under the view's lock, so that a frame is either in `last` or announced to the receiver.
        Ok(self.shared.tail.watch((stream, shard), tail.last()))
    }

    /// Changes with every visible entry that touches the catalogue or an epoch.
    #[must_use]
    pub fn registry_changed(&self) -> watch::Receiver<u64> {
        self.shared.registry_changed.subscribe()
    }

    /// Stores component bytes durably; they stay while the pin is held or a published version names
    /// them. Blocking.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    pub fn put_artifact(&self, bytes: &[u8]) -> Result<ArtifactPin, ArtifactError> {
        if self.shared.space.room() > Room::Puts {
            return Err(ArtifactError::DiskFull);
        }
        let pin = self.shared.artifacts.put(bytes)?;
        self.shared.stored_artifact(pin.digest());
        Ok(pin)
    }

    /// Reads component bytes, checked against their digest. Blocking.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    pub fn artifact(&self, digest: &str) -> Result<Vec<u8>, ArtifactError> {
        let found = self.shared.artifacts.get(digest);
        found.inspect_err(|error| {
            if matches!(error, ArtifactError::Damaged { .. }) {
                self.shared.met_artifact(digest);
            }
        })
    }

    /// Where an artefact lies, if it does.
    #[must_use]
    pub fn artifact_path(&self, digest: &str) -> PathBuf {
        self.shared.artifacts.path(digest)
    }

    /// When a write or a sync failed, if one did: nothing was acknowledged since, and the process must have
    /// ended a second later.
    #[must_use]
    pub fn failed_at(&self) -> Option<std::time::Instant> {
        self.shared.failed_at.get().copied()
    }

    /// Why the store serves reads alone, if it does: a part of the journal cannot be read, or a start
    /// found no room at all.
    #[must_use]
    pub fn read_only(&self) -> Option<&str> {
        self.shared.read_only.as_deref()
    }

    /// The clock that arrivals are written by.
    #[must_use]
    pub fn arrival_clock(&self) -> ArrivalClock {
        ArrivalClock::of(Arc::clone(&self.shared))
    }

    /// Whether first batches and retries are to be called record by record, each with its attempt marked
    /// durably before: so after two unclean stops, until the node has run for ten minutes (commit and
    /// storage rules §4).
    #[must_use]
    pub fn is_careful(&self) -> watch::Receiver<bool> {
        self.shared.unclean.is_careful()
    }

    /// The marks of a unit's records that the process before this one died with.
    #[must_use]
    pub fn died_with(&self, unit: UnitId) -> Vec<AttemptMark> {
        self.shared.unclean.in_hand(unit)
    }

    /// Bytes that a stream's logs take on the disk, with what is on its way there: what its quota counts.
    #[must_use]
    pub fn stored_bytes(&self, stream: StreamId) -> u64 {
        self.shared.segments.usage.of(stream)
    }

    /// How far the wall clock is ahead of the time that arrivals are given, ms; below 0: behind it.
    #[must_use]
    pub fn wall_ahead_ms(&self) -> i64 {
        self.shared.clocks.wall_ahead_ms()
    }

    /// How long ago a moment of the boot-time clock was; `None`: it never came.
    fn age_ms(&self, at: &std::sync::atomic::AtomicU64) -> Option<u64> {
        let at = at.load(Ordering::Relaxed);
        let now = self.shared.clocks.boot_ms();
        (at > 0).then(|| now.saturating_sub(at))
    }

    /// Figures of this moment.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let counters = &self.shared.counters;
        StoreStats {
            frames: counters.frames.load(Ordering::Relaxed),
            journal_bytes: counters.journal_bytes.load(Ordering::Relaxed),
            sync_time: counters.sync_time(),
            sync_samples: counters.samples(),
            segment_bytes: counters.segment_bytes.load(Ordering::Relaxed),
            cuts: counters.cuts.load(Ordering::Relaxed),
            unapplied_bytes: self.shared.space.unapplied(),
            tail_bytes: self.shared.tail.bytes(),
            puts_in_flight: self.shared.appends.in_flight(),
            puts_refused: {
                let refused = &self.shared.appends.refused;
                PutsRefused {
                    busy_node: refused.busy_node.load(Ordering::Relaxed),
                    busy_stream: refused.busy_stream.load(Ordering::Relaxed),
                    stream_full: refused.stream_full.load(Ordering::Relaxed),
                    disk_full: refused.disk_full.load(Ordering::Relaxed),
                }
            },
            next: self.published(),
            cut: Lsn(counters.cut.load(Ordering::Relaxed)),
            image_age_ms: {
                let cut = counters.cut.load(Ordering::Relaxed);
                let is_behind = cut < self.published().0;
                let age = self.age_ms(&counters.cut_at).filter(|_| is_behind);
                age.unwrap_or(0)
            },
            snapshot_age_ms: self.age_ms(&counters.snapshot_at),
            free_bytes: self.shared.space.free(),
            reserve_bytes: self.shared.space.reserve(),
            room: self.shared.space.room(),
            wall_ahead_ms: self.wall_ahead_ms(),
            unclean_stops: self.shared.unclean.count(),
            is_careful: *self.shared.unclean.is_careful().borrow(),
        }
    }

    /// What is refused for want of room on the disk, in words; `None`: there is room for everything.
    #[must_use]
    pub fn refused_for_room(&self) -> Option<&'static str> {
        let room = self.shared.space.room();
        (room > Room::Puts).then(|| room.words())
    }

    /// How many bytes are free, and from how many on puts are taken: twice the reserve.
    #[must_use]
    pub fn room_of_puts(&self) -> (u64, u64) {
        let space = &self.shared.space;
        (space.free(), space.needed_by_puts())
    }

    /// Takes nothing more, and tells what waits for room `Stopped`. What was taken is written, the journal
    /// is ended in order, a last cut is made if the disk has room for it, and the loops return: on a full
    /// disk too, where the next start finds in the journal what no cut holds.
    pub fn shutdown(&self) {
        self.shared.appends.close();
        self.shared.scrub.stop();
        self.shared.drain();
    }
}

/// Blocks from the record after `after` on, cut to the limits.
fn cut_to(
    found: Vec<Arc<RecordBlock>>,
    after: Ordinal,
    records_max: usize,
    bytes_max: usize,
) -> Vec<Arc<RecordBlock>> {
    let (mut records, mut bytes) = (0, 0);
    let mut cut = Vec::with_capacity(found.len());
    for block in found {
        if records >= records_max || (bytes >= bytes_max && records > 0) {
            break;
        }
        let skipped = after.next().0.saturating_sub(block.first.0);
        let start = usize::try_from(skipped)
            .expect("blocks fit memory")
            .min(block.len());
        let mut end = start;
        while end < block.len() && records < records_max && (bytes < bytes_max || records == 0) {
            bytes += block.records.keys.range(end).len() + block.records.data.range(end).len();
            records += 1;
            end += 1;
        }
        if start == 0 && end == block.len() {
            cut.push(block);
        } else if start < end {
            cut.push(Arc::new(slice(&block, start..end)));
        }
    }
    cut
}

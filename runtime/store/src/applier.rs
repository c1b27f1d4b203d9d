//! Moves journaled records into shard segments, and does what follows from it: cuts, snapshots,
//! retention, and a look at the disk now and then. One per node, on a thread of its own.
//!
//! It takes *journaled* entries alone: an entry whose sync never returned must not reach a segment
//! (commit and storage rules §6).

mod write;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fnctl_core::{
    committer::Stopped,
    id::{Lsn, StreamId},
    record::RecordBlock,
};

use crate::{
    block::{ShardKey, block_bytes},
    cut::Cutter,
    limits::{
        APPLIER_WAKE_BYTES, CUT_SYNC_FILES_MAX, GATHERED_BYTES_MAX, RETENTION_INTERVAL_MS,
        SEGMENT_FRAMES_GATHERED, SPACE_SAMPLE_BYTES, SPACE_SAMPLE_MS,
    },
    retention::Retention,
    segment::{self, writer::SegmentWriter},
    sequencer::{PublishedFrame, Step},
    shared::Shared,
    space::Room,
    usage::block_weight,
};

/// Published frames that wait for the applier.
#[derive(Debug, Default)]
pub(crate) struct ApplierQueue {
    frames: VecDeque<PublishedFrame>,
    /// Bytes of journal of all of them.
    bytes: u64,
    /// One of them deletes a stream or forgets a shard.
    deletes: bool,
    /// The applier sleeps, and nobody has woken it.
    sleeps: bool,
}

impl ApplierQueue {
    /// Puts a frame behind the others; answers whether the applier has to be woken for it.
    pub(crate) fn push(&mut self, frame: PublishedFrame, is_short: bool) -> bool {
        self.bytes += frame.journal_bytes;
        self.deletes |= !frame.gone.is_empty() || !frame.gone_shards.is_empty();
        self.frames.push_back(frame);
        let wakes = self.sleeps && (is_short || self.is_much());
        self.sleeps &= !wakes;
        wakes
    }

    /// What waits, oldest first.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &PublishedFrame> {
        self.frames.iter()
    }

    /// Whether the applier takes them at once; few bytes wait until it looks, which costs nobody
    /// anything: they are read from memory.
    fn is_much(&self) -> bool {
        self.deletes || self.bytes >= APPLIER_WAKE_BYTES
    }

    fn take_all(&mut self) -> VecDeque<PublishedFrame> {
        (self.bytes, self.deletes) = (0, false);
        std::mem::take(&mut self.frames)
    }

    fn take_one(&mut self, through: Lsn) -> Option<PublishedFrame> {
        let frame = self.frames.pop_front_if(|frame| frame.next <= through)?;
        self.bytes -= frame.journal_bytes;
        Some(frame)
    }
}

/// A shard's records on their way into a frame.
#[derive(Debug, Default)]
struct Gathered {
    blocks: VecDeque<Arc<RecordBlock>>,
    bytes: usize,
    /// First and next LSN of the journal frames they came in.
    lsns: (Lsn, Lsn),
}

/// Writes segments: runs on a thread of its own.
pub struct ApplierLoop {
    pub(crate) shared: Arc<Shared>,
    gathered: BTreeMap<ShardKey, Gathered>,
    gathered_bytes: usize,
    /// Segments with bytes that are not synced, oldest first in each shard.
    pub(crate) unsynced: BTreeMap<ShardKey, Vec<SegmentWriter>>,
    /// LSN after the last entry taken from the queue.
    pub(crate) taken: Lsn,
    pub(crate) cutter: Cutter,
    pub(crate) retention: Retention,
    sampled_at: u64,
    sampled_bytes: u64,
    /// The disk was full at the last try: nothing is tried before the next look at it.
    is_full: bool,
    /// What there was room for at the last look at it.
    room: Room,
}

impl ApplierLoop {
    pub(crate) fn new(shared: Arc<Shared>, taken: Lsn, cutter: Cutter) -> Self {
        // What the start found was said.
        let room = shared.space.room();
        Self {
            shared,
            gathered: BTreeMap::new(),
            gathered_bytes: 0,
            unsynced: BTreeMap::new(),
            taken,
            cutter,
            retention: Retention::default(),
            sampled_at: 0,
            sampled_bytes: 0,
            is_full: false,
            room,
        }
    }

    /// Runs until the store is shut down and the last cut is made.
    ///
    /// # Errors
    /// A write or a sync failed: the process must end within a second.
    pub fn run(mut self) -> Result<(), Stopped> {
        loop {
            match self.step()? {
                Step::Finished => return Ok(()),
                Step::Worked => continue,
                Step::Idle => {}
            }
            let wait = Duration::from_millis(self.wait_ms());
            let mut queue = self.shared.lock_applier_queue();
            let is_short = !self.shared.space.has_budget() && !queue.frames.is_empty();
            let is_idle = !queue.is_much() && !is_short && !self.shared.backups.is_asked();
            if is_idle && !self.shared.is_ending() {
                queue.sleeps = true;
                let woken = self.shared.applier_work.wait_timeout(queue, wait);
                let (mut queue, _) = woken.expect("nothing panics under this lock");
                queue.sleeps = false;
            }
        }
    }

    /// Applies what was published, and cuts when a cut is due.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn step(&mut self) -> Result<Step, Stopped> {
        if let Some(stopped) = self.shared.failure() {
            return Err(stopped);
        }
        if self.shared.is_read_only() {
            let is_ending = self.shared.is_ending();
            return Ok(if is_ending {
                Step::Finished
            } else {
                Step::Idle
            });
        }
        // Read before the queue: after the journal's end nothing is published any more.
        let is_journal_finished = self.shared.is_journal_finished.load(Ordering::Acquire);
        self.act(is_journal_finished).map_err(|error| {
            let stopped = Stopped(format!("shard logs could not be written: {error}"));
            self.shared.fail(&stopped);
            stopped
        })
    }

    fn act(&mut self, is_journal_finished: bool) -> io::Result<Step> {
        self.look_at_disk()?;
        let boot_ms = self.shared.clocks.boot_ms();
        self.shared.unclean.pass(&*self.shared.disk, boot_ms);
        let worked = self.take_all()?;
        if is_journal_finished {
            self.cut()?;
            return Ok(Step::Finished);
        }
        if self.gathered_bytes > GATHERED_BYTES_MAX {
            self.write_all()?;
        }
        let is_cut_due = self.cutter.is_due(&self.shared, self.is_sparse()) && !self.is_full;
        // Before a cut, which takes the snapshot that what is found asks for.
        if is_cut_due || !worked {
            self.look_below();
        }
        if is_cut_due {
            self.cut()?;
        }
        self.begin_backups()?;
        self.remove_kept()?;
        let has_more = match self.retain() {
            // Sealing what expired takes room too; it is tried again at the next look.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.disk_is_full();
                false
            }
            other => other?,
        };
        self.prepare_journal()?;
        self.shared.tail.release();
        self.shared.wake_waiting();
        Ok(if worked || has_more {
            Step::Worked
        } else {
            Step::Idle
        })
    }

    /// How long there is nothing to do unless something is published, ms.
    fn wait_ms(&self) -> u64 {
        let cut = self.cutter.due_in_ms(&self.shared, self.is_sparse());
        let cut = cut.unwrap_or(u64::MAX);
        let look = if self.is_full {
            SPACE_SAMPLE_MS
        } else {
            u64::MAX
        };
        RETENTION_INTERVAL_MS.min(cut).min(look).max(1)
    }

    /// Whether a cut would write many shards, and less than a frame to each.
    fn is_sparse(&self) -> bool {
        let shards = self.gathered.len();
        shards > CUT_SYNC_FILES_MAX
            && self.gathered_bytes < shards * self.shared.sizes.segment_frame
    }

    /// Takes everything published; answers whether there was anything.
    pub(crate) fn take_all(&mut self) -> io::Result<bool> {
        let frames = self.shared.lock_applier_queue().take_all();
        let is_any = !frames.is_empty();
        for frame in frames {
            self.take(frame)?;
        }
        Ok(is_any)
    }

    /// Takes what was published up to `next`, and nothing beyond it.
    pub(crate) fn take_through(&mut self, next: Lsn) -> io::Result<()> {
        loop {
            let frame = self.shared.lock_applier_queue().take_one(next);
            match frame {
                Some(frame) => self.take(frame)?,
                None => return Ok(()),
            }
        }
    }

    fn take(&mut self, frame: PublishedFrame) -> io::Result<()> {
        let lsns = (self.taken, frame.next);
        self.taken = frame.next;
        self.cutter.journaled(frame.journal_bytes);
        let blocks: u64 = frame
            .blocks
            .iter()
            .map(|block| block_bytes(block) as u64)
            .sum();
        // From here on the budget counts what is really held.
        self.shared.space.accept(blocks);
        self.shared.space.apply(frame.budget_bytes);
        for block in frame.blocks {
            let key = (block.stream, block.shard);
            let gathered = self.gathered.entry(key).or_insert_with(|| Gathered {
                lsns,
                ..Gathered::default()
            });
            gathered.lsns.1 = lsns.1;
            let bytes = block_bytes(&block);
            gathered.bytes += bytes;
            self.gathered_bytes += bytes;
            gathered.blocks.push_back(block);
            let frames = self.shared.sizes.segment_frame * SEGMENT_FRAMES_GATHERED;
            if gathered.bytes >= frames && !self.is_full {
                self.write_shard(key)?;
            }
        }
        for stream in frame.gone {
            self.remove_stream(stream)?;
        }
        for key in frame.gone_shards {
            self.let_go(|other| *other == key);
            for meta in self.shared.segments.forget_shard(key) {
                self.cutter.segment_gone(key, meta.base);
            }
            self.remove_directory(&segment::shard_directory(&self.shared.directory, key))?;
        }
        Ok(())
    }

    /// Forgets what is on its way into segments of shards that are gone.
    fn let_go(&mut self, is_gone: impl Fn(&ShardKey) -> bool) {
        let gone: Vec<ShardKey> = self
            .gathered
            .keys()
            .copied()
            .filter(|key| is_gone(key))
            .collect();
        for key in gone {
            let gathered = self.gathered.remove(&key).unwrap_or_default();
            let weight = gathered.blocks.iter().map(|block| block_weight(block));
            self.shared.segments.usage.applied(key.0, weight.sum());
            self.gathered_bytes -= gathered.bytes;
            self.shared.space.apply(gathered.bytes as u64);
        }
        self.unsynced.retain(|key, _| !is_gone(key));
    }

    /// Removes a stream's files: its tombstone is journaled.
    fn remove_stream(&mut self, stream: StreamId) -> io::Result<()> {
        self.let_go(|key| key.0 == stream);
        for (key, meta) in self.shared.segments.forget(stream) {
            self.cutter.segment_gone(key, meta.base);
        }
        self.remove_directory(&segment::stream_directory(&self.shared.directory, stream))
    }

    /// Unless a backup copies what is in it: then later.
    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        if self.shared.backups.keep(directory) {
            return Ok(());
        }
        match self.shared.disk.remove_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Looks at the free space, after some time or some bytes.
    fn look_at_disk(&mut self) -> io::Result<()> {
        let now = self.shared.clocks.boot_ms();
        let written = self.shared.counters.segment_bytes.load(Ordering::Relaxed)
            + self.shared.counters.journal_bytes.load(Ordering::Relaxed);
        let is_due = self.sampled_at == 0
            || now.saturating_sub(self.sampled_at) >= SPACE_SAMPLE_MS
            || written - self.sampled_bytes >= SPACE_SAMPLE_BYTES;
        if is_due {
            self.sampled_at = now;
            self.sampled_bytes = written;
            let free = self.shared.disk.free_bytes(&self.shared.directory)?;
            self.shared.space.sample(free);
            self.is_full = false;
            self.tell_room(free);
        }
        Ok(())
    }

    /// Says when there is less room than there was, or room for everything again.
    fn tell_room(&mut self, free: u64) {
        let space = &self.shared.space;
        let (was, is) = (self.room, space.room());
        if is > was {
            let (needed_bytes, reserve_bytes) = (space.needed_by_puts(), space.reserve());
            tracing::warn!(
                free_bytes = free,
                needed_bytes,
                reserve_bytes,
                "the disk fills: {}",
                is.words()
            );
            self.room = is;
        } else if is < was && space.free() >= space.needed_by_puts() / 8 * 9 {
            // Where retention frees what puts take it would be said every second.
            tracing::info!(free_bytes = free, "the disk has room for everything again");
            self.room = is;
        }
    }

    /// Closes admission until the disk is looked at again.
    pub(crate) fn disk_is_full(&mut self) {
        if !self.is_full {
            tracing::error!(path = %self.shared.directory.display(), "the disk is full, waiting for room");
        }
        self.is_full = true;
        self.shared.space.sample(0);
    }

    /// Allocates the next journal file before it is needed; without room it is tried again.
    ///
    /// # Errors
    /// Any failure but a full disk: the file system is not to be trusted any more.
    fn prepare_journal(&self) -> io::Result<()> {
        let directory = crate::journal::directory(&self.shared.directory);
        let prepared = self
            .shared
            .journal_files
            .prepare(&*self.shared.disk, &directory);
        match prepared {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!(%error, "the next journal file could not be allocated");
                Ok(())
            }
            other => other,
        }
    }
}

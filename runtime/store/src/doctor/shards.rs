//! Shard logs: every frame of every segment, and that no record is missing between floor and tail.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::Path,
};

use fnctl_core::id::{Ordinal, StreamId};

use super::{DoctorError, Finding, FindingKind, Patient, at};
use crate::{
    Store,
    block::ShardKey,
    disk::Disk as _,
    segment::{self, SegmentMeta, check::check, walk::Walk},
};

const SEEK: &str =
    "restore a backup (fnctl restore); without one, what is behind the hole can still be read";

impl Patient<'_> {
    /// Every shard that the store knows, and directories it does not.
    pub(super) fn shards(&mut self, store: &Store) -> Result<(), DoctorError> {
        let shards: Vec<(ShardKey, Ordinal, Ordinal, String)> = store.view(|view| {
            let streams = view.registry().streams();
            let shards = streams.flat_map(|stream| {
                let name = stream.name.to_string();
                view.tails(stream.id).map(move |(shard, tail)| {
                    ((stream.id, shard), tail.floor, tail.next, name.clone())
                })
            });
            shards.collect()
        });
        let streams: BTreeSet<StreamId> = shards.iter().map(|(key, ..)| key.0).collect();
        self.report.streams = streams.len() as u64;
        self.unknown_directories(store, &streams)?;
        let mut in_memory = journaled(store);
        for (key, floor, next, name) in shards {
            let mut walk = ShardWalk {
                key,
                name,
                floor,
                reach: floor,
            };
            for meta in store.shared.segments.of(key) {
                self.segment(&mut walk, &meta)?;
            }
            for (first, behind) in in_memory.remove(&key).unwrap_or_default() {
                self.expect(&mut walk, first);
                walk.reach = walk.reach.max(behind);
            }
            self.expect(&mut walk, next);
        }
        Ok(())
    }

    /// One segment, up to its recorded length.
    fn segment(&mut self, walk: &mut ShardWalk, meta: &SegmentMeta) -> Result<(), DoctorError> {
        let path = segment::path(&self.data, walk.key, meta.base);
        self.expect(walk, meta.base);
        walk.reach = walk.reach.max(meta.next);
        let file = match self.reading.open_to_read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let words = "the segment is not there";
                self.add(walk.lost(
                    FindingKind::SegmentMissing,
                    &path,
                    meta.base,
                    meta.next,
                    words,
                ));
                return Ok(());
            }
            file => file.map_err(at(&path))?,
        };
        let length = file.length().map_err(at(&path))?;
        self.report.segments.add(length.min(meta.length));
        let frames = Walk::new(file, walk.key, meta.salt, meta.length);
        let (progress, mut bad) = (&mut self.progress, Vec::new());
        let records = check(
            frames,
            meta,
            length,
            &mut |bytes| {
                progress(bytes);
                true
            },
            &mut |run| bad.push(run),
        );
        self.report.records += records.map_err(at(&path))?.unwrap_or(0);
        for run in bad {
            let finding = if run.is_end {
                let words = format!("the segment has {length} bytes of {}", meta.length);
                let kind = FindingKind::SegmentMissing;
                walk.lost(kind, &path, run.first, run.next, words)
                    .at(run.offset)
            } else {
                walk.bad_frame(&path, run.offset, run.first, run.next)
            };
            self.add(finding);
        }
        Ok(())
    }

    /// Records up to before `first` must have been seen.
    fn expect(&mut self, walk: &mut ShardWalk, first: Ordinal) {
        if first > walk.reach {
            let path = segment::shard_directory(&self.data, walk.key);
            let words = "the records are in no file";
            let kind = FindingKind::RecordsMissing;
            self.add(walk.lost(kind, &path, walk.reach, first, words));
            walk.reach = first;
        }
    }

    fn unknown_directories(
        &mut self,
        store: &Store,
        known: &BTreeSet<StreamId>,
    ) -> Result<(), DoctorError> {
        let root = segment::directory(&self.data);
        let (next_stream, _, _) = store.view(|view| view.registry().next_ids());
        let entries = match self.reading.list(&root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(at(&root))?,
        };
        for entry in entries {
            let id = entry
                .name
                .parse()
                .map(StreamId)
                .ok()
                .filter(|_| entry.is_dir);
            // Those of deleted streams a start removes; it says so itself.
            if id.is_none_or(|id| !known.contains(&id) && id >= next_stream) {
                let words = "of no known stream; it is left alone";
                self.add(Finding::new(
                    FindingKind::Unknown,
                    &root.join(entry.name),
                    words,
                ));
            }
        }
        Ok(())
    }
}

/// A shard while its files are walked.
struct ShardWalk {
    key: ShardKey,
    name: String,
    floor: Ordinal,
    /// Records below were seen, or said to be missing.
    reach: Ordinal,
}

impl ShardWalk {
    /// Records from `first` on, up to before `next`, are lost.
    fn lost(
        &self,
        kind: FindingKind,
        path: &Path,
        first: Ordinal,
        next: Ordinal,
        words: impl Into<String>,
    ) -> Finding {
        let mut finding = Finding::new(kind, path, words).fix(SEEK);
        finding.shard = Some(self.key);
        finding.stream_name = Some(self.name.clone());
        // Those below the floor were given up before.
        let first = first.max(self.floor);
        finding.records = (first < next).then(|| (first, Ordinal(next.0 - 1)));
        finding
    }

    fn bad_frame(&self, path: &Path, offset: u64, first: Ordinal, next: Ordinal) -> Finding {
        let words = if first.max(self.floor) < next {
            "records cannot be read"
        } else {
            "bytes are damaged that hold no record"
        };
        self.lost(FindingKind::Segment, path, first, next, words)
            .at(offset)
    }
}

/// Records that the journal still holds for the segments, as a start finds them: first and behind the
/// last of each block.
fn journaled(store: &Store) -> BTreeMap<ShardKey, Vec<(Ordinal, Ordinal)>> {
    let mut found: BTreeMap<ShardKey, Vec<(Ordinal, Ordinal)>> = BTreeMap::new();
    let queue = store.shared.lock_applier_queue();
    for block in queue.frames().flat_map(|frame| &frame.blocks) {
        let runs = found.entry((block.stream, block.shard)).or_default();
        let behind = block.last().next();
        match runs.last_mut().filter(|(_, end)| *end == block.first) {
            Some((_, end)) => *end = behind,
            None => runs.push((block.first, behind)),
        }
    }
    found
}

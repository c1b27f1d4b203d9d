//! Brings shard logs back to what is recorded of them: cut at their synced length, those begun later
//! removed, what they lack redone from the journal, holes named.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::Path,
    sync::Arc,
};

use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId},
    record::RecordBlock,
    view::NodeView,
};

use crate::{
    block::{ShardKey, slice},
    disk::Disk,
    recovery::{ChangedSegments, OpenError, base::Recovered},
    scrub::missing_records,
    segment::{self, SegmentMeta},
};

/// Makes the files agree with the recorded lengths, and the frames to redo begin where those end.
/// Answers what the next cut must record.
pub(super) fn settle(
    disk: &dyn Disk,
    data: &Path,
    recovered: &mut Recovered,
) -> Result<ChangedSegments, OpenError> {
    let mut changed = ChangedSegments::new();
    let view = &recovered.view;
    // The journal has deleted these since.
    recovered.segments.retain(|&key, metas| {
        let is_there = view.tail(key.0, key.1).is_some();
        if !is_there {
            changed.extend(metas.iter().map(|meta| ((key, meta.base), None)));
        }
        is_there
    });
    settle_streams(disk, data, view)?;
    let keys: Vec<ShardKey> = view
        .registry()
        .streams()
        .flat_map(|stream| stream.shards.iter().map(|shard| (stream.id, shard.number)))
        .collect();
    for &key in &keys {
        let metas = recovered.segments.entry(key).or_default();
        let short = &mut recovered.damage.segments;
        settle_shard(disk, data, key, metas, view, (&mut changed, short))?;
    }
    recovered.segments.retain(|_, metas| !metas.is_empty());
    skip_applied(recovered);
    name_holes(data, &keys, recovered);
    Ok(changed)
}

/// Removes directories of streams that the journal has deleted; others that are not known stay.
fn settle_streams(disk: &dyn Disk, data: &Path, view: &NodeView) -> Result<(), OpenError> {
    let root = segment::directory(data);
    let (next_stream, _, _) = view.registry().next_ids();
    for entry in disk.list(&root).map_err(OpenError::io(&root))? {
        let path = root.join(&entry.name);
        match entry.name.parse().map(StreamId) {
            Ok(id) if entry.is_dir && view.registry().stream(id).is_some() => {
                settle_shards(disk, data, view, id)?;
            }
            // Ids are never used twice, so one below the next that is not there was deleted.
            Ok(id) if entry.is_dir && id < next_stream => {
                disk.remove_dir(&path).map_err(OpenError::io(&path))?;
            }
            // Its stream's entry may have been torn off with the journal's tail, then nothing of it was
            // ever acknowledged; or it is somebody else's.
            _ => tracing::error!(path = %path.display(), "an unknown directory is left alone"),
        }
    }
    Ok(())
}

/// Removes directories of shards that the journal has forgotten; others that are not known stay.
fn settle_shards(
    disk: &dyn Disk,
    data: &Path,
    view: &NodeView,
    id: StreamId,
) -> Result<(), OpenError> {
    let stream = view.registry().stream(id);
    let Some((stream, last)) = stream.and_then(|s| Some((s, s.shards.last()?.number))) else {
        return Ok(());
    };
    // Nothing was forgotten.
    if stream.shards.len() > last.0 as usize {
        return Ok(());
    }
    let root = segment::stream_directory(data, id);
    for entry in disk.list(&root).map_err(OpenError::io(&root))? {
        let path = root.join(&entry.name);
        match entry.name.parse().map(ShardNumber) {
            Ok(shard) if entry.is_dir && stream.shard(shard).is_some() => {}
            // Numbers are never used twice, so one below the highest that is not there was forgotten.
            Ok(shard) if entry.is_dir && shard < last => {
                disk.remove_dir(&path).map_err(OpenError::io(&path))?;
            }
            _ => tracing::error!(path = %path.display(), "an unknown directory is left alone"),
        }
    }
    Ok(())
}

fn settle_shard(
    disk: &dyn Disk,
    data: &Path,
    key: ShardKey,
    metas: &mut Vec<SegmentMeta>,
    view: &NodeView,
    (changed, short): (&mut ChangedSegments, &mut Vec<(ShardKey, SegmentMeta)>),
) -> Result<(), OpenError> {
    let floor = view
        .tail(key.0, key.1)
        .map_or(Ordinal(1), |tail| tail.floor);
    let present = present(disk, data, key)?;
    metas.retain(|meta| {
        // Unlinked after its trim was journaled.
        let is_trimmed = meta.next <= floor && !present.contains(&meta.base);
        if is_trimmed {
            changed.insert((key, meta.base), None);
        }
        !is_trimmed
    });
    let end = metas.last().map_or(Ordinal(0), |meta| meta.next);
    for &base in &present {
        if metas.iter().any(|meta| meta.base == base) {
            continue;
        }
        let path = segment::path(data, key, base);
        if base >= end || base < floor {
            // Begun after the cut, so the journal has it all; or below the floor.
            disk.remove(&path).map_err(OpenError::io(&path))?;
        } else {
            tracing::error!(path = %path.display(), "an unknown segment is left alone");
        }
    }
    let last = metas.len().saturating_sub(1);
    for (index, meta) in metas.iter_mut().enumerate() {
        let path = segment::path(data, key, meta.base);
        let length = if present.contains(&meta.base) {
            let file = disk.open(&path).map_err(OpenError::io(&path))?;
            let length = file.length().map_err(OpenError::io(&path))?;
            if length > meta.length {
                file.truncate(meta.length).map_err(OpenError::io(&path))?;
            }
            length
        } else {
            0
        };
        if length < meta.length {
            if index == last && !meta.is_sealed {
                // Nothing can be appended to it; what follows begins another.
                meta.is_sealed = true;
                changed.insert((key, meta.base), Some(*meta));
            }
            // What of it is lost is looked up when everything is in place.
            short.push((key, *meta));
        }
    }
    Ok(())
}

/// First ordinals of the segment files there are.
fn present(disk: &dyn Disk, data: &Path, key: ShardKey) -> Result<BTreeSet<Ordinal>, OpenError> {
    let directory = segment::shard_directory(data, key);
    match disk.list(&directory) {
        Ok(entries) => {
            let names = entries.iter().map(|entry| entry.name.as_str());
            Ok(names.filter_map(segment::parse_file_name).collect())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(source) => Err(OpenError::Io {
            path: directory,
            source,
        }),
    }
}

/// A segment skips by ordinal: what it has is not redone.
pub(super) fn skip_applied(recovered: &mut Recovered) {
    let segments = &recovered.segments;
    for frame in &mut recovered.frames {
        let blocks = std::mem::take(&mut frame.blocks);
        frame.blocks = blocks
            .into_iter()
            .filter_map(|block| {
                let metas = segments.get(&(block.stream, block.shard));
                skip(
                    block,
                    metas.and_then(|metas| metas.last()).map(|meta| meta.next),
                )
            })
            .collect();
    }
}

/// What of a block lies at or above `next`.
fn skip(block: Arc<RecordBlock>, next: Option<Ordinal>) -> Option<Arc<RecordBlock>> {
    let Some(next) = next.filter(|&next| next > block.first) else {
        return Some(block);
    };
    let skipped = usize::try_from(next.0 - block.first.0).ok()?;
    (skipped < block.len()).then(|| Arc::new(slice(&block, skipped..block.len())))
}

/// Ordinals run without a gap from the floor to the tail; where they do not something is missing.
fn name_holes(data: &Path, keys: &[ShardKey], recovered: &mut Recovered) {
    // Where each shard's records are known to reach.
    let mut reach: BTreeMap<ShardKey, Ordinal> = BTreeMap::new();
    let findings = &mut recovered.damage.findings;
    let mut follow = |key: ShardKey, first: Ordinal, next: Ordinal| {
        let Some(tail) = recovered.view.tail(key.0, key.1) else {
            return;
        };
        let expected = reach.entry(key).or_insert(tail.floor);
        if first > *expected {
            // They are to be in a file of this name.
            let file = segment::path(data, key, *expected);
            findings.push(missing_records(&file, key, 0, *expected, first));
        }
        *expected = next.max(*expected);
    };
    for (&key, metas) in &recovered.segments {
        for meta in metas {
            follow(key, meta.base, meta.next);
        }
    }
    for block in recovered.frames.iter().flat_map(|frame| &frame.blocks) {
        follow(
            (block.stream, block.shard),
            block.first,
            block.last().next(),
        );
    }
    for &key in keys {
        if let Some(tail) = recovered.view.tail(key.0, key.1) {
            follow(key, tail.next, tail.next);
        }
    }
}

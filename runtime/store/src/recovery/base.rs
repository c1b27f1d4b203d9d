//! Finds the newest state that the journal goes on from, and replays the journal over it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use fnctl_core::{
    entry::Entry,
    id::Lsn,
    view::{NodeView, Value, ValueKey},
};

use crate::{
    block::ShardKey,
    codec::{self, Decoder, Value as _},
    cut::{CUT_KEY, CutValue},
    disk::{Disk, DiskFile},
    image::{ImageError, ImageValue, chunks::ChunkedImage},
    journal::{
        self,
        below::Unread,
        frame::FrameHeader,
        listing::{self, JournalFile, JournalListing},
        scan::{self, Hole, Place, Replay},
        writer::{FrameClocks, JournalEnd},
    },
    recovery::{OpenError, doubtful::Doubtful},
    scrub::{Damage, ScrubFinding, ScrubKind, damaged_file, damaged_journal_file},
    segment::{self, SEGMENT_SPACE, SegmentMeta},
    sequencer::PublishedFrame,
    snapshot,
};

/// What a data directory holds.
pub(super) struct Recovered {
    pub(super) view: NodeView,
    pub(super) dirty: BTreeSet<ValueKey>,
    pub(super) segments: BTreeMap<ShardKey, Vec<SegmentMeta>>,
    /// What the segments still owe the journal.
    pub(super) frames: Vec<PublishedFrame>,
    /// C of the image or snapshot that the replay began at.
    pub(super) cut: Lsn,
    pub(super) end: JournalEnd,
    /// Number and first LSN of the journal's files.
    pub(super) files: Vec<(u64, Lsn)>,
    pub(super) newest: Option<FrameClocks>,
    pub(super) holes: Vec<Hole>,
    /// What was not read of the journal.
    pub(super) unread: Option<Unread>,
    /// The last frame, if nothing proves that it was synced.
    pub(super) doubtful: Option<Doubtful>,
    /// The journal's last file and where it ends: what was allocated behind is never written any more.
    pub(super) ended: Option<(Arc<dyn DiskFile>, u64)>,
    pub(super) image: Option<ChunkedImage>,
    pub(super) needs_image: bool,
    pub(super) needs_snapshot: bool,
    pub(super) snapshots: Vec<Lsn>,
    pub(super) view_bytes: u64,
    /// What was met that is not as it was written.
    pub(super) damage: Damage,
    /// The last life ended in order, or there was none.
    pub(super) is_clean: bool,
}

/// The directory of the image.
pub(crate) fn image_directory(data: &Path) -> PathBuf {
    data.join("image")
}

/// A state to replay over.
struct Base {
    next: Lsn,
    /// The life that stored it.
    life: u64,
    /// Where the journal holds what it ends with, if that was stored.
    place: Option<Place>,
    view: NodeView,
    segments: BTreeMap<ShardKey, Vec<SegmentMeta>>,
    bytes: u64,
}

impl Base {
    fn empty() -> Self {
        Self {
            next: Lsn(1),
            life: 0,
            place: None,
            view: NodeView::new(),
            segments: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Builds a state from stored values; the words say why it cannot be.
    fn of(values: Vec<ImageValue>) -> Result<Self, String> {
        let mut base = Self::empty();
        let mut view: Vec<(ValueKey, Value)> = Vec::new();
        let mut next = None;
        for (key, value) in values {
            base.bytes += (key.len() + value.len()) as u64;
            let value = Bytes::from(value);
            if key == CUT_KEY {
                let mut from = Decoder::new(value);
                let cut = CutValue::take(&mut from).map_err(|e| e.to_string())?;
                next = Some(cut.next);
                base.life = cut.life;
                // Earlier versions stored none, and a snapshot has none.
                base.place = Place::take(&mut from).ok();
            } else if key.first() == Some(&SEGMENT_SPACE) {
                let shard = segment::decode_key(&key).map_err(|e| e.to_string())?;
                let meta = segment::decode_meta(value).map_err(|e| e.to_string())?;
                base.segments.entry(shard).or_default().push(meta);
            } else {
                let key = codec::decode_key(key.into()).map_err(|e| e.to_string())?;
                view.push((key, codec::decode_value(value).map_err(|e| e.to_string())?));
            }
        }
        for metas in base.segments.values_mut() {
            metas.sort_by_key(|meta| meta.base);
        }
        base.next = next.ok_or("it names no LSN")?;
        base.view = NodeView::from_values(view).map_err(|e| e.to_string())?;
        Ok(base)
    }
}

/// A base with the journal replayed over it.
struct Replayed {
    base: Base,
    dirty: BTreeSet<ValueKey>,
    frames: Vec<PublishedFrame>,
    replay: Replay,
}

pub(super) fn recover(disk: &Arc<dyn Disk>, data: &Path) -> Result<Recovered, OpenError> {
    let directory = journal::directory(data);
    let JournalListing { files, mut damaged } = listing::files(&**disk, &directory)?;
    let snapshots = list_snapshots(&**disk, &directory)?;
    let has_image = has_image(&**disk, data)?;
    let Some(newest_file) = files.last() else {
        if has_image || !snapshots.is_empty() || !damaged.is_empty() {
            let directory = directory.display();
            return Err(OpenError::Damaged(format!(
                "{directory} has no journal file that can be read, but there once was one"
            )));
        }
        return Ok(new_journal(&**disk));
    };
    let (journal_id, newest_number) = (newest_file.header.journal, newest_file.number);

    let mut damage = Damage::default();
    let mut image = match has_image.then(|| load_image(&**disk, data)) {
        Some(Err(reason)) => {
            let words = format!("the image cannot be used, it is built anew: {reason}");
            let file = image_directory(data);
            let finding = damaged_file(ScrubKind::Image, &file, 0, words);
            damage.findings.push(finding);
            None
        }
        loaded => loaded.and_then(Result::ok),
    };
    // A life stores an image only once its first file is durable, and only older files are removed: the
    // journal's end is gone.
    if let Some((_, base)) = &image
        && base.life > newest_number
        && damaged.iter().all(|(number, _)| *number != base.life)
    {
        damaged.push((base.life, directory.join(journal::file_name(base.life))));
    }
    let mut found = None;
    // The newest state wins: one that went back behind a good snapshot would void it, and with it what
    // stands in for a lost image.
    let mut older = snapshots.clone();
    while found.is_none() {
        let newest = older.last().copied();
        if let Some((loaded, base)) =
            image.take_if(|(_, base)| newest.is_none_or(|n| n <= base.next))
        {
            let is_bloated = loaded.is_bloated(base.bytes);
            found = replay_over(&files, base)?.map(|replayed| Found {
                replayed,
                image: Some(loaded).filter(|_| !is_bloated),
            });
            if found.is_none() {
                tracing::warn!("the image does not meet the journal, it is built anew");
            }
            continue;
        }
        let Some(next) = older.pop() else { break };
        let path = directory.join(snapshot::file_name(next));
        match read_snapshot(&**disk, &path, journal_id) {
            Ok(base) => {
                let replayed = replay_over(&files, base)?;
                found = replayed.map(|replayed| Found {
                    replayed,
                    image: None,
                });
            }
            Err((offset, reason)) => {
                let words = format!("the snapshot is damaged: {reason}");
                let finding = damaged_file(ScrubKind::Snapshot, &path, offset, words);
                damage.findings.push(finding);
            }
        }
    }
    if found.is_none() {
        let replayed = replay_over(&files, Base::empty())?;
        found = replayed.map(|replayed| Found {
            replayed,
            image: None,
        });
    }
    let Some(Found { replayed, image }) = found else {
        let directory = directory.display();
        return Err(OpenError::Damaged(format!(
            "{directory} does not reach back to any image or snapshot that can be read"
        )));
    };
    // Those ahead of it were damaged or do not belong to this journal any more.
    let good = snapshots
        .into_iter()
        .filter(|next| *next <= replayed.base.next)
        .collect();
    let mut recovered = finish(replayed, image, &files, good, damage);
    note_damaged(&mut recovered, damaged);
    let holes = recovered.holes.iter().map(missing_entries);
    recovered.damage.findings.extend(holes);
    Ok(recovered)
}

/// The state to go on from, and the image if it is the one it came from.
struct Found {
    replayed: Replayed,
    image: Option<ChunkedImage>,
}

/// A damaged file in the middle shows as a hole, if what it held is needed; one behind all others holds
/// the journal's end, so how much is missing is not known.
fn note_damaged(recovered: &mut Recovered, damaged: Vec<(u64, PathBuf)>) {
    for (number, file) in damaged {
        let finding = damaged_journal_file(&file);
        recovered.damage.findings.push(finding);
        if number >= recovered.end.number {
            // First: it says more than that the file in front of it ends early.
            let hole = Hole {
                file,
                offset: 0,
                first: recovered.end.next,
                next: Lsn(u64::MAX),
            };
            recovered.holes.insert(0, hole);
        } else {
            // Goes with the file behind it.
            let behind = recovered.files.iter().position(|(good, _)| *good > number);
            let at = behind.unwrap_or(recovered.files.len());
            let first = recovered
                .files
                .get(at)
                .map_or(recovered.end.next, |(_, first)| *first);
            recovered.files.insert(at, (number, first));
        }
    }
}

fn finish(
    replayed: Replayed,
    image: Option<ChunkedImage>,
    files: &[JournalFile],
    snapshots: Vec<Lsn>,
    mut damage: Damage,
) -> Recovered {
    let Replayed {
        base,
        dirty,
        frames,
        replay,
    } = replayed;
    let last_file = files.last().expect("there is a journal");
    if let Some((file, offset)) = &replay.torn {
        tracing::warn!(path = %file.display(), offset, "the last frame was torn by a crash, it is cut off");
    }
    let next = replay.broken_at(base.next).unwrap_or(replay.next);
    let doubtful = Doubtful::of(&replay, base.next, last_file);
    // What is missing below the base is not needed any more; a snapshot makes sure of it.
    let (below, above): (Vec<Hole>, Vec<Hole>) = replay
        .holes
        .into_iter()
        .partition(|hole| hole.next <= base.next);
    damage.findings.extend(below.iter().map(missing_entries));
    Recovered {
        dirty,
        frames,
        cut: base.next,
        end: JournalEnd {
            journal: last_file.header.journal,
            number: last_file.number + 1,
            next,
            base: base.next,
            previous: replay.previous,
            rewrite: replay.last.filter(|_| !replay.is_clean),
        },
        files: files
            .iter()
            .map(|file| (file.number, file.header.first))
            .collect(),
        newest: Some(FrameClocks {
            retention_ms: replay.retention_ms,
            wall: replay.wall,
        }),
        holes: above,
        unread: replay.unread,
        doubtful,
        ended: replay.end.map(|end| (Arc::clone(&last_file.file), end)),
        needs_image: image.is_none(),
        image,
        needs_snapshot: !below.is_empty() || !has_stand_in(files[0].header.first, &snapshots),
        snapshots,
        view_bytes: base.bytes,
        damage,
        is_clean: replay.is_clean,
        segments: base.segments,
        view: base.view,
    }
}

/// Whether a lost image could be made again: the journal begins at its first entry, or goes on from a
/// snapshot. Nothing of ours removes a part of it before (commit and storage rules §6).
pub(crate) fn has_stand_in(first: Lsn, snapshots: &[Lsn]) -> bool {
    first <= Lsn(1) || snapshots.iter().any(|&next| next >= first)
}

fn new_journal(disk: &dyn Disk) -> Recovered {
    Recovered {
        view: NodeView::new(),
        dirty: BTreeSet::new(),
        segments: BTreeMap::new(),
        frames: Vec::new(),
        cut: Lsn(1),
        end: JournalEnd {
            journal: disk.salt(),
            number: 1,
            next: Lsn(1),
            base: Lsn(1),
            previous: 0,
            rewrite: None,
        },
        files: Vec::new(),
        newest: None,
        holes: Vec::new(),
        unread: None,
        doubtful: None,
        ended: None,
        image: None,
        needs_image: true,
        needs_snapshot: false,
        snapshots: Vec::new(),
        view_bytes: 0,
        damage: Damage::default(),
        is_clean: true,
    }
}

/// Replays the journal over a base; `None` when the two do not meet: the journal begins behind the base,
/// or has gone on from an older one since. One that ends in front of it has lost its end: a hole.
fn replay_over(files: &[JournalFile], mut base: Base) -> Result<Option<Replayed>, OpenError> {
    let from = base.next;
    // A later start went back behind it and wrote shard logs anew: its lengths mean other bytes.
    if files
        .iter()
        .any(|file| file.life.number > base.life && file.life.base < from)
    {
        return Ok(None);
    }
    let (mut dirty, mut frames) = (BTreeSet::new(), Vec::new());
    let view = &mut base.view;
    let mut visit = |header: &FrameHeader, payload: &Bytes| {
        let mut entries = Vec::new();
        let mut bytes = Decoder::new(payload.clone());
        for number in 0..u64::from(header.entries) {
            let entry = take_entry(&mut bytes).map_err(|error| error.to_string())?;
            if header.first.0 + number >= from.0 {
                view.apply_noting(&entry, &mut |key| {
                    dirty.insert(key);
                });
                entries.push(entry);
            }
        }
        frames.push(PublishedFrame::of(
            &entries,
            header.next(),
            header.frame_bytes(),
        ));
        Ok(())
    };
    let Some(mut replay) = scan::replay(files, from, base.place, &mut visit)? else {
        return Ok(None);
    };
    if replay.next < from {
        // Images and snapshots hold what was journaled and synced: the journal has lost its end, and with
        // it whatever came behind the base.
        let last = files.last().expect("it was replayed");
        let offset = replay.torn.take().map_or(last.length, |(_, offset)| offset);
        replay.next = from;
        let offset = replay.end.take().unwrap_or(offset);
        replay.ends_early(last, offset);
    }
    Ok(Some(Replayed {
        base,
        dirty,
        frames,
        replay,
    }))
}

/// Takes the next entry off a frame's payload.
pub(crate) fn take_entry(from: &mut Decoder) -> Result<Entry, codec::DecodeError> {
    let length = from.count(1)?;
    codec::decode_entry(from.share(length)?)
}

fn has_image(disk: &dyn Disk, data: &Path) -> Result<bool, OpenError> {
    let entries = disk.list(data).map_err(OpenError::io(data))?;
    Ok(entries
        .iter()
        .any(|entry| entry.name == "image" && entry.is_dir))
}

/// The image, or why it cannot be used.
fn load_image(disk: &dyn Disk, data: &Path) -> Result<(ChunkedImage, Base), String> {
    let words = |error: ImageError| error.to_string();
    let image = disk.open_image(&image_directory(data)).map_err(words)?;
    let mut image = ChunkedImage::new(image);
    let base = Base::of(image.load().map_err(words)?)?;
    Ok((image, base))
}

/// LSN that these values of an image hold everything below of.
///
/// # Errors
/// They are no state; the words say why.
pub(crate) fn image_holds(values: Vec<ImageValue>) -> Result<Lsn, String> {
    Base::of(values).map(|base| base.next)
}

/// Entries of the journal that cannot be read.
fn missing_entries(hole: &Hole) -> ScrubFinding {
    let last = Lsn(hole.next.0.saturating_sub(1));
    ScrubFinding {
        entries: Some((hole.first, (hole.next != Lsn(u64::MAX)).then_some(last))),
        ..damaged_file(
            ScrubKind::Journal,
            &hole.file,
            hole.offset,
            "entries cannot be read",
        )
    }
}

fn list_snapshots(disk: &dyn Disk, directory: &Path) -> Result<Vec<Lsn>, OpenError> {
    let entries = disk.list(directory).map_err(OpenError::io(directory))?;
    let names = entries.iter().map(|entry| entry.name.as_str());
    let mut found: Vec<Lsn> = names.filter_map(snapshot::parse_file_name).collect();
    found.sort();
    Ok(found)
}

/// A snapshot, or where it is damaged and how.
fn read_snapshot(disk: &dyn Disk, path: &Path, journal: u64) -> Result<Base, (u64, String)> {
    match snapshot::read(disk, path, journal) {
        // A snapshot's header holds what an image keeps as a value.
        Ok(Ok((cut, mut values))) => {
            values.push((CUT_KEY.to_vec(), cut.encode()));
            Base::of(values).map_err(|reason| (0, reason))
        }
        Ok(Err(offset)) => Err((offset, "a frame is damaged or missing".to_owned())),
        Err(error) => Err((0, error.to_string())),
    }
}

//! One cut, one LSN: view values and segment lengths of one moment become the image, and now and then a
//! snapshot; then the journal below is let go (commit and storage rules §6).

mod look;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use fnctl_core::{
    id::{Lsn, Ordinal},
    view::{Value, ValueKey},
};

use crate::{
    applier::ApplierLoop,
    block::ShardKey,
    codec::{self, Value as _, fields},
    disk::{FileSystem, parent},
    image::{ImageBatch, ImageError, chunks::ChunkedImage},
    journal::{
        self,
        below::{Below, Unread},
        scan::Place,
    },
    limits::{
        CUT_INTERVAL_MS, CUT_SPARSE_INTERVAL_MS, CUT_SYNC_FILES_MAX, SNAPSHOT_VIEW_FACTOR,
        SNAPSHOTS_KEPT,
    },
    segment::{self, SegmentMeta},
    shared::Shared,
    sizes::Sizes,
    snapshot,
};

/// Key of the [`CutValue`] in an image.
pub(crate) const CUT_KEY: &[u8] = b"c";

/// What moment an image or a snapshot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutValue {
    /// C: LSN after the last entry that it holds.
    pub(crate) next: Lsn,
    /// Number of the file that the life began with which stored it.
    pub(crate) life: u64,
}

fields!(CutValue { next, life });

impl CutValue {
    /// The stored form.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }
}

/// What a cut needs to remember.
pub(crate) struct Cutter {
    image: Option<ChunkedImage>,
    image_directory: PathBuf,
    /// The image lacks values it should have: the next cut writes all of them.
    pub(crate) needs_all: bool,
    file_system: Box<dyn FileSystem>,
    journal_id: u64,
    /// Number of the file that this life began with.
    life: u64,
    /// C of the last cut, and when it was.
    cut: Lsn,
    cut_at: u64,
    /// Segments written, sealed or removed since.
    segments: BTreeMap<(ShardKey, Ordinal), Option<SegmentMeta>>,
    applied_bytes: u64,
    journal_bytes: u64,
    /// C of the snapshots there are, oldest first.
    snapshots: Vec<Lsn>,
    journal_since_snapshot: u64,
    /// A backup waits for one.
    wants_snapshot: bool,
    /// The next cut takes one, however little journal there is: older ones stand on what is damaged.
    needs_snapshot: bool,
    /// What the start did not read of the journal, to be looked at.
    below: Option<Below>,
    sizes: Sizes,
}

/// Where a start leaves off.
pub(crate) struct CutterStart {
    pub(crate) image: Option<ChunkedImage>,
    pub(crate) image_directory: PathBuf,
    pub(crate) needs_all: bool,
    pub(crate) needs_snapshot: bool,
    pub(crate) file_system: Box<dyn FileSystem>,
    pub(crate) journal_id: u64,
    pub(crate) life: u64,
    pub(crate) cut: Lsn,
    pub(crate) now_ms: u64,
    pub(crate) segments: BTreeMap<(ShardKey, Ordinal), Option<SegmentMeta>>,
    pub(crate) unread: Option<Unread>,
    pub(crate) snapshots: Vec<Lsn>,
    pub(crate) sizes: Sizes,
}

impl Cutter {
    pub(crate) fn new(start: CutterStart) -> Self {
        Self {
            image: start.image,
            image_directory: start.image_directory,
            needs_all: start.needs_all,
            file_system: start.file_system,
            journal_id: start.journal_id,
            life: start.life,
            cut: start.cut,
            cut_at: start.now_ms,
            segments: start.segments,
            applied_bytes: 0,
            journal_bytes: 0,
            snapshots: start.snapshots,
            sizes: start.sizes,
            wants_snapshot: false,
            below: start.unread.map(Below::new),
            journal_since_snapshot: 0,
            needs_snapshot: start.needs_snapshot,
        }
    }

    /// Id of the journal.
    pub(crate) const fn journal_id(&self) -> u64 {
        self.journal_id
    }

    pub(crate) fn journaled(&mut self, bytes: u64) {
        self.journal_bytes += bytes;
        self.journal_since_snapshot += bytes;
    }

    /// Has the next cut take a snapshot, however little journal there is.
    #[cfg(test)]
    pub(crate) const fn ask_for_snapshot(&mut self) {
        self.make_anew();
    }

    /// Has the next cut write the whole image and a snapshot: what older ones stand on is damaged.
    const fn make_anew(&mut self) {
        self.needs_snapshot = true;
        self.needs_all = true;
    }

    pub(crate) fn segment_changed(&mut self, key: ShardKey, meta: SegmentMeta, bytes: u64) {
        self.segments.insert((key, meta.base), Some(meta));
        self.applied_bytes += bytes;
    }

    pub(crate) fn segment_gone(&mut self, key: ShardKey, base: Ordinal) {
        self.segments.insert((key, base), None);
    }

    fn is_dirty(&self, shared: &Shared) -> bool {
        self.needs_all
            || self.wants_snapshot
            || self.needs_snapshot
            || !self.segments.is_empty()
            || shared.read_published().next > self.cut
    }

    /// Whether a cut is due: dirty for a while, or much is.
    pub(crate) fn is_due(&self, shared: &Shared, is_sparse: bool) -> bool {
        self.due_in_ms(shared, is_sparse) == Some(0)
    }

    /// When a cut is due, ms; `None` while nothing is dirty. `is_sparse`: it would write many shards, and
    /// little to each.
    pub(crate) fn due_in_ms(&self, shared: &Shared, is_sparse: bool) -> Option<u64> {
        if !self.is_dirty(shared) {
            return None;
        }
        if self.applied_bytes >= self.sizes.cut_dirty
            || self.journal_bytes >= self.sizes.cut_journal
        {
            return Some(0);
        }
        let waited = shared.clocks.boot_ms().saturating_sub(self.cut_at);
        let interval = if is_sparse {
            CUT_SPARSE_INTERVAL_MS
        } else {
            CUT_INTERVAL_MS
        };
        Some(interval.saturating_sub(waited))
    }

    fn is_snapshot_due(&self, shared: &Shared) -> bool {
        let view = shared
            .space
            .view_bytes()
            .saturating_mul(SNAPSHOT_VIEW_FACTOR);
        self.wants_snapshot
            || self.needs_snapshot
            || self.journal_since_snapshot >= self.sizes.snapshot_journal.max(view)
    }

    /// Entries that neither image nor the older snapshot needs lie below this.
    fn journal_needed_from(&self) -> Lsn {
        match self.snapshots.as_slice() {
            // Until there are two snapshots the whole journal is the older one.
            [] | [_] => Lsn(0),
            [.., older, _] => self.cut.min(*older),
        }
    }
}

impl ApplierLoop {
    /// Makes everything published so far durable outside the journal. On a full disk it changes nothing
    /// and is tried again.
    ///
    /// # Errors
    /// Any failure but a full disk: the node stops.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        if !self.cutter.is_dirty(&self.shared) {
            return Ok(());
        }
        let is_snapshot = self.cutter.is_snapshot_due(&self.shared);
        let (next, place, dirty, values, view) = {
            let mut published = self.shared.write_published();
            let dirty = std::mem::take(&mut published.dirty);
            let changed = dirty
                .iter()
                .map(|key| (key.clone(), published.view.value(key)));
            let values: Vec<(ValueKey, Option<Value>)> = if self.cutter.needs_all {
                let all = published.view.values();
                // What went since the last cut is in none of them, and still in the image.
                let gone = changed.filter(|(_, value)| value.is_none());
                all.map(|(key, value)| (key, Some(value)))
                    .chain(gone)
                    .collect()
            } else {
                changed.collect()
            };
            // A clone shares what is large; it is encoded without holding anyone up.
            let view = is_snapshot.then(|| published.view.clone());
            (published.next, published.place, dirty, values, view)
        };
        // Nothing beyond it: lengths and values are of one moment.
        self.take_through(next)?;
        assert_eq!(
            self.taken, next,
            "what is visible was handed to the applier"
        );
        if !self.write_all()? {
            self.put_back(dirty);
            return Ok(());
        }
        self.sync_segments()?;
        if !self.write_image(next, place, &values)? {
            self.put_back(dirty);
            self.disk_is_full();
            return Ok(());
        }
        self.cutter.cut = next;
        self.cutter.cut_at = self.shared.clocks.boot_ms();
        self.cutter.needs_all = false;
        self.cutter.segments.clear();
        self.cutter.applied_bytes = 0;
        self.cutter.journal_bytes = 0;
        self.shared.counters.cuts.fetch_add(1, Ordering::Relaxed);
        self.shared.counters.cut.store(next.0, Ordering::Relaxed);
        let cut_at = &self.shared.counters.cut_at;
        cut_at.store(self.cutter.cut_at, Ordering::Relaxed);
        if let Some(view) = view {
            self.write_snapshot(next, view.values())?;
        }
        self.remove_journal()?;
        if dirty.iter().any(|key| matches!(key, ValueKey::Function(_))) {
            self.collect_artifacts()?;
        }
        Ok(())
    }

    /// Makes a cut with a snapshot, whether they are due or not; `None` when there is no room for them.
    ///
    /// # Errors
    /// As [`Self::cut`].
    pub(crate) fn cut_with_snapshot(&mut self) -> io::Result<Option<CutValue>> {
        self.cutter.wants_snapshot = true;
        let done = self.cut();
        self.cutter.wants_snapshot = false;
        done?;
        let (next, life) = (self.cutter.cut, self.cutter.life);
        let is_there = self.cutter.snapshots.last() == Some(&next);
        Ok(is_there.then_some(CutValue { next, life }))
    }

    fn put_back(&self, dirty: BTreeSet<ValueKey>) {
        self.shared.write_published().dirty.extend(dirty);
    }

    /// Syncs every segment written since the last cut, and the directories of new ones.
    fn sync_segments(&mut self) -> io::Result<()> {
        let writers = std::mem::take(&mut self.unsynced);
        let count: usize = writers.values().map(Vec::len).sum();
        if count > CUT_SYNC_FILES_MAX {
            return self.cutter.file_system.sync();
        }
        let mut directories = BTreeSet::new();
        for writer in writers.values().flatten() {
            writer.sync()?;
            if writer.is_new() {
                let shard = parent(&writer.open().path).to_owned();
                let stream = parent(&shard).to_owned();
                directories.insert(parent(&stream).to_owned());
                directories.insert(stream);
                directories.insert(shard);
            }
        }
        // Parents sort first, and a name must not be durable later than what is below it is counted on.
        for directory in directories {
            self.shared.disk.sync_dir(&directory)?;
        }
        Ok(())
    }

    /// Answers whether there was room.
    fn write_image(
        &mut self,
        next: Lsn,
        place: Option<Place>,
        values: &[(ValueKey, Option<Value>)],
    ) -> io::Result<bool> {
        let mut batch: ImageBatch = Vec::with_capacity(values.len() + 8);
        for (key, value) in values {
            batch.push((
                codec::encode_key(key),
                value.as_ref().map(codec::encode_value),
            ));
        }
        let mut segments = self.cutter.segments.clone();
        if self.cutter.needs_all {
            segments.extend(self.all_segments());
        }
        for ((key, base), meta) in segments {
            let value = meta.map(|meta| segment::encode_meta(&meta));
            batch.push((segment::encode_key(key, base), value));
        }
        let life = self.cutter.life;
        let mut cut = CutValue { next, life }.encode();
        if let Some(place) = place {
            place.put(&mut cut);
        }
        batch.push((CUT_KEY.to_vec(), Some(cut)));
        let shared = std::sync::Arc::clone(&self.shared);
        let mut held = shared.scrub.hold_image();
        match self.open_image().and_then(|image| image.apply(batch)) {
            Ok(()) => {
                *held = Some(next);
                Ok(true)
            }
            Err(error) if error.is_full() => {
                *held = None;
                // What the engine made of it is not known: it starts afresh.
                self.cutter.image = None;
                self.cutter.needs_all = true;
                Ok(false)
            }
            Err(ImageError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn open_image(&mut self) -> Result<&mut ChunkedImage, ImageError> {
        if self.cutter.image.is_none() {
            let directory = &self.cutter.image_directory;
            match self.shared.disk.remove_dir(directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            let image = self.shared.disk.open_image(directory)?;
            self.cutter.image = Some(ChunkedImage::new(image));
        }
        Ok(self.cutter.image.as_mut().expect("it was just opened"))
    }

    fn all_segments(&self) -> BTreeMap<(ShardKey, Ordinal), Option<SegmentMeta>> {
        let segments = &self.shared.segments;
        let of = |key: ShardKey| {
            segments
                .of(key)
                .into_iter()
                .map(move |meta| ((key, meta.base), Some(meta)))
        };
        segments.keys().into_iter().flat_map(of).collect()
    }

    fn write_snapshot(
        &mut self,
        next: Lsn,
        values: impl Iterator<Item = (ValueKey, Value)>,
    ) -> io::Result<()> {
        let segments = self.all_segments();
        let values = values
            .map(|(key, value)| (codec::encode_key(&key), codec::encode_value(&value)))
            .chain(segments.iter().filter_map(|((key, base), meta)| {
                Some((
                    segment::encode_key(*key, *base),
                    segment::encode_meta(meta.as_ref()?),
                ))
            }));
        let directory = journal::directory(&self.shared.directory);
        let clocks = self.shared.clocks.frame();
        let written = snapshot::write(
            &*self.shared.disk,
            &directory,
            self.cutter.journal_id,
            CutValue {
                next,
                life: self.cutter.life,
            },
            clocks,
            values,
        );
        match written {
            Ok(bytes) => self.shared.space.set_view_bytes(bytes),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.disk_is_full();
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let snapshot_at = &self.shared.counters.snapshot_at;
        snapshot_at.store(self.shared.clocks.boot_ms(), Ordering::Relaxed);
        self.cutter.journal_since_snapshot = 0;
        self.cutter.needs_snapshot = false;
        self.cutter.snapshots.retain(|c| *c != next);
        self.cutter.snapshots.push(next);
        while self.cutter.snapshots.len() > SNAPSHOTS_KEPT {
            let oldest = self.cutter.snapshots.remove(0);
            self.shared
                .disk
                .remove(&directory.join(snapshot::file_name(oldest)))?;
        }
        self.remove_stray_snapshots(&directory, next)
    }

    /// Removes older snapshots that no start could use: the one just written stands for them.
    fn remove_stray_snapshots(&self, directory: &Path, next: Lsn) -> io::Result<()> {
        for entry in self.shared.disk.list(directory)? {
            let found = snapshot::parse_file_name(&entry.name);
            if found.is_some_and(|c| c < next && !self.cutter.snapshots.contains(&c)) {
                self.shared.disk.remove(&directory.join(&entry.name))?;
            }
        }
        Ok(())
    }

    /// Removes journal files that lie wholly below what image and snapshots need.
    fn remove_journal(&self) -> io::Result<()> {
        let directory = journal::directory(&self.shared.directory);
        for number in self
            .shared
            .journal_files
            .drop_below(self.cutter.journal_needed_from())
        {
            self.shared
                .disk
                .remove(&directory.join(journal::file_name(number)))?;
        }
        Ok(())
    }

    fn collect_artifacts(&self) -> io::Result<()> {
        self.shared.artifacts.collect(|| {
            let published = self.shared.read_published();
            let functions = published.view.registry().functions();
            functions
                .flat_map(|function| function.versions.values())
                .map(|version| version.settings.digest.clone())
                .collect()
        })
    }
}

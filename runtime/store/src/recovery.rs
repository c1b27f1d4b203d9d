//! Opens a data directory: image or snapshot, then the journal, then what the shard logs owe it
//! (commit and storage rules §5–6). Nothing is judged, nothing is published before the new journal file
//! is durable, and nothing is cut that the journal does not cover.

mod base;
mod doubtful;
mod layout;
mod segments;

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, OnceLock, RwLock, atomic::AtomicBool},
};

use fnctl_core::{
    clock::Clock,
    committer::Stopped,
    id::{Lsn, Ordinal},
    limits::DEAD_LETTER_STREAM_BYTES_MAX,
};
use tokio::sync::watch;

use self::base::Recovered;
pub(crate) use self::base::{has_stand_in, image_directory, image_holds, take_entry};
pub use self::layout::FORMAT_VERSION;
pub(crate) use self::layout::NAMES;
pub(crate) use self::layout::RESTORING;
use crate::{
    applier::{ApplierLoop, ApplierQueue},
    artifact::Artifacts,
    backup::Backups,
    block::ShardKey,
    clocks::Clocks,
    cut::{Cutter, CutterStart},
    disk::{DirLock, Disk, Holder, parent, remote::remote_name},
    journal::{
        self,
        scan::{Hole, ScanError},
        writer::{FrameClocks, JournalEnd, JournalFiles, JournalWriter},
    },
    limits::{BALLAST_BYTES, TAIL_BYTES_MAX, UNAPPLIED_BYTES_MAX},
    scrub::Scrub,
    segment::{SegmentMeta, Segments},
    sequencer::{Gathering, Published, Sequencer, SequencerLoop},
    shared::Shared,
    sizes::Sizes,
    space::{Room, Space},
    stats::Counters,
    store::Store,
    tail::Tail,
    unclean::{self, UncleanStops},
};

/// Where the data is and how much it may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory; made when missing.
    pub directory: PathBuf,
    /// Bytes of the ballast file, given up when a start finds the disk full.
    pub ballast_bytes: u64,
    /// Budget of bytes accepted and not yet in segments; part of the disk reserve.
    pub unapplied_bytes_max: u64,
    /// Budget of records kept in memory.
    pub tail_bytes_max: u64,
    /// When files roll and cuts are due.
    pub sizes: Sizes,
    /// Keys and payloads of one mapping's dead letters; at it, the lane that would add one waits
    /// (commit and storage rules §7).
    pub dead_letter_bytes_max: u64,
    /// Whether the directory may lie on a network file system, on its user's own responsibility.
    pub allows_network_file_system: bool,
}

impl Options {
    /// The defaults, in this directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            ballast_bytes: BALLAST_BYTES,
            unapplied_bytes_max: UNAPPLIED_BYTES_MAX,
            tail_bytes_max: TAIL_BYTES_MAX,
            sizes: Sizes::default(),
            dead_letter_bytes_max: DEAD_LETTER_STREAM_BYTES_MAX,
            allows_network_file_system: false,
        }
    }
}

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by {}", path.display(), holder.as_ref().map_or("another process".to_owned(), Holder::to_string))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who has it, where that can be seen.
        holder: Option<Holder>,
    },
    /// It lies on a file system that keeps no promise of ours.
    #[error("{} lies on a network file system ({name})", path.display())]
    NetworkFileSystem {
        /// The directory.
        path: PathBuf,
        /// What the file system is called.
        name: &'static str,
    },
    /// A newer version wrote it.
    #[error("{} was written by a newer version ({found}), this one knows format {FORMAT_VERSION}", path.display())]
    NewerVersion {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// It holds something, and nothing of a data directory.
    #[error("{} is no data directory, and not empty: it holds `{found}`", path.display())]
    NoDataDirectory {
        /// The directory.
        path: PathBuf,
        /// Something in it.
        found: String,
    },
    /// Something is missing or damaged so that not even reading is possible.
    #[error("{0}")]
    Damaged(String),
    /// The disk failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

impl From<ScanError> for OpenError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Io { path, source } => Self::Io { path, source },
            ScanError::NewerVersion { path, required } => Self::NewerVersion {
                path,
                found: format!("required features {required:#06x}"),
            },
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// What a store needs to run: blocking loops, each for a thread of its own.
pub struct Loops {
    /// Writes the journal.
    pub sequencer: SequencerLoop,
    /// Writes shard logs, image and snapshots.
    pub applier: ApplierLoop,
}

/// Opens a data directory and recovers what it holds. When it returns, everything that was acknowledged
/// is visible; the loops must be run for anything to be accepted.
///
/// # Errors
/// See [`OpenError`]. A journal that cannot be read to its end is no error: the store then serves reads
/// alone, and [`Store::read_only`] says why.
pub fn open<D: Disk, C: Clock>(
    options: Options,
    disk: D,
    clock: C,
) -> Result<(Store, Loops), OpenError> {
    open_shared(options, Arc::new(disk), Arc::new(clock))
}

fn open_shared(
    options: Options,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
) -> Result<(Store, Loops), OpenError> {
    let data = options.directory.clone();
    disk.create_dir(&data).map_err(OpenError::io(&data))?;
    if !options.allows_network_file_system {
        refuse_network(&*disk, &data)?;
    }
    layout::refuse_strange(&*disk, &data)?;
    let lock = take_lock(&*disk, &data)?;
    layout::prepare(&*disk, &data)?;
    let mut recovered = base::recover(&disk, &data)?;
    let space = Space::new(options.ballast_bytes, options.unapplied_bytes_max);
    space.set_view_bytes(recovered.view_bytes);
    let mut read_only = recovered.holes.first().map(describe);
    let newest = recovered.newest;
    let clocks = Clocks::resume(clock, newest);

    let files = Arc::new(JournalFiles::new(
        recovered.files.clone(),
        options.sizes.journal_file,
    ));
    let mut writer = None;
    if read_only.is_none() {
        let frame = clocks.frame();
        match start_journal(&disk, &data, &files, &recovered.end, frame) {
            Ok(started) => {
                writer = Some(started);
                // The new file is in place: only now is the one before written no more.
                if let Some((file, length)) = recovered.ended.take() {
                    let directory = journal::directory(&data);
                    file.truncate(length).map_err(OpenError::io(&directory))?;
                }
            }
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                read_only =
                    Some("the disk is full, not even a journal file can be made".to_owned());
                // The new file would have held the last frame once more: what is visible is synced. One that
                // cannot be made sure of may have been seen, or never have been synced: neither shown nor
                // left out is right, so the start is refused.
                if let Some(doubtful) = &recovered.doubtful {
                    let directory = journal::directory(&data);
                    doubtful.make_sure().map_err(OpenError::io(&directory))?;
                }
            }
            Err(error) => return Err(OpenError::io(&journal::directory(&data))(error)),
        }
    }
    // Only now: the new file says from where shard logs are cut back, should an older image return.
    let mut changed_segments = BTreeMap::new();
    if read_only.is_none() {
        changed_segments = segments::settle(&*disk, &data, &mut recovered)?;
    } else {
        segments::skip_applied(&mut recovered);
    }
    recovered
        .view
        .set_dead_letter_bytes_max(options.dead_letter_bytes_max);
    let unclean = if read_only.is_none() {
        let in_hand = recovered.view.marks_in_hand().collect();
        UncleanStops::found(&*disk, &data, recovered.is_clean, in_hand, clocks.boot_ms())
            .map_err(OpenError::io(&unclean::path(&data)))?
    } else {
        UncleanStops::none(&data)
    };
    if let Some(reason) = &read_only {
        let hole = recovered.holes.first();
        let path = hole.map(|hole| tracing::field::display(hole.file.display()));
        let offset = hole.map(|hole| hole.offset);
        tracing::error!(why = reason, path, offset, "the store serves reads alone");
    } else {
        keep_ballast(&*disk, &data, options.ballast_bytes);
    }
    let free = disk.free_bytes(&data).map_err(OpenError::io(&data))?;
    space.sample(free);
    if read_only.is_none() && space.room() > Room::Puts {
        tracing::warn!(
            path = %data.display(),
            free_bytes = free,
            needed_bytes = space.needed_by_puts(),
            reserve_bytes = space.reserve(),
            "the disk has no room for puts: they are refused until more is free"
        );
    }
    let file_system = disk.file_system(&data).map_err(OpenError::io(&data))?;
    let cutter = Cutter::new(CutterStart {
        image: recovered.image.take(),
        image_directory: base::image_directory(&data),
        needs_all: recovered.needs_image,
        needs_snapshot: recovered.needs_snapshot,
        file_system,
        journal_id: recovered.end.journal,
        life: recovered.end.number,
        cut: recovered.cut,
        now_ms: clocks.boot_ms(),
        segments: changed_segments,
        unread: recovered.unread.take(),
        snapshots: recovered.snapshots.clone(),
        sizes: options.sizes,
    });
    Ok(assemble(Parts {
        options,
        disk,
        clocks,
        space,
        read_only,
        lock,
        files,
        writer,
        cutter,
        unclean,
        recovered,
    }))
}

struct Parts {
    options: Options,
    disk: Arc<dyn Disk>,
    clocks: Clocks,
    space: Space,
    read_only: Option<String>,
    lock: Box<dyn DirLock>,
    files: Arc<JournalFiles>,
    writer: Option<JournalWriter>,
    cutter: Cutter,
    unclean: UncleanStops,
    recovered: Recovered,
}

fn assemble(parts: Parts) -> (Store, Loops) {
    let recovered = parts.recovered;
    let next = recovered.end.next;
    let data = parts.options.directory;
    let segments = Segments::new(Arc::clone(&parts.disk), data.clone());
    for (key, metas) in recovered.segments {
        for meta in metas {
            segments.update(key, meta);
        }
    }
    let tail = Tail::new(parts.options.tail_bytes_max);
    let mut queue = ApplierQueue::default();
    for frame in recovered.frames {
        parts.space.accept(frame.budget_bytes);
        segments.usage.redo(&frame.blocks);
        tail.publish(&frame.blocks).make();
        tail.forget(&frame.gone, &frame.gone_shards);
        // Nobody sleeps yet.
        queue.push(frame, false);
    }
    let sequencer = match &parts.read_only {
        None => Sequencer::new(recovered.view.clone(), next),
        Some(reason) => Sequencer::stopped(Stopped(format!("read-only: {reason}"))),
    };
    let shared = Arc::new(Shared {
        artifacts: Artifacts::new(Arc::clone(&parts.disk), &data),
        backups: Backups::default(),
        scrub: Scrub::default(),
        disk: parts.disk,
        sizes: parts.options.sizes,
        directory: data,
        clocks: parts.clocks,
        sequencer: Mutex::new(sequencer),
        work: Condvar::new(),
        published: RwLock::new(Published {
            view: recovered.view,
            next,
            place: None,
            dirty: recovered.dirty,
        }),
        tail,
        segments,
        applier_queue: Mutex::new(queue),
        applier_work: Condvar::new(),
        registry_changed: watch::Sender::new(0),
        appends: Arc::default(),
        space: parts.space,
        counters: Counters::default(),
        journal_files: parts.files,
        read_only: parts.read_only,
        unclean: parts.unclean,
        _lock: parts.lock,
        failed_at: OnceLock::new(),
        is_failed: AtomicBool::new(false),
        is_journal_finished: AtomicBool::new(false),
    });
    shared.met_at_start(recovered.damage);
    let taken = recovered.cut;
    let loops = Loops {
        sequencer: SequencerLoop {
            shared: Arc::clone(&shared),
            writer: parts.writer,
            spent: Gathering::default(),
            is_finished: false,
        },
        applier: ApplierLoop::new(Arc::clone(&shared), taken, parts.cutter),
    };
    (Store { shared }, loops)
}

fn refuse_network(disk: &dyn Disk, data: &Path) -> Result<(), OpenError> {
    let magic = disk.file_system_magic(data).map_err(OpenError::io(data))?;
    match remote_name(magic) {
        None => Ok(()),
        Some(name) => Err(OpenError::NetworkFileSystem {
            path: data.to_owned(),
            name,
        }),
    }
}

/// Holds a data directory, made when missing, for a change beside its journal.
///
/// # Errors
/// Another process has it, it is no data directory, or the disk fails.
pub(crate) fn hold(disk: &dyn Disk, data: &Path) -> Result<Box<dyn DirLock>, OpenError> {
    disk.create_dir(data).map_err(OpenError::io(data))?;
    layout::refuse_strange(disk, data)?;
    take_lock(disk, data)
}

fn take_lock(disk: &dyn Disk, data: &Path) -> Result<Box<dyn DirLock>, OpenError> {
    let path = data.join("LOCK");
    match disk.lock(&path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(OpenError::Locked {
            holder: disk.holder(&path),
            path,
        }),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

/// Makes the new journal file; the ballast is given up for it when the disk is full.
fn start_journal(
    disk: &Arc<dyn Disk>,
    data: &Path,
    files: &Arc<JournalFiles>,
    end: &JournalEnd,
    clocks: FrameClocks,
) -> io::Result<JournalWriter> {
    let start = || {
        let directory = journal::directory(data);
        JournalWriter::start(
            Arc::clone(disk),
            directory,
            Arc::clone(files),
            end.clone(),
            clocks,
        )
    };
    match start() {
        Err(error) if error.kind() == ErrorKind::StorageFull => {
            let ballast = layout::ballast(data);
            match disk.remove(&ballast) {
                // It was given up before, or there never was room for it.
                Err(missing) if missing.kind() == ErrorKind::NotFound => return Err(error),
                other => other?,
            }
            disk.sync_dir(parent(&ballast))?;
            tracing::warn!(path = %ballast.display(), "the disk is full, the ballast was given up");
            start()
        }
        other => other,
    }
}

/// Makes the ballast file if it is missing and there is room; it is no harm if there is not.
fn keep_ballast(disk: &dyn Disk, data: &Path, bytes: u64) {
    let path = layout::ballast(data);
    if bytes == 0 || disk.open(&path).is_ok() {
        return;
    }
    let made = disk.create(&path).and_then(|file| file.allocate(bytes));
    if let Err(error) = made {
        tracing::warn!(path = %path.display(), %error, "the ballast file could not be made");
        drop(disk.remove(&path));
    }
}

fn describe(hole: &Hole) -> String {
    if hole.next == Lsn(u64::MAX) {
        return format!(
            "{} is damaged at offset {}: entries from {} on cannot be read",
            hole.file.display(),
            hole.offset,
            hole.first,
        );
    }
    format!(
        "{} is damaged at offset {}: entries {} up to {} cannot be read",
        hole.file.display(),
        hole.offset,
        hole.first,
        Lsn(hole.next.0.saturating_sub(1)),
    )
}

/// Segments changed by a start, for the next cut.
type ChangedSegments = BTreeMap<(ShardKey, Ordinal), Option<SegmentMeta>>;

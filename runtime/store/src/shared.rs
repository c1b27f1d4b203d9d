//! What the handle and the loops share.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use fnctl_core::committer::Stopped;
use tokio::sync::watch;

use crate::{
    admission::Admission,
    applier::ApplierQueue,
    artifact::Artifacts,
    backup::Backups,
    clocks::Clocks,
    disk::{DirLock, Disk},
    journal::writer::JournalFiles,
    scrub::Scrub,
    segment::Segments,
    sequencer::{Published, Sequencer},
    sizes::Sizes,
    space::Space,
    stats::Counters,
    tail::Tail,
    unclean::UncleanStops,
};

pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    pub(crate) sizes: Sizes,
    pub(crate) clocks: Clocks,
    pub(crate) sequencer: Mutex<Sequencer>,
    /// Woken when a frame gathers or the state changes; goes with `sequencer`.
    pub(crate) work: Condvar,
    pub(crate) published: RwLock<Published>,
    pub(crate) tail: Tail,
    pub(crate) segments: Segments,
    pub(crate) applier_queue: Mutex<ApplierQueue>,
    /// Goes with `applier_queue`.
    pub(crate) applier_work: Condvar,
    pub(crate) registry_changed: watch::Sender<u64>,
    pub(crate) appends: Arc<Admission>,
    pub(crate) space: Space,
    pub(crate) counters: Counters,
    pub(crate) artifacts: Artifacts,
    pub(crate) backups: Backups,
    pub(crate) scrub: Scrub,
    pub(crate) journal_files: Arc<JournalFiles>,
    /// Why nothing may be written, if so.
    pub(crate) read_only: Option<String>,
    /// Unclean stops, and whether the node is careful.
    pub(crate) unclean: UncleanStops,
    /// The lock of the data directory goes with the last handle.
    pub(crate) _lock: Box<dyn DirLock>,
    /// When something failed first.
    pub(crate) failed_at: OnceLock<Instant>,
    /// Something failed, or the journal was ended: the loops look.
    pub(crate) is_failed: AtomicBool,
    /// The journal was ended in order.
    pub(crate) is_journal_finished: AtomicBool,
}

impl Shared {
    pub(crate) fn read_published(&self) -> RwLockReadGuard<'_, Published> {
        self.published
            .read()
            .expect("a panic here has ended the node")
    }

    pub(crate) fn write_published(&self) -> RwLockWriteGuard<'_, Published> {
        self.published
            .write()
            .expect("a panic here has ended the node")
    }

    pub(crate) fn lock_applier_queue(&self) -> MutexGuard<'_, ApplierQueue> {
        self.applier_queue
            .lock()
            .expect("nothing panics under this lock")
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.is_some()
    }

    /// Whether the loops have something to end for.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_failed.load(Ordering::Acquire) || self.is_journal_finished.load(Ordering::Acquire)
    }

    /// Why the store stopped, if something failed.
    pub(crate) fn failure(&self) -> Option<Stopped> {
        self.is_failed
            .load(Ordering::Acquire)
            .then(|| self.stopped())
    }

    pub(crate) fn journal_finished(&self) {
        self.is_journal_finished.store(true, Ordering::Release);
        // Taken so that the applier is either before its check or waiting.
        drop(self.lock_applier_queue());
        self.applier_work.notify_all();
    }
}

//! Keeps files while they are copied: what retention would remove waits until no backup needs it.

use std::{
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::oneshot;

use super::Moment;

/// Where a backup's moment is sent; `None`: there was no room for one.
pub(crate) type Reply = oneshot::Sender<Option<Moment>>;

/// Backups that wait for the applier, and those under way.
#[derive(Default)]
pub(crate) struct Backups {
    waiting: Mutex<Vec<Reply>>,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    holders: usize,
    /// To be removed when there is no holder any more.
    kept: Vec<PathBuf>,
}

/// While it lives nothing that a backup may need is removed.
pub(crate) struct Hold(Arc<Mutex<Held>>);

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.0).holders -= 1;
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().expect("nothing panics under this lock")
}

impl Backups {
    fn lock_waiting(&self) -> MutexGuard<'_, Vec<Reply>> {
        self.waiting.lock().expect("nothing panics under this lock")
    }

    pub(super) fn ask(&self, reply: Reply) {
        self.lock_waiting().push(reply);
    }

    /// Whether somebody waits for a moment.
    pub(crate) fn is_asked(&self) -> bool {
        !self.lock_waiting().is_empty()
    }

    /// Those who wait; dropped, they learn that the store stops.
    pub(crate) fn take_waiting(&self) -> Vec<Reply> {
        mem::take(&mut self.lock_waiting())
    }

    pub(super) fn hold(&self) -> Hold {
        lock(&self.held).holders += 1;
        Hold(Arc::clone(&self.held))
    }

    /// Takes a file or directory that is to be removed over, while a backup is under way; answers
    /// whether it did.
    pub(crate) fn keep(&self, path: &Path) -> bool {
        let mut held = lock(&self.held);
        let is_held = held.holders > 0;
        if is_held {
            held.kept.push(path.to_owned());
        }
        is_held
    }

    /// What may go now.
    pub(super) fn released(&self) -> Vec<PathBuf> {
        let mut held = lock(&self.held);
        if held.holders > 0 {
            return Vec::new();
        }
        mem::take(&mut held.kept)
    }
}

//! Instances between two calls: a node-wide LRU, so that a lane borrows one and never owns one.
//!
//! An instance is kept for its version and mapping alone. At most half of the pool's slots are warm,
//! and an instance idle for [`WARM_IDLE`](crate::limits::WARM_IDLE) is dropped.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::instance::Instance;

/// Whose instance it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WarmKey {
    /// The loaded version, unique in the process.
    pub(crate) load: u64,
    /// The mapping it served.
    pub(crate) mapping: Arc<str>,
}

struct Idle<T> {
    key: WarmKey,
    since: Instant,
    instance: T,
}

/// The pool's books: how many stores live, and which of them idle.
pub(crate) struct WarmPool<T = Box<Instance>> {
    books: Mutex<Books<T>>,
    slots: usize,
    idle_max: usize,
    idle_time: Duration,
}

struct Books<T> {
    /// Oldest first.
    idle: VecDeque<Idle<T>>,
    /// Stores alive, idle ones included.
    live: usize,
}

impl<T> WarmPool<T> {
    pub(crate) fn new(slots: usize, idle_time: Duration) -> Self {
        let books = Mutex::new(Books {
            idle: VecDeque::new(),
            live: 0,
        });
        Self {
            books,
            slots,
            idle_max: slots / 2,
            idle_time,
        }
    }

    /// Borrows the instance of `key` that idled the shortest: its memory is the most likely still hot.
    pub(crate) fn take(&self, key: &WarmKey) -> Option<T> {
        let mut books = self.books();
        let at = books.idle.iter().rposition(|idle| idle.key == *key)?;
        books.idle.remove(at).map(|idle| idle.instance)
    }

    /// Makes room for one more store, dropping the longest idle one if all slots are taken.
    /// Every reservation is given back by [`Self::forget`], or passes to the idle ones by [`Self::put`].
    pub(crate) fn reserve(&self) {
        let mut books = self.books();
        let evicted = if books.live >= self.slots {
            books.idle.pop_front()
        } else {
            None
        };
        books.live = books.live + 1 - usize::from(evicted.is_some());
        drop(books);
        // Dropped before the caller instantiates, so that the slot is free, and outside the lock.
        drop(evicted);
    }

    /// A store is gone.
    pub(crate) fn forget(&self) {
        self.books().live -= 1;
    }

    /// Keeps an instance for the next call of `key`.
    pub(crate) fn put(&self, key: WarmKey, instance: T, now: Instant) {
        let mut books = self.books();
        let evicted = if books.idle.len() >= self.idle_max {
            books.idle.pop_front()
        } else {
            None
        };
        books.live -= usize::from(evicted.is_some());
        if self.idle_max > 0 {
            books.idle.push_back(Idle {
                key,
                since: now,
                instance,
            });
        } else {
            books.live -= 1;
        }
        drop(books);
        drop(evicted);
    }

    /// Drops what idled long enough; the moment at which the next one will have.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut books = self.books();
        let keep = books
            .idle
            .iter()
            .position(|idle| now < idle.since + self.idle_time);
        let count = keep.unwrap_or(books.idle.len());
        let expired: Vec<_> = books.idle.drain(..count).collect();
        books.live -= expired.len();
        let next = books.idle.front().map(|idle| idle.since + self.idle_time);
        drop(books);
        drop(expired);
        next
    }

    /// Drops all instances of a version that is unloaded.
    pub(crate) fn purge(&self, load: u64) {
        let mut books = self.books();
        let (gone, kept) = books
            .idle
            .drain(..)
            .partition::<VecDeque<_>, _>(|idle| idle.key.load == load);
        books.idle = kept;
        books.live -= gone.len();
        drop(books);
        drop(gone);
    }

    /// Drops all idle instances.
    pub(crate) fn clear(&self) {
        let mut books = self.books();
        let gone = std::mem::take(&mut books.idle);
        books.live -= gone.len();
        drop(books);
        drop(gone);
    }

    /// `(live, idle)` stores.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let books = self.books();
        (books.live, books.idle.len())
    }

    fn books(&self) -> MutexGuard<'_, Books<T>> {
        // No code of a guest or of a store runs under the lock, so a panic leaves the books whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

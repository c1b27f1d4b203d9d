//! The frame that gathers: encoded entries behind room for a header, and who waits for them.

use fnctl_core::{entry::Entry, id::UnitId};

use crate::{
    codec,
    journal::frame::HEADER_BYTES,
    limits::{CHARGES_LINGER_BYTES, CHARGES_LINGER_ENTRIES, FRAME_GATHER_BYTES},
    sequencer::request::Waiter,
};

/// A frame before it is written. Emptied and used again, so that a busy journal allocates nothing.
#[derive(Default)]
pub(crate) struct Gathering {
    /// Room for the header, then each entry behind its length. Empty until the first entry.
    pub(super) buffer: Vec<u8>,
    pub(super) entries: Vec<Entry>,
    pub(super) waiters: Vec<Waiter>,
    /// Somebody needs it written at once.
    is_urgent: bool,
}

/// A buffer that grew beyond this for one large entry is given back.
const KEPT_BYTES: usize = FRAME_GATHER_BYTES + FRAME_GATHER_BYTES / 2;

impl Gathering {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.waiters.is_empty()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether it is to be written at once. Else it holds nothing, or what may linger.
    pub(super) const fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Who waits for it to be written.
    pub(super) fn wait(&mut self, waiter: Waiter) {
        self.is_urgent = true;
        self.waiters.push(waiter);
    }

    /// Whether this unit has nothing in it, and what it says now may linger with the rest: behind two commits
    /// that are not synced a slot makes no call.
    pub(super) fn may_linger(&self, unit: UnitId) -> bool {
        let is_its =
            |entry: &Entry| matches!(entry, Entry::Commit { commit, .. } if commit.unit == unit);
        self.bytes() < CHARGES_LINGER_BYTES
            && self.entries.len() < CHARGES_LINGER_ENTRIES
            && !self.entries.iter().any(is_its)
    }

    /// Who is told when it is written, at any time soon.
    pub(super) fn linger(&mut self, waiter: Waiter) {
        self.waiters.push(waiter);
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if self.buffer.is_empty() {
            self.buffer.resize(HEADER_BYTES, 0);
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        codec::encode_entry(&entry, &mut self.buffer);
        let length = u32::try_from(self.buffer.len() - start - 4).expect("an entry fits a frame");
        self.buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.entries.push(entry);
    }

    /// Answers those who wait for the write alone.
    pub(super) fn answer_early(&mut self) {
        let is_early =
            |waiter: &mut Waiter| matches!(waiter, Waiter::Append { is_early: true, .. });
        for waiter in self.waiters.extract_if(.., is_early) {
            waiter.answer();
        }
    }

    pub(super) fn answer_all(&mut self) {
        for waiter in self.waiters.drain(..) {
            waiter.answer();
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.waiters.clear();
        self.is_urgent = false;
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        } else {
            self.buffer.clear();
        }
    }
}

//! The frame that gathers: encoded entries behind room for a header, and who waits for them.

use fnctl_core::entry::Entry;

use crate::{
    codec, journal::frame::HEADER_BYTES, limits::FRAME_GATHER_BYTES, sequencer::request::Waiter,
};

/// A frame before it is written. Emptied and used again, so that a busy journal allocates nothing.
#[derive(Default)]
pub(crate) struct Gathering {
    /// Room for the header, then each entry behind its length. Empty until the first entry.
    pub(super) buffer: Vec<u8>,
    pub(super) entries: Vec<Entry>,
    pub(super) waiters: Vec<Waiter>,
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
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        } else {
            self.buffer.clear();
        }
    }
}

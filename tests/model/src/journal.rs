//! The journal as the protocol sees it: what is durable, what is shown, what is on its way.

use crate::{
    config::{Config, SLOTS},
    views::ViewId,
};

/// Views instead of entries: what matters of a run of entries is the view behind its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journal {
    /// What every crash leaves.
    durable: ViewId,
    /// What readers see.
    published: ViewId,
    /// The view behind the frame that is written and not synced, and its commits by slot.
    frame: Option<(ViewId, [u8; SLOTS])>,
    /// The sequencer's view: behind everything accepted.
    ahead: ViewId,
    /// Commits by slot that are in no frame yet.
    loose: [u8; SLOTS],
    has_loose: bool,
    /// Whether somebody waits for an entry that is in no frame yet.
    is_awaited: bool,
}

impl Journal {
    /// A journal whose every entry is synced.
    pub(crate) const fn synced(view: ViewId) -> Self {
        Self {
            durable: view,
            published: view,
            frame: None,
            ahead: view,
            loose: [0; SLOTS],
            has_loose: false,
            is_awaited: false,
        }
    }

    pub(crate) const fn ahead(&self) -> ViewId {
        self.ahead
    }

    /// What readers see.
    pub(crate) const fn visible(&self, config: &Config) -> ViewId {
        if config.publishes_synced {
            self.published
        } else {
            self.ahead
        }
    }

    /// Takes an entry: `slot` of the commit, if it is one; whether somebody waits for it.
    pub(crate) fn take(&mut self, view: ViewId, slot: Option<usize>, is_awaited: bool) {
        self.ahead = view;
        self.has_loose = true;
        self.is_awaited |= is_awaited;
        if let Some(slot) = slot {
            self.loose[slot] += 1;
        }
    }

    /// Accepted and unsynced commits of the owner's slot.
    pub(crate) fn unsynced(&self, slot: usize) -> u8 {
        self.loose[slot] + self.frame.map_or(0, |(_, slots)| slots[slot])
    }

    /// Forgets whose commits are under way: their owner is gone.
    pub(crate) fn forget_slots(&mut self) {
        self.loose = [0; SLOTS];
        if let Some((_, slots)) = &mut self.frame {
            *slots = [0; SLOTS];
        }
    }

    /// Everything accepted goes into one frame. `None`: one is under way, or nothing waits.
    pub(crate) fn write(&self, config: &Config) -> Option<Self> {
        let is_due = self.is_awaited || (config.writes_marks && self.has_loose);
        (self.frame.is_none() && is_due).then_some(Self {
            frame: Some((self.ahead, self.loose)),
            loose: [0; SLOTS],
            has_loose: false,
            is_awaited: false,
            ..*self
        })
    }

    /// The sync of the frame returns.
    pub(crate) fn sync(&self) -> Option<Self> {
        let (view, _) = self.frame?;
        Some(Self {
            durable: view,
            published: view,
            frame: None,
            ..*self
        })
    }

    /// What a restart finds: without the frame, or with it.
    pub(crate) fn crash(&self, config: &Config, keeps_frame: bool) -> Option<Self> {
        if !keeps_frame {
            return Some(Self::synced(self.durable));
        }
        let (view, _) = self.frame?;
        let mut found = Self::synced(view);
        if !config.recovers_synced {
            found.durable = self.durable;
        }
        Some(found)
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        let (frame, framed) = self.frame.unwrap_or((ViewId::default(), [u8::MAX; SLOTS]));
        for view in [self.durable, self.published, frame, self.ahead] {
            buffer.extend_from_slice(&view.0.to_le_bytes());
        }
        buffer.extend_from_slice(&framed);
        buffer.extend_from_slice(&self.loose);
        buffer.extend_from_slice(&[u8::from(self.has_loose), u8::from(self.is_awaited)]);
    }
}

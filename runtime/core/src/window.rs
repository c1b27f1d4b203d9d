//! Tumbling windows: spans of stream time whose records share a state that is committed with the
//! checkpoint (event source mapping rules §11, commit and storage rules §8).
//!
//! A state belongs to a *group* of keys: to one of `key_groups`, or to the shard where order holds within
//! that. A group has one open window at a time and one chain of states: every commit that changes it
//! names the version that it was made from.

use bytes::Bytes;

use crate::{
    id::{FunctionVersion, Ordinal, Timestamp},
    lane::KeyHash,
    limits,
};

/// The span of a window: `[start, end)`, aligned to 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// Its first millisecond.
    pub start: Timestamp,
    /// The first millisecond behind it.
    pub end: Timestamp,
}

impl Window {
    /// The window of `span_ms` that `at` lies in.
    ///
    /// # Panics
    /// If `span_ms` is 0.
    #[must_use]
    pub const fn at(at: Timestamp, span_ms: u32) -> Self {
        let span = span_ms as u64;
        let start = at.0 - at.0 % span;
        Self {
            start: Timestamp(start),
            end: Timestamp(start.saturating_add(span)),
        }
    }

    /// How long it is, ms.
    #[must_use]
    pub const fn span_ms(&self) -> u64 {
        self.end.0 - self.start.0
    }
}

/// What a call of a function is told of the window that its records belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowCall {
    /// Which window.
    pub window: Window,
    /// What the calls so far left: empty in the first one of a window, and in the first one after the
    /// window was ended early.
    pub state: Bytes,
    /// The last call of this window, without records: afterwards the state is gone.
    pub is_final: bool,
    /// The state had grown above
    /// [`WINDOW_STATE_BYTES_MAX`](crate::limits::WINDOW_STATE_BYTES_MAX): this call, without records, ends
    /// it, and the window goes on with a fresh one.
    pub is_terminated_early: bool,
}

/// The group of a key among `groups` (commit and storage rules §8).
///
/// # Panics
/// If `groups` is 0.
#[must_use]
pub fn group_of(key: KeyHash, groups: u32) -> u32 {
    u32::try_from(key.0 % u64::from(groups)).expect("a remainder is below its divisor")
}

/// The lane of a group among `factor` lanes.
///
/// # Panics
/// If `factor` is 0.
#[must_use]
pub fn lane_of(group: u32, factor: u16) -> u16 {
    u16::try_from(group % u32::from(factor)).expect("a remainder is below its divisor")
}

/// A window with records in it that had no final call yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWindow {
    /// Which.
    pub window: Window,
    /// What the calls so far left.
    pub state: Bytes,
    /// Highest hops of a record in it: what its final call emits comes from all of them.
    pub hops: u8,
    /// The last record in it.
    pub last: Ordinal,
    /// How many groups there were when it was opened.
    pub groups: u32,
    /// The version that left the state; `None`: it is from before that was kept.
    pub left_by: Option<FunctionVersion>,
}

impl OpenWindow {
    /// Whether its state has grown too large, so that it is ended early.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.state.len() as u64 > limits::WINDOW_STATE_BYTES_MAX
    }

    /// Whether it is from when the mapping had windows of another length or other groups, or now has none
    /// (a span of 0): it ends before anything is called.
    #[must_use]
    pub fn is_old(&self, span_ms: u32, groups: u32) -> bool {
        self.groups != groups || self.window.span_ms() != u64::from(span_ms)
    }

    /// Whether the call that ends it next, of a mapping with these settings, ends it early.
    #[must_use]
    pub fn ends_early(&self, span_ms: u32, groups: u32) -> bool {
        self.is_full() && !self.is_old(span_ms, groups)
    }

    /// The call without records that ends it.
    #[must_use]
    pub fn last_call(&self, is_early: bool) -> WindowCall {
        WindowCall {
            window: self.window,
            state: self.state.clone(),
            is_final: !is_early,
            is_terminated_early: is_early,
        }
    }
}

/// What a unit keeps of a group: survives restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupWindow {
    /// Counts the commits that changed it.
    pub version: u64,
    /// No record belongs to a window in front of this: the end of the last window that closed.
    pub closed_through: Timestamp,
    /// Its open window, if it has one.
    pub open: Option<OpenWindow>,
}

impl GroupWindow {
    /// The window of a record of this group. A clock that goes back reopens none, so a record may belong
    /// to a window behind its own time (commit and storage rules §8).
    #[must_use]
    pub fn window_of(&self, arrival: Timestamp, span_ms: u32) -> Window {
        let open = self.open.as_ref().map(|open| open.window);
        let from = open.map_or(self.closed_through, |open| {
            open.start.max(self.closed_through)
        });
        Window::at(arrival.max(from), span_ms)
    }

    /// What a call of records in this window is given: the state that is there, and none in the first call of
    /// a window, or behind one that is to end before.
    #[must_use]
    pub fn call_in(&self, window: Window) -> WindowCall {
        let open = self.open.as_ref();
        let open = open.filter(|open| open.window == window && !open.is_full());
        WindowCall {
            window,
            state: open.map(|open| open.state.clone()).unwrap_or_default(),
            is_final: false,
            is_terminated_early: false,
        }
    }
}

/// What a commit says of a group: whole values, so that redo may repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowChange {
    /// The group.
    pub group: u32,
    /// What it is from now on. The version that it was made from is the one before.
    pub becomes: GroupWindow,
}

#[cfg(test)]
mod tests;

//! Tumbling windows: spans of stream time whose records share a state that is committed with the
//! checkpoint (event source mapping rules §11, commit and storage rules §8).

use bytes::Bytes;

use crate::id::Timestamp;

/// The span of a window: `[start, end)`, aligned to 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// Its first millisecond.
    pub start: Timestamp,
    /// The first millisecond behind it.
    pub end: Timestamp,
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

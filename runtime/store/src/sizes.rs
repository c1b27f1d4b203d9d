//! When files roll and cuts are due: the bounds of `limits`, smaller where a test wants to see much of it.

use crate::limits;

/// Sizes at which something happens. Changing them between starts is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// A journal file is allocated at this size and rolled when full.
    pub journal_file: u64,
    /// A segment rolls at this size.
    pub segment: u64,
    /// A shard's gathered records become a frame at this size.
    pub segment_frame: usize,
    /// A cut is due at this many bytes applied since the last.
    pub cut_dirty: u64,
    /// A cut is due at this many bytes of journal since the last.
    pub cut_journal: u64,
    /// A snapshot is due at this many bytes of journal since the last, or four times the view.
    pub snapshot_journal: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            journal_file: limits::JOURNAL_FILE_BYTES,
            segment: limits::SEGMENT_BYTES,
            segment_frame: limits::SEGMENT_FRAME_BYTES,
            cut_dirty: limits::CUT_DIRTY_BYTES,
            cut_journal: limits::CUT_JOURNAL_BYTES,
            snapshot_journal: limits::SNAPSHOT_JOURNAL_BYTES,
        }
    }
}

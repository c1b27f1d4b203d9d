//! The last frame of a journal that was not ended in order.

use std::{io, sync::Arc};

use fnctl_core::id::Lsn;

use crate::{
    disk::DiskFile,
    journal::{listing::JournalFile, scan::Replay},
};

/// The last frame of a life that did not end in order: its write returned, its sync may not have. A frame is
/// written only once the one before it is synced, so there is never a second one.
pub(super) struct Doubtful {
    file: Arc<dyn DiskFile>,
    offset: u64,
    bytes: u64,
}

impl Doubtful {
    /// The last frame, unless a base holds it, which is made of what was synced.
    pub(super) fn of(replay: &Replay, base: Lsn, last_file: &JournalFile) -> Option<Self> {
        let (header, _) = replay.last.as_ref()?;
        if replay.is_clean || replay.next <= base {
            return None;
        }
        let torn = replay.torn.as_ref();
        let torn = torn.filter(|(path, _)| *path == last_file.path);
        let end = replay.end.or(torn.map(|(_, offset)| *offset))?;
        let offset = end.checked_sub(header.frame_bytes())?;
        // What a file begins with was synced before it had its name.
        (offset >= last_file.header.frame_bytes()).then(|| Self {
            file: Arc::clone(&last_file.file),
            offset,
            bytes: header.frame_bytes(),
        })
    }

    /// Writes the frame over itself and syncs it, which takes no room. A sync alone would prove nothing
    /// after one that failed (commit and storage rules §5).
    pub(super) fn make_sure(&self) -> io::Result<()> {
        let length = usize::try_from(self.bytes).expect("a frame fits memory");
        let mut frame = vec![0; length];
        if self.file.read_at(&mut frame, self.offset)? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.write_at(&frame, self.offset)?;
        self.file.sync()
    }
}

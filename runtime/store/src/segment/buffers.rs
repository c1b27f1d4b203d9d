//! Memory that segments are read to, used again.
//!
//! What is read is handed out as it is: a block's columns lie in the piece of the file that it came with. A
//! backlog is read in thousands of such pieces, and memory that is new to the process costs more than to fill
//! it: each of its pages is a fault. So a piece that nobody needs any more is kept for the next read.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use crate::limits::{READ_BUFFERS_MAX, READ_BYTES_MAX};

/// Pieces of `READ_BYTES_MAX` bytes that nobody needs, at most `READ_BUFFERS_MAX`.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffers(Mutex<Vec<Vec<u8>>>);

impl ReadBuffers {
    /// A piece of `size` bytes, or fewer, as `read` filled it: that says how many.
    ///
    /// # Errors
    /// As `read`.
    pub(crate) fn fill(
        self: &Arc<Self>,
        size: usize,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Bytes> {
        if size <= READ_BYTES_MAX / 2 || size > READ_BYTES_MAX {
            let mut bytes = vec![0; size];
            let filled = read(&mut bytes)?;
            bytes.truncate(filled);
            return Ok(bytes.into());
        }
        let kept = self.kept().pop();
        let mut piece = Piece {
            bytes: kept.unwrap_or_else(|| vec![0; READ_BYTES_MAX]),
            filled: 0,
            home: Arc::clone(self),
        };
        piece.filled = read(&mut piece.bytes[..size])?.min(size);
        Ok(Bytes::from_owner(piece))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece in use: goes back when the last who sees a part of it is gone.
struct Piece {
    bytes: Vec<u8>,
    filled: usize,
    home: Arc<ReadBuffers>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut kept = self.home.kept();
        if kept.len() < READ_BUFFERS_MAX {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(buffers: &Arc<ReadBuffers>, size: usize, with: u8) -> Bytes {
        let fill = |bytes: &mut [u8]| {
            bytes.fill(with);
            Ok(bytes.len())
        };
        buffers.fill(size, fill).expect("nothing fails")
    }

    #[test]
    fn a_piece_is_used_again_once_nobody_sees_any_of_it() {
        let buffers = Arc::new(ReadBuffers::default());
        let first = read(&buffers, READ_BYTES_MAX, 1);
        let at = first.as_ptr();
        let part = first.slice(7..9);
        drop(first);
        let second = read(&buffers, READ_BYTES_MAX, 2);
        assert_eq!(part, [1, 1][..], "it is still seen");
        drop(part);
        let third = read(&buffers, READ_BYTES_MAX - 1, 3);
        assert_eq!(third.as_ptr(), at);
        assert_eq!(third.len(), READ_BYTES_MAX - 1);
        assert!(second.iter().all(|&byte| byte == 2));
    }

    #[test]
    fn what_is_kept_is_bounded_and_other_sizes_are_not_kept() {
        let buffers = Arc::new(ReadBuffers::default());
        let all: Vec<Bytes> = (0..READ_BUFFERS_MAX + 3)
            .map(|_| read(&buffers, READ_BYTES_MAX, 0))
            .collect();
        drop(all);
        assert_eq!(buffers.kept().len(), READ_BUFFERS_MAX);
        let buffers = Arc::new(ReadBuffers::default());
        for size in [1, READ_BYTES_MAX / 8, READ_BYTES_MAX + 1] {
            assert_eq!(read(&buffers, size, 9).len(), size);
        }
        assert!(buffers.kept().is_empty());
    }

    #[test]
    fn what_was_in_a_piece_before_is_not_seen_and_a_failed_read_gives_it_back() {
        let buffers = Arc::new(ReadBuffers::default());
        drop(read(&buffers, READ_BYTES_MAX, 1));
        let short = buffers.fill(READ_BYTES_MAX, |bytes| {
            bytes[..3].fill(2);
            Ok(3)
        });
        assert_eq!(short.expect("it was read"), [2, 2, 2][..]);
        let failed = buffers.fill(READ_BYTES_MAX, |_| Err(io::ErrorKind::Other.into()));
        assert!(failed.is_err());
        assert_eq!(buffers.kept().len(), 1);
    }
}

//! Files written from front to back past the page cache.
//!
//! What the log writes is seldom read back from the disk: readers that keep up are served from memory.
//! Through the page cache every byte would be copied into a page made for it, and the page written out
//! and thrown away later: measured, that is nine tenths of what a put costs. Written directly, the disk
//! takes the bytes from here. A direct write has a price of its own, though, however short it is: the disk
//! is asked, and the thread sleeps until it answers. So the short ones of a file that is synced much later,
//! as a shard's that has little at a cut, go through the page cache, which writes those of many files
//! together. Reads go through it as ever, but for the large ones of a start, which would only fill it; the
//! kernel keeps both coherent.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use rustix::{
    fs::{OFlags, fdatasync},
    io::Errno,
};

use super::{allocate, options, read_at, write_at};
use crate::{
    disk::DiskFile,
    limits::{DIRECT_BLOCK_BYTES, DIRECT_WRITE_BYTES, DIRECT_WRITE_BYTES_MIN},
};

const BLOCK: usize = DIRECT_BLOCK_BYTES;

/// A file whose blocks are written directly, each append behind the one before.
#[derive(Debug)]
pub(super) struct DirectFile {
    /// For everything that goes through the page cache.
    file: File,
    /// Where it was opened.
    path: PathBuf,
    /// The same file, opened for direct reads and writes when there is one to make: a thousand shards with
    /// little to write need no second descriptor each.
    direct: OnceLock<File>,
    /// The file system has refused a direct write or read.
    is_refused: AtomicBool,
    tail: Mutex<Tail>,
}

/// Where the last write ended.
#[derive(Debug)]
struct Tail {
    end: u64,
    /// Bytes of the block that `end` lies in, up to there.
    partial: Vec<u8>,
    /// The file has the length that was allocated, however far it is written. Such a file is synced after
    /// every write.
    is_allocated: bool,
    /// The last write made the file longer than what was written.
    is_padded: bool,
}

thread_local! {
    /// Where a thread aligns what it writes. Two threads write logs: sequencer and applier.
    static ALIGNED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Opens a file for direct writes, empty when `is_new`. Where the file system has none, they go through the
/// page cache.
pub(super) fn open(path: &Path, is_new: bool) -> io::Result<DirectFile> {
    Ok(DirectFile {
        file: options().create(is_new).truncate(is_new).open(path)?,
        path: path.to_owned(),
        direct: OnceLock::new(),
        is_refused: AtomicBool::new(false),
        tail: Mutex::new(Tail {
            end: 0,
            partial: Vec::new(),
            is_allocated: false,
            is_padded: false,
        }),
    })
}

impl DirectFile {
    fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().expect("nothing panics under this lock")
    }

    /// The file opened for direct reads and writes; refused when its name has gone or leads to another file.
    fn direct(&self) -> io::Result<&File> {
        if let Some(direct) = self.direct.get() {
            return Ok(direct);
        }
        let refused = || io::Error::from(Errno::INVAL);
        let flag = i32::try_from(OFlags::DIRECT.bits()).expect("the system's flags are an int");
        let opened = match options().custom_flags(flag).open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(refused()),
            opened => opened?,
        };
        let (there, here) = (opened.metadata()?, self.file.metadata()?);
        if (there.dev(), there.ino()) != (here.dev(), here.ino()) {
            return Err(refused());
        }
        Ok(self.direct.get_or_init(|| opened))
    }

    /// Writes through the page cache: the next direct write reads the block that this one ends in from there.
    fn write_cached(&self, tail: &mut Tail, bytes: &[u8], offset: u64) -> io::Result<()> {
        write_at(&self.file, bytes, offset)?;
        (tail.end, tail.partial) = (offset + bytes.len() as u64, Vec::new());
        Ok(())
    }

    /// The bytes of the block that `offset` lies in, up to there.
    fn partial(&self, tail: &mut Tail, offset: u64) -> io::Result<Vec<u8>> {
        let partial = std::mem::take(&mut tail.partial);
        let length = usize::try_from(offset % BLOCK as u64).expect("a block is small");
        if offset == tail.end && partial.len() == length {
            return Ok(partial);
        }
        let mut partial = vec![0; length];
        let filled = read_at(&self.file, &mut partial, offset - length as u64)?;
        // Behind the end of the file there are zeros.
        partial[filled..].fill(0);
        Ok(partial)
    }
}

impl DiskFile for DirectFile {
    /// Zeros follow `bytes` up to the end of their last block, until the next sync if they made the
    /// file longer.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut tail = self.lock();
        if bytes.len() < DIRECT_WRITE_BYTES_MIN && !tail.is_allocated {
            return self.write_cached(&mut tail, bytes, offset);
        }
        let partial = self.partial(&mut tail, offset)?;
        if self.is_refused.load(Ordering::Relaxed) {
            return self.write_cached(&mut tail, bytes, offset);
        }
        let written = ALIGNED.with_borrow_mut(|buffer| {
            write_blocks(self.direct()?, aligned(buffer), partial, bytes, offset)
        });
        match written {
            Ok(partial) => {
                tail.end = offset + bytes.len() as u64;
                tail.is_padded = !partial.is_empty() && !tail.is_allocated;
                tail.partial = partial;
                Ok(())
            }
            Err(error) if is_refusal(&error) => {
                // It takes no direct writes after all, or none so small.
                self.is_refused.store(true, Ordering::Relaxed);
                self.write_cached(&mut tail, bytes, offset)
            }
            Err(error) => Err(error),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(&self.file, buffer, offset)
    }

    fn read_piece(&self, length: usize, offset: u64) -> io::Result<Bytes> {
        if !self.is_refused.load(Ordering::Relaxed) {
            match self
                .direct()
                .and_then(|direct| read_blocks(direct, length, offset))
            {
                Err(error) if is_refusal(&error) => self.is_refused.store(true, Ordering::Relaxed),
                other => return other,
            }
        }
        let mut bytes = vec![0; length];
        let filled = read_at(&self.file, &mut bytes, offset)?;
        bytes.truncate(filled);
        Ok(bytes.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut tail = self.lock();
        if tail.is_padded {
            self.file.set_len(tail.end)?;
            tail.is_padded = false;
        }
        drop(tail);
        fdatasync(&self.file).map_err(io::Error::from)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.lock().is_allocated = true;
        allocate(&self.file, length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut tail = self.lock();
        // What the last block holds is read again.
        (tail.end, tail.partial) = (u64::MAX, Vec::new());
        tail.is_padded = false;
        self.file.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// Whether the file system has no direct reads and writes.
fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
}

/// Reads the whole blocks that `length` bytes from `offset` lie in, and hands out those bytes.
fn read_blocks(direct: &File, length: usize, offset: u64) -> io::Result<Bytes> {
    let lead = usize::try_from(offset % BLOCK as u64).expect("a block is small");
    let start = offset - lead as u64;
    let whole = (lead + length).next_multiple_of(BLOCK);
    let mut memory = vec![0; whole + BLOCK];
    let at = memory.as_ptr().align_offset(BLOCK);
    let buffer = &mut memory[at..at + whole];
    let mut filled = 0;
    while filled < whole {
        match direct.read_at(&mut buffer[filled..], start + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        // Less than whole blocks there is only at the end of the file.
        if filled % BLOCK != 0 {
            break;
        }
    }
    let end = filled.clamp(lead, lead + length);
    Ok(Bytes::from(memory).slice(at + lead..at + end))
}

/// [`DIRECT_WRITE_BYTES`] that start where a direct write may.
fn aligned(buffer: &mut Vec<u8>) -> &mut [u8] {
    if buffer.is_empty() {
        buffer.resize(DIRECT_WRITE_BYTES + BLOCK, 0);
    }
    let start = buffer.as_ptr().align_offset(BLOCK);
    &mut buffer[start..start + DIRECT_WRITE_BYTES]
}

/// Writes `bytes` behind the `partial` block before them, in whole blocks; answers the block that they
/// end in, up to there.
fn write_blocks(
    direct: &File,
    buffer: &mut [u8],
    partial: Vec<u8>,
    mut bytes: &[u8],
    offset: u64,
) -> io::Result<Vec<u8>> {
    let mut at = offset - partial.len() as u64;
    let mut filled = partial.len();
    buffer[..filled].copy_from_slice(&partial);
    loop {
        let (piece, rest) = bytes.split_at(bytes.len().min(buffer.len() - filled));
        buffer[filled..filled + piece.len()].copy_from_slice(piece);
        filled += piece.len();
        let whole = filled.next_multiple_of(BLOCK);
        buffer[filled..whole].fill(0);
        direct.write_all_at(&buffer[..whole], at)?;
        bytes = rest;
        if bytes.is_empty() {
            let mut kept = partial;
            kept.clear();
            kept.extend_from_slice(&buffer[filled / BLOCK * BLOCK..filled]);
            return Ok(kept);
        }
        at += whole as u64;
        filled = 0;
    }
}

#[cfg(test)]
mod tests;

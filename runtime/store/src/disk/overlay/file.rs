//! A file of the upper layer: what is below it, as far as it still shows, and what was written over it.

use std::{
    fmt,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use super::Overlay;
use crate::disk::{Disk, DiskFile};

/// Content of a file: few writes over much that is only read.
#[derive(Default)]
pub(super) struct Content {
    below: Option<Arc<dyn DiskFile>>,
    /// Bytes of `below` that still show.
    shown: u64,
    length: u64,
    /// In the order they were made.
    writes: Vec<(u64, Vec<u8>)>,
}

impl Content {
    /// All of a file.
    ///
    /// # Errors
    /// Its length cannot be had.
    pub(super) fn over(below: Arc<dyn DiskFile>) -> io::Result<Self> {
        let length = below.length()?;
        Ok(Self {
            below: Some(below),
            shown: length,
            length,
            writes: Vec::new(),
        })
    }

    /// Lets go of the file below until it is read.
    pub(super) fn close(&mut self, closed: Closed) {
        if self.below.is_some() {
            self.below = Some(Arc::new(closed));
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        if let Some(below) = &self.below {
            let shown = usize::try_from(self.shown.saturating_sub(offset)).unwrap_or(usize::MAX);
            let shown = count.min(shown);
            below.read_at(&mut buffer[..shown], offset)?;
        }
        for (at, bytes) in &self.writes {
            let (start, end) = (
                offset.max(*at),
                (offset + count as u64).min(at + bytes.len() as u64),
            );
            if start < end {
                let part = |from: u64| usize::try_from(from).expect("within a buffer");
                let (to, from) = (part(start - offset), part(start - at));
                let length = part(end - start);
                buffer[to..to + length].copy_from_slice(&bytes[from..from + length]);
            }
        }
        Ok(count)
    }

    fn truncate(&mut self, length: u64) {
        self.shown = self.shown.min(length);
        self.length = length;
        self.writes.retain_mut(|(at, bytes)| {
            let kept = usize::try_from(length.saturating_sub(*at)).unwrap_or(usize::MAX);
            bytes.truncate(kept);
            !bytes.is_empty()
        });
    }
}

/// A file below that is opened for each read.
pub(super) struct Closed {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Closed {
    pub(super) const fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path }
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Closed").field(&self.path).finish()
    }
}

impl DiskFile for Closed {
    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.open_to_read(&self.path)?.read_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _length: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn truncate(&self, _length: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.open_to_read(&self.path)?.length()
    }
}

pub(super) struct OverlayFile {
    disk: Overlay,
    path: PathBuf,
    content: Arc<Mutex<Content>>,
}

impl fmt::Debug for OverlayFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OverlayFile").field(&self.path).finish()
    }
}

impl OverlayFile {
    pub(super) const fn new(disk: Overlay, path: PathBuf, content: Arc<Mutex<Content>>) -> Self {
        Self {
            disk,
            path,
            content,
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("nothing panics under this lock")
    }

    fn change(&self, change: impl FnOnce(&mut Content)) {
        self.disk.keep(&self.path, &self.content);
        change(&mut self.content());
    }
}

impl DiskFile for OverlayFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(|content| {
            content.length = content.length.max(offset + bytes.len() as u64);
            content.writes.push((offset, bytes.to_vec()));
        });
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.content().read_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.change(|content| content.length = content.length.max(length));
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.change(|content| content.truncate(length));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.content().length)
    }
}

//! Sends the files of a backup, checking what it reads.

use std::path::Path;

use bytes::Bytes;

use super::{BackupError, Content, Prepared, Sink, archive, at, manifest};
use crate::{
    digest::Digester,
    disk::DiskFile,
    limits::READ_BYTES_MAX,
    segment::walk::{Found, Walk},
};

/// What a backup came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Files sent.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that could not be read in full as they were written.
    pub damaged: Vec<String>,
}

impl Prepared {
    /// Bytes that will be sent, headers aside.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let items = self
            .parts
            .iter()
            .map(|(index, _)| &self.manifest.items[*index]);
        items.map(|item| item.bytes).sum()
    }

    /// Sends everything as one archive. Blocking; holds one piece of a file at a time. When it fails
    /// the archive says so, as far as it can still be sent.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn send(mut self, sink: &mut Sink<'_>) -> Result<Sent, BackupError> {
        let sent = self.send_all(sink);
        if let Err(error) = &sent
            && !matches!(error, BackupError::Gone)
        {
            let words = error.to_string();
            // The receiver learns it from the missing manifest otherwise.
            drop(whole(archive::ERROR, words.into_bytes(), sink));
        }
        sent
    }

    fn send_all(&mut self, sink: &mut Sink<'_>) -> Result<Sent, BackupError> {
        let (next, mut sent) = (self.manifest.next, (0, 0));
        for (index, content) in std::mem::take(&mut self.parts) {
            let item = &mut self.manifest.items[index];
            sink(archive::header(&item.stored(next), item.bytes).into())?;
            let mut copy = Copy {
                digester: Digester::default(),
                left: item.bytes,
                sink,
            };
            let is_whole = match content {
                Content::Bytes(bytes) => copy.push(bytes.into()).map(|()| true)?,
                Content::File(path, file) => copy.file(&path, &*file)?,
                Content::Segment(path, key, meta) => {
                    let file = self
                        .backup
                        .shared
                        .disk
                        .open_to_read(&path)
                        .map_err(at(&path))?;
                    let walk = Walk::new(std::sync::Arc::clone(&file), key, meta.salt, item.bytes);
                    copy.segment(&path, &*file, walk)?
                }
            };
            item.sha256 = copy.digester.finish();
            // An artefact's name says what it must be.
            let is_named = !item.target.starts_with("artifacts/")
                || item.identity.as_deref() == Some(&*item.sha256);
            let is_damaged = !is_whole || !is_named;
            if is_damaged && !self.manifest.damaged.contains(&item.target) {
                self.manifest.damaged.push(item.target.clone());
            }
            sink(archive::padding(item.bytes).into())?;
            sent = (sent.0 + 1, sent.1 + item.bytes);
        }
        whole(manifest::FILE, self.manifest.encode(), sink)?;
        sink(archive::end().into())?;
        Ok(Sent {
            files: sent.0,
            bytes: sent.1,
            damaged: self.manifest.damaged.clone(),
        })
    }
}

fn whole(name: &str, bytes: Vec<u8>, sink: &mut Sink<'_>) -> Result<(), BackupError> {
    let length = bytes.len() as u64;
    sink(archive::header(name, length).into())?;
    sink(bytes.into())?;
    sink(archive::padding(length).into())
}

/// A file on its way.
struct Copy<'a, 'b> {
    digester: Digester,
    /// Bytes that the header promised and that were not sent yet.
    left: u64,
    sink: &'a mut Sink<'b>,
}

impl Copy<'_, '_> {
    fn push(&mut self, bytes: Bytes) -> Result<(), BackupError> {
        self.digester.push(&bytes);
        self.left -= bytes.len() as u64;
        if bytes.is_empty() {
            return Ok(());
        }
        (self.sink)(bytes)
    }

    /// `length` bytes from `offset` on, as they are.
    fn range(
        &mut self,
        path: &Path,
        file: &dyn DiskFile,
        mut offset: u64,
        length: u64,
    ) -> Result<(), BackupError> {
        let end = offset + length;
        while offset < end {
            let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let mut piece = vec![0; left.min(READ_BYTES_MAX)];
            let read = file.read_at(&mut piece, offset).map_err(at(path))?;
            if read == 0 {
                return Err(at(path)(std::io::ErrorKind::UnexpectedEof.into()));
            }
            piece.truncate(read);
            offset += read as u64;
            self.push(piece.into())?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, file: &dyn DiskFile) -> Result<bool, BackupError> {
        let left = self.left;
        self.range(path, file, 0, left).map(|()| true)
    }

    /// A segment, frame by frame; answers whether every frame was whole. What is damaged is copied as
    /// it is: what can be read of the original can be read of the copy.
    fn segment(
        &mut self,
        path: &Path,
        file: &dyn DiskFile,
        mut walk: Walk,
    ) -> Result<bool, BackupError> {
        let mut is_whole = true;
        while let Some(walked) = walk.next().map_err(at(path))? {
            match walked.found {
                Found::Frame(_, bytes) => self.push(bytes)?,
                Found::Trailer => self.range(path, file, walked.offset, walked.length)?,
                Found::Foreign | Found::Damaged => {
                    is_whole = false;
                    let length = walked.length.min(self.left);
                    self.range(path, file, walked.offset, length)?;
                }
            }
        }
        Ok(is_whole)
    }
}

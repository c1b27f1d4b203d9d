//! A backup in one file: the archive as it comes, checked while it is written, under its name only when
//! it is whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use fnctl_core::error_code::ErrorCode;
use fnctl_store::backup::{
    archive::Receive,
    directory::{Checker, DirectoryError},
    manifest::Manifest,
};

use super::{Take, written};
use crate::error::CliError;

/// The file while it is written.
pub(super) struct FileReceiver {
    to: PathBuf,
    partial: PathBuf,
    /// `None` once it has its name.
    file: Option<File>,
    checker: Checker,
}

/// A file that cannot be written.
pub(super) fn failed(path: &Path, error: &io::Error) -> CliError {
    let words = format!("`{}` cannot be written", path.display());
    CliError::new(ErrorCode::FileUnwritable, words)
        .because(error.to_string())
        .fix("name a file in a folder with room that this user may write in: --to FILE")
}

impl FileReceiver {
    pub(super) fn create(to: &Path) -> io::Result<Self> {
        let partial = to.with_extension("tar.partial");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            // It holds payloads and secrets.
            .mode(0o600)
            .open(&partial)?;
        Ok(Self {
            to: to.to_owned(),
            partial,
            file: Some(file),
            checker: Checker::default(),
        })
    }

    /// Checks what came and gives the file its name.
    pub(super) fn finish(mut self, manifest: &[u8]) -> Result<Manifest, CliError> {
        let checker = std::mem::take(&mut self.checker);
        let manifest = checker.finish(manifest).map_err(written)?;
        let file = self.file.take().expect("it is taken here alone");
        let above = self
            .to
            .parent()
            .filter(|above| !above.as_os_str().is_empty());
        let named = file
            .sync_all()
            .and_then(|()| fs::rename(&self.partial, &self.to))
            .and_then(|()| File::open(above.unwrap_or(Path::new(".")))?.sync_all());
        named.map_err(|error| failed(&self.to, &error))?;
        Ok(manifest)
    }
}

impl Drop for FileReceiver {
    fn drop(&mut self) {
        if self.file.is_some() {
            // What is not whole is no backup.
            drop(fs::remove_file(&self.partial));
        }
    }
}

impl Take for FileReceiver {
    fn raw(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let file = self.file.as_mut().expect("it is taken at the end");
        file.write_all(bytes)
            .map_err(|error| failed(&self.partial, &error))
    }
}

impl Receive for FileReceiver {
    fn begin(&mut self, name: &str, bytes: u64) -> Result<(), DirectoryError> {
        self.checker.begin(name, bytes)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), DirectoryError> {
        self.checker.data(bytes)
    }

    fn end(&mut self) -> Result<(), DirectoryError> {
        self.checker.end()
    }
}

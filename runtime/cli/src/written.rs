//! A file of payloads that a command writes: readable by its owner alone, and whole or not there.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use fnctl_core::error_code::ErrorCode;

use crate::{error::CliError, output::words};

/// A file that goes away unless it was written to its end.
pub(crate) struct Written {
    to: PathBuf,
    /// Where it is written: elsewhere where something is to be overwritten.
    path: PathBuf,
    /// `None` once it is whole.
    file: Option<BufWriter<File>>,
}

impl Written {
    /// Makes the file; `is_forced` overwrites one that is there, once the new one is whole.
    ///
    /// # Errors
    /// It is there already, or cannot be made.
    pub(crate) fn create(to: &Path, is_forced: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        let path = if is_forced {
            let mut path = to.as_os_str().to_owned();
            path.push(".partial");
            PathBuf::from(path)
        } else {
            to.to_owned()
        };
        if is_forced {
            // What an earlier one left behind may be readable by others.
            drop(fs::remove_file(&path));
        }
        let file = options.create_new(true).open(&path)?;
        Ok(Self {
            to: to.to_owned(),
            path,
            file: Some(BufWriter::new(file)),
        })
    }

    /// Writes a line and its end.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().expect("it is taken at the end");
        file.write_all(line)?;
        file.write_all(b"\n")
    }

    /// Brings what was written to the disk: where it lies until [`Self::keep`] gives it its name.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn flush(&mut self) -> io::Result<&Path> {
        let file = self.file.as_mut().expect("it is taken at the end");
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(&self.path)
    }

    /// It is whole, and stays.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn keep(mut self) -> io::Result<()> {
        self.flush()?;
        if self.path != self.to {
            fs::rename(&self.path, &self.to)?;
        }
        self.file = None;
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if self.file.is_some() {
            // What is not whole is not kept.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Why a file could not be written; `other` says how another one is named.
pub(crate) fn unwritable(path: &Path, error: &io::Error, other: &str) -> CliError {
    let name = words::path(path);
    if error.kind() == io::ErrorKind::AlreadyExists {
        return CliError::new(
            ErrorCode::TargetExists,
            format!("`{name}` is there already"),
        )
        .at(name)
        .fix(other.to_owned());
    }
    let said = CliError::new(
        ErrorCode::FileUnwritable,
        format!("`{name}` cannot be written"),
    );
    let said = said.because(error.to_string()).at(name);
    match error.kind() {
        io::ErrorKind::NotFound => said.fix(format!("a folder that is there; {other}")),
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_whole_and_its_owners_alone_or_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("letters");
        let mut cut = Written::create(&to, false).expect("a new file");
        cut.line(b"half").expect("room");
        drop(cut);
        assert!(!to.exists());
        let mut whole = Written::create(&to, false).expect("a new file");
        whole.line(b"one").expect("room");
        whole.keep().expect("room");
        assert_eq!(fs::read(&to).expect("it is there"), b"one\n");
        let mode = fs::metadata(&to).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = Written::create(&to, false)
            .map(drop)
            .expect_err("it is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        // Overwritten once the new one is whole, not before.
        let mut cut = Written::create(&to, true).expect("beside it");
        cut.line(b"half").expect("room");
        drop(cut);
        assert_eq!(fs::read(&to).expect("it is there"), b"one\n");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}

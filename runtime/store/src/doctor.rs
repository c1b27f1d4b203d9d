//! Examines a data directory that no server uses: every file, byte by byte, changing nothing.
//!
//! What a start would make of it is not guessed: the real start is run over the directory with every
//! change caught in memory, and says what it would mend. The rest is read with the readers
//! of recovery itself. Memory is bounded by what a start takes.

mod artifacts;
mod journal;
mod report;
mod shards;

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use fnctl_core::clock::Clock;

pub use self::report::{Finding, FindingKind, Found, Health, Report, Severity};
use crate::{
    Loops, OpenError, Options, Store,
    disk::{DirLock, Disk, Holder, overlay::Overlay},
    limits::{SECRET_BYTES, SECRET_FILE},
    recovery,
};

/// What goes with a server's secret.
const SECRET_LOST: &str = "shard iterators and list tokens given out before are refused";

/// Why a data directory was not examined.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// There is no such directory, or nothing of ours in it.
    #[error("{} is no data directory", .0.display())]
    NoData(PathBuf),
    /// A server has it: what is read would be of no one moment.
    #[error("{} is in use by {}", path.display(), holder.as_ref().map_or("a server".to_owned(), Holder::to_string))]
    Locked {
        /// Its path.
        path: PathBuf,
        /// Who has it, where that can be told.
        holder: Option<Holder>,
    },
    /// A newer version wrote it.
    #[error("{} was written by a newer version ({found})", path.display())]
    NewerVersion {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// The disk failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Names the path of a failure.
fn at(path: &Path) -> impl FnOnce(io::Error) -> DoctorError {
    let path = path.to_owned();
    move |source| DoctorError::Io { path, source }
}

/// Examines a data directory: reads all of it, writes nothing. `progress` is told of bytes as they are
/// read.
///
/// # Errors
/// See [`DoctorError`]; what is damaged is no error but a finding.
pub fn examine<D: Disk, C: Clock>(
    options: &Options,
    disk: D,
    clock: C,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, DoctorError> {
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let data = options.directory.clone();
    let _lock = take(&*disk, &data)?;
    let start = Overlay::new(Arc::clone(&disk));
    let mut patient = Patient {
        reading: Overlay::new(disk),
        report: Report::new(&data),
        data,
        journal_id: None,
        progress,
    };
    let opened = recovery::open(options.clone(), start.clone(), clock);
    let opened = match opened {
        Ok(opened) => Some(opened),
        Err(OpenError::NewerVersion { path, found }) => {
            return Err(DoctorError::NewerVersion { path, found });
        }
        Err(OpenError::Io { path, source }) if source.kind() != ErrorKind::UnexpectedEof => {
            return Err(DoctorError::Io { path, source });
        }
        Err(error) => {
            let finding = Finding::new(FindingKind::CannotOpen, &patient.data, error.to_string());
            patient
                .report
                .add(finding.fix("restore a backup: fnctl restore"));
            None
        }
    };
    patient.journal(opened.as_ref())?;
    let sound = patient.snapshots()?;
    patient.stand_ins(opened.as_ref(), &sound)?;
    patient.witness()?;
    patient.secret()?;
    patient.names(&start)?;
    if let Some((store, loops)) = &opened {
        patient.image(store, loops, &start)?;
        patient.shards(store)?;
        patient.say_read_only(store);
    }
    patient.artifacts(opened.as_ref().map(|(store, _)| store))?;
    Ok(patient.report.finish())
}

/// Checks that there is a data directory nobody uses, and keeps it so.
fn take(disk: &dyn Disk, data: &Path) -> Result<Option<Box<dyn DirLock>>, DoctorError> {
    let entries = match disk.list(data) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(DoctorError::NoData(data.to_owned()));
        }
        entries => entries.map_err(at(data))?,
    };
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    if !has("journal") && !has("format") {
        return Err(DoctorError::NoData(data.to_owned()));
    }
    let path = data.join("LOCK");
    match disk.lock_to_read(&path) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(DoctorError::Locked {
            path: data.to_owned(),
            holder: disk.holder(&path),
        }),
        // Neither file nor directory can be taken here.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(&path)(error)),
    }
}

/// What is examined and what was found so far.
struct Patient<'a> {
    /// The directory as it is; nothing can be changed through it.
    reading: Overlay,
    data: PathBuf,
    report: Report,
    /// Of the journal, once one of its files was read.
    journal_id: Option<u64>,
    progress: &'a mut dyn FnMut(u64),
}

type Opened = (Store, Loops);

impl Patient<'_> {
    fn add(&mut self, finding: Finding) {
        self.report.add(finding);
    }

    /// Names that a start removes or makes, and names nobody knows.
    fn names(&mut self, start: &Overlay) -> Result<(), DoctorError> {
        let is_leftover = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.ends_with(".tmp") && name != crate::journal::writer::SPARE)
        };
        for path in start.removed_files().into_iter().filter(is_leftover) {
            let words = "left by a write that did not end; a start removes it";
            self.add(Finding::new(FindingKind::Leftover, &path, words));
        }
        for path in start.removed_directories() {
            if path.starts_with(crate::segment::directory(&self.data)) {
                let words = "of a stream that was deleted; a start removes it";
                self.add(Finding::new(FindingKind::Leftover, &path, words));
            }
        }
        for (name, words) in [
            ("format", "the format is not noted; a start notes it"),
            (
                "ballast",
                "the ballast is missing; a start makes it, if there is room",
            ),
        ] {
            let path = self.data.join(name);
            if start.made_file(&path) {
                self.add(Finding::new(FindingKind::MissingFile, &path, words));
            }
        }
        for entry in self.reading.list(&self.data).map_err(at(&self.data))? {
            let name = entry.name.as_str();
            if !recovery::NAMES.contains(&name) {
                let words = "not of fnctl's making; it is left alone";
                let path = self.data.join(name);
                self.add(Finding::new(FindingKind::Unknown, &path, words));
            }
        }
        Ok(())
    }

    /// The server's secret: nothing in it can be checked but its length.
    fn secret(&mut self) -> Result<(), DoctorError> {
        let path = self.data.join(SECRET_FILE);
        let file = self.reading.open_to_read(&path);
        match file.and_then(|file| file.length()) {
            Ok(length) if length == SECRET_BYTES as u64 => {}
            Ok(length) => {
                let words = format!(
                    "it has {length} bytes of {SECRET_BYTES}; a start makes another: {SECRET_LOST}"
                );
                self.add(Finding::new(FindingKind::Secret, &path, words));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let words = format!("the secret is missing; a start makes another: {SECRET_LOST}");
                self.add(Finding::new(FindingKind::Secret, &path, words));
            }
            Err(error) => return Err(at(&path)(error)),
        }
        Ok(())
    }

    /// A start that serves reads alone is said, whatever the reason.
    fn say_read_only(&mut self, store: &Store) {
        let Some(reason) = store.read_only() else {
            return;
        };
        self.report.read_only = Some(reason.to_owned());
        if self.report.worst() < Severity::Damaged {
            let words = format!("a start serves reads alone: {reason}");
            let path = self.data.clone();
            self.add(Finding::new(FindingKind::CannotOpen, &path, words));
        }
    }
}

#[cfg(test)]
mod tests;

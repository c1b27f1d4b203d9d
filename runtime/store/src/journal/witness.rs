//! Remembers the newest journal file beside the journal itself. Without it a newest file that goes would
//! look like a journal that ended in order in front of it, and what was acknowledged there would be
//! missing without a word.
//!
//! It is written once the file has its name for good and before anything in the file is answered: a start
//! and a roll, never a put. One that is missing or damaged witnesses nothing.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::{
    disk::{self, Disk},
    journal::{file_name, listing::JournalFile},
};

const FILE: &str = "newest";
const PREFIX: &str = "fnctl journal reaches file ";

/// Where it lies, in the directory of the journal.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// Says durably that the journal `journal` has the file `number`.
///
/// # Errors
/// The disk failed. A full one fails nothing: the file before stays the newest that is witnessed.
pub(crate) fn write(
    disk: &dyn Disk,
    directory: &Path,
    journal: u64,
    number: u64,
) -> io::Result<()> {
    let path = path(directory);
    match disk::replace(disk, &path, sealed(journal, number).as_bytes()) {
        Err(error) if error.kind() == ErrorKind::StorageFull => {
            tracing::warn!(path = %path.display(), journal_file = number, "no room to witness a new journal file");
            Ok(())
        }
        other => other,
    }
}

/// What was witnessed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Witnessed {
    journal: u64,
    number: u64,
}

impl Witnessed {
    /// The file witnessed, if it lies behind `newest`, the newest one there: it takes the journal's end
    /// with it, however whole the file in front looks.
    pub(crate) fn gone(
        self,
        directory: &Path,
        newest: Option<&JournalFile>,
    ) -> Option<(u64, PathBuf)> {
        let is_gone = newest.is_none_or(|newest| {
            newest.header.journal == self.journal && newest.number < self.number
        });
        is_gone.then(|| (self.number, directory.join(file_name(self.number))))
    }
}

/// Reads what was witnessed, if anything. To be read in front of the list of files: a journal that is
/// being written may have a newer one at any moment.
///
/// # Errors
/// The disk failed.
pub(crate) fn read(disk: &dyn Disk, directory: &Path) -> io::Result<Option<Witnessed>> {
    let path = path(directory);
    let content = match disk::read_all(disk, &path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&content);
    let found = parse(&text).filter(|found| text == sealed(found.journal, found.number));
    if found.is_none() {
        tracing::warn!(path = %path.display(), "damaged: the journal's newest file is not witnessed");
    }
    Ok(found)
}

fn parse(text: &str) -> Option<Witnessed> {
    let (number, rest) = text.strip_prefix(PREFIX)?.split_once(" of ")?;
    let (journal, _) = rest.split_once(',')?;
    Some(Witnessed {
        journal: u64::from_str_radix(journal, 16).ok()?,
        number: number.parse().ok()?,
    })
}

fn sealed(journal: u64, number: u64) -> String {
    let words = format!("{PREFIX}{number} of {journal:016x}");
    let crc = crc32c::crc32c(words.as_bytes());
    format!("{words}, {crc:08x}\n")
}

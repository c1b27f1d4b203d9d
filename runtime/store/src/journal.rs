//! The journal: the truth, and the only thing that is synced on the hot path.
//!
//! A journal is a row of files. Each begins with a header frame and goes on with frames of entries,
//! one write and one sync a frame; a file that was ended in order has a footer. Which file supersedes
//! which, what is torn and what is corrupt is said in commit and storage rules §5.

pub(crate) mod below;
pub(crate) mod check;
pub(crate) mod frame;
pub(crate) mod listing;
pub(crate) mod scan;
pub(crate) mod witness;
pub(crate) mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

/// The directory of the journal and its snapshots below a data directory.
pub(crate) fn directory(data: &Path) -> PathBuf {
    data.join("journal")
}

/// The name of journal file `number`.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:020}.journal")
}

/// The number in a journal file's name.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".journal")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

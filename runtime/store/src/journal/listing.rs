//! The files of a journal: opened, their headers read, and what is known to be missing among them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    codec::{Decoder, Value},
    disk::{Disk, DiskFile},
    journal::{
        frame::{FrameHeader, FrameKind, REQUIRED_KNOWN},
        parse_file_name,
        scan::{ChunkReader, ScanError},
        witness,
        writer::Life,
    },
    limits::DIRECT_BLOCK_BYTES,
};

/// One file of the journal with a sound header.
#[derive(Clone, Debug)]
pub(crate) struct JournalFile {
    pub(crate) path: PathBuf,
    pub(crate) number: u64,
    pub(crate) header: FrameHeader,
    pub(crate) life: Life,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) length: u64,
    /// Bytes that it was made with; earlier versions did not say. Until it is superseded it is no shorter.
    pub(crate) allocated: Option<u64>,
}

/// The files of a journal, by number.
#[derive(Debug, Default)]
pub(crate) struct JournalListing {
    pub(crate) files: Vec<JournalFile>,
    /// Those that are missing or whose header is damaged: what they held is missing, if it is needed.
    pub(crate) damaged: Vec<(u64, PathBuf)>,
}

/// Opens the files of a journal.
///
/// # Errors
/// A file that cannot be read, is of another journal or of a newer version.
pub(crate) fn files(disk: &dyn Disk, directory: &Path) -> Result<JournalListing, ScanError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ScanError::Io { path, source }
    };
    let witnessed = witness::read(disk, directory).map_err(io(directory))?;
    let mut listing = JournalListing::default();
    let files = &mut listing.files;
    for entry in disk.list(directory).map_err(io(directory))? {
        let Some(number) = parse_file_name(&entry.name) else {
            continue;
        };
        let path = directory.join(&entry.name);
        let file = disk.open_log(&path).map_err(io(&path))?;
        let length = file.length().map_err(io(&path))?;
        let mut reader = ChunkReader::of_pieces(Arc::clone(&file), length, DIRECT_BLOCK_BYTES);
        let found = match reader.frame(0).map_err(io(&path))? {
            Ok((header, payload)) if header.kind == FrameKind::FileHeader => {
                let mut payload = Decoder::new(payload);
                let life = Life::take(&mut payload).ok();
                life.map(|life| (header, life, u64::take(&mut payload).ok()))
            }
            _ => None,
        };
        let Some((header, life, allocated)) = found else {
            tracing::error!(path = %path.display(), "a journal file's header is damaged");
            listing.damaged.push((number, path));
            continue;
        };
        if header.required & !REQUIRED_KNOWN != 0 {
            let required = header.required;
            return Err(ScanError::NewerVersion { path, required });
        }
        if header.file != number || files.iter().any(|f| f.header.journal != header.journal) {
            return Err(ScanError::OtherJournal { path });
        }
        files.push(JournalFile {
            path,
            number,
            header,
            life,
            file,
            length,
            allocated,
        });
    }
    files.sort_by_key(|file| file.number);
    let gone = witnessed.and_then(|witnessed| witnessed.gone(directory, files.last()));
    let gone = gone.filter(|gone| !listing.damaged.contains(gone));
    listing.damaged.extend(gone);
    listing.damaged.sort();
    Ok(listing)
}

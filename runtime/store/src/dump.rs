//! Journal, segments and image in readable form, for support: entry by entry, frame by frame, with what
//! is damaged shown as such and the dump going on behind it. Reads alone, and decides nothing.

mod describe;
mod journal;
mod segments;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::describe::{Field, Payloads};
use fnctl_core::id::{ShardNumber, StreamId};

use crate::{
    codec::{self, Decoder, Value as _},
    cut::{CUT_KEY, CutValue},
    disk::Disk,
    image::{Image as _, ImageError, chunks::ChunkedImage, memory::MemoryImage},
    recovery,
    segment::{self, SEGMENT_SPACE},
};

/// What is dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Entries of the journal.
    Journal,
    /// Frames of segments.
    Segments,
    /// Values of the image.
    Image,
}

/// What to dump of it, and how much of payloads.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which part.
    pub part: Part,
    /// Of this stream alone.
    pub stream: Option<StreamId>,
    /// Of this shard alone.
    pub shard: Option<ShardNumber>,
    /// From this entry (journal) or record (segments) on.
    pub from: u64,
    /// Whether keys and payloads are shown, or their length and hash alone.
    pub payloads: Payloads,
}

/// One line of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is of: `file`, `frame`, `append`, `commit`, `records`, `damaged` …
    pub kind: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Where in the file.
    pub offset: Option<u64>,
    /// What is in it, by name, in this order.
    pub fields: Vec<(&'static str, Field)>,
}

impl Line {
    pub(super) fn new(kind: &'static str, file: &Path, offset: impl Into<Option<u64>>) -> Self {
        Self {
            kind,
            file: file.to_owned(),
            offset: offset.into(),
            fields: Vec::new(),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Field>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// Why a dump ended early.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// There is no such directory, or nothing of ours in it.
    #[error("{} is no data directory", .0.display())]
    NoData(PathBuf),
    /// There is no image, or it cannot be read.
    #[error("the image cannot be read: {0}")]
    Image(String),
    /// The disk failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever read it takes no more.
    #[error("nobody reads the dump any more")]
    Gone,
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> DumpError {
    let path = path.to_owned();
    move |source| DumpError::Io { path, source }
}

/// Takes the lines; an error ends the dump.
pub type Lines<'a> = dyn FnMut(Line) -> Result<(), DumpError> + 'a;

/// Dumps a data directory. A server may use it: what it writes meanwhile may show as damaged.
///
/// # Errors
/// See [`DumpError`]; what is damaged is no error but a line.
pub fn dump(
    disk: &Arc<dyn Disk>,
    data: &Path,
    wanted: &Wanted,
    lines: &mut Lines<'_>,
) -> Result<(), DumpError> {
    let has_journal = disk.list(&crate::journal::directory(data)).is_ok();
    if !has_journal {
        return Err(DumpError::NoData(data.to_owned()));
    }
    match wanted.part {
        Part::Journal => journal::dump(&**disk, data, wanted, lines),
        Part::Segments => segments::dump(&**disk, data, wanted, lines),
        Part::Image => image(&**disk, data, wanted, lines),
    }
}

fn image(
    disk: &dyn Disk,
    data: &Path,
    wanted: &Wanted,
    lines: &mut Lines<'_>,
) -> Result<(), DumpError> {
    let path = recovery::image_directory(data);
    let words = |error: ImageError| DumpError::Image(error.to_string());
    let stored = disk.read_image(&path).map_err(words)?;
    let mut image = MemoryImage::default();
    let batch = stored.into_iter().map(|(key, value)| (key, Some(value)));
    image.apply(batch.collect()).map_err(words)?;
    let values = ChunkedImage::new(Box::new(image)).load().map_err(words)?;
    for (key, value) in values {
        let value = bytes::Bytes::from(value);
        let line = Line::new("value", &path, None);
        let line = if key == CUT_KEY {
            CutValue::take(&mut Decoder::new(value)).map(|cut| {
                Line::new("cut", &path, None)
                    .with("next_lsn", Field::Id(cut.next.0))
                    .with("life", cut.life)
            })
        } else if key.first() == Some(&SEGMENT_SPACE) {
            segment::decode_key(&key).and_then(|shard| {
                let meta = segment::decode_meta(value)?;
                Ok(describe::segment(
                    Line::new("segment", &path, None),
                    shard,
                    &meta,
                ))
            })
        } else {
            codec::decode_key(key.into()).and_then(|key| {
                let value = codec::decode_value(value)?;
                Ok(describe::value(line, &key, &value))
            })
        };
        let line = line.unwrap_or_else(|error| {
            Line::new("damaged", &path, None).with("what", error.to_string())
        });
        if describe::is_of(&line, wanted) {
            lines(line)?;
        }
    }
    Ok(())
}

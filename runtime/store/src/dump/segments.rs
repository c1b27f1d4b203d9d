//! Every frame of every segment file, to the end of the file: also what lies behind the length that is
//! recorded of it.

use std::path::Path;

use fnctl_core::id::{ShardNumber, StreamId};

use super::{DumpError, Line, Lines, Wanted, at, describe};
use crate::{
    disk::Disk,
    segment::{
        self,
        frame::FrameKind,
        walk::{Found, Walk},
    },
};

pub(super) fn dump(
    disk: &dyn Disk,
    data: &Path,
    wanted: &Wanted,
    lines: &mut Lines<'_>,
) -> Result<(), DumpError> {
    let root = segment::directory(data);
    for stream in numbers(disk, &root)? {
        if wanted.stream.is_some_and(|wanted| wanted.0 != stream) {
            continue;
        }
        let stream = StreamId(stream);
        for shard in numbers(disk, &segment::stream_directory(data, stream))? {
            let shard = ShardNumber(u32::try_from(shard).unwrap_or(u32::MAX));
            if wanted.shard.is_some_and(|wanted| wanted != shard) {
                continue;
            }
            let directory = segment::shard_directory(data, (stream, shard));
            for entry in disk.list(&directory).map_err(at(&directory))? {
                if segment::parse_file_name(&entry.name).is_some() {
                    file(disk, &directory.join(&entry.name), wanted, lines)?;
                }
            }
        }
    }
    Ok(())
}

/// Directories that are named by a number, by that number.
fn numbers(disk: &dyn Disk, directory: &Path) -> Result<Vec<u64>, DumpError> {
    let entries = disk.list(directory).map_err(at(directory))?;
    let numbers = entries.iter().filter(|entry| entry.is_dir);
    let mut numbers: Vec<u64> = numbers
        .filter_map(|entry| entry.name.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn file(
    disk: &dyn Disk,
    path: &Path,
    wanted: &Wanted,
    lines: &mut Lines<'_>,
) -> Result<(), DumpError> {
    let file = disk.open_to_read(path).map_err(at(path))?;
    let length = file.length().map_err(at(path))?;
    let mut walk = Walk::of_unknown(file, length);
    while let Some(walked) = walk.next().map_err(at(path))? {
        let line = |kind| Line::new(kind, path, walked.offset).with("bytes", walked.length);
        match walked.found {
            Found::Frame(header, bytes) if header.kind == FrameKind::Records => {
                if header.next().0 <= wanted.from {
                    continue;
                }
                lines(describe::frame(line("records"), &header))?;
                match header.decode(&bytes) {
                    Ok(block) => {
                        for index in 0..block.len() {
                            if block.ordinal(index).0 >= wanted.from {
                                let line = Line::new("record", path, walked.offset);
                                lines(describe::record(line, &block, index, wanted.payloads))?;
                            }
                        }
                    }
                    Err(error) => lines(line("damaged").with("what", error.to_string()))?,
                }
            }
            Found::Frame(header, _) => {
                let kind = if header.kind == FrameKind::Header {
                    "file"
                } else {
                    "footer"
                };
                lines(describe::frame(line(kind), &header))?;
            }
            Found::Trailer => {}
            Found::Foreign => {
                lines(line("damaged").with("what", "a frame of another segment"))?;
            }
            Found::Damaged => {
                lines(line("damaged").with("what", "bytes that are no whole frame"))?;
            }
        }
    }
    Ok(())
}

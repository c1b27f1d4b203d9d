use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use fnctl_core::id::Lsn;

use super::{
    below::{Below, Looked},
    file_name,
    frame::HEADER_BYTES,
    listing,
    scan::{self, ChunkReader, Place, Replay},
    writer::{FrameClocks, JournalEnd, JournalFiles, JournalWriter},
};
use crate::disk::{Disk, real::RealDisk};

/// Where a new journal begins.
fn beginning() -> JournalEnd {
    JournalEnd {
        journal: 1,
        number: 1,
        next: Lsn(1),
        previous: 0,
        base: Lsn(1),
        rewrite: None,
    }
}

#[test]
fn a_spare_is_never_made_in_place_of_the_file_being_written() {
    const FILE_BYTES: u64 = 4 << 10;
    const FRAMES: u64 = 100;
    let directory = tempfile::tempdir().unwrap();
    let files = Arc::new(JournalFiles::new(Vec::new(), FILE_BYTES));
    let clocks = FrameClocks::default();
    let path = directory.path().to_owned();
    let mut writer = JournalWriter::start(
        Arc::new(RealDisk),
        path,
        Arc::clone(&files),
        beginning(),
        clocks,
    )
    .unwrap();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                files.prepare(&RealDisk, directory.path()).unwrap();
            }
        });
        // Every frame fills a file, so every one but the first rolls.
        for _ in 0..FRAMES {
            let mut buffer = vec![7; HEADER_BYTES + 3 * FILE_BYTES as usize / 4];
            writer.write_entries(&mut buffer, 1, clocks).unwrap();
            writer.sync().unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    for number in 1..=FRAMES {
        let file = fs::read(directory.path().join(file_name(number))).unwrap();
        assert!(
            file[HEADER_BYTES..].contains(&7),
            "file {number} lost its frame"
        );
    }
}

/// Ten frames of one entry each; answers where they begin.
fn ten_frames(directory: &Path) -> Vec<Place> {
    let files = Arc::new(JournalFiles::new(Vec::new(), 1 << 20));
    let clocks = FrameClocks::default();
    let path = directory.to_owned();
    let mut writer =
        JournalWriter::start(Arc::new(RealDisk), path, files, beginning(), clocks).unwrap();
    (0..10)
        .map(|number| {
            let mut buffer = vec![number; HEADER_BYTES + 5_000];
            let place = writer.write_entries(&mut buffer, 1, clocks).unwrap();
            writer.sync().unwrap();
            place
        })
        .collect()
}

/// LSNs of the frames that a replay visits, and what it found.
fn replayed(directory: &Path, from: u64, place: Option<Place>) -> (Vec<u64>, Replay) {
    let files = listing::files(&RealDisk, directory).unwrap().files;
    let mut visited = Vec::new();
    let replay = scan::replay(&files, Lsn(from), place, &mut |header, _| {
        visited.push(header.first.0);
        Ok(())
    });
    (visited, replay.unwrap().unwrap())
}

#[test]
fn frames_below_the_cut_are_looked_at_after_the_start_and_not_by_it() {
    let directory = tempfile::tempdir().unwrap();
    let places = ten_frames(directory.path());
    let (visited, replay) = replayed(directory.path(), 8, Some(places[6]));
    assert_eq!(visited, [8, 9, 10]);
    let mut below = Below::new(replay.unread.expect("six frames were not read"));
    assert_eq!(below.look(1), Looked::Some);
    assert_eq!(below.look(u64::MAX), Looked::Sound);

    // One bit of the third frame.
    let path = directory.path().join(file_name(1));
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(places[2].offset).unwrap() + HEADER_BYTES + 100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (visited, replay) = replayed(directory.path(), 8, Some(places[6]));
    assert_eq!((visited, replay.holes.len()), (vec![8, 9, 10], 0));
    let mut below = Below::new(replay.unread.expect("six frames were not read"));
    assert_eq!(
        below.look(u64::MAX),
        Looked::Damaged(path, places[2].offset)
    );
    let (visited, replay) = replayed(directory.path(), 8, None);
    assert_eq!((visited, replay.holes.len()), (vec![8, 9, 10], 1));
}

#[test]
fn a_place_is_a_hint_alone() {
    let directory = tempfile::tempdir().unwrap();
    let places = ten_frames(directory.path());
    let elsewhere = [
        places[5],
        places[7],
        Place {
            offset: places[6].offset + 8,
            ..places[6]
        },
        Place {
            offset: u64::MAX,
            ..places[6]
        },
        Place {
            file: 2,
            ..places[6]
        },
    ];
    for place in elsewhere {
        let (visited, replay) = replayed(directory.path(), 8, Some(place));
        assert_eq!(visited, [8, 9, 10]);
        assert!(replay.unread.is_none(), "{place:?}");
    }
}

#[test]
fn what_lies_across_two_pieces_is_put_together() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let content: Vec<u8> = (0..50_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(&path, &content).unwrap();
    let length = content.len() as u64;
    for piece in [1, 100, 4_096, 7_000, 1 << 20] {
        let file = RealDisk.open_log(&path).unwrap();
        let mut reader = ChunkReader::of_pieces(file, length, piece);
        let mut offset = 0;
        for size in (1..).step_by(137) {
            let Some(bytes) = reader.get(offset, size).unwrap() else {
                assert!(offset + size as u64 > length);
                break;
            };
            let at = usize::try_from(offset).unwrap();
            assert_eq!(bytes, content[at..at + size], "{size} bytes at {at}");
            offset += size as u64;
        }
    }
}

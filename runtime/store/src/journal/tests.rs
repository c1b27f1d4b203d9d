use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use fnctl_core::id::Lsn;

use super::{
    file_name,
    frame::HEADER_BYTES,
    writer::{FrameClocks, JournalEnd, JournalFiles, JournalWriter},
};
use crate::disk::real::RealDisk;

#[test]
fn a_spare_is_never_made_in_place_of_the_file_being_written() {
    const FILE_BYTES: u64 = 4 << 10;
    const FRAMES: u64 = 100;
    let directory = tempfile::tempdir().unwrap();
    let files = Arc::new(JournalFiles::new(Vec::new(), FILE_BYTES));
    let end = JournalEnd {
        journal: 1,
        number: 1,
        next: Lsn(1),
        previous: 0,
        base: Lsn(1),
        rewrite: None,
    };
    let clocks = FrameClocks::default();
    let path = directory.path().to_owned();
    let mut writer =
        JournalWriter::start(Arc::new(RealDisk), path, Arc::clone(&files), end, clocks).unwrap();
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

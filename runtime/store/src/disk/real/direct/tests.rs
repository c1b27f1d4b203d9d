use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use proptest::prelude::*;

use crate::disk::{Disk, DiskFile, read_exact, real::RealDisk};

fn content(file: &dyn DiskFile, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    read_exact(file, &mut bytes, 0).unwrap();
    bytes
}

fn made(path: &Path) -> Arc<dyn DiskFile> {
    RealDisk.create_log(path).unwrap()
}

#[derive(Clone, Debug)]
enum Act {
    Append(usize),
    /// Writes again from some way before the end, as after a write that failed.
    Again(usize),
    Truncate(usize),
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let size = prop_oneof![0..200_usize, 4_000..4_200_usize, 0..3_000_000_usize];
    prop_oneof![
        4 => size.prop_map(Act::Append),
        1 => (0..9_000_usize).prop_map(Act::Again),
        1 => (0..9_000_usize).prop_map(Act::Truncate),
        1 => Just(Act::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_is_appended_is_read_back(acts in prop::collection::vec(act(), 1..12)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = made(&path);
        let mut expected: Vec<u8> = Vec::new();
        for (number, act) in acts.into_iter().enumerate() {
            let mut append = |file: &dyn DiskFile, size: usize| {
                let bytes: Vec<u8> = (0..size).map(|at| (at * 7 + number + 1) as u8).collect();
                file.write_at(&bytes, expected.len() as u64).unwrap();
                expected.extend(bytes);
            };
            match act {
                Act::Append(size) => append(&*file, size),
                Act::Again(size) => {
                    let from = expected.len().saturating_sub(size);
                    expected.truncate(from);
                    let bytes = vec![9; size + 3];
                    file.write_at(&bytes, from as u64).unwrap();
                    expected.extend(bytes);
                }
                Act::Truncate(size) => {
                    expected.truncate(expected.len().saturating_sub(size));
                    file.truncate(expected.len() as u64).unwrap();
                }
                Act::Reopen => {
                    file.sync().unwrap();
                    file = RealDisk.open_log(&path).unwrap();
                }
            }
            prop_assert!(content(&*file, expected.len()) == expected);
            for (start, length) in [(0, 10), (1, 5_000), (4_095, 2), (8_192, 70_000)] {
                let end = (start + length).min(expected.len());
                if start < end {
                    let piece = file.read_piece(length, start as u64).unwrap();
                    prop_assert!(piece.starts_with(&expected[start..end]));
                    prop_assert!(piece.len() <= length);
                }
            }
        }
        // Nothing but zeros up to the end of the last block, and not even those once it is synced.
        let whole = fs::read(&path).unwrap();
        prop_assert!(whole.len() < expected.len() + 4_096);
        prop_assert!(whole[expected.len()..].iter().all(|&byte| byte == 0));
        file.sync().unwrap();
        prop_assert!(fs::read(&path).unwrap() == expected);
    }
}

/// A descriptor for direct writes is made when it is first needed: by then the name may be another file's.
#[test]
fn a_file_whose_name_was_taken_by_another_is_written_and_the_other_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("log"), folder.path().join("moved"));
    let file = made(&path);
    file.write_at(b"short", 0).unwrap();
    fs::rename(&path, &moved).unwrap();
    fs::write(&path, b"another").unwrap();
    let long = vec![7; 200_000];
    file.write_at(&long, 5).unwrap();
    file.sync().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"another");
    assert_eq!(fs::read(&moved).unwrap(), [b"short", &long[..]].concat());
    assert_eq!(
        file.read_piece(200_005, 0).unwrap(),
        fs::read(&moved).unwrap()
    );
}

/// A file system may take direct writes and then refuse one: what goes through the page cache from there on is
/// not cut off as if it were padding.
#[test]
fn what_is_written_after_a_refusal_is_kept_by_the_next_sync() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let file = super::open(&path, true).unwrap();
    let long = vec![7; 200_001];
    file.write_at(&long, 0).unwrap();
    file.is_refused.store(true, Ordering::Relaxed);
    file.write_at(&long, 200_001).unwrap();
    file.sync().unwrap();
    assert_eq!(fs::read(&path).unwrap(), [&long[..], &long[..]].concat());
}

#[test]
fn an_allocated_file_keeps_its_length_and_reads_as_zeros_behind_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = made(&folder.path().join("log"));
    file.allocate(64 << 10).unwrap();
    file.write_at(b"one", 0).unwrap();
    file.write_at(b"two", 3).unwrap();
    assert_eq!(file.length().unwrap(), 64 << 10);
    let whole = content(&*file, 64 << 10);
    assert_eq!(&whole[..6], b"onetwo");
    assert!(whole[6..].iter().all(|&byte| byte == 0));
}

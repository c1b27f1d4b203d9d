//! What sled 0.34.7 is not trusted with, each rule a test. That every batch is synced by us before it
//! counts (rule 1) is seen call by call in `tests/faults`; that any failed write or sync stops the node
//! (rule 10) in `tests/schedules/engines.rs`; the ballast (rule 9) in `tests/schedules/room.rs`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    image::{
        Image as _, ImageError,
        sled::{SledImage, config, sync_blobs, wait_for_lock},
    },
    limits::{IMAGE_CACHE_BYTES, IMAGE_VALUE_BYTES_MAX},
};

fn snapshot_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("snap.")
        })
        .collect()
}

/// An image of one value, closed.
fn store_one(directory: &Path) {
    let mut image = SledImage::open(directory).unwrap();
    image
        .apply(vec![(b"k".to_vec(), Some(b"v".to_vec()))])
        .unwrap();
}

#[test]
fn sled_opens_past_a_snapshot_that_a_crash_left_half_written() {
    let directory = tempfile::tempdir().unwrap();
    store_one(directory.path());
    let half = directory.path().join("snap.00000000FFFFFFFF.generating");
    fs::write(&half, b"half").unwrap();
    let mut image = SledImage::open(directory.path()).unwrap();
    assert_eq!(image.load().unwrap(), [(b"k".to_vec(), b"v".to_vec())]);
    assert!(!half.exists());
}

#[test]
fn sled_opens_without_its_snapshots_when_they_are_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    store_one(directory.path());
    for path in snapshot_files(directory.path()) {
        fs::write(path, b"not a snapshot").unwrap();
    }
    let mut image = SledImage::open(directory.path()).unwrap();
    assert_eq!(image.load().unwrap(), [(b"k".to_vec(), b"v".to_vec())]);
}

#[test]
fn what_sled_was_given_is_in_its_file_when_apply_returns() {
    // A copy of the files taken while the database is open is what a crash would leave at worst.
    let directory = tempfile::tempdir().unwrap();
    let mut image = SledImage::open(directory.path()).unwrap();
    for round in 0..10_u8 {
        let batch = (0..50_u8)
            .map(|key| (vec![key], Some(vec![round; 2_000])))
            .collect();
        image.apply(batch).unwrap();
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(directory.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        let mut copied = SledImage::open(copy.path()).unwrap();
        assert_eq!(
            copied.load().unwrap(),
            image.load().unwrap(),
            "round {round}"
        );
    }
    assert!(
        fs::read_dir(directory.path().join("blobs")).map_or(0, Iterator::count) == 0,
        "short values make no blobs"
    );
}

/// Rule 2: only what sled itself calls corrupt costs it its snapshots, never a disk that fails.
#[test]
fn sled_keeps_its_snapshots_when_it_is_the_disk_that_fails() {
    let directory = tempfile::tempdir().unwrap();
    store_one(directory.path());
    // Opening it makes a snapshot; opening it again waits until the last one has let go of its file.
    drop(SledImage::open(directory.path()).unwrap());
    drop(SledImage::open(directory.path()).unwrap());
    wait_for_lock(&directory.path().join("db")).unwrap();
    let snapshots = snapshot_files(directory.path());
    assert!(!snapshots.is_empty(), "there is one to keep");
    let db = directory.path().join("db");
    let content = fs::read(&db).unwrap();
    fs::remove_file(&db).unwrap();
    fs::create_dir(&db).unwrap();
    assert!(matches!(
        SledImage::open(directory.path()),
        Err(ImageError::Io(_))
    ));
    assert_eq!(snapshot_files(directory.path()), snapshots);
    fs::remove_dir(&db).unwrap();
    fs::write(&db, content).unwrap();
    let mut image = SledImage::open(directory.path()).unwrap();
    assert_eq!(image.load().unwrap(), [(b"k".to_vec(), b"v".to_vec())]);
}

/// Rules 3 and 6: sled's own flusher, which swallows errors, is off, and its cache is bounded.
#[test]
fn sled_flushes_when_it_is_told_and_keeps_little_in_memory() {
    let config = config(Path::new("unused"));
    assert_eq!(config.flush_every_ms, None);
    assert_eq!(config.cache_capacity, IMAGE_CACHE_BYTES);
    const { assert!(IMAGE_CACHE_BYTES <= 64 << 20) };
}

/// Rule 4: nothing is flushed inside a transaction's closure, because there is no transaction; a batch is
/// sled's atomic unit.
#[test]
fn sled_is_given_batches_and_no_transactions() {
    let source = include_str!("../sled.rs");
    assert!(source.contains("apply_batch") && !source.contains("transaction"));
}

/// Rule 5: a long value would go to a file that sled never syncs, so it is never given one.
#[test]
#[should_panic(expected = "image values are chunked")]
fn sled_is_not_given_a_long_value() {
    let directory = tempfile::tempdir().unwrap();
    let mut image = SledImage::open(directory.path()).unwrap();
    let long = vec![0; IMAGE_VALUE_BYTES_MAX + 1];
    let _refused = image.apply(vec![(b"k".to_vec(), Some(long))]);
}

/// … and should a blob file appear all the same, it is synced and told.
#[test]
fn a_blob_file_of_sled_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    assert!(!sync_blobs(directory.path()).unwrap());
    let blobs = directory.path().join("blobs");
    fs::create_dir(&blobs).unwrap();
    assert!(!sync_blobs(directory.path()).unwrap());
    fs::write(blobs.join("1"), b"long").unwrap();
    assert!(sync_blobs(directory.path()).unwrap());
}

/// Rule 8: exactly the version whose faults are known, without the feature that has the same missing
/// flush.
#[test]
fn sled_is_pinned_and_does_without_io_uring() {
    let manifest = include_str!("../../../../../Cargo.toml");
    assert!(manifest.contains("sled = \"=0.34.7\"\n"));
    let lock = include_str!("../../../../../Cargo.lock");
    assert_eq!(
        lock.matches("name = \"sled\"\nversion = \"0.34.7\"")
            .count(),
        1
    );
    assert_eq!(lock.matches("name = \"sled\"").count(), 1);
    assert!(!lock.contains("rio\""), "the crate behind its io_uring");
}

#[test]
fn a_flipped_bit_that_sled_panics_at_is_damage_like_any_other() {
    let whole = tempfile::tempdir().unwrap();
    {
        let mut image = SledImage::open(whole.path()).unwrap();
        for round in 0..8_u8 {
            let key = |at: u8| vec![round, at];
            let batch = (0..100).map(|at| (key(at), Some(vec![at; 2_500])));
            image.apply(batch.collect()).unwrap();
        }
    }
    let db = fs::read(whole.path().join("db")).unwrap();
    let mut panicked = 0;
    for at in (0..32).chain((32..db.len()).step_by(db.len() / 64)) {
        let directory = tempfile::tempdir().unwrap();
        fs::copy(whole.path().join("conf"), directory.path().join("conf")).unwrap();
        let mut flipped = db.clone();
        flipped[at] ^= 4;
        fs::write(directory.path().join("db"), flipped).unwrap();
        let loaded = SledImage::open(directory.path()).and_then(|mut image| image.load());
        if let Err(ImageError::Damaged(words)) = loaded {
            panicked += u32::from(words.contains("panicked"));
        }
    }
    assert!(panicked > 0, "no flip of a bit makes sled panic any more");
}

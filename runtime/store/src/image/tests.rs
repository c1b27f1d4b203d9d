use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    Image, ImageBatch, ImageError, ImageValue, chunks::ChunkedImage, memory::MemoryImage,
    sled::SledImage,
};
use crate::limits::IMAGE_VALUE_BYTES_MAX;

/// What every engine must do: opened again it holds what was applied, whole.
fn conforms(mut open: impl FnMut() -> Box<dyn Image>) {
    let mut image = ChunkedImage::new(open());
    assert_eq!(image.load().unwrap(), Vec::<ImageValue>::new());
    let mut expected: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for round in 0..20_u8 {
        let mut batch: ImageBatch = Vec::new();
        for key in 0..10_u8 {
            let size = usize::from(key) * usize::from(round) * 150;
            batch.push((vec![b'k', key], Some(vec![round; size])));
        }
        batch.push((vec![b'k', round % 10], None));
        for (key, value) in batch.clone() {
            match value {
                Some(value) => expected.insert(key, value),
                None => expected.remove(&key),
            };
        }
        image.apply(batch).unwrap();
        if round % 5 == 4 {
            drop(image);
            image = ChunkedImage::new(open());
        }
        let found: BTreeMap<_, _> = image.load().unwrap().into_iter().collect();
        assert_eq!(found, expected, "round {round}");
    }
}

#[test]
fn the_memory_image_conforms() {
    let image = MemoryImage::default();
    conforms(|| Box::new(image.clone()));
}

#[test]
fn the_sled_image_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conforms(|| Box::new(SledImage::open(directory.path()).unwrap()));
}

#[test]
fn a_missing_or_damaged_chunk_is_noticed() {
    let engine = MemoryImage::default();
    let mut image = ChunkedImage::new(Box::new(engine.clone()));
    let long = vec![7; IMAGE_VALUE_BYTES_MAX * 3];
    image
        .apply(vec![(b"long".to_vec(), Some(long.clone()))])
        .unwrap();
    let chunks = engine.clone().load().unwrap();
    assert!(chunks.len() > 3 && chunks.iter().all(|(_, v)| v.len() <= IMAGE_VALUE_BYTES_MAX));
    for (key, value) in chunks {
        engine.clone().apply(vec![(key.clone(), None)]).unwrap();
        assert!(matches!(image.load(), Err(ImageError::Damaged(_))));
        let mut flipped = value.clone();
        flipped[20] ^= 4;
        engine
            .clone()
            .apply(vec![(key.clone(), Some(flipped))])
            .unwrap();
        assert!(matches!(image.load(), Err(ImageError::Damaged(_))));
        engine.clone().apply(vec![(key, Some(value))]).unwrap();
    }
    assert_eq!(image.load().unwrap(), vec![(b"long".to_vec(), long)]);
}

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

#[test]
fn sled_opens_past_a_snapshot_that_a_crash_left_half_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut image = SledImage::open(directory.path()).unwrap();
    image
        .apply(vec![(b"k".to_vec(), Some(b"v".to_vec()))])
        .unwrap();
    drop(image);
    let half = directory.path().join("snap.00000000FFFFFFFF.generating");
    fs::write(&half, b"half").unwrap();
    let mut image = SledImage::open(directory.path()).unwrap();
    assert_eq!(image.load().unwrap(), [(b"k".to_vec(), b"v".to_vec())]);
    assert!(!half.exists());
}

#[test]
fn sled_opens_without_its_snapshots_when_they_are_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let mut image = SledImage::open(directory.path()).unwrap();
    image
        .apply(vec![(b"k".to_vec(), Some(b"v".to_vec()))])
        .unwrap();
    drop(image);
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

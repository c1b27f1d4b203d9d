//! What every engine must do while nothing fails: opened again it holds what was applied, whole.

use std::{collections::BTreeMap, path::Path};

use crate::{
    disk::{Disk as _, simulated::SimDisk},
    image::{ImageBatch, ImageValue, chunks::ChunkedImage},
    limits::IMAGE_VALUE_BYTES_MAX,
    testing::engines::Kind,
};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn open(disk: &SimDisk) -> ChunkedImage {
    ChunkedImage::new(disk.open_image(Path::new("/data/image")).expect("it opens"))
}

pub(super) fn load(image: &mut ChunkedImage) -> Map {
    image.load().expect("it is whole").into_iter().collect()
}

pub(super) fn apply_to(map: &mut Map, batch: &ImageBatch) {
    for (key, value) in batch.clone() {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}

/// Runs a case over each engine, named when it fails.
fn each(case: impl Fn(&SimDisk)) {
    for kind in Kind::ALL {
        eprintln!("engine {kind:?}");
        case(&kind.disk(1));
    }
}

#[test]
fn a_new_image_is_empty() {
    each(|disk| {
        assert_eq!(open(disk).load().unwrap(), Vec::<ImageValue>::new());
        assert_eq!(open(disk).load().unwrap(), Vec::<ImageValue>::new());
    });
}

#[test]
fn what_was_applied_is_read_back_at_once_and_after_a_reopening() {
    each(|disk| {
        let mut image = open(disk);
        let mut expected = Map::new();
        for round in 0..20_u8 {
            let mut batch: ImageBatch = Vec::new();
            for key in 0..10_u8 {
                let size = usize::from(key) * usize::from(round) * 150;
                batch.push((vec![b'k', key], Some(vec![round; size])));
            }
            batch.push((vec![b'k', round % 10], None));
            apply_to(&mut expected, &batch);
            image.apply(batch).unwrap();
            if round % 5 == 4 {
                drop(image);
                image = open(disk);
            }
            assert_eq!(load(&mut image), expected, "round {round}");
        }
    });
}

#[test]
fn values_of_every_length_around_a_chunk_survive() {
    each(|disk| {
        let mut image = open(disk);
        for length in [0, 1, IMAGE_VALUE_BYTES_MAX, 5 * IMAGE_VALUE_BYTES_MAX] {
            for length in length.saturating_sub(9)..length + 3 {
                image
                    .apply(vec![(b"v".to_vec(), Some(vec![7; length]))])
                    .unwrap();
                assert_eq!(load(&mut image)[&b"v"[..]], vec![7; length]);
            }
        }
        let expected = load(&mut image);
        drop(image);
        assert_eq!(load(&mut open(disk)), expected);
    });
}

#[test]
fn the_last_of_two_changes_of_a_key_counts_and_a_batch_may_be_empty() {
    each(|disk| {
        let mut image = open(disk);
        let (k, long) = (b"k".to_vec(), vec![1; 3 * IMAGE_VALUE_BYTES_MAX]);
        image
            .apply(vec![
                (k.clone(), Some(long.clone())),
                (k.clone(), Some(b"short".to_vec())),
                (b"gone".to_vec(), Some(long)),
                (b"gone".to_vec(), None),
                (b"never".to_vec(), None),
            ])
            .unwrap();
        image.apply(Vec::new()).unwrap();
        drop(image);
        assert_eq!(load(&mut open(disk)), Map::from([(k, b"short".to_vec())]));
    });
}

#[test]
fn values_come_back_by_key_and_keys_may_hold_anything() {
    each(|disk| {
        let mut image = open(disk);
        let keys: Vec<Vec<u8>> = vec![vec![], vec![0], vec![0, 0], vec![1], vec![255; 40]];
        let batch = keys.iter().rev().map(|key| (key.clone(), Some(vec![1])));
        image.apply(batch.collect()).unwrap();
        drop(image);
        let found = open(disk).load().unwrap();
        assert_eq!(
            found.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
            keys
        );
    });
}

#[test]
fn an_image_that_was_removed_begins_anew() {
    each(|disk| {
        let mut image = open(disk);
        image
            .apply(vec![(b"k".to_vec(), Some(b"v".to_vec()))])
            .unwrap();
        drop(image);
        disk.remove_dir(Path::new("/data/image")).unwrap();
        let mut image = open(disk);
        assert_eq!(load(&mut image), Map::new());
        image
            .apply(vec![(b"l".to_vec(), Some(b"w".to_vec()))])
            .unwrap();
        drop(image);
        disk.lose_unsynced();
        let expected = Map::from([(b"l".to_vec(), b"w".to_vec())]);
        assert_eq!(load(&mut open(disk)), expected);
    });
}

#[test]
fn a_thousand_batches_of_a_thousand_keys_do_not_bloat_it() {
    each(|disk| {
        let mut image = open(disk);
        let mut bytes = 0;
        for round in 0..200_u32 {
            let batch: ImageBatch = (0..1_000_u32)
                .map(|key| (key.to_be_bytes().to_vec(), Some(vec![round as u8; 64])))
                .collect();
            bytes = batch.len() as u64 * 68;
            image.apply(batch).unwrap();
        }
        assert!(!image.is_bloated(bytes));
        drop(image);
        assert_eq!(load(&mut open(disk)).len(), 1_000);
    });
}

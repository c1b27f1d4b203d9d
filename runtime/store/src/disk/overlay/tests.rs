use std::{path::Path, sync::Arc};

use super::Overlay;
use crate::disk::{Disk as _, read_all, replace, simulated::SimDisk};

fn disk() -> (SimDisk, Overlay) {
    let below = SimDisk::new(1);
    below.create_dir(Path::new("/data/sub")).unwrap();
    let file = below.create(Path::new("/data/a")).unwrap();
    file.write_at(b"0123456789", 0).unwrap();
    let over = Overlay::new(Arc::new(below.clone()));
    (below, over)
}

fn names(disk: &Overlay, path: &str) -> Vec<String> {
    let entries = disk.list(Path::new(path)).unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn every_change_shows_above_and_none_below() {
    let (below, over) = disk();
    let (a, b) = (Path::new("/data/a"), Path::new("/data/b"));
    let file = over.open(a).unwrap();
    file.write_at(b"xy", 3).unwrap();
    file.truncate(6).unwrap();
    file.allocate(8).unwrap();
    assert_eq!(read_all(&over, a).unwrap(), b"012xy5\0\0");
    replace(&over, b, b"new").unwrap();
    assert_eq!(names(&over, "/data"), ["a", "b", "sub"]);
    assert!(over.made_file(b) && !over.made_file(a));
    over.rename(b, Path::new("/data/c")).unwrap();
    over.remove(a).unwrap();
    over.remove_dir(Path::new("/data/sub")).unwrap();
    over.create_dir(Path::new("/data/more")).unwrap();
    assert_eq!(names(&over, "/data"), ["c", "more"]);
    assert!(over.open(a).is_err() && over.list(Path::new("/data/sub")).is_err());
    assert_eq!(over.removed_files(), [a]);
    assert_eq!(over.removed_directories(), [Path::new("/data/sub")]);

    assert_eq!(below.read(a).unwrap(), b"0123456789");
    assert_eq!(below.files(), [a]);
    assert!(below.list(Path::new("/data/sub")).is_ok());
}

#[test]
fn a_file_that_was_cut_and_grows_again_shows_zeros_there() {
    let (_, over) = disk();
    let file = over.open(Path::new("/data/a")).unwrap();
    file.truncate(2).unwrap();
    file.write_at(b"z", 5).unwrap();
    assert_eq!(read_all(&over, Path::new("/data/a")).unwrap(), b"01\0\0\0z");
}

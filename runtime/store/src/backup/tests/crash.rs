//! What goes wrong on the way: crashes, damaged backups, directories of something else.

use std::{path::Path, sync::Arc};

use super::{
    DirectoryError, RestoreError, TO, all, begin, bring_back, filled, filled_at, options, put, send,
};
use crate::{
    Options,
    disk::{
        Disk as _,
        simulated::{Fault, SimDisk},
    },
    open,
    testing::{ManualClock, Node},
};

#[test]
fn a_restore_that_is_cut_short_anywhere_leaves_nothing_that_opens() {
    let clock = ManualClock::new();
    let (mut ended, mut refused) = (false, 0);
    for after in 1.. {
        let disk = SimDisk::new(after);
        let (mut node, _) = filled(&disk, &clock);
        let backup = begin(&mut node);
        let expected = all(&node);
        send(backup, &disk, TO).unwrap();
        drop(node);
        // Over an older directory, so that something could open.
        let (mut old, _) = super::filled_at("/target", &disk, &clock);
        put(&mut old, 60..61);
        drop(old);
        disk.plan(after, Fault::Down);
        let done = bring_back(&disk, TO, "/target", true);
        disk.power_loss();
        disk.kill();
        match open(options("/target"), disk.clone(), Arc::clone(&clock)) {
            Err(_) => refused += 1,
            Ok((store, loops)) => {
                // The old one before anything was done, or the new one, whole.
                let node = Node { store, loops };
                let is_old = all(&node).2.len() == 61;
                assert!(is_old || all(&node) == expected, "after {after} calls");
            }
        }
        if done.is_ok() {
            ended = true;
            break;
        }
        drop(disk);
    }
    assert!(ended && refused > 20, "{refused} refused");
}

#[test]
fn a_damaged_backup_is_refused_and_so_is_what_it_left() {
    let clock = ManualClock::new();
    let (disk, clock) = (SimDisk::new(1), clock);
    let (mut node, _) = filled(&disk, &clock);
    let backup = begin(&mut node);
    let (_, stored) = send(backup, &disk, TO).unwrap();
    for (index, item) in stored.manifest.items.iter().enumerate() {
        let path = Path::new(TO).join(item.stored(stored.manifest.next));
        disk.tamper(&path, |bytes| bytes[10] ^= 1);
        let target = format!("/restored-{index}");
        let error = bring_back(&disk, TO, &target, false).unwrap_err();
        assert!(
            matches!(error, RestoreError::Directory(DirectoryError::Damaged(_))),
            "{error}"
        );
        let opened = open(Options::new(&target), disk.clone(), Arc::clone(&clock));
        assert!(opened.is_err(), "{} was damaged", path.display());
        disk.tamper(&path, |bytes| bytes[10] ^= 1);
    }
    let manifest = Path::new(TO).join("MANIFEST");
    disk.tamper(&manifest, |bytes| bytes[30] ^= 1);
    let error = bring_back(&disk, TO, "/restored", false).unwrap_err();
    assert!(matches!(
        error,
        RestoreError::Directory(DirectoryError::Manifest { .. })
    ));
    assert!(disk.list("/restored".as_ref()).is_err());
}

#[test]
fn what_is_there_goes_only_for_a_backup_that_is_whole() {
    let clock = ManualClock::new();
    let disk = SimDisk::new(1);
    let (mut node, _) = filled(&disk, &clock);
    let backup = begin(&mut node);
    let (_, stored) = send(backup, &disk, TO).unwrap();
    let other = filled_at("/other", &disk, &clock).0;
    let expected = all(&other);
    drop(other);
    let damaged = Path::new(TO).join(stored.manifest.items[0].stored(stored.manifest.next));
    disk.tamper(&damaged, |bytes| bytes[10] ^= 1);
    let error = bring_back(&disk, TO, "/other", true).unwrap_err();
    assert!(
        matches!(error, RestoreError::Directory(DirectoryError::Damaged(_))),
        "{error}"
    );
    assert!(all(&Node::open_with(options("/other"), disk, &clock)) == expected);
}

#[test]
fn a_backup_that_is_cut_short_leaves_the_one_before_as_it_was() {
    let clock = ManualClock::new();
    for after in [1, 5, 10, 20, 30, 40] {
        let disk = SimDisk::new(after);
        let (mut node, _) = filled(&disk, &clock);
        let backup = begin(&mut node);
        let expected = all(&node);
        send(backup, &disk, TO).unwrap();
        put(&mut node, 60..90);
        let backup = begin(&mut node);
        disk.plan(after, Fault::Down);
        let is_cut_short = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            send(backup, &disk, TO).is_err()
        }));
        assert!(is_cut_short.unwrap_or(true), "after {after} calls");
        drop(node);
        disk.power_loss();
        disk.kill();
        bring_back(&disk, TO, "/restored", false).unwrap();
        assert!(all(&Node::open_with(options("/restored"), disk, &clock)) == expected);
    }
}

#[test]
fn what_is_not_empty_in_use_or_no_backup_is_refused() {
    let (disk, clock) = (SimDisk::new(1), ManualClock::new());
    let (mut node, _) = filled(&disk, &clock);
    let backup = begin(&mut node);
    assert!(matches!(
        send(backup, &disk, "/data"),
        Err(DirectoryError::NoBackup(_))
    ));
    let backup = begin(&mut node);
    send(backup, &disk, TO).unwrap();
    let refused =
        |from: &str, to: &str, overwrite| bring_back(&disk, from, to, overwrite).unwrap_err();
    assert!(matches!(
        refused(TO, "/data", false),
        RestoreError::NotEmpty(_)
    ));
    assert!(matches!(
        refused(TO, "/data", true),
        RestoreError::Locked(_)
    ));
    assert!(matches!(
        refused("/none", "/restored", false),
        RestoreError::NoBackup(_)
    ));
    assert!(matches!(
        refused("/data", "/restored", false),
        RestoreError::NoBackup(_)
    ));
}

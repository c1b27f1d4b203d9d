//! The journal: torn tails, failed syncs, files that supersede each other.

use std::{path::PathBuf, task::Poll};

use fnctl_core::id::{Ordinal, ShardNumber};

use super::{Machine, last_file, payload, payloads, poll, unanswered};
use crate::{Step, disk::simulated::Fault, testing::records};

#[test]
fn schedule_5_what_a_restart_published_survives_the_power_cut_that_follows() {
    let machine = Machine::new(5);
    let (mut node, stream) = machine.with_records(3);
    // The frame is written, its sync never happens.
    let put = unanswered(&node, stream, 3);
    machine.disk.plan(2, Fault::Down);
    assert!(node.write().is_err());
    drop((put, node));
    machine.disk.kill();
    let node = machine.start();
    assert_eq!(
        node.read_all(stream, 0),
        payloads(4),
        "the tail was in the page cache"
    );
    drop(node);
    machine.disk.lose_unsynced();
    assert_eq!(machine.start().read_all(stream, 0), payloads(4));
}

#[test]
fn schedule_6_pages_of_a_failed_sync_are_not_trusted() {
    // Of the journal.
    let machine = Machine::new(6);
    let (mut node, stream) = machine.with_records(3);
    let put = unanswered(&node, stream, 3);
    machine.disk.plan(1, Fault::FailedSync);
    assert!(node.write().is_err());
    assert!(node.loops.applier.step().is_err(), "the whole node stops");
    drop((put, node));
    machine.disk.kill();
    let mut node = machine.start();
    let seen = node.read_all(stream, 0);
    machine.cut(&mut node);
    drop(node);
    machine.disk.lose_unsynced();
    assert_eq!(machine.start().read_all(stream, 0), seen);

    // Of a segment.
    let machine = Machine::new(6);
    let (mut node, stream) = machine.with_records(20);
    while node.loops.applier.step().unwrap() == Step::Worked {}
    machine.clock.advance(3_000);
    machine.disk.plan(1, Fault::FailedSync);
    assert!(node.settle().is_err());
    drop(node);
    machine.disk.kill();
    let mut node = machine.start();
    machine.cut(&mut node);
    drop(node);
    machine.disk.lose_unsynced();
    assert_eq!(machine.start().read_all(stream, 0), payloads(20));
}

#[test]
fn schedule_7_nothing_whose_sync_never_returned_reaches_segments_or_readers() {
    let machine = Machine::new(7);
    let (mut node, stream) = machine.with_records(1);
    let mut put = unanswered(&node, stream, 1);
    while node.loops.applier.step().unwrap() == Step::Worked {}
    machine.clock.advance(3_000);
    while node.loops.applier.step().unwrap() == Step::Worked {}
    assert_eq!(node.read_all(stream, 0), payloads(1));
    assert_eq!(
        node.store
            .view(|view| view.tail(stream, ShardNumber(0)).unwrap().last()),
        Ordinal(1)
    );
    machine.disk.plan(1, Fault::FailedSync);
    assert!(node.write().is_err());
    assert!(matches!(poll(&mut put), Poll::Ready(Err(_))));
    assert_eq!(
        node.read_all(stream, 0),
        payloads(1),
        "a failed sync publishes nothing"
    );
}

#[test]
fn schedule_8_a_rewritten_frame_stands_when_its_first_home_is_lost() {
    let machine = Machine::new(8);
    let (node, stream) = machine.with_records(3);
    drop(node);
    machine.disk.power_loss();
    let first = last_file(&machine.disk, ".journal");
    drop(machine.start());
    assert_ne!(first, last_file(&machine.disk, ".journal"));
    // The page that the last frame began on goes bad in the older file.
    machine.disk.tamper(&first, |bytes| {
        let magic = bytes
            .windows(4)
            .rposition(|window| window == b"fnJ1")
            .unwrap();
        bytes[magic..].fill(0);
    });
    machine.disk.power_loss();
    let node = machine.start();
    assert_eq!(node.store.read_only(), None);
    assert_eq!(node.read_all(stream, 0), payloads(3));
}

#[test]
fn schedule_9_a_file_of_a_header_alone_continues_the_one_before() {
    let machine = Machine::new(9);
    let (mut node, stream) = machine.with_records(3);
    node.store.shutdown();
    while node.loops.sequencer.step().unwrap() != Step::Finished {}
    while node.loops.applier.step().unwrap() != Step::Finished {}
    drop(node);
    for _ in 0..3 {
        // Nothing but the header of a new file is written, then the power goes.
        drop(machine.start());
        machine.disk.power_loss();
    }
    let mut node = machine.start();
    assert_eq!(node.read_all(stream, 0), payloads(3));
    node.put("s", records(&[payload(3)]));
    assert_eq!(node.read_all(stream, 0), payloads(4));
}

#[test]
fn schedule_14_a_bad_frame_below_the_cut_is_survived_and_one_above_stops_writing() {
    let damage = |machine: &Machine, needle: &[u8]| {
        let file = last_file(&machine.disk, ".journal");
        machine.disk.tamper(&file, |bytes| {
            let at = bytes
                .windows(needle.len())
                .position(|window| window == needle)
                .unwrap();
            bytes[at] ^= 1;
        });
    };
    let machine = Machine::new(14);
    let (mut node, stream) = machine.with_records(10);
    machine.cut(&mut node);
    node.put("s", records(&[payload(10)]));
    drop(node);
    machine.disk.lose_unsynced();
    damage(&machine, &payload(4));
    let mut node = machine.start();
    assert_eq!(node.store.read_only(), None);
    assert_eq!(node.read_all(stream, 0), payloads(11));
    // A snapshot is taken, so that the damaged frame is needed by nobody.
    machine.cut(&mut node);
    assert!(
        machine
            .disk
            .files()
            .iter()
            .any(|file| file.to_string_lossy().contains("snapshot-"))
    );

    let machine = Machine::new(14);
    let (node, stream) = machine.with_records(10);
    drop(node);
    machine.disk.lose_unsynced();
    damage(&machine, &payload(4));
    let mut node = machine.start();
    let reason = node.store.read_only().expect("it is read-only").to_owned();
    assert!(
        reason.contains(".journal") && reason.contains("offset"),
        "{reason}"
    );
    assert_eq!(
        node.store
            .read(stream, ShardNumber(0), Ordinal(0), 4, 1 << 20)
            .unwrap()[0]
            .first,
        Ordinal(1)
    );
    let store = node.store.clone();
    assert!(
        node.run(store.append(stream, records(&["no"]), None))
            .unwrap()
            .is_err()
    );
}

#[test]
fn starts_leave_no_more_behind_than_what_they_wrote() {
    let machine = Machine::new(8);
    let (node, stream) = machine.with_records(3);
    drop(node);
    for number in 3..8 {
        // A process that dies, and one that ends in order.
        machine.disk.kill();
        let mut node = machine.start();
        node.put("s", records(&[payload(number)]));
        if number % 2 == 0 {
            node.store.shutdown();
            while node.loops.sequencer.step().unwrap() != Step::Finished {}
            while node.loops.applier.step().unwrap() != Step::Finished {}
        }
        drop(node);
    }
    let node = machine.start();
    assert_eq!(node.read_all(stream, 0), payloads(8));
    let files = machine.disk.files();
    let is_journal = |path: &&PathBuf| path.extension().is_some_and(|e| e == "journal");
    let mut journal: Vec<_> = files.iter().filter(is_journal).collect();
    journal.sort();
    let (_, before) = journal.split_last().expect("one is being written");
    assert!(before.len() > 3, "{journal:?}");
    for file in before {
        let bytes = machine.disk.read(file).expect("a file").len();
        assert!(bytes < 2 << 10, "{} has {bytes} bytes", file.display());
    }
}

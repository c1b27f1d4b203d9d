//! The whole store: put, restart, read.

mod crash;
mod golden;
mod rot;
mod schedules;

use fnctl_core::id::{Ordinal, ShardNumber};

use crate::{
    disk::real::RealDisk,
    testing::{ManualClock, Node, records},
};

#[test]
fn what_was_put_is_read_back_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let mut node = Node::open(directory.path(), RealDisk, &clock);
    let stream = node.create_stream("signups", 1);
    for round in 0..50 {
        let payloads: Vec<String> = (0..10).map(|i| format!("{round}-{i}")).collect();
        let appended = node.put("signups", records(&payloads));
        assert_eq!(appended.rows[0], (ShardNumber(0), Ordinal(round * 10 + 1)));
        if round == 20 {
            clock.advance(3_000);
            node.settle().unwrap();
        }
    }
    let before = node.read_all(stream, 0);
    assert_eq!(before.len(), 500);
    drop(node);

    let node = Node::open(directory.path(), RealDisk, &clock);
    assert_eq!(node.read_all(stream, 0), before);
}

#[test]
fn a_second_store_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let node = Node::open(directory.path(), RealDisk, &clock);
    let again = crate::open(
        crate::Options::new(directory.path()),
        RealDisk,
        clock.clone(),
    );
    assert!(matches!(again, Err(crate::OpenError::Locked { .. })));
    drop(node);
    assert!(crate::open(crate::Options::new(directory.path()), RealDisk, clock).is_ok());
}

#[test]
fn an_orderly_shutdown_leaves_a_whole_journal_and_nothing_to_redo() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let mut node = Node::open(directory.path(), RealDisk, &clock);
    let stream = node.create_stream("s", 2);
    node.put("s", records(&["a", "b", "c"]));
    node.store.shutdown();
    let sequencer = std::thread::spawn(move || node.loops.sequencer.run());
    let applier = std::thread::spawn(move || node.loops.applier.run());
    sequencer.join().unwrap().unwrap();
    applier.join().unwrap().unwrap();
    assert_eq!(node.store.stats().cut, node.store.published());
    drop(node.store);

    let node = Node::open(directory.path(), RealDisk, &clock);
    let found = node.read_all(stream, 0).len() + node.read_all(stream, 1).len();
    assert_eq!(found, 3);
    assert_eq!(node.store.stats().unapplied_bytes, 0);
}

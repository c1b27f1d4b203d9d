//! Shard logs: what was synced, what was recorded, what is redone.

use std::path::Path;

use fnctl_core::{
    committer::Committer,
    id::{Ordinal, ShardNumber},
};

use super::{Machine, commit, is_segment, lease, payloads, unit_on};
use crate::{
    Step,
    disk::{Disk as _, simulated::Fault},
    testing::records,
};

#[test]
fn schedule_1_unsynced_segment_frames_are_redone_whatever_the_disk_kept_of_them() {
    for seed in 0..40 {
        let machine = Machine::new(seed);
        let (mut node, stream) = machine.with_records(20);
        while node.loops.applier.step().unwrap() == Step::Worked {}
        assert!(node.store.stats().segment_bytes > 0 && node.store.stats().cuts == 0);
        drop(node);
        machine.disk.power_loss();
        assert_eq!(
            machine.start().read_all(stream, 0),
            payloads(20),
            "seed {seed}"
        );
    }
}

#[test]
fn schedule_2_a_cut_makes_segments_durable_before_the_image() {
    let machine = Machine::new(2);
    let (mut node, stream) = machine.with_records(20);
    machine.cut(&mut node);
    drop(node);
    machine.disk.lose_unsynced();
    let node = machine.start();
    assert_eq!(node.read_all(stream, 0), payloads(20));
    assert_eq!(node.store.stats().unapplied_bytes, 0, "nothing is redone");
}

#[test]
fn schedule_3_two_outputs_to_one_shard_are_there_together_or_not_at_all() {
    for crash_at in 1..40 {
        let machine = Machine::new(crash_at);
        let (mut node, stream) = machine.with_records(3);
        let out = node.create_stream("out", 1);
        let unit = unit_on(&mut node, stream);
        let epoch = lease(&mut node, unit);
        machine.disk.plan(crash_at, Fault::Down);
        let ticket = node
            .store
            .commit(commit(unit, epoch, 1, (0, 3), &["out", "out"]));
        let _stopped = node.settle();
        machine.clock.advance(3_000);
        let _stopped = node.settle();
        drop((ticket, node));
        machine.disk.power_loss();
        let node = machine.start();
        let count = node.read_all(out, 0).len();
        let settled = node
            .store
            .view(|view| view.unit(unit).unwrap().settled.low_watermark());
        assert!(
            (count, settled) == (0, Ordinal(0)) || (count, settled) == (6, Ordinal(3)),
            "{count} outputs of {settled} settled records"
        );
    }
}

#[test]
fn schedule_10_a_synced_segment_has_a_durable_name() {
    let machine = Machine::new(10);
    let (mut node, stream) = machine.with_records(60);
    machine.cut(&mut node);
    let segments = machine
        .disk
        .files()
        .iter()
        .filter(|file| is_segment(file))
        .count();
    assert!(segments > 2, "it rolled");
    drop(node);
    machine.disk.lose_unsynced();
    assert_eq!(
        machine
            .disk
            .files()
            .iter()
            .filter(|file| is_segment(file))
            .count(),
        segments
    );
    assert_eq!(machine.start().read_all(stream, 0), payloads(60));
}

#[test]
fn schedule_13_ordinals_of_an_idle_shard_go_on_after_all_its_segments_were_trimmed() {
    let machine = Machine::new(13);
    let (mut node, stream) = machine.with_records(30);
    machine.cut(&mut node);
    machine.clock.advance(25 * 60 * 60 * 1000);
    for _ in 0..3 {
        machine.clock.advance(3_000);
        node.settle().unwrap();
    }
    let tail = node
        .store
        .view(|view| *view.tail(stream, ShardNumber(0)).unwrap());
    assert_eq!((tail.floor, tail.next), (Ordinal(31), Ordinal(31)));
    assert!(
        !machine.disk.files().iter().any(|file| is_segment(file)),
        "all are unlinked"
    );
    for _ in 0..2 {
        machine.snapshot_without_put(&mut node);
    }
    drop(node);
    machine.disk.lose_unsynced();
    machine.disk.remove_dir(Path::new("/data/image")).unwrap();
    let mut node = machine.start();
    let appended = node.put("s", records(&["next"]));
    assert_eq!(appended.rows[0].1, Ordinal(31));
    assert_eq!(node.read_all(stream, 0), [b"next".to_vec()]);
}

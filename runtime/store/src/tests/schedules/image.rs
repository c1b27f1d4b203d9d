//! Image and snapshot: lost, older, half.

use std::path::Path;

use super::{Machine, payload, payloads};
use crate::{disk::Disk as _, testing::records};

#[test]
fn schedule_4_a_lost_or_an_older_image_loses_nothing() {
    for is_older in [false, true] {
        for snapshots in 0..3 {
            let machine = Machine::new(4);
            let (mut node, stream) = machine.with_records(10);
            machine.cut(&mut node);
            let image = Path::new("/data/image");
            let older = machine.disk.copy_image(image);
            for _ in 0..snapshots {
                machine.snapshot(&mut node);
            }
            node.put("s", records(&["last"]));
            machine.cut(&mut node);
            let before = node.read_all(stream, 0);
            drop(node);
            if is_older {
                machine.disk.put_image(image, older);
            } else {
                machine.disk.remove_dir(image).unwrap();
            }
            let node = machine.start();
            assert_eq!(node.read_all(stream, 0), before);
        }
    }
}

#[test]
fn schedule_11_a_snapshot_taken_behind_the_applier_carries_on_without_the_image() {
    let machine = Machine::new(11);
    let (mut node, stream) = machine.with_records(10);
    for round in 0..3 {
        // Published and not applied when the cut begins.
        node.put("s", records(&[payload(10 + 2 * round)]));
        machine.snapshot_without_put(&mut node);
        node.put("s", records(&[payload(11 + 2 * round)]));
    }
    let before = node.read_all(stream, 0);
    drop(node);
    machine.disk.lose_unsynced();
    machine.disk.remove_dir(Path::new("/data/image")).unwrap();
    let node = machine.start();
    assert_eq!(node.read_all(stream, 0), before);
    assert_eq!(before, payloads(16));
}

#[test]
fn schedule_12_a_half_durable_image_is_noticed_and_rebuilt() {
    let machine = Machine::new(12);
    let (mut node, stream) = machine.with_records(10);
    machine.cut(&mut node);
    drop(node);
    let image = Path::new("/data/image");
    let whole = machine.disk.copy_image(image);
    for missing in 0..whole.len() {
        let mut half = whole.clone();
        half.remove(missing);
        machine.disk.put_image(image, half);
        assert_eq!(
            machine.start().read_all(stream, 0),
            payloads(10),
            "value {missing} is missing"
        );
        machine.disk.kill();
        let mut torn = whole.clone();
        let middle = torn[missing].1.len() / 2;
        torn[missing].1[middle] ^= 1;
        machine.disk.put_image(image, torn);
        assert_eq!(
            machine.start().read_all(stream, 0),
            payloads(10),
            "value {missing} is torn"
        );
        machine.disk.kill();
    }
}

#[test]
fn an_image_older_than_a_snapshot_does_not_void_it() {
    let machine = Machine::new(4);
    let (mut node, stream) = machine.with_records(10);
    machine.cut(&mut node);
    let image = Path::new("/data/image");
    let older = machine.disk.copy_image(image);
    for number in 0..3 {
        machine.snapshot(&mut node);
        // Enough for the journal to roll, so that its beginning goes.
        node.put("s", records(&vec![payload(number); 100]));
    }
    machine.cut(&mut node);
    let before = node.read_all(stream, 0);
    drop(node);
    machine.disk.put_image(image, older);
    drop(machine.start());
    machine.disk.kill();
    // Nothing but the snapshots is left to begin from.
    machine.disk.remove_dir(image).unwrap();
    assert_eq!(machine.start().read_all(stream, 0), before);
}

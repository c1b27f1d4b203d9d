//! Image and snapshot: lost, older, half; over every engine.

use std::path::Path;

use fnctl_core::{id::StreamName, registry::Command};

use super::{Machine, payload, payloads};
use crate::{
    disk::Disk as _,
    testing::{engines::Kind, records},
};

/// What is lost is rebuilt: from the newer of two snapshots and the journal behind it, or, while there
/// are not two of them, from the whole journal, which is kept until then.
#[test]
fn schedule_4_a_lost_or_an_older_image_loses_nothing() {
    for kind in Kind::ALL {
        for (is_older, snapshots) in [false, true]
            .into_iter()
            .flat_map(|o| (0..3).map(move |s| (o, s)))
        {
            let machine = Machine::with(kind, 4);
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
            let words = format!("{kind:?}, older: {is_older}, {snapshots} snapshots");
            assert_eq!(node.read_all(stream, 0), before, "{words}");
        }
    }
}

#[test]
fn schedule_11_a_snapshot_taken_behind_the_applier_carries_on_without_the_image() {
    Kind::ALL.into_iter().for_each(schedule_11);
}

fn schedule_11(kind: Kind) {
    let machine = Machine::with(kind, 11);
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
    Kind::ALL.into_iter().for_each(schedule_12);
}

fn schedule_12(kind: Kind) {
    let machine = Machine::with(kind, 12);
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

/// The simulation's seed 91876: damage below the cut has the image written anew, over the one there is.
#[test]
fn what_goes_before_an_image_is_written_anew_does_not_come_back() {
    Kind::ALL.into_iter().for_each(a_stream_goes);
}

fn a_stream_goes(kind: Kind) {
    let machine = Machine::with(kind, 5);
    let (mut node, stream) = machine.with_records(10);
    node.create_stream("t", 1);
    node.put("t", records(&["gone soon"]));
    machine.cut(&mut node);
    let store = node.store.clone();
    let delete = store.command(Command::DeleteStream {
        name: StreamName::parse("t").unwrap(),
        force: false,
    });
    node.run(delete).unwrap().unwrap();
    drop(store);
    machine.snapshot_without_put(&mut node);
    drop(node);
    let node = machine.start();
    assert!(node.store.read_only().is_none(), "{kind:?}");
    let streams = node.store.view(|view| view.registry().streams().count());
    assert_eq!(streams, 1, "{kind:?}");
    assert!(node.store.damaged(stream).is_empty(), "{kind:?}");
    assert_eq!(node.read_all(stream, 0), payloads(10), "{kind:?}");
}

#[test]
fn an_image_older_than_a_snapshot_does_not_void_it() {
    Kind::ALL.into_iter().for_each(an_older_image_is_put_back);
}

fn an_older_image_is_put_back(kind: Kind) {
    let machine = Machine::with(kind, 4);
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

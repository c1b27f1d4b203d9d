//! Splits and merges on the disk: where records land, what a restart finds, and when a closed shard's
//! files go.

use std::{path::Path, sync::Arc};

use fnctl_core::{
    committer::{Committer as _, Ticket as _},
    id::{Ordinal, ShardNumber, StreamId, StreamName, UnitId},
    registry::Command,
    shard::Reshard,
    view::UnitTurn,
};

use crate::{
    Step,
    disk::{Disk as _, simulated::SimDisk},
    doctor::{Health, examine},
    testing::{ManualClock, Node, add_mapping, records, small_files},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

struct Machine {
    disk: SimDisk,
    clock: Arc<ManualClock>,
}

impl Machine {
    fn new(seed: u64) -> Self {
        Self {
            disk: SimDisk::new(seed),
            clock: ManualClock::new(),
        }
    }

    fn start(&self) -> Node {
        Node::open_with(small_files(), self.disk.clone(), &self.clock)
    }

    /// Lets retention look at everything a few times.
    fn pass(&self, node: &mut Node, ms: u64) {
        self.clock.advance(ms);
        for _ in 0..6 {
            self.clock.advance(3_000);
            node.settle().unwrap();
        }
    }

    fn files_of(&self, stream: StreamId, shard: u32) -> usize {
        let directory = format!("/data/streams/{stream}/{shard}");
        let files = self.disk.files();
        files
            .iter()
            .filter(|file| file.starts_with(&directory))
            .count()
    }
}

fn reshard(node: &mut Node, how: Reshard) {
    let name = StreamName::parse("s").unwrap();
    let store = node.store.clone();
    let command = Command::Reshard { name, how };
    node.run(store.command(command)).unwrap().unwrap();
}

fn split(node: &mut Node, shard: u32) {
    let shard = ShardNumber(shard);
    reshard(node, Reshard::Split { shard, at: None });
}

/// Payloads whose first byte is the key: `a` has a hash key in the upper half, `b` in the lower.
fn put(node: &mut Node, from: u32, count: u32) {
    for number in from..from + count {
        node.put(
            "s",
            records(&[format!("a{number:0>90}"), format!("b{number:0>90}")]),
        );
    }
}

fn numbers(node: &Node, stream: StreamId, shard: u32) -> Vec<String> {
    let all = node.read_all(stream, shard);
    let text = |data: Vec<u8>| String::from_utf8(data).unwrap();
    let short = |text: String| {
        let (key, number) = text.split_at(1);
        format!("{key}{}", number.trim_start_matches('0'))
    };
    all.into_iter().map(|data| short(text(data))).collect()
}

#[test]
fn records_before_and_after_a_split_and_a_merge_survive_a_power_cut() {
    for seed in 0..10 {
        let machine = Machine::new(seed);
        let mut node = machine.start();
        let stream = node.create_stream("s", 1);
        put(&mut node, 1, 2);
        split(&mut node, 0);
        put(&mut node, 3, 2);
        if seed % 2 == 0 {
            machine.clock.advance(3_000);
            node.settle().unwrap();
        }
        reshard(
            &mut node,
            Reshard::Merge {
                shard: ShardNumber(1),
                adjacent: ShardNumber(2),
            },
        );
        put(&mut node, 5, 1);
        drop(node);
        machine.disk.power_loss();

        let mut node = machine.start();
        put(&mut node, 6, 1);
        assert_eq!(
            numbers(&node, stream, 0),
            ["a1", "b1", "a2", "b2"],
            "seed {seed}"
        );
        assert_eq!(numbers(&node, stream, 1), ["b3", "b4"], "seed {seed}");
        assert_eq!(numbers(&node, stream, 2), ["a3", "a4"], "seed {seed}");
        assert_eq!(
            numbers(&node, stream, 3),
            ["a5", "b5", "a6", "b6"],
            "seed {seed}"
        );
    }
}

#[test]
fn a_closed_shard_goes_with_its_files_when_retention_is_over() {
    let machine = Machine::new(1);
    let mut node = machine.start();
    let stream = node.create_stream("s", 1);
    put(&mut node, 1, 20);
    split(&mut node, 0);
    machine.pass(&mut node, 0);
    assert!(machine.files_of(stream, 0) > 1);
    machine.pass(&mut node, DAY_MS / 2);
    put(&mut node, 21, 20);
    assert_eq!(
        node.read_all(stream, 0).len(),
        40,
        "readable until retention passes"
    );
    machine.pass(&mut node, DAY_MS / 2);

    let is_there = |node: &Node| {
        node.store
            .view(|view| view.tail(stream, ShardNumber(0)).is_some())
    };
    assert!(!is_there(&node));
    assert_eq!(machine.files_of(stream, 0), 0);
    assert!(
        node.store
            .read(stream, ShardNumber(0), Ordinal(0), 1, 1)
            .is_err()
    );
    assert_eq!(
        node.read_all(stream, 1).len() + node.read_all(stream, 2).len(),
        40
    );
    drop(node);
    machine.disk.power_loss();
    let mut node = machine.start();
    assert!(!is_there(&node));
    // Numbers go on behind the forgotten one's.
    split(&mut node, 1);
    put(&mut node, 41, 1);
    assert_eq!(
        node.read_all(stream, 3).len() + node.read_all(stream, 4).len(),
        1
    );
    let usage = node.store.stored_bytes(stream);
    assert!(usage > 0);
}

#[test]
fn what_is_left_of_a_forgotten_shard_goes_at_the_next_start_and_what_is_unknown_stays() {
    let machine = Machine::new(2);
    let mut node = machine.start();
    let stream = node.create_stream("s", 1);
    split(&mut node, 0);
    machine.pass(&mut node, DAY_MS);
    assert_eq!(node.store.view(|view| view.tails(stream).count()), 2);
    drop(node);
    // The tombstone was journaled and the node died before it unlinked; and a directory of nobody's.
    for shard in ["0", "7"] {
        let directory = format!("/data/streams/{stream}/{shard}");
        machine.disk.create_dir(Path::new(&directory)).unwrap();
        let file = Path::new(&directory).join("00000000000000000001.segment");
        machine.disk.create(&file).unwrap();
    }
    let node = machine.start();
    assert_eq!(machine.files_of(stream, 0), 0);
    assert_eq!(machine.files_of(stream, 7), 1);
    drop(node);
}

#[test]
fn a_mapping_holds_a_closed_shard_and_its_children_wait_for_it() {
    let machine = Machine::new(3);
    let mut node = machine.start();
    let stream = node.create_stream("s", 1);
    let store = node.store.clone();
    let mapping = node.run(add_mapping(&store, "s")).unwrap().unwrap();
    put(&mut node, 1, 10);
    split(&mut node, 0);
    put(&mut node, 11, 1);
    let unit = |shard| UnitId {
        mapping,
        stream,
        shard: ShardNumber(shard),
    };
    let mut changes = node.store.registry_changed();
    assert_eq!(
        node.run(store.lease(vec![unit(1), unit(2)]))
            .unwrap()
            .unwrap(),
        []
    );
    let epoch = node.run(store.lease(vec![unit(0)])).unwrap().unwrap()[0].1;
    // Written now, so that what comes makes it a day old.
    machine.pass(&mut node, 0);
    machine.pass(&mut node, DAY_MS);
    let tail = node
        .store
        .view(|view| *view.tail(stream, ShardNumber(0)).unwrap());
    assert_eq!((tail.horizon, tail.floor), (Ordinal(21), Ordinal(1)));
    // Shown no more, and kept for the mapping.
    assert_eq!(node.read_all(stream, 0).len(), 20);

    changes.mark_unchanged();
    let commit = super::schedules::commit(unit(0), epoch, 1, (0, 19), &[]);
    let mut ticket = node.store.commit(commit);
    node.run(ticket.answer()).unwrap().unwrap();
    node.settle().unwrap();
    assert!(!changes.has_changed().unwrap(), "one record is left");
    let commit = super::schedules::commit(unit(0), epoch, 2, (19, 20), &[]);
    let mut ticket = node.store.commit(commit);
    node.run(ticket.answer()).unwrap().unwrap();
    node.settle().unwrap();
    assert!(
        changes.has_changed().unwrap(),
        "the children's turn has come"
    );
    for child in [1, 2] {
        let turn = node.store.view(|view| view.turn(unit(child)));
        assert_eq!(turn, Some(UnitTurn::Due));
    }
    machine.pass(&mut node, 0);
    assert_eq!(machine.files_of(stream, 0), 0);
    assert!(node.store.view(|view| view.unit(unit(0)).is_none()));
}

#[test]
fn readers_of_a_shard_are_woken_when_it_closes_and_told_when_it_is_gone() {
    let machine = Machine::new(4);
    let mut node = machine.start();
    let stream = node.create_stream("s", 1);
    let mut tail = node.store.watch(stream, ShardNumber(0)).unwrap();
    tail.mark_unchanged();
    split(&mut node, 0);
    assert!(tail.has_changed().unwrap());
    machine.pass(&mut node, DAY_MS);
    tail.mark_unchanged();
    assert!(tail.has_changed().is_err());
}

#[test]
fn a_doctor_finds_a_resharded_stream_whole() {
    let machine = Machine::new(5);
    let mut node = machine.start();
    node.create_stream("s", 1);
    put(&mut node, 1, 20);
    split(&mut node, 0);
    put(&mut node, 21, 5);
    split(&mut node, 1);
    put(&mut node, 26, 5);
    machine.pass(&mut node, 0);
    node.store.shutdown();
    while node.loops.sequencer.step().unwrap() != Step::Finished {}
    while node.loops.applier.step().unwrap() != Step::Finished {}
    drop(node);
    // The server makes it, and doctor misses it.
    crate::disk::replace(&machine.disk, "/data/secret".as_ref(), &[7; 32]).unwrap();
    let clock = Arc::clone(&machine.clock);
    let report = examine(&small_files(), machine.disk.clone(), clock, &mut |_| {}).unwrap();
    assert_eq!(report.health(), Health::Whole, "{report:?}");
    assert_eq!(report.records, 60);
}

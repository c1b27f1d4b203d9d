use std::sync::Arc;

use fnctl_core::{
    commit::{AttemptMark, Commit, UnitTotals},
    committer::{Committer, Ticket},
    id::{FunctionVersion, LeaseEpoch, Ordinal, ShardNumber, SlotId, StreamId, Timestamp},
    settled::SettledRanges,
};

use super::*;
use crate::{
    Options,
    disk::simulated::SimDisk,
    testing::{ManualClock, Node, add_mapping, records},
};

const MINUTE_MS: u64 = 60_000;

struct Machine {
    disk: SimDisk,
    clock: Arc<ManualClock>,
}

impl Machine {
    fn new() -> Self {
        Self {
            disk: SimDisk::new(25),
            clock: ManualClock::new(),
        }
    }

    fn start(&self) -> Node {
        let options = Options {
            ballast_bytes: 0,
            ..Options::new("/data")
        };
        Node::open_with(options, self.disk.clone(), &self.clock)
    }

    /// The process dies, and the power with it.
    fn die(&self, node: Node) {
        drop(node);
        self.disk.lose_unsynced();
    }

    fn runs(&self, node: &mut Node, ms: u64) {
        self.clock.advance(ms);
        node.settle().unwrap();
    }
}

fn stop(mut node: Node) {
    node.store.shutdown();
    while node.loops.sequencer.step().unwrap() != crate::Step::Finished {}
    while node.loops.applier.step().unwrap() != crate::Step::Finished {}
}

fn is_careful(node: &Node) -> bool {
    *node.store.is_careful().borrow()
}

#[test]
fn the_second_unclean_stop_in_short_order_makes_the_node_careful_for_ten_minutes() {
    let machine = Machine::new();
    let node = machine.start();
    assert_eq!(node.store.stats().unclean_stops, 0);
    machine.die(node);
    let mut node = machine.start();
    assert_eq!(node.store.stats().unclean_stops, 1);
    assert!(!is_careful(&node));
    machine.runs(&mut node, 9 * MINUTE_MS);
    machine.die(node);
    let mut node = machine.start();
    assert!(is_careful(&node));
    let mut told = node.store.is_careful();
    machine.runs(&mut node, 10 * MINUTE_MS - 1);
    assert!(!told.has_changed().unwrap());
    machine.runs(&mut node, 1);
    assert!(told.has_changed().unwrap() && !*told.borrow_and_update());
    // Forgotten: the next one is the first again.
    machine.die(node);
    let node = machine.start();
    assert_eq!(
        (node.store.stats().unclean_stops, is_careful(&node)),
        (1, false)
    );
}

#[test]
fn stops_far_apart_and_stops_in_order_make_nobody_careful() {
    let machine = Machine::new();
    for _ in 0..3 {
        let mut node = machine.start();
        machine.runs(&mut node, 10 * MINUTE_MS);
        machine.die(node);
    }
    let node = machine.start();
    assert_eq!(node.store.stats().unclean_stops, 1);
    stop(node);
    let node = machine.start();
    assert_eq!(node.store.stats().unclean_stops, 1, "in order");
    stop(node);
    assert!(!is_careful(&machine.start()));
}

#[test]
fn no_jump_of_the_wall_clock_ends_caution() {
    let machine = Machine::new();
    machine.die(machine.start());
    machine.die(machine.start());
    machine.clock.jump(365 * 24 * 60 * 60 * 1000);
    let mut node = machine.start();
    assert!(is_careful(&node));
    machine.clock.jump(365 * 24 * 60 * 60 * 1000);
    machine.runs(&mut node, 1_000);
    assert!(is_careful(&node));
}

#[test]
fn a_process_that_was_only_killed_is_remembered_too_and_a_damaged_memory_counts() {
    let machine = Machine::new();
    drop(machine.start());
    machine.disk.kill();
    drop(machine.start());
    machine.disk.kill();
    machine.disk.tamper(&path("/data".as_ref()), Vec::clear);
    let node = machine.start();
    assert!(is_careful(&node));
}

/// A mark in hand of record 1, as a careful pipeline commits it in front of a call.
fn in_hand(unit: UnitId, epoch: LeaseEpoch) -> Commit {
    Commit {
        unit,
        epoch,
        slot: SlotId::Lane(0),
        number: 1,
        settles: SettledRanges::new(),
        attempts: vec![AttemptMark {
            position: Ordinal(1),
            count: 1,
            version: FunctionVersion(1),
            next_retry: Timestamp(0),
            is_in_hand: true,
            cause: None,
        }],
        totals: UnitTotals::default(),
        dead_letters: Vec::new(),
        outputs: Vec::new(),
        function_version: FunctionVersion(1),
        redriven: None,
        window: None,
        outages: None,
    }
}

fn mapped(machine: &Machine) -> (Node, StreamId, UnitId) {
    let mut node = machine.start();
    let stream = node.create_stream("s", 1);
    node.put("s", records(&["a"]));
    let store = node.store.clone();
    let mapping = node.run(add_mapping(&store, "s")).unwrap().unwrap();
    let shard = ShardNumber(0);
    let unit = UnitId {
        mapping,
        stream,
        shard,
    };
    (node, stream, unit)
}

/// Schedule 25: the mark that is synced in front of the call is found by the start after it.
#[test]
fn schedule_25_a_start_after_an_unclean_stop_knows_what_was_in_hand() {
    for is_orderly in [false, true] {
        let machine = Machine::new();
        let (mut node, _, unit) = mapped(&machine);
        let store = node.store.clone();
        let epoch = node.run(store.lease(vec![unit])).unwrap().unwrap()[0].1;
        let commit = in_hand(unit, epoch);
        let mark = commit.attempts[0].clone();
        let mut ticket = store.commit(commit);
        node.run(ticket.durable()).unwrap().unwrap();
        drop((ticket, store));
        if is_orderly {
            stop(node);
        } else {
            machine.die(node);
        }
        let node = machine.start();
        let died_with = node.store.died_with(unit);
        let marks = node
            .store
            .view(|view| view.unit(unit).unwrap().marks_at_start(&died_with));
        // After an orderly stop the call was taken back: it charges nobody.
        let expected: &[AttemptMark] = if is_orderly { &[] } else { &[mark] };
        assert_eq!(marks, expected);
    }
}

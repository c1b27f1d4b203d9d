//! Dead letters that were redriven or purged: the room they leave, and what a restart remembers
//! (commit and storage rules §7; schedules 26 and 27).

use fnctl_core::{
    commit::{Commit, CommitAnswer, Redriven, Unavailable},
    id::{LeaseEpoch, Ordinal, ShardNumber, SlotId, StreamId, UnitId},
    view::{LETTERS_SHARD, NodeView},
};

use super::{Machine, answered, commit, lease, options, unit_on};
use crate::{
    DecideError, Options,
    testing::{Node, dead_letter},
};

fn bytes() -> u64 {
    dead_letter(ShardNumber(0), Ordinal(1)).byte_len()
}

/// A node whose dead letters may take as much as `most` of them do.
fn with_room_for(machine: &Machine, most: u64) -> Node {
    let options = Options {
        dead_letter_bytes_max: most * bytes() + bytes() / 2,
        ..options()
    };
    Node::open_with(options, machine.disk.clone(), &machine.clock)
}

fn giving_up(unit: UnitId, epoch: LeaseEpoch, position: u64, number: u64) -> Commit {
    Commit {
        dead_letters: vec![dead_letter(ShardNumber(0), Ordinal(position))],
        ..commit(unit, epoch, number, (position - 1, position), &[])
    }
}

fn redriving(unit: UnitId, epoch: LeaseEpoch, id: u64, body: u64, number: u64) -> Commit {
    let redriven = Redriven {
        id: Ordinal(id),
        body: Ordinal(body),
        bytes: bytes(),
    };
    Commit {
        slot: SlotId::Retry,
        settles: Default::default(),
        redriven: Some(redriven),
        ..commit(unit, epoch, number, (0, 1), &[])
    }
}

fn stream_of(node: &Node, unit: UnitId) -> StreamId {
    let id = |view: &NodeView| view.registry().mapping(unit.mapping).unwrap().dead_letters;
    node.store.view(id)
}

fn purge(node: &mut Node, stream: StreamId, bodies: &[u64]) -> u64 {
    let bodies: Vec<(Ordinal, u64)> = bodies.iter().map(|&at| (Ordinal(at), bytes())).collect();
    let store = node.store.clone();
    let decide = move |view: &NodeView, _| {
        let purged = view.evaluate_purge(stream, &bodies);
        let (entry, count) = purged.map_or((None, 0), |(entry, count)| (Some(entry), count));
        Ok::<_, ()>((entry, count))
    };
    match node.run(store.decide(decide)).unwrap() {
        Ok(count) => count,
        Err(DecideError::Refused(()) | DecideError::Stopped(_)) => panic!("it is taken"),
    }
}

fn is_taken(answer: &CommitAnswer) -> bool {
    matches!(answer, CommitAnswer::Accepted(_))
}

#[test]
fn schedule_27_a_purge_or_a_redrive_makes_room_and_a_redrive_that_fails_is_never_held() {
    let machine = Machine::new(27);
    let (mut node, stream) = machine.with_records(6);
    let unit = unit_on(&mut node, stream);
    drop(node);
    let mut node = with_room_for(&machine, 2);
    let epoch = lease(&mut node, unit);
    let letters = stream_of(&node, unit);
    for position in [1, 2] {
        assert!(is_taken(&answered(
            &mut node,
            giving_up(unit, epoch, position, position)
        )));
    }
    let full = CommitAnswer::Unavailable(Unavailable::DeadLettersFull);
    assert_eq!(answered(&mut node, giving_up(unit, epoch, 3, 3)), full);
    // It fails again: the letter takes the place of itself.
    let fails = Commit {
        dead_letters: vec![dead_letter(ShardNumber(0), Ordinal(1))],
        ..redriving(unit, epoch, 1, 1, 1)
    };
    assert!(is_taken(&answered(&mut node, fails)));
    assert_eq!(answered(&mut node, giving_up(unit, epoch, 3, 3)), full);
    assert_eq!(purge(&mut node, letters, &[2]), 1);
    assert!(is_taken(&answered(&mut node, giving_up(unit, epoch, 3, 3))));
    assert_eq!(answered(&mut node, giving_up(unit, epoch, 4, 4)), full);
    assert!(is_taken(&answered(
        &mut node,
        redriving(unit, epoch, 1, 3, 2)
    )));
    assert!(is_taken(&answered(&mut node, giving_up(unit, epoch, 4, 4))));
    // 26: what was resolved is not redriven again, and not purged.
    let again = redriving(unit, epoch, 1, 3, 3);
    assert_eq!(
        answered(&mut node, again),
        CommitAnswer::Refused { closed: Ordinal(1) }
    );
    assert_eq!(purge(&mut node, letters, &[1, 2, 3]), 0);
    let values = |view: &NodeView| view.values().collect::<Vec<_>>();
    node.settle().unwrap();
    let before = node.store.view(values);
    assert_eq!(node.store.view(|view| view.open_in(letters)), 2);
    drop(node);
    machine.disk.lose_unsynced();
    let mut node = with_room_for(&machine, 2);
    assert_eq!(node.store.view(values), before);
    // What was closed is remembered by an image as well.
    machine.cut(&mut node);
    drop(node);
    machine.disk.lose_unsynced();
    let node = with_room_for(&machine, 2);
    assert_eq!(node.store.view(values), before);
}

#[test]
fn files_of_letters_that_are_all_closed_go_and_those_with_an_open_one_stay() {
    const COUNT: u64 = 200;
    let machine = Machine::new(7);
    let (mut node, stream) = machine.with_records(COUNT);
    let unit = unit_on(&mut node, stream);
    let epoch = lease(&mut node, unit);
    let letters = stream_of(&node, unit);
    for position in 1..=COUNT {
        assert!(is_taken(&answered(
            &mut node,
            giving_up(unit, epoch, position, position)
        )));
        if position % 5 == 0 {
            machine.cut(&mut node);
        }
    }
    let key = (letters, LETTERS_SHARD);
    let files = |node: &Node| node.loops.applier.shared.segments.of(key).len();
    let tail = |node: &Node| {
        *node
            .store
            .view(|view| view.tail(letters, LETTERS_SHARD).copied())
            .as_ref()
            .unwrap()
    };
    let look = |node: &mut Node| {
        for _ in 0..20 {
            machine.clock.advance(3_000);
            node.settle().unwrap();
        }
    };
    let all = files(&node);
    assert!(all > 4, "{all} files");
    look(&mut node);
    assert_eq!((files(&node), tail(&node).floor), (all, Ordinal(1)));
    // One stays open in the middle: what lies in front of its file goes.
    let half = COUNT / 2;
    let bodies: Vec<u64> = (1..=COUNT).filter(|&body| body != half).collect();
    assert_eq!(purge(&mut node, letters, &bodies), COUNT - 1);
    look(&mut node);
    let floor = tail(&node).floor;
    assert!(Ordinal(1) < floor && floor <= Ordinal(half), "{floor}");
    assert!(files(&node) < all && files(&node) > 1);
    assert_eq!(node.store.view(|view| view.open_in(letters)), 1);
    assert_eq!(
        node.store.view(|view| view.open_letter_bytes(letters)),
        bytes()
    );
    assert_eq!(purge(&mut node, letters, &[half]), 1);
    look(&mut node);
    assert!(files(&node) <= 1, "{} files", files(&node));
    assert_eq!(tail(&node).next, Ordinal(COUNT + 1), "ordinals go on");
}

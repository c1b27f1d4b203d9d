//! Commits that nobody waits for gather for a frame that is written for something else (commit and storage
//! rules §3).

use std::{
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
};

use fnctl_core::{
    commit::{AttemptMark, Commit, CommitAnswer},
    committer::{Committer, Ticket},
    id::{FunctionVersion, LeaseEpoch, Ordinal, ShardNumber, SlotId, Timestamp, UnitId},
    settled::SettledRanges,
};

use super::schedules::{commit, lease, unit_on};
use crate::{
    CommitTicket,
    disk::simulated::SimDisk,
    limits::CHARGES_LINGER_ENTRIES,
    testing::{ManualClock, Node, records},
};

/// A node with one unit on four records.
fn node() -> (Node, UnitId, LeaseEpoch) {
    let clock = ManualClock::new();
    let mut node = Node::open("/data".as_ref(), SimDisk::new(1), &clock);
    let stream = node.create_stream("s", 1);
    node.put("s", records(&["a", "b", "c", "d"]));
    let unit = unit_on(&mut node, stream);
    let epoch = lease(&mut node, unit);
    (node, unit, epoch)
}

/// Record 1 failed.
fn charge(unit: UnitId, epoch: LeaseEpoch, number: u64) -> Commit {
    let mark = AttemptMark {
        position: Ordinal(1),
        count: 1,
        version: FunctionVersion(1),
        next_retry: Timestamp(5),
        is_in_hand: false,
        cause: None,
    };
    Commit {
        settles: SettledRanges::new(),
        attempts: vec![mark],
        ..commit(unit, epoch, number, (0, 1), &[])
    }
}

fn handed_in(node: &Node, commit: Commit) -> CommitTicket {
    let mut ticket = node.store.commit(commit);
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(answer) = pin!(ticket.answer()).poll(&mut context) else {
        panic!("a commit is answered at once");
    };
    assert!(
        matches!(answer, Ok(CommitAnswer::Accepted(_))),
        "{answer:?}"
    );
    ticket
}

fn is_durable(ticket: &mut CommitTicket) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    pin!(ticket.durable()).poll(&mut context).is_ready()
}

fn is_urgent(node: &Node) -> bool {
    node.store.shared.lock_sequencer().frame_is_urgent()
}

#[test]
fn a_charge_alone_is_not_urgent_and_is_written_with_what_is() {
    let (mut node, unit, epoch) = node();
    let mut charged = handed_in(&node, charge(unit, epoch, 1));
    assert!(!is_urgent(&node));
    assert!(!is_durable(&mut charged));
    let frames = node.store.stats().frames;
    node.put("s", records(&["e"]));
    assert!(is_durable(&mut charged));
    assert_eq!(node.store.stats().frames, frames + 1);
}

#[test]
fn what_somebody_waits_for_is_urgent() {
    let other_slot = |commit: Commit| Commit {
        slot: SlotId::Retry,
        number: 1,
        ..commit
    };
    type Make = Box<dyn Fn(UnitId, LeaseEpoch) -> Commit>;
    let seconds: [(&str, Make); 3] = [
        ("settles", Box::new(|u, e| commit(u, e, 2, (1, 2), &[]))),
        // Behind two that are not synced its slot makes no call.
        ("the same slot", Box::new(|u, e| charge(u, e, 2))),
        (
            "the same unit",
            Box::new(move |u, e| other_slot(charge(u, e, 1))),
        ),
    ];
    for (what, second) in seconds {
        let (mut node, unit, epoch) = node();
        let mut first = handed_in(&node, charge(unit, epoch, 1));
        assert!(!is_urgent(&node));
        let mut second = handed_in(&node, second(unit, epoch));
        assert!(is_urgent(&node), "{what}");
        node.write().unwrap();
        assert!(is_durable(&mut first) && is_durable(&mut second), "{what}");
        assert!(!is_urgent(&node), "{what}");
    }
}

#[test]
fn a_mark_in_front_of_a_call_and_what_takes_it_back_are_urgent() {
    let (mut node, unit, epoch) = node();
    let mut marked = charge(unit, epoch, 1);
    marked.attempts[0].is_in_hand = true;
    handed_in(&node, marked);
    assert!(is_urgent(&node));
    node.write().unwrap();
    handed_in(&node, charge(unit, epoch, 2));
    assert!(is_urgent(&node));
    node.write().unwrap();
    handed_in(&node, charge(unit, epoch, 3));
    assert!(!is_urgent(&node));
}

#[test]
fn few_commits_linger_together() {
    let clock = ManualClock::new();
    let mut node = Node::open("/data".as_ref(), SimDisk::new(1), &clock);
    let shards = u32::try_from(CHARGES_LINGER_ENTRIES).unwrap() + 1;
    let stream = node.create_stream("s", shards);
    let first = unit_on(&mut node, stream);
    let units = (0..shards).map(|shard| UnitId {
        shard: ShardNumber(shard),
        ..first
    });
    let leased: Vec<_> = units.map(|unit| (unit, lease(&mut node, unit))).collect();
    for (unit, epoch) in leased {
        assert!(!is_urgent(&node));
        handed_in(&node, charge(unit, epoch, 1));
    }
    assert!(is_urgent(&node));
}

/// Tells a thread that waits.
struct Tell(mpsc::Sender<()>);

impl Wake for Tell {
    fn wake(self: Arc<Self>) {
        self.0.send(()).unwrap_or_default();
    }
}

#[test]
fn a_charge_becomes_durable_though_nothing_else_comes() {
    let (node, unit, epoch) = node();
    let Node { store, loops } = node;
    let sequencer = std::thread::spawn(move || loops.sequencer.run());
    // From a short sleep and from a long one.
    for number in 1..4 {
        let mut ticket = store.commit(charge(unit, epoch, number));
        let (tell, told) = mpsc::channel();
        let waker = Waker::from(Arc::new(Tell(tell)));
        let mut context = Context::from_waker(&waker);
        let mut durable = pin!(ticket.durable());
        while durable.as_mut().poll(&mut context).is_pending() {
            told.recv().unwrap();
        }
    }
    store.shutdown();
    drop(loops.applier);
    sequencer.join().unwrap().unwrap();
}

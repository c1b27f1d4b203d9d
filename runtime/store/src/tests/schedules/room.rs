//! Ways out of a full disk, and of one that fails in passing.

use std::task::Poll;

use fnctl_core::{
    committer::{Committer, Ticket},
    id::{Ordinal, ShardNumber, StreamName},
};

use super::{Machine, Put, commit, lease, options, payload, payloads, poll, unanswered, unit_on};
use crate::{
    AppendError, Options, Step,
    disk::{Disk as _, simulated::Fault},
    testing::{Node, records},
};

/// Steps both loops to their end, which a shutdown must come to whatever the disk does.
fn end(node: &mut Node) {
    for _ in 0..10 {
        let written = node.loops.sequencer.step().unwrap();
        let applied = node.loops.applier.step().unwrap();
        if (written, applied) == (Step::Finished, Step::Finished) {
            return;
        }
    }
    panic!("the loops do not end");
}

#[test]
fn a_shutdown_on_a_full_disk_answers_what_waits_for_room_and_ends() {
    let machine = Machine::new(50);
    let options = Options {
        unapplied_bytes_max: 50,
        ..options()
    };
    let mut node = Node::open_with(options, machine.disk.clone(), &machine.clock);
    let stream = node.create_stream("s", 1);
    // Every entry takes of the budget until it is applied.
    node.settle().unwrap();
    let unit = unit_on(&mut node, stream);
    node.settle().unwrap();
    let epoch = lease(&mut node, unit);
    machine.cut(&mut node);
    machine.disk.set_capacity(machine.disk.used());

    let mut puts: Vec<Put> = (0..20)
        .map(|number| unanswered(&node, stream, number))
        .collect();
    let mut ticket = node.store.commit(commit(unit, epoch, 1, (0, 1), &[]));
    node.write().unwrap();
    puts.retain_mut(|put| poll(put).is_pending());
    let taken = 20 - puts.len() as u64;
    assert!(taken > 0 && !puts.is_empty(), "{taken} puts were taken");
    machine.clock.advance(3_000);
    node.settle().unwrap();
    assert!(puts.iter_mut().all(|put| poll(put).is_pending()));

    node.store.shutdown();
    for put in &mut puts {
        let answer = poll(put);
        assert!(
            matches!(answer, Poll::Ready(Err(AppendError::Stopped(_)))),
            "{answer:?}"
        );
    }
    assert!(node.run(ticket.answer()).unwrap().is_err());
    end(&mut node);
    assert!(
        node.store.stats().cut < node.store.published(),
        "there was no room"
    );

    drop((node, ticket, puts));
    machine.disk.set_capacity(u64::MAX);
    assert_eq!(machine.start().read_all(stream, 0), payloads(taken));
}

#[test]
fn a_shutdown_writes_what_was_taken_and_waits_for_no_cut() {
    let machine = Machine::new(51);
    let (mut node, stream) = machine.with_records(3);
    let mut put = unanswered(&node, stream, 3);
    node.store.shutdown();
    end(&mut node);
    assert!(matches!(poll(&mut put), Poll::Ready(Ok(_))));
    assert_eq!(node.store.stats().cut, node.store.published());
    drop((node, put));
    assert_eq!(machine.start().read_all(stream, 0), payloads(4));
}

#[test]
fn sealing_what_expired_waits_for_room() {
    let machine = Machine::new(52);
    let (mut node, stream) = machine.with_records(3);
    machine.cut(&mut node);
    machine.clock.advance(25 * 60 * 60 * 1000);
    let full = machine.disk.counts().full_writes;
    machine.disk.set_capacity(machine.disk.used());
    node.loops.applier.step().unwrap();
    assert!(
        machine.disk.counts().full_writes > full,
        "sealing takes room"
    );
    assert_eq!(node.read_all(stream, 0), payloads(3));
    machine.disk.set_capacity(u64::MAX);
    for _ in 0..3 {
        machine.clock.advance(3_000);
        node.settle().unwrap();
    }
    assert!(node.read_all(stream, 0).is_empty());
}

#[test]
fn a_spare_journal_file_that_fails_by_more_than_want_of_room_stops_the_node() {
    for (fault, goes_on) in [(Fault::FailedSync, false), (Fault::NoRoom, true)] {
        let machine = Machine::new(53);
        let (mut node, _) = machine.with_records(1);
        machine.disk.plan(1, fault);
        assert_eq!(node.loops.applier.step().is_ok(), goes_on, "{fault:?}");
        assert_eq!(machine.disk.counts().failed_syncs, u64::from(!goes_on));
        let mut put = unanswered_or_stopped(&node);
        assert_eq!(poll(&mut put).is_pending(), goes_on, "{fault:?}");
    }
}

fn unanswered_or_stopped(node: &Node) -> Put {
    let store = node.store.clone();
    Box::pin(async move {
        let name = StreamName::parse("s").unwrap();
        store.append(name, records(&[payload(9)]), None).await
    })
}

#[test]
fn a_start_on_a_full_disk_without_a_ballast_serves_reads() {
    let machine = Machine::new(54);
    let (node, stream) = machine.with_records(3);
    drop(node);
    machine.disk.set_capacity(0);
    let node = machine.start();
    let words = node.store.read_only().expect("nothing can be taken");
    assert!(words.contains("the disk is full"), "{words}");
    assert_eq!(node.read_all(stream, 0), payloads(3));
    drop(node);
    machine.disk.set_capacity(u64::MAX);
    let mut node = machine.start();
    assert_eq!(node.store.read_only(), None);
    node.put("s", records(&[payload(3)]));
    assert_eq!(node.read_all(stream, 0), payloads(4));
}

#[test]
fn a_file_that_is_missing_in_front_of_one_without_frames_is_a_hole() {
    let machine = Machine::new(55);
    let (node, stream) = machine.with_records(3);
    drop(node);
    machine.disk.power_loss();
    let mut node = machine.start();
    node.put("s", records(&[payload(3)]));
    node.store.shutdown();
    // The journal is ended; there is no last cut.
    while node.loops.sequencer.step().unwrap() != Step::Finished {}
    drop(node);
    // Nothing but the header of a file.
    drop(machine.start());
    let mut journals = machine.disk.files();
    journals.retain(|path| path.extension().is_some_and(|e| e == "journal"));
    assert_eq!(journals.len(), 3, "{journals:?}");
    machine.disk.remove(&journals[1]).unwrap();
    let node = machine.start();
    assert!(
        node.store.read_only().is_some(),
        "an acknowledged put is gone"
    );
    let last = node.store.view(|view| {
        let tail = view.tail(stream, ShardNumber(0)).unwrap();
        tail.last()
    });
    assert!(last <= Ordinal(3));
}

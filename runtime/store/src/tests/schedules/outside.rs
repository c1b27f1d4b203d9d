//! What comes from outside: names, clocks, disks that fill, uploads.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use fnctl_core::{
    commit::{Commit, CommitAnswer, Unavailable},
    committer::{Committer, Ticket},
    id::{Ordinal, ShardNumber, StreamName},
    registry::Command,
    view::NodeView,
};

use super::{Machine, answered, commit, lease, options, payload, payloads, unit_on};
use crate::{
    AppendError, OpenError, Options, Room, Step,
    limits::UNLINKS_PER_TURN,
    open,
    testing::{Node, dead_letter, records},
};

#[test]
fn schedule_29_outputs_go_to_whichever_stream_has_the_name_when_the_commit_is_taken() {
    let machine = Machine::new(29);
    let (mut node, stream) = machine.with_records(3);
    let first = node.create_stream("out", 1);
    let unit = unit_on(&mut node, stream);
    let epoch = lease(&mut node, unit);
    let store = node.store.clone();
    let name = StreamName::parse("out").unwrap();
    let delete = Command::DeleteStream {
        name: name.clone(),
        force: true,
    };
    node.run(store.command(delete)).unwrap().unwrap();

    let mut ticket = node.store.commit(commit(unit, epoch, 1, (0, 3), &["out"]));
    let answer = node.run(ticket.answer()).unwrap().unwrap();
    assert_eq!(
        answer,
        CommitAnswer::Unavailable(Unavailable::NoSuchOutput(name))
    );
    let second = node.create_stream("out", 1);
    assert!(second > first, "ids are never used twice");
    let mut ticket = node.store.commit(commit(unit, epoch, 1, (0, 3), &["out"]));
    assert!(matches!(
        node.run(ticket.answer()).unwrap(),
        Ok(CommitAnswer::Accepted(_))
    ));
    node.run(ticket.durable()).unwrap().unwrap();
    assert_eq!(node.read_all(second, 0).len(), 3);
}

#[test]
fn schedule_31_a_mapping_that_stands_still_holds_the_floor_and_not_the_horizon() {
    let machine = Machine::new(31);
    let (mut node, stream) = machine.with_records(30);
    let unit = unit_on(&mut node, stream);
    let epoch = lease(&mut node, unit);
    let mut ticket = node.store.commit(commit(unit, epoch, 1, (0, 5), &[]));
    node.run(ticket.durable()).unwrap().unwrap();
    machine.cut(&mut node);
    machine.clock.advance(25 * 60 * 60 * 1000);
    for _ in 0..3 {
        machine.clock.advance(3_000);
        node.settle().unwrap();
    }
    let tail = node
        .store
        .view(|view| *view.tail(stream, ShardNumber(0)).unwrap());
    assert_eq!((tail.floor, tail.horizon), (Ordinal(6), Ordinal(31)));
    let held = node
        .store
        .read(stream, ShardNumber(0), Ordinal(5), 1, 1 << 20)
        .unwrap();
    assert_eq!(held[0].first, Ordinal(6));
}

#[test]
fn schedule_36_a_wall_clock_that_leaps_ten_years_deletes_nothing_and_reorders_nothing() {
    const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 60 * 60 * 1000;
    for leap in [TEN_YEARS_MS, -TEN_YEARS_MS] {
        let machine = Machine::new(36);
        let (mut node, stream) = machine.with_records(10);
        machine.cut(&mut node);
        machine.clock.jump(leap);
        for number in 10..20 {
            node.put("s", records(&[payload(number)]));
            machine.clock.advance(3_000);
            node.settle().unwrap();
        }
        assert_eq!(node.read_all(stream, 0), payloads(20));
        drop(node);
        // A restart believes the wall clock, but for a day of retention at most.
        let mut node = machine.start();
        machine.clock.advance(3_000);
        node.settle().unwrap();
        let blocks = node
            .store
            .read(stream, ShardNumber(0), Ordinal(0), 100, 1 << 20)
            .unwrap();
        let arrivals: Vec<u64> = blocks
            .iter()
            .flat_map(|block| block.records.arrival_ms.clone())
            .collect();
        assert!(arrivals.is_sorted(), "{arrivals:?}");
    }
}

#[test]
fn schedule_37_writes_are_refused_in_tiers_before_the_disk_is_full_and_a_full_one_opens() {
    let machine = Machine::new(37);
    let options = || Options {
        unapplied_bytes_max: 64 << 10,
        ballast_bytes: 32 << 10,
        ..options()
    };
    let mut node = Node::open_with(options(), machine.disk.clone(), &machine.clock);
    let stream = node.create_stream("s", 1);
    node.create_stream("out", 1);
    let unit = unit_on(&mut node, stream);
    let epoch = lease(&mut node, unit);
    for number in 0..10 {
        node.put("s", records(&[payload(number)]));
    }
    machine.cut(&mut node);
    let used: u64 = {
        let files = machine.disk.files();
        files
            .iter()
            .map(|file| machine.disk.read(file).unwrap().len() as u64)
            .sum()
    };
    let reserve = node.store.stats().reserve_bytes;
    let refill = |node: &mut Node, free: u64, room: Room| {
        machine.disk.set_capacity(used + free);
        machine.clock.advance(1_000);
        node.settle().unwrap();
        assert_eq!(node.store.stats().room, room);
    };

    refill(&mut node, reserve + (40 << 10), Room::Outputs);
    let store = node.store.clone();
    let refused = node
        .run(store.append(stream, records(&["no"]), None))
        .unwrap();
    assert_eq!(refused, Err(AppendError::DiskFull));
    let answer = answered(&mut node, commit(unit, epoch, 1, (0, 1), &["out"]));
    assert!(matches!(answer, CommitAnswer::Accepted(_)));

    refill(&mut node, reserve - (10 << 10), Room::Settling);
    let answer = answered(&mut node, commit(unit, epoch, 2, (1, 2), &["out"]));
    assert_eq!(answer, CommitAnswer::Unavailable(Unavailable::DiskFull));
    let answer = answered(&mut node, commit(unit, epoch, 2, (1, 2), &[]));
    assert!(matches!(answer, CommitAnswer::Accepted(_)));
    node.settle().unwrap();

    // Somebody else fills the rest: the ballast makes room for a start, and reads go on.
    drop((node, store));
    machine.disk.set_capacity(used);
    let node = Node::open_with(options(), machine.disk.clone(), &machine.clock);
    assert_eq!(node.read_all(stream, 0).len(), 10);
    assert!(node.store.stats().room >= Room::Outputs);
    drop(node);
    let node = Node::open_with(options(), machine.disk.clone(), &machine.clock);
    assert_eq!(node.read_all(stream, 0).len(), 10);

    // Room returns, and so does service.
    machine.disk.set_capacity(u64::MAX);
    drop(node);
    let mut node = Node::open_with(options(), machine.disk.clone(), &machine.clock);
    node.settle().unwrap();
    node.put("s", records(&["yes"]));
}

#[test]
fn schedule_38_an_artefact_that_is_being_deployed_is_not_collected() {
    let machine = Machine::new(38);
    let node = machine.start();
    let pin = node.store.put_artifact(b"component").unwrap();
    let digest = Arc::clone(pin.digest());
    let artifacts = &node.store.shared.artifacts;
    artifacts.collect(BTreeSet::new).unwrap();
    assert_eq!(node.store.artifact(&digest).unwrap(), b"component");
    // A second upload of the same bytes holds it as well.
    let second = node.store.put_artifact(b"component").unwrap();
    drop(pin);
    artifacts.collect(BTreeSet::new).unwrap();
    assert!(node.store.artifact(&digest).is_ok());
    drop(second);
    artifacts.collect(|| [Arc::clone(&digest)].into()).unwrap();
    assert!(node.store.artifact(&digest).is_ok(), "a version names it");
    artifacts.collect(BTreeSet::new).unwrap();
    assert!(node.store.artifact(&digest).is_err());
}

/// 38, as a race: uploads of few digests, deploys that name some of them, and a collector that never
/// rests. Whatever is pinned or named is there, at every moment.
#[test]
fn schedule_38_uploads_race_the_collector_and_nothing_named_is_lost() {
    let machine = Machine::new(38);
    let node = machine.start();
    let artifacts = &node.store.shared.artifacts;
    let named = Mutex::new(BTreeSet::new());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let uploads: Vec<_> = (0..3_u8)
            .map(|uploader| {
                let named = &named;
                scope.spawn(move || {
                    for round in 0..300_u32 {
                        let component = [uploader, (round % 7) as u8];
                        let pin = artifacts.put(&component).unwrap();
                        let digest = Arc::clone(pin.digest());
                        assert_eq!(artifacts.get(&digest).unwrap(), component, "pinned");
                        if round % 3 == 0 {
                            // The entry is published, and then the pin goes.
                            named.lock().unwrap().insert(Arc::clone(&digest));
                            drop(pin);
                            assert_eq!(artifacts.get(&digest).unwrap(), component, "named");
                            named.lock().unwrap().remove(&digest);
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                artifacts.collect(|| named.lock().unwrap().clone()).unwrap();
            }
        });
        for upload in uploads {
            upload.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    artifacts.collect(BTreeSet::new).unwrap();
    let is_artifact = |file: &Path| file.starts_with("/data/artifacts");
    assert!(!machine.disk.files().iter().any(|file| is_artifact(file)));
}

/// 27, as far as nothing is redriven: full dead letters hold the lane, and nothing is lost or taken
/// twice.
#[test]
fn schedule_27_full_dead_letters_hold_the_commit_until_there_is_room() {
    let machine = Machine::new(27);
    let (mut node, stream) = machine.with_records(3);
    let unit = unit_on(&mut node, stream);
    let store = node.store.clone();
    drop((node, store));
    let letter = dead_letter(ShardNumber(0), Ordinal(1));
    let with_letters = |bytes| Options {
        dead_letter_bytes_max: bytes,
        ..options()
    };
    let room_for_one = letter.byte_len() + letter.byte_len() / 2;
    let mut node = Node::open_with(
        with_letters(room_for_one),
        machine.disk.clone(),
        &machine.clock,
    );
    let epoch = lease(&mut node, unit);
    let giving_up = |number, through: u64| Commit {
        dead_letters: vec![dead_letter(ShardNumber(0), Ordinal(through))],
        ..commit(unit, epoch, number, (through - 1, through), &[])
    };
    let is_taken = |answer: &CommitAnswer| matches!(answer, CommitAnswer::Accepted(_));
    assert!(is_taken(&answered(&mut node, giving_up(1, 1))));
    for _ in 0..3 {
        let answer = answered(&mut node, giving_up(2, 2));
        assert_eq!(
            answer,
            CommitAnswer::Unavailable(Unavailable::DeadLettersFull)
        );
    }
    // What needs no letter goes on, under the number that was not used.
    let other = commit(unit, epoch, 2, (2, 3), &[]);
    assert!(is_taken(&answered(&mut node, other)));
    node.settle().unwrap();
    drop(node);
    // There is room again: the record has one end.
    let mut node = Node::open_with(with_letters(1 << 20), machine.disk.clone(), &machine.clock);
    let epoch = lease(&mut node, unit);
    let again = Commit {
        epoch,
        ..giving_up(1, 2)
    };
    assert!(is_taken(&answered(&mut node, again)));
    node.settle().unwrap();
    let view = |view: &NodeView| (view.open_letters(unit.mapping), view.pending(unit));
    assert_eq!(node.store.view(view), (2, Some(0)));
}

#[test]
fn a_newer_data_directory_is_refused() {
    let machine = Machine::new(0);
    drop(machine.start());
    machine.disk.tamper(Path::new("/data/format"), |bytes| {
        *bytes = b"fnctl data directory, format 2\n".to_vec();
    });
    let opened = open(options(), machine.disk.clone(), Arc::clone(&machine.clock));
    assert!(matches!(opened, Err(OpenError::NewerVersion { .. })));
}

#[test]
fn the_view_after_a_restart_is_the_view_before() {
    for is_cut in [false, true] {
        let machine = Machine::new(1);
        let (mut node, stream) = machine.with_records(5);
        let unit = unit_on(&mut node, stream);
        let epoch = lease(&mut node, unit);
        let mut ticket = node.store.commit(commit(unit, epoch, 1, (0, 2), &[]));
        node.run(ticket.durable()).unwrap().unwrap();
        if is_cut {
            machine.cut(&mut node);
        }
        let values = |view: &NodeView| view.values().collect::<Vec<_>>();
        let before = node.store.view(values);
        drop(node);
        machine.disk.lose_unsynced();
        assert_eq!(machine.start().store.view(values), before);
    }
}

#[test]
fn what_expired_is_unlinked_a_few_files_a_turn_and_all_of_it() {
    let machine = Machine::new(5);
    let (mut node, stream) = machine.with_records(200);
    machine.cut(&mut node);
    let segments = |machine: &Machine| {
        let files = machine.disk.files();
        files.iter().filter(|file| super::is_segment(file)).count()
    };
    let mut before = segments(&machine);
    assert!(before > 3 * UNLINKS_PER_TURN);
    machine.clock.advance(25 * 60 * 60 * 1000);
    for _ in 0..1_000 {
        let step = node.loops.applier.step().unwrap();
        node.write().unwrap();
        let now = segments(&machine);
        assert!(
            before.saturating_sub(now) <= UNLINKS_PER_TURN,
            "{before} {now}"
        );
        before = now;
        if step == Step::Idle {
            machine.clock.advance(1_000);
        }
    }
    assert!(before <= 1, "{before} are left");
    assert_eq!(node.read_all(stream, 0), Vec::<Vec<u8>>::new());
}

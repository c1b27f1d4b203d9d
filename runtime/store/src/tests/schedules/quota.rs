//! Streams with a bound of bytes: what is refused, what goes, and what a restart remembers.

use fnctl_core::{
    commit::{Commit, CommitAnswer, Unavailable},
    id::{Ordinal, ShardNumber, StreamId, StreamName},
    registry::Command,
    shard::StreamOptions,
    spec::{Setting, StreamSpec},
};

use super::{Machine, answered, commit, lease, payload, unit_on};
use crate::{
    AppendError, Appended,
    testing::{Node, create_stream, records},
};

/// A stream with bounds smaller than anybody may ask for.
fn bounded(node: &mut Node, name: &str, options: StreamOptions) -> StreamId {
    let Command::CreateStream { name, mut settings } = create_stream(name, 1) else {
        unreachable!("it makes a stream");
    };
    settings.options = options;
    let store = node.store.clone();
    let command = Command::CreateStream {
        name: name.clone(),
        settings,
    };
    node.run(store.command(command)).unwrap().unwrap();
    let found = |view: &fnctl_core::view::NodeView| view.registry().stream_by_name(&name).cloned();
    node.store.view(found).unwrap().id
}

fn put(node: &mut Node, stream: StreamId, number: u64) -> Result<Appended, AppendError> {
    let store = node.store.clone();
    let records = records(&[payload(number)]);
    node.run(store.append(stream, records, None)).unwrap()
}

fn look(machine: &Machine, node: &mut Node) {
    for _ in 0..4 {
        machine.clock.advance(3_000);
        node.settle().unwrap();
    }
}

fn floor_and_horizon(node: &Node, stream: StreamId) -> (Ordinal, Ordinal) {
    let tail = |view: &fnctl_core::view::NodeView| *view.tail(stream, ShardNumber(0)).unwrap();
    let tail = node.store.view(tail);
    (tail.floor, tail.horizon)
}

const QUOTA: u64 = 20 << 10;
/// What is on its way is weighed; heads of frames and files come on top when it lies there.
const STORED_MAX: u64 = QUOTA + QUOTA / 10;

fn quota() -> StreamOptions {
    StreamOptions {
        quota_bytes: Some(QUOTA),
        ..StreamOptions::default()
    }
}

/// Puts until one is refused; answers how many were taken.
fn fill(machine: &Machine, node: &mut Node, stream: StreamId) -> u64 {
    for number in 0..10_000 {
        match put(node, stream, number) {
            Ok(_) => {}
            Err(AppendError::OverQuota(over)) => {
                assert_eq!(over.quota_bytes, QUOTA);
                return number;
            }
            Err(error) => panic!("{error}"),
        }
        if number % 7 == 0 {
            machine.clock.advance(100);
            node.settle().unwrap();
        }
    }
    panic!("nothing is ever refused");
}

#[test]
fn a_stream_at_its_quota_takes_nothing_more_and_says_the_same_after_a_restart() {
    let machine = Machine::new(1);
    let mut node = machine.start();
    let stream = bounded(&mut node, "q", quota());
    let other = node.create_stream("other", 1);
    let taken = fill(&machine, &mut node, stream);
    assert!(taken > 50, "{taken}");
    assert!(node.store.stored_bytes(stream) <= STORED_MAX);
    put(&mut node, other, 1).unwrap();
    look(&machine, &mut node);
    assert_eq!(node.read_all(stream, 0).len() as u64, taken);
    let segments: usize = machine
        .disk
        .files()
        .iter()
        .filter(|file| {
            super::is_segment(file) && file.to_string_lossy().contains(&format!("/{stream}/"))
        })
        .map(|file| machine.disk.read(file).unwrap().len())
        .sum();
    assert_eq!(node.store.stored_bytes(stream), segments as u64);
    drop(node);

    let mut node = machine.start();
    let before = node.store.stored_bytes(stream);
    assert!(before <= STORED_MAX && before > QUOTA / 2, "{before}");
    let refused = loop {
        if let Err(error) = put(&mut node, stream, 0) {
            break error;
        }
    };
    assert!(matches!(refused, AppendError::OverQuota(_)), "{refused}");
    // A restart that redoes all of it from the journal counts the same.
    let waiting = node.store.stored_bytes(stream);
    assert!(waiting <= STORED_MAX);

    // Age takes all of it, and there is room at once.
    machine.clock.advance(25 * 60 * 60 * 1000);
    look(&machine, &mut node);
    assert!(node.store.stored_bytes(stream) < QUOTA / 4);
    put(&mut node, stream, 0).unwrap();
}

#[test]
fn beyond_its_size_the_oldest_records_go_and_their_space_comes_back() {
    const BOUND: u64 = 20 << 10;
    let machine = Machine::new(2);
    let mut node = machine.start();
    let options = StreamOptions {
        retention_bytes: Some(BOUND),
        ..StreamOptions::default()
    };
    let stream = bounded(&mut node, "q", options);
    for number in 0..1_000 {
        put(&mut node, stream, number).unwrap();
        if number % 20 == 0 {
            machine.clock.advance(1_000);
            node.settle().unwrap();
        }
    }
    look(&machine, &mut node);
    let stored = node.store.stored_bytes(stream);
    assert!(stored <= BOUND && stored > BOUND / 2, "{stored}");
    let kept = node.read_all(stream, 0);
    assert_eq!(kept.last(), Some(&payload(999)));
    assert!(kept.len() > 50 && kept.len() < 400, "{}", kept.len());
    let (floor, horizon) = floor_and_horizon(&node, stream);
    assert_eq!(floor, horizon, "nobody holds anything");
}

#[test]
fn what_no_mapping_has_settled_stays_until_the_quota_and_is_then_expired_and_counted() {
    let machine = Machine::new(3);
    let mut node = machine.start();
    let options = StreamOptions {
        retention_bytes: Some(QUOTA / 2),
        ..quota()
    };
    let stream = bounded(&mut node, "s", options);
    let unit = unit_on(&mut node, stream);
    // More than is shown, less than the quota: all of it is there for the mapping.
    for number in 0..100 {
        put(&mut node, stream, number).unwrap();
        node.settle().unwrap();
        machine.clock.advance(200);
    }
    look(&machine, &mut node);
    let (floor, horizon) = floor_and_horizon(&node, stream);
    assert_eq!(floor, Ordinal(1));
    assert!(horizon > Ordinal(1), "the bound hides the oldest");
    assert_eq!(node.read_all(stream, 0).len(), 100);

    // At the quota the mapping is not waited for any longer, and puts go on.
    let mut refusals = 0;
    for number in 100..400 {
        while let Err(error) = put(&mut node, stream, number) {
            assert!(matches!(error, AppendError::OverQuota(_)), "{error}");
            refusals += 1;
            assert!(refusals < 1_000, "there is never room");
            look(&machine, &mut node);
        }
    }
    assert!(refusals > 0);
    let (floor, _) = floor_and_horizon(&node, stream);
    assert!(floor > Ordinal(1));
    let (expired, pending, watermark) = node.store.view(|view| {
        let found = view.unit(unit).unwrap();
        (
            found.totals.expired,
            view.pending(unit).unwrap(),
            found.settled.low_watermark(),
        )
    });
    assert_eq!(expired, watermark.0, "each of them is counted");
    assert_eq!(expired + pending, 400, "and none is lost without a word");
}

#[test]
fn a_full_output_stream_holds_the_commit_until_there_is_room() {
    let machine = Machine::new(4);
    let (mut node, stream) = machine.with_records(3);
    let out = bounded(&mut node, "out", quota());
    let unit = unit_on(&mut node, stream);
    let epoch = lease(&mut node, unit);
    fill(&machine, &mut node, out);
    let with_output = |number| Commit {
        outputs: vec![fnctl_core::commit::OutputRecords {
            stream: StreamName::parse("out").unwrap(),
            records: records(&[payload(1)]),
        }],
        ..commit(unit, epoch, number, (0, 1), &[])
    };
    for _ in 0..3 {
        let answer = answered(&mut node, with_output(1));
        let Unavailable::OutputFull(name) = (match answer {
            CommitAnswer::Unavailable(why) => why,
            other => panic!("{other:?}"),
        }) else {
            panic!("another reason");
        };
        assert_eq!(name.as_str(), "out");
    }
    // What writes nothing goes on, under the number that was not used.
    let other = commit(unit, epoch, 1, (1, 2), &[]);
    assert!(matches!(
        answered(&mut node, other),
        CommitAnswer::Accepted(_)
    ));
    let raise = Command::AlterStream {
        name: StreamName::parse("out").unwrap(),
        spec: StreamSpec {
            quota: Some(Setting::Default),
            ..StreamSpec::default()
        },
    };
    let store = node.store.clone();
    node.run(store.command(raise)).unwrap().unwrap();
    let answer = answered(&mut node, with_output(2));
    assert!(matches!(answer, CommitAnswer::Accepted(_)), "{answer:?}");
}

#[test]
fn what_was_held_goes_as_soon_as_its_mapping_has_settled_it_though_nothing_is_put_any_more() {
    let machine = Machine::new(5);
    let mut node = machine.start();
    let options = StreamOptions {
        retention_bytes: Some(QUOTA / 2),
        ..StreamOptions::default()
    };
    let stream = bounded(&mut node, "s", options);
    let unit = unit_on(&mut node, stream);
    let epoch = lease(&mut node, unit);
    for number in 0..150 {
        put(&mut node, stream, number).unwrap();
        node.settle().unwrap();
    }
    look(&machine, &mut node);
    let (floor, horizon) = floor_and_horizon(&node, stream);
    assert!(floor == Ordinal(1) && horizon > floor);
    let held = node.store.stored_bytes(stream);
    assert!(held > QUOTA / 2, "without a quota it waits for the mapping");
    let answer = answered(&mut node, commit(unit, epoch, 1, (0, 150), &[]));
    assert!(matches!(answer, CommitAnswer::Accepted(_)));
    look(&machine, &mut node);
    let (floor, after) = floor_and_horizon(&node, stream);
    assert_eq!((floor, after), (horizon, horizon));
    assert!(node.store.stored_bytes(stream) <= QUOTA / 2);
    let expired = |view: &fnctl_core::view::NodeView| view.unit(unit).unwrap().totals.expired;
    assert_eq!(node.store.view(expired), 0);
}

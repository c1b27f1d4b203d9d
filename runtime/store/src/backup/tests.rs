//! A restored directory is the original as of the moment of the backup, whatever happened meanwhile.

mod crash;

use std::{
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use fnctl_core::{
    id::{Lsn, Ordinal, ShardNumber, StreamId, StreamName, Timestamp},
    registry::Command,
    view::{Value, ValueKey},
};

use super::{
    Backup, BackupError,
    archive::Reader,
    copy::Sent,
    directory::{Checker, DirectoryError, Receiver, Stored},
    restore::{RestoreError, restore},
};
use crate::{
    Options, Sizes,
    disk::{Disk, simulated::SimDisk},
    testing::{ManualClock, Node, add_mapping, records},
};

const TO: &str = "/backup";

fn options(directory: &str) -> Options {
    Options {
        ballast_bytes: 0,
        tail_bytes_max: 0,
        sizes: Sizes {
            journal_file: 8 << 10,
            segment: 2 << 10,
            segment_frame: 256,
            ..Sizes::default()
        },
        ..Options::new(directory)
    }
}

fn payload(number: u64) -> Vec<u8> {
    format!("{number:0>90}").into_bytes()
}

/// A store with a stream of two shards, a mapping on it and some records, part of them in segments.
fn filled(disk: &SimDisk, clock: &Arc<ManualClock>) -> (Node, StreamId) {
    filled_at("/data", disk, clock)
}

fn filled_at(data: &str, disk: &SimDisk, clock: &Arc<ManualClock>) -> (Node, StreamId) {
    let mut node = Node::open_with(options(data), disk.clone(), clock);
    let stream = node.create_stream("s", 2);
    let store = node.store.clone();
    node.run(add_mapping(&store, "s")).unwrap().unwrap();
    put(&mut node, 0..40);
    clock.advance(3_000);
    node.settle().unwrap();
    put(&mut node, 40..60);
    (node, stream)
}

fn put(node: &mut Node, numbers: std::ops::Range<u64>) {
    for number in numbers {
        node.put("s", records(&[payload(number)]));
    }
}

fn begin(node: &mut Node) -> Backup {
    let store = node.store.clone();
    let mut asked = pin!(store.begin_backup());
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(backup) = asked.as_mut().poll(&mut context) {
            return backup.unwrap();
        }
        node.loops.applier.step().unwrap();
    }
}

fn send(backup: Backup, disk: &SimDisk, to: &str) -> Result<(Sent, Stored), DirectoryError> {
    let mut receiver = Receiver::open(Arc::new(disk.clone()), Path::new(to))?;
    let prepared = backup
        .prepare(receiver.kept(), &["secret"], Timestamp(7))
        .unwrap();
    let mut reader = Reader::default();
    let sent = prepared.send(&mut |bytes| {
        reader
            .push(&bytes, &mut receiver)
            .map_err(|_| BackupError::Gone)
    });
    let manifest = reader
        .finish()
        .map_err(|_| DirectoryError::NoBackup(to.into()))?;
    Ok((sent.unwrap(), receiver.finish(&manifest)?))
}

fn archive(backup: Backup) -> Vec<u8> {
    let mut bytes = Vec::new();
    let prepared = backup.prepare(&[], &[], Timestamp(7)).unwrap();
    let sink = &mut |piece: bytes::Bytes| {
        bytes.extend_from_slice(&piece);
        Ok(())
    };
    prepared.send(sink).unwrap();
    bytes
}

fn bring_back(disk: &SimDisk, from: &str, to: &str, overwrite: bool) -> Result<(), RestoreError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    restore(&disk, from.as_ref(), to.as_ref(), overwrite, &mut |_| {}).map(drop)
}

/// Everything that a store holds: values of the view, and each shard's records with place and arrival.
type All = (
    Lsn,
    Vec<(ValueKey, Value)>,
    Vec<(u64, u64, Vec<u8>, Vec<u8>)>,
);

fn all(node: &Node) -> All {
    let (mut values, shards) = node.store.view(|view| {
        let streams = view.registry().streams();
        let shards: Vec<(StreamId, ShardNumber, Ordinal)> = streams
            .flat_map(|stream| {
                view.tails(stream.id)
                    .map(move |(shard, tail)| (stream.id, shard, Ordinal(tail.floor.0 - 1)))
            })
            .collect();
        (view.values().collect::<Vec<_>>(), shards)
    });
    values.sort_by(|a, b| a.0.cmp(&b.0));
    let mut rows = Vec::new();
    for (stream, shard, mut after) in shards {
        loop {
            let blocks = node.store.read(stream, shard, after, 100, 1 << 20).unwrap();
            let Some(last) = blocks.last() else { break };
            after = last.last();
            for block in &blocks {
                rows.extend((0..block.len()).map(|row| {
                    let (key, data) = (block.records.keys.get(row), block.records.data.get(row));
                    (
                        block.ordinal(row).0,
                        block.arrival(row).0,
                        key.to_vec(),
                        data.to_vec(),
                    )
                }));
            }
        }
    }
    (node.store.published(), values, rows)
}

#[test]
fn a_backup_under_way_while_everything_moves_on_is_restored_as_of_its_moment() {
    let (disk, clock) = (SimDisk::new(1), ManualClock::new());
    let (mut node, _) = filled(&disk, &clock);
    disk.create("/data/secret".as_ref())
        .unwrap()
        .write_at(b"secret", 0)
        .unwrap();
    let backup = begin(&mut node);
    let expected = all(&node);
    assert_eq!(backup.lsn(), expected.0);
    // More records, a cut, more snapshots, and what was backed up goes.
    put(&mut node, 60..120);
    let store = node.store.clone();
    for _ in 0..3 {
        node.loops.applier.cutter.ask_for_snapshot();
        clock.advance(3_000);
        node.settle().unwrap();
    }
    let name = StreamName::parse("s").unwrap();
    let delete = Command::DeleteStream { name, force: true };
    node.run(store.command(delete)).unwrap().unwrap();
    clock.advance(3_000);
    node.settle().unwrap();
    let (sent, stored) = send(backup, &disk, TO).unwrap();
    assert_eq!((sent.damaged, stored.reused), (Vec::new(), 0));

    bring_back(&disk, TO, "/restored", false).unwrap();
    disk.lose_unsynced();
    assert_eq!(disk.read("/restored/secret".as_ref()).unwrap(), b"secret");
    let mut again = Node::open_with(options("/restored"), disk.clone(), &clock);
    assert_eq!(again.store.read_only(), None);
    assert!(all(&again) == expected);
    // It takes records where it stood, and a restart finds them.
    put(&mut again, 60..90);
    clock.advance(3_000);
    again.settle().unwrap();
    let more = all(&again);
    drop(again);
    disk.kill();
    assert!(all(&Node::open_with(options("/restored"), disk, &clock)) == more);
}

#[test]
fn what_a_backup_copies_stays_until_it_is_done() {
    let (disk, clock) = (SimDisk::new(1), ManualClock::new());
    let (mut node, stream) = filled(&disk, &clock);
    let backup = begin(&mut node);
    let directory = PathBuf::from(format!("/data/streams/{stream}"));
    let name = StreamName::parse("s").unwrap();
    let delete = Command::DeleteStream { name, force: true };
    let store = node.store.clone();
    node.run(store.command(delete)).unwrap().unwrap();
    clock.advance(3_000);
    node.settle().unwrap();
    assert!(disk.list(&directory).is_ok());
    drop(backup);
    node.loops.applier.step().unwrap();
    assert!(disk.list(&directory).is_err());
}

#[test]
fn a_later_backup_takes_over_what_never_changes_and_sends_again_what_was_damaged() {
    let (disk, clock) = (SimDisk::new(1), ManualClock::new());
    let (mut node, _) = filled(&disk, &clock);
    let first = begin(&mut node);
    let (sent, _) = send(first, &disk, TO).unwrap();
    put(&mut node, 60..90);
    clock.advance(3_000);
    node.settle().unwrap();
    let backup = begin(&mut node);
    let (more, stored) = send(backup, &disk, TO).unwrap();
    assert!(stored.reused > 2, "{stored:?}");
    assert!(more.files < sent.files + 10 && more.bytes < stored.manifest.bytes());
    // Nothing of the first backup is left that the second one does not name.
    let count = disk
        .files()
        .iter()
        .filter(|path| path.starts_with(TO))
        .count();
    assert_eq!(count, stored.manifest.items.len() + 1);

    let items = stored.manifest.items.iter();
    let lasting: Vec<_> = items.filter(|item| item.identity.is_some()).collect();
    let path = Path::new(TO).join(&lasting[0].target);
    disk.tamper(&path, |bytes| bytes[200] ^= 1);
    let backup = begin(&mut node);
    let expected = all(&node);
    let (_, again) = send(backup, &disk, TO).unwrap();
    assert_eq!(again.reused, lasting.len() as u64 - 1);
    bring_back(&disk, TO, "/restored", false).unwrap();
    assert!(all(&Node::open_with(options("/restored"), disk, &clock)) == expected);
}

#[test]
fn an_archive_is_read_in_pieces_of_any_size_and_restored() {
    let (disk, clock) = (SimDisk::new(1), ManualClock::new());
    let (mut node, _) = filled(&disk, &clock);
    let backup = begin(&mut node);
    let expected = all(&node);
    let bytes = archive(backup);
    for size in [1, 7, 511, 512, 4_000] {
        let (mut reader, mut checker) = (Reader::default(), Checker::default());
        for piece in bytes.chunks(size) {
            reader.push(piece, &mut checker).unwrap();
        }
        checker.finish(&reader.finish().unwrap()).unwrap();
    }
    let file = disk.create("/backup.tar".as_ref()).unwrap();
    file.write_at(&bytes, 0).unwrap();
    bring_back(&disk, "/backup.tar", "/restored", false).unwrap();
    assert!(all(&Node::open_with(options("/restored"), disk, &clock)) == expected);
}

#[test]
fn a_damaged_segment_is_copied_as_it_is_and_named() {
    let (disk, clock) = (SimDisk::new(1), ManualClock::new());
    let (mut node, _) = filled(&disk, &clock);
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|e| e == "segment");
    let file = disk.files().into_iter().find(is_segment).unwrap();
    disk.tamper(&file, |bytes| bytes[300] ^= 1);
    let backup = begin(&mut node);
    let (sent, stored) = send(backup, &disk, TO).unwrap();
    let name = file
        .strip_prefix("/data")
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert_eq!(sent.damaged, [name]);
    assert_eq!(stored.manifest.damaged, sent.damaged);
    bring_back(&disk, TO, "/restored", false).unwrap();
    let copy = Path::new("/restored").join(&sent.damaged[0]);
    assert_eq!(
        disk.read(&copy),
        disk.read(&file).map(|mut bytes| {
            bytes.truncate(disk.read(&copy).unwrap().len());
            bytes
        })
    );
}

//! The whole store: put, restart, read.

mod crash;
mod golden;
mod lingering;
mod resharding;
mod rot;
mod schedules;

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
};

use fnctl_core::id::{Ordinal, ShardNumber, StreamName};

use crate::{
    applier::ApplierLoop,
    disk::{real::RealDisk, simulated::SimDisk},
    testing::{ManualClock, Node, records},
};

#[test]
fn what_was_put_is_read_back_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let mut node = Node::open(directory.path(), RealDisk, &clock);
    let stream = node.create_stream("signups", 1);
    for round in 0..50 {
        let payloads: Vec<String> = (0..10).map(|i| format!("{round}-{i}")).collect();
        let appended = node.put("signups", records(&payloads));
        assert_eq!(appended.rows[0], (ShardNumber(0), Ordinal(round * 10 + 1)));
        if round == 20 {
            clock.advance(3_000);
            node.settle().unwrap();
        }
    }
    let before = node.read_all(stream, 0);
    assert_eq!(before.len(), 500);
    drop(node);

    let node = Node::open(directory.path(), RealDisk, &clock);
    assert_eq!(node.read_all(stream, 0), before);
}

/// Cuts after so many milliseconds since a put to `shards` shards, each looked at in turn.
fn cuts_after(shards: u32, waits: &[u64]) -> Vec<u64> {
    let clock = ManualClock::new();
    let disk = SimDisk::new(7);
    let mut node = Node::open("/data".as_ref(), disk.clone(), &clock);
    let stream = node.create_stream("signups", shards);
    clock.advance(3_000);
    node.settle().unwrap();
    let payloads: Vec<[u8; 1]> = (0..=255).map(|first| [first]).collect();
    node.put("signups", records(&payloads));
    let before = node.store.stats().cuts;
    let counts = waits.iter().map(|&ms| {
        clock.advance(ms);
        node.settle().unwrap();
        node.store.stats().cuts - before
    });
    let counts = counts.collect();
    disk.lose_unsynced();
    drop(node);
    let node = Node::open("/data".as_ref(), disk, &clock);
    let read: usize = (0..shards)
        .map(|shard| node.read_all(stream, shard).len())
        .sum();
    assert_eq!(read, payloads.len());
    counts
}

#[test]
fn a_cut_that_would_write_many_shards_for_little_waits_longer() {
    assert_eq!(cuts_after(4, &[1_900, 200]), [0, 1]);
    assert_eq!(cuts_after(80, &[1_900, 200, 13_000, 1_000]), [0, 0, 0, 1]);
}

#[test]
fn a_network_file_system_is_refused_unless_it_is_accepted() {
    let clock = ManualClock::new();
    let disk = SimDisk::new(1);
    let options = |allows_network_file_system| crate::Options {
        allows_network_file_system,
        ..crate::testing::small_files()
    };
    disk.set_magic(0x6969);
    let refused = crate::open(options(false), disk.clone(), clock.clone());
    let Err(error) = refused else {
        panic!("NFS is taken");
    };
    assert_eq!(
        error.to_string(),
        "/data lies on a network file system (NFS)"
    );
    assert_eq!(disk.files(), Vec::<std::path::PathBuf>::new());
    assert!(crate::open(options(true), disk.clone(), clock.clone()).is_ok());
    disk.set_magic(0xEF53);
    assert!(crate::open(options(false), disk, clock).is_ok());
}

#[test]
fn a_second_store_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let node = Node::open(directory.path(), RealDisk, &clock);
    let again = crate::open(
        crate::Options::new(directory.path()),
        RealDisk,
        clock.clone(),
    );
    assert!(matches!(again, Err(crate::OpenError::Locked { .. })));
    // The file may go: the directory is held.
    std::fs::remove_file(directory.path().join("LOCK")).unwrap();
    let again = crate::open(
        crate::Options::new(directory.path()),
        RealDisk,
        clock.clone(),
    );
    let Err(crate::OpenError::Locked { holder, .. }) = again else {
        panic!("two stores on one directory");
    };
    assert_eq!(holder.map(|holder| holder.pid), Some(std::process::id()));
    drop(node);
    assert!(crate::open(crate::Options::new(directory.path()), RealDisk, clock).is_ok());
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_nothing_is_written_there() {
    for strange in ["Cargo.toml", "src/lib.rs", "notes/.keep"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(strange);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        let opened = crate::open(
            crate::Options::new(directory.path()),
            RealDisk,
            ManualClock::new(),
        );
        let name = strange.split('/').next().unwrap();
        let found = match opened {
            Err(crate::OpenError::NoDataDirectory { found, .. }) => found,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it opened beside {strange}"),
        };
        assert_eq!(found, name);
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "nothing was written beside {strange}");
    }
}

#[test]
fn what_is_left_of_a_start_or_of_a_file_system_keeps_no_directory_from_opening() {
    // In the order of a first start that is killed at any moment, then what others leave behind.
    for left in [
        &[][..],
        &["LOCK"],
        &["LOCK", "format.tmp"],
        &["lost+found/"],
        &["server.log", "stderr"],
    ] {
        let directory = tempfile::tempdir().unwrap();
        for name in left {
            let path = directory.path().join(name);
            match name.strip_suffix('/') {
                Some(_) => std::fs::create_dir(&path).unwrap(),
                None if *name == "server.log" => std::fs::write(&path, "a line").unwrap(),
                None => std::fs::write(&path, "").unwrap(),
            }
        }
        let clock = ManualClock::new();
        for _ in 0..2 {
            let node = Node::open(directory.path(), RealDisk, &clock);
            drop(node);
            // From the first start on it is a data directory, whatever else comes.
            std::fs::write(directory.path().join("put.ndjson"), "a\n").unwrap();
        }
    }
}

#[test]
fn what_is_made_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let clock = ManualClock::new();
    let mut node = Node::open(&data, RealDisk, &clock);
    node.create_stream("s", 1);
    node.put("s", records(&["a"]));
    node.settle().unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

#[test]
fn an_orderly_shutdown_leaves_a_whole_journal_and_nothing_to_redo() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let mut node = Node::open(directory.path(), RealDisk, &clock);
    let stream = node.create_stream("s", 2);
    node.put("s", records(&["a", "b", "c"]));
    node.store.shutdown();
    let sequencer = std::thread::spawn(move || node.loops.sequencer.run());
    let applier = std::thread::spawn(move || node.loops.applier.run());
    sequencer.join().unwrap().unwrap();
    applier.join().unwrap().unwrap();
    assert_eq!(node.store.stats().cut, node.store.published());
    drop(node.store);

    let node = Node::open(directory.path(), RealDisk, &clock);
    let found = node.read_all(stream, 0).len() + node.read_all(stream, 1).len();
    assert_eq!(found, 3);
    assert_eq!(node.store.stats().unapplied_bytes, 0);
}

/// Cuts when it is woken, which is in the middle of publishing.
struct CutsWhenWoken(Mutex<ApplierLoop>);

impl Wake for CutsWhenWoken {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().cut().unwrap();
    }
}

/// Found with power cuts of the real binary: a frame was visible before the applier had it, so a cut
/// between the two recorded an end whose records were in no segment.
#[test]
fn a_cut_as_soon_as_a_record_is_visible_has_written_it() {
    let disk = SimDisk::new(1);
    let clock = ManualClock::new();
    let mut node = Node::open("/data".as_ref(), disk.clone(), &clock);
    let stream = node.create_stream("s", 1);
    {
        let Node { store, loops } = node;
        let mut sequencer = loops.sequencer;
        let waker = Waker::from(Arc::new(CutsWhenWoken(Mutex::new(loops.applier))));
        let mut watcher = store.watch(stream, ShardNumber(0)).unwrap();
        let mut change = pin!(watcher.changed());
        let mut woken = Context::from_waker(&waker);
        assert!(change.as_mut().poll(&mut woken).is_pending());
        let name = StreamName::parse("s").unwrap();
        let mut put = pin!(store.append(name, records(&["a"]), None));
        let mut context = Context::from_waker(Waker::noop());
        while put.as_mut().poll(&mut context).is_pending() {
            sequencer.step().unwrap();
        }
        assert_eq!(store.stats().cut, store.published());
    }
    let node = Node::open("/data".as_ref(), disk, &clock);
    assert_eq!(node.read_all(stream, 0), [b"a"]);
}

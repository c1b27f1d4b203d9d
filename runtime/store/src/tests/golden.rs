//! Data directories of older releases: each opens in every later one with all that was in it, and an
//! older binary refuses a newer one. `tests/golden/README.md` says how one is made.

use std::{
    fs,
    path::{Path, PathBuf},
};

use fnctl_core::{
    commit::{Commit, OutputRecords, UnitTotals},
    committer::Committer as _,
    id::{FunctionVersion, Ordinal, ShardNumber, SlotId, StreamId, StreamName, UnitId},
    record::{NewRecords, Origin},
    settled::{SettledRange, SettledRanges},
    view::ProducerSequence,
};

use crate::{
    OpenError, Options, Sizes,
    disk::real::RealDisk,
    open,
    testing::{ManualClock, Node, add_mapping, dead_letter, records},
};

/// Small files, so that there are several of each kind in little room.
fn options(directory: &Path) -> Options {
    Options {
        ballast_bytes: 0,
        sizes: Sizes {
            journal_file: 16 << 10,
            segment: 4 << 10,
            segment_frame: 512,
            ..Sizes::default()
        },
        ..Options::new(directory)
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// Records put into `in`, by a producer; of its first half all but the fifth record is an output.
const RECORDS: u64 = 60;
const SETTLED: u64 = 30;
const DEAD: u64 = 5;

fn payload(number: u64) -> String {
    format!("record {number} {}", "x".repeat(40))
}

/// Fills an empty directory: streams, a producer, a mapping with progress, outputs and a dead letter;
/// part of it in segments and a snapshot, the rest in the journal alone, and no orderly end.
fn fill(directory: &Path) {
    let clock = ManualClock::new();
    let mut node = Node::open_with(options(directory), RealDisk, &clock);
    let source = node.create_stream("in", 1);
    node.create_stream("out", 1);
    let store = node.store.clone();
    let mapping = node.run(add_mapping(&store, "in")).unwrap().unwrap();
    let unit = UnitId {
        mapping,
        stream: source,
        shard: ShardNumber(0),
    };
    for number in 1..=RECORDS {
        let producer = ProducerSequence {
            producer: "golden".into(),
            first: number,
        };
        let name = StreamName::parse("in").unwrap();
        let put = store.append(name, records(&[payload(number)]), Some(producer));
        node.run(put).unwrap().unwrap();
        if number == RECORDS / 2 {
            node.loops.applier.cutter.ask_for_snapshot();
            clock.advance(3_000);
            node.settle().unwrap();
        }
    }
    let epochs = node.run(store.lease(vec![unit])).unwrap().unwrap();
    let positions = (1..=SETTLED).filter(|&position| position != DEAD);
    let origins = positions.clone().map(|position| Origin {
        stream: source,
        shard: ShardNumber(0),
        position: Ordinal(position),
    });
    let rows: Vec<String> = positions.map(payload).collect();
    let commit = Commit {
        unit,
        epoch: epochs[0].1,
        slot: SlotId::Lane(0),
        number: 1,
        settles: SettledRanges::from_iter([SettledRange {
            after: Ordinal(0),
            through: Ordinal(SETTLED),
        }]),
        attempts: Vec::new(),
        totals: UnitTotals {
            processed: SETTLED - 1,
            dead_lettered: 1,
            ..UnitTotals::default()
        },
        dead_letters: vec![dead_letter(ShardNumber(0), Ordinal(DEAD))],
        outputs: vec![OutputRecords {
            stream: StreamName::parse("out").unwrap(),
            records: NewRecords {
                hops: vec![1; rows.len()],
                origins: origins.collect(),
                ..records(&rows)
            },
        }],
        function_version: FunctionVersion(1),
        redriven: None,
        window: None,
        outages: None,
    };
    let ticket = store.commit(commit);
    node.write().unwrap();
    drop(ticket);
    let name = StreamName::parse("in").unwrap();
    let pinned = store
        .put_artifact(b"a component of an older release")
        .unwrap();
    assert_eq!(pinned.digest().len(), 64);
    drop((pinned, name));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn id(node: &Node, name: &str) -> StreamId {
    let name = StreamName::parse(name).unwrap();
    let id = |view: &fnctl_core::view::NodeView| view.registry().stream_by_name(&name).unwrap().id;
    node.store.view(id)
}

/// Everything that [`fill`] put in is there, and the directory goes on.
fn check(directory: &Path) {
    let clock = ManualClock::new();
    let mut node = Node::open_with(options(directory), RealDisk, &clock);
    assert_eq!(node.store.read_only(), None);
    let (source, out) = (id(&node, "in"), id(&node, "out"));
    let all: Vec<Vec<u8>> = (1..=RECORDS).map(|n| payload(n).into_bytes()).collect();
    assert_eq!(node.read_all(source, 0), all);
    let settled = (1..=SETTLED).filter(|&position| position != DEAD);
    let outputs: Vec<Vec<u8>> = settled.map(|n| payload(n).into_bytes()).collect();
    assert_eq!(node.read_all(out, 0), outputs);
    let letters = node.store.view(|view| {
        let mapping = view.registry().mappings().next().unwrap().clone();
        let unit = UnitId {
            mapping: mapping.id,
            stream: source,
            shard: ShardNumber(0),
        };
        let unit = view.unit(unit).unwrap();
        assert_eq!(unit.settled.low_watermark(), Ordinal(SETTLED));
        assert_eq!(
            (unit.totals.processed, unit.totals.dead_lettered),
            (SETTLED - 1, 1)
        );
        let producer = view.producer(source, "golden").unwrap();
        assert_eq!(producer.last, RECORDS);
        mapping.dead_letters
    });
    let letters = node.read_all(letters, 0);
    let letter = crate::codec::decode_dead_letter(letters[0].clone().into()).unwrap();
    assert_eq!(
        (letters.len(), letter.position, &*letter.code),
        (1, Ordinal(DEAD), "bad")
    );
    node.put("in", records(&["and on it goes"]));
    assert_eq!(node.read_all(source, 0).len(), all.len() + 1);
}

#[test]
fn a_directory_of_every_release_opens_with_all_that_was_in_it() {
    if let Some(made) = std::env::var_os("FNCTL_GOLDEN") {
        fill(Path::new(&made));
    }
    let mut count = 0;
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let folder = tempfile::tempdir().unwrap();
            copy(&path, folder.path());
            check(folder.path());
            count += 1;
        }
    }
    assert!(count > 0, "there is a golden directory");
    // What this version writes it reads as well, so the next golden directory is a good one.
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    check(folder.path());
}

#[test]
fn a_directory_of_a_newer_release_is_refused_and_left_as_it_is() {
    type Change = fn(&Path);
    let format: Change = |data| {
        fs::write(data.join("format"), "fnctl data directory, format 2\n").unwrap();
    };
    // A feature that a reader must know, in the header of the newest journal file.
    let feature: Change = |data| {
        let mut files: Vec<PathBuf> = fs::read_dir(data.join("journal"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "journal"))
            .collect();
        files.sort();
        let path = files.pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[48] |= 1;
        let length = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        let crc = crc32c::crc32c(&bytes[16..80 + length]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        let header = crc32c::crc32c_append(crc32c::crc32c(&bytes[4..12]), &bytes[16..80]);
        bytes[12..16].copy_from_slice(&header.to_le_bytes());
        fs::write(&path, bytes).unwrap();
    };
    for (change, words) in [(format, "format 2"), (feature, "required features 0x0001")] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fill(&data);
        change(&data);
        let error = open(options(&data), RealDisk, ManualClock::new())
            .err()
            .unwrap();
        assert!(matches!(error, OpenError::NewerVersion { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

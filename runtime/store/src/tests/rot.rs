//! Bits that flip and files that go: what is lost is named, never silently missing.

use std::path::{Path, PathBuf};

use fnctl_core::id::{Ordinal, ShardNumber, StreamId};

use crate::{
    ReadError, Step,
    disk::{Disk as _, simulated::SimDisk},
    doctor::examine,
    open,
    testing::{ManualClock, Node, records, small_files},
};

fn stop(mut node: Node) {
    node.store.shutdown();
    while node.loops.sequencer.step().unwrap() != Step::Finished {}
    while node.loops.applier.step().unwrap() != Step::Finished {}
}

/// A closed, fully synced store of forty records, twenty of them in segments by the time of the last
/// put and all of them at the end.
fn closed(clock: &std::sync::Arc<ManualClock>, seed: u64) -> (SimDisk, StreamId) {
    let disk = SimDisk::new(seed);
    let mut node = Node::open_with(small_files(), disk.clone(), clock);
    let stream = node.create_stream("s", 1);
    for number in 0..40 {
        node.put("s", records(&[payload(number)]));
        if number == 20 {
            clock.advance(3_000);
            node.settle().unwrap();
        }
    }
    stop(node);
    disk.lose_unsynced();
    (disk, stream)
}

fn payload(number: u64) -> Vec<u8> {
    format!("{number:0>90}").into_bytes()
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Whole,
    /// Said at the start or by a read.
    Named,
    Silent(String),
}

fn look(disk: &SimDisk, clock: &std::sync::Arc<ManualClock>, stream: StreamId) -> Found {
    let Ok((store, _loops)) = open(small_files(), disk.clone(), std::sync::Arc::clone(clock))
    else {
        return Found::Named;
    };
    let is_read_only = store.read_only().is_some();
    let (mut after, mut is_named) = (Ordinal(0), false);
    loop {
        match store.read(stream, ShardNumber(0), after, 100, 1 << 20) {
            Err(ReadError::Damaged { first, next, .. }) => {
                if first > after.next() || next <= after.next() {
                    return Found::Silent(format!("{first} to {next} behind {after}"));
                }
                // What is behind it is read as well.
                (after, is_named) = (Ordinal(next.0 - 1), true);
            }
            Err(ReadError::NoSuchShard) if is_read_only => return Found::Named,
            Err(error) => return Found::Silent(error.to_string()),
            Ok(blocks) if blocks.is_empty() => break,
            Ok(blocks) => {
                for block in blocks {
                    for index in 0..block.len() {
                        let expected = payload(block.ordinal(index).0 - 1);
                        if block.records.data.get(index) != expected {
                            return Found::Silent(format!("record {}", block.ordinal(index)));
                        }
                    }
                    after = block.last();
                }
            }
        }
    }
    match after {
        Ordinal(40) if is_named => Found::Named,
        Ordinal(40) => Found::Whole,
        _ if is_read_only => Found::Named,
        Ordinal(last) => Found::Silent(format!("records end at {last}")),
    }
}

fn data_files(disk: &SimDisk) -> Vec<PathBuf> {
    let is_data = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "journal" || extension == "segment")
    };
    disk.files().into_iter().filter(is_data).collect()
}

#[test]
fn one_flipped_bit_in_any_file_is_harmless_or_named() {
    let clock = ManualClock::new();
    let (mut harmless, mut named) = (0, 0);
    for trial in 0..300_u64 {
        let (disk, stream) = closed(&clock, trial);
        let files = data_files(&disk);
        let file = &files[usize::try_from(trial).unwrap() % files.len()];
        // The part of a journal file that was never written holds nothing to lose.
        let written = disk
            .read(file)
            .unwrap()
            .iter()
            .rposition(|&byte| byte != 0)
            .unwrap();
        let at = usize::try_from(trial.wrapping_mul(2_654_435_761) % (written as u64 + 1)).unwrap();
        disk.tamper(file, |bytes| bytes[at] ^= 1 << (trial % 8));
        match look(&disk, &clock, stream) {
            Found::Whole => harmless += 1,
            Found::Named => named += 1,
            Found::Silent(what) => panic!("trial {trial}: {} at {at}: {what}", file.display()),
        }
    }
    assert!(
        harmless > 20 && named > 20,
        "{harmless} harmless, {named} named"
    );
}

#[test]
fn a_damaged_header_costs_nothing_that_is_not_in_its_file() {
    let clock = ManualClock::new();
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|e| e == "journal");
    let count = {
        let (disk, _) = closed(&clock, 3);
        disk.files().into_iter().filter(is_journal).count()
    };
    assert!(count > 1, "the journal rolled");
    for index in 0..count {
        let (disk, stream) = closed(&clock, 3);
        let file = disk
            .files()
            .into_iter()
            .filter(is_journal)
            .nth(index)
            .unwrap();
        disk.tamper(&file, |bytes| bytes[30] ^= 1);
        let (store, _loops) =
            open(small_files(), disk.clone(), std::sync::Arc::clone(&clock)).expect("reads go on");
        // Only the newest file holds what no cut has made needless.
        assert_eq!(
            store.read_only().is_some(),
            index == count - 1,
            "file {index}"
        );
        let found = store
            .read(stream, ShardNumber(0), Ordinal(0), 100, 1 << 20)
            .unwrap();
        assert_eq!(found[0].records.data.get(0), payload(0));
    }
}

#[test]
fn a_missing_truncated_or_swapped_segment_is_named() {
    let clock = ManualClock::new();
    for index in 0..4 {
        for harm in 0..3 {
            let (disk, stream) = closed(&clock, 7);
            let is_segment = |path: &PathBuf| path.extension().is_some_and(|e| e == "segment");
            let files: Vec<PathBuf> = disk.files().into_iter().filter(is_segment).collect();
            let (file, other) = (&files[index], &files[(index + 1) % files.len()]);
            match harm {
                0 => disk.remove(file).unwrap(),
                1 => disk.tamper(file, |bytes| bytes.truncate(bytes.len() / 2)),
                _ => {
                    let content = disk.read(other).unwrap();
                    disk.tamper(file, |bytes| *bytes = content);
                }
            }
            disk.sync_dir(file.parent().unwrap()).unwrap();
            assert_eq!(
                look(&disk, &clock, stream),
                Found::Named,
                "{} harm {harm}",
                file.display()
            );
        }
    }
}

#[test]
fn a_damaged_shard_leaves_the_others_alone_and_takes_appends() {
    let clock = ManualClock::new();
    let disk = SimDisk::new(1);
    let mut node = Node::open_with(small_files(), disk.clone(), &clock);
    let (bad, good) = (node.create_stream("bad", 1), node.create_stream("good", 1));
    for stream in ["bad", "good"] {
        for number in 0..30 {
            node.put(stream, records(&[payload(number)]));
        }
    }
    clock.advance(3_000);
    node.settle().unwrap();
    stop(node);
    let first = Path::new("/data/streams").join(format!("{bad}/0/{:020}.segment", 1));
    disk.remove(&first).unwrap();
    let mut node = Node::open_with(small_files(), disk.clone(), &clock);
    assert!(matches!(
        node.store.read(bad, ShardNumber(0), Ordinal(0), 10, 1_000),
        Err(ReadError::Damaged { .. })
    ));
    assert_eq!(node.read_all(good, 0).len(), 30);
    node.put("bad", records(&[payload(30)]));
    clock.advance(3_000);
    node.settle().unwrap();
    let after = node
        .store
        .read(bad, ShardNumber(0), Ordinal(30), 10, 1_000)
        .unwrap();
    assert_eq!(after[0].records.data.get(0), payload(30));
}

#[test]
fn a_journal_that_lost_its_newest_file_is_read_only_and_says_which() {
    let clock = ManualClock::new();
    let (disk, _) = closed(&clock, 3);
    // Another life, which stored an image.
    let mut node = Node::open_with(small_files(), disk.clone(), &clock);
    node.put("s", records(&[payload(40)]));
    clock.advance(3_000);
    node.settle().unwrap();
    let before: Vec<PathBuf> = disk.files();
    drop(node);
    disk.lose_unsynced();
    let is_journal = |path: &&PathBuf| path.extension().is_some_and(|e| e == "journal");
    let newest = before.iter().filter(is_journal).max().unwrap();
    disk.remove(newest).unwrap();
    disk.sync_dir(newest.parent().unwrap()).unwrap();
    let (store, _loops) = open(small_files(), disk.clone(), clock).expect("reads go on");
    let words = store.read_only().expect("nothing more is taken");
    let name = newest.file_name().unwrap().to_string_lossy().into_owned();
    assert!(words.contains(&name), "{words}");
}

#[test]
fn a_newest_file_that_goes_is_named_whenever_it_was_made() {
    fn cut(node: &mut Node, clock: &std::sync::Arc<ManualClock>) {
        clock.advance(3_000);
        node.settle().unwrap();
    }
    fn roll(node: &mut Node) {
        for number in 40..100 {
            node.put("s", records(&[payload(number)]));
        }
    }
    type Case = fn(&mut Node, &std::sync::Arc<ManualClock>);
    let cases: [(&str, Case); 3] = [
        ("by a start, before its first cut", |node, _| {
            node.put("s", records(&[payload(40)]));
        }),
        ("by a roll, after the last cut", |node, clock| {
            cut(node, clock);
            roll(node);
        }),
        ("by a roll, before the last cut", |node, clock| {
            roll(node);
            cut(node, clock);
        }),
    ];
    for (when, case) in cases {
        for is_witnessed in [true, false] {
            let clock = ManualClock::new();
            let (disk, _) = closed(&clock, 3);
            let mut node = Node::open_with(small_files(), disk.clone(), &clock);
            case(&mut node, &clock);
            drop(node);
            disk.lose_unsynced();
            let is_journal = |path: &PathBuf| path.extension().is_some_and(|e| e == "journal");
            let newest = disk.files().into_iter().filter(is_journal).max().unwrap();
            let directory = newest.parent().unwrap();
            let gone = if is_witnessed {
                newest.clone()
            } else {
                directory.join("newest")
            };
            disk.remove(&gone).unwrap();
            disk.sync_dir(directory).unwrap();
            let (store, _loops) = open(small_files(), disk.clone(), clock).expect("reads go on");
            let words = store.read_only();
            if is_witnessed {
                let name = newest.file_name().unwrap().to_string_lossy().into_owned();
                let words = words.expect(when);
                assert!(words.contains(&name), "{when}: {words}");
            } else {
                assert_eq!(words, None, "{when}: the witness alone is no loss");
            }
        }
    }
}

#[test]
fn a_journal_that_is_gone_as_a_whole_is_not_begun_anew() {
    let clock = ManualClock::new();
    let disk = SimDisk::new(1);
    let mut node = Node::open_with(small_files(), disk.clone(), &clock);
    node.create_stream("s", 1);
    node.put("s", records(&[payload(0)]));
    drop(node);
    disk.lose_unsynced();
    let files = disk.files().into_iter();
    for file in files.filter(|path| path.extension().is_some_and(|e| e == "journal")) {
        disk.remove(&file).unwrap();
        disk.sync_dir(file.parent().unwrap()).unwrap();
    }
    let opened = open(small_files(), disk.clone(), clock);
    let words = opened.err().expect("nothing can be served").to_string();
    assert!(words.contains("there once was one"), "{words}");
}

/// The journal's newest file and the bytes of it that are not zero.
fn newest_journal(disk: &SimDisk) -> (PathBuf, usize) {
    let files = disk.files().into_iter();
    let newest = files
        .filter(|path| path.extension().is_some_and(|e| e == "journal"))
        .max()
        .unwrap();
    let bytes = disk.read(&newest).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    (newest, used)
}

#[test]
fn a_newest_journal_file_that_lost_its_end_is_named_and_what_the_image_holds_is_served() {
    for is_stopped in [true, false] {
        for is_zeroed in [true, false] {
            for part in 1..8 {
                let clock = ManualClock::new();
                let (disk, stream) = closed(&clock, 3);
                let mut node = Node::open_with(small_files(), disk.clone(), &clock);
                for number in 40..60 {
                    node.put("s", records(&[payload(number)]));
                }
                clock.advance(3_000);
                node.settle().unwrap();
                if is_stopped {
                    stop(node);
                } else {
                    drop(node);
                }
                disk.lose_unsynced();
                let (newest, used) = newest_journal(&disk);
                disk.tamper(&newest, |bytes| {
                    if is_zeroed {
                        bytes[used * part / 8..].fill(0);
                    } else {
                        bytes.truncate(used * part / 8);
                    }
                });
                let what = format!("stopped {is_stopped}, zeroed {is_zeroed}, part {part}");
                let (store, _loops) =
                    open(small_files(), disk.clone(), clock).expect("reads go on");
                let words = store
                    .read_only()
                    .unwrap_or_else(|| panic!("{what}: silent"));
                assert!(words.contains(".journal"), "{what}: {words}");
                let mut after = Ordinal(0);
                while let Some(last) = store
                    .read(stream, ShardNumber(0), after, 100, 1 << 20)
                    .unwrap()
                    .last()
                {
                    after = last.last();
                }
                assert_eq!(after, Ordinal(60), "{what}: the image holds all of it");
            }
        }
    }
}

#[test]
fn a_file_that_is_shorter_than_it_was_made_is_no_torn_tail() {
    let clock = ManualClock::new();
    let (disk, _) = closed(&clock, 3);
    let mut node = Node::open_with(small_files(), disk.clone(), &clock);
    node.put("s", records(&[payload(40)]));
    node.put("s", records(&[payload(41)]));
    drop(node);
    disk.lose_unsynced();
    // No cut was made of it: nothing else knows that there was more.
    let (newest, used) = newest_journal(&disk);
    disk.tamper(&newest, |bytes| bytes.truncate(used - 50));
    let (store, _loops) = open(small_files(), disk.clone(), clock).expect("reads go on");
    assert!(store.read_only().is_some(), "the end is gone");
}

/// Bytes in a row, as a bad sector takes them: they hit headers, and several frames at once.
#[test]
fn bytes_in_a_row_cost_what_doctor_names_and_nothing_behind_it() {
    let clock = ManualClock::new();
    let (mut holes, mut several) = (0, 0);
    for trial in 0..200_u64 {
        let (disk, stream) = closed(&clock, trial);
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|e| e == "segment");
        let files: Vec<PathBuf> = disk.files().into_iter().filter(is_segment).collect();
        let file = &files[usize::try_from(trial).unwrap() % files.len()];
        let length = disk.read(file).unwrap().len();
        let at = usize::try_from(trial.wrapping_mul(2_654_435_761)).unwrap() % length;
        let count = if trial % 2 == 0 { 40 } else { 600 };
        let end = (at + count).min(length);
        disk.tamper(file, |bytes| bytes[at..end].fill(0x5A));
        let examined = examine(
            &small_files(),
            disk.clone(),
            std::sync::Arc::clone(&clock),
            &mut |_| {},
        );
        let lost: Vec<(Ordinal, Ordinal)> = examined
            .unwrap()
            .findings
            .iter()
            .filter_map(|finding| finding.records)
            .collect();
        let Ok((store, _loops)) = open(small_files(), disk.clone(), std::sync::Arc::clone(&clock))
        else {
            panic!("trial {trial}: segments alone are damaged");
        };
        let mut after = Ordinal(0);
        while after < Ordinal(40) {
            let wanted = after.next();
            let hole = lost
                .iter()
                .find(|(first, last)| *first <= wanted && wanted <= *last);
            // One record at a time: each is found by its own number.
            match (store.read(stream, ShardNumber(0), after, 1, 1), hole) {
                (Ok(blocks), None) => {
                    assert_eq!(blocks[0].first, wanted);
                    assert_eq!(blocks[0].records.data.get(0), payload(after.0));
                }
                (Err(ReadError::Damaged { first, next, .. }), Some((from, last))) => {
                    assert!(*from <= first && first <= wanted, "trial {trial}");
                    assert!(wanted < next && next <= last.next(), "trial {trial}");
                    holes += 1;
                    several += u32::from(first < *last);
                }
                (found, hole) => panic!(
                    "trial {trial}, {} at {at}: record {wanted}: {hole:?}, {:?}",
                    file.display(),
                    found.map(|blocks| blocks.len())
                ),
            }
            after = wanted;
        }
    }
    assert!(holes > 100 && several > 50, "{holes} records, {several}");
}

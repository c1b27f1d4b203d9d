mod met;

use std::path::Path;

use super::*;
use crate::{
    Step,
    disk::simulated::SimDisk,
    testing::{ManualClock, Node, records, small_files},
};

const FAST: ScrubOptions = ScrubOptions {
    bytes_per_second: u64::MAX,
    period: Duration::from_secs(1),
};

/// A running node with forty records in segments, some more in the journal alone, a snapshot and a
/// component.
fn running(seed: u64) -> (SimDisk, Arc<ManualClock>, Node, StreamId) {
    let (disk, clock) = (SimDisk::new(seed), ManualClock::new());
    let mut node = Node::open_with(small_files(), disk.clone(), &clock);
    let stream = node.create_stream("s", 1);
    for number in 0..60 {
        node.put("s", records(&[format!("{number:0>90}")]));
        if number == 20 {
            node.loops.applier.cutter.ask_for_snapshot();
        }
        if number == 20 || number == 40 {
            clock.advance(3_000);
            node.settle().unwrap();
        }
    }
    (disk, clock, node, stream)
}

fn pass(node: &Node) -> Vec<ScrubFinding> {
    assert!(node.store.scrub(FAST).pass());
    node.store.shared.scrub.findings().all()
}

fn kind(file: &Path) -> Option<ScrubKind> {
    let name = file.file_name()?.to_str()?;
    if name.ends_with(".segment") {
        Some(ScrubKind::Segment)
    } else if name.ends_with(".journal") {
        Some(ScrubKind::Journal)
    } else if name.starts_with("snapshot-") {
        Some(ScrubKind::Snapshot)
    } else if name.starts_with("sha256-") {
        Some(ScrubKind::Artifact)
    } else {
        None
    }
}

#[test]
fn what_is_whole_is_read_whole_and_nothing_is_found() {
    let (disk, _, mut node, _) = running(1);
    let _pin = node.store.put_artifact(b"component").unwrap();
    assert_eq!(pass(&node), []);
    let read = node.store.scrub_stats();
    assert_eq!((read.passes, read.damaged), (1, 0));
    assert!(read.ended.is_some());
    let segments: u64 = disk
        .files()
        .iter()
        .filter(|file| kind(file) == Some(ScrubKind::Segment))
        .map(|file| disk.read(file).unwrap().len() as u64)
        .sum();
    assert!(read.bytes > segments && segments > 0, "{read:?}");
    // And while it is written on, and after a crash, and of a store that serves reads alone.
    node.put("s", records(&["more"]));
    assert_eq!(pass(&node), []);
    drop(node);
    let clock = ManualClock::new();
    let mut node = Node::open_with(small_files(), disk, &clock);
    assert_eq!(pass(&node), []);
    node.put("s", records(&["more"]));
    assert_eq!(pass(&node), []);
    assert_eq!(node.store.scrub_stats().errors, [0; 5]);
}

#[test]
fn a_component_that_is_stored_again_is_known_to_be_damaged_no_more() {
    let (disk, _, node, _) = running(1);
    let pin = node.store.put_artifact(b"component").unwrap();
    let file = node.store.artifact_path(pin.digest());
    disk.tamper(&file, |bytes| bytes[3] ^= 1);
    assert!(node.store.artifact(pin.digest()).is_err());
    assert_eq!(node.store.scrub_stats().damaged, 1, "a reader met it");
    let _again = node.store.put_artifact(b"component").unwrap();
    assert_eq!(node.store.scrub_stats().damaged, 0);
    assert_eq!(node.store.artifact(pin.digest()).unwrap(), b"component");
    assert_eq!(pass(&node), []);
}

/// One bit of every file that is read: found, named, and nothing is changed by it.
#[test]
fn a_flipped_bit_at_rest_is_found_in_every_kind_of_file() {
    let mut found = [0; 5];
    for seed in 0..40_u64 {
        let (disk, _, node, stream) = running(seed);
        let _pin = node.store.put_artifact(b"component").unwrap();
        let last = node.store.shared.read_published().place.unwrap();
        let files: Vec<_> = disk
            .files()
            .into_iter()
            .filter_map(|file| Some((kind(&file)?, file)))
            .collect();
        let (kind, file) = files[usize::try_from(seed).unwrap() % files.len()].clone();
        let bytes = disk.read(&file).unwrap();
        // Of the journal file that is written what lies in front of the last frame, of others what is
        // not blank.
        let is_live = file.ends_with(crate::journal::file_name(last.file));
        let used = match kind {
            ScrubKind::Journal if is_live => usize::try_from(last.offset).unwrap(),
            ScrubKind::Journal => continue,
            _ => bytes.len(),
        };
        // The zeros that fill a frame up are nobody's.
        let at = (0..used)
            .rev()
            .cycle()
            .skip(usize::try_from(seed * 37).unwrap() % used)
            .find(|&at| bytes[at] != 0)
            .unwrap();
        disk.tamper(&file, |bytes| bytes[at] ^= 1 << (seed % 8));
        let findings = pass(&node);
        assert!(
            findings.iter().any(|finding| finding.file == file),
            "seed {seed}: byte {at} of {}: {findings:?}",
            file.display()
        );
        assert!(findings.iter().all(|finding| finding.kind == kind));
        found[kind as usize] += 1;
        let stats = node.store.scrub_stats();
        assert_eq!(stats.damaged, findings.len() as u64);
        assert_eq!(stats.errors[kind as usize], stats.damaged);
        // Found again it is not counted again; mended from outside it is known no more.
        assert_eq!(pass(&node), findings);
        assert_eq!(node.store.scrub_stats().errors, stats.errors);
        assert_eq!(
            node.store.damaged(stream).len(),
            if kind == ScrubKind::Segment {
                findings.len()
            } else {
                0
            }
        );
        disk.tamper(&file, |bytes| bytes[at] ^= 1 << (seed % 8));
        assert_eq!(pass(&node), [], "seed {seed}");
        assert_eq!(node.store.scrub_stats().errors, stats.errors);
    }
    let [files @ .., image] = found;
    assert!(
        files.iter().all(|count| *count > 0) && image == 0,
        "{found:?}"
    );
}

#[test]
fn a_damaged_segment_is_named_with_its_records_and_the_rest_is_served() {
    let (disk, _, mut node, stream) = running(3);
    let file = disk
        .files()
        .into_iter()
        .find(|file| kind(file) == Some(ScrubKind::Segment))
        .unwrap();
    let frame = disk.read(&file).unwrap();
    // Behind the header frame lies the first frame of records.
    disk.tamper(&file, |bytes| bytes[104 + 104 + 40] ^= 1);
    let findings = pass(&node);
    let [finding] = &findings[..] else {
        panic!("{findings:?}");
    };
    assert_eq!(finding.offset, 104, "of {} bytes", frame.len());
    assert_eq!(finding.shard.map(|(of, _)| of), Some(stream));
    let (first, last) = finding.records.unwrap();
    assert!(first.0 == 1 && last >= first);
    let words = finding.to_string();
    for part in ["records 1 to", "offset 104", ".segment", "shard 0"] {
        assert!(words.contains(part), "{words}");
    }
    node.put("s", records(&["goes on"]));
    let behind = node
        .store
        .read(stream, fnctl_core::id::ShardNumber(0), last, 1, 1 << 20);
    assert_eq!(behind.unwrap()[0].first, last.next());
}

/// A damaged frame of the journal falls below a new cut and a new snapshot: the next start is whole.
#[test]
fn a_damaged_journal_is_made_up_for_while_there_is_still_a_copy() {
    let (disk, clock, mut node, stream) = running(4);
    let last = loop {
        node.put("s", records(&["more"]));
        let last = node.store.shared.read_published().place.unwrap();
        // Far from the file's own header, damage to which is told in other words.
        if last.offset > 2_000 {
            break last;
        }
    };
    let file = disk
        .files()
        .into_iter()
        .find(|file| file.ends_with(crate::journal::file_name(last.file)))
        .unwrap();
    let at = usize::try_from(last.offset).unwrap() - 40;
    disk.tamper(&file, |bytes| bytes[at] ^= 1);
    let findings = pass(&node);
    assert!(
        findings
            .iter()
            .all(|f| f.kind == ScrubKind::Journal && f.entries.is_some())
    );
    assert!(!findings.is_empty());
    node.put("s", records(&["goes on"]));
    clock.advance(3_000);
    node.settle().unwrap();
    let kept = node.read_all(stream, 0);
    node.store.shutdown();
    while node.loops.sequencer.step().unwrap() != Step::Finished {}
    while node.loops.applier.step().unwrap() != Step::Finished {}
    drop(node);
    let node = Node::open_with(small_files(), disk, &clock);
    assert_eq!(node.store.read_only(), None);
    assert_eq!(node.read_all(stream, 0), kept);
}

#[test]
fn a_pass_keeps_to_its_rate_and_ends_at_once_when_it_is_told_to() {
    let (_, _, node, _) = running(5);
    let slow = ScrubOptions {
        bytes_per_second: 1,
        ..FAST
    };
    let pace = |rate| {
        let looped = node.store.scrub(ScrubOptions {
            bytes_per_second: rate,
            ..FAST
        });
        let mut pace = looped.pace();
        // Less than a piece costs nothing yet.
        assert!(pace.pass(SCRUB_READ_BYTES as u64 - 1));
        pace.pass(1)
    };
    assert!(pace(u64::MAX));
    node.store.shutdown();
    // It would wait for days.
    assert!(!pace(1));
    node.store.scrub(slow).run();
    assert_eq!(node.store.scrub_stats().passes, 0);
}

//! Damage that a start or a reader meets is known at once, as a pass would find it, and counted once.

use fnctl_core::id::{Ordinal, ShardNumber};

use super::*;
use crate::{ReadError, disk::Disk as _};

fn segments(disk: &SimDisk) -> Vec<std::path::PathBuf> {
    let is_segment = |file: &std::path::PathBuf| kind(file) == Some(ScrubKind::Segment);
    disk.files().into_iter().filter(is_segment).collect()
}

/// What is known, and how often each kind was counted.
fn known(node: &Node) -> (Vec<ScrubFinding>, [u64; ScrubKind::ALL.len()]) {
    let findings = node.store.shared.scrub.findings();
    (findings.all(), findings.counted())
}

/// Readable records from the first on, and the error that ends them.
fn read_to_the_hole(node: &Node, stream: StreamId) -> (u64, ReadError) {
    let mut after = Ordinal(0);
    loop {
        match node
            .store
            .read(stream, ShardNumber(0), after, 1_000, 1 << 20)
        {
            Ok(blocks) => after = blocks.last().expect("a hole comes first").last(),
            Err(error) => return (after.0, error),
        }
    }
}

#[test]
fn what_a_reader_meets_is_known_at_once_and_counted_once() {
    // A byte of the second frame of records: of its payload, and of its header.
    for at in [40, 8] {
        let (disk, _, node, stream) = running(3);
        let file = segments(&disk)[0].clone();
        let frame = |from: usize| {
            let bytes = disk.read(&file).unwrap();
            let header = crate::segment::frame::FrameHeader::parse(&bytes[from..]).unwrap();
            (
                from + usize::try_from(header.frame_bytes()).unwrap(),
                header,
            )
        };
        let (first, _) = frame(0);
        let (second, _) = frame(first);
        let (_, header) = frame(second);
        disk.tamper(&file, |bytes| {
            let header = if at == 8 { 0 } else { 104 };
            bytes[second + header + at] ^= 1;
        });
        assert_eq!(known(&node), (Vec::new(), [0; 5]));

        let (last, error) = read_to_the_hole(&node, stream);
        assert_eq!(last, header.first.0 - 1, "readable up to the hole");
        let (findings, counted) = known(&node);
        let [finding] = &findings[..] else {
            panic!("{findings:?}");
        };
        assert_eq!(node.store.damaged(stream), findings);
        assert_eq!((&finding.file, finding.offset), (&file, second as u64));
        let (from, to) = finding.records.unwrap();
        assert_eq!((from, to), (header.first, Ordinal(header.next().0 - 1)));
        assert_eq!(counted, [1, 0, 0, 0, 0]);

        // Met again, or found by a pass, it is the same.
        assert_eq!(read_to_the_hole(&node, stream), (last, error));
        assert_eq!(pass(&node), findings);
        assert_eq!(node.store.scrub_stats().errors, counted);
    }
}

#[test]
fn a_segment_with_a_hole_is_sealed_like_any_other() {
    let (disk, clock, mut node, stream) = running(4);
    let meta = *node
        .store
        .shared
        .segments
        .of((stream, ShardNumber(0)))
        .last()
        .unwrap();
    assert!(!meta.is_sealed);
    let file = crate::segment::path(Path::new("/data"), (stream, ShardNumber(0)), meta.base);
    node.store.shutdown();
    while node.loops.sequencer.step().unwrap() != Step::Finished {}
    while node.loops.applier.step().unwrap() != Step::Finished {}
    drop(node);
    // The header of its first frame of records; whoever goes on with the segment has not walked it yet.
    disk.tamper(&file, |bytes| bytes[104 + 104 + 8] ^= 1);
    let mut node = Node::open_with(small_files(), disk, &clock);
    for number in 0..40 {
        node.put("s", records(&[format!("{number:0>90}")]));
    }
    clock.advance(3_000);
    node.settle().unwrap();
    let metas = node.store.shared.segments.of((stream, ShardNumber(0)));
    let sealed = metas.iter().find(|now| now.base == meta.base).unwrap();
    assert!(sealed.is_sealed, "{sealed:?}");
}

#[test]
fn what_a_start_meets_is_known_before_anybody_asks() {
    type Harm = fn(&SimDisk);
    let named = |disk: &SimDisk, wanted: ScrubKind| {
        let mut files = disk.files().into_iter();
        files.find(|file| kind(file) == Some(wanted)).unwrap()
    };
    let cases: [(ScrubKind, Harm); 5] = [
        (ScrubKind::Segment, |disk| {
            disk.remove(&segments(disk)[0]).unwrap();
        }),
        (ScrubKind::Segment, |disk| {
            disk.tamper(&segments(disk)[0], |bytes| bytes.truncate(700));
        }),
        (ScrubKind::Snapshot, |disk| {
            disk.put_image(Path::new("/data/image"), Vec::new());
        }),
        (ScrubKind::Image, |disk| {
            disk.put_image(Path::new("/data/image"), vec![(vec![1], vec![2])]);
        }),
        (ScrubKind::Journal, |disk| {
            let files = disk.files().into_iter();
            let journals = files.filter(|file| kind(file) == Some(ScrubKind::Journal));
            disk.tamper(&journals.min().unwrap(), |bytes| bytes[20] ^= 1);
        }),
    ];
    for (wanted, harm) in cases {
        let (disk, clock, mut node, stream) = running(5);
        node.store.shutdown();
        while node.loops.sequencer.step().unwrap() != Step::Finished {}
        while node.loops.applier.step().unwrap() != Step::Finished {}
        drop(node);
        if wanted == ScrubKind::Snapshot {
            // Read only where it is newer than the image: here there is none that can be used.
            let snapshot = named(&disk, ScrubKind::Snapshot);
            disk.tamper(&snapshot, |bytes| bytes[150] ^= 1);
        }
        harm(&disk);
        let mut node = Node::open_with(small_files(), disk, &clock);
        let (findings, counted) = known(&node);
        let its: Vec<_> = findings.iter().filter(|f| f.kind == wanted).collect();
        assert_eq!(its.len(), 1, "{wanted:?}: {findings:?}");
        assert_eq!(counted[wanted as usize], 1);
        if wanted == ScrubKind::Segment {
            assert_eq!(node.store.damaged(stream), findings);
            assert!(its[0].records.is_some());
            // The next pass finds the same, and counts nothing again.
            assert_eq!(pass(&node), findings);
        } else {
            // Made up for by a new image and snapshot, then nothing is known of it any more.
            for _ in 0..3 {
                node.put("s", records(&["goes on"]));
                node.loops.applier.cutter.ask_for_snapshot();
                clock.advance(3_000);
                node.settle().unwrap();
            }
            assert_eq!(pass(&node), [], "{wanted:?}");
        }
        let after = node.store.scrub_stats().errors;
        assert_eq!(after, counted, "{wanted:?}: counted once");
    }
}

/// Records that no file is recorded for are found by a start alone: no pass forgets them, and retention
/// takes them with the rest.
#[test]
fn a_gap_stays_known_until_retention_takes_it() {
    let (_, _, node, stream) = running(6);
    let key = (stream, ShardNumber(0));
    let gap = |first: u64, next: u64| {
        let file = crate::segment::path(Path::new("/data"), key, Ordinal(first));
        missing_records(&file, key, 0, Ordinal(first), Ordinal(next))
    };
    let before = pass(&node);
    node.store.shared.met_at_start(Damage {
        findings: vec![gap(5, 9)],
        segments: Vec::new(),
    });
    assert_eq!((before, pass(&node)), (Vec::new(), vec![gap(5, 9)]));
    assert_eq!(node.store.damaged(stream), [gap(5, 9)]);
    let is_missing = |gap: &ScrubFinding| node.store.shared.is_still_missing(gap);
    assert!(is_missing(&gap(5, 9)));
    node.store
        .shared
        .write_published()
        .view
        .apply(&fnctl_core::entry::Entry::Trim {
            stream,
            shard: ShardNumber(0),
            floor: Ordinal(9),
            horizon: Ordinal(9),
        });
    assert!(!is_missing(&gap(5, 9)));
    assert_eq!(pass(&node), []);
}

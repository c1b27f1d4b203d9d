//! What an examination says agrees with what a start then does, and it changes nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use fnctl_core::id::{Ordinal, ShardNumber, StreamId};

use super::{DoctorError, FindingKind, Health, Report, Severity, examine};
use crate::{
    Options, Sizes, Step,
    disk::{Disk as _, simulated::SimDisk},
    open,
    testing::{ManualClock, Node, records},
};

const COUNT: u64 = 40;

fn options() -> Options {
    Options {
        ballast_bytes: 0,
        tail_bytes_max: 0,
        sizes: Sizes {
            journal_file: 8 << 10,
            segment: 2 << 10,
            segment_frame: 256,
            ..Sizes::default()
        },
        ..Options::new("/data")
    }
}

fn payload(number: u64) -> Vec<u8> {
    format!("{number:0>90}").into_bytes()
}

/// A store of forty records, about half of them in segments; ended in order or just let go.
fn filled(clock: &Arc<ManualClock>, seed: u64, is_ended: bool) -> (SimDisk, StreamId) {
    let disk = SimDisk::new(seed);
    disk.create_dir("/data".as_ref()).unwrap();
    // The server makes it.
    crate::disk::replace(&disk, "/data/secret".as_ref(), &[7; 32]).unwrap();
    let mut node = Node::open_with(options(), disk.clone(), clock);
    let stream = node.create_stream("s", 1);
    for number in 0..COUNT {
        node.put("s", records(&[payload(number)]));
        if number == 20 {
            node.loops.applier.cutter.ask_for_snapshot();
            clock.advance(3_000);
            node.settle().unwrap();
        }
    }
    if is_ended {
        node.store.shutdown();
        while node.loops.sequencer.step().unwrap() != Step::Finished {}
        while node.loops.applier.step().unwrap() != Step::Finished {}
    }
    drop(node);
    disk.lose_unsynced();
    (disk, stream)
}

type Content = BTreeMap<PathBuf, Vec<u8>>;

fn content(disk: &SimDisk) -> Content {
    let files = disk.files().into_iter();
    files
        .map(|path| {
            let bytes = disk.read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

fn look(disk: &SimDisk, clock: &Arc<ManualClock>) -> Report {
    let before = content(disk);
    let report = examine(&options(), disk.clone(), Arc::clone(clock), &mut |_| {}).unwrap();
    assert!(content(disk) == before, "an examination changed a file");
    report
}

/// Whether a start opens the directory for everything and every record is there.
fn all_is_there(disk: &SimDisk, clock: &Arc<ManualClock>, stream: StreamId) -> bool {
    let Ok((store, _loops)) = open(options(), disk.clone(), Arc::clone(clock)) else {
        return false;
    };
    let mut after = Ordinal(0);
    while after < Ordinal(COUNT) {
        match store.read(stream, ShardNumber(0), after, 100, 1 << 20) {
            Ok(blocks) if !blocks.is_empty() => after = blocks.last().unwrap().last(),
            _ => return false,
        }
    }
    store.read_only().is_none()
}

#[test]
fn a_directory_that_was_ended_in_order_is_whole() {
    let clock = ManualClock::new();
    let (disk, _) = filled(&clock, 1, true);
    let report = look(&disk, &clock);
    assert_eq!(
        (report.health(), &*report.findings),
        (Health::Whole, &[][..])
    );
    assert_eq!((report.records, report.streams), (COUNT, 1));
    assert!(report.journal.count > 1 && report.segments.count > 2);
}

#[test]
fn what_a_start_mends_is_repairable() {
    let clock = ManualClock::new();
    let (disk, _) = filled(&clock, 1, false);
    let report = look(&disk, &clock);
    assert_eq!(report.findings[0].kind, FindingKind::UncleanStop);

    let kinds = |disk: &SimDisk| -> Vec<FindingKind> {
        let report = look(disk, &clock);
        assert_eq!(report.health(), Health::Repairable, "{report:?}");
        report.findings.into_iter().map(|f| f.kind).collect()
    };
    let journals = |disk: &SimDisk| -> Vec<PathBuf> {
        let files = disk.files().into_iter();
        files
            .filter(|path| path.extension().is_some_and(|e| e == "journal"))
            .collect()
    };
    // The last frame, torn.
    let (disk, _) = filled(&clock, 2, false);
    disk.tamper(journals(&disk).last().unwrap(), |bytes| {
        let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        bytes[end - 20..].fill(0);
    });
    assert_eq!(kinds(&disk), [FindingKind::TornTail]);
    // The image, lost; a part of the journal that nothing needs; what a write left.
    let (disk, _) = filled(&clock, 3, true);
    disk.remove_dir("/data/image".as_ref()).unwrap();
    assert_eq!(kinds(&disk), [FindingKind::ImageMissing]);
    let (disk, _) = filled(&clock, 4, true);
    disk.tamper(&journals(&disk)[0], |bytes| bytes[600] ^= 1);
    assert_eq!(kinds(&disk), [FindingKind::OldJournal]);
    disk.create("/data/journal/snapshot.tmp".as_ref()).unwrap();
    assert_eq!(
        kinds(&disk),
        [FindingKind::OldJournal, FindingKind::Leftover]
    );
    // A damaged snapshot beside a good image.
    let (disk, _) = filled(&clock, 5, true);
    let files = disk.files();
    let is_snapshot = |path: &&PathBuf| path.to_string_lossy().contains("snapshot-");
    disk.tamper(files.iter().find(is_snapshot).unwrap(), |bytes| {
        bytes[100] ^= 1
    });
    assert_eq!(kinds(&disk), [FindingKind::Snapshot]);
}

#[test]
fn names_nobody_knows_are_noted_and_nothing_more() {
    let clock = ManualClock::new();
    let (disk, _) = filled(&clock, 1, true);
    disk.create("/data/notes.txt".as_ref()).unwrap();
    disk.create_dir("/data/streams/77".as_ref()).unwrap();
    let report = look(&disk, &clock);
    assert_eq!(report.health(), Health::Whole);
    let kinds: Vec<_> = report.findings.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [FindingKind::Unknown; 2]);
}

#[test]
fn one_flipped_bit_is_judged_as_a_start_and_a_reader_judge_it() {
    let clock = ManualClock::new();
    let mut seen = [0; 3];
    for trial in 0..300_u64 {
        let (disk, stream) = filled(&clock, trial, trial % 3 > 0);
        let files: Vec<PathBuf> = disk
            .files()
            .into_iter()
            .filter(|path| is_data(path))
            .collect();
        let file = &files[usize::try_from(trial).unwrap() % files.len()];
        let bytes = disk.read(file).unwrap();
        // The part of a journal file that was never written holds nothing to lose.
        let written = bytes.iter().rposition(|&byte| byte != 0).unwrap() as u64;
        let at = usize::try_from(trial.wrapping_mul(2_654_435_761) % (written + 1)).unwrap();
        disk.tamper(file, |bytes| bytes[at] ^= 1 << (trial % 8));
        let report = look(&disk, &clock);
        let is_there = all_is_there(&disk, &clock, stream);
        let words = format!("trial {trial}: {} at {at}: {report:?}", file.display());
        match report.health() {
            Health::Damaged => {
                let hides_records =
                    |f: &super::Finding| f.kind == FindingKind::Segment && f.records.is_none();
                let is_harmless = report.findings.iter().any(hides_records);
                assert!(!is_there || is_harmless, "{words}");
                seen[2] += 1;
            }
            Health::Repairable | Health::Whole => {
                // The last frame of a journal that was not ended: a crash may have torn it.
                let is_torn = report
                    .findings
                    .iter()
                    .any(|f| f.kind == FindingKind::TornTail);
                assert!(is_there || is_torn, "{words}");
                seen[usize::from(report.health() == Health::Repairable)] += 1;
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
}

fn is_data(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".journal") || name.ends_with(".segment") || name.starts_with("snapshot-")
}

#[test]
fn a_missing_truncated_or_swapped_segment_is_named_with_its_records() {
    let clock = ManualClock::new();
    for index in 0..3 {
        for harm in 0..3 {
            let (disk, stream) = filled(&clock, 7, true);
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
            let report = look(&disk, &clock);
            assert_eq!(report.health(), Health::Damaged);
            let finding = &report.findings[0];
            assert_eq!(finding.kind.severity(), Severity::Damaged);
            assert_eq!(&finding.file, file, "{finding:?}");
            assert_eq!(finding.shard, Some((stream, ShardNumber(0))));
            assert_eq!(finding.stream_name.as_deref(), Some("s"));
            let (first, last) = finding.records.expect("records are named");
            assert!(first <= last && last.0 <= COUNT);
        }
    }
}

#[test]
fn a_directory_in_use_or_none_at_all_is_refused() {
    let clock = ManualClock::new();
    let (disk, _) = filled(&clock, 1, true);
    let ask = |disk: &SimDisk| examine(&options(), disk.clone(), Arc::clone(&clock), &mut |_| {});
    let (store, loops) = open(options(), disk.clone(), Arc::clone(&clock)).unwrap();
    assert!(matches!(ask(&disk), Err(DoctorError::Locked { .. })));
    drop((store, loops));
    assert!(matches!(ask(&SimDisk::new(1)), Err(DoctorError::NoData(_))));
}

#[test]
fn a_newer_directory_is_refused_by_its_format_and_by_a_feature_of_its_journal() {
    let clock = ManualClock::new();
    let (disk, _) = filled(&clock, 1, true);
    disk.tamper("/data/format".as_ref(), |bytes| {
        *bytes = b"fnctl data directory, format 2\n".to_vec();
    });
    let ask = examine(&options(), disk.clone(), Arc::clone(&clock), &mut |_| {});
    assert!(matches!(ask, Err(DoctorError::NewerVersion { .. })));
    assert!(matches!(
        open(options(), disk, clock),
        Err(crate::OpenError::NewerVersion { .. })
    ));
}

#[test]
fn what_else_a_format_file_says_is_told_with_what_to_do() {
    let cases: [(&[u8], &str); 2] = [
        (
            b"fnctl data directory, being restored: run fnctl restore again\n",
            "run `fnctl restore` again",
        ),
        (
            b"fnctl data directory, fo\x76mat 1\n",
            "move that file away",
        ),
    ];
    for (content, words) in cases {
        let clock = ManualClock::new();
        let (disk, _) = filled(&clock, 1, true);
        let format = "/data/format".as_ref();
        disk.tamper(format, |bytes| *bytes = content.to_vec());
        let refused = open(options(), disk.clone(), Arc::clone(&clock)).err();
        let refused = refused.expect("it names no format").to_string();
        assert!(refused.contains(words), "{refused}");
        disk.remove(format).unwrap();
        assert!(open(options(), disk, clock).is_ok());
    }
}

#[test]
fn the_secret_and_the_witness_are_checked_and_a_start_mends_them() {
    type Harm = fn(&SimDisk);
    let cases: [(FindingKind, &str, Harm); 4] = [
        (FindingKind::Secret, "is missing", |disk| {
            disk.remove("/data/secret".as_ref()).unwrap();
        }),
        (FindingKind::Secret, "7 bytes of 32", |disk| {
            disk.tamper("/data/secret".as_ref(), |bytes| bytes.truncate(7));
        }),
        (FindingKind::Witness, "is missing", |disk| {
            disk.remove("/data/journal/newest".as_ref()).unwrap();
        }),
        (FindingKind::Witness, "is damaged", |disk| {
            disk.tamper("/data/journal/newest".as_ref(), |bytes| bytes[30] ^= 1);
        }),
    ];
    for (kind, words, harm) in cases {
        let clock = ManualClock::new();
        let (disk, stream) = filled(&clock, 8, true);
        harm(&disk);
        let report = look(&disk, &clock);
        let [finding] = &report.findings[..] else {
            panic!("{report:?}");
        };
        assert_eq!((finding.kind, report.health()), (kind, Health::Repairable));
        assert!(finding.message.contains(words), "{finding:?}");
        assert!(all_is_there(&disk, &clock, stream));
        if kind == FindingKind::Witness {
            assert!(disk.read("/data/journal/newest".as_ref()).is_some());
        }
    }
}

/// Nobody needs the oldest journal file while the image is there; without it nothing would be left.
#[test]
fn an_old_journal_file_that_goes_leaves_the_image_alone_until_a_start_takes_a_snapshot() {
    let clock = ManualClock::new();
    let (disk, stream) = filled(&clock, 9, true);
    let named = |disk: &SimDisk, part: &str| {
        let files = disk.files().into_iter();
        files
            .filter(|file| file.to_string_lossy().contains(part))
            .min()
    };
    while let Some(snapshot) = named(&disk, "snapshot-") {
        disk.remove(&snapshot).unwrap();
    }
    assert_eq!(look(&disk, &clock).health(), Health::Whole);
    disk.remove(&named(&disk, ".journal").unwrap()).unwrap();
    disk.sync_dir("/data/journal".as_ref()).unwrap();
    let report = look(&disk, &clock);
    let kinds: Vec<FindingKind> = report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(
        (report.health(), &kinds[..]),
        (Health::Repairable, &[FindingKind::NoStandIn][..]),
        "{report:?}"
    );
    let mut node = Node::open_with(options(), disk.clone(), &clock);
    clock.advance(3_000);
    node.settle().unwrap();
    node.store.shutdown();
    while node.loops.sequencer.step().unwrap() != Step::Finished {}
    while node.loops.applier.step().unwrap() != Step::Finished {}
    drop(node);
    let report = look(&disk, &clock);
    assert_eq!(report.health(), Health::Whole, "{report:?}");
    // What the start made stands in for the image.
    disk.remove_dir("/data/image".as_ref()).unwrap();
    assert!(all_is_there(&disk, &clock, stream));
}

#[test]
fn a_journal_that_is_not_there_is_damage_and_no_failure_to_look() {
    let clock = ManualClock::new();
    let (disk, _) = filled(&clock, 6, true);
    disk.remove_dir("/data/journal".as_ref()).unwrap();
    disk.sync_dir("/data".as_ref()).unwrap();
    let report = look(&disk, &clock);
    assert_eq!(report.health(), Health::Damaged, "{report:?}");
    let mut words = report.findings.iter().map(|finding| &finding.message);
    assert!(words.any(|words| words.contains("gone")), "{report:?}");
}

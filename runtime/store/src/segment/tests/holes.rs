//! Holes: what is damaged is named as narrowly as `doctor` names it, and all the rest is read.

use std::path::PathBuf;

use super::*;
use crate::segment::{
    SegmentMeta,
    check::check,
    frame::{FrameHeader, HEADER_BYTES},
    walk::Walk,
};

/// Frames of one segment: offset, first record, first behind the last.
fn frames(disk: &SimDisk, base: u64) -> Vec<(usize, u64, u64)> {
    let bytes = disk.read(&file(base)).unwrap();
    let (mut at, mut found) = (0, Vec::new());
    while let Some(header) = bytes.get(at..).and_then(FrameHeader::parse) {
        if header.records > 0 {
            found.push((at, header.first.0, header.next().0));
        }
        at += usize::try_from(header.frame_bytes()).unwrap();
    }
    found
}

fn file(base: u64) -> PathBuf {
    path(Path::new(DATA), KEY, Ordinal(base))
}

/// Segments as a start finds them: nothing of their inside is known yet.
fn reopened(disk: &SimDisk, before: &Segments) -> Segments {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let segments = Segments::new(shared, DATA.into());
    for meta in before.of(KEY) {
        segments.update(KEY, meta);
    }
    segments
}

/// What `doctor` says is lost of a segment.
fn lost_by_doctor(disk: &SimDisk, meta: &SegmentMeta) -> Vec<(u64, u64)> {
    let opened = disk.open(&file(meta.base.0)).unwrap();
    let length = opened.length().unwrap();
    let walk = Walk::new(opened, KEY, meta.salt, meta.length);
    let mut lost = Vec::new();
    let mut bad = |run: crate::segment::check::BadRun| {
        if run.first < run.next {
            lost.push((run.first.0, run.next.0));
        }
    };
    check(walk, meta, length, &mut |_| true, &mut bad).unwrap();
    lost
}

/// What readers say is lost, who go on behind every hole; those side by side as one.
fn lost_by_readers(segments: &Segments) -> Vec<(u64, u64)> {
    let (mut lost, mut after) = (Vec::<(u64, u64)>::new(), 0);
    while after < 800 {
        match read_from(segments, after) {
            Ok(next) => after = next - 1,
            Err(ReadError::Damaged { first, next, .. }) => {
                assert!(
                    first.0 <= after + 1 && after + 1 < next.0,
                    "{first} to {next} behind {after}"
                );
                match lost.last_mut().filter(|(_, end)| *end == first.0) {
                    Some((_, end)) => *end = next.0,
                    None => lost.push((first.0, next.0)),
                }
                after = next.0 - 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    lost
}

/// Readers and `doctor` agree, whoever comes first, and whatever was read before.
fn agree(disk: &SimDisk, before: &Segments, what: &str) -> Vec<(u64, u64)> {
    let by_doctor: Vec<(u64, u64)> = before
        .of(KEY)
        .iter()
        .flat_map(|meta| lost_by_doctor(disk, meta))
        .collect();
    assert_eq!(
        lost_by_readers(&reopened(disk, before)),
        by_doctor,
        "{what}"
    );
    for after in (0..800).step_by(7) {
        let hole = by_doctor
            .iter()
            .find(|(first, next)| (*first..*next).contains(&(after + 1)));
        match (read_from(&reopened(disk, before), after), hole) {
            (Ok(next), None) => assert!(next > after + 1),
            (Err(ReadError::Damaged { first, next, .. }), Some((from, to))) => {
                assert!(*from <= first.0 && next.0 <= *to, "{what}: behind {after}");
                assert!(first.0 <= after + 1 && after + 1 < next.0);
            }
            (found, hole) => panic!("{what}: behind {after}: {found:?}, {hole:?}"),
        }
    }
    by_doctor
}

#[test]
fn what_lies_behind_damaged_headers_is_read() {
    for base in [1, 401] {
        let count = frames(&written().0, base).len();
        assert_eq!(count, 100);
        // One header, two frames by few bytes, and long holes: at the front, across an entry of the index, at the end.
        for (from, to) in [
            (0, 0),
            (49, 50),
            (50, 50),
            (51, 51),
            (10, 70),
            (0, 80),
            (60, 99),
            (0, 99),
        ] {
            let (disk, segments) = written();
            let frames = frames(&disk, base);
            let last = frames.get(to + 1).map_or(frames[to].0 + 200, |f| f.0) - 20;
            disk.tamper(&file(base), |bytes| {
                bytes[frames[from].0 - 20..frames[to].0 + 20].fill(0xA5);
                if to > from + 1 {
                    bytes[frames[from].0..last].fill(0);
                }
            });
            let lost = agree(&disk, &segments, &format!("{base}: {from} to {to}"));
            assert!(!lost.is_empty());
        }
    }
}

#[test]
fn every_header_in_turn_costs_its_own_records() {
    for base in [1, 401] {
        let (disk, segments) = written();
        for (at, first, next) in frames(&disk, base) {
            disk.tamper(&file(base), |bytes| bytes[at + 33] ^= 1);
            let lost = lost_by_readers(&reopened(&disk, &segments));
            assert_eq!(lost, [(first, next)], "{base} at {at}");
            disk.tamper(&file(base), |bytes| bytes[at + 33] ^= 1);
        }
        assert!(lost_by_readers(&segments).is_empty());
    }
}

#[test]
fn a_hole_is_no_wider_where_frames_are_longer_than_an_entry_of_the_index() {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new("/data/streams/3/1")).unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let segments = Segments::new(shared, DATA.into());
    let mut writer = SegmentWriter::create(&disk, Path::new(DATA), KEY, Ordinal(1), 1).unwrap();
    for first in (1..801).step_by(200) {
        writer.push(&[Arc::new(block(first, 200))], (Lsn(1), Lsn(2)), first);
        writer.flush().unwrap();
    }
    segments.update(KEY, writer.meta());
    let frames = frames(&disk, 1);
    assert_eq!(frames.len(), 4, "{frames:?}");
    // The end of the second frame and the header of the third.
    disk.tamper(&file(1), |bytes| {
        bytes[frames[2].0 - 20..frames[2].0 + 20].fill(0x5A);
    });
    assert_eq!(agree(&disk, &segments, "two frames"), [(201, 601)]);
}

/// A payload may be the very bytes of an earlier frame: behind a damaged header it is not taken for one.
#[test]
fn a_frame_inside_a_payload_is_no_frame() {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new("/data/streams/3/1")).unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let segments = Segments::new(shared, DATA.into());
    let mut writer = SegmentWriter::create(&disk, Path::new(DATA), KEY, Ordinal(1), 1).unwrap();
    writer.push(&[Arc::new(block(1, 4))], (Lsn(1), Lsn(2)), 1);
    writer.flush().unwrap();
    let (at, ..) = frames(&disk, 1)[0];
    let copy = disk.read(&file(1)).unwrap()[at..].to_vec();
    // At each of the eight places that a payload may begin at, one is where a frame could be.
    let padded = |by: usize| [vec![b'x'; by], copy.clone()].concat();
    let payloads: Vec<Vec<u8>> = (0..8).map(padded).collect();
    let new = records(&payloads);
    let holding = RecordBlock {
        first: Ordinal(5),
        records: Records {
            arrival_ms: vec![50; 8],
            keys: new.keys,
            data: new.data,
        },
        hash_keys: new.hash_keys,
        ..block(5, 8)
    };
    writer.push(&[Arc::new(holding)], (Lsn(2), Lsn(3)), 2);
    writer.push(&[Arc::new(block(13, 4))], (Lsn(3), Lsn(4)), 3);
    writer.flush().unwrap();
    segments.update(KEY, writer.meta());
    let frames = frames(&disk, 1);
    disk.tamper(&file(1), |bytes| bytes[frames[1].0 + 33] ^= 1);
    let segments = reopened(&disk, &segments);
    let Err(ReadError::Damaged { first, next, .. }) = segments.read(KEY, Ordinal(4), 1_000) else {
        panic!("the damage is not seen");
    };
    assert_eq!((first, next), (Ordinal(5), Ordinal(frames[2].1)));
    assert_eq!(read_from(&segments, frames[2].1 - 1).unwrap(), 17);
}

#[test]
fn times_and_stamps_are_found_behind_a_hole() {
    for base in [1, 401] {
        let (disk, segments) = written();
        let frames = frames(&disk, base);
        // Frames 20 to 69 of the segment: records `first` to `next`.
        let (first, next) = (frames[20].1, frames[70].1);
        disk.tamper(&file(base), |bytes| {
            bytes[frames[20].0..frames[70].0 - HEADER_BYTES].fill(0);
        });
        for wanted in (next + 1..base + 400).chain(base..first) {
            let segments = reopened(&disk, &segments);
            let found = segments.find_time(KEY, Timestamp(wanted * 10)).unwrap();
            assert_eq!(found, Some(Ordinal(wanted)));
        }
        // A record of such a time may be among those that cannot be read.
        let inside = Timestamp((first + 9) * 10);
        let found = reopened(&disk, &segments).find_time(KEY, inside);
        assert!(matches!(found, Err(ReadError::Damaged { .. })), "{found:?}");
        // Frames carry their first record as their stamp: what may have been written later is kept. The index of a
        // sealed segment knows of a frame inside the hole.
        let known = if base == 1 { 181 } else { first };
        for (stamp, kept) in [
            (frames[10].1, frames[11].1),
            (frames[30].1, first),
            (frames[69].1, known),
            (next, frames[71].1),
            (frames[80].1, frames[81].1),
        ] {
            let found = reopened(&disk, &segments).find_stamp(KEY, stamp).unwrap();
            assert_eq!(found, Some(Ordinal(kept)), "{base}: after {stamp}");
        }
    }
}

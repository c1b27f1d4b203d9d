mod holes;

use std::{path::Path, sync::Arc};

use fnctl_core::{
    id::{Lsn, Ordinal, ShardNumber, StreamId, Timestamp},
    record::{RecordBlock, Records},
};

use super::{
    ReadError, Segments, decode_key, encode_key, parse_file_name, path, writer::SegmentWriter,
};
use crate::{
    block::ShardKey,
    disk::{Disk, simulated::SimDisk},
    testing::records,
};

const KEY: ShardKey = (StreamId(3), ShardNumber(1));
const DATA: &str = "/data";

/// Blocks of `count` records of some hundred bytes, each arriving 10 ms after the one before.
fn block(first: u64, count: u64) -> RecordBlock {
    let payloads: Vec<String> = (first..first + count)
        .map(|n| format!("{n:0>300}"))
        .collect();
    let new = records(&payloads);
    RecordBlock {
        stream: KEY.0,
        shard: KEY.1,
        first: Ordinal(first),
        records: Records {
            arrival_ms: (first..first + count).map(|n| n * 10).collect(),
            keys: new.keys,
            data: new.data,
        },
        hash_keys: new.hash_keys,
        hops: Vec::new(),
        origins: Vec::new(),
    }
}

/// One shard of two segments, the first one sealed: records 1 to 800 in frames of four.
fn written() -> (SimDisk, Segments) {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new("/data/streams/3/1")).unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let segments = Segments::new(shared, DATA.into());
    for (base, is_sealed) in [(1, true), (401, false)] {
        let path = Path::new(DATA);
        let mut writer = SegmentWriter::create(&disk, path, KEY, Ordinal(base), base).unwrap();
        for first in (base..base + 400).step_by(4) {
            writer.push(&[Arc::new(block(first, 4))], (Lsn(1), Lsn(2)), first);
            writer.flush().unwrap();
        }
        if is_sealed {
            writer.seal(base + 400).unwrap();
        }
        segments.update(KEY, writer.meta());
    }
    (disk, segments)
}

fn read_from(segments: &Segments, after: u64) -> Result<u64, ReadError> {
    let found = segments.read(KEY, Ordinal(after), 2_000)?;
    let mut expected = found[0].first.0;
    assert!(expected <= after + 1 && found[0].last().0 > after);
    for block in &found {
        for index in 0..block.len() {
            assert_eq!(
                block.records.data.get(index),
                format!("{expected:0>300}").as_bytes()
            );
            expected += 1;
        }
    }
    Ok(expected)
}

#[test]
fn any_record_is_found_by_its_ordinal() {
    let (_disk, segments) = written();
    for after in (0..800).step_by(3) {
        read_from(&segments, after).unwrap();
    }
    assert!(segments.read(KEY, Ordinal(800), 1_000).unwrap().is_empty());
}

#[test]
fn a_sealed_segment_is_found_through_without_its_index_too() {
    let (disk, segments) = written();
    let path = super::path(Path::new(DATA), KEY, Ordinal(1));
    disk.tamper(&path, |bytes| {
        let end = bytes.len();
        bytes[end - 20] ^= 1;
    });
    read_from(&segments, 399).unwrap();
}

#[test]
fn the_first_record_of_a_time_is_found() {
    let (_disk, segments) = written();
    for (time, found) in [
        (0, 1),
        (10, 1),
        (11, 2),
        (4_000, 400),
        (4_001, 401),
        (7_995, 800),
    ] {
        let at = segments.find_time(KEY, Timestamp(time)).unwrap();
        assert_eq!(at, Some(Ordinal(found)), "at {time}");
    }
    assert_eq!(segments.find_time(KEY, Timestamp(8_001)).unwrap(), None);
}

#[test]
fn the_first_frame_written_after_a_stamp_is_found() {
    let (_disk, segments) = written();
    for (stamp, found) in [
        (0, 1),
        (1, 5),
        (4, 5),
        (5, 9),
        (400, 401),
        (401, 405),
        (900, 801),
    ] {
        let at = segments.find_stamp(KEY, stamp).unwrap();
        assert_eq!(at, Some(Ordinal(found)), "after {stamp}");
    }
}

#[test]
fn a_damaged_frame_is_named_and_the_others_are_read() {
    let (disk, segments) = written();
    let path = super::path(Path::new(DATA), KEY, Ordinal(401));
    disk.tamper(&path, |bytes| {
        let needle = format!("{:0>300}", 450);
        let at = bytes
            .windows(300)
            .position(|window| window == needle.as_bytes())
            .unwrap();
        bytes[at + 299] ^= 1;
    });
    let Err(ReadError::Damaged {
        file, first, next, ..
    }) = segments.read(KEY, Ordinal(448), 1_000)
    else {
        panic!("the damage is not seen");
    };
    assert_eq!((file, first, next), (path, Ordinal(449), Ordinal(453)));
    read_from(&segments, 500).unwrap();
}

#[test]
fn a_segment_that_ends_inside_a_frame_is_named_and_what_is_in_front_is_read() {
    let (disk, segments) = written();
    let path = super::path(Path::new(DATA), KEY, Ordinal(401));
    disk.tamper(&path, |bytes| bytes.truncate(bytes.len() - 50));
    let Err(ReadError::Damaged { file, first, .. }) = read_from(&segments, 796) else {
        panic!("the end is missing");
    };
    assert_eq!((file, first), (path, Ordinal(797)));
    read_from(&segments, 780).unwrap();
}

#[test]
fn trimmed_segments_are_sealed_ones_below_the_floor() {
    let (_disk, segments) = written();
    assert!(segments.trim(KEY, Ordinal(400), 9).is_empty());
    assert_eq!(
        segments.trim(KEY, Ordinal(801), 9).len(),
        1,
        "the newest one takes appends"
    );
    assert_eq!(segments.of(KEY).len(), 1);
}

#[test]
fn keys_and_names_come_back() {
    let key = encode_key(KEY, Ordinal(7));
    assert_eq!(decode_key(&key).unwrap(), KEY);
    assert!(decode_key(&key[1..]).is_err());
    assert_eq!(
        parse_file_name("00000000000000000007.segment"),
        Some(Ordinal(7))
    );
    assert_eq!(parse_file_name("7.segment"), None);
}

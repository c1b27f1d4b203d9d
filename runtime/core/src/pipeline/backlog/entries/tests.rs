use proptest::prelude::*;

use super::*;
use crate::{id::Timestamp, lane::KeyHash, pipeline::BlockId};

const CHUNK: u64 = limits::BACKLOG_CHUNK_RECORDS as u64;

fn entry(n: u64) -> Entry {
    Entry {
        position: Ordinal(10 + 2 * n),
        after: Ordinal(8 + 2 * n),
        key: KeyHash(n),
        arrival: Timestamp(n),
        block: BlockId(1),
        index: 0,
        bytes: 1,
        attempts: 0,
        is_named: false,
        is_harmless: false,
        is_apart: false,
        hops: 0,
        has_died: false,
        is_unparsable: false,
        is_given_up: false,
        place: Place::Parked,
    }
}

fn done(entries: &mut Entries, n: u64) {
    entries.get_mut(Serial(n)).expect("it is kept").place = Place::Done;
    entries.note_done(Serial(n));
}

#[test]
fn behind_a_record_that_waits_nothing_is_kept_of_those_that_are_done() {
    let mut entries = Entries::new();
    let last = limits::UNSETTLED_RECORDS_MAX - 1;
    for n in 0..=last {
        assert_eq!(entries.push(entry(n)), Serial(n));
        if n > 0 && n != 70_000 {
            done(&mut entries, n);
        }
        if n % 500 == 0 {
            entries.pass_over_done();
        }
    }
    entries.pass_over_done();
    assert_eq!(entries.len(), last + 1, "the bound of the done-set holds");
    assert!(entries.iter().count() <= 2 + 2 * limits::BACKLOG_CHUNK_RECORDS);
    assert!(
        entries.aside.capacity() + entries.recent.capacity() < 16 * limits::BACKLOG_CHUNK_RECORDS
    );
    assert!(entries.get(Serial(69_999)).is_none());
    assert_eq!(entries.find(Ordinal(10 + 2 * 69_999)), None);
    assert_eq!(entries.find(Ordinal(10 + 2 * 70_000)), Some(Serial(70_000)));
    assert_eq!(entries.front().map(|entry| entry.key), Some(KeyHash(0)));
    done(&mut entries, 0);
    entries.pass_over_done();
    assert_eq!(
        entries.front().map(|entry| entry.key),
        Some(KeyHash(70_000))
    );
    assert_eq!(entries.len(), last + 1 - 70_000);
    done(&mut entries, 70_000);
    entries.pass_over_done();
    assert_eq!((entries.len(), entries.front().is_none()), (0, true));
    assert_eq!(entries.push(entry(last + 1)), Serial(last + 1));
}

#[test]
fn what_is_mostly_open_stays_where_it_is_until_it_is_not() {
    let mut entries = Entries::new();
    for n in 0..4 * CHUNK {
        entries.push(entry(n));
        entries.pass_over_done();
    }
    assert!(entries.aside.is_empty());
    for n in (1..4 * CHUNK).filter(|n| n % 3 > 0) {
        done(&mut entries, n);
    }
    for n in 4 * CHUNK..6 * CHUNK {
        entries.push(entry(n));
        entries.pass_over_done();
    }
    assert!(
        entries.aside.len() as u64 > CHUNK,
        "{}",
        entries.aside.len()
    );
    let left = (0..6 * CHUNK).filter(|n| *n == 0 || n % 3 == 0 || *n >= 4 * CHUNK);
    let open = entries
        .iter()
        .filter(|(_, entry)| entry.place != Place::Done);
    assert!(open.map(|(serial, _)| serial).eq(left.map(Serial)));
}

#[test]
fn nothing_is_moved_aside_while_more_than_a_few_of_its_neighbours_are_on_their_way() {
    let moving = limits::BACKLOG_CHUNK_MOVING_RECORDS as u64;
    for (place, moving, is_moved) in [
        (Place::Busy, moving + 1, false),
        (Place::Waiting, moving + 1, false),
        (Place::Waiting, moving, true),
        (Place::Parked, moving + 1, true),
    ] {
        let mut entries = Entries::new();
        for n in 0..2 * CHUNK {
            entries.push(entry(n));
            match n {
                // It holds the low watermark.
                0 => {}
                n if n <= moving => entries.get_mut(Serial(n)).expect("open").place = place,
                n => done(&mut entries, n),
            }
        }
        entries.pass_over_done();
        assert_eq!(!entries.aside.is_empty(), is_moved, "{place:?} {moving}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a list that keeps everything.
    #[test]
    fn what_is_not_done_is_always_there(
        steps in prop::collection::vec((0_u64..900, 0_u64..8, any::<u64>()), 1..40),
    ) {
        let mut entries = Entries::new();
        let mut all: Vec<bool> = Vec::new();
        for (reads, spared, salt) in steps {
            for _ in 0..reads {
                let serial = entries.push(entry(all.len() as u64));
                prop_assert_eq!(serial, Serial(all.len() as u64));
                all.push(false);
            }
            // Of what is open one in `spared` stays so: from nearly none to all.
            for (n, is_done) in all.iter_mut().enumerate() {
                let n = n as u64;
                let draw = (n ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                if !*is_done && spared > 0 && !draw.is_multiple_of(spared) {
                    *is_done = true;
                    done(&mut entries, n);
                }
            }
            entries.pass_over_done();
            let open = |n: &u64| !all[usize::try_from(*n).expect("small")];
            let end = all.len() as u64;
            let first = (0..end).find(open);
            prop_assert_eq!(entries.front().map(|entry| entry.key), first.map(KeyHash));
            prop_assert_eq!(entries.len(), end - first.unwrap_or(end));
            let found = entries.iter().filter(|(_, entry)| entry.place != Place::Done);
            prop_assert!(found.map(|(serial, _)| serial.0).eq((0..end).filter(open)));
            for n in (0..end).filter(open) {
                prop_assert_eq!(entries.get(Serial(n)).map(|entry| entry.key), Some(KeyHash(n)));
                prop_assert_eq!(entries.find(Ordinal(10 + 2 * n)), Some(Serial(n)));
            }
            for n in (0..=end).filter(|n| !(*n < end && open(n))) {
                let kept = entries.get(Serial(n));
                prop_assert!(kept.is_none_or(|entry| entry.key == KeyHash(n) && entry.place == Place::Done));
            }
            let (from, to) = (salt % (end + 1), end.min(salt % (end + 1) + 700));
            let range = entries.range(Serial(from)..Serial(to));
            let range = range.filter(|entry| entry.place != Place::Done);
            prop_assert!(range.map(|entry| entry.key.0).eq((from..to).filter(open)));
        }
    }
}

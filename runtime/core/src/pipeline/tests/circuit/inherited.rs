//! What of an outage, and of failures, one owner leaves to the next.

use std::sync::Arc;

use super::{attempts, down, poison, totals, well};
use crate::{
    breaker::{Outage, Outages},
    commit::{AttemptMark, ErrorKind},
    id::{FunctionVersion, Ordinal, Timestamp},
    limits,
    mapping::{MappingSettings, Ordering},
    outcome::Cause,
    pipeline::{
        Started,
        tests::harness::{
            Harness,
            given::{beginning, charged, mark},
        },
    },
};

fn cause() -> Cause {
    Cause::of(ErrorKind::Error, "it is down".into())
}

fn live(version: u64) -> Outages {
    let outage = Outage {
        version: FunctionVersion(version),
        since: Timestamp(0),
        cause: cause(),
    };
    Outages {
        live: Some(outage),
        canary: None,
    }
}

/// An owner that begins with this has all records in its lanes, each of a key of its own.
fn owner(settings: MappingSettings, start: Started, records: u64) -> Harness {
    let mut shard = Harness::started(settings, start);
    shard.keys_of_many = 1_000_000;
    shard.tail(records);
    shard.forget_all_but(0);
    shard.fetched_many(Ordinal(0), records);
    shard
}

#[test]
fn an_outage_is_not_found_out_anew_by_every_owner() {
    for (ordering, settings) in [
        (Ordering::Key, attempts(3)),
        (Ordering::Key, attempts(1)),
        (Ordering::Shard, attempts(30)),
    ] {
        let settings = MappingSettings {
            ordering,
            batch_size: 20,
            ..settings
        };
        let mut shard = owner(settings.clone(), beginning(), 200);
        shard.run_until(20_000, down);
        let charged = totals(&shard);
        assert_eq!(charged[1], 0, "{ordering:?}");
        let mut probes = 0;
        for _ in 0..10 {
            shard = owner(settings.clone(), shard.left.clone(), 200);
            let open = shard.stats().circuit.expect("it was left open");
            assert!(open.is_inherited && open.cause.code.as_ref() == "busy");
            // The first probe is made at once.
            let calls = shard.run_until(20_000, down);
            assert!(calls[0].0 <= 100, "{:?}", calls[0]);
            assert_eq!(shard.told, 0, "nothing new to say");
            probes += calls.len();
            assert_eq!((totals(&shard), shard.circuit_opens()), (charged, 0));
        }
        assert!(probes < 150, "{probes} probes");
        shard = owner(settings.clone(), shard.left.clone(), 200);
        shard.run_until(u64::MAX, well);
        assert_eq!(totals(&shard)[..2], [200, 0], "{ordering:?}");
        assert_eq!((shard.told, &shard.left.outages), (1, &Outages::default()));
    }
}

#[test]
fn it_is_told_when_it_opens_and_when_it_closes_and_else_never() {
    let mut shard = owner(attempts(3), beginning(), 200);
    shard.run_until(1_000, well);
    assert_eq!(shard.told, 0);
    shard.tail(400);
    shard.forget();
    shard.fetched_many(Ordinal(200), 200);
    shard.run_until(100_000, down);
    let left = shard.left.outages.live.clone().expect("it is open");
    let open = shard.stats().circuit.expect("it is open");
    assert_eq!((left.version.0, left.since), (1, open.since));
    assert_eq!((left.cause.kind, shard.told), (ErrorKind::Error, 1));
    shard.run_until(u64::MAX, well);
    assert_eq!((shard.told, shard.left.outages.is_none()), (2, true));
}

#[test]
fn bad_records_that_an_owner_finds_open_nothing() {
    let bad: Vec<u64> = (1..=40).collect();
    let marks = bad.iter().map(|&at| AttemptMark {
        cause: Some(Arc::new(cause())),
        ..mark(at, 1, 50)
    });
    let mut shard = owner(attempts(9), charged(marks.collect()), 100);
    assert_eq!(shard.stats().circuit, None);
    let calls = shard.run_until(0, poison(&bad));
    assert_eq!(totals(&shard)[0], 60, "no good record waits: {calls:?}");
}

#[test]
fn one_probe_closes_what_an_owner_before_left_open_by_mistake() {
    let start = Started {
        outages: live(1),
        ..beginning()
    };
    let mut shard = owner(attempts(3), start, 100);
    let calls = shard.run_until(0, well);
    assert_eq!(calls[0].1.len(), 1);
    assert_eq!((calls.len(), totals(&shard)[0]), (2, 100));
}

#[test]
fn a_new_version_begins_with_the_circuit_of_the_last_one() {
    let start = Started {
        outages: live(7),
        ..beginning()
    };
    let mut shard = owner(attempts(3), start, 30);
    shard.run_until(5_000, down);
    assert_eq!(totals(&shard), [0, 0, 0]);
    let left = shard.left.outages.live.as_ref();
    assert_eq!(left.map(|outage| outage.version.0), Some(1));
}

#[test]
fn without_a_breaker_what_is_left_open_is_forgotten() {
    let settings = MappingSettings {
        circuit_breaker: false,
        ..attempts(3)
    };
    let start = Started {
        outages: live(1),
        ..beginning()
    };
    let mut shard = owner(settings, start, 30);
    assert_eq!(shard.stats().circuit, None);
    shard.run_until(0, well);
    assert!(shard.left.outages.is_none());
}

#[test]
fn what_a_record_failed_with_is_known_to_the_next_owner() {
    let mut shard = owner(attempts(9), beginning(), 10);
    shard.run_until(0, poison(&[3]));
    let left = &shard.left.attempts;
    let told = left
        .iter()
        .map(|mark| (mark.position.0, mark.cause.clone()));
    let busy = Cause {
        code: "busy".into(),
        ..cause()
    };
    assert_eq!(told.collect::<Vec<_>>(), [(3, Some(Arc::new(busy)))]);
    let mut shard = Harness::started(attempts(9), shard.left.clone());
    shard.tail(10);
    shard.forget();
    shard.fetched_many(Ordinal(2), 1);
    let known = shard.waiting_keys(None, 9).keys;
    let cause = known[0].records[0].failure.clone().expect("it was told");
    assert_eq!((&*cause.code, &*cause.error), ("busy", "it is down"));
}

#[test]
fn of_very_many_failing_records_the_cause_is_told_of_some() {
    let settings = MappingSettings {
        batch_size: 10_000,
        circuit_breaker: false,
        ..attempts(100)
    };
    let most = limits::FAILURES_TOLD_MAX;
    let mut shard = owner(settings.clone(), beginning(), most as u64 + 100);
    for until in [0, 200] {
        shard.run_until(until, down);
        let left = &shard.left.attempts;
        assert_eq!(left.len(), most + 100);
        let told = left.iter().filter(|mark| mark.cause.is_some());
        assert_eq!(told.count(), most, "until {until}");
    }
}

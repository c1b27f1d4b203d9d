//! Streams that may take so many bytes (commit and storage rules §7, schedule 35).

use serde_json::json;

use super::*;
use crate::{limits, quota::weight, registry::Refusal, spec::StreamSpec};

fn alter(bench: &mut Bench, stream: &str, spec: serde_json::Value) -> Result<(), Refusal> {
    let command = Command::AlterStream {
        name: name(stream),
        spec: serde_json::from_value::<StreamSpec>(spec).unwrap(),
    };
    let (entry, _) = bench.view.evaluate_command(&command, bench.now())?;
    if let Some(entry) = entry {
        bench.take(entry);
    }
    Ok(())
}

fn append(bench: &Bench, stream: &str, count: usize) -> Entry {
    let records = Arc::new(some(count));
    let name = name(stream);
    let target = StreamRef::Name(&name);
    bench
        .view
        .evaluate_append(target, &records, None, bench.now())
        .unwrap()
}

const MIN: u64 = limits::STREAM_QUOTA_BYTES_MIN;

#[test]
fn a_put_above_the_quota_is_named_with_what_is_there() {
    let mut bench = Bench::default();
    let stream = bench.create_stream("in", 1);
    let entry = append(&bench, "in", 3);
    assert_eq!(bench.view.over_quota(&entry, |_| u64::MAX), None);
    alter(&mut bench, "in", json!({"quota": "64MiB"})).unwrap();
    let adding = weight(6, 3);
    let stored = |bytes| move |asked| if asked == stream { bytes } else { 0 };
    assert_eq!(bench.view.over_quota(&entry, stored(MIN - adding)), None);
    let over = bench
        .view
        .over_quota(&entry, stored(MIN - adding + 1))
        .unwrap();
    assert_eq!(over.stream, name("in"));
    assert_eq!(
        (over.quota_bytes, over.stored_bytes),
        (MIN, MIN - adding + 1)
    );
    // Nothing needs no room.
    let empty = append(&bench, "in", 0);
    assert_eq!(bench.view.over_quota(&empty, |_| u64::MAX), None);
    // Reset, the disk alone bounds it.
    alter(&mut bench, "in", json!({"quota": "default"})).unwrap();
    assert_eq!(bench.view.over_quota(&entry, |_| u64::MAX), None);
}

#[test]
fn an_output_above_the_quota_holds_its_commit_and_no_other() {
    let mut bench = Bench::default();
    let mapping = bench.deploy("f", json!({"stream": "in", "outputs": {"default": "out"}}));
    alter(&mut bench, "out", json!({"quota": "64MiB"})).unwrap();
    let unit = bench.unit(mapping, 0);
    bench.put("in", some(3));
    bench.lease(unit);
    let evaluated = |bench: &Bench, outputs| {
        let commit = Commit {
            outputs,
            ..bench.settling(unit, 0, 1)
        };
        let commit = Arc::new(commit);
        bench.view.evaluate_commit(&commit, bench.now()).unwrap()
    };
    let full = |_: StreamId| MIN;
    let with = evaluated(&bench, vec![output("out", some(1))]);
    assert_eq!(
        bench.view.over_quota(&with, full).unwrap().stream,
        name("out")
    );
    let without = evaluated(&bench, vec![]);
    assert_eq!(bench.view.over_quota(&without, full), None);
    // Two outputs that go to one stream count together.
    let room_for_one = |_: StreamId| MIN - weight(2, 1);
    assert_eq!(bench.view.over_quota(&with, room_for_one), None);
    let twice = evaluated(&bench, vec![output("out", some(1)), output("out", some(1))]);
    assert!(bench.view.over_quota(&twice, room_for_one).is_some());
}

/// 35: A → S2 → B → S1, both streams at their quota: they would wait for each other for ever.
#[test]
fn outputs_inside_a_loop_pass_the_quota_and_those_that_leave_it_do_not() {
    let mut bench = Bench::default();
    for stream in ["s1", "s2", "away"] {
        bench.create_stream(stream, 1);
        alter(&mut bench, stream, json!({"quota": "64MiB"})).unwrap();
    }
    let there = bench.deploy("a", json!({"stream": "s1", "outputs": {"default": "s2"}}));
    let back = bench.deploy("b", json!({"stream": "s2", "outputs": {"default": "s1"}}));
    let is_over = |bench: &mut Bench, mapping, stream: &str, to: &str| {
        let unit = bench.unit(mapping, 0);
        bench.put(stream, some(1));
        bench.lease(unit);
        let commit = Commit {
            outputs: vec![output(to, some(1))],
            ..bench.settling(unit, 0, 1)
        };
        let commit = Arc::new(commit);
        let entry = bench.view.evaluate_commit(&commit, bench.now()).unwrap();
        bench.view.over_quota(&entry, |_| u64::MAX).is_some()
    };
    assert!(!is_over(&mut bench, there, "s1", "s2"));
    assert!(!is_over(&mut bench, back, "s2", "s1"));
    assert!(is_over(&mut bench, there, "s1", "away"));
    // A put from outside does not: the loop is not the producer's.
    let put = append(&bench, "s1", 1);
    assert!(bench.view.over_quota(&put, |_| u64::MAX).is_some());
    // With one of the two gone there is no loop any more.
    bench.command(&Command::DeleteMapping {
        mapping: back,
        force: true,
    });
    assert!(is_over(&mut bench, there, "s1", "s2"));
}

#[test]
fn what_is_changed_is_checked_against_what_the_stream_has() {
    let mut bench = Bench::default();
    bench.create_stream("in", 1);
    let options = |bench: &Bench| {
        let stream = bench.view.registry().stream_by_name(&name("in")).unwrap();
        let options = &stream.options;
        (
            stream.retention_ms,
            options.quota_bytes,
            options.retention_bytes,
        )
    };
    let day = 86_400_000;
    assert_eq!(options(&bench), (day, None, None));
    let retention = json!({"retention_bytes": "128MiB", "retention": "48h"});
    alter(&mut bench, "in", retention).unwrap();
    assert_eq!(options(&bench), (2 * day, None, Some(2 * MIN)));
    for refused in [
        json!({"quota": "128MiB"}),
        json!({"quota": "1MiB"}),
        json!({"quota": "much"}),
        json!({"shards": 2}),
        json!({"ack": "written"}),
        json!({"retention": "1s"}),
        json!({"colour": "red"}),
    ] {
        let error = alter(&mut bench, "in", refused.clone()).unwrap_err();
        assert!(
            matches!(error, Refusal::StreamInvalid { .. }),
            "{refused}: {error:?}"
        );
    }
    alter(&mut bench, "in", json!({"quota": "129MiB"})).unwrap();
    assert_eq!(options(&bench), (2 * day, Some(129 << 20), Some(128 << 20)));
    let log = bench.log.len();
    alter(&mut bench, "in", json!({"quota": "129MiB"})).unwrap();
    assert_eq!(bench.log.len(), log, "no entry where everything is so");
    assert!(matches!(
        alter(&mut bench, "none", json!({})),
        Err(Refusal::NoSuchStream(_))
    ));
}

//! A canary beside the live version: every batch is of one version, a key meets one of them, and what one
//! does holds none of the keys of the other.

use proptest::prelude::*;

use super::harness::{
    Harness, TAKEN,
    given::{beginning, charged, mark},
    running::failing,
    settings,
};
use crate::{
    canary::{Permille, Share},
    commit::AttemptMark,
    id::{FunctionId, FunctionVersion, Ordinal},
    limits,
    mapping::MappingSettings,
    outcome::{FailureKind::Retry, Outcome},
    pipeline::{Event, OtherVersion, PipelineCanary, Started},
};

/// Half of the keys.
fn half() -> Share {
    Share::new(FunctionId(1), Permille::new(500).unwrap())
}

fn started(settings: MappingSettings, start: Started) -> Harness {
    let canary = PipelineCanary {
        share: half(),
        version: OtherVersion {
            version: FunctionVersion(2),
            outputs: [].into(),
        },
    };
    Harness::beside(settings, start, Some(canary))
}

fn shard(settings: MappingSettings) -> Harness {
    started(settings, beginning())
}

/// The harness hashes key "a" to 0, "b" to 1 …: those that meet the canary, and those that do not.
fn keys() -> (Vec<String>, Vec<String>) {
    let all = (0..26).map(|n: u8| (u64::from(n), char::from(b'a' + n).to_string()));
    let (canary, live): (Vec<_>, Vec<_>) = all.partition(|(hash, _)| half().takes(*hash));
    let names = |keys: Vec<(u64, String)>| keys.into_iter().map(|(_, name)| name).collect();
    (names(canary), names(live))
}

/// `L` and `M` are keys that meet the live version, `C` and `D` the canary.
fn named(keys_text: &str) -> String {
    let (canary, live) = keys();
    let name = |word: &str| match word {
        "L" => live[0].clone(),
        "M" => live[1].clone(),
        "C" => canary[0].clone(),
        "D" => canary[1].clone(),
        other => other.to_owned(),
    };
    let names: Vec<String> = keys_text.split(' ').map(name).collect();
    names.join(" ")
}

#[test]
fn a_batch_is_of_one_version_and_both_run_beside_each_other() {
    let mut shard = shard(settings());
    shard.put(&named("L C M D L C"));
    shard.expect(&["call 1 lane0: 1 3 5", "call 2 lane1: 2 4 6 v2"]);
    shard.ok(2);
    shard.expect(&["commit lane1#1 settles 1-2 3-4 5-6 v2"]);
    shard.ok(1);
    shard.answer("lane1", 1, TAKEN);
    shard.expect(&["commit lane0#1 settles 0-1 2-3 4-5"]);
    shard.answer("lane0", 1, TAKEN);
    assert_eq!(shard.stats().low_watermark, Ordinal(6));
}

#[test]
fn a_failing_key_of_the_canary_parks_is_charged_and_tried_again_by_it() {
    let mut shard = shard(settings());
    shard.put(&named("C D L"));
    shard.fail(2, &[(0, Retry)]);
    shard.ok(1);
    shard.forget();
    shard.answer("lane1", 1, TAKEN);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    let deadline = shard.deadline().unwrap();
    shard.at(deadline).tick();
    shard.expect(&["call 3 retry: 1 v2"]);
    shard.fail(3, &[(0, Retry)]);
    shard.expect(&["commit retry#1 marks 1:2 v2"]);
}

#[test]
fn what_the_canary_fails_at_as_a_whole_is_bisected_by_it_and_holds_no_other_key() {
    let mut shard = shard(MappingSettings {
        bisect_on_error: true,
        batch_size: 2,
        ..settings()
    });
    // Names of keys that meet one of the versions, where the harness puts so much in front of their hashes.
    let names = |space: u64, is_canary: bool| {
        let all = (0..26_u8).filter(move |n| half().takes(space + u64::from(*n)) == is_canary);
        let names: Vec<String> = all.map(|n| char::from(b'a' + n).to_string()).collect();
        names
    };
    let in_lane = |lines: &[String], lane: &str| {
        let mut calls = lines.iter().filter(|line| line.contains(lane));
        let call = calls.find(|line| line.starts_with("call"))?;
        call.split(' ').nth(1)?.parse::<u64>().ok()
    };
    // More suspects than a version may have: its lane calls no more, the live version's goes on.
    let mut space = 0;
    for _ in 0..2 * limits::SUSPECT_BATCHES_MAX {
        shard.put(&names(space, true)[..2].join(" "));
        if let Some(attempt) = in_lane(&shard.lines(), "lane1") {
            shard.trap(attempt);
        }
        shard.renamed_keys();
        space += 32;
    }
    shard.forget();
    shard.put(&names(space, true)[..2].join(" "));
    assert_eq!(in_lane(&shard.lines(), "lane1"), None);
    shard.put(&names(space, false)[0]);
    assert!(in_lane(&shard.lines(), "lane0").is_some());
}

#[test]
fn charges_of_the_version_that_a_key_does_not_meet_any_more_count_for_nothing() {
    let mark = |position, version| AttemptMark {
        version: FunctionVersion(version),
        ..mark(position, 3, 50)
    };
    let start = charged(vec![
        mark(1, 1),
        mark(2, 2),
        mark(3, 1),
        mark(4, 2),
        mark(5, 9),
    ]);
    let mut shard = started(settings(), start);
    shard.put(&named("L L C C D"));
    // 1 was charged by the version that it meets, so its key waits for it; 2 is behind it. 4 was charged by
    // the canary that it meets, 3 in front of it by the other one.
    shard.expect(&["call 1 lane1: 5 v2"]);
    shard.ok(1);
    shard.answer("lane1", 1, TAKEN);
    shard.forget();
    shard.at(50).tick();
    let lines = shard.lines();
    assert_eq!(lines, ["call 2 retry: 1 fresh"]);
    shard.ok(2);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    let lines = shard.lines();
    assert!(
        lines.contains(&"call 4 retry: 3 4 fresh v2".to_owned())
            || lines.contains(&"call 3 retry: 3 4 fresh v2".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn a_letter_is_given_to_the_version_that_its_key_meets() {
    let mut shard = shard(settings());
    shard.redrive(7, &named("C"));
    shard.redrive(8, &named("L"));
    shard.expect(&["call 1 retry: 1007 fresh v2 letter 7"]);
    shard.ok(1);
    shard.expect(&["commit retry#1 redrives 7 v2"]);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    shard.forget_all_but(2);
    let lines = shard.lines();
    assert!(
        lines.contains(&"call 2 retry: 1008 fresh letter 8".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn with_windows_the_group_decides_for_its_records_and_its_final_call() {
    let settings = MappingSettings {
        tumbling_window_ms: 1_000,
        key_groups: 8,
        batch_size: 3,
        ..settings()
    };
    let mut shard = shard(settings);
    let of_group = |group: u64| half().takes(group);
    assert!((0..8).any(of_group) && !(0..8).all(of_group));
    shard.put("a b c d e f g h i j k l m n o p");
    let mut ended = 0;
    // All records first, then, with the window over, the final calls.
    for now in [0, 2_000_000] {
        shard.at(now).tick();
        for _ in 0..100 {
            for line in shard.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                match words[0] {
                    "commit" => {
                        let (slot, number) = words[1].split_once('#').unwrap();
                        let number = number.parse().unwrap();
                        shard.answer(slot, number, TAKEN);
                        shard.durable(slot, number);
                    }
                    "call" => {
                        ended += usize::from(line.contains("final"));
                        let lane: u64 = words[2]
                            .trim_matches(|c: char| !c.is_ascii_digit())
                            .parse()
                            .unwrap();
                        assert_eq!(lane == 1, line.contains("v2"), "{line}");
                        shard.leaving(b"s").ok(words[1].parse().unwrap());
                    }
                    _ => {}
                }
            }
        }
    }
    assert_eq!(ended, 8, "each group has one final call");
    for (version, records) in &shard.called {
        for record in records {
            // Record 1 has key "a", which hashes to 0.
            let group = (record - 1) % 8;
            assert_eq!(*version == 2, of_group(group), "record {record}");
        }
    }
}

#[test]
fn a_fatal_says_which_version_said_it() {
    let mut shard = shard(settings());
    shard.put(&named("C"));
    shard.forget();
    shard.tell(Event::Tick);
    shard.fail(1, &[(0, crate::outcome::FailureKind::Fatal)]);
    let lines = shard.lines();
    assert!(
        lines.iter().any(|line| line.starts_with("stop Fatal")),
        "{lines:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_key_meets_one_version_whatever_fails(
        keys in prop::collection::vec(0_u8..26, 1..60),
        bad in prop::collection::btree_set(1_u64..60, 0..20),
        trapping in prop::collection::btree_set(1_u64..60, 0..4),
        factor in 1_u16..4,
        batch_size in 1_u32..8,
        bisects in any::<bool>(),
    ) {
        let mut shard = shard(MappingSettings {
            parallelization_factor: factor,
            batch_size,
            bisect_on_error: bisects,
            ..settings()
        });
        let names: Vec<String> = keys.iter().map(|n| char::from(b'a' + n).to_string()).collect();
        shard.fetched_at_once(&names.join(" "), keys.len() as u64);
        shard.run_all(|records| {
            if records.iter().any(|record| trapping.contains(record)) {
                return Outcome::Trap { record: None, message: "trap".into() };
            }
            failing(records, |record| bad.contains(&record))
        });
        prop_assert_eq!(shard.stats().low_watermark, Ordinal(keys.len() as u64));
        for (version, records) in &shard.called {
            for record in records {
                let key = u64::from(keys[usize::try_from(record - 1).unwrap()]);
                prop_assert_eq!(*version == 2, half().takes(key));
            }
        }
    }
}

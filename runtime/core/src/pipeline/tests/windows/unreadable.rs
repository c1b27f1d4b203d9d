//! States that the version which meets them cannot read.

use super::{following, open, windowed};
use crate::{
    id::FunctionVersion,
    mapping::{MappingSettings, OnFatal},
    outcome::{Failure, FailureKind, Outcome},
    pipeline::{
        Event,
        tests::harness::{Harness, TAKEN},
    },
    window::GroupWindow,
};

fn bad_state() -> Outcome {
    Outcome::Error(Failure {
        kind: FailureKind::Fatal,
        retry_after_ms: None,
        code: "bad-state".into(),
        message: "no such field".into(),
    })
}

/// The window from 0 to 1000 of group 0 with the state `x`, which such a version left.
fn left_by(version: Option<u64>) -> GroupWindow {
    let mut group = open(0, 1_000, 4, b"x");
    if let Some(open) = &mut group.open {
        open.left_by = version.map(FunctionVersion);
    }
    group
}

fn met(settings: MappingSettings, version: Option<u64>) -> Harness {
    following(settings, &[(0, left_by(version))])
}

/// Whether the mapping is to stop.
fn is_stopped(shard: &mut Harness) -> bool {
    let lines = shard.lines();
    lines.iter().any(|line| line.starts_with("stop Fatal"))
}

#[test]
fn what_another_version_left_becomes_a_letter_and_the_window_goes_on_from_nothing() {
    for version in [Some(7), None] {
        let mut shard = met(windowed(), version);
        shard.at(500).put("a a");
        shard.expect(&["call 1 lane0: 1 2 in 0-1000 [x]"]);
        shard.end_with(1, bad_state());
        shard.expect(&["commit lane0#1 window 0:4: closed 0 lost [x] after 1"]);
        shard.answer("lane0", 1, TAKEN);
        shard.expect(&["call 2 lane0: 1 2 fresh in 0-1000 []"]);
        shard.leaving(b"2").ok(2);
        shard.expect(&["commit lane0#2 settles 0-2 window 0:5: 0-1000 [2]"]);
        shard.answer("lane0", 2, TAKEN);
        assert_eq!(shard.state_left_by(0), Some(1));
    }
}

#[test]
fn a_version_that_cannot_read_what_it_left_itself_is_at_fault() {
    let mut shard = met(windowed(), Some(1));
    shard.at(500).put("a");
    shard.end_with(1, bad_state());
    assert!(is_stopped(&mut shard));
    // Where there was nothing to be read, it is about something else.
    let mut shard = Harness::new(windowed());
    shard.at(500).put("a");
    shard.end_with(1, bad_state());
    assert!(is_stopped(&mut shard));
}

#[test]
fn a_final_call_that_cannot_read_another_ones_state_closes_the_window_with_a_letter() {
    for (version, is_lost) in [(Some(7), true), (None, true), (Some(1), false)] {
        let mut shard = met(windowed(), version);
        shard.at(1_000).put("a");
        shard.expect(&["call 1 lane0:  final in 0-1000 [x]"]);
        shard.end_with(1, bad_state());
        if !is_lost {
            assert!(is_stopped(&mut shard));
            continue;
        }
        shard.expect(&["commit lane0#1 window 0:4: closed 1000 lost [x] after 1"]);
        shard.answer("lane0", 1, TAKEN);
        shard.expect(&["call 2 lane0: 1 in 1000-2000 []"]);
    }
}

#[test]
fn a_window_that_ends_with_a_version_that_asks_for_no_states_leaves_a_letter() {
    for (version, said) in [
        (Some(7), "closed 1000 lost [x] after 1"),
        (Some(1), "closed 1000"),
    ] {
        let mut shard = met(windowed(), version);
        shard.ask_no_states();
        shard.at(1_000).put("a");
        shard.forget();
        shard.ok(1);
        shard.expect(&[&format!("commit lane0#1 window 0:4: {said}")]);
    }
}

#[test]
fn a_canary_that_would_stop_the_mapping_goes_instead_and_gives_nothing_up() {
    let dead_letter = MappingSettings {
        on_fatal: OnFatal::DeadLetter,
        ..windowed()
    };
    for (settings, is_stopped_by_it) in [(windowed(), true), (dead_letter, false)] {
        let mut shard = met(settings, Some(7));
        shard.be_canary();
        shard.at(500).put("a");
        shard.forget();
        shard.end_with(1, bad_state());
        let lines = shard.lines();
        let stopped = lines.iter().any(|line| line.starts_with("stop Fatal"));
        assert_eq!(stopped, is_stopped_by_it, "{lines:?}");
        let lost = lines.iter().any(|line| line.contains(" lost [x]"));
        assert_eq!(lost, !is_stopped_by_it, "{lines:?}");
    }
}

#[test]
fn the_mark_of_a_careful_call_goes_with_the_state() {
    let mut shard = met(windowed(), Some(7));
    shard.tell(Event::Caution { is_on: true });
    shard.at(500).put("a");
    shard.tell(Event::TurnGranted);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget();
    shard.end_with(1, bad_state());
    shard.expect(&["commit lane0#2 marks 1:0 window 0:4: closed 0 lost [x] after 1"]);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    shard.tell(Event::TurnGranted);
    shard.answer("lane0", 3, TAKEN);
    shard.forget();
    shard.durable("lane0", 3);
    let lines = shard.lines();
    assert!(lines[0].contains(": 1 in 0-1000 []"), "{lines:?}");
}

#[test]
fn a_state_is_its_versions_until_another_one_changes_it() {
    let mut shard = met(windowed(), Some(7));
    shard.at(500).put("a");
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    assert_eq!(shard.state_left_by(0), Some(7));
    shard.durable("lane0", 1);
    shard.put("a");
    shard.leaving(b"y").ok(2);
    shard.answer("lane0", 2, TAKEN);
    assert_eq!(shard.state_left_by(0), Some(1));
}

//! Redriven letters: alone in the retry slot, serialised with their key (commit and storage rules §2, §7).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::harness::{FULL, Harness, TAKEN, settings};
use crate::{
    commit::CommitAnswer,
    id::{AttemptId, Ordinal, Timestamp},
    mapping::{MappingSettings, Ordering},
    outcome::{
        FailureKind::{Fatal, Retry, Skip},
        Outcome,
    },
    pipeline::Event,
};

const CLOSED: CommitAnswer = CommitAnswer::Refused { closed: Ordinal(7) };

#[test]
fn a_redrive_that_succeeds_resolves_its_letter_and_counts_as_nothing_else() {
    let mut shard = Harness::new(settings());
    shard.redrive(7, "a");
    shard.expect(&["call 1 retry: 1007 fresh letter 7"]);
    shard.ok(1);
    shard.expect(&["commit retry#1 redrives 7"]);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["release 1"]);
    // Told when it is synced, not before.
    shard.durable("retry", 1);
    shard.expect(&["letter 7 Resolved"]);
    let totals = shard.stats().totals;
    assert_eq!(
        (totals.processed, totals.failed, totals.dead_lettered),
        (0, 0, 0)
    );
}

#[test]
fn a_redrive_has_one_attempt_whatever_the_failure() {
    for (kind, told) in [(Retry, "error"), (Skip, "skip"), (Fatal, "error")] {
        let mut shard = Harness::new(settings());
        shard.redrive(7, "a");
        shard.forget();
        shard.fail(1, &[(0, kind)]);
        let commit = format!("commit retry#1 letters 1007:{told}:6 redrives 7");
        shard.expect(&[commit.as_str()]);
        shard.answer("retry", 1, TAKEN);
        shard.durable("retry", 1);
        shard.expect(&["release 1", "letter 7 FailedAgain"]);
        let totals = shard.stats().totals;
        assert_eq!((totals.failed, totals.dead_lettered), (1, 0));
        // The mapping goes on.
        shard.put("a");
        shard.expect(&["call 2 lane0: 1"]);
    }
}

#[test]
fn a_redrive_that_nobody_wants_any_more_is_called_only_where_it_was_already() {
    let mut shard = Harness::new(settings());
    shard.put("a");
    shard.redrive(7, "a");
    shard.redrive(8, "c");
    shard.expect(&["call 1 lane0: 1", "call 2 retry: 1008 fresh letter 8"]);
    shard.withdraw(7);
    shard.expect(&["letter 7 Closed", "release 2"]);
    // The one that is called ends as its call does; of what is gone nothing is told.
    for id in [8, 7, 9] {
        shard.withdraw(id);
        shard.expect(&[]);
    }
    shard.ok(1);
    shard.ok(2);
    shard.expect(&["commit lane0#1 settles 0-1"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["release 1", "commit retry#1 redrives 8"]);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    shard.expect(&["release 3", "letter 8 Resolved"]);
}

#[test]
fn a_redrive_waits_while_its_key_is_in_a_lane_and_the_key_waits_behind_it() {
    let mut shard = Harness::new(settings());
    shard.put("a b");
    shard.redrive(7, "a");
    shard.redrive(8, "c");
    // The letter of another key passes it.
    shard.expect(&["call 1 lane0: 1 2", "call 2 retry: 1008 fresh letter 8"]);
    shard.ok(1);
    shard.ok(2);
    shard.expect(&["commit lane0#1 settles 0-2"]);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["release 1", "commit retry#1 redrives 8"]);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["release 3", "call 3 retry: 1007 fresh letter 7"]);
    shard.put("a b a");
    shard.expect(&["call 4 lane0: 4"]);
    shard.ok(3);
    shard.forget();
    shard.answer("retry", 2, TAKEN);
    shard.ok(4);
    shard.answer("lane0", 2, TAKEN);
    shard.forget();
    shard.durable("lane0", 2);
    shard.expect(&["call 5 lane0: 3 5"]);
}

#[test]
fn a_key_that_waits_in_its_lane_goes_behind_its_redrive() {
    let mut shard = Harness::new(MappingSettings {
        batch_size: 1,
        ..settings()
    });
    shard.put("b a a");
    shard.redrive(7, "a");
    shard.expect(&["call 1 lane0: 1", "call 2 retry: 1007 fresh letter 7"]);
    shard.ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.forget();
    shard.ok(2);
    shard.answer("retry", 1, TAKEN);
    shard.expect(&["commit retry#1 redrives 7", "release 2", "call 3 lane0: 2"]);
}

/// Records that come while a redrive has the shard wait in the lane, in the order of the shard.
#[test]
fn with_order_within_the_shard_nothing_overtakes_a_redrives_key() {
    let mut shard = Harness::new(MappingSettings {
        ordering: Ordering::Shard,
        batch_size: 1,
        ..settings()
    });
    shard.redrive(7, "a");
    shard.expect(&["call 1 retry: 1007 fresh letter 7"]);
    shard.put("b a c");
    shard.ok(1);
    shard.expect(&["commit retry#1 redrives 7"]);
    shard.answer("retry", 1, TAKEN);
    let calls = shard.run_all(|_| Outcome::Returned {
        rows: Vec::new(),
        failures: Vec::new(),
    });
    assert_eq!(calls, [[1], [2], [3]]);
}

#[test]
fn a_redrive_waits_while_its_key_is_parked_and_each_has_its_turn() {
    let mut shard = Harness::new(settings());
    shard.put("a");
    shard.fail(1, &[(0, Retry)]);
    shard.answer("lane0", 1, TAKEN);
    shard.redrive(7, "a");
    shard.redrive(8, "b");
    shard.redrive(9, "b");
    shard.forget_all_but(1);
    shard.expect(&["call 2 retry: 1008 fresh letter 8"]);
    shard.at(100).ok(2);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    shard.forget_all_but(2);
    // The parked key is due: it goes before the next letter.
    shard.expect(&["call 3 retry: 1", "letter 8 Resolved"]);
    shard.ok(3);
    shard.answer("retry", 2, TAKEN);
    shard.durable("retry", 2);
    shard.forget_all_but(1);
    shard.expect(&["call 4 retry: 1007 fresh letter 7"]);
}

#[test]
fn a_refused_redrive_is_dropped_and_its_number_is_used_again() {
    let mut shard = Harness::new(settings());
    shard.redrive(7, "a");
    shard.put("a");
    shard.ok(1);
    shard.forget();
    shard.answer("retry", 1, CLOSED);
    shard.expect(&[
        "drop retry#1",
        "letter 7 Closed",
        "release 1",
        "call 2 lane0: 1",
    ]);
    shard.redrive(8, "b");
    shard.ok(3);
    shard.forget_all_but(1);
    shard.expect(&["commit retry#1 redrives 8"]);
}

#[test]
fn a_redrive_that_cannot_commit_now_is_sent_again() {
    let mut shard = Harness::new(settings());
    shard.redrive(7, "a");
    shard.ok(1);
    shard.answer("retry", 1, FULL);
    shard.forget();
    let at = shard.deadline().expect("it is sent again");
    shard.at(at).tick();
    shard.expect(&["resend retry#1 processed 0"]);
    shard.answer("retry", 1, TAKEN);
    shard.durable("retry", 1);
    shard.expect(&["release 1", "letter 7 Resolved"]);
}

#[test]
fn a_call_that_cost_nobody_an_attempt_is_made_again_after_a_pause() {
    let mut shard = Harness::new(settings());
    shard.redrive(7, "a");
    shard.tell(Event::HostFault {
        attempt: AttemptId(1),
    });
    shard.forget();
    if let Some(at) = shard.deadline() {
        shard.at(at).tick();
    }
    shard.tick();
    shard.expect(&["call 2 retry: 1007 fresh letter 7"]);
}

#[test]
fn a_pause_takes_the_call_back_and_a_drain_forgets_it() {
    let mut shard = Harness::new(settings());
    shard.redrive(7, "a");
    shard.redrive(8, "b");
    let until = Timestamp(0);
    shard.tell(Event::Pause { until });
    shard.expect(&["call 1 retry: 1007 fresh letter 7", "interrupt 1"]);
    shard.tell(Event::Resume);
    shard.expect(&["call 2 retry: 1007 fresh letter 7"]);
    shard.tell(Event::Drain { until });
    shard.expect(&["interrupt 2", "stop Drained"]);
}

#[test]
fn no_redrive_begins_while_the_node_is_careful() {
    let mut shard = Harness::new(settings());
    shard.tell(Event::Caution { is_on: true });
    shard.redrive(7, "a");
    shard.expect(&[]);
    shard.tell(Event::Caution { is_on: false });
    shard.expect(&["call 1 retry: 1007 fresh letter 7"]);
}

/// One thing that may happen while letters are redriven.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Records of these keys, by bits.
    Put(u8),
    Redrive(u8),
    /// Nobody wants a letter redriven any more.
    Withdraw(u8),
    /// The call that runs longest ends: how, by number.
    End(u8),
    /// The sequencer answers: how, by number.
    Answer(u8),
    Sync,
    Wait(u8),
    Pause,
    /// A person gives up a record, or its whole key.
    GiveUp(u8, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..8u8).prop_map(Step::Put),
        3 => (0..3u8).prop_map(Step::Redrive),
        1 => (0..8u8).prop_map(Step::Withdraw),
        6 => (0..8u8).prop_map(Step::End),
        6 => (0..6u8).prop_map(Step::Answer),
        3 => Just(Step::Sync),
        2 => (0..200u8).prop_map(Step::Wait),
        1 => Just(Step::Pause),
        2 => (0..40u8, any::<bool>()).prop_map(|(at, is_key)| Step::GiveUp(at, is_key)),
    ];
    prop::collection::vec(step, 1..80)
}

/// A pipeline with what it has on its way.
struct Bench {
    shard: Harness,
    ordering: Ordering,
    /// The commit with the sequencer: slot, number, whether it redrives.
    sent: Option<(String, u64, bool)>,
    redrives: BTreeMap<(String, u64), bool>,
    unsynced: Vec<(String, u64)>,
    letters: u64,
    ended: Vec<u64>,
    records: u64,
    /// Positions that a person gave up and that nothing was told of yet.
    given_up: BTreeSet<u64>,
}

impl Bench {
    fn new(ordering: Ordering) -> Self {
        Self {
            shard: Harness::new(MappingSettings {
                batch_size: 2,
                parallelization_factor: 2,
                ordering,
                ..settings()
            }),
            ordering,
            sent: None,
            redrives: BTreeMap::new(),
            unsynced: Vec::new(),
            letters: 0,
            ended: Vec::new(),
            records: 0,
            given_up: BTreeSet::new(),
        }
    }

    fn look(&mut self) {
        for line in self.shard.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[0] {
                "commit" | "resend" => {
                    let (slot, number) = words[1].split_once('#').unwrap();
                    let key = (slot.to_owned(), number.parse().unwrap());
                    if words[0] == "commit" {
                        self.redrives.insert(key.clone(), line.contains("redrives"));
                    }
                    let is_redrive = self.redrives[&key];
                    assert!(self.sent.is_none(), "one commit at a time: {line}");
                    self.sent = Some((key.0, key.1, is_redrive));
                }
                "call" if self.ordering == Ordering::Shard && words[2] == "lane0:" => {
                    let first: u64 = words[3].parse().unwrap();
                    let settled = self.shard.stats().low_watermark.0;
                    assert_eq!(first, settled + 1, "in the order of the shard: {line}");
                }
                "given" | "over" => {
                    let position = words[2].parse().unwrap();
                    assert!(self.given_up.remove(&position), "told once: {line}");
                }
                "letter" => self.ended.push(words[1].parse().unwrap()),
                _ => {}
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(keys) => {
                let keys: Vec<&str> = ["a", "b", "c"]
                    .into_iter()
                    .enumerate()
                    .filter(|(bit, _)| keys >> bit & 1 == 1)
                    .map(|(_, key)| key)
                    .collect();
                self.records += keys.len() as u64;
                self.shard.put(&keys.join(" "));
            }
            Step::Redrive(key) => {
                self.letters += 1;
                self.shard
                    .redrive(self.letters, ["a", "b", "c"][usize::from(key)]);
            }
            Step::Withdraw(at) => {
                let letters = self.letters.max(1);
                self.shard.withdraw(1 + u64::from(at) % letters);
            }
            Step::End(how) => {
                if let Some(attempt) = self.shard.running() {
                    match how {
                        0 => self.shard.fail(attempt, &[(0, Retry)]),
                        1 => self.shard.fail(attempt, &[(0, Skip)]),
                        2 => self.shard.timeout(attempt),
                        _ => self.shard.ok(attempt),
                    }
                }
            }
            Step::Answer(how) => {
                if let Some((slot, number, is_redrive)) = self.sent.take() {
                    let answer = match how {
                        0 => FULL,
                        1 if is_redrive => CLOSED,
                        _ => TAKEN,
                    };
                    if answer == TAKEN {
                        self.unsynced.push((slot.clone(), number));
                    }
                    self.shard.answer(&slot, number, answer);
                }
            }
            Step::Sync => {
                for (slot, number) in std::mem::take(&mut self.unsynced) {
                    self.shard.durable(&slot, number);
                }
            }
            Step::Wait(ms) => {
                let now = self.shard.now() + u64::from(ms);
                self.shard.at(now).tick();
            }
            Step::Pause => {
                let until = Timestamp(self.shard.now());
                self.shard.tell(Event::Pause { until });
                self.look();
                self.shard.tell(Event::Resume);
            }
            Step::GiveUp(at, is_key) => {
                let position = 1 + u64::from(at);
                if position <= self.records {
                    let mut all = vec![position];
                    if is_key {
                        all.extend(self.shard.records_of_keys(&[position]));
                    }
                    self.given_up.extend(&all);
                    self.shard.give_up(&all);
                }
            }
        }
        self.look();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// The harness asks the invariants after every event: no key in two slots, no record astray.
    #[test]
    fn whatever_happens_every_redrive_and_every_hand_ends_once_and_every_record_settles(
        steps in steps(),
        ordering in prop_oneof![Just(Ordering::Key), Just(Ordering::Shard)],
    ) {
        let mut bench = Bench::new(ordering);
        for step in steps {
            bench.step(step);
        }
        for _ in 0..400 {
            for step in [Step::Answer(5), Step::Sync, Step::End(7), Step::Wait(200)] {
                bench.step(step);
            }
        }
        bench.ended.sort_unstable();
        prop_assert_eq!(bench.ended, (1..=bench.letters).collect::<Vec<_>>());
        prop_assert!(bench.given_up.is_empty(), "{:?}", bench.given_up);
        prop_assert_eq!(bench.shard.stats().low_watermark, Ordinal(bench.records));
        prop_assert_eq!(bench.shard.stats().parked_keys, 0);
    }
}

//! Order per key, and what may run beside what (Lambda ESM specification §6, §22 row Order).

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::harness::{Harness, TAKEN, settings};
use crate::{
    mapping::{MappingSettings, MaxAttempts},
    outcome::FailureKind::{Retry, Skip},
};

/// More lanes give one key nothing: its batches follow each other.
#[test]
fn one_key_is_serial_whatever_the_factor() {
    for parallelization_factor in [1, 10, 256] {
        let mut shard = Harness::new(MappingSettings {
            parallelization_factor,
            batch_size: 2,
            ..settings()
        });
        shard.put("a a a a a");
        shard.expect(&["call 1 lane0: 1 2"]);
        shard.ok(1);
        shard.expect(&["commit lane0#1 settles 0-2"]);
        shard.answer("lane0", 1, TAKEN);
        shard.durable("lane0", 1);
        shard.expect(&["call 2 lane0: 3 4"]);
        // Nor beside its own retry.
        shard.fail(2, &[(0, Retry)]);
        shard.answer("lane0", 2, TAKEN);
        shard.durable("lane0", 2);
        shard.expect(&["commit lane0#2 marks 3:1"]);
        shard.at(100).tick();
        shard.expect(&["call 3 retry: 3"]);
        shard.ok(3);
        shard.answer("retry", 1, TAKEN);
        shard.durable("retry", 1);
        shard.expect(&["commit retry#1 settles 2-3", "call 4 lane0: 4"]);
    }
}

/// Keys of ten lanes run beside each other, and one that fails holds nobody but itself.
#[test]
fn a_lane_that_fails_holds_no_other_lane() {
    let mut shard = Harness::new(MappingSettings {
        parallelization_factor: 10,
        ..settings()
    });
    shard.put("a b c");
    shard.expect(&["call 1 lane0: 1", "call 2 lane1: 2", "call 3 lane2: 3"]);
    shard.timeout(1);
    shard.answer("lane0", 1, TAKEN);
    shard.expect(&["commit lane0#1 marks 1:1"]);
    shard.ok(3);
    shard.answer("lane2", 1, TAKEN);
    shard.durable("lane2", 1);
    shard.put("c");
    shard.expect(&["commit lane2#1 settles 2-3", "call 4 lane2: 4"]);
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// Records of these keys arrive.
    Put(Vec<u8>),
    /// One of the calls that run ends: which, and how.
    End(usize, u8),
    /// Time passes until something is due.
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => prop::collection::vec(0..5_u8, 1..6).prop_map(Step::Put),
        6 => (0..8_usize, 0..9_u8).prop_map(|(which, how)| Step::End(which, how)),
        2 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

/// A pipeline and what is known of it from outside.
struct Watch {
    shard: Harness,
    /// Puts that were not read yet.
    waiting: VecDeque<Vec<u8>>,
    /// The key of each record that was put.
    keys: Vec<u8>,
    running: Vec<(u64, Vec<u64>)>,
    settled: BTreeSet<u64>,
}

impl Watch {
    fn key(&self, record: u64) -> u8 {
        self.keys[usize::try_from(record - 1).unwrap()]
    }

    /// Follows what the pipeline wants, and takes every commit at once.
    fn look(&mut self) {
        loop {
            let lines = self.shard.lines();
            for line in &lines {
                let words: Vec<&str> = line.split(' ').collect();
                match words[0] {
                    "call" => self.called(words[1].parse().unwrap(), &words[3..]),
                    "commit" => self.committed(&words),
                    _ => {}
                }
            }
            let is_asked = self.shard.fetch_asked().is_some();
            if let Some(keys) = is_asked.then(|| self.waiting.pop_front()).flatten() {
                let name = |key: &u8| char::from(b'a' + key).to_string();
                let names: Vec<String> = keys.iter().map(name).collect();
                self.shard.fetched(&names.join(" "));
            } else if lines.is_empty() {
                return;
            }
        }
    }

    fn called(&mut self, attempt: u64, words: &[&str]) {
        let records = words.iter().filter_map(|word| word.parse().ok());
        let records: Vec<u64> = records.collect();
        for &record in &records {
            let key = self.key(record);
            let beside = self.running.iter().flat_map(|(_, records)| records);
            let beside = beside.filter(|other| self.key(**other) == key).count();
            assert_eq!(beside, 0, "{record} runs beside a record of its key");
            let earlier = (1..record).filter(|earlier| self.key(*earlier) == key);
            for earlier in earlier {
                assert!(
                    self.settled.contains(&earlier) || records.contains(&earlier),
                    "{record} overtakes {earlier}"
                );
            }
        }
        self.running.push((attempt, records));
    }

    fn committed(&mut self, words: &[&str]) {
        let (slot, number) = words[1].split_once('#').unwrap();
        let ranges = words.iter().skip_while(|word| **word != "settles").skip(1);
        for range in ranges.map_while(|word| word.split_once('-')) {
            let (after, through): (u64, u64) = (range.0.parse().unwrap(), range.1.parse().unwrap());
            self.settled.extend(after + 1..=through);
        }
        let number = number.parse().unwrap();
        self.shard.answer(slot, number, TAKEN);
        self.shard.durable(slot, number);
    }

    fn end(&mut self, which: usize, how: u8) {
        if self.running.is_empty() {
            return;
        }
        let (attempt, records) = self.running.remove(which % self.running.len());
        let last = u32::try_from(records.len() - 1).unwrap();
        match how {
            0 => self.shard.fail(attempt, &[(0, Retry)]),
            1 => self.shard.fail(attempt, &[(last, Retry)]),
            2 => self.shard.fail(attempt, &[(last / 2, Skip)]),
            3 => self.shard.trap(attempt),
            4 => self.shard.panic(attempt, last),
            5 => self.shard.timeout(attempt),
            _ => self.shard.ok(attempt),
        }
    }

    fn wait(&mut self) {
        if let Some(due) = self.shard.deadline() {
            let now = self.shard.now();
            self.shard.at(due.max(now)).tick();
        }
    }
}

proptest! {
    /// With ten lanes and the retry slot, whatever fails: no two calls that run have a record of one key,
    /// and no record is called while an earlier one of its key is open elsewhere.
    #[test]
    fn a_key_is_never_in_two_calls_and_its_records_never_overtake_each_other(
        steps in steps(),
        parallelization_factor in prop_oneof![Just(1_u16), Just(2), Just(10)],
        bisect_on_error in any::<bool>(),
    ) {
        let mut watch = Watch {
            shard: Harness::new(MappingSettings {
                parallelization_factor,
                bisect_on_error,
                batch_size: 3,
                max_attempts: MaxAttempts::Count(3),
                ..settings()
            }),
            waiting: VecDeque::new(),
            keys: Vec::new(),
            running: Vec::new(),
            settled: BTreeSet::new(),
        };
        for step in steps {
            match step {
                Step::Put(keys) => {
                    watch.keys.extend(&keys);
                    watch.waiting.push_back(keys);
                    watch.shard.tail(watch.keys.len() as u64);
                }
                Step::End(which, how) => watch.end(which, how),
                Step::Wait => watch.wait(),
            }
            watch.look();
        }
        while watch.settled.len() < watch.keys.len() {
            match watch.running.is_empty() {
                true => watch.wait(),
                false => watch.end(0, 9),
            }
            watch.look();
        }
        prop_assert_eq!(watch.shard.stats().low_watermark.0, watch.keys.len() as u64);
    }
}

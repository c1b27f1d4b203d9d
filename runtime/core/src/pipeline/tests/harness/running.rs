//! Runs a pipeline by itself, against a guest.

use super::{Harness, TAKEN, slot};
use crate::{
    outcome::{Failure, FailureKind, FailureKind::Retry, ItemFailure, Outcome},
    pipeline::Event,
};

/// The call returned, and says `retry` of each of its records (by position) for which `is_bad`.
pub(in super::super) fn failing(records: &[u64], is_bad: impl Fn(u64) -> bool) -> Outcome {
    let failures = (0..).zip(records).filter(|(_, record)| is_bad(**record));
    let failures: Vec<_> = failures.map(|(index, _)| (index, Retry)).collect();
    returned(&failures)
}

/// The call returned, and says this of its records, by index.
pub(in super::super) fn returned(failures: &[(u32, FailureKind)]) -> Outcome {
    let failures = failures.iter().map(|&(index, kind)| ItemFailure {
        index,
        failure: Failure {
            kind,
            retry_after_ms: None,
            code: "code".into(),
            message: "words".into(),
        },
    });
    Outcome::Returned {
        rows: Vec::new(),
        failures: failures.collect(),
    }
}

impl Harness {
    /// Takes every commit and makes every call, in the order wanted, until nothing is left to do: calls
    /// with one of these records trap. The records of each call.
    pub(in super::super) fn run_trapping_at(&mut self, bad: &[u64]) -> Vec<Vec<u64>> {
        self.run_all(|records| match records.iter().any(|r| bad.contains(r)) {
            true => Outcome::Trap {
                record: None,
                message: "trap".into(),
            },
            false => failing(records, |_| false),
        })
    }

    /// The same, with a guest of one's own.
    pub(in super::super) fn run_all(
        &mut self,
        guest: impl FnMut(&[u64]) -> Outcome,
    ) -> Vec<Vec<u64>> {
        let calls = self.run_until(u64::MAX, guest);
        calls.into_iter().map(|(_, records)| records).collect()
    }

    /// The same, as long as something is to be done at `until` or before; with the time of each call. Turns
    /// are granted, and what is to be read again is.
    pub(in super::super) fn run_until(
        &mut self,
        until: u64,
        mut guest: impl FnMut(&[u64]) -> Outcome,
    ) -> Vec<(u64, Vec<u64>)> {
        let mut calls = Vec::new();
        loop {
            let lines = self.lines();
            if lines.is_empty() {
                let Some(deadline) = self.deadline().filter(|at| *at <= until) else {
                    return calls;
                };
                self.at(deadline.max(self.now())).tick();
            }
            for line in lines {
                if line == "ask turn" {
                    self.turns.0 += 1;
                    self.tell(Event::TurnGranted);
                } else if line == "end turn" {
                    self.turns.1 += 1;
                }
                let words: Vec<&str> = line.split(' ').collect();
                if words[0] == "commit" {
                    self.commits.push(line.clone());
                    let (slot, number) = words[1].split_once('#').unwrap();
                    let number = number.parse().unwrap();
                    self.answer(slot, number, TAKEN);
                    self.durable(slot, number);
                } else if words[0] == "reread" {
                    let slot = slot(words[1].trim_end_matches(':'));
                    let positions = words[2..].iter().filter_map(|word| word.parse().ok());
                    self.reread(slot, &positions.collect::<Vec<_>>());
                } else if words[0] == "call" {
                    let attempt = words[1].parse().unwrap();
                    let records = words[3..].iter().filter_map(|word| word.parse().ok());
                    let records: Vec<u64> = records.collect();
                    calls.push((self.now(), records.clone()));
                    self.end(attempt, guest(&records));
                }
            }
        }
    }
}

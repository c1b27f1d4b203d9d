//! What workers and people did, in the order of the log, and what the store must show of it: the reference.
//!
//! A commit is accepted at a place of the log, and a crash keeps all in front of one place: what survives is
//! known by number. A seek and a purge do not learn their place. A seek belongs between the epochs of its
//! unit; a purge closes letters that nothing else closes. Whether either survived is seen by its first effect.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fnctl_core::{
    commit::Commit,
    entry::UnitSeek,
    id::{Lsn, MappingId, StreamId, StreamName},
    invariants::Violation,
    mapping::MaxAttempts,
    record::Origin,
    settled::SettledRanges,
    view::NodeView,
};

use super::known::Known;
use crate::{coverage::Coverage, ledger::Ledger, node::windows::CLOSED};

/// What a person did, once the sequencer took it.
#[derive(Debug)]
pub(in crate::node) enum Did {
    /// Sent units elsewhere.
    Sought(Vec<UnitSeek>),
    /// Threw letters of a stream away.
    Purged(StreamId, SettledRanges, u64),
}

/// What a person asked for.
#[derive(Debug, Default)]
pub(in crate::node) struct Deed {
    pub(in crate::node) did: Option<Did>,
    /// It was told that it is done, and durable.
    pub(in crate::node) is_answered: bool,
}

/// Shared with the request.
#[derive(Clone, Debug, Default)]
pub(in crate::node) struct Asked(Arc<Mutex<Deed>>);

impl Asked {
    pub(in crate::node) fn lock(&self) -> MutexGuard<'_, Deed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Did {
    /// Whether a view has it.
    fn is_shown(&self, view: &NodeView) -> bool {
        match self {
            Self::Sought(seeks) => {
                let is_there = |seek: &UnitSeek| {
                    let unit = view.unit(seek.unit);
                    unit.is_none_or(|unit| unit.epoch >= seek.epoch)
                };
                seeks.iter().any(is_there)
            }
            Self::Purged(stream, bodies, _) => {
                let first = bodies.as_slice().first().map(|range| range.after.next());
                let letters = view.letters(*stream);
                letters
                    .zip(first)
                    .is_some_and(|(letters, body)| !letters.is_open(body))
            }
        }
    }
}

/// A row that must be shown.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) key: Vec<u8>,
    pub(super) origin: Origin,
    /// Its place among all rows.
    pub(super) number: u64,
}

#[derive(Debug)]
pub(in crate::node) struct Effects {
    pub(super) ledger: Ledger,
    /// Accepted, and not known to have survived.
    accepted: BTreeMap<Lsn, Arc<Commit>>,
    /// Survived, and not judged.
    survived: Vec<Arc<Commit>>,
    /// Asked for, and not known to have happened.
    asked: Vec<Asked>,
    /// Seeks that happened and have no place yet.
    sought: Vec<UnitSeek>,
    /// Purges that happened.
    purged: Vec<(StreamId, SettledRanges, u64)>,
    /// Rows of each stream by their words, which no other row of it has.
    pub(super) rows: BTreeMap<StreamName, BTreeMap<Vec<u8>, Expected>>,
    last_row: u64,
    /// The last number that each key of a mapping published, since somebody sought.
    numbers: BTreeMap<(MappingId, Vec<u8>), u64>,
}

impl Default for Effects {
    fn default() -> Self {
        Self {
            ledger: Ledger::new(MaxAttempts::Unlimited),
            accepted: BTreeMap::new(),
            survived: Vec::new(),
            asked: Vec::new(),
            sought: Vec::new(),
            purged: Vec::new(),
            rows: BTreeMap::new(),
            last_row: 0,
            numbers: BTreeMap::new(),
        }
    }
}

impl Effects {
    /// The sequencer took a commit.
    pub(in crate::node) fn accepted(&mut self, lsn: Lsn, commit: Arc<Commit>) {
        let before = self.accepted.insert(lsn, commit);
        assert!(before.is_none(), "two commits at {lsn}");
    }

    /// A person asks for something.
    pub(in crate::node) fn asked(&mut self, asked: &Asked) {
        self.asked.push(asked.clone());
    }

    /// Everything in front of `next` is there for good; what is not is lost where the log goes on from there.
    pub(in crate::node) fn survives(&mut self, view: &NodeView, next: Lsn, is_rest_lost: bool) {
        let later = self.accepted.split_off(&next);
        let survived = mem::replace(&mut self.accepted, later);
        self.survived.extend(survived.into_values());
        for asked in mem::take(&mut self.asked) {
            let mut deed = asked.lock();
            match deed.did.take_if(|did| did.is_shown(view)) {
                Some(Did::Sought(seeks)) => self.sought.extend(seeks),
                Some(Did::Purged(stream, bodies, bytes)) => {
                    self.purged.push((stream, bodies, bytes));
                }
                None => {
                    let is_done = deed.did.is_some() && deed.is_answered;
                    assert!(!is_done, "{deed:?} was done, and is not");
                    drop(deed);
                    self.asked.push(asked);
                }
            }
        }
        if is_rest_lost {
            self.accepted.clear();
            self.asked.clear();
        }
    }

    /// Judges what survived, in the order of the log.
    pub(super) fn judge(&mut self, known: &Known<'_>, max_attempts: MaxAttempts) {
        self.ledger.max_attempts = max_attempts;
        for commit in mem::take(&mut self.survived) {
            let (unit, epoch) = (commit.unit, commit.epoch);
            self.place_seeks(|seek| seek.unit == unit && seek.epoch <= epoch);
            let mut coverage = Coverage::default();
            let taken = self.ledger.take(&commit, known, None, &mut coverage);
            sound(taken, || format!("{commit:?}"));
            self.expect(&commit);
            if commit.redriven.is_none() {
                self.order_over_shards(&commit, known);
            }
        }
        self.place_seeks(|_| true);
        for (stream, bodies, bytes) in mem::take(&mut self.purged) {
            let purged = self.ledger.letters.purge(stream, &bodies, bytes);
            sound(purged, || format!("{bodies:?} of {stream} were purged"));
        }
    }

    fn place_seeks(&mut self, is_due: impl Fn(&UnitSeek) -> bool) {
        for seek in self.sought.extract_if(.., |seek| is_due(seek)) {
            let unit = seek.unit;
            sound(self.ledger.seek(unit, seek.after), || format!("{seek:?}"));
            self.numbers
                .retain(|(mapping, _), _| *mapping != unit.mapping);
        }
    }

    fn expect(&mut self, commit: &Commit) {
        for output in &commit.outputs {
            let records = &output.records;
            let rows = self.rows.entry(output.stream.clone()).or_default();
            for row in 0..records.len() {
                self.last_row += 1;
                let expected = Expected {
                    key: records.keys.get(row).to_vec(),
                    origin: records.origins[row],
                    number: self.last_row,
                };
                let before = rows.insert(records.data.get(row).to_vec(), expected);
                assert!(before.is_none(), "a row is published twice: {commit:?}");
            }
        }
    }

    /// Numbers of put records ascend as they were put, whatever became of their shards.
    fn order_over_shards(&mut self, commit: &Commit, known: &Known<'_>) {
        let mapping = commit.unit.mapping;
        let outputs = commit.outputs.iter();
        for output in outputs.filter(|output| output.stream.as_str() != CLOSED) {
            for (row, origin) in output.records.origins.iter().enumerate() {
                let Some(number) = known.number(origin) else {
                    continue;
                };
                let key = output.records.keys.get(row).to_vec();
                let last = self.numbers.entry((mapping, key.clone())).or_default();
                assert!(
                    *last <= number,
                    "{mapping}: {number} of key {key:?} follows {last}, over shards"
                );
                *last = number;
            }
        }
    }
}

/// What must not be broken.
pub(super) fn sound(judged: Result<(), Violation>, what: impl FnOnce() -> String) {
    if let Err(broken) = judged {
        panic!("{}: {broken}", what());
    }
}

//! The production view, asked: each question once.

use std::{collections::HashMap, fmt, sync::Arc};

use fnctl_core::{
    commit::{Commit, CommitAnswer},
    entry::Entry,
    id::{FunctionId, MappingId, Ordinal, SlotId},
    registry::RegistryChange,
    view::{CommitFault, NodeView, StreamRef, UnitView},
};

use crate::{
    config::{Config, KEYS_MAX, RECORDS_MAX, SLOTS, bits},
    content::{
        MAPPING, NOW, OUTPUT, OUTPUT_AGAIN, SOURCE, UNIT, catalogue, real_commit, rows, single,
        stream,
    },
    state::SentParts,
};

/// A rule that a schedule broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A commit of a former owner was accepted.
    FormerOwner,
    /// A record ended twice: as two outputs, two dead letters, or both.
    TwoEffects,
    /// A record was settled and ended as nothing, or ended and was not settled.
    SettledWithoutEffect,
    /// An output was published behind one of a later record of its key.
    OutputsOutOfOrder,
    /// A record was settled in front of an earlier one of its key.
    KeyOutOfOrder,
    /// A record's attempts were not counted one by one, or passed their limit.
    Miscounted,
    /// A guard fired that only an error of ours can reach.
    AssertionFired(CommitFault),
    /// A reader saw what a crash then took back.
    Retracted,
    /// From this state no schedule settles everything.
    Stuck,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FormerOwner => f.write_str("a commit of a former owner is accepted"),
            Self::TwoEffects => f.write_str("a record has two effects"),
            Self::SettledWithoutEffect => f.write_str("a record is settled without an effect"),
            Self::OutputsOutOfOrder => f.write_str("outputs of one key are out of order"),
            Self::KeyOutOfOrder => f.write_str("a key is settled out of order"),
            Self::Miscounted => f.write_str("attempts are miscounted"),
            Self::AssertionFired(fault) => write!(f, "an assertion fires: {fault}"),
            Self::Retracted => f.write_str("what a reader saw is retracted"),
            Self::Stuck => f.write_str("no schedule settles everything from here"),
        }
    }
}

/// Names a view that was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ViewId(pub(crate) u32);

/// What the model asks of a view, read from it once, and what the log did to each record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Facts {
    pub(crate) epoch: u8,
    pub(crate) settled: u8,
    pub(crate) attempts: [u8; RECORDS_MAX],
    /// Records that ended as outputs, as dead letters, by retention.
    pub(crate) outputs: u8,
    pub(crate) dead: u8,
    pub(crate) expired: u8,
    /// Per key, 1 + the latest record whose output was published.
    latest: [u8; KEYS_MAX],
    pub(crate) output: OutputStream,
    rows: u8,
    /// Charges, which no other fact tells once a record is settled.
    charges: u8,
    /// Numbers of the owner's last commits by slot; 0 where they are counted from the last.
    numbers: [u8; SLOTS],
}

impl Facts {
    /// What a reader could have seen of the records.
    pub(crate) const fn effects(&self) -> (u8, u8) {
        (self.outputs, self.dead)
    }

    /// The effects of a commit, as they stand in the log.
    fn after(self, config: &Config, parts: &SentParts) -> Self {
        let mut after = self;
        after.outputs |= parts.outputs;
        after.dead |= parts.dead;
        for record in bits(parts.outputs) {
            let latest = &mut after.latest[config.key[record]];
            *latest = (*latest).max(record as u8 + 1);
        }
        after
    }
}

/// Whether the output stream exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum OutputStream {
    #[default]
    First,
    Deleted,
    MadeAnew,
}

/// The sequencer's answer to a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Accepted(ViewId),
    /// Accepted, and a rule is broken: where it leads does not matter.
    Broken(Violation),
    Fenced(CommitFault),
    Unavailable,
}

/// Every view that was reached, and every answer that was given.
pub(crate) struct Views {
    config: Config,
    views: Vec<NodeView>,
    facts: Vec<Facts>,
    ids: HashMap<Facts, ViewId>,
    answers: HashMap<(ViewId, u8, u8, u32), Answer>,
    keeps_numbers: bool,
}

impl Views {
    /// The views behind a journal that made the streams and the mapping and holds the records.
    /// Numbers of commits are kept, or counted from a slot's last accepted one.
    pub(crate) fn new(config: &Config, keeps_numbers: bool) -> (Self, ViewId) {
        let mut views = Self {
            config: config.clone(),
            views: Vec::new(),
            facts: Vec::new(),
            ids: HashMap::new(),
            answers: HashMap::new(),
            keeps_numbers,
        };
        let mut view = NodeView::new();
        view.apply(&catalogue());
        let records = Arc::new(rows(config, config.all()));
        let append = view
            .evaluate_append(StreamRef::Id(SOURCE), &records, None, NOW)
            .expect("the source exists");
        view.apply(&append);
        let first = views.intern(view, Facts::default());
        (views, first)
    }

    pub(crate) fn facts(&self, id: ViewId) -> &Facts {
        &self.facts[id.0 as usize]
    }

    /// Views reached and questions asked.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.views.len(), self.answers.len())
    }

    /// Evaluates a commit as the production sequencer does, but for the guards that `config` takes
    /// away.
    pub(crate) fn commit(
        &mut self,
        at: ViewId,
        epoch: u8,
        slot: usize,
        question: u32,
        parts: &SentParts,
    ) -> Answer {
        let slot_number = u8::try_from(slot).expect("there are three slots");
        let key = (at, epoch, slot_number, question);
        if let Some(answer) = self.answers.get(&key) {
            return *answer;
        }
        let view = &self.views[at.0 as usize];
        let facts = *self.facts(at);
        let commit =
            Arc::new(self.weaken(view, real_commit(&self.config, &facts, epoch, slot, parts)));
        let answer = match view.evaluate_commit(&commit, NOW) {
            Ok(entry) => match check(&self.config, &facts, epoch, parts) {
                Some(violation) => Answer::Broken(violation),
                None => {
                    let after = facts.after(&self.config, parts);
                    Answer::Accepted(self.follow(at, &entry, after))
                }
            },
            Err(CommitAnswer::Fenced) => Answer::Fenced(
                view.commit_fault(&commit)
                    .expect("whatever is fenced has a fault"),
            ),
            Err(CommitAnswer::Unavailable(_)) => Answer::Unavailable,
            Err(CommitAnswer::Accepted(_)) => unreachable!("a refusal accepts nothing"),
        };
        self.answers.insert(key, answer);
        answer
    }

    /// Takes guards away: the commit is made to pass them, its effects stay what they are.
    fn weaken(&self, view: &NodeView, mut commit: Commit) -> Commit {
        let unit = view.unit(UNIT).expect("the mapping is never deleted");
        if !self.config.guards_epoch {
            commit.epoch = unit.epoch;
        }
        if !self.config.guards_number {
            commit.number = view.last_number(UNIT, commit.slot) + 1;
        }
        if !self.config.guards_settled {
            commit.settles = commit
                .settles
                .as_slice()
                .iter()
                .flat_map(|range| range.after.0..range.through.0)
                .filter(|&before| !unit.settled.contains(Ordinal(before + 1)))
                .map(single)
                .collect();
        }
        commit
    }

    pub(crate) fn lease(&mut self, at: ViewId) -> ViewId {
        let entry = self.views[at.0 as usize].evaluate_lease(&[UNIT]);
        let facts = *self.facts(at);
        self.follow(at, &entry, facts)
    }

    /// Retention takes the oldest unsettled record.
    pub(crate) fn expire(&mut self, at: ViewId) -> Option<ViewId> {
        let mut facts = *self.facts(at);
        let record = bits(self.config.all() & !facts.settled).next()?;
        let through = Ordinal(record as u64 + 1);
        let view = &self.views[at.0 as usize];
        let mut entry = view.evaluate_expiry(UNIT, through)?;
        if let (false, Entry::Change { units }) = (self.config.expiry_fences, &mut entry) {
            for change in units {
                change.epoch = view.unit(UNIT)?.epoch;
            }
        }
        facts.expired |= 1 << record;
        Some(self.follow(at, &entry, facts))
    }

    /// The output stream is deleted, or made anew under its name.
    pub(crate) fn outage(&mut self, at: ViewId) -> Option<ViewId> {
        let mut facts = *self.facts(at);
        let mut change = RegistryChange {
            next_stream: OUTPUT_AGAIN.next(),
            next_function: FunctionId(2),
            next_mapping: MappingId(2),
            ..RegistryChange::default()
        };
        match facts.output {
            OutputStream::First => {
                change.deleted_streams.push(OUTPUT);
                facts.output = OutputStream::Deleted;
            }
            OutputStream::Deleted => {
                change.streams.push(stream(OUTPUT_AGAIN, "out", false));
                facts.output = OutputStream::MadeAnew;
            }
            OutputStream::MadeAnew => return None,
        }
        let entry = Entry::Meta {
            change: Arc::new(change),
            units: Vec::new(),
        };
        Some(self.follow(at, &entry, facts))
    }

    /// Applies an entry that the view at `at` resolved.
    fn follow(&mut self, at: ViewId, entry: &Entry, facts: Facts) -> ViewId {
        let mut next = self.views[at.0 as usize].clone();
        next.apply(entry);
        let mut again = next.clone();
        again.apply(entry);
        assert!(next.values().eq(again.values()), "redo changes {entry:?}");
        // What an image holds: numbers are volatile, and the model may count them from the last.
        let stored = NodeView::from_values(next.values()).expect("a view's values are a view");
        assert!(stored.values().eq(next.values()));
        self.intern(if self.keeps_numbers { next } else { stored }, facts)
    }

    /// Evaluates a whole commit, as it is.
    pub(crate) fn take(&mut self, at: ViewId, commit: &Arc<Commit>) -> Answer {
        let view = &self.views[at.0 as usize];
        let facts = *self.facts(at);
        let entry = match view.evaluate_commit(commit, NOW) {
            Ok(entry) => entry,
            Err(CommitAnswer::Fenced) => {
                let fault = view.commit_fault(commit);
                return Answer::Fenced(fault.expect("whatever is fenced has a fault"));
            }
            Err(_) => return Answer::Unavailable,
        };
        let parts = parts_of(&self.config, commit);
        let epoch = u8::try_from(commit.epoch.0).expect("few owners");
        let after = facts.after(&self.config, &parts);
        let counts = |mask: u8| u64::from(mask.count_ones());
        let totals = &commit.totals;
        let are_exact = totals.processed == counts(after.outputs)
            && totals.emitted == counts(after.outputs)
            && totals.dead_lettered == counts(after.dead);
        match check(&self.config, &facts, epoch, &parts) {
            Some(violation) => Answer::Broken(violation),
            None if !are_exact => Answer::Broken(Violation::Miscounted),
            None => Answer::Accepted(self.follow(at, &entry, after)),
        }
    }

    /// What an owner that starts at this view is told.
    pub(crate) fn unit(&self, at: ViewId) -> &UnitView {
        let unit = self.views[at.0 as usize].unit(UNIT);
        unit.expect("the mapping is never deleted")
    }

    fn intern(&mut self, view: NodeView, mut facts: Facts) -> ViewId {
        let unit = view.unit(UNIT).expect("the mapping is never deleted");
        facts.epoch = u8::try_from(unit.epoch.0).expect("few owners");
        facts.settled = (0..self.config.records)
            .filter(|&record| unit.settled.contains(Ordinal(record as u64 + 1)))
            .fold(0, |mask, record| mask | 1 << record);
        facts.attempts = std::array::from_fn(|record| {
            unit.attempts
                .get(&Ordinal(record as u64 + 1))
                .map_or(0, |mark| u8::try_from(mark.count).expect("few attempts"))
        });
        facts.rows = view
            .tails(match facts.output {
                OutputStream::MadeAnew => OUTPUT_AGAIN,
                _ => OUTPUT,
            })
            .map(|(_, tail)| tail.last().0 as u8)
            .sum();
        if facts.output == OutputStream::First && self.config.asserts {
            assert_eq!(u32::from(facts.rows), facts.outputs.count_ones());
            assert_eq!(
                view.open_letters(MAPPING),
                u64::from(facts.dead.count_ones())
            );
        }
        facts.charges = u8::try_from(unit.totals.failed).expect("few charges");
        let slots = [SlotId::Lane(0), SlotId::Lane(1), SlotId::Retry];
        facts.numbers = slots.map(|slot| view.last_number(UNIT, slot) as u8);
        if let Some(&known) = self.ids.get(&facts) {
            // Letters of a real pipeline differ in their words, and so in their bytes.
            assert!(
                !self.config.asserts
                    || self.keeps_numbers
                    || self.views[known.0 as usize].values().eq(view.values()),
                "views with equal facts are equal"
            );
            return known;
        }
        let id = ViewId(u32::try_from(self.views.len()).expect("fewer than 2^32 views"));
        self.views.push(view);
        self.facts.push(facts);
        self.ids.insert(facts, id);
        id
    }
}

/// What must hold of every commit that is accepted.
fn check(config: &Config, facts: &Facts, epoch: u8, parts: &SentParts) -> Option<Violation> {
    let ended = facts.outputs | facts.dead | facts.expired;
    if epoch != facts.epoch {
        return Some(Violation::FormerOwner);
    }
    if (parts.outputs | parts.dead) & ended != 0 || parts.outputs & parts.dead != 0 {
        return Some(Violation::TwoEffects);
    }
    if parts.settles != parts.outputs | parts.dead {
        return Some(Violation::SettledWithoutEffect);
    }
    let is_late = |record: usize| usize::from(facts.latest[config.key[record]]) > record;
    if bits(parts.outputs).any(is_late) {
        return Some(Violation::OutputsOutOfOrder);
    }
    let settled = facts.settled | parts.settles;
    let overtakes = |record: usize| {
        (0..record)
            .any(|earlier| config.key[earlier] == config.key[record] && settled >> earlier & 1 == 0)
    };
    if bits(parts.settles).any(overtakes) {
        return Some(Violation::KeyOutOfOrder);
    }
    // A repetition repeats its marks: they are absolute.
    let charge = u8::from(parts.number != 0);
    let is_miscounted = |record: usize| {
        let mark = parts.marks[record];
        mark != 0 && (mark != facts.attempts[record] + charge || mark >= config.attempts_max)
    };
    (0..config.records)
        .any(is_miscounted)
        .then_some(Violation::Miscounted)
}

/// What a real commit says of the records.
fn parts_of(config: &Config, commit: &Commit) -> SentParts {
    let bit = |position: Ordinal| 1u8 << (position.0 - 1);
    let settled = |record: &usize| {
        let position = Ordinal(*record as u64 + 1);
        let mut ranges = commit.settles.as_slice().iter();
        ranges.any(|range| range.after < position && position <= range.through)
    };
    let mut parts = SentParts {
        number: 1,
        settles: (0..config.records)
            .filter(settled)
            .fold(0, |mask, record| mask | 1 << record),
        ..SentParts::default()
    };
    for output in &commit.outputs {
        for origin in &output.records.origins {
            parts.outputs |= bit(origin.position);
        }
    }
    for letter in &commit.dead_letters {
        parts.dead |= bit(letter.position);
    }
    for mark in &commit.attempts {
        parts.marks[mark.position.0 as usize - 1] = u8::try_from(mark.count).expect("few attempts");
    }
    parts
}

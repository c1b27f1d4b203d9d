//! The production view, asked: each question once.

mod by_hand;

use std::{collections::HashMap, sync::Arc};

use fnctl_core::{
    commit::{Commit, CommitAnswer},
    entry::Entry,
    id::{Ordinal, ShardNumber, SlotId},
    registry::Command,
    shard::Reshard,
    spec::resolve::StreamSettings,
    view::{CommitFault, NodeView, StreamRef, UnitView, ValueKey},
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    check::{Violation, check, check_view, parts_of},
    config::{Config, Family, bits},
    content::{
        NOW, OUTPUT, SOURCE, catalogue, mapping_again, name, real_commit, rows, single, unit_of,
    },
    facts::{Facts, UnitFacts, global_epoch},
    state::SentParts,
    window,
};

/// Names a view that was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ViewId(pub(crate) u32);

/// The sequencer's answer to a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Accepted(ViewId),
    /// Accepted, and a rule is broken: where it leads does not matter.
    Broken(Violation),
    Fenced(CommitFault),
    /// The letter with this id is not open.
    Refused(Ordinal),
    Unavailable,
}

/// Puts the records of a mask, each to the shard that is open for it.
fn put(view: &mut NodeView, config: &Config, mask: u8) {
    if mask == 0 {
        return;
    }
    let records = Arc::new(rows(config, mask));
    let append = view.evaluate_append(StreamRef::Id(SOURCE), &records, None, NOW);
    view.apply(&append.expect("the source exists"));
}

fn reshard(view: &mut NodeView, family: Family) {
    let (shard, adjacent) = (ShardNumber(0), ShardNumber(1));
    let how = match family {
        Family::Apart => return,
        Family::Split => Reshard::Split { shard, at: None },
        Family::Merge => Reshard::Merge { shard, adjacent },
    };
    let name = name("in");
    let command = Command::Reshard { name, how };
    let (entry, _) = view
        .evaluate_command(&command, NOW)
        .expect("the shards are open");
    view.apply(&entry.expect("the stream changes"));
}

/// A view, and what tells one commit from another: epoch, slot, what it says, the expired records
/// that its owner knows of.
type Question = (ViewId, u8, u8, u32, u8);

/// Every view that was reached, and every answer that was given.
pub(crate) struct Views {
    config: Config,
    views: Vec<NodeView>,
    facts: Vec<Facts>,
    ids: HashMap<Facts, ViewId>,
    answers: HashMap<Question, Answer>,
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
        view.apply(&catalogue(config));
        put(&mut view, config, config.records_at_first());
        reshard(&mut view, config.family);
        put(&mut view, config, config.all() & !config.records_at_first());
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
    /// away. Its owner started when `expired` records had expired.
    pub(crate) fn commit(
        &mut self,
        at: ViewId,
        owner: (u8, u8),
        slot: usize,
        question: u32,
        parts: &SentParts,
    ) -> Answer {
        let (epoch, expired) = owner;
        let slot_number = u8::try_from(slot).expect("there are three slots");
        let key = (at, epoch, slot_number, question, expired);
        if let Some(answer) = self.answers.get(&key) {
            return *answer;
        }
        let view = &self.views[at.0 as usize];
        let facts = *self.facts(at);
        let commit = real_commit(&self.config, &facts, owner, slot, parts);
        let commit = Arc::new(self.weaken(view, commit));
        let answer = match view.evaluate_commit(&commit, NOW) {
            Ok(entry) => match check(&self.config, &facts, (0, epoch), parts) {
                Some(violation) => Answer::Broken(violation),
                None => {
                    let after = facts.after(&self.config, parts);
                    self.accept(at, self.weaken_entry(entry), after)
                }
            },
            Err(CommitAnswer::Fenced) => Answer::Fenced(
                view.commit_fault(&commit)
                    .expect("whatever is fenced has a fault"),
            ),
            Err(CommitAnswer::Unavailable(_)) => Answer::Unavailable,
            Err(CommitAnswer::Accepted(_) | CommitAnswer::Refused { .. }) => {
                unreachable!("a refusal accepts nothing, and no letter is redriven")
            }
        };
        self.answers.insert(key, answer);
        answer
    }

    fn accept(&mut self, at: ViewId, entry: Entry, after: Facts) -> Answer {
        let next = self.follow(at, &entry, after);
        let broken = check_view(&self.config, self.facts(next));
        match broken.or_else(|| self.check_letters(next)) {
            Some(violation) => Answer::Broken(violation),
            None => Answer::Accepted(next),
        }
    }

    /// Sends a commit's outputs where they would go if the mapping had kept the stream's id.
    fn weaken_entry(&self, mut entry: Entry) -> Entry {
        if let (false, Entry::Commit { outputs, .. }) = (self.config.outputs_by_name, &mut entry) {
            for placement in outputs {
                placement.stream = OUTPUT;
            }
        }
        entry
    }

    /// Takes guards away: the commit is made to pass them, its effects stay what they are.
    fn weaken(&self, view: &NodeView, mut commit: Commit) -> Commit {
        let Some(unit) = view.unit(commit.unit) else {
            return commit;
        };
        if !self.config.guards_epoch {
            commit.epoch = unit.epoch;
        }
        if !self.config.guards_number {
            commit.number = view.last_number(commit.unit, commit.slot) + 1;
        }
        if !self.config.guards_outputs && view.registry().stream_by_name(&name("out")).is_none() {
            commit.outputs.clear();
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

    /// Appoints an owner; the view it was at where the unit's turn has not come.
    pub(crate) fn lease(&mut self, at: ViewId, unit: usize) -> ViewId {
        let facts = *self.facts(at);
        let unit = unit_of(&self.config, facts.generation, unit);
        let view = &self.views[at.0 as usize];
        let entry = match view.unit(unit) {
            Some(now) if !self.config.waits_for_parents => Entry::Lease {
                grants: vec![(unit, now.epoch.next())],
            },
            _ => view.evaluate_lease(&[unit]),
        };
        match &entry {
            Entry::Lease { grants } if grants.is_empty() => at,
            _ => self.follow(at, &entry, facts),
        }
    }

    /// Retention takes what is unsettled up to a record, several at once where there are; `None`
    /// where there is nothing to take.
    pub(crate) fn expire(
        &mut self,
        at: ViewId,
        record: usize,
    ) -> Option<Result<ViewId, Violation>> {
        let mut facts = *self.facts(at);
        let through = self.config.position(record);
        let shard = self.config.shard[record];
        let view = &self.views[at.0 as usize];
        let unit = unit_of(&self.config, facts.generation, shard);
        let mut entry = view.evaluate_expiry(unit, through)?;
        let unit = view.unit(unit)?;
        if let Entry::Change { units } = &mut entry {
            for change in units {
                if !self.config.expiry_fences {
                    change.epoch = unit.epoch;
                }
                if let (false, Some((_, total))) = (self.config.expiry_counts, &mut change.expired)
                {
                    *total = unit.totals.expired;
                }
            }
        }
        let older = u8::MAX >> (7 - record);
        facts.expired |= older & self.config.records_of(shard) & !facts.settled;
        Some(match self.accept(at, entry, facts) {
            Answer::Accepted(next) => Ok(next),
            Answer::Broken(violation) => Err(violation),
            _ => unreachable!("retention has no guard"),
        })
    }

    /// The output stream is deleted, or made anew under its name.
    pub(crate) fn outage(&mut self, at: ViewId) -> ViewId {
        let mut facts = *self.facts(at);
        let command = if facts.output.exists {
            Command::DeleteStream {
                name: name("out"),
                force: true,
            }
        } else {
            facts.output.made += 1;
            Command::CreateStream {
                name: name("out"),
                settings: StreamSettings {
                    shards: 1,
                    ..StreamSettings::default()
                },
            }
        };
        facts.output.exists = !facts.output.exists;
        facts.here = 0;
        facts.beside = 0;
        facts.earlier[0] = 0;
        let (entry, _) = self.views[at.0 as usize]
            .evaluate_command(&command, NOW)
            .expect("the stream exists to be deleted, or does not and is made");
        let entry = entry.expect("the catalogue changes");
        self.follow(at, &entry, facts)
    }

    /// The mapping is deleted with all its progress, or one of its name is made.
    pub(crate) fn remap(&mut self, at: ViewId) -> ViewId {
        let facts = *self.facts(at);
        if facts.is_unmapped {
            let entry = mapping_again(&self.config, facts.generation);
            let made = Facts {
                is_unmapped: false,
                ..facts
            };
            return self.follow(at, &entry, made);
        }
        let command = Command::DeleteMapping {
            mapping: unit_of(&self.config, facts.generation, 0).mapping,
            force: true,
        };
        let (entry, _) = self.views[at.0 as usize]
            .evaluate_command(&command, NOW)
            .expect("the mapping exists");
        let entry = entry.expect("the catalogue changes");
        let letters = facts.dead.count_ones() as u8 + facts.dead_before;
        let gone = Facts {
            generation: facts.generation + 1,
            is_unmapped: true,
            earlier: [facts.rows, facts.earlier[1] + letters],
            output: facts.output,
            ..Facts::default()
        };
        self.follow(at, &entry, gone)
    }

    /// Applies an entry that the view at `at` resolved.
    fn follow(&mut self, at: ViewId, entry: &Entry, facts: Facts) -> ViewId {
        let mut next = self.views[at.0 as usize].clone();
        next.apply(entry);
        if let Entry::Seek { .. } = entry {
            let mapping = unit_of(&self.config, facts.generation, 0).mapping;
            let before = self.views[at.0 as usize].totals_ever(mapping);
            assert_eq!(before, next.totals_ever(mapping), "counters go on");
        }
        let mut again = next.clone();
        again.apply(entry);
        assert!(next.values().eq(again.values()), "redo changes {entry:?}");
        // What an image holds: numbers are volatile, and the model may count them from the last.
        let stored = NodeView::from_values(next.values()).expect("a view's values are a view");
        assert!(stored.values().eq(next.values()));
        self.intern(if self.keeps_numbers { next } else { stored }, facts)
    }

    /// Evaluates a whole commit, as it is, but for the rules that `config` takes away.
    pub(crate) fn take(&mut self, at: ViewId, commit: &Arc<Commit>) -> Answer {
        if let Some(redriven) = &commit.redriven {
            return self.take_redriven(at, commit, redriven);
        }
        let view = &self.views[at.0 as usize];
        let facts = *self.facts(at);
        let mut judged = Arc::clone(commit);
        if !self.config.tells_units_apart {
            Arc::make_mut(&mut judged).unit.shard = ShardNumber(0);
        }
        let group = commit.window.as_ref().map(|change| change.group);
        let group = group.and_then(|group| view.unit(commit.unit)?.windows.get(&group));
        if let (false, Some(change)) = (
            self.config.guards_windows,
            &mut Arc::make_mut(&mut judged).window,
        ) {
            change.becomes.version = 1 + group.map_or(0, |group| group.version);
        }
        let entry = match view.evaluate_commit(&judged, NOW) {
            Ok(entry) => entry,
            Err(CommitAnswer::Fenced) => {
                let fault = view.commit_fault(&judged);
                return Answer::Fenced(fault.expect("whatever is fenced has a fault"));
            }
            Err(_) => return Answer::Unavailable,
        };
        let parts = parts_of(&self.config, commit);
        let epoch = global_epoch(facts.generation, commit.epoch);
        let owner = (commit.unit.shard.0 as usize, epoch);
        match check(&self.config, &facts, owner, &parts) {
            Some(violation) => Answer::Broken(violation),
            None => {
                let after = facts.after(&self.config, &parts);
                match window::after(
                    &self.config,
                    group.map(|group| &**group),
                    commit,
                    &parts,
                    after,
                ) {
                    Ok(after) => self.accept(at, self.weaken_entry(entry), after),
                    Err(violation) => Answer::Broken(violation),
                }
            }
        }
    }

    /// What an owner that starts at this view is told.
    pub(crate) fn unit(&self, at: ViewId, unit: usize) -> &UnitView {
        let unit = unit_of(&self.config, self.facts(at).generation, unit);
        let unit = self.views[at.0 as usize].unit(unit);
        unit.expect("an owner has a mapping")
    }

    fn intern(&mut self, view: NodeView, mut facts: Facts) -> ViewId {
        let mapping = unit_of(&self.config, facts.generation, 0).mapping;
        (facts.settled, facts.attempts) = Default::default();
        for shard in 0..self.config.units() {
            let id = unit_of(&self.config, facts.generation, shard);
            let none = UnitView::default();
            let unit = view.unit(id).unwrap_or(&none);
            assert_eq!(view.unit(id).is_none(), facts.is_unmapped);
            for record in bits(self.config.records_of(shard)) {
                let position = self.config.position(record);
                facts.settled |= u8::from(unit.settled.contains(position)) << record;
                let mark = unit.attempts.get(&position);
                facts.attempts[record] =
                    mark.map_or(0, |mark| u8::try_from(mark.count).expect("few attempts"));
            }
            let totals = &unit.totals;
            if self.config.has_windows() {
                let states = format!("{:?}", unit.windows);
                facts.windows.states[shard] = xxh3_64(states.as_bytes());
            }
            let slots = [SlotId::Lane(0), SlotId::Lane(1), SlotId::Retry];
            facts.units[shard] = UnitFacts {
                epoch: global_epoch(facts.generation, unit.epoch),
                totals: [
                    totals.processed,
                    totals.emitted,
                    totals.dead_lettered,
                    totals.expired,
                ]
                .map(|total| u8::try_from(total).expect("few records")),
                charges: u8::try_from(totals.failed).expect("few charges"),
                numbers: slots.map(|slot| view.last_number(id, slot) as u8),
            };
        }
        let output = view.registry().stream_by_name(&name("out"));
        facts.rows = output
            .into_iter()
            .flat_map(|stream| view.tails(stream.id))
            .map(|(_, tail)| tail.last().0 as u8)
            .sum();
        if self.config.asserts && self.config.names_letters && self.config.guards_letters {
            assert_eq!(
                view.open_letters(mapping) + u64::from(facts.closed),
                u64::from(facts.dead.count_ones())
                    + u64::from(facts.dead_before)
                    + facts
                        .windows
                        .lost
                        .iter()
                        .copied()
                        .map(u64::from)
                        .sum::<u64>()
            );
        }
        if let Some(&known) = self.ids.get(&facts) {
            // Letters of a real pipeline differ in their words, and so in their bytes. What was counted
            // before a seek stands in no later question.
            let told = |view: &NodeView| {
                let is_told = |key: &ValueKey| !matches!(key, ValueKey::BeforeSeeks(_));
                let values = view.values().filter(|(key, _)| is_told(key));
                values.collect::<Vec<_>>()
            };
            assert!(
                !self.config.asserts
                    || self.keeps_numbers
                    || told(&self.views[known.0 as usize]) == told(&view),
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

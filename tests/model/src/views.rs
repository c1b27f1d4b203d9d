//! The production view, asked: each question once.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use fnctl_core::{
    commit::{AttemptMark, Commit, CommitAnswer, DeadLetter, ErrorKind, OutputRecords, UnitTotals},
    entry::Entry,
    id::{
        FunctionId, FunctionVersion, LeaseEpoch, MappingId, Ordinal, OutputName, ShardNumber,
        SlotId, StreamId, StreamName, Timestamp, UnitId,
    },
    mapping::{Mapping, MappingSettings, MappingState, OutputBinding},
    record::{ColumnBuilder, NewRecords},
    registry::RegistryChange,
    settled::{SettledRange, SettledRanges},
    shard::{Ack, HashKeyRange, Shard, Stream},
    view::{CommitFault, NodeView, StreamRef},
};

use crate::{
    config::{Config, KEYS_MAX, RECORDS_MAX, RETRY, bits},
    state::SentParts,
};

const NOW: Timestamp = Timestamp(1_000);
const SOURCE: StreamId = StreamId(1);
const LETTERS: StreamId = StreamId(2);
const OUTPUT: StreamId = StreamId(3);
const OUTPUT_AGAIN: StreamId = StreamId(4);
const UNIT: UnitId = UnitId {
    mapping: MappingId(1),
    stream: SOURCE,
    shard: ShardNumber(0),
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
}

impl Facts {
    /// What a reader could have seen of the records.
    pub(crate) const fn effects(&self) -> (u8, u8) {
        (self.outputs, self.dead)
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
}

impl Views {
    /// The views behind a journal that made the streams and the mapping and holds the records.
    pub(crate) fn new(config: &Config) -> (Self, ViewId) {
        let mut views = Self {
            config: config.clone(),
            views: Vec::new(),
            facts: Vec::new(),
            ids: HashMap::new(),
            answers: HashMap::new(),
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
                    let mut after = facts;
                    after.outputs |= parts.outputs;
                    after.dead |= parts.dead;
                    for record in bits(parts.outputs) {
                        let latest = &mut after.latest[self.config.key[record]];
                        *latest = (*latest).max(record as u8 + 1);
                    }
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
        // What an image holds: numbers are volatile, and the model counts them from the last.
        let stored = NodeView::from_values(next.values()).expect("a view's values are a view");
        assert!(stored.values().eq(next.values()));
        self.intern(stored, facts)
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
                view.open_letters(MappingId(1)),
                u64::from(facts.dead.count_ones())
            );
        }
        if let Some(&known) = self.ids.get(&facts) {
            assert!(
                !self.config.asserts || self.views[known.0 as usize].values().eq(view.values()),
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

const fn single(before: u64) -> SettledRange {
    SettledRange {
        after: Ordinal(before),
        through: Ordinal(before + 1),
    }
}

fn real_commit(
    config: &Config,
    facts: &Facts,
    epoch: u8,
    slot: usize,
    parts: &SentParts,
) -> Commit {
    Commit {
        unit: UNIT,
        epoch: LeaseEpoch(u64::from(epoch)),
        slot: match slot {
            RETRY => SlotId::Retry,
            lane => SlotId::Lane(u16::try_from(lane).expect("there are two lanes")),
        },
        number: u64::from(parts.number),
        settles: bits(parts.settles)
            .map(|record| single(record as u64))
            .collect::<SettledRanges>(),
        attempts: (0..config.records)
            .filter(|&record| parts.marks[record] > 0)
            .map(|record| AttemptMark {
                position: Ordinal(record as u64 + 1),
                count: u32::from(parts.marks[record]),
                version: FunctionVersion(1),
                next_retry: NOW,
            })
            .collect(),
        // An expiry fences, so an owner starts with the total that counts it.
        totals: UnitTotals {
            expired: u64::from(facts.expired.count_ones()),
            ..UnitTotals::default()
        },
        dead_letters: bits(parts.dead)
            .map(|record| letter(config, record))
            .collect(),
        outputs: if parts.outputs == 0 {
            Vec::new()
        } else {
            vec![OutputRecords {
                stream: name("out"),
                records: rows(config, parts.outputs),
            }]
        },
        function_version: FunctionVersion(1),
    }
}

fn rows(config: &Config, mask: u8) -> NewRecords {
    let mut keys = ColumnBuilder::with_capacity(0, 0);
    let mut data = ColumnBuilder::with_capacity(0, 0);
    let mut hash_keys = Vec::new();
    for record in bits(mask) {
        keys.push(&[b'a' + config.key[record] as u8]);
        data.push(&[b'0' + record as u8]);
        hash_keys.push(config.key[record] as u128);
    }
    NewRecords {
        keys: keys.finish(),
        data: data.finish(),
        hash_keys,
        hops: Vec::new(),
        origins: Vec::new(),
    }
}

fn letter(config: &Config, record: usize) -> DeadLetter {
    DeadLetter {
        shard: UNIT.shard,
        position: Ordinal(record as u64 + 1),
        arrival: NOW,
        sequence_number: "1".into(),
        key: Bytes::copy_from_slice(&[b'a' + config.key[record] as u8]),
        hash_key: config.key[record] as u128,
        data: Bytes::from_static(b"r"),
        kind: ErrorKind::Error,
        code: "e".into(),
        error: "e".into(),
        attempts: 1,
        version: FunctionVersion(1),
        failed_at: NOW,
    }
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).expect("a valid name")
}

fn stream(id: StreamId, text: &str, is_internal: bool) -> Arc<Stream> {
    Arc::new(Stream {
        id,
        name: name(text),
        shards: vec![Shard {
            number: ShardNumber(0),
            range: HashKeyRange::initial(1)[0],
            created_at: NOW,
            parents: Vec::new(),
            is_closed: false,
        }],
        retention_ms: 86_400_000,
        ack: Ack::Synced,
        created_at: NOW,
        is_internal,
    })
}

fn catalogue() -> Entry {
    let output = OutputName::parse("default").expect("a valid name");
    Entry::Meta {
        change: Arc::new(RegistryChange {
            streams: vec![
                stream(SOURCE, "in", false),
                stream(LETTERS, "letters", true),
                stream(OUTPUT, "out", false),
            ],
            mappings: vec![Arc::new(Mapping {
                id: MappingId(1),
                function: FunctionId(1),
                stream: SOURCE,
                stream_name: name("in"),
                dead_letters: LETTERS,
                settings: MappingSettings::default(),
                outputs: BTreeMap::from([(output, OutputBinding::Stream(name("out")))]),
                state: MappingState::Running,
                state_since: NOW,
                starting_after: BTreeMap::from([(ShardNumber(0), Ordinal(0))]),
                created_at: NOW,
            })],
            next_stream: OUTPUT_AGAIN,
            next_function: FunctionId(2),
            next_mapping: MappingId(2),
            ..RegistryChange::default()
        }),
        units: Vec::new(),
    }
}

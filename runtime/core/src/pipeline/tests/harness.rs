//! Drives a pipeline and writes down what it wants done.

pub(super) mod given;
mod lines;
pub(super) mod running;
mod waiting;

use std::collections::BTreeMap;

use bytes::Bytes;
use given::beginning;
use running::returned;

use crate::{
    breaker::Sign,
    commit::{CallCost, CommitAnswer, Redriven, Unavailable},
    filter::FilterVerdict,
    id::{
        AttemptId, FunctionVersion, Lsn, MappingId, Ordinal, ShardNumber, SlotId, StreamId,
        Timestamp, UnitId,
    },
    invariants,
    lane::KeyHash,
    limits,
    mapping::MappingSettings,
    outcome::{FailureKind, Outcome},
    pipeline::{
        BlockId, BlockMeta, Event, Fetched, Flow, PipelineCanary, PipelineConfig, PipelineStats,
        RecordMeta, Redrive, Relocated, ShardPipeline, Started,
    },
    window::{GroupWindow, WindowChange},
};

/// What every call takes.
pub(super) const COST: CallCost = CallCost {
    duration_us: 1_500,
    memory_bytes: 1 << 16,
};

/// An answer: there is no room.
pub(super) const FULL: CommitAnswer = CommitAnswer::Unavailable(Unavailable::DiskFull);
/// An answer: taken.
pub(super) const TAKEN: CommitAnswer = CommitAnswer::Accepted(Lsn(1));

/// A block of two records of which one alone, parked, is more than is kept in memory.
pub(super) fn too_large_to_keep(settings: MappingSettings) -> Harness {
    let mut shard = Harness::new(MappingSettings {
        batch_bytes: limits::BATCH_BYTES_MAX,
        ..settings
    });
    shard.block_bytes = limits::PARKED_BYTES_MAX + 1;
    shard.record_bytes = 5 << 20;
    shard
}

/// Backoff of exactly 100 ms at most, calls that fail as a whole charged as such; everything else as it
/// comes.
pub(super) fn settings() -> MappingSettings {
    MappingSettings {
        backoff_initial_ms: 100,
        backoff_max_ms: 100,
        bisect_on_error: false,
        ..MappingSettings::default()
    }
}

pub(super) struct Harness {
    pipeline: ShardPipeline,
    settings: MappingSettings,
    now: Timestamp,
    tail: u64,
    next_position: u64,
    next_block: u64,
    lines: Vec<String>,
    asked: Option<Ordinal>,
    running: Vec<u64>,
    pub(super) block_bytes: u64,
    /// Of a record by name.
    pub(super) record_bytes: u32,
    /// What [`Self::run_until`] took.
    pub(super) commits: Vec<String>,
    /// Turns that it granted, and that came back.
    pub(super) turns: (u32, u32),
    /// Keys among [`Self::fetched_many`].
    pub(super) keys_of_many: u64,
    /// The first of them.
    pub(super) first_of_many: u64,
    /// Put in front of keys by name.
    key_space: u64,
    state: Option<Bytes>,
    /// Windows of groups, as accepted, and what commits that are not say of them.
    windows: BTreeMap<u32, GroupWindow>,
    /// What calls said of what the function needs.
    pub(super) felt: Vec<(FunctionVersion, Sign)>,
    /// The version of each call, and its records.
    pub(super) called: Vec<(u64, Vec<u64>)>,
    planned: BTreeMap<SlotId, WindowChange>,
    /// What the next owner begins with, were all commits taken; commits that said which circuits are open.
    pub(super) left: Started,
    pub(super) told: u32,
    /// What the filter says of records of [`Self::fetched_many`].
    pub(super) many: FilterVerdict,
}

fn slot(name: &str) -> SlotId {
    match name.strip_prefix("lane") {
        Some(lane) => SlotId::Lane(lane.parse().unwrap()),
        None => SlotId::Retry,
    }
}

impl Harness {
    /// An owner of a shard in which nothing was ever done.
    pub(super) fn new(settings: MappingSettings) -> Self {
        Self::started(settings, beginning())
    }

    pub(super) fn started(settings: MappingSettings, start: Started) -> Self {
        Self::beside(settings, start, None)
    }

    /// The same with version 2 as a canary.
    pub(super) fn beside(
        settings: MappingSettings,
        start: Started,
        canary: Option<PipelineCanary>,
    ) -> Self {
        let config = PipelineConfig {
            canary,
            is_canary: false,
            stateless: Vec::new(),
            unit: UnitId {
                mapping: MappingId(1),
                stream: StreamId(1),
                shard: ShardNumber(0),
            },
            version: FunctionVersion(1),
            settings: settings.clone(),
            outputs: [].into(),
            seed: 1,
        };
        let windows = start.windows.iter();
        let windows = windows.map(|(&group, known)| (group, GroupWindow::clone(known)));
        let mut harness = Self {
            left: start.clone(),
            told: 0,
            pipeline: ShardPipeline::new(config),
            settings,
            now: Timestamp(0),
            tail: start.tail.0,
            next_position: start.settled.low_watermark().0 + 1,
            next_block: 1,
            lines: Vec::new(),
            asked: None,
            running: Vec::new(),
            block_bytes: 1_000,
            record_bytes: 10,
            commits: Vec::new(),
            turns: (0, 0),
            keys_of_many: 7,
            first_of_many: 1_000,
            key_space: 0,
            many: FilterVerdict::Match,
            state: None,
            windows: windows.collect(),
            felt: Vec::new(),
            called: Vec::new(),
            planned: BTreeMap::new(),
        };
        harness.tell(Event::Started(start));
        harness
    }

    /// Its version is the function's canary.
    pub(super) fn be_canary(&mut self) {
        self.pipeline.config.is_canary = true;
    }

    /// Its version asks for no states.
    pub(super) fn ask_no_states(&mut self) {
        self.pipeline.config.stateless = vec![FunctionVersion(1)];
    }

    /// Which version left the state of a group's open window, as accepted.
    pub(super) fn state_left_by(&self, group: u32) -> Option<u64> {
        let open = self.windows.get(&group)?.open.as_ref()?;
        open.left_by.map(|version| version.0)
    }

    pub(super) fn at(&mut self, now: u64) -> &mut Self {
        self.now = Timestamp(now);
        self
    }

    pub(super) fn now(&self) -> u64 {
        self.now.0
    }

    pub(super) fn tell(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.pipeline.handle(event, self.now, &mut actions);
        for action in actions {
            self.write_down(action);
        }
        let (inspection, stats) = (self.pipeline.inspect(), self.stats());
        // Walking a full window at every event would take longer than everything else.
        if stats.window_records < 1_000 {
            invariants::pipeline_is_sound(&inspection, &stats, self.settings.max_attempts).unwrap();
        }
    }

    pub(super) fn tick(&mut self) {
        self.tell(Event::Tick);
    }

    pub(super) fn tail(&mut self, tail: u64) {
        self.tail = tail;
        let tail = Ordinal(tail);
        self.tell(Event::TailAdvanced { tail });
    }

    /// Publishes records and lets them be read at once; keys by name, `HUGE`, `LOOP`, `NO` (no match) and
    /// `BAD` (not JSON) by nature.
    pub(super) fn put(&mut self, keys: &str) {
        let records = keys.split_whitespace().count() as u64;
        self.tail(self.next_position - 1 + records);
        let fetch = self.lines.pop();
        assert!(fetch.is_some_and(|line| line.starts_with("fetch")));
        self.fetched(keys);
    }

    /// As [`Self::put`], where the read is asked for before.
    pub(super) fn fetched_at_once(&mut self, keys: &str, tail: u64) {
        self.tail(tail);
        self.forget();
        self.fetched(keys);
    }

    pub(super) fn fetched(&mut self, keys: &str) {
        let block = self.block();
        let records = (0..).zip(keys.split_whitespace()).map(|(index, name)| {
            let huge = u32::try_from(limits::RECORD_BYTES_MAX + 1).unwrap();
            RecordMeta {
                position: Ordinal(self.next_position + u64::from(index)),
                key: KeyHash(u64::from(name.as_bytes()[0] - b'A') % 32 + self.key_space),
                arrival: self.now,
                block: block.id,
                index,
                bytes: if name == "HUGE" {
                    huge
                } else {
                    self.record_bytes
                },
                hops: if name == "LOOP" { 17 } else { 16 },
                verdict: match name {
                    "NO" => FilterVerdict::NoMatch,
                    "BAD" => FilterVerdict::Unparsable,
                    _ => FilterVerdict::Match,
                },
            }
        });
        let records: Vec<_> = records.collect();
        self.next_position += records.len() as u64;
        self.asked = None;
        self.tell(Event::Fetched(Fetched {
            blocks: vec![block],
            records,
        }));
    }

    /// Ends a read with records of many keys, none of them "a".
    pub(super) fn fetched_many(&mut self, after: Ordinal, records: u64) {
        let block = self.block();
        let room = limits::UNSETTLED_RECORDS_MAX - self.stats().window_records;
        let records = (0..records.min(room)).map(|index| RecordMeta {
            position: Ordinal(after.0 + 1 + index),
            key: KeyHash(self.first_of_many + index % self.keys_of_many),
            arrival: self.now,
            block: block.id,
            index: u32::try_from(index).unwrap(),
            bytes: 10,
            hops: 0,
            verdict: self.many,
        });
        let records = records.collect();
        self.asked = None;
        self.tell(Event::Fetched(Fetched {
            blocks: vec![block],
            records,
        }));
    }

    pub(super) fn reread(&mut self, slot: SlotId, positions: &[u64]) {
        let block = self.block();
        let records = (0..).zip(positions).map(|(index, &position)| Relocated {
            position: Ordinal(position),
            block: block.id,
            index,
        });
        let records = records.collect();
        self.tell(Event::Reread {
            slot,
            blocks: vec![block],
            records,
        });
    }

    /// Asks for a redrive of the letter of that id, whose record had this key.
    pub(super) fn redrive(&mut self, id: u64, key: &str) {
        let redrive = Redrive {
            ticket: 100 + id,
            letter: Redriven {
                id: Ordinal(id),
                body: Ordinal(id),
                bytes: 10,
            },
            block: self.block(),
            key: KeyHash(u64::from(key.as_bytes()[0] - b'A') % 32),
            shard: ShardNumber(0),
            position: Ordinal(1_000 + id),
            sequence_number: "1".into(),
            arrival: self.now,
            attempts: 5,
            hops: 0,
            with: None,
        };
        self.tell(Event::Redrive(Box::new(redrive)));
    }

    /// Nobody wants the redrive of the letter of that id any more.
    pub(super) fn withdraw(&mut self, id: u64) {
        self.tell(Event::RedriveWithdrawn { ticket: 100 + id });
    }

    fn block(&mut self) -> BlockMeta {
        let id = BlockId(self.next_block);
        self.next_block += 1;
        BlockMeta {
            id,
            bytes: self.block_bytes,
        }
    }

    /// The next call that ends leaves such a state.
    pub(super) fn leaving(&mut self, state: &[u8]) -> &mut Self {
        self.state = Some(Bytes::copy_from_slice(state));
        self
    }

    pub(super) fn end_with(&mut self, attempt: u64, outcome: Outcome) {
        self.end(attempt, outcome);
    }

    fn end(&mut self, attempt: u64, outcome: Outcome) {
        self.running.retain(|&running| running != attempt);
        let state = self.state.take();
        self.tell(Event::Invoked {
            attempt: AttemptId(attempt),
            outcome,
            state,
            cost: COST,
        });
    }

    pub(super) fn host_fault(&mut self, attempt: u64) {
        self.running.retain(|&running| running != attempt);
        self.tell(Event::HostFault {
            attempt: AttemptId(attempt),
        });
    }

    pub(super) fn ok(&mut self, attempt: u64) {
        self.fail(attempt, &[]);
    }

    pub(super) fn fail(&mut self, attempt: u64, failures: &[(u32, FailureKind)]) {
        self.end(attempt, returned(failures));
    }

    pub(super) fn panic(&mut self, attempt: u64, index: u32) {
        let outcome = Outcome::Trap {
            record: Some(index),
            message: "panicked".into(),
        };
        self.end(attempt, outcome);
    }

    /// From now on keys are others than those of the same names before.
    pub(super) fn renamed_keys(&mut self) {
        self.key_space += 32;
    }

    /// A trap that names no record.
    pub(super) fn trap(&mut self, attempt: u64) {
        let outcome = Outcome::Trap {
            record: None,
            message: "trap".into(),
        };
        self.end(attempt, outcome);
    }

    pub(super) fn timeout(&mut self, attempt: u64) {
        self.end(attempt, Outcome::Timeout { after_ms: 1 });
    }

    pub(super) fn too_large(&mut self, attempt: u64) {
        self.end(attempt, Outcome::OutputTooLarge { limit_bytes: 1 });
    }

    pub(super) fn answer(&mut self, name: &str, number: u64, answer: CommitAnswer) {
        if answer == TAKEN
            && let Some(change) = self.planned.remove(&slot(name))
        {
            self.windows.insert(change.group, change.becomes);
        }
        self.tell(Event::CommitAnswered {
            slot: slot(name),
            number,
            answer,
        });
    }

    pub(super) fn durable(&mut self, name: &str, number: u64) {
        self.tell(Event::CommitDurable {
            slot: slot(name),
            number,
        });
    }

    pub(super) fn circuit_opens(&self) -> u64 {
        self.pipeline.circuit_opens()
    }

    pub(super) fn flow(&self) -> Flow {
        self.pipeline.flow()
    }

    pub(super) fn stats(&self) -> PipelineStats {
        self.pipeline.stats()
    }

    /// Charges that are remembered for records that wait in order, or that were not read yet.
    pub(super) fn remembered_marks(&self) -> usize {
        self.pipeline.marks.len()
    }

    /// A person gives records up.
    pub(super) fn give_up(&mut self, positions: &[u64]) {
        let positions = positions.iter().copied().map(Ordinal).collect();
        let by = "somebody".into();
        self.tell(Event::GiveUp { positions, by });
    }

    pub(super) fn records_of_keys(&self, positions: &[u64]) -> Vec<u64> {
        let positions: Vec<Ordinal> = positions.iter().copied().map(Ordinal).collect();
        let all = self.pipeline.records_of_keys(&positions);
        all.iter().map(|position| position.0).collect()
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.pipeline.deadline().map(|deadline| deadline.0)
    }

    /// Where the read that is under way goes on from.
    pub(super) fn fetch_asked(&mut self) -> Option<Ordinal> {
        self.asked
    }

    /// The call that runs longest.
    pub(super) fn running(&self) -> Option<u64> {
        self.running.first().copied()
    }

    /// What was wanted since it was last asked.
    pub(super) fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    pub(super) fn forget(&mut self) {
        self.lines.clear();
    }

    /// Forgets all but the last so many.
    pub(super) fn forget_all_but(&mut self, count: usize) {
        let forgotten = self.lines.len().saturating_sub(count);
        self.lines.drain(..forgotten);
    }

    #[track_caller]
    pub(super) fn expect(&mut self, expected: &[&str]) {
        assert_eq!(self.lines(), expected);
    }
}

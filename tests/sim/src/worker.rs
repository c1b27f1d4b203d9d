//! A worker as the host's is, without a runtime: does the pipeline's actions, one happening at a time.

mod calls;
mod checks;
mod reading;
pub(crate) mod redriving;
mod together;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use fnctl_core::{
    commit::{Commit, CommitAnswer, Redriven},
    id::{FunctionVersion, LeaseEpoch, Lsn, Ordinal, SlotId, Timestamp, UnitId},
    invariants,
    mapping::{MappingSettings, MaxAttempts, Ordering},
    pipeline::{
        Action, BlockId, Event, Invocation, Payloads, PipelineCanary, PipelineConfig, RecordRef,
        RedriveEnding, ShardPipeline, Started, StopReason, complete,
    },
};

use crate::{
    guest::key_bytes,
    journal::{Journal, Put, output_bindings},
    ledger::falls,
    trace::Trace,
    versions::Versions,
};

/// A read that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    after: Ordinal,
    records_max: u32,
    bytes_max: u64,
}

/// An owner of the unit.
#[derive(Debug)]
pub struct Worker {
    /// What decides.
    pub pipeline: ShardPipeline,
    /// Its epoch.
    pub epoch: LeaseEpoch,
    /// Its unit.
    pub unit: UnitId,
    /// Policy it runs under.
    pub settings: MappingSettings,
    /// Versions that it calls: for all keys, and for those of the canary.
    met: (FunctionVersion, Option<PipelineCanary>),
    /// The most attempts that it or an owner before it ran under.
    attempts_max: MaxAttempts,
    /// Why it stopped.
    pub stopped: Option<StopReason>,
    /// The read asked for.
    pub fetch: Option<Read>,
    /// Reads of parked payload asked for.
    pub rereads: VecDeque<(SlotId, Vec<Ordinal>)>,
    /// Calls under way.
    pub calls: Vec<Invocation>,
    /// Calls that were taken back and may still answer.
    pub ghosts: Vec<Invocation>,
    /// Commits handed to the sequencer.
    pub outbox: VecDeque<Commit>,
    /// Its answers on their way.
    pub answers: VecDeque<(SlotId, u64, CommitAnswer)>,
    /// Accepted, not synced.
    pub unsynced: VecDeque<(Lsn, SlotId, u64)>,
    /// Whether it asked for the node's turn and has not been granted it.
    pub wants_turn: bool,
    /// Whether it was told to be careful.
    pub is_careful: bool,
    /// Calls of one marked record, by slot.
    careful_calls: BTreeMap<SlotId, u32>,
    /// Records that a person gave up.
    pub(crate) given_up: BTreeSet<Ordinal>,
    /// Records that were retried in company when that call failed as a whole.
    apart: BTreeSet<Ordinal>,
    /// Letters that it was given and that have not ended, by ticket.
    pub(crate) redrives: BTreeMap<u64, Redriven>,
    /// How those of them ended that did.
    pub(crate) redriven: Vec<(Redriven, RedriveEnding)>,
    last_ticket: u64,
    /// Commits dropped.
    pub dropped: u64,
    /// Commits sent again.
    pub resent: u64,
    /// While a circuit is open: the latest time that was known when it opened; of the live version, and of the
    /// canary.
    opened_by: [Option<Timestamp>; 2],
    /// What it did while pauses of a circuit that recovers were at their longest.
    long: checks::Long,
    /// Blocks of which only some records were kept.
    pub cut_blocks: u64,
    kept: BTreeMap<SlotId, Commit>,
    blocks: BTreeMap<BlockId, Vec<Ordinal>>,
    /// Bytes of every record that was read.
    record_bytes: u32,
    next_block: BlockId,
    seen_tail: Ordinal,
    /// The latest time it was told.
    latest: Timestamp,
}

struct Shelf<'a> {
    blocks: &'a BTreeMap<BlockId, Vec<Ordinal>>,
    journal: &'a Journal,
}

impl Shelf<'_> {
    /// The block must be held and hold this record there: that is what `ReleaseBlock` promises.
    fn check(&self, record: &RecordRef) {
        let block = self.blocks.get(&record.block);
        let block = block.unwrap_or_else(|| panic!("{record:?} needs a released block"));
        assert_eq!(block[record.index as usize], record.position);
    }

    fn put(&self, position: Ordinal) -> Put {
        self.journal.put_at(position)
    }
}

impl Payloads for Shelf<'_> {
    fn key(&self, record: &RecordRef) -> Bytes {
        self.check(record);
        key_bytes(self.put(record.position).key)
    }
    fn data(&self, record: &RecordRef) -> Bytes {
        self.check(record);
        Bytes::from_static(b"0123456789")
    }
    fn hash_key(&self, record: &RecordRef) -> u128 {
        self.check(record);
        0
    }
    fn sequence_number(&self, record: &RecordRef) -> Arc<str> {
        record.position.to_string().into()
    }
}

impl Worker {
    /// An owner under `epoch`, started from what is published.
    ///
    /// # Panics
    /// If the unit does not exist.
    #[must_use]
    pub fn start(
        journal: &Journal,
        settings: &MappingSettings,
        epoch: LeaseEpoch,
        versions: Versions,
        seed: u64,
    ) -> (Self, Event) {
        let unit = journal.unit();
        let view = journal.published.unit(unit).expect("the unit exists");
        let outputs = output_bindings();
        let met = versions.of_unit(settings, unit, &outputs);
        let config = PipelineConfig {
            canary: met.1.clone(),
            is_canary: false,
            stateless: Vec::new(),
            unit,
            version: met.0,
            settings: settings.clone(),
            outputs,
            seed,
        };
        let started = Event::Started(Started {
            epoch,
            settled: view.settled.clone(),
            attempts: view.marks_at_start(&journal.died_with(unit)),
            totals: view.totals,
            tail: journal.published_tail(),
            windows: view.windows.clone(),
            outages: journal.told_of(unit),
            is_closed: false,
        });
        let worker = Self {
            pipeline: ShardPipeline::new(config),
            epoch,
            unit,
            settings: settings.clone(),
            met,
            attempts_max: settings.max_attempts,
            stopped: None,
            fetch: None,
            opened_by: [None; 2],
            long: checks::Long::default(),
            rereads: VecDeque::new(),
            calls: Vec::new(),
            ghosts: Vec::new(),
            outbox: VecDeque::new(),
            answers: VecDeque::new(),
            unsynced: VecDeque::new(),
            wants_turn: false,
            is_careful: false,
            careful_calls: BTreeMap::new(),
            given_up: BTreeSet::new(),
            apart: BTreeSet::new(),
            redrives: BTreeMap::new(),
            redriven: Vec::new(),
            last_ticket: 0,
            dropped: 0,
            resent: 0,
            cut_blocks: 0,
            kept: BTreeMap::new(),
            blocks: BTreeMap::new(),
            record_bytes: 0,
            next_block: BlockId(1),
            seen_tail: journal.published_tail(),
            latest: Timestamp(0),
        };
        (worker, started)
    }

    /// An owner before it may have allowed more attempts; what was charged then stays.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts_max: MaxAttempts) -> Self {
        self.attempts_max = attempts_max;
        self
    }

    /// Tells the pipeline, does what it says, and asks the invariants.
    ///
    /// # Panics
    /// If an invariant is broken.
    pub fn tell(&mut self, event: Event, now: Timestamp, journal: &Journal, trace: &mut Trace) {
        trace.line(format_args!("{now} e{} <- {event:?}", self.epoch));
        self.latest = self.latest.max(now);
        if let Event::Fetched(fetched) = &event {
            let arrivals = fetched.records.iter().map(|record| record.arrival);
            self.latest = arrivals.fold(self.latest, Timestamp::max);
        }
        let is_start = matches!(event, Event::Started(_));
        self.note_moment(now);
        let mut actions = Vec::new();
        self.pipeline.handle(event, now, &mut actions);
        if is_start {
            self.check_begun(journal);
        }
        for action in actions {
            trace.line(format_args!("{now} e{} -> {action:?}", self.epoch));
            self.act(action, journal);
        }
        for is_canary in [false, true] {
            let is_open = self.is_circuit_open(is_canary);
            let opened_by = &mut self.opened_by[usize::from(is_canary)];
            *opened_by = is_open.then(|| opened_by.unwrap_or(self.latest));
        }
        if let Err(broken) = invariants::pipeline_is_sound(
            &self.pipeline.inspect(),
            &self.pipeline.stats(),
            self.attempts_max,
        ) {
            panic!("{broken}");
        }
        if let Some(deadline) = self.pipeline.deadline() {
            assert!(deadline > now, "a deadline at {deadline} was passed over");
        }
    }

    fn act(&mut self, action: Action, journal: &Journal) {
        assert!(self.stopped.is_none(), "the last action is to stop");
        match action {
            Action::Fetch {
                after,
                records_max,
                bytes_max,
            } => {
                assert!(self.fetch.is_none(), "one read at a time");
                self.fetch = Some(Read {
                    after,
                    records_max,
                    bytes_max,
                });
            }
            Action::Reread { slot, records } => self.rereads.push_back((slot, records)),
            // What others hear of it is drawn.
            Action::Felt { .. } => {}
            Action::AskTurn => self.wants_turn = true,
            Action::EndTurn => self.wants_turn = false,
            Action::Redriven { ticket, ending } => self.redrive_ended(ticket, ending, journal),
            Action::GivenUp { .. } => {}
            Action::Invoke(call) => {
                if self.is_careful && call.redrive.is_none() {
                    self.check_mark(&call, journal);
                }
                self.check_company(&call, journal);
                self.check_version(&call, journal);
                self.note_long(&call);
                let shelf = self.shelf(journal);
                for record in &call.records {
                    shelf.check(record);
                }
                assert!(call.records.is_sorted_by_key(|record| record.position));
                self.check_size(&call);
                self.check_apart(&call);
                if call.redrive.is_none() {
                    for record in &call.records {
                        assert!(!self.is_too_old(shelf.put(record.position)), "{call:?}");
                    }
                }
                self.calls.push(call);
            }
            Action::Interrupt { attempt } => {
                let running = self.calls.iter().position(|call| call.attempt == attempt);
                let call = self.calls.remove(running.expect("the call runs"));
                self.ghosts.push(call);
            }
            Action::Commit(plan) => {
                if self.settings.ordering == Ordering::Shard {
                    let shelf = self.shelf(journal);
                    self.check_order(&plan, |position| {
                        // What a person gave up has no place in the order either.
                        falls(shelf.put(position).nature, &self.settings)
                            || self.given_up.contains(&position)
                    });
                }
                self.check_letters(&plan, journal);
                self.check_told(&plan, journal);
                let shelf = self.shelf(journal);
                let commit = complete(*plan, &output_bindings(), &shelf, |_| 0);
                self.kept.insert(commit.slot, commit.clone());
                self.outbox.push_back(commit);
            }
            Action::Resend {
                slot,
                number,
                totals,
                drops_letters,
            } => {
                let commit = self.kept.get_mut(&slot).expect("a kept commit");
                assert_eq!(commit.number, number);
                commit.totals = totals;
                if drops_letters {
                    commit.dead_letters.clear();
                }
                self.outbox.push_back(commit.clone());
                self.resent += 1;
            }
            Action::DropCommit { slot, number } => {
                let commit = self.kept.remove(&slot).expect("a kept commit");
                assert_eq!(commit.number, number);
                self.dropped += 1;
            }
            Action::KeepOnly { block, records } => {
                self.cut_blocks += 1;
                // What is let go stands for nothing any more: naming it fails.
                let held = self.blocks.get_mut(&block).expect("it is held");
                for (index, position) in (0..).zip(held) {
                    if !records.contains(&index) {
                        *position = Ordinal(0);
                    }
                }
            }
            Action::ReleaseBlock(id) => {
                assert!(self.blocks.remove(&id).is_some(), "{id:?} is held");
            }
            Action::Stop(reason) => self.stopped = Some(reason),
        }
    }

    fn shelf<'a>(&'a self, journal: &'a Journal) -> Shelf<'a> {
        Shelf {
            blocks: &self.blocks,
            journal,
        }
    }

    /// Whether there is news of the tail.
    #[must_use]
    pub fn has_tail_news(&self, journal: &Journal) -> bool {
        journal.published_tail() > self.seen_tail
    }

    /// News of the tail.
    pub fn tail_news(&mut self, journal: &Journal) -> Event {
        self.seen_tail = journal.published_tail();
        Event::TailAdvanced {
            tail: self.seen_tail,
        }
    }
}

/// How many functions a record has come through: something that the ledger can know too.
#[must_use]
pub fn hops_of(position: Ordinal) -> u8 {
    u8::try_from(position.0 % 4).expect("small")
}

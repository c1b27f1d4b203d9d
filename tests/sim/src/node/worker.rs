//! A worker as the host's is, without a runtime, over the production store: reads its blocks, makes
//! scripted calls and hands its commits in.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use fnctl_core::{
    commit::{Commit, CommitAnswer},
    committer::{Committer, Stopped, Ticket},
    id::{FunctionVersion, LeaseEpoch, Ordinal, SlotId, Timestamp, UnitId},
    invariants, limits,
    mapping::{MappingSettings, MaxAttempts, OutputBinding},
    pipeline::{
        Action, BlockId, BlockMeta, Event, Fetched, Invocation, PipelineConfig, RecordRef,
        Relocated, ShardPipeline, Started, StopReason, complete,
    },
    record::RecordBlock,
    settled::SettledRanges,
    source::describe,
    window::{GroupWindow, WindowChange},
};
use fnctl_store::{CommitTicket, ReadError, Store};
use tokio::sync::watch;

use super::{facts::Facts, hash_key, shelf::Shelf, windows};
use crate::{
    guest::{Nature, Seen},
    trace::Trace,
};

/// A read that was asked for.
#[derive(Clone, Copy, Debug)]
struct Read {
    after: Ordinal,
    records_max: u32,
    bytes_max: u64,
}

/// A call under way, with what the function was given.
pub(super) struct Call {
    pub(super) invocation: Invocation,
    pub(super) seen: Vec<Seen>,
}

/// A commit on its way.
struct Flight {
    slot: SlotId,
    number: u64,
    settles: SettledRanges,
    is_accepted: bool,
    window: Option<WindowChange>,
    ticket: CommitTicket,
}

/// What reading came to.
pub(super) enum ReadOutcome {
    /// Tell the pipeline.
    Event(Event),
    /// The unit must end: trimmed or gone.
    End,
    /// The store names damage.
    Damaged(String),
}

/// What a commit on its way came to.
pub(super) enum Progress {
    Answered(Event, CommitAnswer),
    Durable(Event, SettledRanges),
    Stopped,
}

/// How a worker's commits are tampered with, to see the oracle notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CommitHabits {
    pub(super) drops_effects: bool,
}

/// An owner of a unit.
pub(super) struct Worker {
    pub(super) pipeline: ShardPipeline,
    pub(super) epoch: LeaseEpoch,
    pub(super) unit: UnitId,
    pub(super) stopped: Option<StopReason>,
    pub(super) calls: Vec<Call>,
    /// Calls that were taken back and may still answer.
    pub(super) ghosts: Vec<Call>,
    pub(super) resent: u64,
    /// Windows of groups, as accepted.
    windows: BTreeMap<u32, Arc<GroupWindow>>,
    attempts_max: MaxAttempts,
    outputs: Arc<[OutputBinding]>,
    fetch: Option<Read>,
    rereads: VecDeque<(SlotId, Vec<Ordinal>)>,
    flights: VecDeque<Flight>,
    kept: BTreeMap<SlotId, Commit>,
    blocks: BTreeMap<BlockId, Arc<RecordBlock>>,
    next_block: BlockId,
    tail: watch::Receiver<Ordinal>,
    /// Whether the records are ours, with facts.
    is_first: bool,
    habits: CommitHabits,
}

/// What an owner starts from.
pub(super) struct Start<'a> {
    pub(super) unit: UnitId,
    pub(super) epoch: LeaseEpoch,
    pub(super) settings: &'a MappingSettings,
    pub(super) attempts_max: MaxAttempts,
    pub(super) outputs: Arc<[OutputBinding]>,
    pub(super) version: u64,
    pub(super) seed: u64,
    pub(super) is_first: bool,
    pub(super) habits: CommitHabits,
}

fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl Worker {
    /// An owner started from what is published; `None` when its unit is gone or has another one.
    pub(super) fn start(store: &Store, start: Start<'_>) -> Option<(Self, Event)> {
        let unit = start.unit;
        let (state, tail, is_closed) = store.view(|view| {
            let state = view.unit(unit)?;
            let tail = view.tail(unit.stream, unit.shard)?.last();
            let stream = view.registry().stream(unit.stream)?;
            let is_closed = stream.shard(unit.shard)?.is_closed;
            (state.epoch == start.epoch).then(|| (state.clone(), tail, is_closed))
        })?;
        let watch = store.watch(unit.stream, unit.shard).ok()?;
        let config = PipelineConfig {
            canary: None,
            is_canary: false,
            stateless: Vec::new(),
            unit,
            version: FunctionVersion(start.version),
            settings: start.settings.clone(),
            outputs: Arc::clone(&start.outputs),
            seed: start.seed,
        };
        let event = Event::Started(Started {
            epoch: start.epoch,
            settled: state.settled.clone(),
            attempts: state.marks_at_start(&store.died_with(unit)),
            totals: state.totals,
            tail,
            windows: state.windows.clone(),
            is_closed,
        });
        let worker = Self {
            pipeline: ShardPipeline::new(config),
            epoch: start.epoch,
            unit,
            stopped: None,
            calls: Vec::new(),
            ghosts: Vec::new(),
            resent: 0,
            windows: state.windows.clone(),
            attempts_max: start.attempts_max,
            outputs: start.outputs,
            fetch: None,
            rereads: VecDeque::new(),
            flights: VecDeque::new(),
            kept: BTreeMap::new(),
            blocks: BTreeMap::new(),
            next_block: BlockId(1),
            tail: watch,
            is_first: start.is_first,
            habits: start.habits,
        };
        Some((worker, event))
    }

    /// Tells the pipeline, does what it says, and asks the invariants.
    pub(super) fn tell(
        &mut self,
        event: Event,
        now: Timestamp,
        store: &Store,
        facts: &Facts,
        trace: &mut Trace,
    ) {
        let (mapping, shard) = (self.unit.mapping, self.unit.shard);
        trace.line(format_args!(
            "{now} {mapping}/{shard} e{} <- {event:?}",
            self.epoch
        ));
        let mut actions = Vec::new();
        self.pipeline.handle(event, now, &mut actions);
        for action in actions {
            trace.line(format_args!(
                "{now} {mapping}/{shard} e{} -> {action:?}",
                self.epoch
            ));
            self.act(action, store, facts);
        }
        let sound = invariants::pipeline_is_sound(
            &self.pipeline.inspect(),
            &self.pipeline.stats(),
            self.attempts_max,
        );
        if let Err(broken) = sound {
            panic!("{broken}");
        }
    }

    fn act(&mut self, action: Action, store: &Store, facts: &Facts) {
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
            Action::Invoke(invocation) => {
                let seen = self.seen(&invocation, facts);
                self.calls.push(Call { invocation, seen });
            }
            Action::Interrupt { attempt } => {
                let running = self
                    .calls
                    .iter()
                    .position(|call| call.invocation.attempt == attempt);
                let call = self.calls.remove(running.expect("the call runs"));
                self.ghosts.push(call);
            }
            Action::Commit(plan) => {
                let outputs = Arc::clone(&self.outputs);
                let commit = complete(*plan, &outputs, &Shelf(&self.blocks), hash_key);
                self.kept.insert(commit.slot, commit.clone());
                self.hand_in(commit, store);
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
                let commit = commit.clone();
                self.hand_in(commit, store);
                self.resent += 1;
            }
            Action::DropCommit { slot, number } => {
                let commit = self.kept.remove(&slot).expect("a kept commit");
                assert_eq!(commit.number, number);
            }
            Action::ReleaseBlock(id) => {
                assert!(self.blocks.remove(&id).is_some(), "{id:?} is held");
            }
            Action::AskTurn | Action::EndTurn => panic!("nobody was told to be careful"),
            Action::Redriven { .. } => panic!("no letter was redriven"),
            Action::KeepOnly { .. } | Action::GivenUp { .. } => {}
            Action::Stop(reason) => self.stopped = Some(reason),
        }
    }

    fn hand_in(&mut self, mut commit: Commit, store: &Store) {
        let (slot, number, settles) = (commit.slot, commit.number, commit.settles.clone());
        if self.habits.drops_effects && number.is_multiple_of(7) {
            commit.outputs.clear();
        }
        let window = commit.window.clone();
        windows::check(&self.windows, window.as_ref());
        let ticket = store.commit(commit);
        self.flights.push_back(Flight {
            slot,
            number,
            settles,
            is_accepted: false,
            window,
            ticket,
        });
    }

    /// Whether its records are put from outside.
    pub(super) const fn is_first(&self) -> bool {
        self.is_first
    }

    /// Whether the sequencer may have said something.
    pub(super) fn has_flights(&self) -> bool {
        !self.flights.is_empty()
    }

    /// What the store says of the commits on their way: an answer before a durability, in the order
    /// handed in.
    pub(super) fn progress(&mut self) -> Option<Progress> {
        for at in 0..self.flights.len() {
            let flight = &mut self.flights[at];
            let (slot, number) = (flight.slot, flight.number);
            if flight.is_accepted {
                continue;
            }
            match poll(flight.ticket.answer()) {
                Poll::Pending => continue,
                Poll::Ready(Err(Stopped(_))) => return Some(Progress::Stopped),
                Poll::Ready(Ok(answer)) => {
                    let event = Event::CommitAnswered {
                        slot,
                        number,
                        answer: answer.clone(),
                    };
                    if matches!(answer, CommitAnswer::Accepted(_)) {
                        flight.is_accepted = true;
                        if let Some(change) = flight.window.take() {
                            self.windows.insert(change.group, Arc::new(change.becomes));
                        }
                    } else {
                        self.flights.remove(at);
                    }
                    return Some(Progress::Answered(event, answer));
                }
            }
        }
        let at = self.flights.iter().position(|flight| flight.is_accepted)?;
        let flight = &mut self.flights[at];
        match poll(flight.ticket.durable()) {
            Poll::Pending => None,
            Poll::Ready(Err(Stopped(_))) => Some(Progress::Stopped),
            Poll::Ready(Ok(())) => {
                let flight = self.flights.remove(at).expect("it was just found");
                let event = Event::CommitDurable {
                    slot: flight.slot,
                    number: flight.number,
                };
                Some(Progress::Durable(event, flight.settles))
            }
        }
    }

    /// Whether there is news of the tail.
    pub(super) fn has_tail_news(&self) -> bool {
        self.tail.has_changed().unwrap_or(true)
    }

    /// News of the tail; `None` when the shard is gone.
    pub(super) fn tail_news(&mut self) -> Option<Event> {
        self.tail.has_changed().ok()?;
        let tail = *self.tail.borrow_and_update();
        Some(Event::TailAdvanced { tail })
    }

    pub(super) const fn wants_fetch(&self) -> bool {
        self.fetch.is_some()
    }

    pub(super) fn wants_reread(&self) -> bool {
        !self.rereads.is_empty()
    }

    /// Makes the read asked for.
    pub(super) fn fetch(
        &mut self,
        store: &Store,
        facts: &Facts,
        saw: impl FnMut(&RecordBlock),
    ) -> ReadOutcome {
        let read = self.fetch.take().expect("a read");
        let bytes = usize::try_from(read.bytes_max).unwrap_or(usize::MAX);
        let found = store.read(
            self.unit.stream,
            self.unit.shard,
            read.after,
            read.records_max as usize,
            bytes,
        );
        let blocks = match taken(found, || Event::FetchFailed) {
            Ok(blocks) => blocks,
            Err(outcome) => return outcome,
        };
        blocks.iter().map(|block| &**block).for_each(saw);
        let mut fetched = Fetched::default();
        for block in blocks {
            let count = u32::try_from(fetched.records.len()).expect("few");
            let left = read.records_max.saturating_sub(count);
            if left == 0 || block.last() <= read.after {
                continue;
            }
            let id = self.hold(&block);
            let first = fetched.records.len();
            let meta = describe(&block, id, read.after, left, &mut fetched.records);
            fetched.blocks.push(meta);
            if self.is_first {
                for record in &mut fetched.records[first..] {
                    match facts.nature(&block, record.index as usize) {
                        Nature::Huge => {
                            record.bytes =
                                u32::try_from(limits::RECORD_BYTES_MAX + 1).expect("it fits");
                        }
                        Nature::Loop => record.hops = limits::HOPS_MAX + 1,
                        _ => {}
                    }
                }
            }
        }
        ReadOutcome::Event(Event::Fetched(fetched))
    }

    /// Reads parked payload again.
    pub(super) fn reread(
        &mut self,
        store: &Store,
        mut saw: impl FnMut(&RecordBlock),
    ) -> ReadOutcome {
        let (slot, positions) = self.rereads.pop_front().expect("a read");
        let (mut blocks, mut records): (Vec<BlockMeta>, Vec<Relocated>) = Default::default();
        let mut last: Option<(BlockId, Arc<RecordBlock>)> = None;
        for position in positions {
            if last
                .as_ref()
                .is_none_or(|(_, block)| position > block.last())
            {
                let before = Ordinal(position.0 - 1);
                let found = store.read(self.unit.stream, self.unit.shard, before, 3, 4_000);
                let found = match taken(found, || Event::RereadFailed { slot }) {
                    Ok(found) => found,
                    Err(outcome) => return outcome,
                };
                let block = Arc::clone(found.first().expect("it is below the tail"));
                saw(&block);
                let id = self.hold(&block);
                let bytes = block.records.byte_len() as u64;
                blocks.push(BlockMeta { id, bytes });
                last = Some((id, block));
            }
            let (id, block) = last.as_ref().expect("it was just read");
            records.push(Relocated {
                position,
                block: *id,
                index: u32::try_from(position.0 - block.first.0).expect("few"),
            });
        }
        ReadOutcome::Event(Event::Reread {
            slot,
            blocks,
            records,
        })
    }

    fn hold(&mut self, block: &Arc<RecordBlock>) -> BlockId {
        let id = self.next_block;
        self.next_block.0 += 1;
        self.blocks.insert(id, Arc::clone(block));
        id
    }

    /// The records of a call, as the function sees them.
    fn seen(&self, call: &Invocation, facts: &Facts) -> Vec<Seen> {
        let of = |record: &RecordRef, attempts: u32| {
            let shelf = Shelf(&self.blocks);
            let (block, index) = shelf.find(record);
            Seen {
                position: record.position.0,
                key: super::key_number(block.records.keys.get(index)),
                nature: if self.is_first {
                    facts.nature(block, index)
                } else {
                    Nature::Good
                },
                attempt: attempts + 1,
            }
        };
        let records = call.records.iter();
        records.map(|record| of(record, record.attempts)).collect()
    }
}

/// What a read found, or what the worker makes of its failure.
#[expect(
    clippy::result_large_err,
    reason = "an event is told at once, never kept"
)]
fn taken(
    found: Result<Vec<Arc<RecordBlock>>, ReadError>,
    failed: impl FnOnce() -> Event,
) -> Result<Vec<Arc<RecordBlock>>, ReadOutcome> {
    found.map_err(|error| match error {
        ReadError::Io { .. } => ReadOutcome::Event(failed()),
        ReadError::Trimmed { .. } | ReadError::NoSuchShard => ReadOutcome::End,
        ReadError::Damaged { .. } => ReadOutcome::Damaged(error.to_string()),
    })
}

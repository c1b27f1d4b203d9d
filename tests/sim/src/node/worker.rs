//! A worker as the host's is, without a runtime, over the production store: reads its blocks, makes
//! scripted calls and hands its commits in.

mod flights;
mod reading;
mod redriving;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use fnctl_core::{
    breaker::Sign,
    commit::{Commit, Redriven},
    id::{FunctionVersion, LeaseEpoch, Ordinal, ShardNumber, SlotId, Timestamp, UnitId},
    invariants,
    mapping::{MappingSettings, MaxAttempts, OutputBinding},
    pipeline::{
        Action, BlockId, Event, Invocation, PipelineCanary, PipelineConfig, RecordRef,
        RedriveEnding, ShardPipeline, Started, StopReason, complete,
    },
    record::RecordBlock,
    window::GroupWindow,
};
use fnctl_store::Store;
use tokio::sync::watch;

pub(super) use self::flights::{Flight, Progress};
use super::{facts::Facts, hash_key, shelf::Shelf};
use crate::{
    guest::{Nature, Seen},
    trace::Trace,
    versions::Versions,
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
    /// The shard of its records.
    pub(super) shard: ShardNumber,
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

/// How a worker's commits are tampered with, to see the oracle notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CommitHabits {
    pub(super) drops_effects: bool,
    /// Of a letter that was redriven it says nothing.
    pub(super) forgets_letters: bool,
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
    /// What its calls said of what the function needs, for the other owners of the mapping.
    pub(super) felt: Vec<(FunctionVersion, Sign)>,
    /// Letters that it was given and that have not ended, by ticket.
    pub(super) redrives: BTreeMap<u64, Redriven>,
    /// How those of them ended that did.
    pub(super) redriven: Vec<RedriveEnding>,
    last_ticket: u64,
    settings: MappingSettings,
    /// Versions that it calls: for all keys, and for those of the canary.
    met: (FunctionVersion, Option<PipelineCanary>),
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
    pub(super) versions: Versions,
    pub(super) seed: u64,
    pub(super) is_first: bool,
    pub(super) habits: CommitHabits,
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
        let met = start.versions.of_unit(start.settings, unit, &start.outputs);
        let config = PipelineConfig {
            canary: met.1.clone(),
            is_canary: false,
            stateless: Vec::new(),
            unit,
            version: met.0,
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
            outages: state.outages.clone(),
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
            felt: Vec::new(),
            redrives: BTreeMap::new(),
            redriven: Vec::new(),
            last_ticket: 0,
            settings: start.settings.clone(),
            met,
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

    /// The version that most keys meet, and the canary.
    pub(super) fn versions(&self) -> (FunctionVersion, Option<FunctionVersion>) {
        let canary = self.met.1.as_ref();
        (self.met.0, canary.map(|canary| canary.version.version))
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
                let call = self.called(invocation, facts);
                self.check_call(&call);
                self.calls.push(call);
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
            Action::Felt { version, sign } => self.felt.push((version, sign)),
            Action::AskTurn | Action::EndTurn => panic!("nobody was told to be careful"),
            Action::Redriven { ticket, ending } => self.redrive_ended(ticket, ending, store),
            Action::KeepOnly { .. } | Action::GivenUp { .. } => {}
            Action::Stop(reason) => self.stopped = Some(reason),
        }
    }

    /// Whether its records are put from outside.
    pub(super) const fn is_first(&self) -> bool {
        self.is_first
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

    fn hold(&mut self, block: &Arc<RecordBlock>) -> BlockId {
        let id = self.next_block;
        self.next_block.0 += 1;
        self.blocks.insert(id, Arc::clone(block));
        id
    }

    /// A call, as the function sees it.
    fn called(&self, invocation: Invocation, facts: &Facts) -> Call {
        let mut shard = self.unit.shard;
        let mut of = |record: &RecordRef| {
            let shelf = Shelf(&self.blocks);
            let (block, index) = shelf.find(record);
            shard = block.shard;
            let nature = match self.is_first {
                true => facts.nature(block, index),
                false => Nature::Good,
            };
            Seen {
                position: record.position.0,
                key: super::key_number(block.records.keys.get(index)),
                nature: match facts.has_versions {
                    true => nature.under(invocation.version, record.position.0),
                    false => nature,
                },
                attempt: record.attempts + 1,
            }
        };
        let seen = invocation.records.iter().map(&mut of).collect();
        Call {
            invocation,
            seen,
            shard,
        }
    }
}

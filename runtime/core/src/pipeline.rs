//! Decides what happens to the records of one shard of one mapping: an event in, actions out.
//!
//! The value knows no clock, no random source, no runtime and no payload. It is driven by the worker,
//! by property tests, by the simulator and by a recorded log of events alike.

mod action;
mod age;
mod answer;
mod aside;
mod backlog;
mod bisect;
mod blocks;
mod by_hand;
mod caution;
mod circuit;
mod clock_back;
mod conclude;
mod event;
mod feed;
mod filtered;
mod flow;
mod give_up;
mod in_order;
mod inspect;
mod judge;
mod listing;
mod plan;
mod quiet;
mod read;
mod redrive;
mod slot;
mod start;
mod together;
mod versions;
mod windows;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

pub use action::{Action, Invocation, RecordRef, StopReason};
pub use caution::PROCESS_DIED;
pub use event::{BlockId, BlockMeta, Event, Fetched, RecordMeta, Relocated, Started};
pub use flow::Flow;
pub use inspect::{Inspection, PipelineStats};
pub use listing::{WaitingKey, WaitingKeys, WaitingRecord, WaitingWindow, WaitsFor};
pub use plan::{
    CommitPlan, LostWindow, Payloads, PlannedLetter, PlannedRetry, PlannedRows, PlannedWindow,
    RowSource, complete,
};
pub use redrive::{OtherVersion, Redrive, RedriveEnding};
pub use versions::PipelineCanary;

use self::{
    age::Age,
    backlog::{Backlog, Serial},
    bisect::Suspects,
    by_hand::Failures,
    caution::Caution,
    circuit::Circuit,
    feed::Feed,
    filtered::Filtered,
    give_up::GivenUp,
    read::{Reading, Waiting},
    redrive::Redrives,
    slot::{Phase, Purpose, Slot},
    windows::Windows,
};
use crate::{
    batch::{BatchLimits, Batcher},
    commit::{AttemptMark, UnitTotals},
    id::{AttemptId, FunctionVersion, LeaseEpoch, Ordinal, SlotId, Timestamp, UnitId},
    limits,
    mapping::{MappingSettings, Ordering, OutputBinding},
    outcome::Outcome,
    park::Park,
    retry::RetryPolicy,
    settled::Settled,
};

/// What a pipeline is built from. Any change of it is a new pipeline under a new epoch
/// (commit and storage rules §2).
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The unit.
    pub unit: UnitId,
    /// The version that is called.
    pub version: FunctionVersion,
    /// Another one, for some of the keys; never with order within the shard, which is called by one.
    pub canary: Option<PipelineCanary>,
    /// `version` is the function's canary: it is called for the whole shard.
    pub is_canary: bool,
    /// Which of the versions that are called ask for no window's state.
    pub stateless: Vec<FunctionVersion>,
    /// Batching and failure policy.
    pub settings: MappingSettings,
    /// Bindings by output number: what is not bound to a stream is not counted as emitted.
    pub outputs: Arc<[OutputBinding]>,
    /// Seed of the backoff's jitter: the pipeline itself draws no random number.
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Not started.
    New,
    Running,
    /// No call starts; running ones may commit for a moment.
    Quiet {
        until: Timestamp,
        moment_ms: u64,
        is_drain: bool,
    },
    Stopped,
}

/// A lane's waiting records. Its calls are in the slot of the same index.
#[derive(Clone, Debug)]
struct Lane {
    batcher: Batcher<Serial>,
    /// Waiting records that an earlier owner had charged.
    marked: u32,
    /// Of its waiting records so many are set aside: they count as parked.
    aside: usize,
    /// Whether records may not be in shard order.
    is_unsorted: bool,
    feed: Feed,
}

/// The decisions about one unit under one lease epoch.
///
/// [`Self::handle`] is told what happened and says what to do; between two events nothing happens but
/// time, and [`Self::deadline`] says when that matters. The worker does every action in the order
/// given and reports its end as an event.
#[derive(Clone, Debug)]
pub struct ShardPipeline {
    config: PipelineConfig,
    factor: u16,
    read_ahead_records: u64,
    read_ahead_bytes: u64,
    policy: RetryPolicy,
    age: Age,
    mode: Mode,
    last_now: Timestamp,
    epoch: LeaseEpoch,
    /// Of accepted commits.
    totals: UnitTotals,
    /// What was done when this owner started, up to `done_through`; records above are all new to it.
    done: Settled,
    done_through: Ordinal,
    /// Charges of earlier owners on records that are not parked yet.
    marks: BTreeMap<Ordinal, AttemptMark>,
    backlog: Backlog,
    waiting: Waiting,
    reading: Reading,
    /// `factor` of them, and as many behind them for a canary.
    lanes: Vec<Lane>,
    /// One a lane, then the retry slot.
    slots: Vec<Slot>,
    park: Park<Serial>,
    /// Batches that failed as a whole and wait for the retry slot.
    suspects: Suspects,
    failures: Failures,
    /// Slots with a commit to send.
    send_queue: VecDeque<usize>,
    /// The slot whose commit is with the sequencer.
    unanswered: Option<usize>,
    next_attempt: AttemptId,
    caution: Caution,
    circuit: Circuit,
    redrives: Redrives,
    filtered: Filtered,
    /// Of a unit with windows, or with open ones from when it had some.
    windows: Option<Box<Windows>>,
    given_up: GivenUp,
    flow: Flow,
}

impl ShardPipeline {
    /// The settings of its mapping.
    #[must_use]
    pub const fn settings(&self) -> &MappingSettings {
        &self.config.settings
    }

    /// A pipeline that waits for `Event::Started`.
    #[must_use]
    pub fn new(config: PipelineConfig) -> Self {
        let limits = BatchLimits::of(&config.settings);
        let factor = match config.settings.ordering {
            Ordering::Key => config.settings.parallelization_factor,
            Ordering::Shard => 1,
        };
        let factor = factor.clamp(1, limits::PARALLELIZATION_FACTOR_MAX);
        let lane = Lane {
            batcher: Batcher::new(limits),
            marked: 0,
            aside: 0,
            is_unsorted: false,
            feed: Feed::default(),
        };
        let per_cut = u64::from(limits.records_max) * u64::from(factor);
        let lanes = factor * if config.canary.is_some() { 2 } else { 1 };
        let slots = (0..lanes).map(SlotId::Lane).chain([SlotId::Retry]);
        Self {
            factor,
            read_ahead_records: (per_cut * limits::READ_AHEAD_BATCHES).clamp(
                limits::READ_AHEAD_RECORDS_MIN,
                limits::UNSETTLED_RECORDS_MAX,
            ),
            read_ahead_bytes: limits.bytes_max * limits::READ_AHEAD_BYTE_BATCHES,
            policy: RetryPolicy::new(&config.settings, config.seed),
            age: Age::new(&config.settings),
            mode: Mode::New,
            last_now: Timestamp(0),
            epoch: LeaseEpoch(0),
            totals: UnitTotals::default(),
            done: Settled::default(),
            done_through: Ordinal(0),
            marks: BTreeMap::new(),
            backlog: Backlog::starting_after(Ordinal(0)),
            waiting: Waiting::default(),
            reading: Reading::default(),
            lanes: vec![lane; usize::from(lanes)],
            slots: slots.map(Slot::new).collect(),
            park: Park::new(limits),
            suspects: Suspects::default(),
            failures: Failures::default(),
            send_queue: VecDeque::new(),
            unanswered: None,
            next_attempt: AttemptId(1),
            caution: Caution::default(),
            circuit: Circuit::new(&config.settings),
            redrives: Redrives::default(),
            filtered: Filtered::default(),
            windows: None,
            given_up: GivenUp::default(),
            flow: Flow::default(),
            config,
        }
    }

    /// Takes an event and appends what is to be done to `actions`. `now` is the wall clock; when it
    /// goes back, no wait grows by that.
    ///
    /// # Panics
    /// If an event contradicts the actions it answers: records read out of order, a second start.
    pub fn handle(&mut self, event: Event, now: Timestamp, actions: &mut Vec<Action>) {
        if self.mode == Mode::Stopped {
            return;
        }
        if now < self.last_now {
            self.clock_went_back(now);
        }
        self.last_now = now;
        self.age.passes(now);
        match event {
            Event::Started(started) => self.started(started, now),
            Event::Fetched(fetched) => self.fetched(&fetched, now, actions),
            Event::Reread {
                slot,
                blocks,
                records,
            } => self.reread(slot, &blocks, &records, now, actions),
            Event::FetchFailed => self.fetch_failed(now),
            Event::RereadFailed { slot } => self.reread_failed(slot, now),
            Event::TailAdvanced { tail } => self.reading.tail = self.reading.tail.max(tail),
            Event::Invoked {
                attempt,
                outcome,
                state,
                cost,
            } => self.invoked(attempt, outcome, (state, cost), now, actions),
            Event::MappingSick { live, canary } => self.circuit.mapping_is_sick(live, canary),
            Event::HostFault { attempt } => {
                if let Some((slot, records)) = self.end_call(attempt) {
                    self.circuit.feels_nothing();
                    self.conclude(slot, records, Outcome::Interrupted, now, actions);
                }
            }
            Event::CommitAnswered {
                slot,
                number,
                answer,
            } => self.answered(slot, number, answer, now, actions),
            Event::CommitDurable { slot, number } => {
                let index = self.slot_index(slot);
                let slot = &mut self.slots[index];
                debug_assert!(number <= slot.accepted, "synced before it was accepted");
                slot.durable = slot.durable.max(number);
                self.given_up_durable(index, number, actions);
                if index == self.lanes.len() {
                    self.redrives_durable(number, actions);
                }
            }
            Event::DropRefused { slot } => self.drop_commit(self.slot_index(slot), false, actions),
            Event::Caution { is_on } => self.be_cautious(is_on, actions),
            Event::Redrive(redrive) => self.redrive(*redrive),
            Event::RedriveWithdrawn { ticket } => self.withdraw_redrive(ticket, actions),
            Event::TurnGranted => self.turn_granted(actions),
            Event::Release { positions } => self.release_by_hand(&positions, now),
            Event::ReleaseAll => self.release_all(now),
            Event::GiveUp { positions, by } => {
                self.wish_given_up(&positions, &by);
            }
            Event::Tick => {}
            Event::Pause { until } => self.quiet(until, false, now),
            Event::Resume => self.resume(),
            Event::Drain { until } => self.quiet(until, true, now),
        }
        self.proceed(now, actions);
    }

    /// When the pipeline wants `Event::Tick` at the latest, if nothing else happens; `None`: only an
    /// event can move it. May lie in the past.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.mode {
            Mode::New | Mode::Stopped => None,
            Mode::Quiet {
                until, is_drain, ..
            } => {
                let waits_for_it = self.slots.iter().any(|slot| {
                    let is_queued = slot.unaccepted.as_ref().is_some_and(|commit| {
                        let is_kept = commit.purpose == Purpose::Unmark;
                        matches!(commit.phase, Phase::Queued(_)) && !is_kept
                    });
                    slot.call.is_some() || is_drain && is_queued
                });
                waits_for_it.then_some(until)
            }
            Mode::Running => {
                let reading = self.wants_read().then_some(self.reading.not_before);
                let slots = (0..self.slots.len()).filter_map(|at| self.slot_deadline(at));
                let filtered = self.filtered_deadline();
                slots.chain(reading).chain(filtered).min()
            }
        }
    }

    fn slot_deadline(&self, index: usize) -> Option<Timestamp> {
        let slot = &self.slots[index];
        if let Some(commit) = &slot.unaccepted {
            return match commit.phase {
                Phase::Refused { resend_at } => Some(resend_at),
                Phase::Queued(_) | Phase::Requeued | Phase::Sent => None,
            };
        }
        if !slot.is_free() || self.caution.waits_for_turn(index) {
            return None;
        }
        let due = if !slot.pieces.is_empty() {
            Some(slot.not_before)
        } else if self.windows.is_some() && index < self.lanes.len() {
            match self.waits_for_redrive() {
                true => None,
                false => self.window_deadline(index),
            }
        } else if let Some(lane) = self.lanes.get(index) {
            let may_start = !self.has_too_many_suspects(index) && !self.waits_for_redrive();
            lane.batcher.deadline().filter(|_| may_start)
        } else {
            let redrive = (self.redrives.is_wanted() && slot.not_before > self.last_now)
                .then_some(slot.not_before);
            let due = self.retry_deadline().into_iter().chain(redrive).min();
            return due.map(|due| due.max(slot.not_before));
        }?;
        Some(due.max(self.calls_from(index)?).max(slot.not_before))
    }

    /// Does whatever has become possible.
    fn proceed(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.close_recovered();
        match self.mode {
            Mode::New | Mode::Stopped => return,
            Mode::Running => {
                self.requeue_refused(now);
                self.take_given_up(now, actions);
                self.start_calls(now, actions);
                self.set_held_lanes_aside(actions);
                self.settle_filtered(now);
            }
            Mode::Quiet {
                until, is_drain, ..
            } => {
                let is_over = until <= now;
                if is_over {
                    self.interrupt_calls(actions);
                }
                for index in 0..self.slots.len() {
                    self.drop_commit(index, is_over && is_drain, actions);
                }
                self.retract_marks(now, actions);
                if !is_drain {
                    self.take_given_up(now, actions);
                }
            }
        }
        self.send_next(actions);
        match self.mode {
            Mode::Running => self.read_on(now, actions),
            Mode::Quiet { is_drain: true, .. } if !self.is_under_way() => {
                self.stop(StopReason::Drained, actions);
            }
            _ => {}
        }
        debug_assert!(self.waiting.records <= self.backlog.len());
    }

    fn started(&mut self, started: Started, now: Timestamp) {
        assert!(self.mode == Mode::New, "a pipeline starts once");
        let Started {
            epoch,
            settled,
            attempts,
            totals,
            tail,
            windows,
            outages,
            is_closed,
        } = started;
        let end = is_closed.then_some(tail);
        let share = self.config.canary.as_ref().map(|canary| canary.share);
        let lanes = (self.factor, share);
        self.windows = Windows::new(&self.config.settings, lanes, windows, end, now);
        self.mode = Mode::Running;
        self.epoch = epoch;
        self.totals = totals;
        self.reading.tail = tail;
        self.backlog = Backlog::starting_after(settled.low_watermark());
        self.done_through = settled.last();
        let latest = now.plus_ms(self.policy.max_ms());
        let of_this_version = attempts
            .into_iter()
            .filter(|mark| self.calls(mark.version) && !settled.contains(mark.position))
            .map(|mark| AttemptMark {
                // The clock that wrote it may have been ahead.
                next_retry: mark.next_retry.min(latest),
                ..mark
            });
        self.marks = of_this_version.map(|mark| (mark.position, mark)).collect();
        self.failures = Failures::of(self.marks.values());
        self.begin_circuits(outages, now);
        self.done = settled;
    }

    fn end_call(&mut self, attempt: AttemptId) -> Option<(usize, Vec<Serial>)> {
        self.slots
            .iter_mut()
            .enumerate()
            .find_map(|(index, slot)| Some((index, slot.end_call(attempt)?)))
    }

    /// # Panics
    /// If there is no such slot.
    fn slot_index(&self, slot: SlotId) -> usize {
        match slot {
            SlotId::Lane(lane) if usize::from(lane) < self.lanes.len() => lane.into(),
            SlotId::Lane(lane) => panic!("lane {lane} of {}", self.lanes.len()),
            SlotId::Retry => self.lanes.len(),
        }
    }
}

#[cfg(test)]
mod tests;

//! Puts everything in one order: judges, takes over, gathers into a frame, writes, syncs, publishes.
//!
//! Judging and taking over happen on the caller's thread, under one lock, so that a commit is answered
//! at once; [`SequencerLoop`] writes what has gathered, one frame and one sync at a time, while the next
//! frame gathers (commit and storage rules §3 and §5). Nothing is visible or acknowledged before the
//! sync that covers it has returned.

mod gather;
mod publish;

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, MutexGuard, atomic::Ordering},
    time::Instant,
};

use fnctl_core::{
    commit::{Commit, CommitAnswer, Unavailable},
    committer::Stopped,
    entry::Entry,
    id::{Lsn, StreamId, StreamName, Timestamp},
    record::NewRecords,
    shard::Ack,
    view::{NodeView, ProducerSequence, StreamRef},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

pub(crate) use self::gather::Gathering;
pub(crate) use self::publish::{Published, PublishedFrame};
use crate::{
    codec,
    journal::writer::JournalWriter,
    limits::FRAME_GATHER_BYTES,
    shared::Shared,
    space::Room,
    store::{AppendError, Appended},
};

/// Which stream an append is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendTarget {
    /// This one, and no later one of its name.
    Id(StreamId),
    /// Whichever has the name when the append is taken.
    Name(StreamName),
}

impl AppendTarget {
    fn by_ref(&self) -> StreamRef<'_> {
        match self {
            Self::Id(id) => StreamRef::Id(*id),
            Self::Name(name) => StreamRef::Name(name),
        }
    }
}

impl From<StreamId> for AppendTarget {
    fn from(id: StreamId) -> Self {
        Self::Id(id)
    }
}

impl From<StreamName> for AppendTarget {
    fn from(name: StreamName) -> Self {
        Self::Name(name)
    }
}

/// Says an answer once everything taken before it is visible; dropped, it says "stopped".
pub(crate) type Announce = Box<dyn FnOnce() + Send>;

/// Judges something against the view: an entry to take over, or none, and what to say about it.
pub(crate) type Decision =
    Box<dyn FnOnce(&NodeView, Timestamp) -> (Option<Entry>, Announce) + Send>;

/// A put's share of the bounds on puts in flight, given back when it is answered.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) _request: OwnedSemaphorePermit,
    pub(crate) _bytes: OwnedSemaphorePermit,
}

/// What may be asked of the sequencer.
pub(crate) enum Request {
    Append {
        target: AppendTarget,
        records: Arc<NewRecords>,
        producer: Option<ProducerSequence>,
        reply: oneshot::Sender<Result<Appended, AppendError>>,
        in_flight: InFlight,
    },
    Commit {
        commit: Arc<Commit>,
        answer: oneshot::Sender<CommitAnswer>,
        durable: oneshot::Sender<()>,
    },
    Decide(Decision),
}

/// Who waits for a frame.
pub(crate) enum Waiter {
    Append {
        reply: oneshot::Sender<Result<Appended, AppendError>>,
        result: Result<Appended, AppendError>,
        /// Answered once written (`ack = "written"`).
        is_early: bool,
        in_flight: InFlight,
    },
    Commit(oneshot::Sender<()>),
    Announce(Announce),
}

impl Waiter {
    fn answer(self) {
        // Who went away needs no answer.
        match self {
            Self::Append {
                reply,
                result,
                in_flight,
                is_early: _,
            } => {
                drop(reply.send(result));
                drop(in_flight);
            }
            Self::Commit(durable) => drop(durable.send(())),
            Self::Announce(announce) => announce(),
        }
    }
}

/// Whether the sequencer takes anything.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// A shutdown was asked for: what was taken is written, nothing more is taken.
    Draining,
    Stopped(Stopped),
}

/// The end of the log that is being thought about: ahead of the disk.
pub(crate) struct Sequencer {
    view: NodeView,
    next: Lsn,
    frame: Gathering,
    waiting: VecDeque<Request>,
    state: State,
}

impl Sequencer {
    pub(crate) fn new(view: NodeView, next: Lsn) -> Self {
        Self {
            view,
            next,
            frame: Gathering::default(),
            waiting: VecDeque::new(),
            state: State::Running,
        }
    }

    /// Takes nothing at all.
    pub(crate) fn stopped(stopped: Stopped) -> Self {
        Self {
            state: State::Stopped(stopped),
            ..Self::new(NodeView::new(), Lsn(0))
        }
    }

    fn has_work(&self, shared: &Shared) -> bool {
        let is_running = self.state == State::Running || shared.is_read_only();
        !self.frame.is_empty() || !is_running || shared.is_ending()
    }

    /// Takes an entry over and gathers it.
    fn take(&mut self, entry: Entry) -> Lsn {
        let lsn = self.next;
        self.next = lsn.next();
        self.view.apply(&entry);
        self.frame.push(entry);
        lsn
    }

    fn judge(&mut self, shared: &Shared, request: Request) {
        let now = shared.clocks.now();
        match request {
            Request::Append {
                target,
                records,
                producer,
                reply,
                in_flight,
            } => {
                let (result, is_early) =
                    match self.append(shared, &target, &records, producer.as_ref(), now) {
                        Ok((appended, ack)) => (Ok(appended), ack == Ack::Written),
                        Err(error) => (Err(error), false),
                    };
                // A refusal too speaks of what was taken before it, so it waits for the same sync.
                self.frame.waiters.push(Waiter::Append {
                    reply,
                    result,
                    is_early,
                    in_flight,
                });
            }
            Request::Commit {
                commit,
                answer,
                durable,
            } => {
                let said = self.commit(shared, &commit, now);
                if matches!(said, CommitAnswer::Accepted(_)) {
                    self.frame.waiters.push(Waiter::Commit(durable));
                }
                drop(answer.send(said));
            }
            Request::Decide(decision) => {
                let (entry, announce) = decision(&self.view, now);
                if let Some(entry) = entry {
                    self.take(entry);
                }
                self.frame.waiters.push(Waiter::Announce(announce));
            }
        }
    }

    fn append(
        &mut self,
        shared: &Shared,
        target: &AppendTarget,
        records: &Arc<NewRecords>,
        producer: Option<&ProducerSequence>,
        now: Timestamp,
    ) -> Result<(Appended, Ack), AppendError> {
        let entry = self
            .view
            .evaluate_append(target.by_ref(), records, producer, now)
            .map_err(AppendError::Refused)?;
        if shared.space.room() > Room::Puts {
            return Err(AppendError::DiskFull);
        }
        let Entry::Append { placement, .. } = &entry else {
            unreachable!("an append becomes an append");
        };
        let appended = Appended::of(placement, records.len());
        let ack = self
            .view
            .registry()
            .stream(placement.stream)
            .map_or(Ack::Synced, |stream| stream.ack);
        if !records.is_empty() {
            shared.space.accept(codec::entry_bytes(&entry) as u64);
            self.take(entry);
        }
        Ok((appended, ack))
    }

    fn commit(&mut self, shared: &Shared, commit: &Arc<Commit>, now: Timestamp) -> CommitAnswer {
        let entry = match self.view.evaluate_commit(commit, now) {
            Ok(entry) => entry,
            Err(answer) => {
                if let Some(fault) = self
                    .view
                    .commit_fault(commit)
                    .filter(|fault| fault.is_bug())
                {
                    let unit = commit.unit;
                    tracing::error!(?unit, number = commit.number, %fault, "a commit broke a rule of ours");
                }
                return answer;
            }
        };
        let is_settling_only = commit.outputs.is_empty() && commit.dead_letters.is_empty();
        let most = if is_settling_only {
            Room::Settling
        } else {
            Room::Outputs
        };
        if shared.space.room() > most {
            return CommitAnswer::Unavailable(Unavailable::DiskFull);
        }
        shared.space.accept(codec::entry_bytes(&entry) as u64);
        CommitAnswer::Accepted(self.take(entry))
    }
}

/// Hands a request in: judged at once when there is room, else when the next frame is begun.
///
/// # Errors
/// The store stopped or is stopping.
pub(crate) fn submit(shared: &Shared, request: Request) -> Result<(), Stopped> {
    let mut sequencer = shared.lock_sequencer();
    match &sequencer.state {
        State::Running => {}
        State::Draining => return Err(Stopped("it is shutting down".to_owned())),
        State::Stopped(stopped) => return Err(stopped.clone()),
    }
    if sequencer.may_take(shared) {
        sequencer.judge(shared, request);
    } else {
        sequencer.waiting.push_back(request);
    }
    drop(sequencer);
    shared.work.notify_one();
    Ok(())
}

impl Sequencer {
    /// Requests are judged in the order they came, so none passes one that waits.
    fn may_take(&self, shared: &Shared) -> bool {
        self.waiting.is_empty()
            && self.frame.bytes() < FRAME_GATHER_BYTES
            && shared.space.has_budget()
    }

    /// Judges what waited, as far as there is room.
    fn judge_waiting(&mut self, shared: &Shared) {
        while self.frame.bytes() < FRAME_GATHER_BYTES && shared.space.has_budget() {
            let Some(request) = self.waiting.pop_front() else {
                return;
            };
            self.judge(shared, request);
        }
    }
}

impl Shared {
    pub(crate) fn lock_sequencer(&self) -> MutexGuard<'_, Sequencer> {
        self.sequencer
            .lock()
            .expect("a panic here has ended the node")
    }

    /// Why the store stopped, if it did.
    pub(crate) fn stopped(&self) -> Stopped {
        match &self.lock_sequencer().state {
            State::Stopped(stopped) => stopped.clone(),
            State::Running | State::Draining => Stopped("it is shutting down".to_owned()),
        }
    }

    /// Stops everything: nothing more is taken, written or acknowledged.
    pub(crate) fn fail(&self, stopped: &Stopped) {
        let (waiting, frame) = {
            let mut sequencer = self.lock_sequencer();
            if !matches!(sequencer.state, State::Stopped(_)) {
                sequencer.state = State::Stopped(stopped.clone());
            }
            (
                mem::take(&mut sequencer.waiting),
                mem::take(&mut sequencer.frame),
            )
        };
        // Dropped outside the lock: it tells everyone who waits.
        drop((waiting, frame));
        self.is_failed.store(true, Ordering::Release);
        self.appends.close();
        self.append_bytes.close();
        self.work.notify_all();
        drop(self.lock_applier_queue());
        self.applier_work.notify_all();
    }

    /// Takes nothing more; what was taken is written and the loops end in order.
    pub(crate) fn drain(&self) {
        let mut sequencer = self.lock_sequencer();
        if sequencer.state == State::Running {
            sequencer.state = State::Draining;
        }
        drop(sequencer);
        if self.is_read_only() {
            self.journal_finished();
        }
        self.work.notify_all();
    }

    /// Judges what waited for the applier.
    pub(crate) fn wake_waiting(&self) {
        let mut sequencer = self.lock_sequencer();
        if sequencer.waiting.is_empty() || sequencer.state != State::Running {
            return;
        }
        sequencer.judge_waiting(self);
        drop(sequencer);
        self.work.notify_one();
    }
}

/// What a step of a loop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something was done; there may be more.
    Worked,
    /// There was nothing to do.
    Idle,
    /// The store was shut down and everything is written.
    Finished,
}

/// Writes the journal: runs on a thread of its own.
pub struct SequencerLoop {
    pub(crate) shared: Arc<Shared>,
    /// None when the store is read-only.
    pub(crate) writer: Option<JournalWriter>,
    pub(crate) spent: Gathering,
    pub(crate) is_finished: bool,
}

impl SequencerLoop {
    /// Runs until the store is shut down.
    ///
    /// # Errors
    /// A write or a sync failed: the process must end within a second.
    pub fn run(mut self) -> Result<(), Stopped> {
        loop {
            if self.step()? == Step::Finished {
                return Ok(());
            }
            let mut sequencer = self.shared.lock_sequencer();
            while !sequencer.has_work(&self.shared) {
                sequencer = self
                    .shared
                    .work
                    .wait(sequencer)
                    .expect("a panic here has ended the node");
            }
        }
    }

    /// Writes, syncs and publishes what has gathered.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn step(&mut self) -> Result<Step, Stopped> {
        let mut frame = mem::take(&mut self.spent);
        {
            let mut sequencer = self.shared.lock_sequencer();
            if let State::Stopped(stopped) = &sequencer.state {
                let is_read_only = self.shared.is_read_only();
                let is_ended = self.shared.is_ending();
                return match (is_read_only, is_ended) {
                    (true, false) => Ok(Step::Idle),
                    (true, true) => Ok(Step::Finished),
                    (false, _) => Err(stopped.clone()),
                };
            }
            if sequencer.frame.is_empty() {
                sequencer.judge_waiting(&self.shared);
            }
            mem::swap(&mut frame, &mut sequencer.frame);
            sequencer.judge_waiting(&self.shared);
            if frame.is_empty() {
                let is_draining = sequencer.state == State::Draining;
                drop(sequencer);
                self.spent = frame;
                return if is_draining {
                    self.finish()
                } else {
                    Ok(Step::Idle)
                };
            }
        }
        if frame.entries.is_empty() {
            frame.answer_all();
        } else {
            self.write(&mut frame)?;
        }
        frame.clear();
        self.spent = frame;
        Ok(Step::Worked)
    }

    fn write(&mut self, frame: &mut Gathering) -> Result<(), Stopped> {
        let writer = self
            .writer
            .as_mut()
            .expect("only a read-only store has no writer");
        let first = writer.next();
        let clocks = self.shared.clocks.frame();
        let entries = u32::try_from(frame.entries.len()).expect("a frame holds few entries");
        // For the statistics alone: nothing is decided by it.
        let started = Instant::now();
        let written = writer
            .write_entries(&mut frame.buffer, entries, clocks)
            .and_then(|()| {
                frame.answer_early();
                writer.sync()
            });
        if let Err(error) = written {
            let stopped = Stopped(format!("the journal could not be written: {error}"));
            self.shared.fail(&stopped);
            return Err(stopped);
        }
        let bytes = frame.buffer.len() as u64;
        self.shared.counters.synced(started.elapsed(), bytes);
        publish::publish(&self.shared, first, frame);
        frame.answer_all();
        Ok(())
    }

    fn finish(&mut self) -> Result<Step, Stopped> {
        if !self.is_finished {
            let clocks = self.shared.clocks.frame();
            let writer = self
                .writer
                .as_mut()
                .expect("only a read-only store has no writer");
            if let Err(error) = writer.finish(clocks) {
                let stopped = Stopped(format!("the journal could not be ended: {error}"));
                self.shared.fail(&stopped);
                return Err(stopped);
            }
            self.is_finished = true;
            self.shared.journal_finished();
        }
        Ok(Step::Finished)
    }
}

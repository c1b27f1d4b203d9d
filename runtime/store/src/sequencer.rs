//! Puts everything in one order: judges, takes over, gathers into a frame, writes, syncs, publishes.
//!
//! Judging and taking over happen on the caller's thread, under one lock, so that a commit is answered
//! at once; [`SequencerLoop`] writes what has gathered, one frame and one sync at a time, while the next
//! frame gathers (commit and storage rules §3 and §5). Nothing is visible or acknowledged before the
//! sync that covers it has returned.

mod gather;
mod publish;
mod request;
mod write;

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, MutexGuard, atomic::Ordering},
};

use fnctl_core::{
    commit::{AttemptMark, Commit, CommitAnswer, Unavailable},
    committer::Stopped,
    entry::Entry,
    id::{Lsn, Timestamp},
    quota::OverQuota,
    record::NewRecords,
    shard::Ack,
    view::{NodeView, ProducerSequence},
};

use self::request::Waiter;
pub(crate) use self::{
    gather::Gathering,
    publish::{Published, PublishedFrame},
    request::{Announce, Request},
};
pub use self::{
    request::AppendTarget,
    write::{SequencerLoop, Step},
};
use crate::{
    codec,
    limits::FRAME_GATHER_BYTES,
    shared::Shared,
    space::Room,
    store::{AppendError, Appended},
};

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
    rest: Rest,
    /// What may linger came not long ago: the loop looks for it by itself, and is not woken for it.
    lingers: bool,
}

/// What the loop that writes does. Waking one that does not sleep costs a system call a put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    /// It looks at what has gathered before it sleeps; or it was woken.
    #[default]
    None,
    /// It sleeps for `CHARGES_LINGER` at most.
    Short,
    /// It sleeps until it is woken.
    Long,
}

impl Sequencer {
    pub(crate) fn new(view: NodeView, next: Lsn) -> Self {
        Self {
            view,
            next,
            frame: Gathering::default(),
            waiting: VecDeque::new(),
            state: State::Running,
            rest: Rest::None,
            lingers: false,
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
        self.frame.is_urgent() || !is_running || shared.is_ending()
    }

    /// Whether the loop has to be woken, now that something was handed in.
    fn wakes(&mut self) -> bool {
        let is_calm = !self.frame.is_urgent() && self.waiting.is_empty();
        let wakes = match self.rest {
            Rest::None => false,
            Rest::Short => !is_calm,
            Rest::Long => true,
        };
        if wakes {
            self.rest = Rest::None;
        }
        wakes
    }

    /// Whether what has gathered is to be written at once.
    #[cfg(test)]
    pub(crate) const fn frame_is_urgent(&self) -> bool {
        self.frame.is_urgent()
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
                room,
            } => {
                let (result, is_early) =
                    match self.append(shared, &target, &records, producer.as_ref(), now) {
                        Ok((appended, ack)) => (Ok(appended), ack == Ack::Written),
                        Err(error) => (Err(error), false),
                    };
                // A refusal too speaks of what was taken before it, so it waits for the same sync.
                self.frame.wait(Waiter::Append {
                    reply,
                    result,
                    is_early,
                    room,
                });
            }
            Request::Commit {
                commit,
                answer,
                durable,
            } => {
                let lingers = commit.only_charges()
                    && !self.ends_a_mark(&commit)
                    && self.frame.may_linger(commit.unit);
                let said = self.commit(shared, &commit, now);
                if matches!(said, CommitAnswer::Accepted(_)) {
                    let waiter = Waiter::Commit(durable);
                    if lingers {
                        self.lingers = true;
                        self.frame.linger(waiter);
                    } else {
                        self.frame.wait(waiter);
                    }
                }
                drop(answer.send(said));
            }
            Request::Decide(decision) => {
                let (entry, announce) = decision(&self.view, now);
                if let Some(entry) = entry {
                    shared.space.accept(codec::entry_bytes(&entry) as u64);
                    self.take(entry);
                }
                self.frame.wait(Waiter::Announce(announce));
            }
        }
    }

    /// Whether it takes a mark back that stands in front of a call: found after an unclean stop, that would be
    /// charged as a death.
    fn ends_a_mark(&self, commit: &Commit) -> bool {
        self.view.unit(commit.unit).is_some_and(|unit| {
            let before = |mark: &AttemptMark| unit.attempts.get(&mark.position);
            let mut before = commit.attempts.iter().filter_map(before);
            before.any(|mark| mark.is_in_hand)
        })
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
            shared
                .appends
                .refused
                .disk_full
                .fetch_add(1, Ordering::Relaxed);
            return Err(AppendError::DiskFull);
        }
        let Entry::Append { placement, .. } = &entry else {
            unreachable!("an append becomes an append");
        };
        if let Some(over) = self.over_quota(shared, &entry) {
            shared
                .appends
                .refused
                .stream_full
                .fetch_add(1, Ordering::Relaxed);
            return Err(AppendError::OverQuota(over));
        }
        let appended = Appended::of(placement, records.len());
        let ack = self
            .view
            .registry()
            .stream(placement.stream)
            .map_or(Ack::Synced, |stream| stream.ack);
        if !records.is_empty() {
            shared.space.accept(codec::entry_bytes(&entry) as u64);
            shared.segments.usage.accept(&entry);
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
                    let mapping = self.view.registry().address_of(unit.mapping);
                    let shard = unit.shard.shard_id();
                    tracing::error!(%mapping, %shard, error = %fault, "a commit broke a rule of ours");
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
        if let Some(over) = self.over_quota(shared, &entry) {
            return CommitAnswer::Unavailable(Unavailable::OutputFull(over.stream));
        }
        shared.space.accept(codec::entry_bytes(&entry) as u64);
        shared.segments.usage.accept(&entry);
        CommitAnswer::Accepted(self.take(entry))
    }
}

impl Sequencer {
    /// The stream that has no room for an entry; what mappings hold of it beyond retention gives way.
    fn over_quota(&self, shared: &Shared, entry: &Entry) -> Option<OverQuota> {
        let usage = &shared.segments.usage;
        let over = self.view.over_quota(entry, |stream| usage.of(stream))?;
        if let Some(stream) = self.view.registry().stream_by_name(&over.stream) {
            usage.refused(stream.id);
        }
        Some(over)
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
    let wakes = sequencer.wakes();
    drop(sequencer);
    if wakes {
        shared.work.notify_one();
    }
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
        self.failed_at.get_or_init(std::time::Instant::now);
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
        self.scrub.stop();
        self.work.notify_all();
        drop(self.lock_applier_queue());
        self.applier_work.notify_all();
    }

    /// Takes nothing more; what was taken is written and the loops end in order. What waits for room was
    /// not taken and is told so at once: on a disk that stays full it would wait for ever.
    pub(crate) fn drain(&self) {
        let waiting = {
            let mut sequencer = self.lock_sequencer();
            if sequencer.state == State::Running {
                sequencer.state = State::Draining;
            }
            mem::take(&mut sequencer.waiting)
        };
        // Outside the lock: it wakes everyone who waits.
        drop(waiting);
        if self.is_read_only() {
            self.journal_finished();
        }
        self.work.notify_all();
    }

    /// Judges what waited for the applier.
    pub(crate) fn wake_waiting(&self) {
        let mut sequencer = self.lock_sequencer();
        if sequencer.waiting.is_empty() || matches!(sequencer.state, State::Stopped(_)) {
            return;
        }
        sequencer.judge_waiting(self);
        let wakes = sequencer.wakes();
        drop(sequencer);
        if wakes {
            self.work.notify_one();
        }
    }
}

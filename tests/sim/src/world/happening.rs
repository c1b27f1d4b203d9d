//! What is under way, and how each of it goes on.

use fnctl_core::{
    commit::{Commit, CommitAnswer, Unavailable},
    id::{LeaseEpoch, Timestamp},
    outcome::{FailureKind, Outcome},
    pipeline::{Event, Invocation},
};

use super::{Step, World};
use crate::{
    coverage::Reached,
    guest::{self, Mood, Nature},
    journal::Put,
    worker::Worker,
};

impl World {
    pub(super) fn enabled(&self) -> Vec<Step> {
        let journal = &self.journal;
        let mut steps = Vec::new();
        if journal.written == journal.synced && journal.entries.len() > journal.synced {
            steps.push(Step::Write);
        }
        if journal.written > journal.synced {
            steps.push(Step::Sync);
        }
        match self.starting {
            None if !self.workers.iter().any(|worker| self.is_present(worker)) => {
                steps.push(Step::Lease);
            }
            Some((_, lsn)) if lsn.0 <= journal.synced as u64 => steps.push(Step::Start),
            _ => {}
        }
        for (at, worker) in self.workers.iter().enumerate() {
            if worker.stopped.is_some() {
                steps.push(Step::Bury(at));
                continue;
            }
            if worker.fetch.is_some() {
                steps.push(Step::Fetch(at));
            }
            if !worker.rereads.is_empty() {
                steps.push(Step::Reread(at));
            }
            steps.extend((0..worker.calls.len()).map(|call| Step::Call(at, call)));
            if !worker.ghosts.is_empty() {
                steps.push(Step::Ghost(at));
            }
            if !worker.outbox.is_empty() {
                steps.push(Step::Sequence(at));
            }
            if !worker.answers.is_empty() {
                steps.push(Step::Answer(at));
            }
            let synced = journal.synced as u64;
            let next = worker.unsynced.front();
            // A ticket says that it is durable after it was answered.
            if worker.answers.is_empty() && next.is_some_and(|(lsn, ..)| lsn.0 <= synced) {
                steps.push(Step::Durable(at));
            }
            // The node ends its caution some time after a start: letters wait for that.
            if self.is_calm && worker.is_careful && !worker.redrives.is_empty() {
                steps.push(Step::Calm(at));
            }
            if worker.wants_turn {
                steps.push(Step::Turn(at));
            }
            if worker.has_tail_news(journal) {
                steps.push(Step::Tail(at));
            }
            if worker
                .pipeline
                .deadline()
                .is_some_and(|deadline| deadline <= self.now)
            {
                steps.push(Step::Tick(at));
            }
        }
        if self.relaying.is_laden() {
            steps.push(Step::Bring);
        } else if self.has_letters_to_bring() {
            steps.push(Step::Gather);
        }
        steps
    }

    pub(super) fn perform(&mut self, step: Step) {
        match step {
            Step::Put => self.put(),
            Step::Write => self.journal.write(),
            Step::Sync => self.journal.sync(),
            Step::Lease => self.starting = Some(self.journal.lease()),
            Step::Start => self.start(),
            Step::Advance => self.advance(),
            Step::Fetch(at) => {
                let worker = &mut self.workers[at];
                let event = if !self.is_calm && self.random.chance(self.profile.trouble.read) {
                    worker.fetch = None;
                    self.coverage.note(Reached::FetchFailed);
                    Event::FetchFailed
                } else {
                    worker.fetched(
                        &self.journal,
                        self.profile.block_bytes_max,
                        &mut self.random,
                    )
                };
                self.tell(at, event);
            }
            Step::Reread(at) => {
                let worker = &mut self.workers[at];
                let event = if !self.is_calm && self.random.chance(self.profile.trouble.read) {
                    let (slot, _) = worker.rereads.pop_front().expect("enabled");
                    self.coverage.note(Reached::RereadFailed);
                    Event::RereadFailed { slot }
                } else {
                    self.coverage.note(Reached::Reread);
                    worker.reread(self.profile.block_bytes_max, &mut self.random)
                };
                self.tell(at, event);
            }
            Step::Call(at, call) => self.call(at, call),
            Step::Ghost(at) => {
                let call = self.workers[at].ghosts.pop().expect("enabled");
                let is_open = self.workers[at].is_held(&call);
                let outcome = self.outcome(at, &call, is_open);
                self.coverage.note(Reached::LateAnswer);
                self.tell(at, Worker::invoked(&call, outcome));
            }
            Step::Sequence(at) => self.sequence(at),
            Step::Answer(at) => {
                let (slot, number, answer) = self.workers[at].answers.pop_front().expect("enabled");
                self.tell(
                    at,
                    Event::CommitAnswered {
                        slot,
                        number,
                        answer,
                    },
                );
            }
            Step::Durable(at) => {
                let (_, slot, number) = self.workers[at].unsynced.pop_front().expect("enabled");
                self.tell(at, Event::CommitDurable { slot, number });
            }
            Step::Tail(at) => {
                let event = self.workers[at].tail_news(&self.journal);
                self.tell(at, event);
            }
            Step::Turn(at) => {
                self.workers[at].wants_turn = false;
                self.tell(at, Event::TurnGranted);
            }
            Step::Calm(at) => {
                self.workers[at].is_careful = false;
                self.coverage.note(Reached::CautionEnded);
                self.tell(at, Event::Caution { is_on: false });
            }
            Step::Tick(at) => self.tell(at, Event::Tick),
            Step::Bury(at) => self.bury(at),
            Step::Gather => self.gather(),
            Step::Bring => self.bring(),
        }
    }

    fn put(&mut self) {
        let records = self.random.between(1, 8);
        let puts: Vec<Put> = (0..records)
            .map(|_| Put {
                key: self.random.below(self.profile.keys),
                nature: if self.random.chance(self.profile.bad) {
                    Nature::draw_bad(&mut self.random)
                } else {
                    Nature::Good
                },
                arrival: Timestamp(0),
            })
            .collect();
        self.trace.line(format_args!("{} put {puts:?}", self.now));
        self.journal.put(&puts, self.now);
    }

    fn start(&mut self) {
        let (epoch, _) = self.starting.take().expect("enabled");
        if epoch != self.epoch() {
            return;
        }
        let unit = self.journal.accepted(self.journal.unit());
        let (has_gaps, has_marks) = (unit.settled.gaps() > 0, !unit.attempts.is_empty());
        let old_marks = unit
            .attempts
            .values()
            .any(|m| m.version.0 != self.versions.live);
        if has_gaps {
            self.coverage.note(Reached::StartedOverGaps);
        }
        if has_marks {
            self.coverage.note(Reached::StartedWithMarks);
        }
        let settings = &self.settings;
        if let Some((last, last_version)) = &self.last_policy {
            let factor = settings.parallelization_factor;
            if last.parallelization_factor != factor && has_marks && has_gaps {
                self.coverage.note(Reached::FactorChanged);
            }
            if *last_version != self.versions.live && old_marks {
                self.coverage.note(Reached::VersionChanged);
            }
            let is_filter_same =
                last.filter == settings.filter && last.on_unparsable == settings.on_unparsable;
            if !is_filter_same && has_gaps {
                self.coverage.note(Reached::FilterChanged);
            }
            if last.ordering != settings.ordering && has_gaps {
                self.coverage.note(Reached::OrderingChanged);
            }
        }
        self.last_policy = Some((settings.clone(), self.versions.live));
        let seed = self.random.next();
        let (worker, event) =
            Worker::start(&self.journal, &self.settings, epoch, self.versions, seed);
        let worker = worker.with_attempts_max(self.max_attempts);
        self.workers.push(worker);
        let at = self.workers.len() - 1;
        let died_with = self.journal.died_with(self.journal.unit());
        if !died_with.is_empty() {
            self.coverage.note(Reached::DiedInHand);
        }
        self.tell(at, event);
        if [false, true].map(|of| self.workers[at].is_circuit_open(of)) != [false; 2] {
            self.coverage.note(Reached::OutageInherited);
        }
        if self
            .random
            .chance(if died_with.is_empty() { 200 } else { 800 })
        {
            self.workers[at].is_careful = true;
            self.coverage.note(Reached::Caution);
            self.tell(at, Event::Caution { is_on: true });
        }
        if self.is_paused {
            self.tell(at, Event::Pause { until: self.now });
        }
    }

    fn advance(&mut self) {
        let next = self
            .workers
            .iter()
            .filter_map(|w| w.pipeline.deadline())
            .min();
        let jump = self.random.pick(&[1, 1, 10, 300]);
        self.now = match next {
            Some(deadline) if self.is_calm || self.random.chance(500) => {
                Timestamp(deadline.0.max(self.now.0))
            }
            _ => self.now.plus_ms(jump),
        };
        self.ring();
    }

    /// What is due is told before anything else can be: the worker's timer.
    pub(super) fn ring(&mut self) {
        for at in 0..self.workers.len() {
            let worker = &self.workers[at];
            let is_due = worker.pipeline.deadline().is_some_and(|d| d <= self.now);
            if worker.stopped.is_none() && is_due {
                self.tell(at, Event::Tick);
            }
        }
    }

    fn call(&mut self, at: usize, call: usize) {
        let call = self.workers[at].calls.swap_remove(call);
        if !self.is_calm && self.random.chance(self.profile.trouble.host) {
            let event = if self.random.chance(500) {
                self.coverage.note(Reached::HostFault);
                Event::HostFault {
                    attempt: call.attempt,
                }
            } else {
                self.coverage.note(Reached::OutcomeInterrupted);
                Worker::invoked(&call, Outcome::Interrupted)
            };
            self.tell(at, event);
            return;
        }
        let is_open = self.workers[at].is_held(&call);
        let outcome = self.outcome(at, &call, is_open);
        self.note_outcome(&outcome, call.records.len());
        if self.workers[at].parts(&call, &outcome, &self.journal) {
            self.coverage.note(Reached::RetriesParted);
        }
        self.tell(at, Worker::invoked(&call, outcome));
    }

    fn outcome(&mut self, at: usize, call: &Invocation, is_open: bool) -> Outcome {
        self.calls += 1;
        let is_canary = self.workers[at].canary() == Some(call.version);
        let mood = Mood {
            emits_whole_call: self.profile.emits_whole_call,
            is_mended: self.is_mended,
            is_down: self.is_down && (is_canary || !self.is_down_for_canary),
            spared: self.spared,
            is_up: self.is_calm && is_open,
            call: self.calls,
        };
        let seen = Worker::seen(&self.journal, call);
        guest::call(&seen, mood, &mut self.random)
    }

    fn note_outcome(&mut self, outcome: &Outcome, records: usize) {
        let reached = match outcome {
            Outcome::Returned { failures, .. } if failures.is_empty() => Reached::OutcomeOk,
            Outcome::Returned { failures, .. } => {
                let kinds = |kind| failures.iter().any(|item| item.failure.kind == kind);
                if kinds(FailureKind::Retry) && self.profile.emits_whole_call {
                    self.coverage.note(Reached::WholeCallRowsDropped);
                }
                if kinds(FailureKind::Fatal) {
                    Reached::OutcomeFatal
                } else {
                    Reached::OutcomePartial
                }
            }
            Outcome::Error(failure) if failure.kind == FailureKind::Skip => Reached::OutcomeSkip,
            Outcome::Error(_) => Reached::OutcomeError,
            Outcome::Trap { record: None, .. } => Reached::OutcomeTrap,
            Outcome::Trap { .. } => Reached::OutcomePanic,
            Outcome::Timeout { .. } => Reached::OutcomeTimeout,
            Outcome::OutOfMemory { .. } => Reached::OutcomeOutOfMemory,
            Outcome::OutputTooLarge { .. } if records > 1 => Reached::OutcomeHalved,
            Outcome::OutputTooLarge { .. } => Reached::OutcomeTooLargeAlone,
            Outcome::Interrupted => Reached::OutcomeInterrupted,
        };
        self.coverage.note(reached);
    }

    /// The sequencer takes the next commit of a worker.
    fn sequence(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let commit = worker.outbox.pop_front().expect("enabled");
        let (slot, number) = (commit.slot, commit.number);
        let is_full = !self.is_calm && self.random.chance(self.profile.trouble.disk_full);
        // The sequencer asks for the owner first: a former one must not wait for room.
        let are_letters_full = !self.is_calm
            && !commit.dead_letters.is_empty()
            // A redriven letter takes the place of itself.
            && commit.redriven.is_none()
            && self.random.chance(self.profile.trouble.letters_full);
        let is_owned = commit.epoch == self.journal_epoch(&commit);
        let answer = if are_letters_full && is_owned {
            CommitAnswer::Unavailable(Unavailable::DeadLettersFull)
        } else if is_full && is_owned {
            CommitAnswer::Unavailable(Unavailable::DiskFull)
        } else {
            self.journal.commit(commit, self.now)
        };
        self.trace
            .line(format_args!("{} {slot:?} {number} is {answer:?}", self.now));
        let worker = &mut self.workers[at];
        match &answer {
            CommitAnswer::Accepted(lsn) => {
                worker.unsynced.push_back((*lsn, slot, number));
                let cut = std::mem::take(&mut worker.cut_blocks);
                self.coverage.note_times(Reached::BlockCut, cut);
                if worker.resent > 0 {
                    worker.resent = 0;
                    self.coverage.note(Reached::ResentAccepted);
                }
            }
            CommitAnswer::Fenced => self.coverage.note(Reached::Fenced),
            CommitAnswer::Refused { .. } => {
                // The pipeline says that it is closed.
            }
            CommitAnswer::Unavailable(Unavailable::DiskFull) => {
                self.coverage.note(Reached::RefusedDiskFull);
            }
            CommitAnswer::Unavailable(Unavailable::DeadLettersFull) => {
                self.coverage.note(Reached::RefusedLettersFull);
            }
            CommitAnswer::Unavailable(_) => self.coverage.note(Reached::RefusedNoOutput),
        }
        self.workers[at].answers.push_back((slot, number, answer));
    }

    fn journal_epoch(&self, commit: &Commit) -> LeaseEpoch {
        let unit = self.journal.view.unit(commit.unit);
        unit.map_or(LeaseEpoch(0), |unit| unit.epoch)
    }
}

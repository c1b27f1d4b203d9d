//! One run: a schedule of everything that can happen, drawn from a seed.

use fnctl_core::{
    commit::{CommitAnswer, Unavailable},
    id::{LeaseEpoch, Lsn, Timestamp},
    mapping::{MappingSettings, MaxAttempts},
    outcome::{FailureKind, Outcome},
    pipeline::{Event, StopReason},
};

use crate::{
    coverage::{Coverage, Reached},
    guest::{self, Mood, Nature},
    journal::{Journal, Put},
    ledger::Ledger,
    profile::{Profile, draw_settings},
    random::Random,
    trace::Trace,
    worker::Worker,
};

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it reached.
    pub coverage: Coverage,
    /// What happened.
    pub trace: Trace,
    /// Steps that it took.
    pub steps: u64,
}

/// Steps after which a quiet world must have come to rest.
const QUIET_STEPS_MAX: u64 = 60_000;

/// Runs a seed to its end.
///
/// # Panics
/// If an invariant is broken, or a quiet world does not come to rest.
#[must_use]
pub fn run(seed: u64, keeps_text: bool) -> Report {
    let mut world = World::new(seed, keeps_text);
    for _ in 0..world.profile.steps {
        world.step();
    }
    world.settle_down();
    world.judge();
    Report {
        coverage: world.coverage,
        trace: world.trace,
        steps: world.steps,
    }
}

struct World {
    random: Random,
    profile: Profile,
    settings: MappingSettings,
    /// The most attempts that any owner ran under.
    max_attempts: MaxAttempts,
    version: u64,
    journal: Journal,
    workers: Vec<Worker>,
    /// A lease that is not synced.
    starting: Option<(LeaseEpoch, Lsn)>,
    now: Timestamp,
    calls: u64,
    steps: u64,
    is_paused: bool,
    is_mended: bool,
    is_calm: bool,
    /// Policy that the last owner had, to see what changed.
    last_policy: Option<(u16, u64)>,
    coverage: Coverage,
    trace: Trace,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put,
    Write,
    Sync,
    Lease,
    Start,
    Advance,
    Fetch(usize),
    Reread(usize),
    Call(usize, usize),
    Ghost(usize),
    Sequence(usize),
    Answer(usize),
    Durable(usize),
    Tail(usize),
    Tick(usize),
    Bury(usize),
}

impl World {
    fn new(seed: u64, keeps_text: bool) -> Self {
        let mut random = Random::new(seed);
        let profile = Profile::draw(&mut random);
        let settings = profile.settings.clone();
        let mut trace = Trace::new(keeps_text);
        trace.line(format_args!("seed {seed}: {profile:?}"));
        Self {
            journal: Journal::new(&settings),
            max_attempts: settings.max_attempts,
            settings,
            profile,
            random,
            version: 1,
            workers: Vec::new(),
            starting: None,
            now: Timestamp(1_000_000),
            calls: 0,
            steps: 0,
            is_paused: false,
            is_mended: false,
            is_calm: false,
            last_policy: None,
            coverage: Coverage::default(),
            trace,
        }
    }

    /// One happening: trouble now and then, else anything that is under way.
    fn step(&mut self) {
        self.steps += 1;
        if !self.is_calm && self.trouble() {
            return;
        }
        let mut steps = self.enabled();
        if !self.is_calm
            && self.journal.puts.len() < usize::try_from(self.profile.records).expect("few")
        {
            steps.push(Step::Put);
        }
        steps.push(Step::Advance);
        let step = self.random.pick(&steps);
        self.trace.line(format_args!("{} {step:?}", self.now));
        self.perform(step);
        self.look();
    }

    fn enabled(&self) -> Vec<Step> {
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
        steps
    }

    fn perform(&mut self, step: Step) {
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
                let outcome = self.outcome(&call);
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
            Step::Tick(at) => self.tell(at, Event::Tick),
            Step::Bury(at) => self.bury(at),
        }
    }

    fn tell(&mut self, at: usize, event: Event) {
        let worker = &mut self.workers[at];
        let before = worker.pipeline.stats().parked_keys;
        let ghosts = worker.ghosts.len();
        worker.tell(event, self.now, &self.journal, &mut self.trace);
        if self.is_paused && worker.stopped.is_none() && worker.ghosts.len() > ghosts {
            self.coverage.note(Reached::PauseInterrupted);
        }
        if worker.pipeline.stats().parked_keys < before {
            self.coverage.note(Reached::KeyReleased);
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
            })
            .collect();
        self.trace.line(format_args!("{} put {puts:?}", self.now));
        self.journal.put(&puts, self.now);
    }

    /// Whether a worker lives and owns the unit.
    fn is_present(&self, worker: &Worker) -> bool {
        worker.stopped.is_none()
            && worker.unit == self.journal.unit()
            && worker.epoch == self.epoch()
    }

    /// The epoch of the present owner.
    fn epoch(&self) -> LeaseEpoch {
        self.journal.accepted(self.journal.unit()).epoch
    }

    fn start(&mut self) {
        let (epoch, _) = self.starting.take().expect("enabled");
        if epoch != self.epoch() {
            return;
        }
        let unit = self.journal.accepted(self.journal.unit());
        let (has_gaps, has_marks) = (unit.settled.gaps() > 0, !unit.attempts.is_empty());
        let old_marks = unit.attempts.values().any(|m| m.version.0 != self.version);
        let factor = self.settings.parallelization_factor;
        if has_gaps {
            self.coverage.note(Reached::StartedOverGaps);
        }
        if has_marks {
            self.coverage.note(Reached::StartedWithMarks);
        }
        if let Some((last_factor, last_version)) = self.last_policy {
            if last_factor != factor && has_marks && has_gaps {
                self.coverage.note(Reached::FactorChanged);
            }
            if last_version != self.version && old_marks {
                self.coverage.note(Reached::VersionChanged);
            }
        }
        self.last_policy = Some((factor, self.version));
        let seed = self.random.next();
        let (worker, event) =
            Worker::start(&self.journal, &self.settings, epoch, self.version, seed);
        let worker = worker.with_attempts_max(self.max_attempts);
        self.workers.push(worker);
        let at = self.workers.len() - 1;
        self.tell(at, event);
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
        // What is due is told before anything else can be: the worker's timer.
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
        let outcome = self.outcome(&call);
        self.note_outcome(&outcome, call.records.len());
        self.tell(at, Worker::invoked(&call, outcome));
    }

    fn outcome(&mut self, call: &fnctl_core::pipeline::Invocation) -> Outcome {
        self.calls += 1;
        let mood = Mood {
            emits_whole_call: self.profile.emits_whole_call,
            is_mended: self.is_mended,
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
        let answer = if is_full && commit.epoch == self.journal_epoch(&commit) {
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
                if worker.resent > 0 {
                    worker.resent = 0;
                    self.coverage.note(Reached::ResentAccepted);
                }
            }
            CommitAnswer::Fenced => self.coverage.note(Reached::Fenced),
            CommitAnswer::Unavailable(Unavailable::DiskFull) => {
                self.coverage.note(Reached::RefusedDiskFull);
            }
            CommitAnswer::Unavailable(_) => self.coverage.note(Reached::RefusedNoOutput),
        }
        self.workers[at].answers.push_back((slot, number, answer));
    }

    fn journal_epoch(&self, commit: &fnctl_core::commit::Commit) -> LeaseEpoch {
        let unit = self.journal.view.unit(commit.unit);
        unit.map_or(LeaseEpoch(0), |unit| unit.epoch)
    }

    /// A stopped worker goes. A `fatal` is mended by whoever reads of it.
    fn bury(&mut self, at: usize) {
        let worker = self.workers.remove(at);
        for _ in 0..worker.dropped {
            self.coverage.note(Reached::CommitDropped);
        }
        match worker.stopped {
            Some(StopReason::Fatal { .. }) => {
                self.is_mended |= self.random.chance(500);
                self.version += 1;
                self.journal.change_mapping(&self.settings);
                self.starting = None;
            }
            Some(StopReason::Drained)
                if worker.epoch == self.epoch() && worker.unit == self.journal.unit() =>
            {
                if !worker.ghosts.is_empty() {
                    self.coverage.note(Reached::DrainInterrupted);
                }
                self.redraw();
                self.journal.change_mapping(&self.settings);
                self.starting = None;
            }
            _ => {}
        }
    }

    /// Another policy, and now and then another version.
    fn redraw(&mut self) {
        self.settings = draw_settings(&mut self.random);
        self.version += self.random.below(2);
        self.max_attempts = match (self.max_attempts, self.settings.max_attempts) {
            (MaxAttempts::Count(a), MaxAttempts::Count(b)) => MaxAttempts::Count(a.max(b)),
            _ => MaxAttempts::Unlimited,
        };
    }

    /// Whether trouble came.
    fn trouble(&mut self) -> bool {
        let trouble = self.profile.trouble.clone();
        let random = &mut self.random;
        if random.chance(trouble.crash) {
            self.crash();
        } else if random.chance(trouble.takeover) {
            if self.workers.len() >= 2 || self.starting.is_some() {
                return false;
            }
            self.trace.line(format_args!("{} takeover", self.now));
            self.starting = Some(self.journal.lease());
        } else if random.chance(trouble.change) {
            let until = self.now.plus_ms(self.random.below(200));
            for at in 0..self.workers.len() {
                if self.is_present(&self.workers[at]) {
                    self.tell(at, Event::Drain { until });
                }
            }
        } else if random.chance(trouble.remake) {
            self.trace.line(format_args!("{} remake", self.now));
            self.coverage.note(Reached::MappingRemade);
            self.journal.remake_mapping(&self.settings);
            self.starting = None;
        } else if random.chance(trouble.output) {
            self.trace.line(format_args!("{} toggle output", self.now));
            self.journal.toggle_output();
        } else if random.chance(trouble.pause) {
            self.pause();
        } else if random.chance(trouble.clock_back) {
            self.now = Timestamp(self.now.0 - self.random.below(5_000).min(self.now.0));
            self.coverage.note(Reached::ClockBack);
        } else {
            return false;
        }
        true
    }

    fn pause(&mut self) {
        self.is_paused = !self.is_paused;
        let until = self.now.plus_ms(self.random.below(200));
        for at in 0..self.workers.len() {
            if self.workers[at].stopped.is_some() {
                continue;
            }
            let event = if self.is_paused {
                Event::Pause { until }
            } else {
                Event::Resume
            };
            self.tell(at, event);
        }
    }

    fn crash(&mut self) {
        let keeps_frame = self.journal.written > self.journal.synced && self.random.chance(500);
        if keeps_frame {
            self.coverage.note(Reached::CrashKeptFrame);
        } else if self.journal.entries.len() > self.journal.synced {
            self.coverage.note(Reached::CrashLostEntries);
        }
        for worker in &self.workers {
            if !worker.outbox.is_empty() {
                self.coverage.note(Reached::CrashUnacceptedCommit);
            }
            if worker.pipeline.stats().parked_keys > 0 {
                self.coverage.note(Reached::CrashParkedKey);
            }
        }
        let repeats_from = self.random.below(self.journal.entries.len() as u64 + 1);
        self.trace.line(format_args!(
            "{} crash, frame kept: {keeps_frame}",
            self.now
        ));
        self.workers.clear();
        self.starting = None;
        let repeats_from = usize::try_from(repeats_from).expect("an index");
        self.journal.crash(keeps_frame, repeats_from);
        if self.random.chance(300) {
            self.redraw();
        }
    }

    /// Notes what runs beside what.
    fn look(&mut self) {
        for worker in &self.workers {
            let in_retry = |call: &&fnctl_core::pipeline::Invocation| {
                call.slot == fnctl_core::id::SlotId::Retry
            };
            let retries = worker.calls.iter().filter(in_retry).count();
            let lanes = worker.calls.len() - retries;
            if retries > 0 && lanes > 0 {
                self.coverage.note(Reached::LaneBesideRetry);
            }
            if lanes > 1 {
                self.coverage.note(Reached::TwoLanes);
            }
            if worker
                .pipeline
                .inspect()
                .unsynced
                .iter()
                .any(|&(_, n)| n == 2)
            {
                self.coverage.note(Reached::TwoUnsynced);
            }
        }
    }

    /// No more trouble: everything must come to its end.
    fn settle_down(&mut self) {
        self.is_calm = true;
        self.is_mended = true;
        self.trace.line(format_args!("{} calm", self.now));
        if self.is_paused {
            self.pause();
        }
        if !self.journal.has_output() {
            self.journal.toggle_output();
        }
        let start = self.steps;
        while !self.is_at_rest() {
            assert!(
                self.steps - start < QUIET_STEPS_MAX,
                "a quiet world does not come to rest: {:?}",
                self.workers
                    .iter()
                    .map(|w| w.pipeline.stats())
                    .collect::<Vec<_>>()
            );
            self.steps += 1;
            let steps = self.enabled();
            let step = if steps.is_empty() {
                Step::Advance
            } else {
                self.random.pick(&steps)
            };
            self.trace.line(format_args!("{} {step:?}", self.now));
            self.perform(step);
        }
    }

    fn is_at_rest(&self) -> bool {
        let journal = &self.journal;
        let pending = journal.published.pending(journal.unit());
        pending == Some(0) && journal.synced == journal.entries.len() && self.enabled().is_empty()
    }

    fn judge(&mut self) {
        for worker in self.workers.iter().filter(|worker| self.is_present(worker)) {
            let stats = worker.pipeline.stats();
            assert_eq!(stats.window_records, 0, "nothing is held at rest");
        }
        let ledger = Ledger::read(&self.journal, self.max_attempts, &mut self.coverage);
        if let Err(broken) = ledger.and_then(|ledger| ledger.close()) {
            panic!("{broken}");
        }
    }
}

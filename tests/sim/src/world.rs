//! One run: a schedule of everything that can happen, drawn from a seed.

mod happening;
mod judging;
mod letters;
mod relay;
mod seeking;
mod trouble;

use fnctl_core::{
    breaker::Open,
    id::{LeaseEpoch, Lsn, SlotId, Timestamp},
    mapping::{MappingSettings, MaxAttempts, Ordering},
    pipeline::{Event, Invocation, RedriveEnding},
};

use crate::{
    coverage::{Coverage, Reached},
    journal::Journal,
    profile::Profile,
    random::Random,
    trace::Trace,
    versions::Versions,
    worker::Worker,
};

use self::relay::Relaying;

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

/// A fault of the world that no unit can stand: the judges must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// A seek leaves the owner its epoch.
    UnfencedSeek,
    /// A letter may be redriven whatever became of it.
    RedriveOfClosed,
    /// A letter is redriven under another key than its record's.
    RedriveBesideItsKey,
    /// The relay notes letters as brought that the destination refused.
    HastyRelay,
    /// An owner is not told that the last one left a circuit open.
    ForgottenOutage,
}

impl Weakness {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::UnfencedSeek,
        Self::RedriveOfClosed,
        Self::RedriveBesideItsKey,
        Self::HastyRelay,
        Self::ForgottenOutage,
    ];
}

/// Steps after which a quiet world must have come to rest.
const QUIET_STEPS_MAX: u64 = 60_000;

/// Runs a seed to its end.
///
/// # Panics
/// If an invariant is broken, or a quiet world does not come to rest.
#[must_use]
pub fn run(seed: u64, keeps_text: bool) -> Report {
    run_in(World::new(seed, keeps_text))
}

/// Runs a seed in a world that is wrong.
///
/// # Panics
/// As soon as a judge notices.
#[must_use]
pub fn run_weakened(seed: u64, weakness: Weakness) -> Report {
    let mut world = World::new(seed, false);
    world.weakness = Some(weakness);
    world.journal.takes_closed_letters = weakness == Weakness::RedriveOfClosed;
    world.journal.forgets_outages = weakness == Weakness::ForgottenOutage;
    run_in(world)
}

fn run_in(mut world: World) -> Report {
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
    versions: Versions,
    journal: Journal,
    workers: Vec<Worker>,
    /// A lease that is not synced.
    starting: Option<(LeaseEpoch, Lsn)>,
    now: Timestamp,
    calls: u64,
    steps: u64,
    is_paused: bool,
    is_mended: bool,
    /// What the function needs is down.
    is_down: bool,
    /// It is what the canary alone needs.
    is_down_for_canary: bool,
    /// Of ten keys so many do not need it.
    spared: u64,
    is_calm: bool,
    /// Policy and version that the last owner had, to see what changed.
    last_policy: Option<(MappingSettings, u64)>,
    relaying: Relaying,
    weakness: Option<Weakness>,
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
    Turn(usize),
    Calm(usize),
    Tick(usize),
    Bury(usize),
    /// The relay reads letters.
    Gather,
    /// The relay brings what it read.
    Bring,
}

impl World {
    fn new(seed: u64, keeps_text: bool) -> Self {
        let mut random = Random::new(seed);
        let profile = Profile::draw(&mut random);
        let mut settings = profile.settings.clone();
        settings.on_failure = random.chance(400).then(relay::from_the_start);
        let mut trace = Trace::new(keeps_text);
        trace.line(format_args!("seed {seed}: {profile:?}"));
        Self {
            journal: Journal::new(&settings),
            max_attempts: settings.max_attempts,
            settings,
            profile,
            random,
            versions: Versions::first(),
            workers: Vec::new(),
            starting: None,
            now: Timestamp(1_000_000),
            calls: 0,
            steps: 0,
            is_paused: false,
            is_mended: false,
            is_down: false,
            is_down_for_canary: false,
            spared: 0,
            is_calm: false,
            last_policy: None,
            relaying: Relaying::default(),
            weakness: None,
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

    fn tell(&mut self, at: usize, event: Event) {
        let worker = &mut self.workers[at];
        let before = worker.pipeline.stats().parked_keys;
        let ghosts = worker.ghosts.len();
        worker.tell(event, self.now, &self.journal, &mut self.trace);
        for (_, ending) in worker.redriven.drain(..) {
            self.coverage.note(match ending {
                RedriveEnding::Resolved => Reached::RedriveResolved,
                RedriveEnding::FailedAgain => Reached::RedriveFailedAgain,
                RedriveEnding::Closed => Reached::RedriveClosed,
            });
        }
        if self.is_paused && worker.stopped.is_none() && worker.ghosts.len() > ghosts {
            self.coverage.note(Reached::PauseInterrupted);
        }
        if worker.pipeline.stats().parked_keys < before {
            self.coverage.note(Reached::KeyReleased);
        }
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

    /// Notes what runs beside what.
    fn look(&mut self) {
        for worker in &self.workers {
            let in_retry = |call: &&Invocation| call.slot == SlotId::Retry;
            let retries = worker.calls.iter().filter(in_retry).count();
            let lanes = worker.calls.len() - retries;
            let is_held = worker.settings.ordering == Ordering::Shard
                && worker.calls.is_empty()
                && worker.pipeline.deadline().is_some();
            if worker.pipeline.circuit().is_some() {
                self.coverage.note(Reached::CircuitOpen);
            }
            let circuits = [worker.pipeline.circuit(), worker.pipeline.canary_circuit()];
            if circuits.into_iter().flatten().any(Open::is_recovering) {
                self.coverage.note(Reached::CircuitRecovering);
            }
            if worker.pipeline.canary_circuit().is_some() {
                self.coverage.note(Reached::CanaryCircuitOpen);
            }
            if is_held {
                self.coverage.note(Reached::ShardHeld);
            }
            for call in worker.calls.iter().filter(in_retry) {
                if Worker::is_of_several(call, &self.journal) {
                    self.coverage.note(Reached::RetriesTogether);
                } else if worker.is_of_suspect(call) {
                    self.coverage.note(Reached::SuspectCalled);
                }
                if worker.takes_along(call, &self.journal) {
                    self.coverage.note(Reached::RetryTookAlong);
                }
            }
            if retries > 0 && lanes > 0 {
                self.coverage.note(Reached::LaneBesideRetry);
                if worker.calls.iter().any(|call| call.redrive.is_some()) {
                    self.coverage.note(Reached::RedriveBesideLane);
                }
            }
            if let Some(canary) = worker.canary() {
                let of_canary = worker.calls.iter().filter(|call| call.version == canary);
                match of_canary.count() {
                    0 => {}
                    all if all == worker.calls.len() => self.coverage.note(Reached::CanaryCalled),
                    _ => self.coverage.note(Reached::CanaryBesideLive),
                }
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
        self.is_down = false;
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
        let mut present = self.workers.iter().filter(|worker| self.is_present(worker));
        if present.any(|worker| !worker.redrives.is_empty()) {
            return false;
        }
        pending == Some(0) && journal.synced == journal.entries.len() && self.enabled().is_empty()
    }

    fn judge(&mut self) {
        for worker in self.workers.iter().filter(|worker| self.is_present(worker)) {
            let stats = worker.pipeline.stats();
            assert_eq!(stats.window_records, 0, "nothing is held at rest");
        }
        let judged = judging::judge(&self.journal, self.max_attempts, &mut self.coverage);
        if let Err(broken) = judged {
            panic!("{broken}");
        }
        self.judge_relay();
    }
}

//! What can happen in a life, one thing at a time.

use std::task::Poll;

use fnctl_core::{
    clock::Clock as _,
    commit::{CommitAnswer, Unavailable},
    id::{LeaseEpoch, Timestamp, UnitId},
    invoker::CallStats,
    mapping::MaxAttempts,
    outcome::Outcome,
    pipeline::{Event, StopReason},
    view::{NodeView, UnitTurn},
};

use super::{
    Branch, Weakness, World,
    control::{bindings, name},
    facts::{Draw, records},
    life::{Node, Over, PendingPut},
    windows,
    worker::{Call, CommitHabits, Progress, ReadOutcome, Start, Worker},
};
use crate::{
    guest::{self, Mood},
    profile::draw_settings,
};

/// Something that can happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Put(&'static str),
    Sequence,
    Apply,
    Poll,
    Advance,
    Read,
    Scratch,
    Lease(UnitId),
    Fetch(usize),
    Reread(usize),
    Call(usize, usize),
    Ghost(usize),
    Progress(usize),
    Tail(usize),
    Tick(usize),
    Bury(usize),
}

impl World {
    pub(super) fn step(&mut self, node: &mut Node) -> Result<(), Over> {
        self.steps += 1;
        self.trouble(node);
        let mut steps = self.enabled(node);
        steps.extend([Step::Put("in"), Step::Put("in"), Step::Advance, Step::Apply]);
        steps.push(match self.random.below(6) {
            0 => Step::Scratch,
            1 | 2 => Step::Read,
            _ => Step::Put("short"),
        });
        let step = self.random.pick(&steps);
        self.say(format_args!("{step:?}"));
        self.perform(node, step)?;
        if self.disk.is_down() {
            // Under a reader: the loops find out by themselves.
            self.poll_requests(node);
            return Err(Over);
        }
        Ok(())
    }

    fn enabled(&self, node: &Node) -> Vec<Step> {
        let mut steps = vec![Step::Sequence, Step::Sequence];
        if !(node.puts.is_empty() && node.leases.is_empty() && node.scratches.is_empty()) {
            steps.push(Step::Poll);
        }
        for unit in self.idle_units(node) {
            steps.push(Step::Lease(unit));
        }
        steps.extend(self.enabled_workers(node));
        steps
    }

    /// Units whose turn it is and that have no owner here.
    pub(super) fn idle_units(&self, node: &Node) -> Vec<UnitId> {
        let units: Vec<(UnitId, LeaseEpoch)> = node.store.view(|view| {
            let due = |(unit, _): &(UnitId, _)| view.turn(*unit) == Some(UnitTurn::Due);
            let units = view.units().filter(due);
            units.map(|(unit, state)| (unit, state.epoch)).collect()
        });
        let is_owned = |(unit, epoch): &(UnitId, LeaseEpoch)| {
            node.leases.iter().any(|(of, _)| of == unit)
                || node.workers.iter().any(|worker| {
                    worker.unit == *unit && worker.epoch >= *epoch && worker.stopped.is_none()
                })
        };
        let idle = units.into_iter().filter(|unit| !is_owned(unit));
        idle.map(|(unit, _)| unit).collect()
    }

    pub(super) fn enabled_workers(&self, node: &Node) -> Vec<Step> {
        let now = self.clock.now();
        let mut steps = Vec::new();
        for (at, worker) in node.workers.iter().enumerate() {
            if worker.stopped.is_some() {
                steps.push(Step::Bury(at));
                continue;
            }
            if worker.wants_fetch() {
                steps.push(Step::Fetch(at));
            }
            if worker.wants_reread() {
                steps.push(Step::Reread(at));
            }
            steps.extend((0..worker.calls.len()).map(|call| Step::Call(at, call)));
            if !worker.ghosts.is_empty() {
                steps.push(Step::Ghost(at));
            }
            if worker.has_flights() {
                steps.push(Step::Progress(at));
            }
            if worker.has_tail_news() {
                steps.push(Step::Tail(at));
            }
            if worker
                .pipeline
                .deadline()
                .is_some_and(|deadline| deadline <= now)
            {
                steps.push(Step::Tick(at));
            }
        }
        steps
    }

    fn trouble(&mut self, node: &mut Node) {
        if self.random.chance(self.profile.full) {
            if node.is_full {
                self.lift(node);
            } else {
                let left = self.random.pick(&[0, 500, 5_000, 30_000]);
                let left = self.random.between(0, left);
                self.disk.set_capacity(self.disk.used() + left);
                self.say(format_args!("{left} bytes are left"));
                node.is_full = true;
            }
        }
        if self.random.chance(self.profile.clock_jump) {
            self.jump();
        }
        self.reshard(node);
        self.people(node);
        if self.random.chance(self.profile.takeover) {
            let units: Vec<UnitId> = node.store.view(|view| view.units().map(|u| u.0).collect());
            if !units.is_empty() && node.workers.len() < 8 {
                let unit = self.random.pick(&units);
                self.lease(node, unit);
            }
        }
    }

    fn lift(&mut self, node: &mut Node) {
        self.disk.set_capacity(u64::MAX);
        self.say(format_args!("there is room again"));
        node.is_full = false;
    }

    fn jump(&mut self) {
        const HOUR: i64 = 3_600_000;
        const YEARS: i64 = 10 * 365 * 24 * HOUR;
        let ms = self.random.pick(&[500, 20_000, HOUR, 2 * HOUR, YEARS]);
        let is_forward = self.random.chance(500);
        self.coverage.note(if is_forward {
            Branch::ClockForward
        } else {
            Branch::ClockBack
        });
        self.clock.jump(if is_forward { ms } else { -ms });
        self.say(format_args!(
            "the clock jumped by {ms}, forward: {is_forward}"
        ));
    }

    pub(super) fn perform(&mut self, node: &mut Node, step: Step) -> Result<(), Over> {
        match step {
            Step::Put(stream) => self.put(node, stream),
            Step::Sequence => {
                self.sequence(node)?;
            }
            Step::Apply => {
                self.apply(node)?;
            }
            Step::Poll => self.poll_requests(node),
            Step::Advance => {
                let ms = self.random.pick(&[1, 20, 300, 1_100, 2_500]);
                self.pass(ms);
            }
            Step::Read => self.read_somewhere(node),
            Step::Scratch => self.scratch(node),
            Step::Lease(unit) => self.lease(node, unit),
            Step::Fetch(at) => {
                let (worker, ledger) = (&mut node.workers[at], &mut self.ledger);
                let is_first = worker.is_first();
                let outcome = worker.fetch(&node.store, &self.facts, |block| {
                    ledger.saw_block(block, is_first);
                });
                self.was_read(node, at, outcome);
            }
            Step::Reread(at) => {
                let (worker, ledger) = (&mut node.workers[at], &mut self.ledger);
                let is_first = worker.is_first();
                let outcome = worker.reread(&node.store, |block| ledger.saw_block(block, is_first));
                self.was_read(node, at, outcome);
            }
            Step::Call(at, call) => {
                let call = node.workers[at].calls.swap_remove(call);
                let event = if !self.is_calm && self.random.chance(20) {
                    Event::HostFault {
                        attempt: call.invocation.attempt,
                    }
                } else {
                    self.invoked(&call)
                };
                self.tell(node, at, event);
            }
            Step::Ghost(at) => {
                let call = node.workers[at].ghosts.pop().expect("enabled");
                let event = self.invoked(&call);
                self.tell(node, at, event);
            }
            Step::Progress(at) => self.progress(node, at),
            Step::Tail(at) => match node.workers[at].tail_news() {
                Some(event) => self.tell(node, at, event),
                None => self.remove_worker(node, at),
            },
            Step::Tick(at) => {
                self.tell(node, at, Event::Tick);
                let (worker, now) = (&node.workers[at], self.clock.now());
                let deadline = worker.pipeline.deadline();
                assert!(
                    deadline.is_none_or(|deadline| deadline > now),
                    "a deadline was passed over"
                );
            }
            Step::Bury(at) => self.bury(node, at),
        }
        Ok(())
    }

    pub(super) fn put(&mut self, node: &mut Node, stream: &'static str) {
        let draw = Draw {
            records_max: if self.random.chance(100) { 30 } else { 6 },
            keys: self.profile.keys,
            payload_max: self.profile.payload_max,
            bad: if stream == "in" { self.profile.bad } else { 0 },
        };
        let first = self.facts.next();
        let rows = self.facts.draw(&draw, &mut self.random);
        let number = self
            .ledger
            .handed_in(&name(stream), first..self.facts.next());
        self.say(format_args!(
            "put {number}: {} rows from {first}",
            rows.len()
        ));
        let times = if self.is(Weakness::RepeatedPut) { 2 } else { 1 };
        let store = node.store.clone();
        let new = records(&rows);
        let answer = Box::pin(async move {
            for _ in 1..times {
                drop(store.append(name(stream), new.clone(), None).await);
            }
            store.append(name(stream), new, None).await
        });
        let mut put = PendingPut {
            number,
            rows,
            answer,
        };
        // Handed in at once, so that the order is that of the schedule.
        if let Poll::Ready(answer) = super::life::poll_once(put.answer.as_mut()) {
            // What is refused at once is refused; nothing is acknowledged without a sync.
            assert!(answer.is_err(), "acknowledged before a sync");
            put.answer = Box::pin(std::future::ready(answer));
        }
        if self.is(Weakness::EarlyAcknowledgement) {
            self.ledger.must_be_there(put.number);
        }
        node.puts.push(put);
    }

    fn lease(&mut self, node: &mut Node, unit: UnitId) {
        let store = node.store.clone();
        let mut answer = Box::pin(async move { store.lease(vec![unit]).await });
        if super::life::poll_once(answer.as_mut()).is_pending() {
            node.leases.push((unit, answer));
        }
    }

    pub(super) fn start_worker(&mut self, node: &mut Node, unit: UnitId, epoch: LeaseEpoch) {
        let source = node.store.view(|view| {
            let stream = view.registry().stream(unit.stream)?;
            Some(stream.name.as_str().to_owned())
        });
        let Some(source) = source else { return };
        if self.random.chance(100) {
            self.redraw();
        }
        self.switch_canary();
        let is_first = source == "in";
        let start = Start {
            unit,
            epoch,
            settings: &self.profile.settings,
            attempts_max: self.attempts_max,
            outputs: bindings(if is_first { "out" } else { "end" }),
            versions: self.versions,
            seed: self.random.next(),
            is_first,
            habits: CommitHabits {
                drops_effects: self.is(Weakness::DroppedEffects),
                forgets_letters: self.is(Weakness::ForgottenLetter),
            },
        };
        if let Some((worker, event)) = Worker::start(&node.store, start) {
            node.workers.push(worker);
            let at = node.workers.len() - 1;
            self.tell(node, at, event);
        }
    }

    /// Another policy, and now and then another version.
    fn redraw(&mut self) {
        self.profile.settings = draw_settings(&mut self.random);
        self.windows.apply_changed(&mut self.profile.settings);
        self.ledger.is_all_windowed &= self.windows.is_always_on;
        if self.random.below(2) == 1 {
            self.versions.deploy();
        }
        self.attempts_max = match (self.attempts_max, self.profile.settings.max_attempts) {
            (MaxAttempts::Count(a), MaxAttempts::Count(b)) => MaxAttempts::Count(a.max(b)),
            _ => MaxAttempts::Unlimited,
        };
    }

    pub(super) fn tell(&mut self, node: &mut Node, at: usize, event: Event) {
        let now = self.clock.now();
        if matches!(event, Event::Invoked { .. }) {
            self.hear(node, at, now);
        }
        let resent = node.workers[at].resent;
        node.workers[at].tell(event, now, &node.store, &self.facts, &mut self.trace);
        let resent = node.workers[at].resent - resent;
        self.coverage.note_times(Branch::CommitResent, resent);
        let worker = &mut node.workers[at];
        for (version, sign) in worker.felt.drain(..) {
            let witnesses = node.witnesses.entry(worker.unit.mapping).or_default();
            witnesses.felt(version, &sign, now);
        }
        self.note_worker(&mut node.workers[at]);
    }

    /// An owner hears what the calls of the whole mapping say, before it judges one of its own.
    fn hear(&mut self, node: &mut Node, at: usize, now: Timestamp) {
        let worker = &mut node.workers[at];
        let witnesses = node.witnesses.entry(worker.unit.mapping).or_default();
        let (live, canary) = worker.versions();
        let mut is_sick = |version| witnesses.are_enough(version, now);
        let event = Event::MappingSick {
            live: is_sick(live),
            canary: canary.is_some_and(is_sick),
        };
        worker.tell(event, now, &node.store, &self.facts, &mut self.trace);
    }

    fn was_read(&mut self, node: &mut Node, at: usize, outcome: ReadOutcome) {
        if node.is_full {
            self.coverage.note(Branch::ReadWhileFull);
        }
        match outcome {
            ReadOutcome::Event(event) => self.tell(node, at, event),
            ReadOutcome::End => {
                let worker = &node.workers[at];
                // The entry that expired it fenced its owner as well.
                let is_right = node
                    .store
                    .view(|view| Some(view.unit(worker.unit)?.epoch > worker.epoch));
                self.remove_worker(node, at);
                assert!(
                    is_right != Some(false),
                    "records were taken from under an owner that was not fenced"
                );
                self.coverage.note(Branch::OwnerFenced);
            }
            ReadOutcome::Damaged(words) => panic!("nothing was damaged: {words}"),
        }
    }

    fn invoked(&mut self, call: &Call) -> Event {
        self.calls += 1;
        let mood = Mood {
            emits_whole_call: false,
            is_mended: self.is_mended,
            is_down: self.people.is_down,
            spared: self.people.spared,
            is_up: self.is_calm,
            call: self.calls,
        };
        let window = call.invocation.window.as_ref();
        let state = window.map(|window| windows::fold(window, call));
        let outcome: Outcome = match window {
            Some(window) if call.seen.is_empty() => self.window_ends(window),
            _ => guest::call(&call.seen, mood, &mut self.random),
        };
        Event::Invoked {
            attempt: call.invocation.attempt,
            outcome,
            state,
            cost: CallStats::default().into(),
        }
    }

    fn progress(&mut self, node: &mut Node, at: usize) {
        match node.workers[at].progress() {
            None => {}
            Some(Progress::Answered(event, answer, commit)) => {
                match answer {
                    CommitAnswer::Accepted(lsn) => self.ledger.effects.accepted(lsn, commit),
                    CommitAnswer::Fenced => self.coverage.note(Branch::CommitFenced),
                    CommitAnswer::Refused { .. } => {}
                    CommitAnswer::Unavailable(Unavailable::DiskFull) => {
                        self.coverage.note(Branch::CommitRefusedFull);
                    }
                    CommitAnswer::Unavailable(_) => {}
                }
                self.tell(node, at, event);
            }
            Some(Progress::Durable(event)) => self.tell(node, at, event),
            Some(Progress::Stopped) => self.remove_worker(node, at),
        }
    }

    /// A stopped worker goes. A `fatal` is mended by whoever reads of it.
    fn bury(&mut self, node: &mut Node, at: usize) {
        let worker = &node.workers[at];
        let (unit, epoch) = (worker.unit, worker.epoch);
        let stopped = worker.stopped.clone();
        self.remove_worker(node, at);
        if let Some(StopReason::Fatal { version, .. }) = stopped {
            if self.versions.take_back(version) {
                self.coverage.note(Branch::CanaryRolledBack);
            } else {
                self.is_mended |= self.random.chance(500);
                self.versions.deploy();
            }
            let is_ours = |view: &NodeView| view.unit(unit).is_some_and(|u| u.epoch == epoch);
            if node.store.view(is_ours) {
                self.lease(node, unit);
            }
        }
    }
}

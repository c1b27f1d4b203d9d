//! What goes wrong, and what people change meanwhile.

use fnctl_core::{
    id::{Ordinal, Timestamp},
    mapping::MaxAttempts,
    pipeline::{Event, StopReason},
};

use super::{Step, World};
use crate::{coverage::Reached, hands, profile::draw_settings, worker::Worker};

impl World {
    /// Whether trouble came.
    pub(super) fn trouble(&mut self) -> bool {
        let trouble = self.profile.trouble.clone();
        if let Some(at) = self.workers.iter().position(|worker| worker.is_careful)
            && self.random.chance(4)
        {
            self.perform(Step::Calm(at));
            return true;
        }
        let random = &mut self.random;
        let turns = if self.is_down { 10 } else { trouble.outage };
        if random.chance(turns) {
            self.is_down = !self.is_down;
            self.is_down_for_canary = random.chance(300);
            self.spared = random.pick(&[0, 0, 1, 3, 5, 8]);
        }
        let hears = random.chance(trouble.outage).then(|| Event::MappingSick {
            live: random.chance(500),
            canary: random.chance(500),
        });
        if let Some(event) = hears {
            self.hear(&event);
        }
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
            // Its dead letters are new ones.
            if let Some(relay) = &mut self.settings.on_failure {
                relay.after = Ordinal(0);
            }
            self.journal.remake_mapping(&self.settings);
            self.starting = None;
        } else if random.chance(trouble.output) {
            self.trace.line(format_args!("{} toggle output", self.now));
            self.journal.toggle_output();
        } else if random.chance(trouble.pause) {
            self.pause();
        } else if random.chance(trouble.hand) {
            return self.hand();
        } else if random.chance(trouble.redrive) {
            return match self.random.chance(250) {
                true => self.withdraw(),
                false => self.redrive(),
            };
        } else if random.chance(trouble.purge) {
            return self.purge();
        } else if random.chance(trouble.seek) {
            self.seek();
        } else if random.chance(trouble.clock) {
            self.jump();
        } else {
            return false;
        }
        true
    }

    /// A person does something to records that are not done: whether there are any.
    fn hand(&mut self) -> bool {
        let is_open = |worker: &Worker| !worker.pipeline.inspect().unsettled.is_empty();
        let living = |worker: &Worker| worker.stopped.is_none() && is_open(worker);
        let Some(at) = self.workers.iter().position(living) else {
            return false;
        };
        let drawn = hands::draw(&self.workers[at].pipeline, &mut self.random);
        let event = drawn.expect("it has such records");
        if let Event::GiveUp { positions, .. } = &event {
            self.workers[at].given_up.extend(positions);
        }
        self.tell(at, event);
        true
    }

    /// Owners hear of the keys of the mapping's other shards: that enough of them failed, or did not.
    fn hear(&mut self, event: &Event) {
        for at in 0..self.workers.len() {
            if self.workers[at].stopped.is_none() {
                let before = self.workers[at].is_circuit_open(false);
                self.tell(at, event.clone());
                assert_eq!(self.workers[at].is_circuit_open(false), before);
                self.coverage.note(Reached::MappingSick);
            }
        }
    }

    pub(super) fn pause(&mut self) {
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

    /// The wall clock goes back a little, or on by hours.
    fn jump(&mut self) {
        if self.random.chance(800) {
            self.now = Timestamp(self.now.0 - self.random.below(5_000).min(self.now.0));
            self.coverage.note(Reached::ClockBack);
        } else {
            self.now = self.now.plus_ms(self.random.between(60_000, 36_000_000));
            self.coverage.note(Reached::ClockForward);
            self.ring();
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
            if !worker.redrives.is_empty() {
                self.coverage.note(Reached::RedriveLost);
            }
        }
        let repeats_from = self.random.below(self.journal.entries.len() as u64 + 1);
        self.trace.line(format_args!(
            "{} crash, frame kept: {keeps_frame}",
            self.now
        ));
        self.workers.clear();
        self.starting = None;
        self.relaying.crash();
        let repeats_from = usize::try_from(repeats_from).expect("an index");
        self.journal.crash(keeps_frame, repeats_from);
        let registry = self.journal.view.registry();
        let mapping = registry.mapping(self.journal.mapping);
        // A change that was not synced never was.
        self.settings = mapping.expect("there is one").settings.clone();
        if self.random.chance(300) {
            self.redraw();
            self.journal.change_mapping(&self.settings);
        }
    }

    /// Another policy, and now and then another version.
    fn redraw(&mut self) {
        let relay = self.settings.on_failure.take();
        self.settings = draw_settings(&mut self.random);
        self.settings.on_failure = self.redraw_relay(relay);
        if self.random.chance(self.profile.canaries) {
            let switch = self.versions.switch(&mut self.random);
            self.coverage.note(Reached::of_switch(switch));
            self.trace
                .line(format_args!("{} {switch:?}: {:?}", self.now, self.versions));
        } else if self.random.chance(500) {
            self.versions.deploy();
        }
        self.max_attempts = match (self.max_attempts, self.settings.max_attempts) {
            (MaxAttempts::Count(a), MaxAttempts::Count(b)) => MaxAttempts::Count(a.max(b)),
            _ => MaxAttempts::Unlimited,
        };
    }

    /// A stopped worker goes. A `fatal` is mended by whoever reads of it.
    pub(super) fn bury(&mut self, at: usize) {
        let worker = self.workers.remove(at);
        if !worker.redrives.is_empty() {
            self.coverage.note(Reached::RedriveLost);
        }
        for _ in 0..worker.dropped {
            self.coverage.note(Reached::CommitDropped);
        }
        match worker.stopped {
            Some(StopReason::Fatal { version, .. }) => {
                if self.versions.take_back(version) {
                    self.coverage.note(Reached::CanaryRolledBack);
                } else {
                    self.is_mended |= self.random.chance(500);
                    self.versions.deploy();
                }
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
}

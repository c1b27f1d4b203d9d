//! Starts, drains and pauses workers, by the difference between what should run and what does.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fnctl_core::{
    id::UnitId,
    reconcile::{self, Plan, Stamp},
};
use tokio::{sync::mpsc, time::Instant};
use tracing::debug;

use super::{Node, Running, Task, UnitStatus, Work};
use crate::{
    limits,
    shard_worker::{Directive, Standing},
};

impl<N: Node> Task<N> {
    /// Does what the difference between what should run and what does asks for.
    pub(super) async fn reconcile(&mut self) {
        let desired = self.desired();
        let running: BTreeMap<UnitId, reconcile::Running> = self
            .running
            .iter()
            .map(|(unit, worker)| {
                let known = reconcile::Running {
                    stamp: worker.stamp,
                    is_stopping: worker.cut_at.is_some(),
                };
                (*unit, known)
            })
            .collect();
        let now = Instant::now();
        self.faults.retain(|unit, fault| {
            desired.contains_key(unit) || fault.until.is_some_and(|until| until > now)
        });
        let Plan { start, stop, pause } =
            reconcile::reconcile(&desired, &running, &BTreeSet::new());
        let grace = if self.is_ending {
            limits::SHUTDOWN_GRACE
        } else {
            limits::SWAP_GRACE
        };
        for unit in stop {
            self.direct(unit, Directive::Drain { grace });
            if let Some(worker) = self.running.get_mut(&unit) {
                worker.cut_at = Some(now + grace + limits::CUT_MARGIN);
            }
        }
        for (unit, is_paused) in pause {
            let directive = match is_paused {
                true => Directive::Pause { grace },
                false => Directive::Resume,
            };
            // One that did not hear it is told at the next turn.
            if self.direct(unit, directive)
                && let Some(worker) = self.running.get_mut(&unit)
            {
                worker.stamp.is_paused = is_paused;
            }
        }
        let may_start = |unit: &UnitId| {
            self.faults
                .get(unit)
                .is_none_or(|fault| fault.until.is_some_and(|until| until <= now))
        };
        let start: BTreeMap<UnitId, Stamp> = start
            .into_iter()
            .filter(|(unit, _)| may_start(unit))
            .collect();
        if !start.is_empty() {
            self.start(start).await;
        }
    }

    /// What should run now; a worker that was fenced from outside is ended on the way.
    fn desired(&mut self) -> BTreeMap<UnitId, Stamp> {
        if self.is_ending {
            return BTreeMap::new();
        }
        let (generations, running) = (&mut self.generations, &mut self.running);
        let mut desired = self.node.view(|view| {
            for (unit, worker) in running.iter_mut() {
                let is_fenced = view.unit(*unit).is_none_or(|now| now.epoch > worker.epoch);
                if is_fenced && !worker.task.is_finished() {
                    worker.task.abort();
                    worker
                        .cut_at
                        .get_or_insert(Instant::now() + limits::DRAIN_MAX);
                }
            }
            generations.desired(view)
        });
        desired.retain(|unit, _| !self.holds.contains_key(&unit.mapping));
        desired
    }

    /// Gives a worker a directive; whether it will hear it. One that does not listen any more is about to be
    /// joined.
    fn direct(&self, unit: UnitId, directive: Directive) -> bool {
        let worker = self.running.get(&unit);
        let is_told = worker.is_some_and(|worker| worker.directives.try_send(directive).is_ok());
        if !is_told {
            let mapping = self
                .node
                .view(|view| view.registry().address_of(unit.mapping));
            debug!(%mapping, shard = %unit.shard.shard_id(), "a worker did not take its directive");
        }
        is_told
    }

    /// Passes on what somebody asks of a worker, as long as that leaves room for what it must be told. Who asks
    /// learns by the answer's sender being dropped.
    pub(super) fn pass_on(&self, unit: UnitId, directive: Directive) {
        let room = self
            .running
            .get(&unit)
            .map(|worker| worker.directives.capacity());
        if room.is_some_and(|room| room > limits::DIRECTIVES_RESERVED) {
            self.direct(unit, directive);
        }
    }

    async fn start(&mut self, wanted: BTreeMap<UnitId, Stamp>) {
        let granted = match self.node.lease(wanted.keys().copied().collect()).await {
            Ok(granted) => granted,
            Err(stopped) => return self.store_stopped(&stopped.0),
        };
        for (unit, epoch) in granted {
            let Some(&stamp) = wanted.get(&unit) else {
                continue;
            };
            let (directives, listening) = mpsc::channel(limits::DIRECTIVES_MAX);
            let Some(work) = self.node.view(|view| Work::of(view, unit)) else {
                continue;
            };
            let Some(worker) = self.node.worker(unit, epoch, &work, listening) else {
                continue;
            };
            if stamp.is_paused {
                let pause = Directive::Pause {
                    grace: Duration::ZERO,
                };
                directives.try_send(pause).expect("a new channel has room");
            }
            let task = self.tasks.spawn(worker);
            self.units.insert(task.id(), unit);
            let status = UnitStatus::Running {
                version: work.version().number,
                first_outcome: None,
                last_outcome: None,
                standing: Standing::default(),
            };
            self.statuses.set(unit, Some(status));
            let running = Running {
                stamp,
                epoch,
                directives,
                task,
                started: Instant::now(),
                cut_at: None,
            };
            self.running.insert(unit, running);
        }
    }
}

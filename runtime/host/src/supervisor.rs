//! Keeps running what should run: one worker for each unit of each running mapping.
//!
//! Wakes when the catalogue or a lease changed, when a worker ended, or when it is asked; sleeps
//! otherwise. A planned change holds its mappings first: their workers drain, the change is
//! committed, and what should run then is started from what is committed.

mod handle;
mod status;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use fnctl_core::{
    committer::Stopped,
    id::{LeaseEpoch, MappingId, UnitId},
    reconcile::{self, Plan, Stamp},
    registry::Command,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::Instant,
};
use tracing::{debug, error, info, warn};

use self::{handle::Request, work::Generations};
pub(crate) use self::{
    handle::Supervisor,
    status::{FirstOutcome, OutcomeReport, Statuses, UnitStatus},
    work::Work,
};
use crate::{
    backoff, limits,
    shard_worker::{Directive, Exit},
};

/// What the supervisor needs of the node: the store, and how a worker is made.
pub(crate) trait Node: Send + Sync + 'static {
    /// Wakes when the catalogue or a lease was published.
    fn changed(&self) -> watch::Receiver<u64>;

    /// Reads the published view.
    fn view<R>(&self, read: impl FnOnce(&fnctl_core::view::NodeView) -> R) -> R;

    /// Appoints this node the owner of units, in one entry.
    fn lease(
        &self,
        units: Vec<UnitId>,
    ) -> impl Future<Output = Result<Vec<(UnitId, LeaseEpoch)>, Stopped>> + Send;

    /// Hands in a command of the supervisor's own; a refusal is logged by the node.
    fn command(&self, command: Command) -> impl Future<Output = Result<(), Stopped>> + Send;

    /// Makes the worker of a unit whose lease was granted; `None`: the view has moved on.
    fn worker(
        &self,
        unit: UnitId,
        epoch: LeaseEpoch,
        work: &Work,
        directives: mpsc::Receiver<Directive>,
    ) -> Option<impl Future<Output = Exit> + Send + 'static>;

    /// The set of functions or mappings may have shrunk: forget what belongs to gone ones.
    fn tidy(&self);

    /// A worker ended by a fault of ours.
    fn worker_failed(&self);
}

/// A supervisor of a node, and its task, which the caller spawns.
pub(crate) fn supervisor<N: Node>(
    node: Arc<N>,
    statuses: Arc<Statuses>,
) -> (Supervisor, impl Future<Output = ()> + Send + 'static) {
    let (requests, inbox) = mpsc::channel(limits::SUPERVISOR_QUEUE_MAX);
    let (releases, released) = mpsc::channel(limits::SUPERVISOR_QUEUE_MAX);
    let (told, stopped) = watch::channel(None);
    let task = Task {
        node,
        statuses: Arc::clone(&statuses),
        stopped: told,
        generations: Generations::default(),
        running: HashMap::new(),
        tasks: JoinSet::new(),
        units: HashMap::new(),
        holds: HashMap::new(),
        holding: Vec::new(),
        faults: HashMap::new(),
        is_ending: false,
    };
    let handle = Supervisor::new(requests, releases, statuses, stopped);
    (handle, task.run(inbox, released))
}

/// A worker as its supervisor sees it.
struct Running {
    stamp: Stamp,
    epoch: LeaseEpoch,
    directives: mpsc::Sender<Directive>,
    task: AbortHandle,
    started: Instant,
    /// When a draining worker is cut off.
    cut_at: Option<Instant>,
}

/// A unit whose worker ended by a fault.
struct Fault {
    pause: Duration,
    /// `None`: it stays as it is until the catalogue changes it.
    until: Option<Instant>,
}

struct Task<N> {
    node: Arc<N>,
    statuses: Arc<Statuses>,
    stopped: watch::Sender<Option<String>>,
    generations: Generations,
    running: HashMap<UnitId, Running>,
    tasks: JoinSet<Exit>,
    units: HashMap<Id, UnitId>,
    holds: HashMap<MappingId, u32>,
    holding: Vec<(Vec<MappingId>, oneshot::Sender<()>)>,
    faults: HashMap<UnitId, Fault>,
    is_ending: bool,
}

impl<N: Node> Task<N> {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Request>,
        mut released: mpsc::Receiver<Vec<MappingId>>,
    ) {
        let mut changed = self.node.changed();
        let mut shutdowns: Vec<oneshot::Sender<()>> = Vec::new();
        loop {
            self.reconcile().await;
            self.answer_holds();
            if self.is_ending && self.running.is_empty() {
                for done in shutdowns {
                    done.send(()).unwrap_or_default();
                }
                return;
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
                request = inbox.recv() => match request {
                    Some(Request::Hold(mappings, done)) => {
                        for mapping in &mappings {
                            *self.holds.entry(*mapping).or_default() += 1;
                        }
                        self.holding.push((mappings, done));
                    }
                    Some(Request::Shutdown(done)) => {
                        self.is_ending = true;
                        shutdowns.push(done);
                    }
                    None => self.is_ending = true,
                },
                Some(mappings) = released.recv() => self.release(&mappings),
                result = changed.changed(), if !self.is_ending => {
                    if result.is_err() {
                        self.is_ending = true;
                    }
                    self.node.tidy();
                }
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.cut_off();
                }
            }
        }
    }

    fn release(&mut self, mappings: &[MappingId]) {
        for mapping in mappings {
            if let Some(holds) = self.holds.get_mut(mapping) {
                *holds -= 1;
                if *holds == 0 {
                    self.holds.remove(mapping);
                }
            }
        }
    }

    /// Does what the difference between what should run and what does asks for.
    async fn reconcile(&mut self) {
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
            self.direct(
                unit,
                if is_paused {
                    Directive::Pause { grace }
                } else {
                    Directive::Resume
                },
            );
            if let Some(worker) = self.running.get_mut(&unit) {
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

    fn direct(&self, unit: UnitId, directive: Directive) {
        if let Some(worker) = self.running.get(&unit)
            && worker.directives.try_send(directive).is_err()
        {
            // It does not listen any more: it is about to be joined.
            debug!(mapping = %unit.mapping, shard = %unit.shard, "a worker ended in front of its directive");
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

    async fn ended(&mut self, ended: Result<(Id, Exit), JoinError>) {
        let (task, exit) = match ended {
            Ok((task, exit)) => (task, Ok(exit)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(unit) = self.units.remove(&task) else {
            return;
        };
        let Some(running) = self.running.remove(&unit) else {
            return;
        };
        self.statuses.set(unit, None);
        let mapping = unit.mapping;
        match exit {
            Ok(Exit::Drained | Exit::Gone) => drop(self.faults.remove(&unit)),
            Ok(Exit::Fenced) => {
                // Expected after a change from outside; anything else must not spin.
                let is_planned = self.node.view(|view| {
                    view.unit(unit)
                        .is_none_or(|unit| unit.epoch != running.epoch)
                });
                if !is_planned {
                    self.fault(unit, &running, "it was fenced without another owner");
                }
            }
            Ok(Exit::Fatal { code, message }) => {
                info!(%mapping, shard = %unit.shard, code = &*code, "the function said fatal, stopping the mapping");
                let command = Command::StopMapping {
                    mapping,
                    code: code.to_string(),
                    message: message.to_string(),
                };
                match self.node.command(command).await {
                    // The catalogue keeps the unit from now on; should it have said no, the next try
                    // comes after a pause.
                    Ok(()) => {
                        let pause = limits::FAULT_BACKOFF_INITIAL;
                        let until = Some(Instant::now() + pause);
                        self.faults.insert(unit, Fault { pause, until });
                    }
                    Err(stopped) => self.store_stopped(&stopped.0),
                }
            }
            Ok(Exit::Damaged(words)) => {
                error!(%mapping, shard = %unit.shard, error = words, "the shard is damaged, its unit stops");
                let fault = Fault {
                    pause: limits::FAULT_BACKOFF_MAX,
                    until: None,
                };
                self.faults.insert(unit, fault);
                self.statuses.set(unit, Some(UnitStatus::Damaged(words)));
            }
            Ok(Exit::StoreStopped(words)) => self.store_stopped(&words),
            // Fenced from outside, or cut off.
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.fault(unit, &running, &error.to_string()),
        }
    }

    /// Keeps a unit from starting again at once.
    fn fault(&mut self, unit: UnitId, running: &Running, words: &str) {
        error!(mapping = %unit.mapping, shard = %unit.shard, error = words, "a worker failed, starting it again after a pause");
        self.node.worker_failed();
        let before = self.faults.get(&unit).map(|fault| fault.pause);
        let has_lasted = running.started.elapsed() >= limits::FAULT_BACKOFF_MAX;
        let pause = backoff::next(before.filter(|_| !has_lasted));
        let until = Some(Instant::now() + pause);
        self.faults.insert(unit, Fault { pause, until });
        self.statuses
            .set(unit, Some(UnitStatus::Faulted(words.to_owned())));
    }

    fn store_stopped(&mut self, words: &str) {
        self.is_ending = true;
        self.stopped.send_if_modified(|told| {
            let is_news = told.is_none();
            if is_news {
                *told = Some(words.to_owned());
            }
            is_news
        });
        for running in self.running.values() {
            running.task.abort();
        }
    }

    /// Answers holds whose mappings run nothing any more.
    fn answer_holds(&mut self) {
        let running = &self.running;
        let is_quiet =
            |mappings: &[MappingId]| !running.keys().any(|unit| mappings.contains(&unit.mapping));
        for (mappings, done) in std::mem::take(&mut self.holding) {
            if is_quiet(&mappings) {
                done.send(()).unwrap_or_default();
            } else {
                self.holding.push((mappings, done));
            }
        }
    }

    /// When something is to be done without being asked.
    fn next_wake(&self) -> Option<Instant> {
        let cuts = self.running.values().filter_map(|running| running.cut_at);
        let now = Instant::now();
        let faults = self
            .faults
            .values()
            .filter_map(|fault| fault.until)
            .filter(|until| *until > now);
        cuts.chain(faults).min()
    }

    fn cut_off(&mut self) {
        let now = Instant::now();
        for (unit, running) in &mut self.running {
            if running.cut_at.is_some_and(|at| at <= now) {
                warn!(mapping = %unit.mapping, shard = %unit.shard, "a worker did not drain in time, cutting it off");
                running.task.abort();
                running.cut_at = Some(now + limits::DRAIN_MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests;

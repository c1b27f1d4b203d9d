//! Keeps running what should run: one worker for each unit of each running mapping.
//!
//! Wakes when the catalogue or a lease changed, when a worker ended, or when it is asked; sleeps
//! otherwise. A planned change holds its mappings first: their workers drain, the change is
//! committed, and what should run then is started from what is committed.

mod ended;
mod handle;
mod starting;
mod status;
mod work;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use fnctl_core::{
    committer::Stopped,
    id::{LeaseEpoch, MappingId, UnitId},
    reconcile::Stamp,
    registry::Command,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, Id, JoinSet},
    time::Instant,
};
use tracing::warn;

use self::{handle::Request, work::Generations};
pub(crate) use self::{
    handle::{GivenUp, Supervisor},
    status::{CallOutcome, OutcomeReport, Statuses, UnitStatus},
    work::Work,
};
use crate::{
    limits,
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
    holding: Vec<(HashSet<MappingId>, oneshot::Sender<()>)>,
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
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.ended(ended).await;
                    // All that have ended by now are one turn: a turn looks at every unit there is, and a swap
                    // ends thousands of workers.
                    while let Some(ended) = self.tasks.try_join_next_with_id() {
                        self.ended(ended).await;
                    }
                }
                request = inbox.recv() => match request {
                    Some(Request::Hold(mappings, done)) => {
                        for mapping in &mappings {
                            *self.holds.entry(*mapping).or_default() += 1;
                        }
                        self.holding.push((mappings.into_iter().collect(), done));
                    }
                    Some(Request::Direct(unit, directive)) => self.pass_on(unit, directive),
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

    /// Answers holds whose mappings run nothing any more.
    fn answer_holds(&mut self) {
        let running = &self.running;
        let is_quiet =
            |held: &HashSet<MappingId>| !running.keys().any(|unit| held.contains(&unit.mapping));
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
                let mapping = self
                    .node
                    .view(|view| view.registry().address_of(unit.mapping));
                let shard = unit.shard.shard_id();
                warn!(%mapping, %shard, "a worker did not drain in time, cutting it off");
                running.task.abort();
                running.cut_at = Some(now + limits::DRAIN_MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests;

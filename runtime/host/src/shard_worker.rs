//! Acts for one unit: drives its pipeline, holds its payload, makes its calls and sends its commits.
//!
//! Decides nothing. A worker ends by itself when its lease is fenced, when it was drained, when the
//! function said `fatal`, or when the shard or the store is gone; the supervisor decides what then.

mod blocks;
mod call;
mod calls;
mod circuit;
mod commits;
mod directive;
mod felt;
mod filter;
mod flow;
mod giving_up;
mod happened;
mod hash_keys;
mod hole;
mod letters;
mod perform;
mod redriving;
mod retries;
mod standing;
#[cfg(test)]
mod tests;
mod timing;
mod turn;

use std::{pin::pin, sync::Arc};

use fnctl_core::{
    clock::Clock,
    committer::Committer,
    filter::Filter,
    id::{FunctionVersion, MappingId, StreamId, Timestamp, UnitId},
    invoker::{CallContext, Invoker},
    mapping::{MaxAttempts, OutputBinding},
    outcome::Outcome,
    pipeline::{Action, Event, ShardPipeline, Started},
    source::{ShardSource, SourceError},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tracing::warn;

use self::{
    blocks::Blocks, calls::Calls, commits::Commits, flow::Flowing, giving_up::GivingUp,
    letters::Letters, redriving::Redriving, retries::Charged, turn::Turn,
};
pub(crate) use self::{
    blocks::Run,
    call::{Facts, record_id},
    commits::RefusedRoom,
    directive::Directive,
    felt::Felt,
    filter::Judge,
    giving_up::GiveUpRequest,
    hole::Hole,
    redriving::{CalledVersion, RedriveRequest, Redrivers},
    standing::Standing,
    turn::Turns,
};
use crate::{
    canaries::{Canaries, WatchedCanary},
    metrics::{FunctionMetrics, MappingMetrics, Metrics},
    poller::{self, ReadRequest},
    recent::MappingRecent,
    retries::Retries,
};

/// Why a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Another owner, or none, or retention passed it: ask for a new lease if it is still wanted.
    Fenced,
    /// It was told to.
    Drained,
    /// The function said `fatal`.
    Fatal {
        /// Its code.
        code: Arc<str>,
        /// Its words.
        message: Arc<str>,
        /// The version that said so.
        version: FunctionVersion,
    },
    /// The shard cannot be read any further, and what was read of it is settled.
    Damaged(Arc<Hole>),
    /// The stream or shard does not exist any more.
    Gone,
    /// The store takes nothing more.
    StoreStopped(String),
}

/// What a worker works on.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// Whose records.
    pub(crate) mapping: MappingId,
    /// How often each is tried.
    pub(crate) max_attempts: MaxAttempts,
    /// Which of them the function is given; `None`: all.
    pub(crate) filter: Option<Arc<Filter>>,
    /// The stream read.
    pub(crate) stream: StreamId,
    /// When the shard was made: part of its sequence numbers.
    pub(crate) shard_created_at: Timestamp,
    /// Facts of every call.
    pub(crate) context: Arc<CallContext>,
    /// Where outputs go, in the order of `context.outputs`.
    pub(crate) outputs: Arc<[OutputBinding]>,
    /// Another version, for some of the keys.
    pub(crate) canary: Option<CalledVersion>,
    /// The function's canary, whether this unit calls it or not: its calls are compared with the others.
    pub(crate) watched: Option<WatchedCanary>,
}

impl Assignment {
    fn canary_of(&self, version: FunctionVersion) -> Option<&CalledVersion> {
        let canary = self.canary.as_ref();
        canary.filter(|canary| canary.other.version == version)
    }

    /// Facts of calls of a version.
    fn context_of(&self, version: FunctionVersion) -> &Arc<CallContext> {
        let canary = self.canary_of(version);
        canary.map_or(&self.context, |canary| &canary.context)
    }

    /// Where the outputs of a version go.
    fn outputs_of(&self, version: FunctionVersion) -> &[OutputBinding] {
        let canary = self.canary_of(version);
        canary.map_or(&self.outputs, |canary| &canary.other.outputs)
    }
}

/// Where a worker counts.
#[derive(Clone, Debug)]
pub(crate) struct WorkerMetrics {
    /// The node's.
    pub(crate) node: Arc<Metrics>,
    /// The mapping's.
    pub(crate) mapping: Arc<MappingMetrics>,
    /// The function's.
    pub(crate) function: Arc<FunctionMetrics>,
    /// The mapping's last minutes.
    pub(crate) recent: Arc<MappingRecent>,
}

/// What the workers of a node have in common.
#[derive(Clone, Debug)]
pub(crate) struct NodeShare {
    /// Room for refused commits.
    pub(crate) refused: Arc<RefusedRoom>,
    /// Who watches retries.
    pub(crate) retries: Arc<Retries>,
    /// The node's turn.
    pub(crate) turns: Turns,
    /// Whether first batches and retries are called record by record.
    pub(crate) caution: watch::Receiver<bool>,
    /// How letters reach workers.
    pub(crate) redrivers: Arc<Redrivers>,
    /// Who compares canaries.
    pub(crate) canaries: Arc<Canaries>,
}

/// What a worker tells while it works.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    /// How a call ended.
    Outcome(&'a Outcome),
    /// Where it stands, when that has changed.
    Standing(&'a Standing),
}

/// The worker of one unit.
pub(crate) struct ShardWorker<I, C: Committer, K> {
    pipeline: ShardPipeline,
    assignment: Assignment,
    invoker: Arc<I>,
    clock: K,
    metrics: WorkerMetrics,
    blocks: Blocks,
    judge: Option<Judge>,
    calls: Calls,
    commits: Commits<C>,
    charged: Charged,
    turn: Turn,
    caution: watch::Receiver<bool>,
    redriving: Redriving,
    giving_up: GivingUp,
    canaries: Arc<Canaries>,
    flowing: Flowing,
    standing: Standing,
    requests: Vec<ReadRequest>,
    /// Why nothing more is fetched.
    hole: Option<Arc<Hole>>,
    actions: Vec<Action>,
    /// What the pipeline was told of the calls of all units: whether those of the live version are sick, of the canary.
    heard: (bool, bool),
    letters: Letters,
}

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// A worker that has not started.
    pub(crate) fn new(
        pipeline: ShardPipeline,
        assignment: Assignment,
        invoker: Arc<I>,
        committer: C,
        clock: K,
        metrics: WorkerMetrics,
        share: NodeShare,
    ) -> Self {
        let unit = UnitId {
            mapping: assignment.mapping,
            stream: assignment.stream,
            shard: assignment.context.shard,
        };
        Self {
            blocks: Blocks::new(assignment.shard_created_at),
            judge: assignment.filter.clone().map(|filter| {
                let shard_id = assignment.context.shard.shard_id();
                Judge::new(filter, shard_id, assignment.shard_created_at)
            }),
            commits: Commits::new(committer, share.refused),
            charged: Charged::new(share.retries),
            turn: Turn::of(share.turns),
            caution: share.caution,
            redriving: Redriving::of(share.redrivers, unit),
            giving_up: GivingUp::default(),
            canaries: share.canaries,
            flowing: Flowing::into(metrics.clone()),
            standing: Standing::default(),
            heard: (false, false),
            letters: Letters::default(),
            calls: Calls::new(
                metrics.function.in_flight.clone(),
                Arc::clone(&metrics.recent),
                pipeline.settings(),
            ),
            pipeline,
            assignment,
            invoker,
            clock,
            metrics,
            requests: Vec::new(),
            hole: None,
            actions: Vec::new(),
        }
    }

    /// Works until there is a reason to end. Dropping the future takes everything under way back,
    /// uncharged.
    pub(crate) async fn run<S: ShardSource>(
        mut self,
        source: S,
        started: Started,
        mut directives: mpsc::Receiver<Directive>,
        mut report: impl FnMut(Told<'_>) + Send,
    ) -> Exit {
        let (requests, wanted) = mpsc::channel(1);
        let (found, mut reads) = mpsc::channel(1);
        let on_error = {
            let node = Arc::clone(&self.metrics.node);
            let mapping = Arc::clone(&self.assignment.context.mapping);
            let stream = Arc::clone(&self.assignment.context.stream);
            let shard = self.assignment.context.shard.shard_id();
            move |error: &SourceError| {
                node.source_error(error);
                let damage = match error {
                    SourceError::Damaged(damage) => Some(&**damage),
                    _ => None,
                };
                let (path, offset) = (damage.map(|at| &*at.path), damage.map(|at| at.offset));
                warn!(%mapping, %stream, %shard, path, offset, %error, "failed to read the shard");
            }
        };
        let mut poller = pin!(poller::poll(source, started.tail, wanted, found, on_error));
        let mut is_polling = true;
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut timer_at: Option<Timestamp> = None;
        let mut is_directed = true;
        self.pipeline_handles(Event::Started(started));
        let is_on = *self.caution.borrow_and_update();
        if is_on {
            self.pipeline_handles(Event::Caution { is_on });
        }
        let mut is_watched = true;
        loop {
            if let Some(exit) = self.perform().or_else(|| self.ends_in_front_of_a_hole()) {
                return exit;
            }
            self.flowing.moves(self.pipeline.flow());
            if self.has_moved() {
                report(Told::Standing(&self.standing));
            }
            let deadline = self.pipeline.deadline();
            if deadline != timer_at {
                if let Some(at) = deadline {
                    let wait = self.clock.until(at);
                    timer.as_mut().reset(Instant::now() + wait);
                }
                timer_at = deadline;
            }
            let event = tokio::select! {
                biased;
                directive = directives.recv(), if is_directed => match directive {
                    Some(directive) => match self.directed(directive) {
                        Some(event) => event,
                        None => continue,
                    },
                    None => {
                        is_directed = false;
                        continue;
                    }
                },
                asked = self.redriving.next() => self.redriven(asked),
                Some(progress) = self.commits.next() => match self.committed(progress) {
                    Ok(event) => event,
                    Err(exit) => return exit,
                },
                Some(ended) = self.calls.next() => match self.called(ended) {
                    Some(event) => event,
                    None => continue,
                },
                permit = requests.reserve(), if !self.requests.is_empty() => match permit {
                    Ok(permit) => {
                        permit.send(self.requests.remove(0));
                        continue;
                    }
                    Err(_) => {
                        self.requests.clear();
                        continue;
                    }
                },
                Some(read) = reads.recv() => match self.read(read) {
                    Ok(Some(event)) => event,
                    Ok(None) => continue,
                    Err(exit) => return exit,
                },
                () = self.turn.granted(), if self.turn.is_asked() => Event::TurnGranted,
                changed = self.caution.changed(), if is_watched => {
                    is_watched = changed.is_ok();
                    let is_on = *self.caution.borrow();
                    Event::Caution { is_on }
                }
                () = &mut timer, if timer_at.is_some() => {
                    timer_at = None;
                    Event::Tick
                }
                () = &mut poller, if is_polling => {
                    is_polling = false;
                    continue;
                }
            };
            if let Event::Invoked { outcome, .. } = &event {
                report(Told::Outcome(outcome));
                if let Some(news) = self.hear_others() {
                    self.pipeline_handles(news);
                }
            }
            self.pipeline_handles(event);
        }
    }

    fn pipeline_handles(&mut self, event: Event) {
        let is_commit = matches!(event, Event::CommitAnswered { .. });
        let before = self.pipeline.totals();
        self.pipeline
            .handle(event, self.clock.now(), &mut self.actions);
        if is_commit {
            let adds = self.pipeline.totals().since(before);
            self.metrics.recent.settled(adds);
        }
    }
}

//! Acts for one unit: drives its pipeline, holds its payload, makes its calls and sends its commits.
//!
//! Decides nothing. A worker ends by itself when its lease is fenced, when it was drained, when the
//! function said `fatal`, or when the shard or the store is gone; the supervisor decides what then.

mod blocks;
mod call;
mod calls;
mod circuit;
mod commits;
mod filter;
mod flow;
mod giving_up;
mod happened;
mod hash_keys;
mod hole;
mod perform;
mod redriving;
mod retries;
#[cfg(test)]
mod tests;
mod timing;
mod turn;

use std::{pin::pin, sync::Arc, time::Duration};

use fnctl_core::{
    breaker::Open,
    clock::Clock,
    commit::Unavailable,
    committer::Committer,
    filter::Filter,
    id::{FunctionVersion, MappingId, Ordinal, StreamId, Timestamp, UnitId},
    invoker::{CallContext, Invoker},
    lane::KeyHash,
    mapping::{MaxAttempts, OutputBinding},
    outcome::Outcome,
    pipeline::{Action, Event, ShardPipeline, Started, WaitingKeys},
    source::{ShardSource, SourceError},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tracing::warn;

use self::{
    blocks::Blocks, calls::Calls, commits::Commits, flow::Flowing, giving_up::GivingUp,
    redriving::Redriving, retries::Charged, turn::Turn,
};
pub(crate) use self::{
    blocks::Run,
    call::{Facts, record_id},
    commits::RefusedRoom,
    filter::Judge,
    giving_up::GiveUpRequest,
    redriving::{CalledVersion, RedriveRequest, Redrivers},
    turn::Turns,
};
use crate::{
    canaries::{Canaries, WatchedCanary},
    metrics::{FunctionMetrics, MappingMetrics, Metrics},
    poller::{self, ReadRequest},
    recent::MappingRecent,
    retries::Retries,
};

/// What a supervisor tells a worker.
#[derive(Debug)]
pub(crate) enum Directive {
    /// Start no call; commit what runs within `grace`, take the rest back, and wait.
    Pause {
        /// How long running calls get.
        grace: Duration,
    },
    /// Go on after a pause.
    Resume,
    /// Start no call; commit what runs within `grace`, take the rest back, and end.
    Drain {
        /// How long running calls get.
        grace: Duration,
    },
    /// A person has charged records tried now.
    Release {
        /// Their positions.
        positions: Vec<Ordinal>,
        /// Answered when they are due.
        done: oneshot::Sender<()>,
    },
    /// A person has everything tried now that waits.
    ReleaseAll {
        /// Told how many keys waited, when they are due.
        done: oneshot::Sender<u64>,
    },
    /// Tell which keys wait.
    Waiting {
        /// Those of one of these hashes; `None`: all.
        of: Option<Vec<KeyHash>>,
        /// At most so many.
        most: usize,
        /// Whom.
        reply: oneshot::Sender<WaitingKeys>,
    },
    /// A person gives records up.
    GiveUp(GiveUpRequest),
    /// Tell all records that are not done of the keys of these.
    RecordsOfKeys {
        /// Their positions.
        positions: Vec<Ordinal>,
        /// Whom.
        reply: oneshot::Sender<Vec<Ordinal>>,
    },
}

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
    Damaged(String),
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

/// What can be seen of a worker from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Everything up to here was read.
    pub(crate) read_position: Ordinal,
    /// Keys that wait for a retry.
    pub(crate) parked_keys: u64,
    /// When the next of them is tried.
    pub(crate) next_retry: Option<Timestamp>,
    /// Why a commit is refused, and since when commits are.
    pub(crate) blocked: Option<(Unavailable, Timestamp)>,
    /// The circuit of the version that most keys meet, while it is open.
    pub(crate) circuit: Option<Box<Open>>,
    /// That of the canary.
    pub(crate) canary_circuit: Option<Box<Open>>,
    /// Why the shard cannot be read any further: the worker ends once it has settled what it had read.
    pub(crate) hole: Option<Arc<str>>,
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
    hole: Option<Arc<str>>,
    actions: Vec<Action>,
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
            pipeline,
            assignment,
            invoker,
            clock,
            calls: Calls::new(
                metrics.function.in_flight.clone(),
                Arc::clone(&metrics.recent),
            ),
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
            let shard = self.assignment.context.shard;
            move |error: &SourceError| {
                node.source_error(error);
                warn!(%mapping, %shard, %error, "failed to read the shard");
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
                    let wait = Duration::from_millis(at.since_ms(self.clock.now()));
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

    fn directed(&mut self, directive: Directive) -> Option<Event> {
        let until = |grace: Duration| {
            let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            self.clock.now().plus_ms(grace)
        };
        // Whoever asked may be gone: then an answer is for nobody.
        Some(match directive {
            Directive::Pause { grace } => Event::Pause {
                until: until(grace),
            },
            Directive::Resume => Event::Resume,
            Directive::Drain { grace } => Event::Drain {
                until: until(grace),
            },
            Directive::Release { positions, done } => {
                done.send(()).unwrap_or_default();
                Event::Release { positions }
            }
            Directive::ReleaseAll { done } => {
                let waiting = self.pipeline.waiting_keys(None, 0);
                done.send(waiting.count).unwrap_or_default();
                Event::ReleaseAll
            }
            Directive::Waiting { of, most, reply } => {
                drop(reply.send(self.pipeline.waiting_keys(of.as_deref(), most)));
                return None;
            }
            Directive::GiveUp(request) => self.giving_up.asked(request),
            Directive::RecordsOfKeys { positions, reply } => {
                drop(reply.send(self.pipeline.records_of_keys(&positions)));
                return None;
            }
        })
    }

    /// Whether what is seen from outside has changed.
    fn has_moved(&mut self) -> bool {
        let (parked_keys, next_retry) = self.pipeline.parked();
        let blocked = self.pipeline.blocked();
        let circuit = self.pipeline.circuit();
        let canary_circuit = self.pipeline.canary_circuit();
        let now = &self.standing;
        let is_same = (now.parked_keys, now.next_retry) == (parked_keys, next_retry)
            && now.read_position == self.pipeline.read_position()
            && now.blocked.as_ref().map(|(reason, _)| reason) == blocked
            && now.circuit.as_deref() == circuit
            && now.canary_circuit.as_deref() == canary_circuit
            && now.hole == self.hole;
        if is_same {
            return false;
        }
        self.circuit_moves("live", now.circuit.as_deref(), circuit);
        self.circuit_moves("canary", now.canary_circuit.as_deref(), canary_circuit);
        let since = now.blocked.as_ref().map(|(_, since)| *since);
        self.standing = Standing {
            read_position: self.pipeline.read_position(),
            parked_keys,
            next_retry,
            blocked: blocked
                .map(|reason| (reason.clone(), since.unwrap_or_else(|| self.clock.now()))),
            circuit: circuit.cloned().map(Box::new),
            canary_circuit: canary_circuit.cloned().map(Box::new),
            hole: self.hole.clone(),
        };
        true
    }
}

//! Acts for one unit: drives its pipeline, holds its payload, makes its calls and sends its commits.
//!
//! Decides nothing. A worker ends by itself when its lease is fenced, when it was drained, when the
//! function said `fatal`, or when the shard or the store is gone; the supervisor decides what then.

mod blocks;
mod call;
mod calls;
mod commits;
mod hash_keys;
#[cfg(test)]
mod tests;

use std::{pin::pin, sync::Arc, time::Duration};

use fnctl_core::{
    clock::Clock,
    commit::CommitAnswer,
    committer::Committer,
    id::{Ordinal, StreamId, Timestamp},
    invoker::{CallContext, Invoker},
    mapping::OutputBinding,
    outcome::Outcome,
    pipeline::{
        Action, BlockMeta, Event, Fetched, Invocation, Relocated, ShardPipeline, Started,
        StopReason,
    },
    record::RecordBlock,
    source::{ShardSource, SourceError, describe},
};
use tokio::{
    sync::mpsc,
    task::{Id, JoinError},
    time::{Instant, sleep_until},
};
use tracing::warn;

use self::{
    blocks::Blocks,
    call::Ended,
    calls::Calls,
    commits::{Commits, Progress},
};
use crate::{
    metrics::{FunctionMetrics, MappingMetrics, Metrics},
    poller::{self, Read, ReadRequest},
};

pub(crate) use commits::RefusedRoom;

/// What a supervisor tells a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    },
    /// The shard cannot be read.
    Damaged(String),
    /// The stream or shard does not exist any more.
    Gone,
    /// The store takes nothing more.
    StoreStopped(String),
}

/// What a worker works on.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// The stream read.
    pub(crate) stream: StreamId,
    /// When the shard was made: part of its sequence numbers.
    pub(crate) shard_created_at: Timestamp,
    /// Facts of every call.
    pub(crate) context: Arc<CallContext>,
    /// Where outputs go, in the order of `context.outputs`.
    pub(crate) outputs: Arc<[OutputBinding]>,
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
}

/// The worker of one unit.
pub(crate) struct ShardWorker<I, C: Committer, K> {
    pipeline: ShardPipeline,
    assignment: Assignment,
    invoker: Arc<I>,
    clock: K,
    metrics: WorkerMetrics,
    blocks: Blocks,
    calls: Calls,
    commits: Commits<C>,
    requests: Vec<ReadRequest>,
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
        refused: Arc<RefusedRoom>,
    ) -> Self {
        Self {
            blocks: Blocks::new(assignment.shard_created_at),
            commits: Commits::new(committer, refused),
            pipeline,
            assignment,
            invoker,
            clock,
            calls: Calls::new(metrics.function.in_flight.clone()),
            metrics,
            requests: Vec::new(),
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
        mut report: impl FnMut(&Outcome) + Send,
    ) -> Exit {
        let (requests, wanted) = mpsc::channel(1);
        let (found, mut reads) = mpsc::channel(1);
        let on_error = {
            let node = Arc::clone(&self.metrics.node);
            let mapping = Arc::clone(&self.assignment.context.mapping);
            let shard = self.assignment.context.shard;
            move |error: &SourceError| {
                node.source_error();
                warn!(%mapping, %shard, %error, "failed to read the shard");
            }
        };
        let mut poller = pin!(poller::poll(source, started.tail, wanted, found, on_error));
        let mut is_polling = true;
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut timer_at: Option<Timestamp> = None;
        let mut is_directed = true;
        self.pipeline_handles(Event::Started(started));
        loop {
            if let Some(exit) = self.perform() {
                return exit;
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
                    Some(directive) => self.directed(directive),
                    None => {
                        is_directed = false;
                        continue;
                    }
                },
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
                    Ok(event) => event,
                    Err(exit) => return exit,
                },
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
                report(outcome);
            }
            self.pipeline_handles(event);
        }
    }

    fn pipeline_handles(&mut self, event: Event) {
        self.pipeline
            .handle(event, self.clock.now(), &mut self.actions);
    }

    fn directed(&self, directive: Directive) -> Event {
        let until = |grace: Duration| {
            let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            self.clock.now().plus_ms(grace)
        };
        match directive {
            Directive::Pause { grace } => Event::Pause {
                until: until(grace),
            },
            Directive::Resume => Event::Resume,
            Directive::Drain { grace } => Event::Drain {
                until: until(grace),
            },
        }
    }

    /// Does what the pipeline asked for, in order; a reason to end comes last.
    fn perform(&mut self) -> Option<Exit> {
        let mut actions = std::mem::take(&mut self.actions);
        let mut exit = None;
        for action in actions.drain(..) {
            match action {
                Action::Fetch {
                    after,
                    records_max,
                    bytes_max,
                } => self.requests.push(ReadRequest::Fetch {
                    after,
                    records_max,
                    bytes_max,
                }),
                Action::Reread { slot, records } => {
                    self.requests.push(ReadRequest::Reread { slot, records });
                }
                Action::Invoke(invocation) => self.invoke(&invocation),
                Action::Interrupt { attempt } => self.calls.interrupt(attempt),
                Action::Commit(plan) => {
                    let runs = self.calls.runs_of(plan.slot);
                    self.commits
                        .send(*plan, &self.assignment.outputs, &self.blocks, runs);
                }
                Action::Resend {
                    slot,
                    number,
                    totals,
                } => self.commits.resend(slot, number, totals),
                Action::DropCommit { slot, number } => self.commits.forget(slot, number),
                Action::ReleaseBlock(block) => self.blocks.release(block),
                Action::Stop(reason) => {
                    exit = Some(match reason {
                        StopReason::Fenced => Exit::Fenced,
                        StopReason::Drained => Exit::Drained,
                        StopReason::Fatal { code, message } => Exit::Fatal { code, message },
                    });
                }
            }
        }
        self.actions = actions;
        exit
    }

    fn invoke(&mut self, invocation: &Invocation) {
        if invocation.records.iter().any(|record| record.attempts > 0) {
            self.metrics.mapping.retries.inc();
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a batch has at most 10,000 records"
        )]
        self.metrics
            .function
            .batch_records
            .observe(invocation.records.len() as f64);
        let Assignment {
            stream,
            shard_created_at,
            context,
            ..
        } = &self.assignment;
        let prepared = call::prepare(
            invocation,
            &self.blocks,
            context,
            *stream,
            *shard_created_at,
        );
        self.calls.start(&self.invoker, invocation, prepared);
    }

    /// A call ended, or was taken back (then nobody waits for it).
    fn called(&mut self, ended: Result<(Id, Ended), JoinError>) -> Option<Event> {
        let (attempt, result) = self.calls.ended(ended)?;
        match result {
            Ok(completed) => {
                let stats = completed.stats;
                self.metrics.mapping.invoked(completed.outcome.kind());
                if !matches!(completed.outcome, Outcome::Interrupted) {
                    self.metrics
                        .function
                        .duration
                        .observe(seconds(stats.duration_ns));
                    self.metrics.function.lower.inc_by(seconds(stats.lower_ns));
                    self.metrics.function.lift.inc_by(seconds(stats.lift_ns));
                    if stats.instantiation_ns > 0 {
                        let made = seconds(stats.instantiation_ns);
                        self.metrics.function.instantiation.observe(made);
                    }
                }
                Some(Event::Invoked {
                    attempt,
                    outcome: completed.outcome,
                })
            }
            Err(fault) => {
                let mapping = &self.assignment.context.mapping;
                warn!(%mapping, fault, "failed to make a call, trying again");
                Some(Event::HostFault { attempt })
            }
        }
    }

    fn committed(&mut self, progress: Progress) -> Result<Event, Exit> {
        let node = &self.metrics.node;
        match progress {
            Progress::Answered {
                slot,
                number,
                answer,
                letters,
            } => {
                match answer {
                    CommitAnswer::Accepted(_) => node.commit_accepted(),
                    CommitAnswer::Fenced => node.commit_fenced(),
                    CommitAnswer::Unavailable(_) => node.commit_unavailable(),
                }
                for kind in letters {
                    self.metrics.mapping.dead_lettered(kind);
                }
                Ok(Event::CommitAnswered {
                    slot,
                    number,
                    answer,
                })
            }
            Progress::NoRoom { slot } => Ok(Event::DropRefused { slot }),
            Progress::Durable { slot, number } => Ok(Event::CommitDurable { slot, number }),
            Progress::Stopped(stopped) => Err(Exit::StoreStopped(stopped.0)),
        }
    }

    fn read(&mut self, read: Read) -> Result<Event, Exit> {
        match read {
            Read::Fetched {
                after,
                records_max,
                blocks,
            } => Ok(Event::Fetched(self.fetched(after, records_max, blocks))),
            Read::Reread {
                slot,
                records,
                blocks,
            } => {
                let mut metas = Vec::with_capacity(blocks.len());
                let mut found = Vec::with_capacity(records.len());
                for block in blocks {
                    let (first, last) = (block.first, block.last());
                    let bytes = block.records.byte_len() as u64;
                    let id = self.blocks.push(block);
                    metas.push(BlockMeta { id, bytes });
                    let here = records.iter().filter(|p| first <= **p && **p <= last);
                    found.extend(here.map(|&position| Relocated {
                        position,
                        block: id,
                        index: u32::try_from(position.0 - first.0).unwrap_or(u32::MAX),
                    }));
                }
                Ok(Event::Reread {
                    slot,
                    blocks: metas,
                    records: found,
                })
            }
            Read::FetchFailed => Ok(Event::FetchFailed),
            Read::RereadFailed { slot } => Ok(Event::RereadFailed { slot }),
            Read::Tail(tail) => Ok(Event::TailAdvanced { tail }),
            Read::Ended(SourceError::Damaged(words)) => Err(Exit::Damaged(words)),
            Read::Ended(SourceError::Gone) => Err(Exit::Gone),
            // The entry that expired what is gone bumped the epoch as well.
            Read::Ended(SourceError::Trimmed { .. } | SourceError::Transient(_)) => {
                Err(Exit::Fenced)
            }
        }
    }

    fn fetched(
        &mut self,
        after: Ordinal,
        records_max: u32,
        blocks: Vec<Arc<RecordBlock>>,
    ) -> Fetched {
        let mut fetched = Fetched::default();
        let mut bytes = 0;
        for block in blocks {
            let taken = u32::try_from(fetched.records.len()).unwrap_or(u32::MAX);
            let left = records_max.saturating_sub(taken);
            if left == 0 || block.is_empty() || block.last() <= after {
                continue;
            }
            let id = self.blocks.push(Arc::clone(&block));
            let meta = describe(&block, id, after, left, &mut fetched.records);
            bytes += meta.bytes;
            fetched.blocks.push(meta);
        }
        self.metrics
            .mapping
            .polled
            .inc_by(fetched.records.len() as u64);
        self.metrics.mapping.bytes_in.inc_by(bytes);
        fetched
    }
}

#[expect(clippy::cast_precision_loss, reason = "a histogram's values are f64")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

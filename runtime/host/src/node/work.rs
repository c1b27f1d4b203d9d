//! How the supervisor's workers are made.

use std::{collections::HashSet, sync::Arc};

use fnctl_core::{
    committer::Stopped,
    id::{LeaseEpoch, UnitId},
    pipeline::{PipelineConfig, ShardPipeline, Started},
    registry::Command,
    view::NodeView,
};
use fnctl_store::{CommandError, Store};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::{
    canaries,
    clock::{SystemClock, WorkerClock},
    functions::{Functions, LiveFunction},
    logs::sink::HostLog,
    metrics::Metrics,
    shard_worker::{Directive, Exit, NodeShare, ShardWorker, Told, WorkerMetrics},
    source::StoreSource,
    supervisor::{Node, OutcomeReport, Statuses, Work},
};

/// The node as the supervisor sees it.
pub(crate) struct WorkerNode {
    pub(crate) store: Store,
    pub(crate) functions: Arc<Functions>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Arc<HostLog>,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) share: NodeShare,
}

impl Node for WorkerNode {
    fn changed(&self) -> watch::Receiver<u64> {
        self.store.registry_changed()
    }

    fn view<R>(&self, read: impl FnOnce(&NodeView) -> R) -> R {
        self.store.view(read)
    }

    async fn lease(&self, units: Vec<UnitId>) -> Result<Vec<(UnitId, LeaseEpoch)>, Stopped> {
        self.store.lease(units).await
    }

    async fn command(&self, command: Command) -> Result<(), Stopped> {
        match self.store.command(command).await {
            Ok(applied) => {
                canaries::told(&self.metrics, &applied);
                Ok(())
            }
            Err(CommandError::Refused(refusal)) => {
                warn!(error = %refusal, "a command of the supervisor was refused");
                Ok(())
            }
            Err(CommandError::Stopped(stopped)) => Err(stopped),
        }
    }

    fn worker(
        &self,
        unit: UnitId,
        epoch: LeaseEpoch,
        work: &Work,
        directives: mpsc::Receiver<Directive>,
    ) -> Option<impl Future<Output = Exit> + Send + 'static> {
        let source = StoreSource::open(&self.store, unit.stream, unit.shard)?;
        let died = self.store.died_with(unit);
        let started = self.store.view(|view| {
            let progress = view.unit(unit).filter(|progress| progress.epoch == epoch)?;
            Some(Started {
                epoch,
                settled: progress.settled.clone(),
                attempts: progress.marks_at_start(&died),
                totals: progress.totals,
                tail: view.tail(unit.stream, unit.shard)?.last(),
                windows: progress.windows.clone(),
                outages: progress.outages.clone(),
                is_closed: view
                    .registry()
                    .stream(unit.stream)?
                    .shard(unit.shard)?
                    .is_closed,
            })
        })?;
        let assignment = work.assignment(unit);
        let config = PipelineConfig {
            unit,
            version: work.version().number,
            canary: work.canary(&assignment),
            is_canary: work.is_canary(),
            stateless: work.stateless(),
            settings: work.mapping().settings.clone(),
            outputs: Arc::clone(&assignment.outputs),
            seed: u64::from_le_bytes(
                uuid::Uuid::new_v4().into_bytes()[..8]
                    .try_into()
                    .expect("8 of 16 bytes"),
            ),
        };
        let function = &work.function().name;
        let metrics = WorkerMetrics {
            mapping: self.metrics.mapping(function, &work.mapping().stream_name),
            function: self.metrics.function(function),
            recent: self.statuses.recents().of(unit.mapping),
            node: Arc::clone(&self.metrics),
        };
        let invoker = LiveFunction::new(
            Arc::clone(&self.functions),
            Arc::clone(work.function()),
            Arc::clone(work.version()),
        );
        let clock = match work.mapping().settings.max_record_age_ms {
            None => WorkerClock::Wall(SystemClock),
            Some(_) => WorkerClock::Arrivals(self.store.arrival_clock()),
        };
        let worker = ShardWorker::new(
            ShardPipeline::new(config),
            assignment,
            Arc::new(invoker),
            self.store.clone(),
            clock,
            metrics,
            self.share.clone(),
        );
        let mut report = OutcomeReport::new(Arc::clone(&self.statuses), unit);
        let tell = move |told: Told<'_>| report.tell(told);
        Some(worker.run(source, started, directives, tell))
    }

    fn tidy(&self) {
        self.store.view(|view| {
            let registry = view.registry();
            let is_function = |name: &_| registry.function_by_name(name).is_some();
            let mappings: HashSet<String> = registry
                .mappings()
                .map(|mapping| registry.address(mapping))
                .collect();
            self.metrics
                .retain(|name| mappings.contains(name), is_function);
            self.log.logs().retain(is_function);
            let retries = self.statuses.retries();
            retries.retain(|mapping| registry.mapping(mapping).is_some());
            let recents = self.statuses.recents();
            recents.retain(|mapping| registry.mapping(mapping).is_some());
            let functions = registry.functions();
            let limits = functions.map(|function| (function.id, function.concurrency));
            self.functions.limit(&limits.collect());
            // What is called, and what a rollback would bring back.
            self.functions.retain(|id, version| {
                registry.function(id).is_some_and(|function| {
                    function.calls(version) || function.live_before.last() == Some(&version)
                })
            });
        });
    }

    fn worker_failed(&self) {
        self.metrics.worker_failed();
    }
}

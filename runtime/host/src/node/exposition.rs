//! What is, in figures: gathers what the exposition computes at a scrape.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use fnctl_core::{
    clock::Clock,
    commit::UnitTotals,
    id::{Timestamp, UnitId},
    mapping::{Mapping, MappingState},
    shard::Stream,
    view::{NodeView, UnitTurn},
};
use fnctl_store::{ScrubKind, ScrubStats};
use tokio::runtime::Handle;

use crate::{
    clock::SystemClock,
    metrics::scrape::{
        FunctionSample, MappingSample, Scrape, ShardSample, StoreSample, StreamSample,
    },
    node::{
        HostNode,
        relays::letters_of,
        status::{UnitFigures, figures},
    },
    supervisor::UnitStatus,
};

/// A mapping as the published view has it.
struct Seen {
    mapping: Arc<Mapping>,
    units: Vec<UnitFigures>,
    letters: u64,
    retention_ms: Option<u64>,
    /// Since the mapping was made: a counter does not fall with a seek.
    totals: UnitTotals,
}

/// All of them by name.
fn seen(view: &NodeView) -> BTreeMap<Arc<str>, Seen> {
    let registry = view.registry();
    let all = registry.mappings().map(|mapping| {
        let stream = registry.stream(mapping.stream);
        let seen = Seen {
            units: figures(view, mapping),
            letters: view.open_letters(mapping.id),
            retention_ms: stream.map(|stream| stream.retention_ms),
            totals: view.totals_ever(mapping.id),
            mapping: Arc::clone(mapping),
        };
        (registry.address(mapping).into(), seen)
    });
    // Of a failed mapping and its successor under the same name the later one counts.
    all.collect()
}

impl HostNode {
    /// The exposition of this moment.
    pub(crate) async fn expose(&self) -> String {
        let seen = self.view(seen);
        let units = seen.values().flat_map(|seen| &seen.units);
        let letters = seen.values().map(|seen| letters_of(&seen.mapping));
        let alive: HashSet<UnitId> = units.map(|unit| unit.unit).chain(letters).collect();
        self.ages.retain(|unit| alive.contains(&unit));
        self.polled.retain(|unit| alive.contains(&unit));
        let mut mappings = Vec::with_capacity(seen.len());
        for (name, seen) in seen {
            let mut shards = Vec::with_capacity(seen.units.len());
            // Of a mapping that does not run the next retries have passed.
            let is_running = seen.mapping.state == MappingState::Running;
            for unit in &seen.units {
                shards.push(self.shard_sample(unit, is_running).await);
            }
            let units: Vec<UnitId> = seen.units.iter().map(|unit| unit.unit).collect();
            mappings.push(MappingSample {
                name,
                is_host_at_fault: is_running && self.is_host_at_fault(seen.mapping.id, &units),
                state: self.state_of(&seen.mapping, &[]),
                shards,
                totals: seen.totals,
                dead_letters_open: seen.letters,
                retention_ms: seen.retention_ms,
                relay: self.relay_status(&seen.mapping).await,
            });
        }
        let functions: Vec<FunctionSample> = self.view(|view| {
            let functions = view.registry().functions();
            functions
                .map(|function| FunctionSample::of(function))
                .collect()
        });
        let store = self.node_sample();
        self.metrics.expose(Scrape {
            build: self.build(),
            mappings: &mappings,
            functions: &functions,
            store: &store,
            boot_ms: SystemClock.boot_ms(),
        })
    }

    async fn shard_sample(&self, figures: &UnitFigures, is_running: bool) -> ShardSample {
        let unit = figures.unit;
        let status = self.supervisor().statuses().of(unit);
        let standing = match &status {
            Some(UnitStatus::Running { standing, .. }) => Some(standing),
            Some(UnitStatus::Damaged(_) | UnitStatus::Faulted(_)) | None => None,
        };
        let is_damaged = status
            .as_ref()
            .is_some_and(|status| status.damage().is_some());
        let age_ms = self.age_of(figures).await;
        let now = self.store().arrival_clock().now();
        ShardSample {
            shard: unit.shard,
            age_ms,
            checkpoint: Timestamp(now.0.saturating_sub(age_ms)),
            pending: figures.pending,
            pending_bytes: match figures.pending {
                0 => 0,
                _ => self
                    .store()
                    .bytes_above(unit.stream, unit.shard, figures.low_watermark),
            },
            settled: (figures.totals + figures.before_seeks).settled(),
            is_due: figures.turn == UnitTurn::Due,
            is_owned: standing.is_some(),
            is_blocked: standing.is_some_and(|standing| standing.blocked.is_some()),
            is_damaged,
            parked_keys: standing.map_or(0, |standing| standing.parked_keys),
            next_retry: standing
                .filter(|_| is_running)
                .and_then(|standing| standing.next_retry_to_come(self.now())),
            is_circuit_open: standing.is_some_and(|standing| {
                standing.circuit.is_some() || standing.canary_circuit.is_some()
            }),
            open_windows: figures.open_windows,
        }
    }

    /// Store, engine and threads.
    fn node_sample(&self) -> StoreSample {
        let mut store = self.metrics.store_sample(
            &self.store().stats(),
            self.puts_receiving(),
            &self.functions().engine().stats(),
        );
        let scrub = self.store().scrub_stats();
        store.values.extend(scrubbed(&scrub));
        store.values.extend(threads());
        #[expect(
            clippy::cast_precision_loss,
            reason = "the exposition's numbers are f64"
        )]
        store.values.extend([
            (
                "fnctl_kinesis_body_bytes",
                Some(self.kinesis_body_bytes() as f64),
            ),
            (
                "fnctl_put_buffer_bytes",
                Some(self.put_buffers().bytes() as f64),
            ),
        ]);
        let errors = ScrubKind::ALL.iter().zip(scrub.errors);
        store.storage_errors = errors.map(|(kind, count)| (kind.as_str(), count)).collect();
        store.streams = self.view(|view| {
            let streams = view.registry().streams();
            let shown = streams.filter(|stream| !stream.is_internal);
            let sample = |stream: &Arc<Stream>| StreamSample {
                name: stream.name.clone(),
                stored_bytes: self.store().stored_bytes(stream.id),
                quota_bytes: stream.options.quota_bytes,
            };
            shown.map(sample).collect()
        });
        store
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition's numbers are f64"
)]
fn scrubbed(scrub: &ScrubStats) -> [(&'static str, Option<f64>); 5] {
    [
        ("fnctl_scrub_bytes_total", Some(scrub.bytes as f64)),
        ("fnctl_scrub_passes_total", Some(scrub.passes as f64)),
        (
            "fnctl_scrub_last_pass_timestamp_seconds",
            Some(scrub.ended.map_or(0.0, |ended| ended.0 as f64 / 1e3)),
        ),
        (
            "fnctl_scrub_period_seconds",
            scrub.period.map(|period| period.as_secs_f64()),
        ),
        ("fnctl_storage_damaged_places", Some(scrub.damaged as f64)),
    ]
}

/// What the runtime says of the threads that serve and run shards.
#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition's numbers are f64"
)]
fn threads() -> [(&'static str, Option<f64>); 4] {
    let runtime = Handle::current().metrics();
    let workers = runtime.num_workers();
    let busy = (0..workers).map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64());
    [
        ("tokio_workers", Some(workers as f64)),
        ("tokio_alive_tasks", Some(runtime.num_alive_tasks() as f64)),
        (
            "tokio_global_queue_depth",
            Some(runtime.global_queue_depth() as f64),
        ),
        ("tokio_busy_seconds_total", Some(busy.sum())),
    ]
}

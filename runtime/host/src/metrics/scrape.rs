//! The exposition: what is counted as it happens, and what is computed when it is asked for.
//!
//! Iterator age is computed here from the published state, so that it grows while a worker is stuck,
//! and the shards a mapping should have stand beside those that are owned, because a shard that
//! nobody owns has no age.

mod storage;

use std::sync::Arc;

use fnctl_core::{
    commit::{ErrorKind, UnitTotals},
    id::{ShardNumber, StreamName, Timestamp},
    status::RelayStatus,
};
use prometheus::{Histogram, TextEncoder};

use crate::{
    limits,
    metrics::{
        BATCHES, Children, DURATIONS, FunctionMetrics, INSTANTIATIONS, MappingMetrics, Metrics,
        OUTCOMES,
        canary::{self, CanarySample},
        exposition::Exposition,
    },
};

/// One mapping as it is at a scrape. Names are unique among those of one exposition.
#[derive(Clone, Debug)]
pub(crate) struct MappingSample {
    /// `<function>/<stream>`.
    pub(crate) name: Arc<str>,
    /// The state's word.
    pub(crate) state: &'static str,
    /// Its units.
    pub(crate) shards: Vec<ShardSample>,
    /// Their totals, summed.
    pub(crate) totals: UnitTotals,
    /// Open dead letters.
    pub(crate) dead_letters_open: u64,
    /// Who copies them, if anybody does.
    pub(crate) relay: Option<RelayStatus>,
}

/// One unit as it is at a scrape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardSample {
    /// The shard.
    pub(crate) shard: ShardNumber,
    /// Age of the oldest unsettled record, ms; 0 when caught up.
    pub(crate) age_ms: u64,
    /// Records that arrived and are not settled.
    pub(crate) pending: u64,
    /// Whether a worker should run it: its parents are settled, and it is not at its end.
    pub(crate) is_due: bool,
    /// Whether a worker runs it.
    pub(crate) is_owned: bool,
    /// Keys that wait for a retry, as its worker knows them.
    pub(crate) parked_keys: u64,
    /// When the next of them is tried.
    pub(crate) next_retry: Option<Timestamp>,
    /// Whether its circuit is open.
    pub(crate) is_circuit_open: bool,
    /// Windows with records that had no final call.
    pub(crate) open_windows: u64,
}

/// The store as it is at a scrape.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreSample {
    /// `fnctl_…` names with their type, help and value.
    pub(crate) values: Vec<(&'static str, &'static str, &'static str, f64)>,
    /// Upper bounds (seconds) of journal syncs and how many lie in each bucket alone.
    pub(crate) sync_buckets: Vec<(f64, u64)>,
    /// Syncs above the last bound.
    pub(crate) sync_above: u64,
    /// Seconds of all syncs.
    pub(crate) sync_sum: f64,
    /// Damaged places found since the start, by kind of file.
    pub(crate) storage_errors: Vec<(&'static str, u64)>,
    /// Puts refused since the start, by reason.
    pub(crate) puts_refused: Vec<(&'static str, u64)>,
    /// Every stream.
    pub(crate) streams: Vec<StreamSample>,
}

/// One stream as it is at a scrape.
#[derive(Clone, Debug)]
pub(crate) struct StreamSample {
    /// Its name.
    pub(crate) name: StreamName,
    /// Bytes its logs take.
    pub(crate) stored_bytes: u64,
    /// Bytes they may take.
    pub(crate) quota_bytes: Option<u64>,
}

/// What the build is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BuildInfo {
    /// Version of the workspace.
    pub(crate) version: &'static str,
    /// Commit it was built from.
    pub(crate) commit: &'static str,
    /// Wasmtime's version.
    pub(crate) wasmtime: &'static str,
}

/// States a mapping may be in, as labels.
const STATES: [&str; 6] = [
    "running", "paused", "stopped", "blocked", "failed", "deleting",
];
/// About how long the lines of one mapping and its function are, bytes.
const BYTES_OF_A_MAPPING: usize = 6 << 10;

impl Metrics {
    /// The whole exposition, in Prometheus text format.
    pub(crate) fn expose(
        &self,
        build: BuildInfo,
        mappings: &[MappingSample],
        canaries: &[CanarySample],
        store: &StoreSample,
    ) -> String {
        let mut out = Exposition::with_capacity((8 << 10) + mappings.len() * BYTES_OF_A_MAPPING);
        let families = self.registry.gather();
        out.append(|text| {
            TextEncoder::new()
                .encode_utf8(&families, text)
                .expect("writing to memory does not fail");
        });
        build_info(&mut out, build);
        let children = self.lock();
        counted_by_mapping(&mut out, &children);
        counted_by_function(&mut out, &children);
        canary::expose(&mut out, &children, canaries);
        drop(children);
        shards(&mut out, mappings);
        states(&mut out, mappings);
        totals(&mut out, mappings);
        relays(&mut out, mappings);
        storage::expose(&mut out, store);
        out.finish()
    }
}

fn build_info(out: &mut Exposition, build: BuildInfo) {
    let BuildInfo {
        version,
        commit,
        wasmtime,
    } = build;
    let name = "fnctl_build_info";
    out.family(name, "gauge", "What this process was built from");
    out.line(format_args!(
        "{name}{{version=\"{version}\",commit=\"{commit}\",wasmtime=\"{wasmtime}\"}} 1"
    ));
}

fn counted_by_mapping(out: &mut Exposition, children: &Children) {
    let all = || {
        children
            .mappings
            .iter()
            .map(|(name, named)| (name, &*named.series))
    };
    let mut one = |name: &str, help: &str, value: &dyn Fn(&MappingMetrics) -> u64| {
        out.family(name, "counter", help);
        for (mapping, metrics) in all() {
            out.sample(name, "mapping", mapping, value(metrics));
        }
    };
    one(
        "fnctl_records_polled_total",
        "Records read from the stream since the server started",
        &|m| m.polled.get(),
    );
    one(
        "fnctl_filter_errors_total",
        "Records that the filter could not judge because they are not JSON, whatever became of them",
        &|m| m.unparsable.get(),
    );
    one(
        "fnctl_batch_retries_total",
        "Calls made because an earlier one failed",
        &|m| m.retries.get(),
    );
    one(
        "fnctl_mapping_circuit_opens_total",
        "Times that the circuit of a shard opened since the server started",
        &|m| m.circuit_opens.get(),
    );
    let name = "fnctl_record_bytes_total";
    out.family(
        name,
        "counter",
        "Bytes of keys and data, read from the stream (in)",
    );
    for (mapping, metrics) in all() {
        out.sample2(
            name,
            ("mapping", mapping),
            ("direction", "in"),
            metrics.bytes_in.get(),
        );
    }
    let name = "fnctl_invocations_total";
    out.family(name, "counter", "Calls of the function by how they ended");
    for (mapping, metrics) in all() {
        for (kind, count) in OUTCOMES.iter().zip(&metrics.invocations) {
            out.sample2(
                name,
                ("mapping", mapping),
                ("outcome", kind.as_str()),
                count.get(),
            );
        }
    }
    let name = "fnctl_records_dead_lettered_total";
    out.family(
        name,
        "counter",
        "Records that ended as dead letters since the server started",
    );
    for (mapping, metrics) in all() {
        for (kind, count) in ErrorKind::ALL.iter().zip(&metrics.dead_lettered) {
            out.sample2(
                name,
                ("mapping", mapping),
                ("error_kind", kind.as_str()),
                count.get(),
            );
        }
    }
}

fn counted_by_function(out: &mut Exposition, children: &Children) {
    let all = || children.functions.iter();
    let mut histogram =
        |name: &str, help: &str, bounds: &[f64], of: &dyn Fn(&FunctionMetrics) -> &Histogram| {
            let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
            out.family(name, "histogram", help);
            for (function, metrics) in all() {
                out.histogram(name, function.as_str(), &bounds, of(metrics));
            }
        };
    let name = "fnctl_invocation_duration_seconds";
    histogram(
        name,
        "Time of a call, waiting for a slot excluded",
        &DURATIONS,
        &|f| &f.duration,
    );
    let name = "fnctl_instantiation_duration_seconds";
    let help = "Time to make an instance, where a call needed a new one";
    histogram(name, help, &INSTANTIATIONS, &|f| &f.instantiation);
    histogram("fnctl_batch_records", "Records of a call", &BATCHES, &|f| {
        &f.batch_records
    });
    let name = "fnctl_invocations_in_flight";
    out.family(name, "gauge", "Calls running now");
    for (function, metrics) in all() {
        out.sample(name, "function", function.as_str(), metrics.in_flight.get());
    }
    let name = "fnctl_boundary_seconds_total";
    out.family(
        name,
        "counter",
        "Time spent carrying records into guests and rows out of them",
    );
    for (function, metrics) in all() {
        let function = ("function", function.as_str());
        out.sample2(name, function, ("direction", "lower"), metrics.lower.get());
        out.sample2(name, function, ("direction", "lift"), metrics.lift.get());
    }
    let name = "fnctl_log_lines_dropped_total";
    out.family(
        name,
        "counter",
        "Lines of the function that were not kept, because it wrote too many",
    );
    for (function, metrics) in all() {
        let dropped = metrics.log_lines_dropped.get();
        out.sample(name, "function", function.as_str(), dropped);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition's numbers are f64"
)]
fn shards(out: &mut Exposition, mappings: &[MappingSample]) {
    let mut by_shard = |name: &str,
                        help: &str,
                        all: &dyn Fn(&[ShardSample]) -> f64,
                        one: &dyn Fn(&ShardSample) -> f64| {
        out.family(name, "gauge", help);
        for mapping in mappings {
            if mapping.shards.len() > limits::METRIC_SHARDS_MAX {
                let value = all(&mapping.shards);
                out.sample2(name, ("mapping", &mapping.name), ("shard", "all"), value);
                continue;
            }
            for shard in &mapping.shards {
                let id = shard.shard.shard_id();
                out.sample2(name, ("mapping", &mapping.name), ("shard", &id), one(shard));
            }
        }
    };
    by_shard(
        "fnctl_shard_iterator_age_seconds",
        "Age of the oldest unsettled record, 0 when caught up",
        &|all| all.iter().map(|shard| shard.age_ms).max().unwrap_or(0) as f64 / 1e3,
        &|one| one.age_ms as f64 / 1e3,
    );
    by_shard(
        "fnctl_shard_pending_records",
        "Records that arrived and are not settled",
        &|all| all.iter().map(|shard| shard.pending).sum::<u64>() as f64,
        &|one| one.pending as f64,
    );
}

fn states(out: &mut Exposition, mappings: &[MappingSample]) {
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&MappingSample) -> u64| {
        out.family(name, "gauge", help);
        for mapping in mappings {
            out.sample(name, "mapping", &mapping.name, value(mapping));
        }
    };
    gauge(
        "fnctl_mapping_shards",
        "Shards that a worker should run: those that wait for their parents, or ended, left out",
        &|m| m.shards.iter().filter(|shard| shard.is_due).count() as u64,
    );
    gauge(
        "fnctl_mapping_shards_owned",
        "Shards of the mapping that a worker runs",
        &|m| m.shards.iter().filter(|shard| shard.is_owned).count() as u64,
    );
    gauge(
        "fnctl_mapping_parked_keys",
        "Keys that wait for a retry",
        &|m| m.shards.iter().map(|shard| shard.parked_keys).sum(),
    );
    gauge(
        "fnctl_mapping_circuit_open",
        "Shards whose calls are held because what the function needs is down",
        &|m| m.shards.iter().filter(|s| s.is_circuit_open).count() as u64,
    );
    gauge(
        "fnctl_open_windows",
        "Tumbling windows with records in them that had no final call yet",
        &|m| m.shards.iter().map(|shard| shard.open_windows).sum(),
    );
    gauge(
        "fnctl_dead_letters_open",
        "Dead letters that wait for someone",
        &|m| m.dead_letters_open,
    );
    let name = "fnctl_mapping_next_retry_timestamp_seconds";
    let help = "When the next parked key is tried; mappings without one have no sample";
    out.family(name, "gauge", help);
    for mapping in mappings {
        let next = mapping.shards.iter().filter_map(|shard| shard.next_retry);
        if let Some(next) = next.min() {
            let seconds = format!("{}.{:03}", next.0 / 1_000, next.0 % 1_000);
            out.sample(name, "mapping", &mapping.name, seconds);
        }
    }
    let name = "fnctl_mapping_state";
    out.family(name, "gauge", "1 for the state the mapping is in");
    for mapping in mappings {
        for state in STATES {
            let is = u8::from(state == mapping.state);
            out.sample2(name, ("mapping", &mapping.name), ("state", state), is);
        }
    }
}

fn totals(out: &mut Exposition, mappings: &[MappingSample]) {
    let mut counter = |name: &str, help: &str, value: &dyn Fn(&UnitTotals) -> u64| {
        out.family(name, "counter", help);
        for mapping in mappings {
            out.sample(name, "mapping", &mapping.name, value(&mapping.totals));
        }
    };
    counter(
        "fnctl_records_filtered_total",
        "Records that a filter let fall",
        &|t| t.filtered,
    );
    counter(
        "fnctl_records_processed_total",
        "Records whose handling succeeded",
        &|t| t.processed,
    );
    counter("fnctl_records_failed_total", "Charged attempts", &|t| {
        t.failed
    });
    counter(
        "fnctl_records_expired_total",
        "Records that retention took unsettled",
        &|t| t.expired,
    );
    counter(
        "fnctl_records_dropped_total",
        "Records given up and not kept, because the dead letters were full",
        &|t| t.dropped,
    );
    counter("fnctl_records_emitted_total", "Rows published", &|t| {
        t.emitted
    });
}

fn relays(out: &mut Exposition, mappings: &[MappingSample]) {
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&RelayStatus) -> f64| {
        out.family(name, kind, help);
        for mapping in mappings {
            if let Some(relay) = &mapping.relay {
                out.sample(name, "mapping", &mapping.name, value(relay));
            }
        }
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "the exposition's numbers are f64"
    )]
    {
        family(
            "fnctl_relay_age_seconds",
            "gauge",
            "How long the oldest dead letter waits that is not at its destination yet",
            &|relay| relay.age_ms as f64 / 1e3,
        );
        family(
            "fnctl_relay_pending_letters",
            "gauge",
            "Dead letters that are not at their destination yet",
            &|relay| relay.pending_letters as f64,
        );
        family(
            "fnctl_relay_delivered_total",
            "counter",
            "Dead letters brought to their destination since the server started",
            &|relay| relay.delivered as f64,
        );
        family(
            "fnctl_relay_failures_total",
            "counter",
            "Deliveries that the destination of dead letters refused since the server started",
            &|relay| relay.failures as f64,
        );
    }
}

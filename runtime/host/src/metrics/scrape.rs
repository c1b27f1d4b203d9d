//! The exposition: what is counted as it happens, and what is computed when it is asked for.
//!
//! Iterator age is computed here from the published state, so that it grows while a worker is stuck,
//! and the shards a mapping should have stand beside those that are owned, because a shard that
//! nobody owns has no age.

mod custom;
mod function;
mod mapping;
mod storage;

use std::sync::Arc;

use fnctl_core::{
    commit::UnitTotals,
    function::Function,
    id::{FunctionName, ShardNumber, StreamName, Timestamp},
    status::RelayStatus,
};
use prometheus::TextEncoder;

use crate::metrics::{ANSWERS, Metrics, REFUSALS, SOURCE_ERRORS, exposition::Exposition};

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
    /// How long its stream keeps records, ms; `None`: the stream is gone.
    pub(crate) retention_ms: Option<u64>,
    /// Who copies them, if anybody does.
    pub(crate) relay: Option<RelayStatus>,
    /// Whether it runs, and its calls cannot be made by a fault of the server.
    pub(crate) is_host_at_fault: bool,
}

/// One unit as it is at a scrape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardSample {
    /// The shard.
    pub(crate) shard: ShardNumber,
    /// Age of the oldest unsettled record, ms; 0 when caught up.
    pub(crate) age_ms: u64,
    /// When that arrived; now, when caught up.
    pub(crate) checkpoint: Timestamp,
    /// Records that arrived and are not settled.
    pub(crate) pending: u64,
    /// About how many bytes it is from the oldest of them to the end of the shard.
    pub(crate) pending_bytes: u64,
    /// Records that ended.
    pub(crate) settled: u64,
    /// Whether a worker should run it: its parents are settled, and it is not at its end.
    pub(crate) is_due: bool,
    /// Whether a worker runs it.
    pub(crate) is_owned: bool,
    /// Whether its commits are refused and kept.
    pub(crate) is_blocked: bool,
    /// Whether it stopped because it cannot be read.
    pub(crate) is_damaged: bool,
    /// Keys that wait for a retry, as its worker knows them.
    pub(crate) parked_keys: u64,
    /// When the next of them is tried.
    pub(crate) next_retry: Option<Timestamp>,
    /// Whether its circuit is open.
    pub(crate) is_circuit_open: bool,
    /// Windows with records that had no final call.
    pub(crate) open_windows: u64,
}

/// One function as it is at a scrape.
#[derive(Clone, Debug)]
pub(crate) struct FunctionSample {
    function: FunctionName,
    /// Thousandths of the keys that meet a canary; 0: there is none.
    canary_weight: u16,
    /// Linear memory of an instance of the live version, at most.
    memory_limit_bytes: u64,
}

impl FunctionSample {
    /// Of a function.
    pub(crate) fn of(function: &Function) -> Self {
        Self {
            function: function.name.clone(),
            canary_weight: function.canary().map_or(0, |canary| canary.weight.get()),
            memory_limit_bytes: function.live_version().settings.memory_bytes,
        }
    }
}

/// The store and the process as they are at a scrape.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreSample {
    /// Metrics without labels, with their values if they have one now.
    pub(crate) values: Vec<(&'static str, Option<f64>)>,
    /// Upper bounds (seconds) of journal syncs and how many lie in each bucket alone.
    pub(crate) sync_buckets: Vec<(f64, u64)>,
    /// Syncs above the last bound.
    pub(crate) sync_above: u64,
    /// Seconds of all syncs.
    pub(crate) sync_sum: f64,
    /// Components compiled.
    pub(crate) compilations: u64,
    /// Seconds that took.
    pub(crate) compile_seconds: f64,
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

/// Everything that is computed at a scrape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scrape<'a> {
    /// What the build is.
    pub(crate) build: BuildInfo,
    /// Every mapping.
    pub(crate) mappings: &'a [MappingSample],
    /// Every function.
    pub(crate) functions: &'a [FunctionSample],
    /// The store and the process.
    pub(crate) store: &'a StoreSample,
    /// The boot-time clock, ms.
    pub(crate) boot_ms: u64,
}

/// About how long the lines of one mapping and its function are, bytes.
const BYTES_OF_A_MAPPING: usize = 16 << 10;

impl Metrics {
    /// The whole exposition, in Prometheus text format.
    pub(crate) fn expose(&self, scrape: Scrape<'_>) -> String {
        let room = (16 << 10) + scrape.mappings.len() * BYTES_OF_A_MAPPING;
        let mut out = Exposition::with_capacity(room);
        let families = self.registry.gather();
        out.append(|text| {
            TextEncoder::new()
                .encode_utf8(&families, text)
                .expect("writing to memory does not fail");
        });
        build_info(&mut out, scrape.build);
        self.node(&mut out);
        let children = self.lock();
        mapping::counted(&mut out, &children);
        function::counted(&mut out, &children, scrape.boot_ms);
        custom::counted(&mut out, &children);
        drop(children);
        function::sampled(&mut out, scrape.functions);
        mapping::sampled(&mut out, scrape.mappings);
        storage::expose(&mut out, scrape.store);
        out.finish()
    }

    /// What is counted of the node as a whole.
    fn node(&self, out: &mut Exposition) {
        let name = "fnctl_commits_total";
        out.family(name);
        for (answer, count) in ANSWERS.iter().zip(&self.commits) {
            out.sample(name, "answer", answer, count.get());
        }
        let name = "fnctl_source_errors_total";
        out.family(name);
        for (kind, count) in SOURCE_ERRORS.iter().zip(&self.source_errors) {
            out.sample2(name, ("source", "embedded"), ("kind", kind), count.get());
        }
        let name = "fnctl_worker_failures_total";
        out.family(name);
        out.line(format_args!("{name} {}", self.worker_failures.get()));
        let name = "fnctl_access_refused_total";
        out.family(name);
        for (reason, count) in REFUSALS.iter().zip(&self.access_refused) {
            out.sample(name, "reason", reason, count.get());
        }
        let name = "fnctl_audit_lost_total";
        out.family(name);
        out.line(format_args!("{name} {}", self.audit_lost.get()));
        self.reloads.expose(out);
    }
}

fn build_info(out: &mut Exposition, build: BuildInfo) {
    let BuildInfo {
        version,
        commit,
        wasmtime,
    } = build;
    let name = "fnctl_build_info";
    out.family(name);
    out.line(format_args!(
        "{name}{{version=\"{version}\",commit=\"{commit}\",wasmtime=\"{wasmtime}\"}} 1"
    ));
}

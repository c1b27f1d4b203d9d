//! Every metric of the process, and the only place that records one. Other crates return
//! measurements inside their results; the host records them here.
//!
//! Labels come from closed sets or from configured names, never from records. Counters exist, at
//! zero, from the moment their mapping does, and go with it. Those of mappings and functions are
//! kept beside the registry and written out by `exposition`: there may be a thousand of each, and a
//! scrape must stay cheap.

pub(crate) mod canary;
mod exposition;
pub(crate) mod scrape;
mod store;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use fnctl_core::{
    canary::GuardReason,
    commit::ErrorKind,
    error_code::ErrorCode,
    id::{FunctionName, MappingId, StreamName},
    outcome::OutcomeKind,
};
use prometheus::{
    Counter, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    process_collector::ProcessCollector,
};

use crate::api::error::ApiError;

/// How calls may end, as labels.
const OUTCOMES: [OutcomeKind; 8] = [
    OutcomeKind::Ok,
    OutcomeKind::Partial,
    OutcomeKind::Error,
    OutcomeKind::Trap,
    OutcomeKind::Timeout,
    OutcomeKind::OutOfMemory,
    OutcomeKind::OutputTooLarge,
    OutcomeKind::Throttled,
];

/// Answers of the sequencer, as labels.
const ANSWERS: [&str; 4] = ["accepted", "fenced", "refused", "unavailable"];

/// Why requests are refused, as labels: no token or a bad one, one of too narrow a scope, a bad signature, too
/// many of one address.
const REFUSALS: [&str; 4] = ["token", "scope", "signature", "rate"];

/// Upper bounds of durations, seconds: from a warm call to the longest time limit.
const DURATIONS: [f64; 14] = [
    0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 120.0,
];
/// Upper bounds of instance creation, seconds.
const INSTANTIATIONS: [f64; 7] = [0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.01, 0.1];
/// Upper bounds of batch sizes, records.
const BATCHES: [f64; 9] = [
    1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0,
];

/// All metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    commits: [IntCounter; ANSWERS.len()],
    source_errors: IntCounter,
    worker_failures: IntCounter,
    access_refused: [IntCounter; REFUSALS.len()],
    audit_lost: IntCounter,
    syncs: Mutex<store::SyncTimes>,
    children: Mutex<Children>,
}

#[derive(Debug, Default)]
struct Children {
    /// By `<function>/<stream>`: a mapping made anew under its name goes on with the series.
    mappings: BTreeMap<Arc<str>, NamedMetrics>,
    functions: BTreeMap<FunctionName, Arc<FunctionMetrics>>,
}

/// The series of a name, and whose they are now.
#[derive(Debug)]
struct NamedMetrics {
    series: Arc<MappingMetrics>,
    mapping: MappingId,
    /// Records that mappings before this one had read.
    polled_before: u64,
}

/// The counters of one mapping, found once and kept by its workers.
#[derive(Debug)]
pub(crate) struct MappingMetrics {
    /// Records read from the stream since this process started.
    pub(crate) polled: IntCounter,
    /// Bytes of them.
    pub(crate) bytes_in: IntCounter,
    /// Records that the filter could not judge, whatever became of them.
    pub(crate) unparsable: IntCounter,
    /// Calls made because an earlier one failed.
    pub(crate) retries: IntCounter,
    /// Times that the circuit of one of its shards opened.
    pub(crate) circuit_opens: IntCounter,
    dead_lettered: [IntCounter; ErrorKind::ALL.len()],
    invocations: [IntCounter; OUTCOMES.len()],
}

/// The histograms of one function.
#[derive(Debug)]
pub(crate) struct FunctionMetrics {
    /// Seconds of a call.
    pub(crate) duration: Histogram,
    /// Seconds to make an instance.
    pub(crate) instantiation: Histogram,
    /// Records of a call.
    pub(crate) batch_records: Histogram,
    /// Calls running now.
    pub(crate) in_flight: IntGauge,
    /// Seconds spent lowering records into guests.
    pub(crate) lower: Counter,
    /// Seconds spent lifting rows and failures out of guests.
    pub(crate) lift: Counter,
    /// Lines it wrote that were not kept: above a call's limit, or above what it may write a second.
    pub(crate) log_lines_dropped: IntCounter,
    canary_rollbacks: [IntCounter; GuardReason::ALL.len()],
}

/// A counter outside the registry: its name and labels are written with it.
fn counter() -> IntCounter {
    IntCounter::new("c", "c").expect("a good name")
}

fn histogram(buckets: &[f64]) -> Histogram {
    let opts = HistogramOpts::new("h", "h").buckets(buckets.to_vec());
    Histogram::with_opts(opts).expect("the buckets are constants, ascending")
}

impl MappingMetrics {
    fn new() -> Self {
        Self {
            polled: counter(),
            bytes_in: counter(),
            unparsable: counter(),
            retries: counter(),
            circuit_opens: counter(),
            dead_lettered: std::array::from_fn(|_| counter()),
            invocations: std::array::from_fn(|_| counter()),
        }
    }

    /// Counts an ended call.
    pub(crate) fn invoked(&self, outcome: OutcomeKind) {
        for (counter, kind) in self.invocations.iter().zip(OUTCOMES) {
            if kind == outcome {
                counter.inc();
            }
        }
    }

    /// Counts a dead letter.
    pub(crate) fn dead_lettered(&self, kind: ErrorKind) {
        for (counter, of) in self.dead_lettered.iter().zip(ErrorKind::ALL) {
            if of == kind {
                counter.inc();
            }
        }
    }
}

impl FunctionMetrics {
    fn new() -> Self {
        Self {
            duration: histogram(&DURATIONS),
            instantiation: histogram(&INSTANTIATIONS),
            batch_records: histogram(&BATCHES),
            in_flight: IntGauge::new("g", "g").expect("a good name"),
            lower: Counter::new("c", "c").expect("a good name"),
            lift: Counter::new("c", "c").expect("a good name"),
            log_lines_dropped: counter(),
            canary_rollbacks: std::array::from_fn(|_| counter()),
        }
    }

    /// Counts a canary that its guard took back.
    pub(crate) fn canary_rolled_back(&self, reason: GuardReason) {
        for (counter, of) in self.canary_rollbacks.iter().zip(GuardReason::ALL) {
            if of == reason {
                counter.inc();
            }
        }
    }
}

fn registered<M: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> M {
    let metric = metric.expect("names and labels are constants");
    registry
        .register(Box::new(metric.clone()))
        .expect("every metric is registered once");
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            registered(&registry, IntCounter::with_opts(Opts::new(name, help)))
        };
        let commits = Opts::new(
            "fnctl_commits_total",
            "Commits by the answer of the sequencer",
        );
        let commits = registered(&registry, IntCounterVec::new(commits, &["answer"]));
        let source_errors = counter("fnctl_source_errors_total", "Reads of a stream that failed");
        let worker_failures = counter(
            "fnctl_worker_failures_total",
            "Workers that ended by a fault of ours and were started again",
        );
        let refused = Opts::new(
            "fnctl_access_refused_total",
            "Requests that were not let in, by reason",
        );
        let refused = registered(&registry, IntCounterVec::new(refused, &["reason"]));
        let audit_lost = counter(
            "fnctl_audit_lost_total",
            "Changes that were made and could not be put into the audit",
        );
        registry
            .register(Box::new(ProcessCollector::for_self()))
            .expect("every metric is registered once");
        Self {
            commits: ANSWERS.map(|answer| commits.with_label_values(&[answer])),
            source_errors,
            worker_failures,
            audit_lost,
            access_refused: REFUSALS.map(|reason| refused.with_label_values(&[reason])),
            syncs: Mutex::default(),
            children: Mutex::default(),
            registry,
        }
    }
}

impl Metrics {
    /// The counters of a mapping, made at zero when first asked for.
    pub(crate) fn mapping(
        &self,
        mapping: MappingId,
        function: &FunctionName,
        stream: &StreamName,
    ) -> Arc<MappingMetrics> {
        self.with_named(mapping, function, stream, |named| Arc::clone(&named.series))
    }

    /// Records that a mapping has read since the server started; those of an earlier one under its name
    /// are not its own.
    pub(crate) fn polled(
        &self,
        mapping: MappingId,
        function: &FunctionName,
        stream: &StreamName,
    ) -> u64 {
        self.with_named(mapping, function, stream, |named| {
            if named.mapping == mapping {
                named.series.polled.get() - named.polled_before
            } else {
                0
            }
        })
    }

    /// Counts what a mapping reads from nothing again: it was sent elsewhere.
    pub(crate) fn polled_anew(
        &self,
        mapping: MappingId,
        function: &FunctionName,
        stream: &StreamName,
    ) {
        self.with_named(mapping, function, stream, |named| {
            if named.mapping == mapping {
                named.polled_before = named.series.polled.get();
            }
        });
    }

    fn with_named<R>(
        &self,
        mapping: MappingId,
        function: &FunctionName,
        stream: &StreamName,
        read: impl FnOnce(&mut NamedMetrics) -> R,
    ) -> R {
        let name: Arc<str> = format!("{function}/{stream}").into();
        let mut children = self.lock();
        let named = children
            .mappings
            .entry(name)
            .or_insert_with(|| NamedMetrics {
                series: Arc::new(MappingMetrics::new()),
                mapping,
                polled_before: 0,
            });
        if named.mapping < mapping {
            named.mapping = mapping;
            named.polled_before = named.series.polled.get();
        }
        read(named)
    }

    /// The histograms of a function.
    pub(crate) fn function(&self, name: &FunctionName) -> Arc<FunctionMetrics> {
        let mut children = self.lock();
        let made = children.functions.entry(name.clone());
        Arc::clone(made.or_insert_with(|| Arc::new(FunctionMetrics::new())))
    }

    /// Takes away the series of mappings (by `<function>/<stream>`) and functions that are gone.
    pub(crate) fn retain(
        &self,
        is_mapping: impl Fn(&str) -> bool,
        is_function: impl Fn(&FunctionName) -> bool,
    ) {
        let mut children = self.lock();
        children.mappings.retain(|name, _| is_mapping(name));
        children.functions.retain(|name, _| is_function(name));
    }

    /// Counts a commit that was accepted.
    pub(crate) fn commit_accepted(&self) {
        self.commits[0].inc();
    }

    /// Counts a commit of a worker that is not the owner any more.
    pub(crate) fn commit_fenced(&self) {
        self.commits[1].inc();
    }

    /// Counts a commit that is sent again.
    pub(crate) fn commit_unavailable(&self) {
        self.commits[3].inc();
    }

    /// Counts a failed read.
    pub(crate) fn source_error(&self) {
        self.source_errors.inc();
    }

    /// Counts a request of the control API that was not let in.
    pub(crate) fn access_refused(&self, error: &ApiError) {
        for (index, code) in [
            (0, ErrorCode::TokenRefused),
            (1, ErrorCode::ScopeTooNarrow),
            (3, ErrorCode::AccessThrottled),
        ] {
            if error.is(code) {
                self.access_refused[index].inc();
            }
        }
    }

    /// Counts a request of the Kinesis API that nobody known signed.
    pub(crate) fn signature_refused(&self) {
        self.access_refused[2].inc();
    }

    /// Counts one that was answered briefly, because its address has too many of them.
    pub(crate) fn signatures_throttled(&self) {
        self.access_refused[3].inc();
    }

    /// Counts a change that the audit lost.
    pub(crate) fn audit_lost(&self) {
        self.audit_lost.inc();
    }

    /// Counts a worker that ended by a fault of ours.
    pub(crate) fn worker_failed(&self) {
        self.worker_failures.inc();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! Every metric of the process, and the only place that records one. Other crates return
//! measurements inside their results; the host records them here.
//!
//! Labels come from closed sets or from configured names, never from records. Counters exist, at
//! zero, from the moment their mapping does, and go with it.

pub(crate) mod scrape;
mod store;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use fnctl_core::{
    commit::ErrorKind,
    id::{FunctionName, MappingId, StreamName},
    outcome::OutcomeKind,
};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    process_collector::ProcessCollector,
};

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

/// Upper bounds of durations, seconds: from a warm call to the longest time limit.
const DURATIONS: [f64; 14] = [
    0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 120.0,
];
/// Upper bounds of instance creation, seconds.
const INSTANTIATIONS: [f64; 7] = [0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.01, 0.1];
/// Upper bounds of batch sizes, records.
const BATCHES: [f64; 9] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0];

/// All metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    polled: IntCounterVec,
    bytes_in: IntCounterVec,
    dead_lettered: IntCounterVec,
    invocations: IntCounterVec,
    retries: IntCounterVec,
    commits: [IntCounter; ANSWERS.len()],
    duration: HistogramVec,
    instantiation: HistogramVec,
    batch_records: HistogramVec,
    in_flight: prometheus::IntGaugeVec,
    source_errors: IntCounter,
    worker_panics: IntCounter,
    syncs: Mutex<store::SyncTimes>,
    children: Mutex<Children>,
}

#[derive(Debug, Default)]
struct Children {
    mappings: HashMap<MappingId, Arc<MappingMetrics>>,
    functions: HashMap<FunctionName, Arc<FunctionMetrics>>,
}

/// The counters of one mapping, found once and kept by its workers.
#[derive(Debug)]
pub(crate) struct MappingMetrics {
    name: Arc<str>,
    /// Records read from the stream since this process started.
    pub(crate) polled: IntCounter,
    /// Bytes of them.
    pub(crate) bytes_in: IntCounter,
    /// Batches that go to the function again.
    pub(crate) retries: IntCounter,
    dead_lettered: [IntCounter; ErrorKind::ALL.len()],
    invocations: [IntCounter; OUTCOMES.len()],
}

impl MappingMetrics {
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
}

fn registered<M: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> M {
    let metric = metric.expect("names, labels and buckets are constants");
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
        let counters = |name: &str, help: &str, labels: &[&str]| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let histograms = |name: &str, help: &str, buckets: &[f64]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            registered(&registry, HistogramVec::new(opts, &["function"]))
        };
        let commits = counters(
            "fnctl_commits_total",
            "Commits by the answer of the sequencer",
            &["answer"],
        );
        let this = Self {
            polled: counters(
                "fnctl_records_polled_total",
                "Records read from the stream since the server started",
                &["mapping"],
            ),
            bytes_in: counters(
                "fnctl_record_bytes_total",
                "Bytes of keys and data read from the stream (direction in)",
                &["mapping", "direction"],
            ),
            dead_lettered: counters(
                "fnctl_records_dead_lettered_total",
                "Records that ended as dead letters since the server started, by cause",
                &["mapping", "error_kind"],
            ),
            invocations: counters(
                "fnctl_invocations_total",
                "Calls of the function by how they ended",
                &["mapping", "outcome"],
            ),
            retries: counters(
                "fnctl_batch_retries_total",
                "Calls made because an earlier one failed",
                &["mapping"],
            ),
            commits: ANSWERS.map(|answer| commits.with_label_values(&[answer])),
            duration: histograms(
                "fnctl_invocation_duration_seconds",
                "Time of a call, waiting for a slot excluded",
                &DURATIONS,
            ),
            instantiation: histograms(
                "fnctl_instantiation_duration_seconds",
                "Time to make an instance, where a call needed a new one",
                &INSTANTIATIONS,
            ),
            batch_records: histograms("fnctl_batch_records", "Records of a call", &BATCHES),
            in_flight: registered(
                &registry,
                prometheus::IntGaugeVec::new(
                    Opts::new("fnctl_invocations_in_flight", "Calls running now"),
                    &["function"],
                ),
            ),
            source_errors: counter(
                "fnctl_source_errors_total",
                "Reads of a stream that failed",
            ),
            worker_panics: counter(
                "fnctl_worker_panics_total",
                "Workers that ended by a fault of ours and were started again",
            ),
            syncs: Mutex::default(),
            children: Mutex::default(),
            registry: registry.clone(),
        };
        registry
            .register(Box::new(ProcessCollector::for_self()))
            .expect("every metric is registered once");
        this
    }
}

impl Metrics {
    /// The counters of a mapping, made at zero when first asked for.
    pub(crate) fn mapping(
        &self,
        id: MappingId,
        function: &FunctionName,
        stream: &StreamName,
    ) -> Arc<MappingMetrics> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let made = children.mappings.entry(id).or_insert_with(|| {
            let name: Arc<str> = format!("{function}/{stream}").into();
            let of = |counters: &IntCounterVec| counters.with_label_values(&[&name]);
            Arc::new(MappingMetrics {
                polled: of(&self.polled),
                bytes_in: self.bytes_in.with_label_values(&[&*name, "in"]),
                retries: of(&self.retries),
                dead_lettered: ErrorKind::ALL.map(|kind| {
                    self.dead_lettered.with_label_values(&[&*name, kind.as_str()])
                }),
                invocations: OUTCOMES
                    .map(|kind| self.invocations.with_label_values(&[&*name, kind.as_str()])),
                name,
            })
        });
        Arc::clone(made)
    }

    /// The histograms of a function.
    pub(crate) fn function(&self, name: &FunctionName) -> Arc<FunctionMetrics> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let made = children.functions.entry(name.clone()).or_insert_with(|| {
            let label = [name.as_str()];
            Arc::new(FunctionMetrics {
                duration: self.duration.with_label_values(&label),
                instantiation: self.instantiation.with_label_values(&label),
                batch_records: self.batch_records.with_label_values(&label),
                in_flight: self.in_flight.with_label_values(&label),
            })
        });
        Arc::clone(made)
    }

    /// Takes away the series of mappings and functions that are gone.
    pub(crate) fn retain(
        &self,
        is_mapping: impl Fn(MappingId) -> bool,
        is_function: impl Fn(&FunctionName) -> bool,
    ) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let Children {
            mappings,
            functions,
        } = &mut *children;
        let gone: Vec<_> = mappings
            .keys()
            .copied()
            .filter(|id| !is_mapping(*id))
            .collect();
        let gone: Vec<_> = gone.iter().filter_map(|id| mappings.remove(id)).collect();
        for mapping in gone {
            // A mapping made anew under the same name goes on with the series.
            if mappings.values().any(|other| other.name == mapping.name) {
                continue;
            }
            let name = &*mapping.name;
            let one = [&self.polled, &self.retries].map(|v| v.remove_label_values(&[name]));
            let kinds = ErrorKind::ALL
                .map(|kind| self.dead_lettered.remove_label_values(&[name, kind.as_str()]));
            let outcomes =
                OUTCOMES.map(|kind| self.invocations.remove_label_values(&[name, kind.as_str()]));
            let bytes = [self.bytes_in.remove_label_values(&[name, "in"])];
            for result in one.into_iter().chain(kinds).chain(outcomes).chain(bytes) {
                result.expect("the series was made with its mapping");
            }
        }
        functions.retain(|name, _| {
            let is_kept = is_function(name);
            if !is_kept {
                let label = [name.as_str()];
                for result in [
                    self.duration.remove_label_values(&label),
                    self.instantiation.remove_label_values(&label),
                    self.batch_records.remove_label_values(&label),
                    self.in_flight.remove_label_values(&label),
                ] {
                    result.expect("the series was made with its function");
                }
            }
            is_kept
        });
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

    /// Counts a worker that ended by a fault of ours.
    pub(crate) fn worker_panic(&self) {
        self.worker_panics.inc();
    }
}

#[cfg(test)]
mod tests;

//! Every metric of the process, and the only place that records one. Other crates return
//! measurements inside their results; the host records them here. What functions count themselves is
//! counted in the invoker, where they call, and written out here.
//!
//! Labels come from closed sets or from configured names, never from records; those of a function's own
//! series and the codes of its failures are its own, and bounded. Counters exist, at
//! zero, from the moment their mapping does, and go with it. Those of mappings and functions are
//! kept beside the registry and written out by `exposition`: there may be a thousand of each, and a
//! scrape must stay cheap. What each metric says stands in `table`.

mod codes;
mod exposition;
pub(crate) mod histogram;
mod peak;
pub(crate) mod reloads;
pub(crate) mod scrape;
mod store;
mod table;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use fnctl_core::{
    batch::FlushReason,
    canary::GuardReason,
    commit::ErrorKind,
    error_code::ErrorCode,
    id::{FunctionName, StreamName},
    outcome::OutcomeKind,
    source::SourceError,
};
use fnctl_invoker::FunctionSeries;
use prometheus::{Counter, IntCounter, IntGauge, Registry, process_collector::ProcessCollector};

use self::{codes::Codes, histogram::Histogram, peak::Peak, reloads::Reloads};

use crate::api::error::ApiError;

/// Whether anything is measured of what calls and commits do, beyond the totals that statuses show. False in the
/// build that `tests/bench` holds beside the real one, to say what measuring costs.
pub(crate) const MEASURES: bool = !cfg!(feature = "unmeasured");

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

/// Ways in which the read of a stream fails, as labels.
const SOURCE_ERRORS: [&str; 4] = ["transient", "damaged", "trimmed", "gone"];

/// Where the time of a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// From the arrival of its oldest record until it is closed.
    Queue,
    /// Until the call runs.
    Wait,
    /// The call.
    Run,
    /// From its end until its result is synced.
    Commit,
}

impl Stage {
    /// In the order that a batch goes through them.
    const ALL: [Self; 4] = [Self::Queue, Self::Wait, Self::Run, Self::Commit];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Wait => "wait",
            Self::Run => "run",
            Self::Commit => "commit",
        }
    }
}

/// Why requests are refused, as labels: no token or a bad one, one of too narrow a scope, a bad signature, too
/// many of one address.
const REFUSALS: [&str; 4] = ["token", "scope", "signature", "rate"];

/// Upper bounds of durations, seconds: from a warm call to the longest time limit.
const DURATIONS: [f64; 14] = [
    0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 120.0,
];
/// Upper bounds of the time from arrival to end, seconds: up to what waits for a person.
const LATENCIES: [f64; 14] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0, 300.0, 900.0, 3_600.0,
];
/// Upper bounds of stages, seconds.
const STAGES: [f64; 12] = [
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 300.0,
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
    source_errors: [IntCounter; SOURCE_ERRORS.len()],
    worker_failures: IntCounter,
    access_refused: [IntCounter; REFUSALS.len()],
    audit_lost: IntCounter,
    reloads: Reloads,
    syncs: Mutex<store::SyncTimes>,
    children: Mutex<Children>,
}

#[derive(Debug, Default)]
struct Children {
    /// By `<function>/<stream>`: a mapping made anew under its name goes on with the series.
    mappings: BTreeMap<Arc<str>, Arc<MappingMetrics>>,
    functions: BTreeMap<FunctionName, Arc<FunctionMetrics>>,
}

/// The counters of one mapping, found once and kept by its workers.
#[derive(Debug)]
pub(crate) struct MappingMetrics {
    /// Records read from the stream since this process started.
    pub(crate) polled: IntCounter,
    /// Bytes of them.
    pub(crate) bytes_in: IntCounter,
    /// Bytes of rows that were published.
    pub(crate) bytes_out: IntCounter,
    /// Records that the filter could not judge, whatever became of them.
    pub(crate) unparsable: IntCounter,
    /// Calls made because an earlier one failed.
    pub(crate) retries: IntCounter,
    /// Cuts in two of batches that failed as a whole.
    pub(crate) bisects: IntCounter,
    /// Times that the circuit of one of its shards opened.
    pub(crate) circuit_opens: IntCounter,
    /// Batches that lanes closed, by [`FlushReason::ALL`].
    pub(crate) flushes: [IntCounter; FlushReason::ALL.len()],
    dead_lettered: [IntCounter; ErrorKind::ALL.len()],
    /// The same, by code.
    codes: Codes,
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
    /// From the arrival of a record until its end is synced, seconds.
    pub(crate) end_to_end: Histogram,
    /// Calls running now.
    pub(crate) in_flight: IntGauge,
    /// Records that wait in lanes.
    pub(crate) queue: IntGauge,
    /// Linear memory of instances, bytes.
    pub(crate) memory: Peak,
    /// CPU seconds of guest threads.
    pub(crate) cpu: Counter,
    /// Seconds spent lowering records into guests.
    pub(crate) lower: Counter,
    /// Seconds spent lifting rows and failures out of guests.
    pub(crate) lift: Counter,
    /// Lines it wrote that were not kept: above a call's limit, or above what it may write a second.
    pub(crate) log_lines_dropped: IntCounter,
    /// What it counts itself.
    pub(crate) series: Arc<FunctionSeries>,
    canary_rollbacks: [IntCounter; GuardReason::ALL.len()],
    stages: [Histogram; Stage::ALL.len()],
}

/// A counter outside the registry: its name and labels are written with it.
fn counter() -> IntCounter {
    IntCounter::new("c", "c").expect("a good name")
}

fn gauge() -> IntGauge {
    IntGauge::new("g", "g").expect("a good name")
}

fn seconds() -> Counter {
    Counter::new("c", "c").expect("a good name")
}

impl MappingMetrics {
    fn new() -> Self {
        Self {
            polled: counter(),
            bytes_in: counter(),
            bytes_out: counter(),
            unparsable: counter(),
            retries: counter(),
            bisects: counter(),
            circuit_opens: counter(),
            flushes: std::array::from_fn(|_| counter()),
            dead_lettered: std::array::from_fn(|_| counter()),
            codes: Codes::default(),
            invocations: std::array::from_fn(|_| counter()),
        }
    }

    /// Counts an ended call.
    pub(crate) fn invoked(&self, outcome: OutcomeKind) {
        if !MEASURES {
            return;
        }
        for (counter, kind) in self.invocations.iter().zip(OUTCOMES) {
            if kind == outcome {
                counter.inc();
            }
        }
    }

    /// Counts a dead letter.
    pub(crate) fn dead_lettered(&self, kind: ErrorKind, code: &str) {
        self.codes.count(code);
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
            duration: Histogram::new(&DURATIONS),
            instantiation: Histogram::new(&INSTANTIATIONS),
            batch_records: Histogram::new(&BATCHES),
            end_to_end: Histogram::new(&LATENCIES),
            in_flight: gauge(),
            queue: gauge(),
            memory: Peak::default(),
            cpu: seconds(),
            lower: seconds(),
            lift: seconds(),
            log_lines_dropped: counter(),
            series: Arc::default(),
            canary_rollbacks: std::array::from_fn(|_| counter()),
            stages: std::array::from_fn(|_| Histogram::new(&STAGES)),
        }
    }

    /// The histogram of a stage, seconds.
    pub(crate) const fn stage(&self, stage: Stage) -> &Histogram {
        &self.stages[stage as usize]
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

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        registry
            .register(Box::new(ProcessCollector::for_self()))
            .expect("every metric is registered once");
        Self {
            commits: std::array::from_fn(|_| counter()),
            source_errors: std::array::from_fn(|_| counter()),
            worker_failures: counter(),
            audit_lost: counter(),
            reloads: Reloads::default(),
            access_refused: std::array::from_fn(|_| counter()),
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
        function: &FunctionName,
        stream: &StreamName,
    ) -> Arc<MappingMetrics> {
        let name: Arc<str> = format!("{function}/{stream}").into();
        let mut children = self.lock();
        let made = children.mappings.entry(name);
        Arc::clone(made.or_insert_with(|| Arc::new(MappingMetrics::new())))
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
        if MEASURES {
            self.commits[0].inc();
        }
    }

    /// Counts a commit of a worker that is not the owner any more.
    pub(crate) fn commit_fenced(&self) {
        self.commits[1].inc();
    }

    /// Counts a commit of something that is somebody else's by now.
    pub(crate) fn commit_refused(&self) {
        self.commits[2].inc();
    }

    /// Counts a commit that is sent again.
    pub(crate) fn commit_unavailable(&self) {
        self.commits[3].inc();
    }

    /// Counts a failed read.
    pub(crate) fn source_error(&self, error: &SourceError) {
        let kind = match error {
            SourceError::Transient(_) => 0,
            SourceError::Damaged(_) => 1,
            SourceError::Trimmed { .. } => 2,
            SourceError::Gone => 3,
        };
        self.source_errors[kind].inc();
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

    /// Counts a request of the Kinesis API that was signed with a key of too narrow a scope.
    pub(crate) fn scope_refused(&self) {
        self.access_refused[1].inc();
    }

    /// Counts one that was answered briefly, because its address or key has too many of them.
    pub(crate) fn signatures_throttled(&self) {
        self.access_refused[3].inc();
    }

    /// Counts a change that the audit lost.
    pub(crate) fn audit_lost(&self) {
        self.audit_lost.inc();
    }

    /// Files that are read again, and the certificate.
    pub(crate) const fn reloads(&self) -> &Reloads {
        &self.reloads
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

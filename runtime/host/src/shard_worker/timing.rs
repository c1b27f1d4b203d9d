//! How long records and their batches take, from arrival until their end is synced.

use fnctl_core::{
    id::Timestamp,
    invoker::CallStats,
    pipeline::{CommitPlan, Invocation},
};
use tokio::time::{Duration, Instant};

use crate::{
    metrics::{FunctionMetrics, MEASURES, Stage},
    shard_worker::{WorkerMetrics, blocks::Run},
};

/// What is measured once a commit is synced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Awaited {
    /// When the call ended that it is of.
    since: Option<Instant>,
    /// When records that it settles arrived, and how many did then.
    arrivals: Vec<(Timestamp, u32)>,
}

impl Awaited {
    /// Of the commit of a call with these records that `ended` then. What is no call's, or a redrive's, is not
    /// measured: nobody waits for the one, and the other waited for a person.
    pub(super) fn of(plan: &CommitPlan, runs: &[Run], ended: Option<Instant>) -> Self {
        if !MEASURES || plan.cost.is_none() || plan.redriven.is_some() {
            return Self::default();
        }
        let mut arrivals: Vec<(Timestamp, u32)> = Vec::new();
        let mut ranges = plan.settles.as_slice().iter().peekable();
        // Both are in shard order.
        for held in runs
            .iter()
            .flat_map(|run| (0..run.len()).map(|at| run.held(at)))
        {
            let position = held.ordinal();
            while ranges.next_if(|range| range.through < position).is_some() {}
            if ranges.peek().is_none_or(|range| range.after >= position) {
                continue;
            }
            let arrival = held.arrival();
            match arrivals.last_mut() {
                Some((at, count)) if *at == arrival => *count += 1,
                _ => arrivals.push((arrival, 1)),
            }
        }
        Self {
            since: ended,
            arrivals,
        }
    }

    /// It is synced.
    pub(super) fn measured(&self, function: &FunctionMetrics, now: Timestamp) {
        if let Some(since) = self.since {
            function
                .stage(Stage::Commit)
                .observe(since.elapsed().as_secs_f64());
        }
        for &(arrival, records) in &self.arrivals {
            let latency = seconds(now.since_ms(arrival) * 1_000_000);
            function.end_to_end.observe_many(latency, records);
        }
    }
}

/// A call is wanted, of so many records, again or for the first time.
#[expect(
    clippy::cast_precision_loss,
    reason = "a batch has at most 10,000 records"
)]
pub(super) fn asked(metrics: &WorkerMetrics, invocation: &Invocation) {
    if !MEASURES {
        return;
    }
    if invocation.records.iter().any(|record| record.attempts > 0) {
        metrics.mapping.retries.inc();
    }
    let records = invocation.records.len();
    metrics.function.batch_records.observe(records as f64);
}

/// A call is about to be made of these records: how long the oldest waited until its batch was closed. What was
/// tried before waited for other things.
pub(super) fn queued(
    function: &FunctionMetrics,
    invocation: &Invocation,
    runs: &[Run],
    now: Timestamp,
) {
    if !MEASURES {
        return;
    }
    let mut records = invocation.records.iter();
    let is_first = !invocation.is_fresh && records.all(|record| record.attempts == 0);
    if let Some(run) = runs
        .first()
        .filter(|_| is_first && invocation.redrive.is_none())
    {
        let waited = now.since_ms(run.held(0).arrival());
        function
            .stage(Stage::Queue)
            .observe(seconds(waited * 1_000_000));
    }
}

/// A call ended that took so long, waiting included.
pub(super) fn called(function: &FunctionMetrics, took: Duration, stats: &CallStats, boot_ms: u64) {
    if !MEASURES {
        return;
    }
    let ran = Duration::from_nanos(stats.duration_ns);
    function
        .stage(Stage::Wait)
        .observe(took.saturating_sub(ran).as_secs_f64());
    function.stage(Stage::Run).observe(ran.as_secs_f64());
    function.duration.observe(ran.as_secs_f64());
    function.lower.inc_by(seconds(stats.lower_ns));
    function.lift.inc_by(seconds(stats.lift_ns));
    function.cpu.inc_by(seconds(stats.cpu_ns));
    function.memory.note(stats.memory_bytes, boot_ms);
    if stats.instantiation_ns > 0 {
        function
            .instantiation
            .observe(seconds(stats.instantiation_ns));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a histogram's values are f64")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

//! What functions say of themselves.

use super::{
    Kind::{Counter, Gauge, Histogram},
    Metric, row,
};

const BY_FUNCTION: &[&str] = &["function"];

#[rustfmt::skip]
pub(super) const ROWS: &[Metric] = &[
    row("fnctl_invocation_duration_seconds", Histogram, "seconds", BY_FUNCTION,
        "Time of a call, waiting for a slot excluded",
        "histogram_quantile(0.99, sum by (function, le) (rate(fnctl_invocation_duration_seconds_bucket[5m])))"),
    row("fnctl_instantiation_duration_seconds", Histogram, "seconds", BY_FUNCTION,
        "Time to make an instance, where a call needed a new one",
        "histogram_quantile(0.99, sum by (function, le) (rate(fnctl_instantiation_duration_seconds_bucket[5m])))"),
    row("fnctl_batch_records", Histogram, "records", BY_FUNCTION,
        "Records of a call",
        "rate(fnctl_batch_records_sum[5m]) / rate(fnctl_batch_records_count[5m])"),
    row("fnctl_end_to_end_latency_seconds", Histogram, "seconds", BY_FUNCTION,
        "From a record's arrival until its end is synced and its outputs can be read, retries included, redrives not",
        "histogram_quantile(0.5, sum by (function, le) (rate(fnctl_end_to_end_latency_seconds_bucket[5m])))"),
    row("fnctl_stage_duration_seconds", Histogram, "seconds", &["function", "stage"],
        "Where a batch's time goes: queue (from the arrival of its oldest record until it is closed, first attempts only), wait (for a slot and a guest thread), run (the call), commit (until its result is synced)",
        "sum by (function, stage) (rate(fnctl_stage_duration_seconds_sum[5m]))"),
    row("fnctl_invocations_in_flight", Gauge, "calls", BY_FUNCTION,
        "Calls running now, or waiting for a slot",
        "fnctl_invocations_in_flight"),
    row("fnctl_lane_queue_records", Gauge, "records", BY_FUNCTION,
        "Records that were read and wait in lanes for a call",
        "fnctl_lane_queue_records"),
    row("fnctl_instance_memory_bytes", Gauge, "bytes", BY_FUNCTION,
        "Largest linear memory of an instance in calls of the last one to two minutes; 0 without any",
        "fnctl_instance_memory_bytes / fnctl_instance_memory_limit_bytes"),
    row("fnctl_instance_memory_limit_bytes", Gauge, "bytes", BY_FUNCTION,
        "Linear memory that an instance of the live version may have",
        "fnctl_instance_memory_limit_bytes"),
    row("fnctl_guest_cpu_seconds_total", Counter, "seconds", BY_FUNCTION,
        "CPU time of guest threads in calls: the function, and what it asks of the host",
        "sum by (function) (rate(fnctl_guest_cpu_seconds_total[5m]))"),
    row("fnctl_boundary_seconds_total", Counter, "seconds", &["function", "direction"],
        "Time spent carrying records into guests (lower) and rows out of them (lift)",
        "sum by (function) (rate(fnctl_boundary_seconds_total[5m]))"),
    row("fnctl_log_lines_dropped_total", Counter, "lines", BY_FUNCTION,
        "Lines of the function that were not kept, because it wrote too many",
        "increase(fnctl_log_lines_dropped_total[15m])"),
    row("fnctl_function_canary_weight", Gauge, "ratio", BY_FUNCTION,
        "Share of the keys that meet a canary, 0 without one",
        "fnctl_function_canary_weight > 0"),
    row("fnctl_function_canary_rollbacks_total", Counter, "times", &["function", "reason"],
        "Canaries that their guard took back",
        "increase(fnctl_function_canary_rollbacks_total[1h])"),
];

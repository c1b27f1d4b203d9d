//! What functions are told by: their histograms, their memory and time, their canaries.

use fnctl_core::{canary::GuardReason, series::RefusalReason};

use super::FunctionSample;
use crate::metrics::{
    Children, FunctionMetrics, Stage, exposition::Exposition, histogram::Histogram,
};

/// Writes what is counted as it happens.
pub(super) fn counted(out: &mut Exposition, children: &Children, boot_ms: u64) {
    let all = || children.functions.iter();
    let mut histograms = |name: &str, of: &dyn Fn(&FunctionMetrics) -> &Histogram| {
        out.family(name);
        let mut bounds = Vec::new();
        for (function, metrics) in all() {
            let histogram = of(metrics);
            if bounds.is_empty() {
                bounds = words(histogram);
            }
            out.histogram(
                name,
                &format!("function=\"{function}\""),
                &bounds,
                histogram,
            );
        }
    };
    histograms("fnctl_invocation_duration_seconds", &|f| &f.duration);
    histograms("fnctl_instantiation_duration_seconds", &|f| {
        &f.instantiation
    });
    histograms("fnctl_batch_records", &|f| &f.batch_records);
    histograms("fnctl_end_to_end_latency_seconds", &|f| &f.end_to_end);
    let name = "fnctl_stage_duration_seconds";
    out.family(name);
    let mut bounds = Vec::new();
    for (function, metrics) in all() {
        for stage in Stage::ALL {
            let histogram = metrics.stage(stage);
            if bounds.is_empty() {
                bounds = words(histogram);
            }
            let labels = format!("function=\"{function}\",stage=\"{}\"", stage.as_str());
            out.histogram(name, &labels, &bounds, histogram);
        }
    }
    let mut one = |name: &str, value: &dyn Fn(&FunctionMetrics) -> String| {
        out.family(name);
        for (function, metrics) in all() {
            out.sample(name, "function", function.as_str(), value(metrics));
        }
    };
    one("fnctl_invocations_in_flight", &|f| {
        f.in_flight.get().to_string()
    });
    one("fnctl_lane_queue_records", &|f| f.queue.get().to_string());
    one("fnctl_instance_memory_bytes", &|f| {
        f.memory.get(boot_ms).to_string()
    });
    one("fnctl_guest_cpu_seconds_total", &|f| {
        f.cpu.get().to_string()
    });
    one("fnctl_log_lines_dropped_total", &|f| {
        f.log_lines_dropped.get().to_string()
    });
    let name = "fnctl_boundary_seconds_total";
    out.family(name);
    for (function, metrics) in all() {
        let function = ("function", function.as_str());
        out.sample2(name, function, ("direction", "lower"), metrics.lower.get());
        out.sample2(name, function, ("direction", "lift"), metrics.lift.get());
    }
    let name = "fnctl_function_canary_rollbacks_total";
    out.family(name);
    for (function, metrics) in all() {
        let counters = GuardReason::ALL.iter().zip(&metrics.canary_rollbacks);
        for (reason, count) in counters {
            let function = ("function", function.as_str());
            out.sample2(name, function, ("reason", reason.as_str()), count.get());
        }
    }
    let name = "fnctl_function_metrics_refused_total";
    out.family(name);
    for (function, metrics) in all() {
        for reason in RefusalReason::ALL {
            let function = ("function", function.as_str());
            let count = metrics.series.refused(reason);
            out.sample2(name, function, ("reason", reason.as_str()), count);
        }
    }
}

/// The bounds of a histogram as they are written.
fn words(histogram: &Histogram) -> Vec<String> {
    histogram.bounds().iter().map(ToString::to_string).collect()
}

/// Writes what is looked up at the scrape.
pub(super) fn sampled(out: &mut Exposition, functions: &[FunctionSample]) {
    let name = "fnctl_function_canary_weight";
    out.family(name);
    for sample in functions {
        let ratio = f64::from(sample.canary_weight) / 1e3;
        out.sample(name, "function", sample.function.as_str(), ratio);
    }
    let name = "fnctl_instance_memory_limit_bytes";
    out.family(name);
    for sample in functions {
        let bytes = sample.memory_limit_bytes;
        out.sample(name, "function", sample.function.as_str(), bytes);
    }
}

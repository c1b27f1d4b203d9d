//! The exposition: what is counted as it happens, and what is computed when it is asked for.
//!
//! Iterator age is computed here from the published state, so that it grows while a worker is stuck,
//! and the shards a mapping should have stand beside those that are owned, because a shard that
//! nobody owns has no age.

use std::{fmt::Write as _, sync::Arc};

use fnctl_core::{commit::UnitTotals, id::ShardNumber};
use prometheus::TextEncoder;

use crate::{limits, metrics::Metrics};

/// One mapping as it is at a scrape.
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
    /// Whether a worker runs it.
    pub(crate) is_owned: bool,
}

/// The store as it is at a scrape.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreSample {
    /// `fnctl_…` names with their type, help and value.
    pub(crate) values: Vec<(&'static str, &'static str, &'static str, f64)>,
    /// Upper bounds (seconds) and counts, not cumulative, of journal syncs; one count more than bounds.
    pub(crate) sync_buckets: Vec<(f64, u64)>,
    /// Syncs above the last bound.
    pub(crate) sync_above: u64,
    /// Seconds of all syncs.
    pub(crate) sync_sum: f64,
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
const STATES: [&str; 6] = ["running", "paused", "stopped", "blocked", "failed", "deleting"];

impl Metrics {
    /// The whole exposition, in Prometheus text format.
    pub(crate) fn expose(
        &self,
        build: BuildInfo,
        mappings: &[MappingSample],
        store: &StoreSample,
    ) -> String {
        let mut out = String::with_capacity(64 << 10);
        let families = self.registry.gather();
        TextEncoder::new()
            .encode_utf8(&families, &mut out)
            .expect("writing to memory does not fail");
        build_info(&mut out, build);
        shards(&mut out, mappings);
        totals(&mut out, mappings);
        journal(&mut out, store);
        out
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
    out.push('\n');
}

fn build_info(out: &mut String, build: BuildInfo) {
    let BuildInfo {
        version,
        commit,
        wasmtime,
    } = build;
    let name = "fnctl_build_info";
    head(out, name, "gauge", "What this process was built from");
    line(
        out,
        format_args!(
            "{name}{{version=\"{version}\",commit=\"{commit}\",wasmtime=\"{wasmtime}\"}} 1"
        ),
    );
}

#[expect(clippy::cast_precision_loss, reason = "the exposition's numbers are f64")]
fn shards(out: &mut String, mappings: &[MappingSample]) {
    let name = "fnctl_shard_iterator_age_seconds";
    head(out, name, "gauge", "Age of the oldest unsettled record, 0 when caught up");
    for mapping in mappings {
        if mapping.shards.len() > limits::METRIC_SHARDS_MAX {
            let highest = mapping.shards.iter().map(|s| s.age_ms).max().unwrap_or(0);
            let age = highest as f64 / 1e3;
            line(out, format_args!("{name}{{mapping=\"{}\",shard=\"all\"}} {age}", mapping.name));
            continue;
        }
        for ShardSample { shard, age_ms, .. } in &mapping.shards {
            let age = *age_ms as f64 / 1e3;
            let of = &mapping.name;
            line(out, format_args!("{name}{{mapping=\"{of}\",shard=\"shardId-{:012}\"}} {age}", shard.0));
        }
    }
    let name = "fnctl_shard_pending_records";
    head(out, name, "gauge", "Records that arrived and are not settled");
    for mapping in mappings {
        if mapping.shards.len() > limits::METRIC_SHARDS_MAX {
            let sum: u64 = mapping.shards.iter().map(|s| s.pending).sum();
            line(out, format_args!("{name}{{mapping=\"{}\",shard=\"all\"}} {sum}", mapping.name));
            continue;
        }
        for ShardSample { shard, pending, .. } in &mapping.shards {
            let of = &mapping.name;
            line(out, format_args!("{name}{{mapping=\"{of}\",shard=\"shardId-{:012}\"}} {pending}", shard.0));
        }
    }
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&MappingSample) -> u64| {
        head(out, name, "gauge", help);
        for mapping in mappings {
            line(out, format_args!("{name}{{mapping=\"{}\"}} {}", mapping.name, value(mapping)));
        }
    };
    gauge("fnctl_mapping_shards", "Shards that the mapping reads", &|m| m.shards.len() as u64);
    gauge("fnctl_mapping_shards_owned", "Shards of the mapping that a worker runs", &|m| {
        m.shards.iter().filter(|shard| shard.is_owned).count() as u64
    });
    gauge("fnctl_dead_letters_open", "Dead letters that wait for someone", &|m| m.dead_letters_open);
    let name = "fnctl_mapping_state";
    head(out, name, "gauge", "1 for the state the mapping is in");
    for mapping in mappings {
        for state in STATES {
            let is = u8::from(state == mapping.state);
            line(out, format_args!("{name}{{mapping=\"{}\",state=\"{state}\"}} {is}", mapping.name));
        }
    }
}

fn totals(out: &mut String, mappings: &[MappingSample]) {
    let mut counter = |name: &str, help: &str, value: &dyn Fn(&UnitTotals) -> u64| {
        head(out, name, "counter", help);
        for mapping in mappings {
            line(out, format_args!("{name}{{mapping=\"{}\"}} {}", mapping.name, value(&mapping.totals)));
        }
    };
    counter("fnctl_records_filtered_total", "Records that a filter let fall", &|t| t.filtered);
    counter("fnctl_records_processed_total", "Records whose handling succeeded", &|t| t.processed);
    counter("fnctl_records_failed_total", "Charged attempts", &|t| t.failed);
    counter("fnctl_records_expired_total", "Records that retention took unsettled", &|t| t.expired);
    counter("fnctl_records_emitted_total", "Rows published", &|t| t.emitted);
}

fn journal(out: &mut String, store: &StoreSample) {
    for (name, kind, help, value) in &store.values {
        head(out, name, kind, help);
        line(out, format_args!("{name} {value}"));
    }
    let name = "fnctl_journal_sync_seconds";
    head(out, name, "histogram", "Time of a sync of the journal");
    let mut count = 0;
    for (bound, inside) in &store.sync_buckets {
        count += inside;
        line(out, format_args!("{name}_bucket{{le=\"{bound}\"}} {count}"));
    }
    count += store.sync_above;
    line(out, format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
    line(out, format_args!("{name}_sum {}\n{name}_count {count}", store.sync_sum));
}

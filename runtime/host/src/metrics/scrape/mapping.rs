//! What mappings and their shards are told by.

use fnctl_core::{
    batch::FlushReason,
    commit::{ErrorKind, UnitTotals},
    id::Timestamp,
    status::{RelayStatus, State},
};
use prometheus::IntCounter;

use super::{MappingSample, ShardSample};
use crate::{
    limits,
    metrics::{Children, MappingMetrics, OUTCOMES, exposition::Exposition},
};

/// Writes what is counted as it happens.
pub(super) fn counted(out: &mut Exposition, children: &Children) {
    let all = || {
        let named = children.mappings.iter();
        named.map(|(name, series)| (name, &**series))
    };
    let mut one = |name: &str, of: &dyn Fn(&MappingMetrics) -> &IntCounter| {
        out.family(name);
        for (mapping, metrics) in all() {
            out.sample(name, "mapping", mapping, of(metrics).get());
        }
    };
    one("fnctl_records_polled_total", &|m| &m.polled);
    one("fnctl_filter_errors_total", &|m| &m.unparsable);
    one("fnctl_batch_retries_total", &|m| &m.retries);
    one("fnctl_batch_bisects_total", &|m| &m.bisects);
    one("fnctl_mapping_circuit_opens_total", &|m| &m.circuit_opens);
    let mut many =
        |name: &str, label: &str, of: &dyn Fn(&MappingMetrics) -> Vec<(&'static str, u64)>| {
            out.family(name);
            for (mapping, metrics) in all() {
                for (word, count) in of(metrics) {
                    out.sample2(name, ("mapping", mapping), (label, word), count);
                }
            }
        };
    many("fnctl_record_bytes_total", "direction", &|m| {
        vec![("in", m.bytes_in.get()), ("out", m.bytes_out.get())]
    });
    many("fnctl_batch_flushes_total", "reason", &|m| {
        let reasons = FlushReason::ALL.iter().zip(&m.flushes);
        reasons
            .map(|(reason, count)| (reason.as_str(), count.get()))
            .collect()
    });
    many("fnctl_invocations_total", "outcome", &|m| {
        let outcomes = OUTCOMES.iter().zip(&m.invocations);
        outcomes
            .map(|(kind, count)| (kind.as_str(), count.get()))
            .collect()
    });
    many("fnctl_records_dead_lettered_total", "error_kind", &|m| {
        let kinds = ErrorKind::ALL.iter().zip(&m.dead_lettered);
        kinds
            .map(|(kind, count)| (kind.as_str(), count.get()))
            .collect()
    });
    let name = "fnctl_records_dead_lettered_by_code_total";
    out.family(name);
    for (mapping, metrics) in all() {
        for (code, count) in metrics.codes.all() {
            out.sample2(name, ("mapping", mapping), ("code", &code), count);
        }
    }
}

/// Writes what is computed at the scrape.
pub(super) fn sampled(out: &mut Exposition, mappings: &[MappingSample]) {
    shards(out, mappings);
    states(out, mappings);
    totals(out, mappings);
    relays(out, mappings);
}

/// A time as the exposition has it.
fn seconds(at: Timestamp) -> String {
    format!("{}.{:03}", at.0 / 1_000, at.0 % 1_000)
}

/// All shards of a mapping as one: sums, and what is worst.
fn together(shards: &[ShardSample]) -> Option<ShardSample> {
    let (first, others) = shards.split_first()?;
    let join = |all: ShardSample, one: &ShardSample| ShardSample {
        age_ms: all.age_ms.max(one.age_ms),
        checkpoint: all.checkpoint.min(one.checkpoint),
        pending: all.pending + one.pending,
        pending_bytes: all.pending_bytes + one.pending_bytes,
        settled: all.settled + one.settled,
        parked_keys: all.parked_keys + one.parked_keys,
        next_retry: all.next_retry.into_iter().chain(one.next_retry).min(),
        ..all
    };
    Some(others.iter().fold(*first, join))
}

/// What is shown of a mapping's shards, each under its label.
fn shown(mapping: &MappingSample) -> Vec<(String, ShardSample)> {
    if mapping.shards.len() > limits::METRIC_SHARDS_MAX {
        let all = together(&mapping.shards);
        return all.map(|all| ("all".to_owned(), all)).into_iter().collect();
    }
    let shards = mapping.shards.iter();
    shards
        .map(|shard| (shard.shard.shard_id(), *shard))
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition's numbers are f64"
)]
fn shards(out: &mut Exposition, mappings: &[MappingSample]) {
    let all: Vec<_> = mappings
        .iter()
        .map(|mapping| (&*mapping.name, shown(mapping)))
        .collect();
    let mut by_shard = |name: &str, of: &dyn Fn(&ShardSample) -> Option<String>| {
        out.family(name);
        for (mapping, shards) in &all {
            for (id, shard) in shards {
                if let Some(value) = of(shard) {
                    out.sample2(name, ("mapping", mapping), ("shard", id), value);
                }
            }
        }
    };
    by_shard("fnctl_shard_iterator_age_seconds", &|one| {
        Some((one.age_ms as f64 / 1e3).to_string())
    });
    by_shard("fnctl_shard_checkpoint_timestamp_seconds", &|one| {
        Some(seconds(one.checkpoint))
    });
    by_shard("fnctl_shard_pending_records", &|one| {
        Some(one.pending.to_string())
    });
    by_shard("fnctl_shard_pending_bytes", &|one| {
        Some(one.pending_bytes.to_string())
    });
    by_shard("fnctl_shard_settled_records_total", &|one| {
        Some(one.settled.to_string())
    });
    by_shard("fnctl_shard_parked_keys", &|one| {
        Some(one.parked_keys.to_string())
    });
    by_shard("fnctl_shard_next_retry_timestamp_seconds", &|one| {
        one.next_retry.map(seconds)
    });
}

fn states(out: &mut Exposition, mappings: &[MappingSample]) {
    let mut gauge = |name: &str, value: &dyn Fn(&MappingSample) -> u64| {
        out.family(name);
        for mapping in mappings {
            out.sample(name, "mapping", &mapping.name, value(mapping));
        }
    };
    let count = |mapping: &MappingSample, is: fn(&ShardSample) -> bool| {
        mapping.shards.iter().filter(|shard| is(shard)).count() as u64
    };
    gauge("fnctl_mapping_shards", &|m| count(m, |s| s.is_due));
    gauge("fnctl_mapping_shards_owned", &|m| count(m, |s| s.is_owned));
    gauge("fnctl_mapping_shards_blocked", &|m| {
        count(m, |s| s.is_blocked)
    });
    gauge("fnctl_mapping_shards_damaged", &|m| {
        count(m, |s| s.is_damaged)
    });
    gauge("fnctl_mapping_host_fault", &|m| {
        u64::from(m.is_host_at_fault)
    });
    gauge("fnctl_mapping_circuit_open", &|m| {
        count(m, |s| s.is_circuit_open)
    });
    gauge("fnctl_mapping_parked_keys", &|m| {
        m.shards.iter().map(|shard| shard.parked_keys).sum()
    });
    gauge("fnctl_open_windows", &|m| {
        m.shards.iter().map(|shard| shard.open_windows).sum()
    });
    gauge("fnctl_dead_letters_open", &|m| m.dead_letters_open);
    let mut some = |name: &str, value: &dyn Fn(&MappingSample) -> Option<String>| {
        out.family(name);
        for mapping in mappings {
            if let Some(value) = value(mapping) {
                out.sample(name, "mapping", &mapping.name, value);
            }
        }
    };
    some("fnctl_mapping_next_retry_timestamp_seconds", &|m| {
        let next = m.shards.iter().filter_map(|shard| shard.next_retry);
        next.min().map(seconds)
    });
    some("fnctl_mapping_retention_seconds", &|m| {
        m.retention_ms.map(|ms| seconds(Timestamp(ms)))
    });
    let name = "fnctl_mapping_state";
    out.family(name);
    for mapping in mappings {
        for state in State::ALL.map(State::as_str) {
            let is = u8::from(state == mapping.state);
            out.sample2(name, ("mapping", &mapping.name), ("state", state), is);
        }
    }
}

fn totals(out: &mut Exposition, mappings: &[MappingSample]) {
    let mut counter = |name: &str, value: &dyn Fn(&UnitTotals) -> u64| {
        out.family(name);
        for mapping in mappings {
            out.sample(name, "mapping", &mapping.name, value(&mapping.totals));
        }
    };
    counter("fnctl_records_filtered_total", &|t| t.filtered);
    counter("fnctl_records_processed_total", &|t| t.processed);
    counter("fnctl_records_failed_total", &|t| t.failed);
    counter("fnctl_records_expired_total", &|t| t.expired);
    counter("fnctl_records_dropped_total", &|t| t.dropped);
    counter("fnctl_records_emitted_total", &|t| t.emitted);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition's numbers are f64"
)]
fn relays(out: &mut Exposition, mappings: &[MappingSample]) {
    let mut family = |name: &str, value: &dyn Fn(&RelayStatus) -> f64| {
        out.family(name);
        for mapping in mappings {
            if let Some(relay) = &mapping.relay {
                out.sample(name, "mapping", &mapping.name, value(relay));
            }
        }
    };
    family("fnctl_relay_age_seconds", &|relay| {
        relay.age_ms as f64 / 1e3
    });
    family("fnctl_relay_pending_letters", &|relay| {
        relay.pending_letters as f64
    });
    family("fnctl_relay_delivered_total", &|relay| {
        relay.delivered as f64
    });
    family("fnctl_relay_failures_total", &|relay| relay.failures as f64);
}

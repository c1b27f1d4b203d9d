//! Settings of a mapping that are each allowed, and not together.
//!
//! A pair that both stand in the mapping is refused whatever is named. Where one of them has no effect, or
//! could not be meant so, it is refused when a layer names it: a mapping that has such a pair from an earlier
//! version is still changed in all else.

use crate::{
    mapping::{MappingSettings, Ordering},
    spec::{MappingSpec, Setting, duration::Duration, setting::Count},
};

use super::Problems;

/// Adds what contradicts each other in `settings`, which are those of the layer `spec` at `path` on top of
/// what is live.
pub(super) fn find(
    settings: &MappingSettings,
    spec: &MappingSpec,
    path: &str,
    problems: &mut Problems,
) {
    let at = |key: &str| format!("{path}.{key}");
    let in_words = |ms| Duration { ms }.to_string();
    let is_in_order = settings.ordering == Ordering::Shard;
    if is_in_order && settings.parallelization_factor != 1 {
        problems.push(
            at("parallelization_factor"),
            format!(
                "{} lanes keep no order within a shard: ordering = \"shard\" has 1",
                settings.parallelization_factor
            ),
        );
    }
    // The default is of mappings in the order of keys, and nobody has said it.
    if is_in_order && let Some(Setting::Value(Count(groups @ 2..))) = spec.key_groups {
        problems.push(
            at("key_groups"),
            format!(
                "{groups} groups of keys would each go on by themselves: ordering = \"shard\" has 1"
            ),
        );
    }
    if settings.backoff_max_ms < settings.backoff_initial_ms {
        problems.push(
            at("backoff_max"),
            format!(
                "{} is below backoff_initial, {}",
                in_words(settings.backoff_max_ms),
                in_words(settings.backoff_initial_ms)
            ),
        );
    }
    let names_a_wait = spec.max_record_age.is_some() || spec.batch_window.is_some();
    if let Some(age) = settings.max_record_age_ms
        && names_a_wait
        && (1..=settings.batch_window_ms).contains(&age)
    {
        problems.push(
            at("max_record_age"),
            format!(
                "{} is not above batch_window, {}: a record that waits for its batch to fill would be given up \
                 before its first call",
                in_words(age),
                in_words(settings.batch_window_ms)
            ),
        );
    }
}

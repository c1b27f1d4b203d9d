//! Layers become settings: the one place where defaults are applied and ranges are checked. All
//! problems of an input are collected.

mod contradictions;
mod layers;
mod problems;
mod stream;

use std::{collections::BTreeMap, sync::Arc};

use super::{
    FunctionSpec, MappingSpec, Setting, StartingPosition,
    filter::FilterSpec,
    later,
    mapping::OnFailure,
    setting::{Count, Text},
};
use crate::{
    error_code::Problem,
    filter::Filter,
    function::Isolation,
    id::{OutputName, StreamName},
    limits,
    mapping::{MappingSettings, MaxAttempts, OutputBinding},
    shard::{Ack, StreamOptions},
};

pub use self::{
    layers::{layers, manifest},
    problems::Problems,
    stream::{alter_stream, stream},
};

/// What a function's layer comes to; the component and the secrets travel beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSettings {
    /// Memory limit, bytes.
    pub memory_bytes: u64,
    /// Time limit of a call, ms.
    pub timeout_ms: u64,
    /// Instance life.
    pub isolation: Isolation,
    /// Calls at once; `None`: as many as the pool holds.
    pub concurrency: Option<u32>,
    /// Plain configuration.
    pub config: BTreeMap<String, String>,
}

impl Default for FunctionSettings {
    fn default() -> Self {
        Self {
            memory_bytes: limits::MEMORY_BYTES_DEFAULT,
            timeout_ms: limits::TIMEOUT_MS_DEFAULT,
            isolation: Isolation::Reuse,
            concurrency: None,
            config: BTreeMap::new(),
        }
    }
}

/// How a stream is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Number of shards.
    pub shards: u32,
    /// How long records are kept, ms.
    pub retention_ms: u64,
    /// When puts are answered.
    pub ack: Ack,
    /// What else is fixed at its making; mode and tags only the Kinesis API asks for.
    pub options: StreamOptions,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            shards: limits::STREAM_SHARDS_DEFAULT,
            retention_ms: limits::RETENTION_MS_DEFAULT,
            ack: Ack::Synced,
            options: StreamOptions::default(),
        }
    }
}

/// Settles a function's layer on top of what is live (the defaults for a manifest or a new one).
/// `unset` names configuration values that go.
pub fn function(
    live: &FunctionSettings,
    spec: &FunctionSpec,
    unset: &[String],
    problems: &mut Problems,
) -> FunctionSettings {
    let default = FunctionSettings::default();
    problems.unknown(
        "function",
        &spec.unknown.0,
        FunctionSpec::KEYS,
        later::FUNCTION_LATER,
    );
    for (key, given) in [
        ("name", &spec.name),
        ("component", &spec.component),
        ("build", &spec.build),
    ] {
        if let Some(Setting::Unfit(why)) = given {
            problems.refuse(format!("function.{key}"), why);
        }
    }
    let mut config = live.config.clone();
    for (name, value) in &spec.config {
        let path = format!("function.config.{name}");
        match value {
            Setting::Value(Text(_)) if name.is_empty() => {
                problems.push(path, "a name is not empty")
            }
            Setting::Value(Text(text)) => {
                config.insert(name.clone(), text.clone());
            }
            Setting::Unfit(why) => problems.refuse(path, why),
            Setting::Default => {
                config.remove(name);
            }
        }
    }
    config.retain(|name, _| !unset.contains(name));
    let bytes: usize = config
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > limits::CONFIG_BYTES_MAX {
        let max = limits::CONFIG_BYTES_MAX;
        problems.push(
            "function.config",
            format!("{bytes} bytes in all are above {max}"),
        );
    }
    let concurrency = problems.pick(
        "function.concurrency",
        spec.concurrency.as_ref().map(some).as_ref(),
        live.concurrency.map(|count| Count(count.into())),
        None,
    );
    if let Some(Count(count)) = concurrency {
        problems.in_range(
            "function.concurrency",
            count,
            1,
            limits::CONCURRENCY_MAX.into(),
            |n| n.to_string(),
        );
    }
    FunctionSettings {
        memory_bytes: problems.size(
            "function.memory",
            spec.memory.as_ref(),
            [
                live.memory_bytes,
                default.memory_bytes,
                limits::MEMORY_BYTES_MIN,
                limits::MEMORY_BYTES_MAX,
            ],
        ),
        timeout_ms: problems.duration(
            "function.timeout",
            spec.timeout.as_ref(),
            [
                live.timeout_ms,
                default.timeout_ms,
                1,
                limits::TIMEOUT_MS_MAX,
            ],
        ),
        isolation: problems.pick(
            "function.isolation",
            spec.isolation.as_ref(),
            live.isolation,
            default.isolation,
        ),
        concurrency: concurrency.and_then(|Count(count)| u32::try_from(count).ok()),
        config,
    }
}

fn some(setting: &Setting<Count>) -> Setting<Option<Count>> {
    match setting {
        Setting::Default => Setting::Default,
        Setting::Value(count) => Setting::Value(Some(*count)),
        Setting::Unfit(why) => Setting::Unfit(why.clone()),
    }
}

/// Settles a mapping's policy on top of what is live. `path` is where the layer stands,
/// `mapping[0]`.
pub fn mapping(
    live: &MappingSettings,
    spec: &MappingSpec,
    path: &str,
    problems: &mut Problems,
) -> MappingSettings {
    let default = MappingSettings::default();
    problems.unknown(path, &spec.unknown.0, MappingSpec::KEYS, &[]);
    if let Some(Setting::Unfit(why)) = &spec.stream {
        problems.refuse(format!("{path}.stream"), why);
    }
    let at = |key: &str| format!("{path}.{key}");
    let on_failure = problems.pick(
        &at("on_failure"),
        spec.on_failure.as_ref(),
        OnFailure::of(live),
        OnFailure::Dlq,
    );
    let max_attempts = problems.pick(
        &at("max_attempts"),
        spec.max_attempts.as_ref(),
        live.max_attempts,
        default.max_attempts,
    );
    if max_attempts == MaxAttempts::Count(0) {
        problems.push(
            at("max_attempts"),
            "0 is below 1: calls are counted in all, the first included",
        );
    }
    let factor = problems.count(
        &at("parallelization_factor"),
        spec.parallelization_factor.as_ref(),
        [
            live.parallelization_factor.into(),
            default.parallelization_factor.into(),
            1,
            limits::PARALLELIZATION_FACTOR_MAX.into(),
        ],
    );
    let batch_size = problems.count(
        &at("batch_size"),
        spec.batch_size.as_ref(),
        [
            live.batch_size.into(),
            default.batch_size.into(),
            1,
            limits::BATCH_RECORDS_MAX.into(),
        ],
    );
    let tumbling_window_ms = problems.duration(
        &at("tumbling_window"),
        spec.tumbling_window.as_ref(),
        [
            live.tumbling_window_ms.into(),
            default.tumbling_window_ms.into(),
            0,
            limits::TUMBLING_WINDOW_MS_MAX.into(),
        ],
    );
    let key_groups = problems.count(
        &at("key_groups"),
        spec.key_groups.as_ref(),
        [
            live.key_groups.into(),
            default.key_groups.into(),
            1,
            limits::KEY_GROUPS_MAX.into(),
        ],
    );
    let settings = MappingSettings {
        // Out of range is a problem already; the value is then never used.
        batch_size: u32::try_from(batch_size).unwrap_or(u32::MAX),
        batch_bytes: problems.size(
            &at("batch_bytes"),
            spec.batch_bytes.as_ref(),
            [
                live.batch_bytes,
                default.batch_bytes,
                1,
                limits::BATCH_BYTES_MAX,
            ],
        ),
        batch_window_ms: problems.duration(
            &at("batch_window"),
            spec.batch_window.as_ref(),
            [
                live.batch_window_ms,
                default.batch_window_ms,
                0,
                limits::BATCH_WINDOW_MS_MAX,
            ],
        ),
        parallelization_factor: u16::try_from(factor).unwrap_or(u16::MAX),
        max_attempts,
        backoff_initial_ms: problems.duration(
            &at("backoff_initial"),
            spec.backoff_initial.as_ref(),
            [
                live.backoff_initial_ms,
                default.backoff_initial_ms,
                1,
                limits::BACKOFF_MS_MAX,
            ],
        ),
        backoff_max_ms: problems.duration(
            &at("backoff_max"),
            spec.backoff_max.as_ref(),
            [
                live.backoff_max_ms,
                default.backoff_max_ms,
                1,
                limits::BACKOFF_MS_MAX,
            ],
        ),
        on_failure: on_failure.over(live.on_failure.as_ref()),
        max_record_age_ms: problems.duration_bound(
            &at("max_record_age"),
            spec.max_record_age.as_ref(),
            live.max_record_age_ms,
            [1, limits::RECORD_AGE_MS_MAX],
        ),
        bisect_on_error: problems.switch(
            &at("bisect_on_error"),
            spec.bisect_on_error.as_ref(),
            live.bisect_on_error,
            default.bisect_on_error,
        ),
        circuit_breaker: problems.switch(
            &at("circuit_breaker"),
            spec.circuit_breaker.as_ref(),
            live.circuit_breaker,
            default.circuit_breaker,
        ),
        ordering: problems.pick(
            &at("ordering"),
            spec.ordering.as_ref(),
            live.ordering,
            default.ordering,
        ),
        on_fatal: problems.pick(
            &at("on_fatal"),
            spec.on_fatal.as_ref(),
            live.on_fatal,
            default.on_fatal,
        ),
        on_failure_full: problems.pick(
            &at("on_failure_full"),
            spec.on_failure_full.as_ref(),
            live.on_failure_full,
            default.on_failure_full,
        ),
        partial_failures: problems.switch(
            &at("partial_failures"),
            spec.partial_failures.as_ref(),
            live.partial_failures,
            default.partial_failures,
        ),
        filter: filter(live, spec, &at("filter"), problems),
        on_unparsable: problems.pick(
            &at("on_unparsable"),
            spec.on_unparsable.as_ref(),
            live.on_unparsable,
            default.on_unparsable,
        ),
        tumbling_window_ms: u32::try_from(tumbling_window_ms).unwrap_or(u32::MAX),
        key_groups: u32::try_from(key_groups).unwrap_or(u32::MAX),
    };
    contradictions::find(&settings, spec, path, problems);
    settings
}

/// The filter of a layer, compiled; an empty list takes it off as `default` does.
fn filter(
    live: &MappingSettings,
    spec: &MappingSpec,
    path: &str,
    problems: &mut Problems,
) -> Option<Arc<Filter>> {
    match &spec.filter {
        None => live.filter.clone(),
        Some(Setting::Default) => None,
        Some(Setting::Unfit(why)) => {
            problems.refuse(path, why);
            None
        }
        Some(Setting::Value(FilterSpec(patterns))) if patterns.is_empty() => None,
        Some(Setting::Value(FilterSpec(patterns))) => match Filter::parse(patterns) {
            Ok(filter) => Some(Arc::new(filter)),
            Err(mistakes) => {
                for mistake in mistakes {
                    let Problem { path, message, .. } = mistake.problem(path);
                    problems.push(path, message);
                }
                None
            }
        },
    }
}

/// The outputs that a layer binds, on top of what is live; an output reset to its default is gone.
pub fn outputs(
    live: &BTreeMap<OutputName, OutputBinding>,
    spec: &MappingSpec,
    path: &str,
    problems: &mut Problems,
) -> BTreeMap<OutputName, OutputBinding> {
    let mut bound = live.clone();
    for (name, given) in &spec.outputs {
        let path = format!("{path}.outputs.{name}");
        let output = match OutputName::parse(name) {
            Ok(output) => output,
            Err(error) => {
                problems.push(path, error.to_string());
                continue;
            }
        };
        match given {
            Setting::Default => {
                bound.remove(&output);
            }
            Setting::Value(OutputBinding::Stream(name)) if name.is_audit() => {
                problems.push(
                    path,
                    format!("`{name}` is the server's own: nobody else writes to it"),
                );
            }
            Setting::Value(binding) => {
                bound.insert(output, binding.clone());
            }
            Setting::Unfit(why) => problems.refuse(path, why),
        }
    }
    bound
}

/// The stream a layer names, if it names one.
pub fn source(spec: &MappingSpec, path: &str, problems: &mut Problems) -> Option<StreamName> {
    match StreamName::parse(spec.stream_text()?) {
        Ok(name) => Some(name),
        Err(error) => {
            problems.push(format!("{path}.stream"), error.to_string());
            None
        }
    }
}

/// Where a new mapping starts.
pub fn starting_position(
    spec: &MappingSpec,
    path: &str,
    problems: &mut Problems,
) -> StartingPosition {
    let default = StartingPosition::default();
    problems.pick(
        &format!("{path}.starting_position"),
        spec.starting_position.as_ref(),
        default,
        default,
    )
}

#[cfg(test)]
mod tests;

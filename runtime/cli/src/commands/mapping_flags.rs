//! The flags of a mapping: the keys of `[[mapping]]` with `-` for `_`, the same wherever a mapping is
//! changed.

use fnctl_core::{
    error_code::ErrorCode,
    mapping::{MaxAttempts, OnFailureFull, OnFatal, OnUnparsable, Ordering, OutputBinding},
    spec::{
        Setting,
        duration::Duration,
        filter::FilterSpec,
        mapping::{MappingSpec, OnFailure},
        setting::{Count, Switch, Unfit},
        size::ByteSize,
    },
};

use crate::{commands::filter::pattern, error::CliError, spelling};

/// What can be said of a mapping's policy.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct MappingFlags {
    /// Where an output goes; `none` counts its rows only. Without NAME, the default output
    #[arg(long, value_name = "[NAME=]STREAM", value_parser = output)]
    to: Vec<(String, Setting<OutputBinding>)>,
    /// Most records of a batch [default: 100]
    #[arg(long, value_name = "N", value_parser = spelling::setting::<Count>, allow_negative_numbers = true)]
    batch_size: Option<Setting<Count>>,
    /// How long a batch may wait to fill [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = spelling::setting::<Duration>)]
    batch_window: Option<Setting<Duration>>,
    /// Most bytes of a batch [default: 6MiB]
    #[arg(long, value_name = "SIZE", value_parser = spelling::setting::<ByteSize>)]
    batch_bytes: Option<Setting<ByteSize>>,
    /// Lanes per shard [default: 1]
    #[arg(long, value_name = "N", value_parser = spelling::setting::<Count>, allow_negative_numbers = true)]
    parallelization_factor: Option<Setting<Count>>,
    /// What order holds within: key, or shard (with one lane) [default: key]
    #[arg(long, value_name = "WITHIN", value_parser = spelling::setting::<Ordering>)]
    ordering: Option<Setting<Ordering>>,
    /// Calls per record in all, or `unlimited` [default: 5]
    #[arg(long, value_name = "N", value_parser = spelling::setting::<MaxAttempts>, allow_negative_numbers = true)]
    max_attempts: Option<Setting<MaxAttempts>>,
    /// First backoff, doubling [default: 100ms]
    #[arg(long, value_name = "DURATION", value_parser = spelling::setting::<Duration>)]
    backoff_initial: Option<Setting<Duration>>,
    /// Longest backoff [default: 1m]
    #[arg(long, value_name = "DURATION", value_parser = spelling::setting::<Duration>)]
    backoff_max: Option<Setting<Duration>>,
    /// Age above which a record is given up without a call [default: no bound]
    #[arg(long, value_name = "DURATION", value_parser = spelling::setting::<Duration>)]
    max_record_age: Option<Setting<Duration>>,
    /// Which records the function is given: a pattern, or a file that holds one; of several one match is
    /// enough; `default`: all
    #[arg(long, value_name = "JSON|@FILE")]
    filter: Vec<String>,
    /// What becomes of records that the filter cannot judge, because they are not JSON: drop, pass or
    /// dead-letter [default: drop]
    #[arg(long, value_name = "WHAT", value_parser = spelling::setting::<OnUnparsable>)]
    on_unparsable: Option<Setting<OnUnparsable>>,
    /// Whether a call that failed as a whole is cut in two until one record is left [default: on]
    #[arg(long, value_name = "on|off", num_args = 0..=1, require_equals = true,
          default_missing_value = "on", value_parser = spelling::setting::<Switch>)]
    bisect_on_error: Option<Setting<Switch>>,
    /// Whether calls are held while what the function needs is down: when key after key fails with retry or
    /// a timeout, it is called to probe alone, at no attempt's cost [default: on]
    #[arg(long, value_name = "on|off", num_args = 0..=1, require_equals = true,
          default_missing_value = "on", value_parser = spelling::setting::<Switch>)]
    circuit_breaker: Option<Setting<Switch>>,
    /// Whether a record that failed fails itself alone, or its whole call [default: on]
    #[arg(long, value_name = "on|off", num_args = 0..=1, require_equals = true,
          default_missing_value = "on", value_parser = spelling::setting::<Switch>)]
    partial_failures: Option<Setting<Switch>>,
    /// Where dead letters are copied to: stream:NAME, a URL, file:PATH; dlq: nowhere [default: dlq]
    #[arg(long, value_name = "WHERE", value_parser = spelling::setting::<OnFailure>)]
    on_failure: Option<Setting<OnFailure>>,
    /// What a fatal error does: stop, or dead-letter [default: stop]
    #[arg(long, value_name = "WHAT", value_parser = spelling::setting::<OnFatal>)]
    on_fatal: Option<Setting<OnFatal>>,
    /// What becomes of a record given up when the dead letters are full: hold, or drop-and-count
    /// [default: hold]
    #[arg(long, value_name = "WHAT", value_parser = spelling::setting::<OnFailureFull>)]
    on_failure_full: Option<Setting<OnFailureFull>>,
    /// Length of a tumbling window: records of one share a state, and a last call closes it; up to 15m,
    /// 0s: none [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = spelling::setting::<Duration>)]
    tumbling_window: Option<Setting<Duration>>,
    /// Groups of keys of a shard, each with windows of its own; fixed while windows are on [default: 64]
    #[arg(long, value_name = "N", value_parser = spelling::setting::<Count>, allow_negative_numbers = true)]
    key_groups: Option<Setting<Count>>,
}

impl MappingFlags {
    /// The layer that they are.
    ///
    /// # Errors
    /// A pattern's file cannot be read.
    pub(crate) fn spec(&self) -> Result<MappingSpec, CliError> {
        Ok(MappingSpec {
            outputs: self.to.iter().cloned().collect(),
            filter: self.filter()?,
            batch_size: self.batch_size.clone(),
            batch_window: self.batch_window.clone(),
            batch_bytes: self.batch_bytes.clone(),
            parallelization_factor: self.parallelization_factor.clone(),
            ordering: self.ordering.clone(),
            max_attempts: self.max_attempts.clone(),
            backoff_initial: self.backoff_initial.clone(),
            backoff_max: self.backoff_max.clone(),
            max_record_age: self.max_record_age.clone(),
            bisect_on_error: self.bisect_on_error.clone(),
            circuit_breaker: self.circuit_breaker.clone(),
            partial_failures: self.partial_failures.clone(),
            on_unparsable: self.on_unparsable.clone(),
            on_failure: self.on_failure.clone(),
            on_fatal: self.on_fatal.clone(),
            on_failure_full: self.on_failure_full.clone(),
            tumbling_window: self.tumbling_window.clone(),
            key_groups: self.key_groups.clone(),
            ..MappingSpec::default()
        })
    }

    /// All patterns that are named; the word `default` takes the filter off.
    fn filter(&self) -> Result<Option<Setting<FilterSpec>>, CliError> {
        if self.filter.iter().any(|given| given == "default") {
            if self.filter.len() > 1 {
                let words =
                    "`--filter default` takes the filter off: a pattern beside it is not clear";
                return Err(CliError::new(ErrorCode::Usage, words));
            }
            return Ok(Some(Setting::Default));
        }
        let patterns = self.filter.iter().map(|given| pattern(given));
        let patterns: Vec<String> = patterns.collect::<Result<_, _>>()?;
        Ok((!patterns.is_empty()).then_some(Setting::Value(FilterSpec(patterns))))
    }
}

/// `STREAM` binds the output `default`, `NAME=STREAM` another.
fn output(text: &str) -> Result<(String, Setting<OutputBinding>), Unfit> {
    let (name, stream) = text.split_once('=').unwrap_or(("default", text));
    Ok((name.to_owned(), spelling::setting(stream)?))
}

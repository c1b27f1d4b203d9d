//! `[[mapping]]`: which stream is read, how it is batched, and what becomes of failures and outputs.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, Serializer};

use super::{
    duration::Duration,
    filter::FilterSpec,
    position::StartingPosition,
    setting::{Count, Setting, SettingValue, Switch, Text, Unfit, UnknownKeys, over},
    size::ByteSize,
};
use crate::{
    destination::{Destination, DestinationError, Relay},
    id::{Ordinal, StreamName},
    mapping::{
        MappingSettings, MaxAttempts, OnFailureFull, OnFatal, OnUnparsable, Ordering, OutputBinding,
    },
};

/// A layer of a mapping's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingSpec {
    /// The stream read. A layer without one concerns every mapping of the function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Setting<Text>>,
    /// Where outputs go, by output; `default` goes to `<function>.out` unless bound.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Setting<OutputBinding>>,
    /// Where it starts; used once, at creation; `trim-horizon`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting_position: Option<Setting<StartingPosition>>,
    /// Most records of a batch; 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<Setting<Count>>,
    /// How long a batch may wait to fill, from its first record; 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_window: Option<Setting<Duration>>,
    /// Most bytes of a batch, keys and data; 6MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_bytes: Option<Setting<ByteSize>>,
    /// Lanes per shard; 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelization_factor: Option<Setting<Count>>,
    /// What order holds within; `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering: Option<Setting<Ordering>>,
    /// Calls in all, or `unlimited`; 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<Setting<MaxAttempts>>,
    /// First backoff, doubling; 100ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_initial: Option<Setting<Duration>>,
    /// Longest backoff; 1m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_max: Option<Setting<Duration>>,
    /// Age above which a record is given up without a call; no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_record_age: Option<Setting<Duration>>,
    /// Which records the function is given: a pattern, or several of which one is enough; all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Setting<FilterSpec>>,
    /// What becomes of records that the filter cannot judge, because they are not JSON; `drop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unparsable: Option<Setting<OnUnparsable>>,
    /// Whether a call that failed as a whole is cut in two until one record is left; on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bisect_on_error: Option<Setting<Switch>>,
    /// Whether calls are held, at no attempt's cost, while what the function needs is down; on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<Setting<Switch>>,
    /// Whether a record that failed fails itself alone; on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_failures: Option<Setting<Switch>>,
    /// Where records given up go besides the dead letters; `dlq`: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Setting<OnFailure>>,
    /// What a `fatal` does; `stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_fatal: Option<Setting<OnFatal>>,
    /// What becomes of a record given up when the dead letters are full; `hold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure_full: Option<Setting<OnFailureFull>>,
    /// Length of a tumbling window; 0s: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tumbling_window: Option<Setting<Duration>>,
    /// Groups of keys of a shard, each with windows of its own; 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_groups: Option<Setting<Count>>,
    /// Keys that are not known.
    #[serde(flatten, skip_serializing)]
    pub unknown: UnknownKeys,
}

impl MappingSpec {
    /// The keys of the table.
    pub const KEYS: &[&str] = &[
        "stream",
        "outputs",
        "starting_position",
        "batch_size",
        "batch_window",
        "batch_bytes",
        "parallelization_factor",
        "ordering",
        "max_attempts",
        "backoff_initial",
        "backoff_max",
        "max_record_age",
        "bisect_on_error",
        "circuit_breaker",
        "partial_failures",
        "filter",
        "on_unparsable",
        "on_failure",
        "on_fatal",
        "on_failure_full",
        "tumbling_window",
        "key_groups",
    ];

    /// The stream's name as it is given.
    #[must_use]
    pub fn stream_text(&self) -> Option<&str> {
        match &self.stream {
            Some(Setting::Value(Text(name))) => Some(name),
            _ => None,
        }
    }

    /// This layer with another on top of it.
    #[must_use]
    pub fn overlay(mut self, top: Self) -> Self {
        self.outputs.extend(top.outputs);
        self.unknown.0.extend(top.unknown.0);
        Self {
            stream: over(self.stream, top.stream),
            outputs: self.outputs,
            starting_position: over(self.starting_position, top.starting_position),
            batch_size: over(self.batch_size, top.batch_size),
            batch_window: over(self.batch_window, top.batch_window),
            batch_bytes: over(self.batch_bytes, top.batch_bytes),
            parallelization_factor: over(self.parallelization_factor, top.parallelization_factor),
            ordering: over(self.ordering, top.ordering),
            max_attempts: over(self.max_attempts, top.max_attempts),
            backoff_initial: over(self.backoff_initial, top.backoff_initial),
            backoff_max: over(self.backoff_max, top.backoff_max),
            max_record_age: over(self.max_record_age, top.max_record_age),
            bisect_on_error: over(self.bisect_on_error, top.bisect_on_error),
            circuit_breaker: over(self.circuit_breaker, top.circuit_breaker),
            partial_failures: over(self.partial_failures, top.partial_failures),
            filter: over(self.filter, top.filter),
            on_unparsable: over(self.on_unparsable, top.on_unparsable),
            on_failure: over(self.on_failure, top.on_failure),
            on_fatal: over(self.on_fatal, top.on_fatal),
            on_failure_full: over(self.on_failure_full, top.on_failure_full),
            tumbling_window: over(self.tumbling_window, top.tumbling_window),
            key_groups: over(self.key_groups, top.key_groups),
            unknown: self.unknown,
        }
    }
}

impl SettingValue for Ordering {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        match text {
            "key" => Ok(Self::Key),
            "shard" => Ok(Self::Shard),
            _ => Err(Unfit::Unreadable(format!(
                "`{text}` is not an ordering: `key` or `shard`"
            ))),
        }
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

/// What becomes of records given up, besides being kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing more: they are dead letters.
    #[default]
    Dlq,
    /// They are copied there as well.
    Copied(Destination),
}

impl OnFailure {
    /// What is in force.
    #[must_use]
    pub fn of(settings: &MappingSettings) -> Self {
        let relay = settings.on_failure.as_ref();
        relay.map_or(Self::Dlq, |relay| Self::Copied(relay.to.clone()))
    }

    /// The relay that it comes to. One whose destination stays is left as it is; another one's start is
    /// known to whoever knows the letters, and is the beginning here.
    #[must_use]
    pub fn over(self, live: Option<&Relay>) -> Option<Relay> {
        match self {
            Self::Dlq => None,
            Self::Copied(to) => Some(match live.filter(|relay| relay.to == to) {
                Some(relay) => relay.clone(),
                None => Relay {
                    to,
                    after: Ordinal(0),
                },
            }),
        }
    }
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dlq => f.write_str("dlq"),
            Self::Copied(to) => to.fmt(f),
        }
    }
}

impl SettingValue for OnFailure {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        if text == "dlq" {
            return Ok(Self::Dlq);
        }
        Destination::parse(text)
            .and_then(|to| to.check_new().map(|()| Self::Copied(to)))
            .map_err(|error| match error {
                DestinationError::Unknown => Unfit::Unreadable(format!("`{text}` {error}")),
                // Whatever it holds is not said again.
                DestinationError::Credentials => Unfit::NotAllowed(format!("the URL {error}")),
                _ => Unfit::NotAllowed(format!("`{text}` {error}")),
            })
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl SettingValue for OnFatal {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        match text {
            "stop" => Ok(Self::Stop),
            "dead-letter" => Ok(Self::DeadLetter),
            _ => Err(Unfit::Unreadable(format!(
                "`{text}` is not a reaction: `stop` or `dead-letter`"
            ))),
        }
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

impl SettingValue for OnFailureFull {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        match text {
            "hold" => Ok(Self::Hold),
            "drop-and-count" => Ok(Self::DropAndCount),
            _ => Err(Unfit::Unreadable(format!(
                "`{text}` is not a reaction: `hold` or `drop-and-count`"
            ))),
        }
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

impl SettingValue for MaxAttempts {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        Err(Unfit::Unreadable(format!(
            "`{text}` is neither a number nor `unlimited`"
        )))
    }

    fn from_number(number: i64) -> Result<Self, Unfit> {
        match number {
            -1 => Err(Unfit::NotAllowed(
                "-1 is Lambda's spelling: write \"unlimited\"".to_owned(),
            )),
            ..=0 => Err(Unfit::NotAllowed(format!(
                "{number} is below 1: calls are counted in all, the first included"
            ))),
            _ => u32::try_from(number)
                .map(Self::Count)
                .map_err(|_| Unfit::NotAllowed(format!("{number} is above {}", u32::MAX))),
        }
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => out.serialize_u32(*count),
            Self::Unlimited => out.serialize_str("unlimited"),
        }
    }
}

impl SettingValue for OutputBinding {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        if text == "none" {
            return Ok(Self::None);
        }
        StreamName::parse(text)
            .map(Self::Stream)
            .map_err(|error| Unfit::NotAllowed(error.to_string()))
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Stream(name) => out.collect_str(name),
            Self::None => out.serialize_str("none"),
        }
    }
}

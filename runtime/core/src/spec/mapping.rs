//! `[[mapping]]`: which stream is read, how it is batched, and what becomes of failures and outputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use super::{
    duration::Duration,
    filter::FilterSpec,
    position::StartingPosition,
    setting::{Count, Setting, SettingValue, Text, Unfit, UnknownKeys, over},
    size::ByteSize,
};
use crate::{
    id::StreamName,
    mapping::{MaxAttempts, OnUnparsable, OutputBinding},
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
    /// What becomes of records given up; `dlq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Setting<OnFailure>>,
    /// What a `fatal` does; `stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_fatal: Option<Setting<OnFatal>>,
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
        "filter",
        "on_unparsable",
        "on_failure",
        "on_fatal",
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
            filter: over(self.filter, top.filter),
            on_unparsable: over(self.on_unparsable, top.on_unparsable),
            on_failure: over(self.on_failure, top.on_failure),
            on_fatal: over(self.on_fatal, top.on_fatal),
            unknown: self.unknown,
        }
    }
}

/// What order holds within.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// Within a partition key.
    #[default]
    Key,
}

impl SettingValue for Ordering {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        match text {
            "key" => Ok(Self::Key),
            "shard" => Err(Unfit::NotYet(
                "`shard` is not there yet in this version; `key` is".to_owned(),
            )),
            _ => Err(Unfit::Unreadable(format!(
                "`{text}` is not an ordering: `key`"
            ))),
        }
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str("key")
    }
}

/// What becomes of records given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// They are kept as dead letters.
    #[default]
    Dlq,
}

impl SettingValue for OnFailure {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        if text == "dlq" {
            return Ok(Self::Dlq);
        }
        if ["stream:", "https://", "http://", "file:"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
        {
            return Err(Unfit::NotYet(format!(
                "the destination `{text}` is not there yet in this version; `dlq` is"
            )));
        }
        Err(Unfit::Unreadable(format!(
            "`{text}` is not a destination: `dlq`"
        )))
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str("dlq")
    }
}

/// What a `fatal` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFatal {
    /// It stops the mapping.
    #[default]
    Stop,
}

impl SettingValue for OnFatal {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        match text {
            "stop" => Ok(Self::Stop),
            "dead-letter" => Err(Unfit::NotYet(
                "`dead-letter` is not there yet in this version; `stop` is".to_owned(),
            )),
            _ => Err(Unfit::Unreadable(format!(
                "`{text}` is not a reaction: `stop`"
            ))),
        }
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str("stop")
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

//! `[streams.NAME]`: how a stream is made when it is missing. Deploy never changes one that exists.

use serde::{Deserialize, Serialize, Serializer};

use super::{
    duration::Duration,
    setting::{Count, Setting, SettingValue, Unfit, UnknownKeys, over},
    size::ByteSize,
};
use crate::shard::Ack;

/// A layer of a stream's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSpec {
    /// Number of shards; 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<Setting<Count>>,
    /// How long records are kept; 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Setting<Duration>>,
    /// When puts are answered; `synced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack: Option<Setting<Ack>>,
    /// Most bytes of data and partition key of one record; 1MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_record_size: Option<Setting<ByteSize>>,
    /// Most bytes that the stream may take on the disk: at it, puts are refused; none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Setting<ByteSize>>,
    /// Bytes beyond which the oldest records go; none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_bytes: Option<Setting<ByteSize>>,
    /// Keys that are not known.
    #[serde(flatten, skip_serializing)]
    pub unknown: UnknownKeys,
}

impl StreamSpec {
    /// The keys of the table.
    pub const KEYS: &[&str] = &[
        "shards",
        "retention",
        "ack",
        "max_record_size",
        "quota",
        "retention_bytes",
    ];

    /// This layer with another on top of it.
    #[must_use]
    pub fn overlay(mut self, top: Self) -> Self {
        self.unknown.0.extend(top.unknown.0);
        Self {
            shards: over(self.shards, top.shards),
            retention: over(self.retention, top.retention),
            ack: over(self.ack, top.ack),
            max_record_size: over(self.max_record_size, top.max_record_size),
            quota: over(self.quota, top.quota),
            retention_bytes: over(self.retention_bytes, top.retention_bytes),
            unknown: self.unknown,
        }
    }
}

impl SettingValue for Ack {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        match text {
            "synced" => Ok(Self::Synced),
            "written" => Ok(Self::Written),
            _ => Err(Unfit::Unreadable(format!(
                "`{text}` is neither `synced` nor `written`"
            ))),
        }
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(match self {
            Self::Synced => "synced",
            Self::Written => "written",
        })
    }
}

//! Streams and functions.

use serde::{Deserialize, Serialize};

use super::canary::{self, CanaryStatus, SwitchLine};
use crate::{
    function::{Function, Version},
    rfc3339,
    shard::{Ack, Stream, StreamMode},
};

/// `streams list`: one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamLine {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Open shards.
    pub shards: u32,
    /// How long records are kept, ms.
    pub retention_ms: u64,
    /// When puts are answered.
    pub ack: Ack,
    /// Most bytes of data and partition key of one record.
    #[serde(default)]
    pub record_bytes_max: u64,
    /// Bytes of its logs on the disk, and of what is on its way there.
    #[serde(default)]
    pub stored_bytes: u64,
    /// Most bytes its logs may take: at it, puts and outputs are refused; `null` for no bound.
    #[serde(default)]
    pub quota_bytes: Option<u64>,
    /// Bytes of log beyond which the oldest records go; `null`: age alone decides.
    #[serde(default)]
    pub retention_bytes: Option<u64>,
    /// How its capacity was asked for: `provisioned` or `on-demand`; the Kinesis API alone asks.
    #[serde(default)]
    pub mode: StreamMode,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

impl StreamLine {
    /// The line of a stream whose logs take `stored_bytes`.
    #[must_use]
    pub fn of(stream: &Stream, stored_bytes: u64) -> Self {
        let open = stream.open_shards().count();
        Self {
            id: stream.id.to_string(),
            name: stream.name.to_string(),
            shards: u32::try_from(open).unwrap_or(u32::MAX),
            retention_ms: stream.retention_ms,
            ack: stream.ack,
            record_bytes_max: stream.options.record_bytes_max,
            stored_bytes,
            quota_bytes: stream.options.quota_bytes,
            retention_bytes: stream.options.retention_bytes,
            mode: stream.options.mode,
            created_at: rfc3339::format(stream.created_at),
        }
    }
}

/// One shard of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardLine {
    /// `shardId-000000000000`.
    pub shard_id: String,
    /// First hash key, decimal.
    pub starting_hash_key: String,
    /// Last hash key, decimal.
    pub ending_hash_key: String,
    /// When it was split or merged, RFC 3339; `null`: it is open and takes records.
    #[serde(default)]
    pub closed_at: Option<String>,
    /// The shards it came from, also those that retention has taken since.
    #[serde(default)]
    pub parents: Vec<String>,
    /// The shards that came from it.
    #[serde(default)]
    pub children: Vec<String>,
    /// Sequence number of the oldest record kept; `null` when empty.
    pub oldest: Option<String>,
    /// Sequence number of the newest record; `null` when empty.
    pub newest: Option<String>,
    /// When the newest arrived, RFC 3339.
    pub last_arrival: Option<String>,
    /// Records kept.
    pub records: u64,
}

/// `streams describe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// Its line.
    #[serde(flatten)]
    pub line: StreamLine,
    /// Its shards.
    pub shard_list: Vec<ShardLine>,
    /// Mappings that read it, `<function>/<stream>`.
    pub read_by: Vec<String>,
    /// Mappings that write to it.
    pub written_by: Vec<String>,
    /// Places of its logs that are damaged, as far as they are known.
    #[serde(default)]
    pub damaged: Vec<DamagedLine>,
}

/// A damaged place of a shard's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedLine {
    /// `shardId-000000000000`.
    pub shard_id: String,
    /// The file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub message: String,
    /// Number in its shard of the first record that cannot be read; `null`: no record is lost.
    pub first_record: Option<u64>,
    /// Number of the last one.
    pub last_record: Option<u64>,
}

/// `functions list`: one function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionLine {
    /// Its name.
    pub name: String,
    /// The live version.
    pub version: u64,
    /// Its component, `sha256:…`.
    pub digest: String,
    /// When the function was first deployed, RFC 3339.
    pub created_at: String,
    /// Its mappings, `<function>/<stream>`.
    pub mappings: Vec<String>,
    /// Its canary; `null`: all keys meet the live version.
    #[serde(default)]
    pub canary: Option<CanaryStatus>,
    /// Why its last canary was taken back without anybody asking, until the next deploy.
    #[serde(default)]
    pub rolled_back: Option<String>,
}

impl FunctionLine {
    /// The line of a function and its canary.
    #[must_use]
    pub fn of(function: &Function, mappings: Vec<String>, canary: Option<CanaryStatus>) -> Self {
        Self {
            name: function.name.to_string(),
            version: function.live.0,
            digest: format!("sha256:{}", function.live_version().settings.digest),
            created_at: rfc3339::format(function.created_at),
            mappings,
            canary,
            rolled_back: canary::rolled_back(function),
        }
    }
}

/// One version of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionLine {
    /// Its number.
    pub version: u64,
    /// Its component, `sha256:…`.
    pub digest: String,
    /// Size of it.
    pub component_bytes: u64,
    /// When it was deployed, RFC 3339.
    pub created_at: String,
    /// When it was rolled back, RFC 3339.
    pub rolled_back_at: Option<String>,
    /// Whether it is live.
    pub live: bool,
    /// How many of the keys meet it, where it is the canary.
    #[serde(default)]
    pub canary: Option<String>,
}

/// `functions describe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionStatus {
    /// Its line.
    #[serde(flatten)]
    pub line: FunctionLine,
    /// Since when the live version is, RFC 3339.
    pub live_since: String,
    /// Memory limit of an instance.
    pub memory_bytes: u64,
    /// Time limit of a call.
    pub timeout_ms: u64,
    /// Instance life.
    pub isolation: String,
    /// Calls at once; `null`: as many as the pool holds.
    pub concurrency: Option<u32>,
    /// Names of configuration values.
    pub config: Vec<String>,
    /// Names of secrets.
    pub secrets: Vec<String>,
    /// Outputs.
    pub outputs: Vec<String>,
    /// What the component imports.
    pub uses: Vec<String>,
    /// All versions kept, newest first.
    pub versions: Vec<VersionLine>,
    /// The last switches of its canaries since it was last deployed without one, oldest first.
    #[serde(default)]
    pub switches: Vec<SwitchLine>,
}

impl FunctionStatus {
    /// What there is to say about a function and its canary.
    #[must_use]
    pub fn of(function: &Function, mappings: Vec<String>, canary: Option<CanaryStatus>) -> Self {
        let live = function.live_version();
        let line = |version: &Version| VersionLine {
            version: version.number.0,
            digest: format!("sha256:{}", version.settings.digest),
            component_bytes: version.component_bytes,
            created_at: rfc3339::format(version.created_at),
            rolled_back_at: function
                .rolled_back
                .get(&version.number)
                .copied()
                .map(rfc3339::format),
            live: version.number == function.live,
            canary: function
                .canary()
                .filter(|canary| canary.version == version.number)
                .map(|canary| canary.weight.to_string()),
        };
        Self {
            line: FunctionLine::of(function, mappings, canary),
            live_since: rfc3339::format(function.live_since),
            memory_bytes: live.settings.memory_bytes,
            timeout_ms: live.settings.timeout_ms,
            isolation: match live.settings.isolation {
                crate::function::Isolation::Reuse => "reuse".to_owned(),
                crate::function::Isolation::Fresh => "fresh".to_owned(),
            },
            concurrency: function.concurrency,
            config: live.settings.config.keys().cloned().collect(),
            secrets: live.settings.secrets.keys().cloned().collect(),
            outputs: live.outputs.iter().map(ToString::to_string).collect(),
            uses: live.uses.clone(),
            versions: function
                .versions
                .values()
                .rev()
                .map(|version| line(version))
                .collect(),
            switches: function
                .rollout
                .switches
                .iter()
                .map(SwitchLine::of)
                .collect(),
        }
    }
}

//! What the command line sends and the API answers: one set of types for both sides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FunctionSpec, MappingSpec, StreamSpec, canary::CanarySpec};
use crate::{
    mapping::MappingState,
    registry::{Change, Note},
    status::{CanaryStatus, NextStep, state_name},
};

/// `PUT /v1/artifacts`: the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactResult {
    /// `sha256:` and lower-case hex.
    pub digest: String,
    /// Size of the component.
    pub bytes: u64,
    /// Its outputs, `default` first.
    pub outputs: Vec<String>,
    /// What it imports beyond the baseline.
    pub uses: Vec<String>,
}

/// `POST /v1/deploy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The function's layer; its `name` is required, `component`, `build`, `watch` and `secrets` are the
    /// client's own and must be absent.
    pub function: FunctionSpec,
    /// The mappings' layers. One without `stream` concerns every mapping of the function.
    #[serde(default)]
    pub mappings: Vec<MappingSpec>,
    /// How missing streams are made, by name.
    #[serde(default)]
    pub streams: BTreeMap<String, StreamSpec>,
    /// How missing streams are made that `streams` does not name (`--shards`).
    #[serde(default)]
    pub new_streams: StreamSpec,
    /// The uploaded component; `null`: the live one stays.
    #[serde(default)]
    pub digest: Option<String>,
    /// Values of secrets, base64.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Whether the layers are the whole truth: what they do not name has its default.
    #[serde(default)]
    pub is_manifest: bool,
    /// Names of configuration values and secrets that go.
    #[serde(default)]
    pub unset: Vec<String>,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether a mapping may close a cycle of streams.
    #[serde(default)]
    pub allow_loop: bool,
    /// How long to wait until each shard with data has an outcome on the version; not with `canary`, whose
    /// version few keys may meet.
    #[serde(default)]
    pub wait_ms: Option<u64>,
    /// The next version does not become live: these keys meet it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanarySpec>,
}

/// A mapping in the answer to a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedMapping {
    /// Its id.
    pub id: String,
    /// `<function>/<stream>`.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Whether it was made just now.
    #[serde(default)]
    pub created: bool,
    /// Where its outputs go, by output; `none`: counted, not kept.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
}

/// An older version that had the same component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SameBytes {
    /// Its number.
    pub version: u64,
    /// When it was rolled back, RFC 3339, if it was.
    pub rolled_back_at: Option<String>,
}

/// A stream that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedStream {
    /// Its name.
    pub name: String,
    /// Its shards.
    pub shards: u32,
}

/// How waiting for a version ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// `ok`: each shard with data has an outcome on the version; `failing`: one of them is a failure;
    /// `timeout`: not all have one in time.
    pub outcome: WaitOutcome,
    /// Words: which shard, which failure.
    pub message: Option<String>,
}

/// See [`Waited::outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitOutcome {
    /// Each shard with data has an outcome.
    Ok,
    /// One of them failed.
    Failing,
    /// Not all have one in time.
    Timeout,
}

/// `POST /v1/deploy`: the answer (command line and SDK §5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployResult {
    /// The function.
    pub function: String,
    /// The live version.
    pub version: u64,
    /// The function's canary; `null`: all keys meet the live version. What else is said of a component is
    /// said of the canary's where one was asked for.
    #[serde(default)]
    pub canary: Option<CanaryStatus>,
    /// The one that was live before; `null` for a first one.
    pub previous_version: Option<u64>,
    /// The component, `sha256:…`.
    pub digest: String,
    /// Whether anything changed.
    pub changed: bool,
    /// What changed.
    pub changes: Vec<Change>,
    /// What stays as it is, though it was named or is not named any more.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// What was made: `stream/rejects`, `mapping/enrich/signups`, `function/enrich`.
    pub created: Vec<String>,
    /// All mappings of the function.
    pub mappings: Vec<DeployedMapping>,
    /// Outputs that are bound alike in all of them; each mapping has its own.
    pub outputs: BTreeMap<String, String>,
    /// Ms from the request until the version took calls; `null` on a dry run.
    pub live_ms: Option<u64>,
    /// Streams made, with their shards.
    #[serde(default)]
    pub created_streams: Vec<CreatedStream>,
    /// An older version with the same bytes.
    #[serde(default)]
    pub same_bytes_as: Option<SameBytes>,
    /// Size of the component.
    #[serde(default)]
    pub component_bytes: u64,
    /// What it imports beyond the baseline.
    #[serde(default)]
    pub uses: Vec<String>,
    /// Shards that run the version, of all shards read.
    #[serde(default)]
    pub live_shards: Option<(u32, u32)>,
    /// How waiting ended, where it was asked for.
    #[serde(default)]
    pub waited: Option<Waited>,
    /// Whether nothing was really changed because it was asked so.
    #[serde(default)]
    pub dry_run: bool,
}

impl DeployResult {
    /// The mappings that call nothing until somebody resumes them.
    pub fn paused(&self) -> impl Iterator<Item = &DeployedMapping> {
        let paused = state_name(&MappingState::Paused);
        let mappings = self.mappings.iter();
        mappings.filter(move |mapping| mapping.state == paused)
    }
}

/// `POST /v1/mappings`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateMappingRequest {
    /// The function, which exists.
    pub function: String,
    /// Its settings; the stream is required.
    #[serde(flatten)]
    pub settings: MappingSpec,
}

/// The answer to `PATCH /v1/mappings/{m}` and `POST /v1/mappings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedMapping {
    /// Its id.
    pub id: String,
    /// `<function>/<stream>`.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Whether anything changed.
    pub changed: bool,
    /// What changed, as a deploy says it.
    pub changes: Vec<Change>,
    /// What a deploy would say of this mapping as it is now.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Streams that were made for its outputs: `stream/rejects`.
    pub created: Vec<String>,
    /// Where its outputs go, by output; `none`: counted, not kept.
    pub outputs: BTreeMap<String, String>,
    /// Ms from the request until all shards ran with it.
    pub live_ms: u64,
}

/// `POST /v1/functions/{name}/rollback`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The version; `null`: what is live, where there is a canary to take back, else what was live before.
    #[serde(default)]
    pub to: Option<u64>,
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackResult {
    /// The function.
    pub function: String,
    /// The live version now.
    pub version: u64,
    /// The one before.
    pub previous_version: u64,
    /// The canary that was taken back.
    #[serde(default)]
    pub dropped_canary: Option<u64>,
}

/// `POST /v1/functions/{name}/promote`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// The canary's settings; `null`: it becomes live.
    #[serde(default)]
    pub canary: Option<CanarySpec>,
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoteResult {
    /// The function.
    pub function: String,
    /// The live version now.
    pub version: u64,
    /// The one before.
    pub previous_version: u64,
    /// The canary, where it still is one.
    pub canary: Option<CanaryStatus>,
}

/// `POST /v1/streams`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateStreamRequest {
    /// Its name.
    pub name: String,
    /// Shards, retention, acknowledgement.
    #[serde(flatten)]
    pub settings: StreamSpec,
}

/// `POST /v1/streams/{name}/split`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitRequest {
    /// The shard: `shardId-000000000000`, or its number.
    pub shard: String,
    /// First hash key of the second child, decimal; `null`: the middle.
    #[serde(default)]
    pub at: Option<String>,
}

/// `POST /v1/streams/{name}/merge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeRequest {
    /// Two neighbours, in either order.
    pub shards: Vec<String>,
}

/// `POST /v1/streams/{name}/resize`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResizeRequest {
    /// How many open shards there are at the end.
    pub shards: u32,
}

/// `GET /v1/version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionResult {
    /// The release.
    pub version: String,
    /// The commit it was built from, or `unknown`.
    pub commit: String,
    /// The Wasmtime inside.
    pub wasmtime: String,
    /// Where data lie.
    pub data_dir: String,
    /// The process.
    pub pid: u32,
    /// Address of the Kinesis API.
    pub kinesis: String,
    /// Why it serves reads alone, and may not show all; left out while it takes everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<String>,
    /// What it refuses for want of room on its disk; left out while there is room for everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_room: Option<NoRoom>,
}

/// What a server refuses for want of room on its disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoRoom {
    /// In words, with how much is free.
    pub message: String,
    /// What gives room.
    pub actions: Vec<NextStep>,
}

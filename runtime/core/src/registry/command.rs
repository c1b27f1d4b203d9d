//! What may be asked of the catalogue, and what comes of it.

use std::{collections::BTreeMap, sync::Arc};

use super::{Change, Note, RegistryChange};
use crate::{
    canary::Tripped,
    function::{Function, SecretValue},
    id::{
        FunctionId, FunctionName, FunctionVersion, MappingId, Ordinal, OutputName, ShardNumber,
        StreamId, StreamName, Timestamp, UnitId,
    },
    mapping::Mapping,
    shard::{Reshard, Stream},
    spec::{FunctionSpec, MappingSpec, StreamSpec, canary::CanarySpec, resolve::StreamSettings},
};

/// A component that was uploaded and validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentFacts {
    /// SHA-256, lower-case hex.
    pub digest: Arc<str>,
    /// Size, bytes.
    pub bytes: u64,
    /// Its outputs, `default` first, whether declared or not.
    pub outputs: Vec<OutputName>,
    /// What it imports beyond the baseline.
    pub uses: Vec<String>,
}

/// Where a shard stands at a moment: looked up in the log before the command is handed in, because
/// the catalogue reads no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundPosition {
    /// The stream.
    pub stream: StreamId,
    /// The shard.
    pub shard: ShardNumber,
    /// The position in front of the first record that arrived at the moment or later.
    pub after: Ordinal,
}

/// Makes or updates a function and its mappings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deploy {
    /// The function.
    pub function: FunctionName,
    /// The component; `None`: the live one stays.
    pub component: Option<ComponentFacts>,
    /// The function's layer.
    pub spec: FunctionSpec,
    /// The mappings' layers; one without a stream concerns every mapping of the function.
    pub mappings: Vec<MappingSpec>,
    /// How missing streams are made, by name.
    pub streams: BTreeMap<String, StreamSpec>,
    /// How other missing streams are made.
    pub new_streams: StreamSpec,
    /// Values of secrets.
    pub secrets: BTreeMap<String, SecretValue>,
    /// Whether the layers are the whole truth: what they do not name has its default.
    pub is_manifest: bool,
    /// Names of configuration values and secrets that go.
    pub unset: Vec<String>,
    /// Whether a mapping may close a cycle of streams.
    pub allow_loop: bool,
    /// Positions of shards at the times that the layers name.
    pub found: Vec<FoundPosition>,
    /// What the layers may do to the mapping that they name; `None`: make it or update it.
    pub mapping_is: Option<MappingIs>,
    /// The next version does not become live: some keys meet it.
    pub canary: Option<CanarySpec>,
}

/// What is known of the mapping of a deploy's one layer: a name may have come to mean another one, or
/// none, since it was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingIs {
    /// It is this one.
    There(MappingId),
    /// There is none.
    New,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Makes a stream; a name that is taken is refused.
    CreateStream {
        /// Its name.
        name: StreamName,
        /// How.
        settings: StreamSettings,
    },
    /// Deletes a stream; refused while mappings use it, unless forced.
    DeleteStream {
        /// Its name.
        name: StreamName,
        /// Whether use does not matter.
        force: bool,
    },
    /// Changes how long a stream keeps records.
    SetRetention {
        /// Its name.
        name: StreamName,
        /// Ms.
        retention_ms: u64,
    },
    /// Changes what a stream keeps and takes.
    AlterStream {
        /// Its name.
        name: StreamName,
        /// What changes; shards, acknowledgement and record size are not asked.
        spec: StreamSpec,
    },
    /// Splits, merges or resizes a stream's shards.
    Reshard {
        /// Its name.
        name: StreamName,
        /// What is to become of them.
        how: Reshard,
    },
    /// Makes or updates a function and its mappings.
    Deploy(Box<Deploy>),
    /// Makes an older version live; a canary is one no more.
    Rollback {
        /// The function.
        function: FunctionName,
        /// The version; `None`: what is live, where there is a canary to take back, else what was live
        /// before.
        to: Option<FunctionVersion>,
    },
    /// Makes a canary live, or gives it other settings.
    Promote {
        /// The function.
        function: FunctionName,
        /// Its settings; `None`: it becomes live.
        canary: Option<CanarySpec>,
    },
    /// Takes a canary back because its guard says so.
    GuardTripped {
        /// The function.
        function: FunctionId,
        /// The canary; where it is one no more, nothing happens.
        version: FunctionVersion,
        /// What the guard found.
        tripped: Tripped,
    },
    /// Pauses a mapping: its pipelines stay and start no call.
    PauseMapping {
        /// Which.
        mapping: MappingId,
    },
    /// Lets a paused or stopped mapping run.
    ResumeMapping {
        /// Which.
        mapping: MappingId,
    },
    /// Stops a running mapping, because its function said `fatal`. Where a canary said so, it is taken back
    /// instead: the version that all other keys meet did not say so.
    StopMapping {
        /// Which.
        mapping: MappingId,
        /// The function's code.
        code: String,
        /// The function's words.
        message: String,
        /// The version that said so.
        version: FunctionVersion,
    },
    /// Deletes a mapping; refused while dead letters are open, unless forced.
    DeleteMapping {
        /// Which.
        mapping: MappingId,
        /// Whether open letters do not matter; they are kept.
        force: bool,
    },
    /// Deletes a function; refused while it has mappings, unless forced.
    DeleteFunction {
        /// Which.
        name: FunctionName,
        /// Whether its mappings go with it.
        force: bool,
    },
    /// Sets how many calls of a function run at once.
    SetConcurrency {
        /// The function.
        function: FunctionName,
        /// The limit; `None`: as many as the pool holds.
        concurrency: Option<u32>,
    },
}

/// What the catalogue asks about records when it judges a command.
pub trait Tails {
    /// The last ordinal given out on a shard; 0 where nothing was.
    fn last(&self, stream: StreamId, shard: ShardNumber) -> Ordinal;

    /// The position in front of the oldest record that a shard still shows.
    fn before_horizon(&self, stream: StreamId, shard: ShardNumber) -> Ordinal;

    /// Arrival of the last record of any shard of a stream.
    fn last_arrival(&self, stream: StreamId) -> Timestamp;

    /// Dead letters of a mapping that are open.
    fn open_dead_letters(&self, mapping: MappingId) -> u64;
}

/// A command as it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// The change to journal; `None`: everything is so already.
    pub change: Option<RegistryChange>,
    /// Units whose owners are fenced by it (commit and storage rules §2).
    pub fenced: Vec<UnitId>,
    /// What to say.
    pub applied: Applied,
}

impl Evaluated {
    /// Nothing to change.
    #[must_use]
    pub const fn unchanged(applied: Applied) -> Self {
        Self {
            change: None,
            fenced: Vec::new(),
            applied,
        }
    }
}

/// What a deploy did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The function as it is now.
    pub function: Arc<Function>,
    /// The version that was live before; `None`: the function is new.
    pub previous_version: Option<FunctionVersion>,
    /// Whether anything changed.
    pub changed: bool,
    /// What changed, against what was live.
    pub changes: Vec<Change>,
    /// What stays as it is, though it was named or is not named any more.
    pub notes: Vec<Note>,
    /// The version that it is about: the canary where one was asked for, else the live one.
    pub version: FunctionVersion,
    /// All mappings of the function as they are now.
    pub mappings: Vec<Arc<Mapping>>,
    /// Those of them that were made.
    pub created_mappings: Vec<MappingId>,
    /// Streams that were made, internal ones left out.
    pub created_streams: Vec<Arc<Stream>>,
    /// An older version with the same component, and when it was rolled back; only said where a new
    /// version was made.
    pub same_bytes_as: Option<(FunctionVersion, Option<Timestamp>)>,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// A stream was made, altered, or is so already.
    Stream(Arc<Stream>),
    /// A stream is gone.
    StreamDeleted(StreamId),
    /// A deploy.
    Deployed(Box<Deployed>),
    /// A rollback.
    RolledBack {
        /// The function as it is now.
        function: Arc<Function>,
        /// The version that was live before.
        previous: FunctionVersion,
        /// The canary that was taken back.
        dropped: Option<FunctionVersion>,
    },
    /// A canary became live.
    Promoted {
        /// The function as it is now.
        function: Arc<Function>,
        /// The version that was live before.
        previous: FunctionVersion,
    },
    /// A mapping was altered, or is so already.
    Mapping(Arc<Mapping>),
    /// A mapping is gone.
    MappingDeleted(MappingId),
    /// A function was altered, or is so already.
    Function(Arc<Function>),
    /// A function is gone, with these mappings.
    FunctionDeleted(FunctionId, Vec<MappingId>),
}

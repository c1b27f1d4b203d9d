//! Event source mappings, resolved.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    destination::Relay,
    filter::Filter,
    id::{
        FunctionId, MappingId, Ordinal, OutputName, ShardNumber, StreamId, StreamName, Timestamp,
    },
    limits,
};

/// Where an output's rows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputBinding {
    /// To a stream, by name.
    Stream(StreamName),
    /// Nowhere: rows are counted, not kept.
    None,
}

impl OutputBinding {
    /// The stream, if it goes to one.
    #[must_use]
    pub const fn stream(&self) -> Option<&StreamName> {
        match self {
            Self::Stream(name) => Some(name),
            Self::None => None,
        }
    }
}

/// How often a record is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxAttempts {
    /// This many calls in all, at least 1.
    Count(u32),
    /// Until it succeeds.
    Unlimited,
}

/// What becomes of a record that the filter cannot judge because its payload is not JSON: one rule for
/// every source (specification of filters, section 21 row 12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnUnparsable {
    /// It is taken for no match, and counted apart (section 20 row 8).
    #[default]
    Drop,
    /// The function is given it.
    Pass,
    /// It is kept as a dead letter.
    DeadLetter,
}

impl OnUnparsable {
    /// The spelling in manifests, JSON and flags.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Pass => "pass",
            Self::DeadLetter => "dead-letter",
        }
    }
}

/// Batching and failure policy of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingSettings {
    /// Most records of a batch.
    pub batch_size: u32,
    /// Most bytes of a batch, keys and data.
    pub batch_bytes: u64,
    /// How long a batch may wait to fill, ms, from its first record.
    pub batch_window_ms: u64,
    /// Lanes per shard.
    pub parallelization_factor: u16,
    /// Calls per record.
    pub max_attempts: MaxAttempts,
    /// First backoff, ms.
    pub backoff_initial_ms: u64,
    /// Longest backoff, ms.
    pub backoff_max_ms: u64,
    /// Where dead letters are copied to; `None`: they are kept, and that is all.
    pub on_failure: Option<Relay>,
    /// Age, ms since arrival, above which a record is given up without a call; `None`: no bound.
    pub max_record_age_ms: Option<u64>,
    /// A call that failed as a whole is cut in two until one record is left, free of charge.
    pub bisect_on_error: bool,
    /// While what the function needs is down, it is called to probe alone, at no attempt's cost.
    pub circuit_breaker: bool,
    /// What order holds within.
    pub ordering: Ordering,
    /// A record that failed fails itself alone, not its call.
    pub partial_failures: bool,
    /// What a `fatal` does.
    pub on_fatal: OnFatal,
    /// What becomes of a record given up when the dead letters are full.
    pub on_failure_full: OnFailureFull,
    /// Which records the function is given; `None`: all.
    pub filter: Option<Arc<Filter>>,
    /// What becomes of records that the filter cannot judge.
    pub on_unparsable: OnUnparsable,
    /// Length of a tumbling window, ms; 0: there are none.
    pub tumbling_window_ms: u32,
    /// Groups of keys of a shard that each have windows and a state of their own; fixed while windows are
    /// on (commit and storage rules §8). [`Ordering::Shard`] has one whatever this says.
    pub key_groups: u32,
}

impl MappingSettings {
    /// Whether its records are called in tumbling windows.
    #[must_use]
    pub const fn has_windows(&self) -> bool {
        self.tumbling_window_ms > 0
    }

    /// Windows that one shard may have open at once: its groups of keys.
    #[must_use]
    pub const fn window_groups(&self) -> u32 {
        match self.ordering {
            Ordering::Key => self.key_groups,
            Ordering::Shard => 1,
        }
    }
}

/// What a `fatal` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFatal {
    /// It stops the mapping.
    #[default]
    Stop,
    /// Its record is a dead letter, as after `skip`.
    DeadLetter,
}

impl OnFatal {
    /// Its word in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::DeadLetter => "dead-letter",
        }
    }
}

/// What becomes of a record given up when the dead letters are full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailureFull {
    /// Its lane waits for room.
    #[default]
    Hold,
    /// It is dropped, counted and logged.
    DropAndCount,
}

impl OnFailureFull {
    /// Its word in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::DropAndCount => "drop-and-count",
        }
    }
}

/// What order holds within.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// Within a partition key: one that waits for a retry holds no other.
    #[default]
    Key,
    /// Within a shard, as Lambda's event source mappings have it: what fails holds all behind it.
    Shard,
}

impl Ordering {
    /// Its word in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Shard => "shard",
        }
    }
}

impl Default for MappingSettings {
    fn default() -> Self {
        Self {
            batch_size: limits::BATCH_RECORDS_DEFAULT,
            batch_bytes: limits::BATCH_BYTES_DEFAULT,
            batch_window_ms: 0,
            parallelization_factor: 1,
            max_attempts: MaxAttempts::Count(limits::ATTEMPTS_DEFAULT),
            backoff_initial_ms: limits::BACKOFF_INITIAL_MS_DEFAULT,
            backoff_max_ms: limits::BACKOFF_MAX_MS_DEFAULT,
            on_failure: None,
            max_record_age_ms: None,
            bisect_on_error: true,
            circuit_breaker: true,
            ordering: Ordering::Key,
            partial_failures: true,
            on_fatal: OnFatal::Stop,
            on_failure_full: OnFailureFull::Hold,
            filter: None,
            on_unparsable: OnUnparsable::default(),
            tumbling_window_ms: 0,
            key_groups: limits::KEY_GROUPS_DEFAULT,
        }
    }
}

/// Whether a mapping runs (command line and SDK §5, `state`). `blocked` is seen, not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappingState {
    /// It runs.
    Running,
    /// A person paused it.
    Paused,
    /// A `fatal` stopped it; resume or a new version ends that.
    Stopped {
        /// The function's code.
        code: String,
        /// The function's words.
        message: String,
    },
    /// Its source stream was deleted: final.
    Failed,
}

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its id.
    pub id: MappingId,
    /// The function whose live version is called.
    pub function: FunctionId,
    /// The stream read.
    pub stream: StreamId,
    /// That stream's name, kept for when it is deleted: half of the mapping's address.
    pub stream_name: StreamName,
    /// Its internal dead-letter stream.
    pub dead_letters: StreamId,
    /// Policy.
    pub settings: MappingSettings,
    /// Where outputs go.
    pub outputs: BTreeMap<OutputName, OutputBinding>,
    /// Whether it runs.
    pub state: MappingState,
    /// Since when.
    pub state_since: Timestamp,
    /// Positions after which it started, one per shard that existed (commit and storage rules §1).
    pub starting_after: BTreeMap<ShardNumber, Ordinal>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Mapping {
    /// The streams it writes to: its outputs', and the one its dead letters are copied to. One may come
    /// more than once.
    pub fn written_streams(&self) -> impl Iterator<Item = &StreamName> {
        written_streams(&self.outputs, &self.settings)
    }
}

/// The streams that a mapping with these outputs and settings writes to.
pub fn written_streams<'a>(
    outputs: &'a BTreeMap<OutputName, OutputBinding>,
    settings: &'a MappingSettings,
) -> impl Iterator<Item = &'a StreamName> {
    let copies = settings.on_failure.as_ref();
    let copies = copies.and_then(|relay| relay.to.stream());
    let bound = outputs.values().filter_map(OutputBinding::stream);
    bound.chain(copies)
}

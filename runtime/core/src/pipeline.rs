//! Decides what happens to the records of one shard of one mapping: an event in, actions out.
//!
//! The value knows no clock, no random source, no runtime and no payload. It is driven by the worker,
//! by property tests, by the simulator and by a recorded log of events alike.

mod action;
mod event;
mod plan;

pub use action::{Action, Invocation, RecordRef, StopReason};
pub use event::{BlockId, BlockMeta, Event, Fetched, RecordMeta, Relocated, Started};
pub use plan::{CommitPlan, Payloads, PlannedLetter, PlannedRows, RowSource, complete};

use std::sync::Arc;

use crate::{
    commit::Unavailable,
    id::{FunctionVersion, Ordinal, Timestamp, UnitId},
    mapping::{MappingSettings, OutputBinding},
};

/// What a pipeline is built from. Any change of it is a new pipeline under a new epoch
/// (commit and storage rules §2).
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The unit.
    pub unit: UnitId,
    /// The version that is called.
    pub version: FunctionVersion,
    /// Batching and failure policy.
    pub settings: MappingSettings,
    /// Bindings by output number: what is not bound to a stream is not counted as emitted.
    pub outputs: Arc<[OutputBinding]>,
    /// Seed of the backoff's jitter: the pipeline itself draws no random number.
    pub seed: u64,
}

/// A look at a pipeline, for describe and metrics. Cheap: nothing is counted on demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineStats {
    /// Everything up to here is settled and accepted.
    pub low_watermark: Ordinal,
    /// Everything up to here was read.
    pub read_position: Ordinal,
    /// Arrival of the oldest record read and not settled.
    pub oldest_arrival: Option<Timestamp>,
    /// Records between low watermark and read position.
    pub window_records: u64,
    /// Records waiting in lanes.
    pub waiting_records: u64,
    /// Keys that wait for a retry.
    pub parked_keys: u64,
    /// When the next parked key is tried.
    pub next_retry: Option<Timestamp>,
    /// Calls under way.
    pub running_calls: u32,
    /// Why a commit is refused at present.
    pub blocked: Option<Unavailable>,
}

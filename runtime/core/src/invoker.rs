//! The contract of the thing that calls functions.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    id::{FunctionVersion, Ordinal, ShardNumber},
    outcome::Outcome,
    record::Records,
    window::WindowCall,
};

/// What a call is about, shared by all calls of a unit's worker; built once per worker and version.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// `<function>/<stream>`.
    pub mapping: Arc<str>,
    /// The stream's name.
    pub stream: Arc<str>,
    /// The shard.
    pub shard: ShardNumber,
    /// The version called.
    pub version: FunctionVersion,
    /// Output names bound by the mapping, in the order of `Rows::output`; a name the mapping does
    /// not bind is refused by `find-output`.
    pub outputs: Arc<[Arc<str>]>,
    /// For each of these, the largest body that its stream takes, bytes; of those that are not there the
    /// limit is [`STREAM_RECORD_BYTES_DEFAULT`](crate::limits::STREAM_RECORD_BYTES_DEFAULT).
    pub row_bytes_max: Arc<[u64]>,
}

/// Per-record facts that a function asks for on demand; answered without work per record unasked.
pub trait CallFacts: Send + Sync {
    /// Which attempt of record `index` this is, from 1.
    fn attempt(&self, index: u32) -> u32;
    /// The record's ordinal in its shard.
    fn ordinal(&self, index: u32) -> Ordinal;
    /// The sequence number as the source spells it.
    fn sequence_number(&self, index: u32) -> String;
    /// Stable over retries and restarts.
    fn record_id(&self, index: u32) -> String;
    /// A header of the record, where the source has headers.
    fn header(&self, index: u32, name: &str) -> Option<Vec<u8>>;
}

/// One call.
pub struct Call {
    /// Shared facts.
    pub context: Arc<CallContext>,
    /// The records, in shard order.
    pub records: Records,
    /// Facts by record.
    pub facts: Arc<dyn CallFacts>,
    /// Start from a new store, as every call of a function with fresh isolation does
    /// ([`Invocation::is_fresh`](crate::pipeline::Invocation::is_fresh)).
    pub is_fresh: bool,
    /// The window of the records, for a mapping with tumbling windows.
    pub window: Option<WindowCall>,
}

/// What a call cost, measured by the invoker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// Wall time from start to answer, ns; waiting for a slot excluded.
    pub duration_ns: u64,
    /// Time to make the instance, ns; 0 when a warm one was borrowed.
    pub instantiation_ns: u64,
    /// Highest linear memory of the instance, bytes.
    pub memory_bytes: u64,
    /// Lowering the records into the guest, ns.
    pub lower_ns: u64,
    /// Lifting rows and failures out, ns.
    pub lift_ns: u64,
    /// CPU time of the guest's thread, what it asked of the host included, ns; 0 where nobody looked.
    pub cpu_ns: u64,
}

/// A call that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// How.
    pub outcome: Outcome,
    /// At what cost.
    pub stats: CallStats,
    /// The window's state as the call left it; `None`: as it was, or no window.
    pub state: Option<Bytes>,
}

/// The host is at fault: nobody is charged, the call is made again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvokerFault(pub String);

/// Calls one version of one function. One call in, one outcome out; never retries.
pub trait Invoker: Send + Sync + 'static {
    /// Makes a call and waits for its end. The deadline, memory and output limits are the version's.
    /// Dropping the future takes the call back: the guest is stopped at its next epoch check.
    ///
    /// # Errors
    /// Only when the host is at fault.
    fn invoke(&self, call: Call) -> impl Future<Output = Result<Completed, InvokerFault>> + Send;
}

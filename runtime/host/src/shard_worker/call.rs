//! A call as a worker makes it: records cut from its blocks, facts answered on demand.

use std::{sync::Arc, time::Duration};

use fnctl_core::{
    id::{Ordinal, ShardNumber, StreamId, Timestamp},
    invoker::{Call, CallContext, CallFacts, Completed, Invoker, InvokerFault},
    pipeline::Invocation,
};
use fnctl_streams::sequence;

use crate::shard_worker::blocks::{Blocks, Run};

/// The facts of one call's records.
pub(crate) struct Facts {
    runs: Vec<Run>,
    /// Charged attempts so far; empty: none of any record.
    attempts: Vec<u32>,
    stream: StreamId,
    shard_created_at: Timestamp,
    /// That of a dead letter's record: its shard may be another one.
    sequence_number: Option<Arc<str>>,
}

impl Facts {
    /// Of records of a shard that were never charged.
    pub(crate) const fn uncharged(
        runs: Vec<Run>,
        stream: StreamId,
        shard_created_at: Timestamp,
    ) -> Self {
        Self {
            runs,
            attempts: Vec::new(),
            stream,
            shard_created_at,
            sequence_number: None,
        }
    }
}

/// What names a record for ever: `record.id()` of the SDK.
pub(crate) fn record_id(stream: StreamId, shard: ShardNumber, ordinal: Ordinal) -> String {
    format!("{stream}-{shard}-{ordinal}")
}

impl CallFacts for Facts {
    fn attempt(&self, index: u32) -> u32 {
        self.attempts
            .get(index as usize)
            .map_or(1, |charged| charged + 1)
    }

    fn ordinal(&self, index: u32) -> Ordinal {
        Run::nth(&self.runs, index as usize).map_or(Ordinal(0), |held| held.ordinal())
    }

    fn sequence_number(&self, index: u32) -> String {
        if let Some(number) = &self.sequence_number {
            return number.to_string();
        }
        Run::nth(&self.runs, index as usize).map_or_else(String::new, |held| {
            let shard = held.block.shard;
            sequence::encode(self.shard_created_at, shard, held.ordinal(), held.arrival())
        })
    }

    fn record_id(&self, index: u32) -> String {
        Run::nth(&self.runs, index as usize).map_or_else(String::new, |held| {
            record_id(self.stream, held.block.shard, held.ordinal())
        })
    }

    fn header(&self, _: u32, _: &str) -> Option<Vec<u8>> {
        // Embedded streams have no headers.
        None
    }
}

/// A call that is ready to be made, and the runs its rows inherit hash keys from.
pub(crate) struct Prepared {
    /// The call.
    pub(crate) call: Call,
    /// Where its records lie.
    pub(crate) runs: Vec<Run>,
}

/// Cuts the records of `invocation` out of `blocks`.
pub(crate) fn prepare(
    invocation: &Invocation,
    blocks: &Blocks,
    context: &Arc<CallContext>,
    stream: StreamId,
    shard_created_at: Timestamp,
    sequence_number: Option<&Arc<str>>,
) -> Prepared {
    let runs = blocks.runs(&invocation.records);
    let is_first = invocation.records.iter().all(|record| record.attempts == 0);
    let attempts = if is_first {
        Vec::new()
    } else {
        invocation
            .records
            .iter()
            .map(|record| record.attempts)
            .collect()
    };
    let facts = Facts {
        runs: runs.clone(),
        attempts,
        stream,
        shard_created_at,
        sequence_number: sequence_number.cloned(),
    };
    Prepared {
        call: Call {
            context: Arc::clone(context),
            records: Run::gather(&runs),
            facts: Arc::new(facts),
            is_fresh: invocation.is_fresh,
            window: invocation.window.clone(),
        },
        runs,
    }
}

/// Makes the call, after a pause if the host was at fault the last time.
pub(crate) async fn make<I: Invoker>(
    invoker: Arc<I>,
    call: Call,
    pause: Option<Duration>,
) -> Result<Completed, InvokerFault> {
    if let Some(pause) = pause {
        tokio::time::sleep(pause).await;
    }
    invoker.invoke(call).await
}

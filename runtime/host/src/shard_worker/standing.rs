//! What is seen of a worker from outside, and what the log says when it changes.

use std::sync::Arc;

use fnctl_core::{
    breaker::Open,
    clock::Clock,
    commit::Unavailable,
    committer::Committer,
    diagnosis::Why,
    id::{Ordinal, Timestamp},
    invoker::Invoker,
};
use tracing::{info, warn};

use crate::shard_worker::{Hole, ShardWorker};

/// What can be seen of a worker from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Everything up to here was read.
    pub(crate) read_position: Ordinal,
    /// Keys that wait for a retry.
    pub(crate) parked_keys: u64,
    /// When the next of them is tried.
    pub(crate) next_retry: Option<Timestamp>,
    /// Why a commit is refused, and since when commits are.
    pub(crate) blocked: Option<(Unavailable, Timestamp)>,
    /// The circuit of the version that most keys meet, while it is open.
    pub(crate) circuit: Option<Box<Open>>,
    /// That of the canary.
    pub(crate) canary_circuit: Option<Box<Open>>,
    /// Why the shard cannot be read any further: the worker ends once it has settled what it had read.
    pub(crate) hole: Option<Arc<Hole>>,
}

impl Standing {
    /// When the next key is tried. One whose time has passed while commits are refused waits for room, not for a time.
    pub(crate) fn next_retry_to_come(&self, now: Timestamp) -> Option<Timestamp> {
        let is_to_come = |at: &Timestamp| self.blocked.is_none() || *at > now;
        self.next_retry.filter(is_to_come)
    }
}

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// Whether what is seen from outside has changed.
    pub(super) fn has_moved(&mut self) -> bool {
        let (parked_keys, next_retry) = self.pipeline.parked();
        let blocked = self.pipeline.blocked();
        let circuit = self.pipeline.circuit();
        let canary_circuit = self.pipeline.canary_circuit();
        let now = &self.standing;
        let is_same = (now.parked_keys, now.next_retry) == (parked_keys, next_retry)
            && now.read_position == self.pipeline.read_position()
            && now.blocked.as_ref().map(|(reason, _)| reason) == blocked
            && now.circuit.as_deref() == circuit
            && now.canary_circuit.as_deref() == canary_circuit
            && now.hole == self.hole;
        if is_same {
            return false;
        }
        self.circuit_moves("live", now.circuit.as_deref(), circuit);
        self.circuit_moves("canary", now.canary_circuit.as_deref(), canary_circuit);
        self.blocked_moves(now.blocked.as_ref().map(|(reason, _)| reason), blocked);
        let since = now.blocked.as_ref().map(|(_, since)| *since);
        self.standing = Standing {
            read_position: self.pipeline.read_position(),
            parked_keys,
            next_retry,
            blocked: blocked
                .map(|reason| (reason.clone(), since.unwrap_or_else(|| self.clock.now()))),
            circuit: circuit.cloned().map(Box::new),
            canary_circuit: canary_circuit.cloned().map(Box::new),
            hole: self.hole.clone(),
        };
        true
    }

    /// Says that commits are refused, and that they are taken again. A full disk is told by the store, once for all.
    fn blocked_moves(&self, was: Option<&Unavailable>, is: Option<&Unavailable>) {
        let told = |reason: &&Unavailable| **reason != Unavailable::DiskFull;
        let (was, is) = (was.filter(told), is.filter(told));
        let context = &self.assignment.context;
        let (mapping, shard) = (&context.mapping, context.shard.shard_id());
        match (was, is) {
            (_, Some(reason)) if was != is => {
                let why = Why::of_refusal(reason).as_str();
                let output = reason.output();
                warn!(%mapping, %shard, why, output, "commits are refused: they are kept and sent again");
            }
            (Some(reason), None) => {
                let why = Why::of_refusal(reason).as_str();
                info!(%mapping, %shard, why, "commits are not refused any more");
            }
            (None, None) | (_, Some(_)) => {}
        }
    }
}

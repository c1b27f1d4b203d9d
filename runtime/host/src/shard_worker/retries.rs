//! Tells watchers which records are tried again, once the commit that charges them was accepted.

use std::{collections::HashMap, sync::Arc};

use fnctl_core::{
    id::SlotId,
    mapping::MaxAttempts,
    pipeline::{CommitPlan, Payloads},
    rfc3339,
    status::RetryStatus,
};

use crate::{
    retries::Retries,
    shard_worker::{Assignment, blocks::Blocks},
};

/// What is to be told of commits under way.
pub(super) struct Charged {
    retries: Arc<Retries>,
    waiting: HashMap<(SlotId, u64), Vec<RetryStatus>>,
}

impl Charged {
    /// Nothing is under way.
    pub(super) fn new(retries: Arc<Retries>) -> Self {
        Self {
            retries,
            waiting: HashMap::new(),
        }
    }

    /// A commit is about to be sent. Without a charge in it, or without a watcher, nothing is kept.
    pub(super) fn planned(&mut self, plan: &CommitPlan, blocks: &Blocks, of: &Assignment) {
        if plan.retries.is_empty() || !self.retries.is_followed(plan.unit.mapping) {
            return;
        }
        let max_attempts = match of.max_attempts {
            MaxAttempts::Count(most) => Some(most),
            MaxAttempts::Unlimited => None,
        };
        let told = plan.retries.iter().map(|retry| RetryStatus {
            time: rfc3339::format(plan.decided_at),
            partition_key: String::from_utf8_lossy(&blocks.key(&retry.record)).into_owned(),
            sequence_number: blocks.sequence_number(&retry.record).to_string(),
            shard_id: plan.unit.shard.shard_id(),
            error_kind: retry.kind.as_str().to_owned(),
            code: retry.code.to_string(),
            error: retry.error.to_string(),
            attempts: retry.attempts,
            max_attempts,
            next_retry_at: rfc3339::format(retry.next_retry),
            delay_ms: retry.next_retry.since_ms(plan.decided_at),
            function_version: plan.version.0,
        });
        self.waiting
            .insert((plan.slot, plan.number), told.collect());
    }

    /// A commit was accepted: what it charges is charged.
    pub(super) fn accepted(&mut self, slot: SlotId, number: u64, of: &Assignment) {
        if self.waiting.is_empty() {
            return;
        }
        if let Some(told) = self.waiting.remove(&(slot, number)) {
            self.retries.tell(of.mapping, told);
        }
    }

    /// A refused commit was dropped: it never happened.
    pub(super) fn forget(&mut self, slot: SlotId, number: u64) {
        self.waiting.remove(&(slot, number));
    }
}

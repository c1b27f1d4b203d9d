//! Says that the circuit of a unit opened, recovers, holds calls again or closed, and counts that it opened.

use fnctl_core::{breaker::Open, clock::Clock, committer::Committer, invoker::Invoker};
use tracing::{info, warn};

use crate::shard_worker::ShardWorker;

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// The circuit of the calls of the live version, or of the canary, was so and is so now.
    pub(super) fn circuit_moves(&self, of: &'static str, was: Option<&Open>, is: Option<&Open>) {
        let context = &self.assignment.context;
        let (mapping, shard) = (&context.mapping, context.shard.shard_id());
        match (was, is) {
            (None, Some(open)) if open.is_inherited => {
                let open_ms = self.clock.now().since_ms(open.since);
                let (code, error) = (&open.cause.code, &open.cause.error);
                warn!(
                    %mapping, %shard, of, open_ms, %code, %error,
                    "circuit still open: the shard's last owner left it so; a probe is made at once"
                );
            }
            (None, Some(open)) => {
                self.metrics.mapping.circuit_opens.inc();
                let (code, error) = (&open.cause.code, &open.cause.error);
                warn!(
                    %mapping, %shard, of, %code, %error,
                    "circuit open: what the function needs is down; calls are held, and cost no attempt, \
                     until a probe succeeds"
                );
            }
            (Some(was), Some(is)) if is.is_recovering() && !was.is_recovering() => {
                let open_ms = self.clock.now().since_ms(is.since);
                let probes_failed = is.probes_failed;
                info!(
                    %mapping, %shard, of, open_ms, probes_failed,
                    "circuit recovering: a probe succeeded; new records are called, what failed is let \
                     through one by one"
                );
            }
            (Some(was), Some(is)) if was.is_recovering() && !is.is_recovering() => {
                let open_ms = self.clock.now().since_ms(is.since);
                let (code, error) = (&is.cause.code, &is.cause.error);
                warn!(
                    %mapping, %shard, of, open_ms, %code, %error,
                    "circuit holds calls again: what the function needs is still down"
                );
            }
            (Some(open), None) => {
                let open_ms = self.clock.now().since_ms(open.since);
                let probes_failed = open.probes_failed;
                info!(
                    %mapping, %shard, of, open_ms, probes_failed,
                    "circuit closed: what the function needs is up again"
                );
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}

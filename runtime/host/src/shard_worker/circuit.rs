//! Says that the circuit of a unit opened or closed, and counts it.

use fnctl_core::{breaker::Open, clock::Clock, committer::Committer, invoker::Invoker};
use tracing::{info, warn};

use crate::shard_worker::ShardWorker;

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// The circuit is so now; what was seen before is still in its standing.
    pub(super) fn circuit_moves(&self, circuit: Option<&Open>) {
        let context = &self.assignment.context;
        let (mapping, shard) = (&context.mapping, context.shard.shard_id());
        match (&self.standing.circuit, circuit) {
            (None, Some(open)) if open.is_inherited => {
                let open_ms = self.clock.now().since_ms(open.since);
                let (code, error) = (&open.cause.code, &open.cause.error);
                warn!(
                    %mapping, %shard, open_ms, %code, %error,
                    "circuit still open: the shard's last owner left it so; a probe is made at once"
                );
            }
            (None, Some(open)) => {
                self.metrics.mapping.circuit_opens.inc();
                let (code, error) = (&open.cause.code, &open.cause.error);
                warn!(
                    %mapping, %shard, %code, %error,
                    "circuit open: what the function needs is down; calls are held, and cost no attempt, \
                     until a probe succeeds"
                );
            }
            (Some(open), None) => {
                let open_ms = self.clock.now().since_ms(open.since);
                let probes_failed = open.probes_failed();
                info!(%mapping, %shard, open_ms, probes_failed, "circuit closed: a probe succeeded");
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}

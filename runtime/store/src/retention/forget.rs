//! Closed shards go when retention has passed them (commit and storage rules §9, Kinesis reference B10).

use fnctl_core::{id::StreamId, view::NodeView};

use crate::{
    applier::ApplierLoop,
    sequencer::{self, Request},
};

impl ApplierLoop {
    /// Asks that closed shards of which nothing is left are forgotten. Their files go when that is
    /// journaled.
    pub(super) fn forget_shards(&self) {
        let now = self.shared.clocks.now();
        let due: Vec<StreamId> = {
            let published = self.shared.read_published();
            let view = &published.view;
            let streams = view.registry().streams();
            streams
                .filter(|stream| stream.shards.iter().any(|shard| shard.is_closed))
                .map(|stream| stream.id)
                .filter(|&stream| view.evaluate_forget(stream, now).is_some())
                .collect()
        };
        for stream in due {
            let decision = move |view: &NodeView, now| {
                let entry = view.evaluate_forget(stream, now);
                (entry, Box::new(|| {}) as sequencer::Announce)
            };
            // Refused when the store stops: then there is nothing to forget either.
            drop(sequencer::submit(
                &self.shared,
                Request::Decide(Box::new(decision)),
            ));
        }
    }
}

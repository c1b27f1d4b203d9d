//! What a pipeline has done since its owner started, counted for whoever watches.

use super::ShardPipeline;
use crate::batch::FlushReason;

/// Counts of one pipeline. Cheap to take: a look after every event costs a few words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Batches that lanes closed, by [`FlushReason::ALL`].
    pub flushes: [u64; FlushReason::ALL.len()],
    /// Cuts in two of batches that failed as a whole.
    pub bisects: u64,
    /// Records that wait in lanes now.
    pub waiting_records: u64,
}

impl ShardPipeline {
    /// What it has done so far.
    #[must_use]
    pub const fn flow(&self) -> Flow {
        Flow {
            waiting_records: self.waiting.records,
            ..self.flow
        }
    }

    /// Counts a batch that a lane closed.
    pub(super) fn flushed(&mut self, reason: Option<FlushReason>) {
        for (count, of) in self.flow.flushes.iter_mut().zip(FlushReason::ALL) {
            *count += u64::from(reason == Some(of));
        }
    }

    /// Counts a cut in two.
    pub(super) const fn halved(&mut self) {
        self.flow.bisects += 1;
    }
}

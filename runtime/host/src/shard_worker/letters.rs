//! Says in the log that records became dead letters: at once, and what comes within a minute in one line behind that.

use std::sync::Arc;

use fnctl_core::{
    clock::Clock, commit::ErrorKind, committer::Committer, id::Timestamp, invoker::Invoker,
};
use tracing::warn;

use crate::{limits, shard_worker::ShardWorker};

/// Letters that nobody was told of.
#[derive(Debug, Default)]
pub(super) struct Letters {
    untold: u64,
    told_at: Option<Timestamp>,
}

impl Letters {
    /// There are more: how many are to be told now.
    fn add(&mut self, letters: u64, now: Timestamp) -> Option<u64> {
        self.untold += letters;
        let was_told = |at: &Timestamp| now.since_ms(*at) < limits::LETTERS_TOLD_MS && *at <= now;
        if self.untold == 0 || self.told_at.as_ref().is_some_and(was_told) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// A commit was accepted that has these.
    pub(super) fn tell_letters(&mut self, letters: &[(ErrorKind, Arc<str>)]) {
        let Some((_, code)) = letters.last() else {
            return;
        };
        if let Some(count) = self.letters.add(letters.len() as u64, self.clock.now()) {
            let context = &self.assignment.context;
            let (mapping, shard) = (&context.mapping, context.shard.shard_id());
            warn!(%mapping, %shard, letters = count, %code, "records became dead letters");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_told_at_once_and_those_of_a_minute_behind_it() {
        let mut letters = Letters::default();
        assert_eq!(letters.add(0, Timestamp(0)), None);
        assert_eq!(letters.add(3, Timestamp(1)), Some(3));
        assert_eq!(letters.add(2, Timestamp(2)), None);
        assert_eq!(letters.add(1, Timestamp(limits::LETTERS_TOLD_MS)), None);
        let later = Timestamp(limits::LETTERS_TOLD_MS + 1);
        assert_eq!(letters.add(4, later), Some(7));
        assert_eq!(letters.add(1, Timestamp(5)), Some(1), "the clock went back");
    }
}

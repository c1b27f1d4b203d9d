//! Says in the log that records became dead letters: the first at once, then whenever there are twice as many, anew
//! every minute.

use std::sync::Arc;

use fnctl_core::{
    clock::Clock, commit::ErrorKind, committer::Committer, id::Timestamp, invoker::Invoker,
};
use tracing::warn;

use crate::{limits, shard_worker::ShardWorker};

/// Letters of a minute.
#[derive(Debug, Default)]
pub(super) struct Letters {
    began: Option<Timestamp>,
    told: u64,
    untold: u64,
}

impl Letters {
    /// There are more: how many are to be told now.
    fn add(&mut self, letters: u64, now: Timestamp) -> Option<u64> {
        self.untold += letters;
        let is_within = |at: &Timestamp| now.since_ms(*at) < limits::LETTERS_TOLD_MS && *at <= now;
        if !self.began.as_ref().is_some_and(is_within) {
            (self.began, self.told) = (Some(now), 0);
        }
        if self.untold == 0 || self.untold < self.told {
            return None;
        }
        self.told += self.untold;
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
    fn the_first_are_told_at_once_and_more_when_there_are_twice_as_many_or_a_minute_later() {
        let mut letters = Letters::default();
        assert_eq!(letters.add(0, Timestamp(0)), None);
        let told: Vec<u64> = (0..40)
            .filter_map(|_| letters.add(1, Timestamp(1)))
            .collect();
        assert_eq!(told, [1, 1, 2, 4, 8, 16]);
        let later = Timestamp(limits::LETTERS_TOLD_MS + 1);
        assert_eq!(letters.add(4, later), Some(12));
        assert_eq!(letters.add(1, later), None);
        assert_eq!(letters.add(1, Timestamp(5)), Some(2), "the clock went back");
    }
}

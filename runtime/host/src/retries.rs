//! Retries as they happen, for whoever watches: bounded, lossy, and free while nobody does.
//!
//! What waits for a retry is durable and is asked from the mapping's status; this is the moment itself,
//! with its cause, which nothing keeps.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use fnctl_core::{id::MappingId, status::RetryStatus};
use tokio::sync::broadcast;

use crate::limits;

/// The retries of all mappings of a node.
#[derive(Debug, Default)]
pub(crate) struct Retries(Mutex<HashMap<MappingId, broadcast::Sender<Arc<RetryStatus>>>>);

impl Retries {
    /// Retries of a mapping from now on; the receiver learns how many it was too slow for, and that the
    /// mapping is gone.
    pub(crate) fn follow(&self, mapping: MappingId) -> broadcast::Receiver<Arc<RetryStatus>> {
        let mut followed = self.lock();
        followed.retain(|_, sender| sender.receiver_count() > 0);
        followed
            .entry(mapping)
            .or_insert_with(|| broadcast::Sender::new(limits::RETRIES_AHEAD_MAX))
            .subscribe()
    }

    /// Whether anybody watches: what is told is made for them alone.
    pub(crate) fn is_followed(&self, mapping: MappingId) -> bool {
        let followed = self.lock();
        followed
            .get(&mapping)
            .is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Tells those who watch; never waits for them.
    pub(crate) fn tell(&self, mapping: MappingId, retries: Vec<RetryStatus>) {
        let sender = self.lock().get(&mapping).cloned();
        let Some(sender) = sender else {
            return;
        };
        for retry in retries {
            // An error says that the last watcher left just now.
            drop(sender.send(Arc::new(retry)));
        }
    }

    /// Ends the watching of mappings that are gone.
    pub(crate) fn retain(&self, is_kept: impl Fn(MappingId) -> bool) {
        self.lock().retain(|mapping, _| is_kept(*mapping));
    }

    fn lock(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<MappingId, broadcast::Sender<Arc<RetryStatus>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;

    const MAPPING: MappingId = MappingId(1);

    fn retry(attempts: u32) -> RetryStatus {
        RetryStatus {
            time: String::new(),
            partition_key: "k".to_owned(),
            sequence_number: "1".to_owned(),
            shard_id: String::new(),
            error_kind: "error".to_owned(),
            code: "busy".to_owned(),
            error: "busy".to_owned(),
            attempts,
            max_attempts: Some(5),
            next_retry_at: String::new(),
            delay_ms: 1,
            function_version: 1,
        }
    }

    #[test]
    fn only_whoever_watches_is_told() {
        let retries = Retries::default();
        assert!(!retries.is_followed(MAPPING));
        retries.tell(MAPPING, vec![retry(1)]);
        let mut watcher = retries.follow(MAPPING);
        assert!(retries.is_followed(MAPPING));
        assert!(!retries.is_followed(MappingId(2)));
        retries.tell(MAPPING, vec![retry(2)]);
        let told = watcher.try_recv().expect("it is told");
        assert_eq!(told.attempts, 2);
        drop(watcher);
        assert!(!retries.is_followed(MAPPING));
    }

    #[test]
    fn a_slow_watcher_loses_the_oldest_and_learns_how_many() {
        let retries = Retries::default();
        let mut watcher = retries.follow(MAPPING);
        let lost = 7;
        let all = limits::RETRIES_AHEAD_MAX + lost;
        retries.tell(MAPPING, (0..all).map(|_| retry(1)).collect());
        assert!(matches!(
            watcher.try_recv(),
            Err(TryRecvError::Lagged(missed)) if missed == lost as u64
        ));
        assert!(watcher.try_recv().is_ok());
    }

    #[test]
    fn watching_ends_with_the_mapping() {
        let retries = Retries::default();
        let mut watcher = retries.follow(MAPPING);
        retries.retain(|_| false);
        assert!(matches!(watcher.try_recv(), Err(TryRecvError::Closed)));
    }
}

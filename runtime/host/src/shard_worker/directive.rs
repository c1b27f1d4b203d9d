//! What a worker is told while it works.

use std::time::Duration;

use fnctl_core::{
    clock::Clock,
    committer::Committer,
    id::Ordinal,
    invoker::Invoker,
    lane::KeyHash,
    pipeline::{Event, WaitingKeys},
};
use tokio::sync::oneshot;

use crate::shard_worker::{ShardWorker, giving_up::GiveUpRequest};

/// What a supervisor tells a worker.
#[derive(Debug)]
pub(crate) enum Directive {
    /// Start no call; commit what runs within `grace`, take the rest back, and wait.
    Pause {
        /// How long running calls get.
        grace: Duration,
    },
    /// Go on after a pause.
    Resume,
    /// Start no call; commit what runs within `grace`, take the rest back, and end.
    Drain {
        /// How long running calls get.
        grace: Duration,
    },
    /// A person has charged records tried now.
    Release {
        /// Their positions.
        positions: Vec<Ordinal>,
        /// Answered when they are due.
        done: oneshot::Sender<()>,
    },
    /// A person has everything tried now that waits.
    ReleaseAll {
        /// Told how many keys waited, when they are due.
        done: oneshot::Sender<u64>,
    },
    /// Tell which keys wait.
    Waiting {
        /// Those of one of these hashes; `None`: all.
        of: Option<Vec<KeyHash>>,
        /// At most so many.
        most: usize,
        /// Whom.
        reply: oneshot::Sender<WaitingKeys>,
    },
    /// A person gives records up.
    GiveUp(GiveUpRequest),
    /// Tell all records that are not done of the keys of these.
    RecordsOfKeys {
        /// Their positions.
        positions: Vec<Ordinal>,
        /// Whom.
        reply: oneshot::Sender<Vec<Ordinal>>,
    },
}

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// What the pipeline is told of it, if anything.
    pub(super) fn directed(&mut self, directive: Directive) -> Option<Event> {
        let until = |grace: Duration| {
            let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            self.clock.now().plus_ms(grace)
        };
        // Whoever asked may be gone: then an answer is for nobody.
        Some(match directive {
            Directive::Pause { grace } => Event::Pause {
                until: until(grace),
            },
            Directive::Resume => Event::Resume,
            Directive::Drain { grace } => Event::Drain {
                until: until(grace),
            },
            Directive::Release { positions, done } => {
                done.send(()).unwrap_or_default();
                Event::Release { positions }
            }
            Directive::ReleaseAll { done } => {
                let waiting = self.pipeline.waiting_keys(None, 0);
                done.send(waiting.count).unwrap_or_default();
                Event::ReleaseAll
            }
            Directive::Waiting { of, most, reply } => {
                drop(reply.send(self.pipeline.waiting_keys(of.as_deref(), most)));
                return None;
            }
            Directive::GiveUp(request) => self.giving_up.asked(request),
            Directive::RecordsOfKeys { positions, reply } => {
                drop(reply.send(self.pipeline.records_of_keys(&positions)));
                return None;
            }
        })
    }
}

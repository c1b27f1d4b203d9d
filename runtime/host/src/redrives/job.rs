//! One redrive: hands letters to the workers of the units that own their keys now, at the rate asked for.
//! What became of each is in the worker's commit, so whatever happens to this task, a letter is resolved once,
//! has failed again once, or is still open.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fnctl_core::{
    id::{MappingId, StreamId},
    pipeline::RedriveEnding,
    rfc3339,
    status::{RedriveLine, RedrivingStatus},
};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{
    Request, is_possible,
    letter::{Handing, Turns},
};
use crate::{
    api::error::ApiError,
    limits,
    node::{HostNode, StoredLetter},
};

/// How a redrive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All letters that it met have ended.
    All,
    /// The server stops: the rest is for its next start.
    Stopping,
    /// It was called off.
    Cancelled,
}

/// How far a redrive is, in letters.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    meant: AtomicU64,
    /// Those that are resolved.
    processed: AtomicU64,
    /// Those that failed again.
    failed: AtomicU64,
    /// Those that nothing was done with.
    skipped: AtomicU64,
}

/// A [`Progress`] at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Those that are resolved.
    pub(crate) processed: u64,
    /// Those that failed again.
    pub(crate) failed: u64,
    /// Those that nothing was done with.
    pub(crate) skipped: u64,
    /// Those that wait for their turn.
    pub(crate) left: u64,
}

impl Progress {
    /// How far it is now.
    pub(crate) fn now(&self) -> Reached {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (processed, failed) = (read(&self.processed), read(&self.failed));
        let skipped = read(&self.skipped);
        Reached {
            processed,
            failed,
            skipped,
            left: read(&self.meant).saturating_sub(processed + failed + skipped),
        }
    }
}

/// Hands letters over until there are none, the mapping goes, or the server does.
#[derive(Debug)]
pub(super) struct Job {
    request: Request,
    /// Whether they were counted when it began: one that is taken up again counts first.
    is_counted: bool,
    progress: Arc<Progress>,
    cancelled: watch::Sender<bool>,
}

impl Job {
    pub(super) fn new(request: Request, letters: Option<u64>) -> Self {
        let progress = Progress {
            meant: AtomicU64::new(letters.unwrap_or(0)),
            ..Progress::default()
        };
        Self {
            request,
            is_counted: letters.is_some(),
            progress: Arc::new(progress),
            cancelled: watch::Sender::new(false),
        }
    }

    pub(super) const fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    pub(super) const fn mapping(&self) -> MappingId {
        self.request.mapping
    }

    /// What is told of it; `None`: nothing is left.
    pub(super) fn status(&self) -> Option<RedrivingStatus> {
        let left = self.progress.now().left;
        (left > 0).then(|| RedrivingStatus {
            letters: left,
            rate: self.request.rate.map(|rate| rate.get().into()),
        })
    }

    /// What was asked for, and how far it is.
    pub(super) fn line(&self) -> RedriveLine {
        let Request {
            meant,
            version,
            rate,
            by,
            at,
            ..
        } = &self.request;
        let (filter, reached) = (meant.filter(), self.progress.now());
        RedriveLine {
            asked_at: rfc3339::format(*at),
            asked_by: by.clone(),
            named: meant.ids().map(|ids| ids.len() as u64),
            code: filter.code.clone(),
            kind: filter.kind.map(|kind| kind.as_str().to_owned()),
            key: filter.key.clone(),
            since: filter.since.map(rfc3339::format),
            version: version.map(|version| version.0),
            rate: rate.map(|rate| rate.get().into()),
            processed: reached.processed,
            dead_lettered: reached.failed,
            skipped: reached.skipped,
            pending: reached.left,
        }
    }

    /// Ends it where it stands: no other letter is handed over, and workers leave what they have not called.
    pub(super) fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    pub(super) async fn run(&self, node: &Arc<HostNode>) -> Result<Ended, ApiError> {
        let mut drain = node.drain();
        let work = async {
            let stream = node.view(|view| {
                let mapping = view.registry().mapping(self.request.mapping)?;
                Some(mapping.dead_letters)
            });
            let Some(stream) = stream else {
                return Ok(Ended::All);
            };
            if !self.is_counted {
                self.count_letters(node, stream).await?;
            }
            self.hand_over(node, stream).await?;
            Ok(Ended::All)
        };
        let drained = async {
            // A sender that is gone means the same.
            drain.wait_for(|draining| *draining).await.ok();
        };
        let mut cancelled = self.cancelled.subscribe();
        let cancelled = async {
            // The sender is this job's own.
            cancelled.wait_for(|cancelled| *cancelled).await.ok();
        };
        tokio::select! {
            biased;
            ended = work => ended,
            () = cancelled => Ok(Ended::Cancelled),
            () = drained => Ok(Ended::Stopping),
        }
    }

    async fn count_letters(&self, node: &HostNode, stream: StreamId) -> Result<(), ApiError> {
        let mapping = node.view(|view| view.registry().address_of(self.request.mapping));
        let mut letters = self.request.meant.clone().read(node, stream);
        let mut count = 0;
        loop {
            let found = letters.next().await?;
            if found.is_empty() {
                break;
            }
            count += found
                .letters
                .iter()
                .filter(|found| has_record(found))
                .count() as u64;
        }
        self.progress.meant.store(count, Ordering::Relaxed);
        tracing::info!(
            mapping,
            letters = count,
            rate = self.request.rate,
            who = self.request.by,
            asked_at = rfc3339::format(self.request.at),
            "a redrive goes on"
        );
        Ok(())
    }

    async fn hand_over(&self, node: &Arc<HostNode>, stream: StreamId) -> Result<(), ApiError> {
        let mut letters = self.request.meant.clone().read(node, stream);
        let rate = self.request.rate;
        let pause = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
        let mut next_at = Instant::now();
        let mut under_way = JoinSet::new();
        let mut turns = Turns::default();
        loop {
            let found = letters.next().await?;
            if found.is_empty() {
                break;
            }
            // Those that cannot be read stay open; whoever asked was told.
            if let Some(first) = found.damaged.first() {
                let mapping = node.view(|view| view.registry().address_of(self.request.mapping));
                let letters = found.damaged.len();
                let error = format!("dead letter {}: {}", first.id, first.why);
                tracing::warn!(
                    mapping,
                    letters,
                    error,
                    "a redrive passes over dead letters that cannot be read"
                );
            }
            // The others are not counted, and nobody could be given them.
            for letter in found.letters.into_iter().filter(has_record) {
                if under_way.len() >= limits::REDRIVES_AT_ONCE {
                    self.count(under_way.join_next().await);
                }
                self.count_until(next_at, &mut under_way).await;
                if !is_possible(node, self.request.mapping) {
                    // Nobody will ever take one: there is no rate to keep to.
                    return Ok(());
                }
                next_at = next_at.max(Instant::now()) + pause;
                let (turn, ahead) = turns.take(&letter.letter);
                let one = Handing {
                    node: Arc::clone(node),
                    mapping: self.request.mapping,
                    stream,
                    version: self.request.version,
                    ahead,
                    turn,
                };
                under_way.spawn(one.letter(letter));
            }
        }
        while let Some(ended) = under_way.join_next().await {
            self.count(Some(ended));
        }
        Ok(())
    }

    /// Waits until then, and counts what ends meanwhile: at a low rate that is where the time goes.
    async fn count_until(&self, at: Instant, under_way: &mut JoinSet<Option<RedriveEnding>>) {
        let mut passed = pin!(tokio::time::sleep_until(at));
        loop {
            tokio::select! {
                biased;
                () = &mut passed => return,
                Some(ended) = under_way.join_next() => self.count(Some(ended)),
            }
        }
    }

    fn count(&self, ended: Option<Result<Option<RedriveEnding>, tokio::task::JoinError>>) {
        let counter = match ended {
            Some(Ok(Some(RedriveEnding::Resolved))) => &self.progress.processed,
            Some(Ok(Some(RedriveEnding::FailedAgain))) => &self.progress.failed,
            _ => &self.progress.skipped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a letter holds a record that a function can be given.
pub(crate) fn has_record(found: &StoredLetter) -> bool {
    found.letter.kind.holds_record()
}

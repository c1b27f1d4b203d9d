//! How the rest of the host speaks to the supervisor's task.

use std::sync::Arc;

use fnctl_core::{
    id::{MappingId, Ordinal, UnitId},
    lane::KeyHash,
    pipeline::WaitingKeys,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    limits,
    shard_worker::{Directive, GiveUpRequest},
    supervisor::status::Statuses,
};

/// What the supervisor's task is asked.
pub(super) enum Request {
    /// Drain these mappings and keep them from starting; answered when nothing of them runs.
    Hold(Vec<MappingId>, oneshot::Sender<()>),
    /// Pass this on to the worker of a unit, if there is one.
    Direct(UnitId, Directive),
    /// Drain everything and end.
    Shutdown(oneshot::Sender<()>),
}

/// Speaks to the supervisor's task.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor {
    requests: mpsc::Sender<Request>,
    releases: mpsc::Sender<Vec<MappingId>>,
    statuses: Arc<Statuses>,
    stopped: watch::Receiver<Option<String>>,
}

/// Keeps mappings from running until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    mappings: Vec<MappingId>,
    // Reserved when the hold was made, because a drop cannot wait. `None`: the supervisor is gone.
    release: Option<mpsc::OwnedPermit<Vec<MappingId>>>,
}

/// What became of records that a person gives up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GivenUp {
    /// They are dead letters.
    pub(crate) letters: u64,
    /// They had ended otherwise before their turn came.
    pub(crate) others: u64,
    /// They are given up when the call that has them in hand ends.
    pub(crate) pending: u64,
    /// Their worker ended before their turn came: they wait as before.
    pub(crate) left: u64,
}

impl GivenUp {
    /// Those of two shards.
    pub(crate) const fn and(self, more: Self) -> Self {
        Self {
            letters: self.letters + more.letters,
            others: self.others + more.others,
            pending: self.pending + more.pending,
            left: self.left + more.left,
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            drop(release.send(std::mem::take(&mut self.mappings)));
        }
    }
}

impl Supervisor {
    pub(super) const fn new(
        requests: mpsc::Sender<Request>,
        releases: mpsc::Sender<Vec<MappingId>>,
        statuses: Arc<Statuses>,
        stopped: watch::Receiver<Option<String>>,
    ) -> Self {
        Self {
            requests,
            releases,
            statuses,
            stopped,
        }
    }

    /// Drains the workers of mappings and keeps them from starting until the hold is dropped: running
    /// calls get `SWAP_GRACE` to commit. Returns when nothing of them runs.
    pub(crate) async fn hold(&self, mappings: Vec<MappingId>) -> Hold {
        let (done, held) = oneshot::channel();
        let release = self.releases.clone().reserve_owned().await.ok();
        let hold = Hold {
            mappings: mappings.clone(),
            release,
        };
        if self
            .requests
            .send(Request::Hold(mappings, done))
            .await
            .is_ok()
        {
            // An error says that the supervisor ended: nothing runs.
            drop(held.await);
        }
        hold
    }

    /// Has a unit's worker try charged records now; whether there is one that heard it.
    pub(crate) async fn release(&self, unit: UnitId, positions: Vec<Ordinal>) -> bool {
        let (done, released) = oneshot::channel();
        let directive = Directive::Release { positions, done };
        self.ask(unit, directive, released).await.is_some()
    }

    /// Has a unit's worker try everything now that waits: how many keys do. `None`: there is none, or it is
    /// too busy.
    pub(crate) async fn release_all(&self, unit: UnitId) -> Option<u64> {
        let (done, released) = oneshot::channel();
        self.ask(unit, Directive::ReleaseAll { done }, released)
            .await
    }

    /// The keys that wait by what the worker of a unit knows, at most so many, and with `of` only those of one
    /// of these hashes; `None`: there is none, or it is too busy.
    pub(crate) async fn waiting(
        &self,
        unit: UnitId,
        of: Option<Vec<KeyHash>>,
        most: usize,
    ) -> Option<WaitingKeys> {
        let (reply, answer) = oneshot::channel();
        let directive = Directive::Waiting { of, most, reply };
        self.ask(unit, directive, answer).await
    }

    /// All records that are not done of the keys of these; `None`: nobody runs the unit, or it is too
    /// busy.
    pub(crate) async fn records_of_keys(
        &self,
        unit: UnitId,
        positions: Vec<Ordinal>,
    ) -> Option<Vec<Ordinal>> {
        let (reply, answer) = oneshot::channel();
        let directive = Directive::RecordsOfKeys { positions, reply };
        self.ask(unit, directive, answer).await
    }

    /// Has a unit's worker give records up, on behalf of somebody, and waits a while for what becomes of
    /// them. `None`: nobody runs the unit, or it is too busy, and nothing was done.
    pub(crate) async fn give_up(
        &self,
        unit: UnitId,
        positions: Vec<Ordinal>,
        by: Arc<str>,
    ) -> Option<GivenUp> {
        let asked = positions.len() as u64;
        let (told, mut ended) = mpsc::channel(positions.len().max(1));
        let request = GiveUpRequest {
            positions,
            by,
            told,
        };
        let request = Request::Direct(unit, Directive::GiveUp(request));
        self.requests.send(request).await.ok()?;
        let mut given_up = GivenUp::default();
        let listen = async {
            while let Some(is_letter) = ended.recv().await {
                match is_letter {
                    true => given_up.letters += 1,
                    false => given_up.others += 1,
                }
            }
        };
        let takes_longer = timeout(limits::GIVE_UP_WAIT, listen).await.is_err();
        let rest = asked.saturating_sub(given_up.letters + given_up.others);
        if takes_longer {
            given_up.pending = rest;
        } else if rest == asked && asked > 0 {
            // Whoever had the sender dropped it at once: no worker took the request.
            return None;
        } else {
            given_up.left = rest;
        }
        Some(given_up)
    }

    /// A worker that is gone, or ends meanwhile, drops the sender of its answer.
    async fn ask<T>(
        &self,
        unit: UnitId,
        directive: Directive,
        answer: oneshot::Receiver<T>,
    ) -> Option<T> {
        let request = Request::Direct(unit, directive);
        self.requests.send(request).await.ok()?;
        let answered = timeout(limits::WORKER_ANSWER_MAX, answer).await;
        answered.ok()?.ok()
    }

    /// Drains every worker and ends.
    pub(crate) async fn shutdown(&self) {
        let (done, ended) = oneshot::channel();
        if self.requests.send(Request::Shutdown(done)).await.is_ok() {
            drop(ended.await);
        }
    }

    /// What the workers are doing.
    pub(crate) const fn statuses(&self) -> &Arc<Statuses> {
        &self.statuses
    }

    /// Turns into words when the store was found stopped.
    pub(crate) fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.stopped.clone()
    }
}

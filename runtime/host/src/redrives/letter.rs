//! One letter of a redrive on its way to the worker of the unit that owns its key now, and which letters it must not
//! pass.
//!
//! A worker calls letters of a key in the order in which it was given them (commit and storage rules §7). It may end
//! with several of them in hand: each is given to its successor, and there the order would be that of who comes
//! first. So a letter is handed over once those in front of it are with that same worker, or have ended.

use std::{collections::HashMap, sync::Arc};

use fnctl_core::{
    commit::{DeadLetter, Redriven},
    id::{FunctionVersion, MappingId, Ordinal, ShardNumber, StreamId, UnitId},
    lane::{KeyHash, key_hash},
    mapping::MappingState,
    pipeline::RedriveEnding,
    view::LetterStatus,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    limits,
    node::{HostNode, StoredLetter},
    shard_worker::RedriveRequest,
    supervisor::Work,
};

/// How a worker is given letters.
type Worker = mpsc::Sender<RedriveRequest>;

/// The turn of a letter: with whom it is, if it is with anybody. Dropped when the letter has ended.
type Turn = watch::Sender<Option<Worker>>;
/// What those behind it see of that.
type TurnAhead = watch::Receiver<Option<Worker>>;

/// The letters of a redrive that have their turn, as far as others are behind them: the last of each key, and of
/// each shard, as a mapping may keep the order of that.
#[derive(Debug, Default)]
pub(super) struct Turns {
    keys: HashMap<KeyHash, TurnAhead>,
    shards: HashMap<ShardNumber, TurnAhead>,
}

impl Turns {
    /// The turn of the next letter, in the order of the stream, and those it must not pass.
    pub(super) fn take(&mut self, letter: &DeadLetter) -> (Turn, TurnsAhead) {
        // Those that have ended are not in anybody's way.
        let is_over = |turn: &TurnAhead| turn.has_changed().is_err();
        if self.keys.len() > 2 * limits::REDRIVES_AT_ONCE {
            self.keys.retain(|_, turn| !is_over(turn));
            self.shards.retain(|_, turn| !is_over(turn));
        }
        let (turn, seen) = watch::channel(None);
        let key = key_hash(Some(&letter.key), letter.position);
        let ahead = TurnsAhead {
            of_key: self.keys.insert(key, seen.clone()),
            of_shard: self.shards.insert(letter.shard, seen),
        };
        (turn, ahead)
    }
}

/// The letters that one must not pass: the last in front of it of its key, and of its shard.
#[derive(Debug)]
pub(super) struct TurnsAhead {
    of_key: Option<TurnAhead>,
    of_shard: Option<TurnAhead>,
}

impl TurnsAhead {
    /// Waits until they are with this worker, or have ended.
    async fn are_with(&mut self, worker: &Worker) {
        for turn in [&mut self.of_key, &mut self.of_shard].into_iter().flatten() {
            let is_there = |with: &Option<Worker>| {
                let with = with.as_ref();
                with.is_some_and(|with| with.same_channel(worker))
            };
            // An error says that it has ended.
            turn.wait_for(is_there).await.ok();
        }
    }
}

/// One letter on its way.
pub(super) struct Handing {
    pub(super) node: Arc<HostNode>,
    pub(super) mapping: MappingId,
    pub(super) stream: StreamId,
    pub(super) version: Option<FunctionVersion>,
    pub(super) ahead: TurnsAhead,
    pub(super) turn: Turn,
}

impl Handing {
    /// Hands one letter over, to the next owner when one ends before it has answered; `None`: nothing was
    /// done with it.
    pub(super) async fn letter(mut self, found: StoredLetter) -> Option<RedriveEnding> {
        let (id, before) = (found.id, found.body);
        let mut found = found;
        loop {
            if let Some(answer) = self.ask(&found).await?
                && let Ok(ending) = answer.await
            {
                return (ending != RedriveEnding::Closed).then_some(ending);
            }
            // Nobody is there yet; or whoever took it has ended, before or after its commit.
            self.turn.send_replace(None);
            tokio::time::sleep(limits::REDRIVE_RETRY).await;
            found = self.node.dead_letter(self.stream, id).await.ok()??;
            match found.status {
                LetterStatus::Open if found.body == before => {}
                LetterStatus::Open => return Some(RedriveEnding::FailedAgain),
                LetterStatus::Resolved => return Some(RedriveEnding::Resolved),
                LetterStatus::Purged => return None,
            }
        }
    }

    /// Gives a letter to the worker of the unit that owns its key now: how it answers, or nothing where
    /// there is none at the moment.
    ///
    /// Answers `None` when there will be none: the mapping is gone, or has failed for good.
    async fn ask(
        &mut self,
        found: &StoredLetter,
    ) -> Option<Option<oneshot::Receiver<RedriveEnding>>> {
        let (unit, with) = self.node.view(|view| {
            let mapping = view.registry().mapping(self.mapping)?;
            if mapping.state == MappingState::Failed {
                return None;
            }
            // A paused one has a worker that starts nothing, a stopped one none: letters wait for it.
            let stream = view.registry().stream(mapping.stream)?;
            let unit = UnitId {
                mapping: mapping.id,
                stream: stream.id,
                shard: stream.route(found.letter.hash_key)?,
            };
            let with = match self.version {
                None => None,
                Some(version) => Some(Work::other(view, unit, version)?),
            };
            Some((unit, with))
        })?;
        let redrivers = self.node.supervisor().statuses().redrivers();
        let Some(worker) = redrivers.of(unit) else {
            return Some(None);
        };
        self.ahead.are_with(&worker).await;
        let (answer, answered) = oneshot::channel();
        let request = RedriveRequest {
            redriven: Redriven {
                id: found.id,
                body: Ordinal(found.body.0),
                bytes: found.letter.byte_len(),
            },
            letter: found.letter.clone(),
            with,
            answer,
        };
        let is_taken = worker.send(request).await.is_ok();
        if is_taken {
            self.turn.send_replace(Some(worker));
        }
        Some(is_taken.then_some(answered))
    }
}

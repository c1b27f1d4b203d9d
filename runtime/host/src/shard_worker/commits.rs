//! Commits under way: completed with payload, sent, kept until they are answered, sent again when
//! refused.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use fnctl_core::{
    commit::{Commit, CommitAnswer, ErrorKind, UnitTotals},
    committer::{Committer, Stopped, Ticket},
    id::SlotId,
    limits::REFUSED_BYTES_MAX,
    mapping::OutputBinding,
    pipeline::{CommitPlan, complete},
};
use futures_util::{StreamExt, stream::FuturesUnordered};

use crate::shard_worker::{
    blocks::{Blocks, Run},
    hash_keys::HashKeys,
    timing::Awaited,
};

/// What happened to a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The sequencer's answer.
    Answered {
        /// Its slot.
        slot: SlotId,
        /// Its number.
        number: u64,
        /// The answer.
        answer: CommitAnswer,
        /// Kinds and codes of the dead letters in it, once it is accepted.
        letters: Vec<(ErrorKind, Arc<str>)>,
        /// Dead letters left out of it, once it is accepted.
        dropped: u64,
        /// Bytes of the rows in it, once it is accepted.
        bytes_out: u64,
    },
    /// It was refused, and the node has no room to keep it.
    NoRoom {
        /// Its slot.
        slot: SlotId,
    },
    /// It is synced and visible.
    Durable {
        /// Its slot.
        slot: SlotId,
        /// Its number.
        number: u64,
        /// What is measured now.
        awaited: Awaited,
    },
    /// The store takes nothing more.
    Stopped(Stopped),
}

/// Bytes of refused commits kept on this node, all units together.
#[derive(Debug, Default)]
pub(crate) struct RefusedRoom(AtomicU64);

impl RefusedRoom {
    fn take(&self, bytes: u64) -> bool {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let has_room = before + bytes <= REFUSED_BYTES_MAX;
        if !has_room {
            self.give(bytes);
        }
        has_room
    }

    fn give(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A commit kept until it is answered.
struct Kept {
    commit: Commit,
    /// Bytes taken of the refused room.
    refused_bytes: u64,
    /// Dead letters that it is sent without.
    dropped: u64,
    awaited: Awaited,
}

/// What is told of a commit that was answered; nothing, unless it was accepted.
#[derive(Debug, Default)]
struct Accepted {
    letters: Vec<(ErrorKind, Arc<str>)>,
    dropped: u64,
    bytes_out: u64,
}

enum Step<T> {
    Answered(SlotId, u64, Result<CommitAnswer, Stopped>, T),
    Durable(SlotId, u64, Awaited, Result<(), Stopped>),
}

type Waiting<T> = Pin<Box<dyn Future<Output = Step<T>> + Send>>;

/// The commits of one worker.
pub(crate) struct Commits<C: Committer> {
    committer: C,
    refused: Arc<RefusedRoom>,
    kept: HashMap<(SlotId, u64), Kept>,
    waiting: FuturesUnordered<Waiting<C::Ticket>>,
    /// Told with the next call of [`Self::next`].
    no_room: Vec<SlotId>,
}

impl<C: Committer<Ticket: 'static>> Commits<C> {
    pub(crate) fn new(committer: C, refused: Arc<RefusedRoom>) -> Self {
        Self {
            committer,
            refused,
            kept: HashMap::new(),
            waiting: FuturesUnordered::new(),
            no_room: Vec::new(),
        }
    }

    /// Completes a plan and sends it.
    pub(crate) fn send(
        &mut self,
        plan: CommitPlan,
        outputs: &[OutputBinding],
        blocks: &Blocks,
        runs: &[Run],
        awaited: Awaited,
    ) {
        let mut hash_keys = HashKeys::new(runs);
        let commit = complete(plan, outputs, blocks, |key| hash_keys.of(key));
        let key = (commit.slot, commit.number);
        self.hand_in(commit.clone());
        self.kept.insert(
            key,
            Kept {
                commit,
                refused_bytes: 0,
                dropped: 0,
                awaited,
            },
        );
    }

    /// Sends a refused commit again, without its dead letters where there is no room for them.
    pub(crate) fn resend(
        &mut self,
        slot: SlotId,
        number: u64,
        totals: UnitTotals,
        drops_letters: bool,
    ) {
        let Some(kept) = self.kept.get_mut(&(slot, number)) else {
            return;
        };
        self.refused.give(std::mem::take(&mut kept.refused_bytes));
        kept.commit.totals = totals;
        if drops_letters {
            kept.dropped += kept.commit.dead_letters.len() as u64;
            kept.commit.dead_letters.clear();
        }
        let commit = kept.commit.clone();
        self.hand_in(commit);
    }

    /// Drops a refused commit.
    pub(crate) fn forget(&mut self, slot: SlotId, number: u64) {
        if let Some(kept) = self.kept.remove(&(slot, number)) {
            self.refused.give(kept.refused_bytes);
        }
    }

    /// Whether everything handed in is synced and visible, or refused.
    pub(crate) fn are_visible(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What happened next; `None` when nothing is under way. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Progress> {
        if let Some(slot) = self.no_room.pop() {
            return Some(Progress::NoRoom { slot });
        }
        let step = self.waiting.next().await?;
        Some(match step {
            Step::Answered(slot, number, Ok(answer), ticket) => {
                let Accepted {
                    letters,
                    dropped,
                    bytes_out,
                } = self.answered(slot, number, &answer, ticket);
                Progress::Answered {
                    slot,
                    number,
                    answer,
                    letters,
                    dropped,
                    bytes_out,
                }
            }
            Step::Durable(slot, number, awaited, Ok(())) => Progress::Durable {
                slot,
                number,
                awaited,
            },
            Step::Answered(.., Err(stopped), _) | Step::Durable(.., Err(stopped)) => {
                Progress::Stopped(stopped)
            }
        })
    }

    fn answered(
        &mut self,
        slot: SlotId,
        number: u64,
        answer: &CommitAnswer,
        mut ticket: C::Ticket,
    ) -> Accepted {
        match answer {
            CommitAnswer::Accepted(_) => {
                let mut kept = self.kept.remove(&(slot, number));
                let awaited = kept.as_mut().map(|kept| std::mem::take(&mut kept.awaited));
                let awaited = awaited.unwrap_or_default();
                self.waiting.push(Box::pin(async move {
                    let durable = ticket.durable().await;
                    Step::Durable(slot, number, awaited, durable)
                }));
                return kept.map_or_else(Accepted::default, |kept| {
                    // A letter that failed again was counted when it became one.
                    let is_new = kept.commit.redriven.is_none();
                    let letters = kept.commit.dead_letters.iter().filter(|_| is_new);
                    let letters = letters.map(|letter| (letter.kind, Arc::clone(&letter.code)));
                    Accepted {
                        letters: letters.collect(),
                        dropped: kept.dropped,
                        bytes_out: rows_bytes(&kept.commit),
                    }
                });
            }
            CommitAnswer::Fenced | CommitAnswer::Refused { .. } => {
                self.kept.remove(&(slot, number));
            }
            CommitAnswer::Unavailable(_) => {
                if let Some(kept) = self.kept.get_mut(&(slot, number)) {
                    let bytes = bytes_of(&kept.commit);
                    if self.refused.take(bytes) {
                        kept.refused_bytes = bytes;
                    } else {
                        self.no_room.push(slot);
                    }
                }
            }
        }
        Accepted::default()
    }

    fn hand_in(&mut self, commit: Commit) {
        let (slot, number) = (commit.slot, commit.number);
        let mut ticket = self.committer.commit(commit);
        self.waiting.push(Box::pin(async move {
            let answer = ticket.answer().await;
            Step::Answered(slot, number, answer, ticket)
        }));
    }
}

impl<C: Committer> Drop for Commits<C> {
    fn drop(&mut self) {
        for kept in self.kept.values() {
            self.refused.give(kept.refused_bytes);
        }
    }
}

/// Bytes of keys and data that it publishes.
fn rows_bytes(commit: &Commit) -> u64 {
    let outputs = commit.outputs.iter();
    let bytes: usize = outputs.map(|output| output.records.byte_len()).sum();
    bytes as u64
}

fn bytes_of(commit: &Commit) -> u64 {
    let letters: usize = commit
        .dead_letters
        .iter()
        .map(|letter| letter.data.len())
        .sum();
    rows_bytes(commit) + letters as u64
}

//! Dead letters on their way to a worker: asked for by the API, given to the pipeline a few at a time, and
//! answered once what they came to is synced.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use fnctl_core::{
    clock::Clock,
    commit::{DeadLetter, Redriven},
    committer::Committer,
    id::{StreamId, Timestamp, UnitId},
    invoker::{CallContext, Invoker},
    limits,
    pipeline::{BlockMeta, Event, OtherVersion, Redrive, RedriveEnding},
    record::{ColumnBuilder, RecordBlock, Records},
};
use tokio::sync::{mpsc, oneshot};

use crate::shard_worker::ShardWorker;

/// A version beside the unit's own, as a worker calls it: a canary, or one that letters are redriven with.
#[derive(Clone, Debug)]
pub(crate) struct CalledVersion {
    /// What the pipeline knows of it.
    pub(crate) other: OtherVersion,
    /// Facts of its calls.
    pub(crate) context: Arc<CallContext>,
}

/// A letter that is to be given to the function again.
#[derive(Debug)]
pub(crate) struct RedriveRequest {
    /// Which, and where it lies.
    pub(crate) redriven: Redriven,
    /// The letter.
    pub(crate) letter: DeadLetter,
    /// Another version than the unit's.
    pub(crate) with: Option<CalledVersion>,
    /// Answered once it is synced; dropped when the worker ends before. Where nobody waits for the answer any more,
    /// the letter is called only if it was already.
    pub(crate) answer: oneshot::Sender<RedriveEnding>,
}

/// The workers of the node that take letters, by unit.
#[derive(Debug, Default)]
pub(crate) struct Redrivers(Mutex<HashMap<UnitId, mpsc::Sender<RedriveRequest>>>);

impl Redrivers {
    /// How the worker of a unit is reached; `None`: it has none now.
    pub(crate) fn of(&self, unit: UnitId) -> Option<mpsc::Sender<RedriveRequest>> {
        self.lock().get(&unit).cloned()
    }

    /// A worker begins to listen.
    pub(super) fn listen(self: Arc<Self>, unit: UnitId) -> Inbox {
        let (sender, requests) = mpsc::channel(1);
        self.lock().insert(unit, sender.clone());
        Inbox {
            requests,
            sender,
            unit,
            redrivers: self,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UnitId, mpsc::Sender<RedriveRequest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What reaches one worker.
#[derive(Debug)]
pub(super) struct Inbox {
    requests: mpsc::Receiver<RedriveRequest>,
    sender: mpsc::Sender<RedriveRequest>,
    unit: UnitId,
    redrivers: Arc<Redrivers>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut all = self.redrivers.lock();
        // Its successor may listen already.
        if all
            .get(&self.unit)
            .is_some_and(|sender| sender.same_channel(&self.sender))
        {
            all.remove(&self.unit);
        }
    }
}

/// A letter that the pipeline has.
#[derive(Debug)]
struct Taken {
    sequence_number: Arc<str>,
    with: Option<CalledVersion>,
    answer: oneshot::Sender<RedriveEnding>,
    /// Nobody waits for its answer any more, and the pipeline was told.
    is_withdrawn: bool,
}

/// What is asked of a worker of its letters.
#[derive(Debug)]
pub(super) enum Asked {
    /// To take another one on.
    Take(Box<RedriveRequest>),
    /// To leave the one of this ticket, unless it is called.
    Leave(u64),
}

/// The letters of one worker.
#[derive(Debug)]
pub(super) struct Redriving {
    inbox: Option<Inbox>,
    taken: HashMap<u64, Taken>,
    last_ticket: u64,
}

/// What a call of a letter is told that its block does not say.
#[derive(Clone, Debug)]
pub(super) struct LetterFacts {
    /// The record's sequence number: its shard may be none of the unit's.
    pub(super) sequence_number: Arc<str>,
    /// Facts of the call, of another version.
    pub(super) context: Option<Arc<CallContext>>,
}

impl Redriving {
    pub(super) fn of(redrivers: Arc<Redrivers>, unit: UnitId) -> Self {
        Self {
            inbox: Some(redrivers.listen(unit)),
            taken: HashMap::new(),
            last_ticket: 0,
        }
    }

    /// What is asked next. Letters that nobody wants any more come first, and there are only so many at once: each
    /// holds its payload in memory. Cancel-safe.
    pub(super) async fn next(&mut self) -> Asked {
        poll_fn(|cx| {
            for (ticket, taken) in &mut self.taken {
                if !taken.is_withdrawn && taken.answer.poll_closed(cx).is_ready() {
                    taken.is_withdrawn = true;
                    return Poll::Ready(Asked::Leave(*ticket));
                }
            }
            let has_room = self.taken.len() < limits::REDRIVES_TAKEN_MAX;
            while let Some(inbox) = self.inbox.as_mut().filter(|_| has_room) {
                match inbox.requests.poll_recv(cx) {
                    Poll::Ready(Some(request)) if request.answer.is_closed() => {}
                    Poll::Ready(Some(request)) => {
                        return Poll::Ready(Asked::Take(Box::new(request)));
                    }
                    // It holds a sender of its own: there is always one.
                    Poll::Ready(None) | Poll::Pending => break,
                }
            }
            Poll::Pending
        })
        .await
    }

    pub(super) fn facts(&self, ticket: u64) -> Option<LetterFacts> {
        let taken = self.taken.get(&ticket)?;
        Some(LetterFacts {
            sequence_number: Arc::clone(&taken.sequence_number),
            context: taken.with.as_ref().map(|with| Arc::clone(&with.context)),
        })
    }

    pub(super) fn ended(&mut self, ticket: u64, ending: RedriveEnding) {
        if let Some(taken) = self.taken.remove(&ticket) {
            // Nobody may wait for it any more.
            taken.answer.send(ending).ok();
        }
    }
}

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// Does what is asked of letters.
    pub(super) fn redriven(&mut self, asked: Asked) -> Event {
        match asked {
            Asked::Take(request) => self.redrive(*request),
            Asked::Leave(ticket) => Event::RedriveWithdrawn { ticket },
        }
    }

    /// Takes a letter on: its payload becomes a block of its own.
    fn redrive(&mut self, request: RedriveRequest) -> Event {
        let RedriveRequest {
            redriven,
            letter,
            with,
            answer,
        } = request;
        let block = block_of(self.assignment.stream, &letter);
        let bytes = block.records.byte_len() as u64;
        let id = self.blocks.push(Arc::new(block));
        self.redriving.last_ticket += 1;
        let ticket = self.redriving.last_ticket;
        let other = with.as_ref().map(|with| with.other.clone());
        let event = Redrive::of(ticket, redriven, &letter, BlockMeta { id, bytes }, other);
        let taken = Taken {
            sequence_number: letter.sequence_number,
            with,
            answer,
            is_withdrawn: false,
        };
        self.redriving.taken.insert(ticket, taken);
        Event::Redrive(Box::new(event))
    }
}

fn block_of(stream: StreamId, letter: &DeadLetter) -> RecordBlock {
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    keys.push(&letter.key);
    data.push(&letter.data);
    let Timestamp(arrival_ms) = letter.arrival;
    RecordBlock {
        stream,
        shard: letter.shard,
        first: letter.position,
        records: Records {
            keys: keys.finish(),
            data: data.finish(),
            arrival_ms: vec![arrival_ms],
        },
        hash_keys: vec![letter.hash_key],
        hops: Vec::new(),
        origins: Vec::new(),
    }
}

//! Reads one shard for one worker: at once when asked, and woken by data when not. Never sleeps.

use std::{collections::VecDeque, slice, sync::Arc};

use fnctl_core::{
    id::{Ordinal, SlotId},
    record::RecordBlock,
    source::{Damage, ShardSource, SourceError},
};
use tokio::sync::mpsc;

/// What a worker wants read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadRequest {
    /// Read on.
    Fetch {
        /// Records above this position.
        after: Ordinal,
        /// At most this many.
        records_max: u32,
        /// Stop at this many bytes.
        bytes_max: u64,
    },
    /// Read these records again.
    Reread {
        /// The slot whose next call needs them.
        slot: SlotId,
        /// Their positions, ascending.
        records: Vec<Ordinal>,
    },
}

/// What a poller tells its worker.
#[derive(Debug)]
pub(crate) enum Read {
    /// A fetch ended.
    Fetched {
        /// The request's `after`.
        after: Ordinal,
        /// The request's `records_max`.
        records_max: u32,
        /// What there is, in shard order.
        blocks: Vec<Arc<RecordBlock>>,
    },
    /// A re-read ended: for each record asked for, a block that holds it.
    Reread {
        /// As asked.
        slot: SlotId,
        /// The records asked for.
        records: Vec<Ordinal>,
        /// Blocks that hold them all.
        blocks: Vec<Arc<RecordBlock>>,
    },
    /// A fetch failed; it may be asked for again.
    FetchFailed,
    /// A re-read failed; it may be asked for again.
    RereadFailed {
        /// As asked.
        slot: SlotId,
    },
    /// The next record is damaged: nothing more is fetched. What was read before can be read again.
    Hole(Box<Damage>),
    /// The shard goes up to here.
    Tail(Ordinal),
    /// Nothing more can be read: the worker ends.
    Ended(SourceError),
}

/// Serves requests and watches the tail, until the worker drops its ends or nothing can be read.
pub(crate) async fn poll<S: ShardSource>(
    mut source: S,
    mut tail: Ordinal,
    mut requests: mpsc::Receiver<ReadRequest>,
    reads: mpsc::Sender<Read>,
    mut on_error: impl FnMut(&SourceError),
) {
    let mut waiting: VecDeque<ReadRequest> = VecDeque::new();
    loop {
        let read = if let Some(request) = waiting.pop_front() {
            let reread = match &request {
                ReadRequest::Fetch { .. } => None,
                ReadRequest::Reread { slot, .. } => Some(*slot),
            };
            serve(&source, request).await.unwrap_or_else(|error| {
                on_error(&error);
                match (error, reread) {
                    // The pipeline asks again after a pause.
                    (SourceError::Transient(_), None) => Read::FetchFailed,
                    (SourceError::Transient(_), Some(slot)) => Read::RereadFailed { slot },
                    (SourceError::Damaged(damage), None) => Read::Hole(damage),
                    (error, _) => Read::Ended(error),
                }
            })
        } else {
            tokio::select! {
                biased;
                request = requests.recv() => match request {
                    Some(request) => {
                        waiting.push_back(request);
                        continue;
                    }
                    None => return,
                },
                above = source.tail_above(tail) => match above {
                    Ok(last) => {
                        tail = last;
                        Read::Tail(last)
                    }
                    Err(error) => {
                        on_error(&error);
                        Read::Ended(error)
                    }
                },
            }
        };
        let has_ended = matches!(read, Read::Ended(_));
        if reads.send(read).await.is_err() || has_ended {
            return;
        }
        // What the tail did during a read is told with the next wait; a request that came meanwhile
        // goes first.
        while let Ok(request) = requests.try_recv() {
            waiting.push_back(request);
        }
    }
}

async fn serve<S: ShardSource>(source: &S, request: ReadRequest) -> Result<Read, SourceError> {
    match request {
        ReadRequest::Fetch {
            after,
            records_max,
            bytes_max,
        } => {
            let blocks = source.fetch(after, records_max, bytes_max).await?;
            Ok(Read::Fetched {
                after,
                records_max,
                blocks,
            })
        }
        ReadRequest::Reread { slot, records } => {
            let mut blocks: Vec<Arc<RecordBlock>> = Vec::new();
            for &position in &records {
                let is_held = blocks
                    .iter()
                    .any(|block| block.first <= position && position <= block.last());
                if is_held {
                    continue;
                }
                // The record and no more, so that what is parked stays small.
                let read = source.fetch(Ordinal(position.0 - 1), 1, 1).await?;
                let found = read
                    .into_iter()
                    .find(|block| block.first <= position && position <= block.last());
                let Some(block) = found else {
                    return Err(SourceError::Transient(format!(
                        "record {position} was not there"
                    )));
                };
                // Copied out, so that the rest of the block need not stay in memory.
                let index = usize::try_from(position.0 - block.first.0).expect("inside the block");
                blocks.push(Arc::new(block.copied(slice::from_ref(&(index..index + 1)))));
            }
            Ok(Read::Reread {
                slot,
                records,
                blocks,
            })
        }
    }
}

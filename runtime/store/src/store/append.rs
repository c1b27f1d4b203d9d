//! Appends: room for them, the sequencer's answer, and where the records went.

use std::sync::Arc;

use fnctl_core::{
    admission::Busy,
    committer::Stopped,
    entry::Placement,
    id::{Ordinal, ShardNumber, StreamId, Timestamp},
    limits::COMMIT_BYTES_MAX,
    quota::OverQuota,
    record::NewRecords,
    view::{AppendRefusal, ProducerSequence},
};
use tokio::sync::oneshot;

use super::Store;
use crate::{
    admission::PutRoom,
    sequencer::{self, AppendTarget, Request},
};

/// Where an append went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The stream.
    pub stream: StreamId,
    /// Arrival of every record.
    pub arrival: Timestamp,
    /// Shard and ordinal of each record, in the order given.
    pub rows: Vec<(ShardNumber, Ordinal)>,
}

impl Appended {
    pub(crate) fn of(placement: &Placement, count: usize) -> Self {
        let mut rows = vec![(ShardNumber(0), Ordinal(0)); count];
        for run in &placement.shards {
            let ordinals = (run.first.0..).map(Ordinal);
            match &run.rows {
                None => {
                    for (row, ordinal) in rows.iter_mut().zip(ordinals) {
                        *row = (run.shard, ordinal);
                    }
                }
                Some(indices) => {
                    for (&index, ordinal) in indices.iter().zip(ordinals) {
                        rows[index as usize] = (run.shard, ordinal);
                    }
                }
            }
        }
        Self {
            stream: placement.stream,
            arrival: placement.arrival,
            rows,
        }
    }
}

/// Why an append was not taken. Nothing of it was, except after `Stopped`, which leaves that open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The stream or the producer's sequence does not allow it.
    #[error(transparent)]
    Refused(AppendRefusal),
    /// The stream is at its quota: nothing of it is taken before something goes, or the quota is raised.
    #[error(transparent)]
    OverQuota(OverQuota),
    /// Too much is under way: the same again later.
    #[error(transparent)]
    Busy(Busy),
    /// No room above the reserve: try again later.
    #[error("the disk is full")]
    DiskFull,
    /// More bytes than one entry may have.
    #[error("an append has at most {COMMIT_BYTES_MAX} bytes")]
    TooLarge,
    /// The store stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Store {
    /// Appends records to a stream, by id or by name. Resolves once they are durable and visible (on a
    /// stream with `ack = "written"`: once written).
    ///
    /// # Errors
    /// See [`AppendError`]; `Busy` at once when too much is under way.
    pub async fn append(
        &self,
        target: impl Into<AppendTarget>,
        records: NewRecords,
        producer: Option<ProducerSequence>,
    ) -> Result<Appended, AppendError> {
        let target = target.into();
        let bytes = put_bytes(&records);
        let room = self.shared.appends.admit(self.stream_of(&target), bytes);
        match room {
            Ok(room) => self.append_in(room, target, records, producer).await,
            Err(busy) => {
                self.shared.appends.refuse(busy);
                Err(AppendError::Busy(busy))
            }
        }
    }

    /// Takes room for an append of these records as soon as there is some, for [`Self::append_in`].
    ///
    /// # Errors
    /// The store stopped.
    pub async fn room_for(
        &self,
        target: &AppendTarget,
        records: &NewRecords,
    ) -> Result<PutRoom, Stopped> {
        let stream = self.stream_of(target);
        let room = self.shared.appends.wait(stream, put_bytes(records)).await;
        room.ok_or_else(|| self.shared.stopped())
    }

    /// Counts an append that was given up because there was no room in time.
    pub fn gave_up(&self) {
        self.shared.appends.refuse(Busy::Node);
    }

    /// As [`Self::append`], in room that was taken before.
    ///
    /// # Errors
    /// See [`AppendError`]; never `Busy`.
    pub async fn append_in(
        &self,
        room: PutRoom,
        target: impl Into<AppendTarget>,
        records: NewRecords,
        producer: Option<ProducerSequence>,
    ) -> Result<Appended, AppendError> {
        if put_bytes(&records) > COMMIT_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        let (reply, answer) = oneshot::channel();
        let request = Request::Append {
            target: target.into(),
            records: Arc::new(records),
            producer,
            reply,
            room,
        };
        sequencer::submit(&self.shared, request)?;
        answer.await.map_err(|_| self.shared.stopped())?
    }

    /// Whose share of the room a put takes; one without a stream is refused later.
    fn stream_of(&self, target: &AppendTarget) -> StreamId {
        match target {
            AppendTarget::Id(id) => *id,
            AppendTarget::Name(name) => self.view(|view| {
                let stream = view.registry().stream_by_name(name);
                stream.map_or(StreamId(0), |stream| stream.id)
            }),
        }
    }
}

/// What a put holds while it is under way.
fn put_bytes(records: &NewRecords) -> u64 {
    (records.byte_len() + records.len() * RECORD_OVERHEAD) as u64
}

/// What a record weighs beside its bytes.
const RECORD_OVERHEAD: usize = 40;

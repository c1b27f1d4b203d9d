//! A shard that cannot be read any further: which records, between which that can be read.

use fnctl_core::{
    error_code::ErrorCode,
    id::{Ordinal, ShardNumber},
    status::{TailHole, TailHoleLine},
};
use fnctl_store::ReadError;
use fnctl_streams::sequence;

use super::Reader;
use crate::{api::error::ApiError, source};

/// A hole, as it is told.
pub(super) struct Hole(TailHole);

impl Hole {
    /// One that was met in search of a time: where it begins is not known.
    pub(super) fn unplaced(shard: ShardNumber, error: ApiError) -> Self {
        Self(TailHole {
            shard_id: shard.shard_id(),
            first_record: None,
            last_record: None,
            after_sequence_number: None,
            before_sequence_number: None,
            message: error.into_message(),
        })
    }

    /// As a line among the records of other shards.
    pub(super) fn line(&self) -> String {
        let line = TailHoleLine {
            hole: self.0.clone(),
        };
        let mut line = serde_json::to_string(&line).expect("a hole is always JSON");
        line.push('\n');
        line
    }

    /// As the error that ends a tail; `more` shards have one, too.
    pub(super) fn into_error(self, more: usize) -> ApiError {
        let hole = self.0;
        let error = ApiError::new(ErrorCode::Damaged, hole.message).at(hole.shard_id);
        match more {
            0 => error,
            more => error.because(format!("so are {more} more shards of the stream")),
        }
    }
}

impl Reader {
    /// What cannot be read behind where this reader is.
    pub(super) async fn hole(&self, error: &ReadError) -> Hole {
        let next = self.after.next();
        // The store has looked at what was met: it knows the records better than the error does.
        let known = self.node.store().damaged(self.stream).into_iter();
        let records = known
            .filter(|found| found.shard == Some((self.stream, self.shard)))
            .filter_map(|found| found.records)
            .find(|&(first, last)| first <= next && next <= last);
        let (first, last) = match (records, error) {
            (Some((_, last)), _) => (Some(next), Some(last)),
            (None, &ReadError::Damaged { next: behind, .. }) => {
                (Some(next), Some(Ordinal(behind.0.saturating_sub(1))))
            }
            (None, _) => (Some(next), None),
        };
        let before = match last {
            Some(last) => self.number(last.next()).await,
            None => None,
        };
        Hole(TailHole {
            shard_id: self.shard.shard_id(),
            first_record: first.map(|first| first.0),
            last_record: last.map(|last| last.0),
            after_sequence_number: self.number(self.after).await,
            before_sequence_number: before,
            message: source::words(self.node.store(), error, self.after),
        })
    }

    /// The sequence number of a record that can be read.
    async fn number(&self, position: Ordinal) -> Option<String> {
        let before = Ordinal(position.0.checked_sub(1)?);
        let store = self.node.store();
        let read = source::read(store, self.stream, self.shard, before, 1, 1).await;
        let block = read.ok()?.into_iter().next()?;
        let arrival = (block.first == position).then(|| block.arrival(0))?;
        Some(sequence::encode(
            self.created_at,
            self.shard,
            position,
            arrival,
        ))
    }
}

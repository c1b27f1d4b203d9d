//! Positions in shards: where a reader starts, and how old what waits is.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use fnctl_core::{
    clock::Clock as _,
    error_code::ErrorCode,
    id::{Ordinal, ShardNumber, StreamId, Timestamp, UnitId},
    spec::StartingPosition,
};
use fnctl_store::ReadError;
use fnctl_streams::sequence;

use crate::{api::error::ApiError, node::HostNode, source};

/// Arrivals of oldest unsettled records, by unit: read once for each low watermark.
#[derive(Debug, Default)]
pub(super) struct Ages(Mutex<HashMap<UnitId, (Ordinal, Timestamp)>>);

impl Ages {
    fn known(&self, unit: UnitId, first: Ordinal) -> Option<Timestamp> {
        let ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ages.get(&unit)
            .filter(|(of, _)| *of == first)
            .map(|(_, arrival)| *arrival)
    }

    fn learn(&self, unit: UnitId, first: Ordinal, arrival: Timestamp) {
        let mut ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ages.insert(unit, (first, arrival));
    }

    /// Forgets units that are gone.
    pub(super) fn retain(&self, is_kept: impl Fn(UnitId) -> bool) {
        let mut ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ages.retain(|unit, _| is_kept(*unit));
    }
}

impl HostNode {
    /// The position that a reader of a shard starts after.
    pub(crate) async fn resolve(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        position: StartingPosition,
    ) -> Result<Ordinal, ApiError> {
        let horizon = self.view(|view| view.tail(stream, shard).map(|tail| tail.horizon));
        let before_horizon = Ordinal(horizon.unwrap_or(Ordinal(1)).0.saturating_sub(1));
        match (position, position.moment(self.now())) {
            (_, Some(moment)) => {
                let first = self.first_at(stream, shard, moment).await?;
                Ok(Ordinal(first.0.saturating_sub(1)).max(before_horizon))
            }
            (StartingPosition::Latest, None) => Ok(self.last(stream, shard)),
            (_, None) => Ok(before_horizon),
        }
    }

    /// The first record that arrived at `moment` or later; the next one when there is none.
    pub(crate) async fn first_at(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        moment: Timestamp,
    ) -> Result<Ordinal, ApiError> {
        let store = self.store().clone();
        let found = source::blocking(move || store.find_time(stream, shard, moment)).await;
        found.map_err(|error| match error {
            ReadError::NoSuchShard => {
                ApiError::new(ErrorCode::NoSuchStream, "the stream was deleted meanwhile")
            }
            error => ApiError::new(ErrorCode::Damaged, error.to_string()),
        })
    }

    /// The last record of a shard; 0 before the first.
    pub(crate) fn last(&self, stream: StreamId, shard: ShardNumber) -> Ordinal {
        self.view(|view| {
            view.tail(stream, shard)
                .map_or(Ordinal(0), |tail| tail.last())
        })
    }

    /// A record's position as the source spells it; `None` in front of the first. The arrival is part
    /// of the spelling: it is read from the record, and is the shard's creation where that is gone.
    pub(crate) async fn sequence_number(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        created_at: Timestamp,
        position: Ordinal,
    ) -> Option<String> {
        let before = Ordinal(position.0.checked_sub(1)?);
        let read = source::read(self.store(), stream, shard, before, 1, 1)
            .await
            .ok();
        let arrival = read
            .and_then(|blocks| blocks.into_iter().next())
            .filter(|block| block.first == position)
            .map_or(created_at, |block| block.arrival(0));
        Some(sequence::encode(created_at, shard, position, arrival))
    }

    /// The sequence number of the oldest record that a shard shows; `None`: it is empty.
    pub(crate) async fn oldest(
        &self,
        stream: StreamId,
        shard: ShardNumber,
        created_at: Timestamp,
    ) -> Option<String> {
        let tail = self.view(|view| view.tail(stream, shard).copied())?;
        if tail.next <= tail.horizon {
            return None;
        }
        self.sequence_number(stream, shard, created_at, tail.horizon)
            .await
    }

    /// Age of a unit's oldest unsettled record, ms. `first` is that record; one that retention took counts as the
    /// oldest that is left, and one that cannot be read as its nearest neighbour that can.
    pub(super) async fn age_ms(&self, unit: UnitId, first: Ordinal) -> u64 {
        // By the clock that it was written by: a leap of the wall clock makes no record old.
        let now = self.store().arrival_clock().now();
        let arrival = match self.ages.known(unit, first) {
            Some(arrival) => Some(arrival),
            None => {
                let arrival = self.arrival_from(unit, first).await;
                if let Some(arrival) = arrival {
                    self.ages.learn(unit, first, arrival);
                }
                arrival
            }
        };
        arrival.map_or(0, |arrival| now.since_ms(arrival))
    }

    /// When a record arrived; `None`: it has not come yet. One that cannot be read came no earlier than those in
    /// front of it.
    async fn arrival_from(&self, unit: UnitId, first: Ordinal) -> Option<Timestamp> {
        let after = Ordinal(first.0.saturating_sub(1));
        if let Some(arrival) = self.arrival_after(unit, after).await {
            return Some(arrival);
        }
        if first > self.last(unit.stream, unit.shard) {
            return None;
        }
        self.arrival_beside_hole(unit, first).await
    }

    /// The key of a unit's oldest record that waits for a retry; `None`: none does, or it cannot be read.
    pub(super) async fn charged_key(&self, unit: UnitId) -> Option<String> {
        let position = self.view(|view| view.unit(unit)?.attempts.keys().next().copied())?;
        let before = Ordinal(position.0.saturating_sub(1));
        let read = source::read(self.store(), unit.stream, unit.shard, before, 1, 1).await;
        let block = read.ok()?.into_iter().next()?;
        let key = (block.first == position).then(|| block.records.keys.get(0))?;
        Some(String::from_utf8_lossy(key).into_owned())
    }

    /// When the first record behind `after` arrived that is kept; `None`: there is none, or it cannot be read.
    pub(super) async fn arrival_after(&self, unit: UnitId, after: Ordinal) -> Option<Timestamp> {
        let (stream, shard) = (unit.stream, unit.shard);
        let read = source::read(self.store(), stream, shard, after, 1, 1).await;
        let read = match read {
            Err(ReadError::Trimmed { horizon }) => {
                let after = Ordinal(horizon.0.saturating_sub(1));
                source::read(self.store(), stream, shard, after, 1, 1).await
            }
            read => read,
        };
        let block = read.ok()?.into_iter().next()?;
        (!block.is_empty()).then(|| block.arrival(0))
    }
}

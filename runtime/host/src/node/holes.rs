//! Holes in a shard, records that cannot be read, as those meet them who tell of it: what lies behind one, and how
//! old what it holds up is.

use fnctl_core::id::{Ordinal, Timestamp, UnitId};
use fnctl_store::ReadError;

use crate::{limits, node::HostNode, source};

impl HostNode {
    /// The first damaged place that is known of a shard at a record or behind it: the first and the last record in
    /// it.
    fn hole_from(&self, unit: UnitId, next: Ordinal) -> Option<(Ordinal, Ordinal)> {
        let found = self.store().damaged(unit.stream).into_iter();
        let records = found
            .filter(|found| found.shard == Some((unit.stream, unit.shard)))
            .filter_map(|found| found.records);
        let holes = records.filter(|(_, last)| next <= *last);
        holes.min_by_key(|(first, _)| *first)
    }

    /// The first record that can be read behind the first hole at `next` or behind it; the one behind the last of
    /// the shard where none can.
    pub(super) async fn first_behind_hole(&self, unit: UnitId, next: Ordinal) -> Ordinal {
        let end = self.last(unit.stream, unit.shard).next();
        let hole = self.hole_from(unit, next);
        let mut behind = hole.map_or(next, |(_, last)| last.next());
        // What is known may be less than what lies there: it is tried.
        for _ in 0..limits::HOLE_PARTS_MAX {
            let before = Ordinal(behind.0.saturating_sub(1));
            if behind >= end {
                break;
            }
            let read = source::read(self.store(), unit.stream, unit.shard, before, 1, 1).await;
            match read {
                Err(ReadError::Damaged { next, .. }) if next > behind => {
                    let hole = self.hole_from(unit, behind);
                    let hole = hole.filter(|(first, _)| *first <= behind);
                    behind = hole.map_or(next, |(_, last)| next.max(last.next()));
                }
                _ => break,
            }
        }
        behind.min(end)
    }

    /// About when a record arrived that is there and cannot be read: when its nearest neighbour did that can, in
    /// front of it, else behind it; where neither can, when the last of the shard did.
    pub(super) async fn arrival_beside_hole(
        &self,
        unit: UnitId,
        record: Ordinal,
    ) -> Option<Timestamp> {
        let hole = self.hole_from(unit, record);
        let first = hole.map_or(record, |(first, _)| first.min(record));
        if let Some(before) = first.0.checked_sub(2)
            && let Some(arrival) = self.arrival_after(unit, Ordinal(before)).await
        {
            return Some(arrival);
        }
        let behind = self.first_behind_hole(unit, record).await;
        let before = Ordinal(behind.0.saturating_sub(1));
        if let Some(arrival) = self.arrival_after(unit, before).await {
            return Some(arrival);
        }
        self.view(|view| {
            let tail = view.tail(unit.stream, unit.shard)?;
            Some(tail.last_arrival)
        })
    }
}

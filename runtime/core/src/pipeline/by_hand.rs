//! What a person has tried now of what waits ([`super::listing`] tells it), and how that last failed.
//!
//! A release is an event to the owning unit, serialised with the record's key (commit and storage rules §2,
//! "one key, one slot"): nothing is done to a key while a slot holds it. It ends the wait of what waits, and
//! nothing else: the charge stays, and what is charged again waits its backoff again. Of a key whose circuit is
//! open it makes the next probe. While the mapping is
//! paused no call starts; what was released is due when it goes on.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ShardPipeline,
    backlog::Serial,
    judge::{Charge, Ending, Judgement},
};
use crate::{
    commit::AttemptMark,
    id::{Ordinal, Timestamp},
    lane::KeyHash,
    limits,
    outcome::Cause,
    park::KeyMap,
};

/// How charged records that are not done, and those that only were not charged, last failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(BTreeMap<Ordinal, Arc<Cause>>);

impl Failures {
    /// As earlier owners' marks tell them.
    pub(super) fn of<'a>(marks: impl Iterator<Item = &'a AttemptMark>) -> Self {
        let told = marks.filter_map(|mark| Some((mark.position, mark.cause.clone()?)));
        Self(told.take(limits::FAILURES_TOLD_MAX).collect())
    }

    /// Of how many more records the failure is kept.
    pub(super) fn room(&self) -> usize {
        limits::FAILURES_TOLD_MAX.saturating_sub(self.0.len())
    }

    /// What a mark keeps of a charge, if it is one of those of which that is kept: it takes from the room.
    pub(super) fn cause_of(
        &self,
        position: Ordinal,
        charge: &Charge,
        room: &mut usize,
    ) -> Option<Arc<Cause>> {
        if charge.attempts == 0 {
            return None;
        }
        if !self.0.contains_key(&position) {
            *room = room.checked_sub(1)?;
        }
        Some(Arc::new(charge.cause().in_brief()))
    }

    /// What a mark keeps of the last failure of a record that is not charged anew.
    pub(super) fn last_of(&self, position: Ordinal) -> Option<Arc<Cause>> {
        let cause = self.0.get(&position)?;
        Some(Arc::new(cause.in_brief()))
    }

    /// A record is none of the unit's any more.
    pub(super) fn forget(&mut self, position: Ordinal) {
        self.0.remove(&position);
    }
}

impl ShardPipeline {
    /// A person has charged records tried now. What is done, or with a slot, is passed over.
    pub(super) fn release_by_hand(&mut self, positions: &[Ordinal], now: Timestamp) {
        let found = positions.iter().filter_map(|&at| self.backlog.find(at));
        let found: Vec<KeyHash> = found.map(|serial| self.backlog.get(serial).key).collect();
        match found[..] {
            [] => self.probe_now(now),
            [first, ..] => self.probe_key(first, now),
        }
        let mut keys = KeyMap::default();
        for &position in positions {
            if let Some(mark) = self.marks.get_mut(&position) {
                mark.next_retry = mark.next_retry.min(now);
            }
            let Some(serial) = self.backlog.find(position) else {
                continue;
            };
            if self.has_windows() {
                self.hurry_the_group(serial, now);
            } else if self.holds_the_shard() {
                self.hurry_the_shard(serial, now);
            } else {
                keys.insert(self.backlog.get(serial).key, ());
            }
        }
        if keys.is_empty() {
            return;
        }
        for &key in keys.keys() {
            self.park.due_now(key, now);
        }
        let backlog = &self.backlog;
        for slot in &mut self.slots {
            let mut waiting = slot.pieces.iter().flatten();
            // A slot that pauses because its call was taken back has its records in front of all others.
            if waiting.any(|&serial| keys.contains_key(&backlog.get(serial).key)) {
                slot.not_before = slot.not_before.min(now);
            }
        }
    }

    /// A person has everything tried now that waits.
    pub(super) fn release_all(&mut self, now: Timestamp) {
        self.probe_now(now);
        for mark in self.marks.values_mut() {
            mark.next_retry = mark.next_retry.min(now);
        }
        self.park.all_due_now(now);
        if let Some(windows) = &mut self.windows {
            windows.all_due_now(now);
        }
        for slot in &mut self.slots {
            slot.not_before = slot.not_before.min(now);
        }
    }

    /// With order within the shard the lane's slot waits, for the first of its pieces.
    pub(super) fn hurry_the_shard(&mut self, serial: Serial, now: Timestamp) {
        let slot = &mut self.slots[0];
        let first = slot.pieces.front().map(|piece| piece[0]);
        if first == Some(serial) {
            slot.not_before = slot.not_before.min(now);
        }
    }

    /// How a record last failed, as far as that is kept.
    pub(super) fn failure_of(&self, position: Ordinal) -> Option<&Cause> {
        self.failures.0.get(&position).map(Arc::as_ref)
    }

    /// Notes why records were charged, and forgets those that are done.
    pub(super) fn note_failures(&mut self, records: &[Serial], judgement: &Judgement) {
        let in_order = self.holds_the_shard();
        let failures = &mut self.failures.0;
        for (at, charge) in judgement.charges.iter().enumerate() {
            // A budget that begins anew is no failure, but behind the first: that one failed. Where keys wait by
            // themselves what is not charged failed while the circuit was open.
            if in_order && at > 0 && charge.attempts == 0 {
                continue;
            }
            let position = self.backlog.get(records[charge.index]).position;
            if failures.len() < limits::FAILURES_TOLD_MAX || failures.contains_key(&position) {
                failures.insert(position, Arc::new(charge.cause()));
            }
        }
        if failures.is_empty() {
            return;
        }
        let positions = records
            .iter()
            .map(|&serial| self.backlog.get(serial).position);
        let (Some(first), Some(last)) = (positions.clone().min(), positions.max()) else {
            return;
        };
        if failures.range(first..=last).next().is_none() {
            return;
        }
        for (at, &serial) in records.iter().enumerate() {
            let ending = judgement.endings.get(at);
            if matches!(ending, None | Some(Ending::Done | Ending::Dead)) {
                failures.remove(&self.backlog.get(serial).position);
            }
        }
    }
}

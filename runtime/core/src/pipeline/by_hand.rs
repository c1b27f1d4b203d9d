//! What a person sees of charged records, and does to them.
//!
//! A release is an event to the owning unit, serialised with the record's key (commit and storage rules §2,
//! "one key, one slot"): nothing is done to a key while a slot holds it. It ends the wait of what waits, and
//! nothing else: the charge stays, and what is charged again waits its backoff again. While the mapping is
//! paused no call starts; what was released is due when it goes on.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ShardPipeline,
    backlog::{Place, Serial},
    in_order::THE_SHARD,
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

/// What a unit's owner knows of a record that waits for a retry, beside its mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The record.
    pub position: Ordinal,
    /// Records behind it that wait with it, as far as was read: those of its key, or of the shard where
    /// order holds within that.
    pub waiting: u64,
    /// Code and words of its last failure; `None`: there were too many to keep, or it failed before an
    /// owner began that was not told ([`crate::commit::AttemptMark::cause`]).
    pub failure: Option<(Arc<str>, Arc<str>)>,
    /// Until when it waits though it is not charged, which no journaled mark says: with order within the
    /// shard, where the call that it failed in settled others.
    pub uncharged_until: Option<Timestamp>,
}

/// The last failure of charged records that are not done.
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
        self.probe_now(now);
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
        for &key in keys.keys() {
            self.park.due_now(key, now);
        }
    }

    /// With order within the shard the lane's slot waits, for the first of its pieces.
    pub(super) fn hurry_the_shard(&mut self, serial: Serial, now: Timestamp) {
        let slot = &mut self.slots[0];
        let first = slot.pieces.front().map(|piece| piece[0]);
        // A pause after something that cost nobody an attempt is not the record's.
        if first == Some(serial) && slot.faults == 0 {
            slot.not_before = slot.not_before.min(now);
        }
    }

    /// The last failure of a charged record, as far as it is kept.
    pub(super) fn failure_of(&self, position: Ordinal) -> Option<&Cause> {
        self.failures.0.get(&position).map(Arc::as_ref)
    }

    /// Notes why records were charged, and forgets those that are done.
    pub(super) fn note_failures(&mut self, records: &[Serial], judgement: &Judgement) {
        let failures = &mut self.failures.0;
        for (at, charge) in judgement.charges.iter().enumerate() {
            // A budget that begins anew is no failure, but behind the first: that one failed.
            if at > 0 && charge.attempts == 0 {
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

    /// What is known of charged records that are not done, and of one that waits uncharged, which need not be
    /// asked for; of those that were not read yet, nothing.
    #[must_use]
    pub fn parked_records(&self, positions: &[Ordinal]) -> Vec<Parked> {
        let found = positions.iter().filter_map(|&at| self.backlog.find(at));
        let uncharged = self.first_failed().filter(|mark| mark.count == 0);
        let unasked = uncharged.and_then(|mark| self.backlog.find(mark.position));
        let mut found: Vec<Serial> = found.chain(unasked).collect();
        found.sort_unstable();
        found.dedup();
        let mut known = Vec::with_capacity(found.len());
        let mut wanted = found.into_iter().peekable();
        // Records that are not done, by key, up to the present one and to the end.
        let mut open: KeyMap<u64> = KeyMap::default();
        for serial in self.backlog.serials() {
            let entry = self.backlog.get(serial);
            let is_wanted = wanted.next_if_eq(&serial).is_some();
            if matches!(entry.place, Place::Done | Place::Fallen) {
                continue;
            }
            let key = match &self.windows {
                Some(windows) if self.has_windows() => KeyHash(windows.group_of(entry.key).into()),
                _ if self.holds_the_shard() => THE_SHARD,
                _ => entry.key,
            };
            let count = open.entry(key).or_default();
            *count += 1;
            if is_wanted {
                known.push((key, *count, entry.position));
            }
        }
        let parked = |(key, count, position): (_, u64, Ordinal)| Parked {
            position,
            waiting: open.get(&key).map_or(0, |all| all - count),
            failure: self
                .failure_of(position)
                .map(|cause| (cause.code.clone(), cause.error.clone())),
            uncharged_until: uncharged
                .filter(|mark| mark.position == position)
                .map(|mark| mark.next_retry),
        };
        known.into_iter().map(parked).collect()
    }
}

//! `ordering = "shard"`: order within the shard, as Lambda's event source mappings keep it (Lambda ESM
//! specification §10, §20 row 2).
//!
//! To judging all records are of one key: what fails holds everything behind it. Nothing parks. The
//! shard's one lane keeps what is left of its batch in pieces, in order, and a piece whose first record
//! waits for a retry waits with it; nothing else is called meanwhile, and nothing more is read than a
//! lane buffers.

use super::{
    Action, ShardPipeline,
    backlog::{Place, Serial},
    judge::{Ending, Judgement},
};
use crate::{commit::AttemptMark, id::Timestamp, lane::KeyHash, mapping::Ordering};

/// The key of every record, to judging.
pub(super) const THE_SHARD: KeyHash = KeyHash(0);

impl ShardPipeline {
    /// Whether order holds within the shard.
    pub(super) fn holds_the_shard(&self) -> bool {
        self.config.settings.ordering == Ordering::Shard
    }

    /// What an accepted commit said is so now. What is left runs again in one piece, from the lowest failed
    /// record on; what was called in front of that and did not settle goes first.
    pub(super) fn take_over_in_order(
        &mut self,
        index: usize,
        records: &[Serial],
        judgement: &Judgement,
        actions: &mut Vec<Action>,
    ) {
        let version = self.version_in(index, records);
        let mut charges = judgement.charges.iter().peekable();
        let mut left = Vec::new();
        let mut failed = None;
        for (at, (&serial, ending)) in records.iter().zip(&judgement.endings).enumerate() {
            let position = self.backlog.get(serial).position;
            match ending {
                Ending::Done | Ending::Dead => {
                    self.marks.remove(&position);
                    self.backlog.place(serial, Place::Done, actions);
                }
                Ending::Again | Ending::Charged | Ending::Void => {
                    if let Some(charge) = charges.next_if(|charge| charge.index == at) {
                        let mark = AttemptMark {
                            position,
                            count: charge.attempts,
                            version,
                            next_retry: charge.next_retry,
                            is_in_hand: false,
                            cause: None,
                        };
                        self.marks.insert(position, mark);
                        failed.get_or_insert(left.len());
                    }
                    left.push(serial);
                }
            }
        }
        if !left.is_empty() {
            self.cut(index, left, &[failed.unwrap_or(0)]);
        }
    }

    /// The failed record that the shard waits for, charged or not; none where keys or groups wait by
    /// themselves.
    pub(super) fn first_failed(&self) -> Option<&AttemptMark> {
        if !self.holds_the_shard() || self.has_windows() {
            return None;
        }
        // Marks above are an earlier owner's, of records that were not read yet.
        let (&position, mark) = self.marks.first_key_value()?;
        (position <= self.backlog.read_position()).then_some(mark)
    }

    /// The first record of a call that waits for a retry, and until when; none where keys wait by
    /// themselves.
    pub(super) fn first_waiting(
        &self,
        records: &[Serial],
        now: Timestamp,
    ) -> Option<(usize, Timestamp)> {
        if !self.waits_in_order() || self.marks.is_empty() {
            return None;
        }
        records.iter().enumerate().find_map(|(at, &serial)| {
            let mark = self.marks.get(&self.backlog.get(serial).position)?;
            (mark.next_retry > now).then_some((at, mark.next_retry))
        })
    }

    /// A piece waits in front of its slot's others.
    pub(super) fn wait_in_order(
        &mut self,
        index: usize,
        records: Vec<Serial>,
        until: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if self.has_windows() {
            return self.park_group(index, records, until, actions);
        }
        let slot = &mut self.slots[index];
        slot.pieces.push_front(records);
        slot.not_before = slot.not_before.max(until);
    }
}

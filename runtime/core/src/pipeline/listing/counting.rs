//! How many keys wait, without going through all that was read: whoever looks at a mapping each second is not to
//! cost a shard more the longer its parked keys hold its low watermark.

use super::{ShardPipeline, is_open};

impl ShardPipeline {
    /// How many keys the list would have, all of them because they failed; `None`: others may wait too, or are
    /// known by their records alone, and the list has to be made.
    pub(in crate::pipeline) fn failed_keys(&self) -> Option<u64> {
        // Windows that the mapping has no more may still have to be closed.
        let is_by_key = self.windows.is_none() && !self.holds_the_shard();
        let is_paused = || self.slots.iter().any(|slot| self.pause_of(slot).is_some());
        // Charged before this owner began: such a record is in its lane until its turn.
        let is_charged_in_lane = || self.lanes.iter().any(|lane| lane.marked > 0);
        let read = ..=self.backlog.read_position();
        let is_marked = || self.marks.range(read).next().is_some();
        if !is_by_key
            || self.circuit.is_open()
            || is_paused()
            || is_charged_in_lane()
            || is_marked()
        {
            return None;
        }
        let is_failing = |serial| is_open(self.backlog.get(serial));
        let parked = self.park.keys();
        Some(
            parked
                .filter(|&key| self.park.charged(key).any(is_failing))
                .count() as u64,
        )
    }
}

//! Redriven letters of a unit with windows: the retry slot holds the group of the record, and its lane waits.

use super::Task;
use crate::{
    id::Timestamp,
    lane::KeyHash,
    pipeline::{Redrive, ShardPipeline},
    window::WindowCall,
};

impl ShardPipeline {
    /// What the call of a redriven record is told: it runs in the current window of its group. `None`: which
    /// that is is not known yet.
    pub(in crate::pipeline) fn fold_redriven(&mut self, redrive: &Redrive) -> Option<WindowCall> {
        let index = self.lanes.len();
        let id = self.windows.as_ref()?.group_of(redrive.key);
        let moment = self.moment_of(id)?;
        let windows = self.windows.as_mut()?;
        windows.hands[index].group = Some(id);
        let group = windows.in_hand(index)?;
        let open = group.known.open.as_ref().map(|open| open.window);
        let window = open.unwrap_or_else(|| group.known.window_of(moment, windows.span_ms));
        let call = group.known.call_in(window);
        windows.hands[index].task = Some(Task::Fold(window));
        Some(call)
    }

    /// Takes the group of a redriven record if no slot has it in hand, nothing of it waits for a retry in
    /// front of the record, and its window may go on.
    pub(in crate::pipeline) fn seize_group(&self, redrive: &Redrive) -> bool {
        let Some(windows) = &self.windows else {
            return false;
        };
        let id = windows.group_of(redrive.key);
        let lane = windows.lane_of(id);
        let slot = &self.slots[lane];
        let is_idle = slot.call.is_none() && slot.unaccepted.is_none();
        let is_in_hand = windows.hands[lane].group == Some(id)
            && !(is_idle && slot.held().next().is_none() && slot.mark.is_none());
        let group = windows.by_lane[lane].get(&id);
        let is_ready = group.is_none_or(|group| {
            let open = group.known.open.as_ref();
            group.pieces.is_empty() && open.is_none_or(|open| !open.is_full())
        });
        !is_in_hand && is_ready && self.moment_of(id).is_some()
    }

    /// The moment that a window would begin for which is opened for a group now, before any of its records
    /// that is not done: those are of that window or a later one. `None`: not known before something was read.
    fn moment_of(&self, group: u32) -> Option<Timestamp> {
        let windows = self.windows.as_ref()?;
        let known = windows.by_lane[windows.lane_of(group)].get(&group);
        if let Some(first) = known.and_then(|known| known.batcher.iter().next()) {
            return Some(self.backlog.get(first).arrival);
        }
        if self.reading.tail <= self.backlog.read_position() {
            return Some(self.age.latest());
        }
        // What is not read yet arrived then or later.
        (windows.highest > Timestamp(0)).then_some(windows.highest)
    }

    /// A redrive holds the group of its record, or none any more.
    pub(in crate::pipeline) fn redrive_holds(&mut self, key: Option<KeyHash>) {
        if let Some(windows) = &mut self.windows {
            windows.redriven = key.map(|key| windows.group_of(key));
            if let Some(group) = windows.redriven {
                windows.group_mut(group);
            }
        }
    }
}

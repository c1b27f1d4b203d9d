//! Redriven letters of a unit with windows: the retry slot holds the group of the record, and its lane waits.

use super::{Task, call_in};
use crate::{
    lane::KeyHash,
    pipeline::{Redrive, ShardPipeline},
    window::WindowCall,
};

impl ShardPipeline {
    /// What the call of a redriven record is told: it runs in the current window of its group.
    pub(in crate::pipeline) fn fold_redriven(&mut self, redrive: &Redrive) -> Option<WindowCall> {
        let now = self.age.latest();
        let index = self.lanes.len();
        let windows = self.windows.as_mut()?;
        windows.hands[index].group = Some(windows.group_of(redrive.key));
        let group = windows.in_hand(index)?;
        let open = group.known.open.as_ref().map(|open| open.window);
        let window = open.unwrap_or_else(|| group.known.window_of(now, windows.span_ms));
        let call = call_in(&group.known, window);
        windows.hands[index].task = Some(Task::Fold(window));
        Some(call)
    }

    /// Takes the group of a redriven record if no slot has it in hand and its window may go on.
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
        let known = windows.by_lane[lane].get(&id).map(|group| &group.known);
        let open = known.and_then(|known| known.open.as_ref());
        !is_in_hand && open.is_none_or(|open| !open.is_full())
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

//! What one version's open circuit holds takes no room of the other version.
//!
//! Reading ahead is of both versions of a unit with a canary. Were what waits for a probe counted there, the
//! lanes of the version that is well would have nothing more to call as soon as the other one's were full. So it
//! is set aside: it stays in its lane, or in its group where there are windows, and its order, but counts as
//! parked. Its payload is kept within `PARKED_BYTES_MAX` and read again when its time comes, and the unit reads
//! on until it has `UNSETTLED_RECORDS_MAX` records that are not settled.

use super::{
    Action, ShardPipeline,
    backlog::{Place, Serial},
};

impl ShardPipeline {
    /// Sets aside what waits in lanes of the version whose circuit holds its calls while the other one's lets
    /// them go.
    pub(super) fn set_held_lanes_aside(&mut self, actions: &mut Vec<Action>) {
        if self.config.canary.is_none() || !self.circuit.is_open() {
            return;
        }
        let is_holding = |is_canary| self.circuit.is_holding_for(is_canary);
        let is_canary = is_holding(true);
        if is_canary == is_holding(false) {
            return;
        }
        for index in 0..self.lanes.len() {
            if self.is_canary_lane(index) != is_canary {
                continue;
            }
            match self.has_windows() {
                true => self.set_groups_aside(index, actions),
                false => self.set_lane_aside(index, actions),
            }
        }
    }

    fn set_lane_aside(&mut self, index: usize, actions: &mut Vec<Action>) {
        let lane = &mut self.lanes[index];
        let mut counted = lane.batcher.len() - lane.aside;
        lane.aside = lane.batcher.len();
        // What was read since the last time is behind all that is aside.
        for serial in lane.batcher.iter().rev() {
            if counted == 0 {
                return;
            }
            let entry = self.backlog.get(serial);
            if entry.place == Place::Waiting {
                counted -= 1;
                self.waiting.leave(entry.bytes);
                self.backlog.place(serial, Place::Parked, actions);
            }
        }
        debug_assert!(counted == 0, "what is not aside waits");
    }

    /// These records left the batcher of a lane.
    pub(super) fn leave_lane(&mut self, index: usize, records: &[Serial]) {
        for &serial in records {
            let entry = self.backlog.get(serial);
            match entry.place {
                Place::Waiting => self.waiting.leave(entry.bytes),
                _ => self.lanes[index].aside -= 1,
            }
        }
    }
}

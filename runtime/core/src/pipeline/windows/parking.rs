//! Groups that wait for a retry: of a record, or of the call that ends their window. What was read of such a
//! group takes no room of records that wait for calls, so that other groups are read on.

use crate::{
    id::Timestamp,
    pipeline::{
        Action, ShardPipeline,
        backlog::{Place, Serial},
    },
};

impl ShardPipeline {
    /// The group of a slot waits for a retry of these records, in front of its others.
    pub(in crate::pipeline) fn park_group(
        &mut self,
        index: usize,
        records: Vec<Serial>,
        until: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let slot = &mut self.slots[index];
        slot.pieces.push_front(records);
        windows.stow(slot, index);
        let Some(id) = windows.hands[index].group else {
            return;
        };
        self.rest_group(id, until, actions);
    }

    /// Nothing of a group is called before, and what it has read takes no room of other groups meanwhile.
    pub(super) fn rest_group(&mut self, id: u32, until: Timestamp, actions: &mut Vec<Action>) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let group = windows.group_mut(id);
        group.not_before = until;
        for &serial in group.pieces.iter().flatten() {
            self.backlog.place(serial, Place::Parked, actions);
        }
        if std::mem::replace(&mut group.is_parked, true) {
            return;
        }
        for serial in group.batcher.iter() {
            self.waiting.leave(self.backlog.get(serial).bytes);
            self.backlog.place(serial, Place::Parked, actions);
        }
    }

    /// A group waits for no retry any more.
    pub(super) fn unpark_group(&mut self, id: u32, actions: &mut Vec<Action>) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let group = windows.group_mut(id);
        if !std::mem::take(&mut group.is_parked) {
            return;
        }
        for serial in group.batcher.iter() {
            self.waiting.enter(self.backlog.get(serial).bytes);
            self.backlog.place(serial, Place::Waiting, actions);
        }
    }

    /// The group that waits the shortest for a retry waits no longer.
    pub(in crate::pipeline) fn hurry_a_group(&mut self, now: Timestamp) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let groups = windows
            .by_lane
            .iter_mut()
            .flat_map(|lane| lane.values_mut());
        let waiting = groups.filter(|group| group.is_parked);
        if let Some(group) = waiting.min_by_key(|group| group.not_before) {
            group.not_before = group.not_before.min(now);
        }
    }

    /// A person has a record tried now: its group's wait ends, if it is the record that it waits for.
    pub(in crate::pipeline) fn hurry_the_group(&mut self, serial: Serial, now: Timestamp) {
        let key = self.backlog.get(serial).key;
        if let Some(windows) = &mut self.windows {
            let group = windows.group_of(key);
            let group = windows.group_mut(group);
            if group.pieces.front().is_some_and(|piece| piece[0] == serial) {
                group.not_before = group.not_before.min(now);
            }
        }
    }
}

//! Groups that wait for a retry: of a record, or of the call that ends their window. What was read of such a
//! group takes no room of records that wait for calls, so that other groups are read on.

use super::Windows;
use crate::{
    id::{FunctionVersion, Timestamp},
    lane::KeyHash,
    pipeline::{
        Action, ShardPipeline, WaitingWindow,
        backlog::{Place, Serial},
        slot::Slot,
    },
};

/// A group with records that are not done.
pub(in crate::pipeline) struct GroupWithRecords {
    pub(in crate::pipeline) lane: usize,
    pub(in crate::pipeline) first: Serial,
    /// Records behind the first.
    pub(in crate::pipeline) behind: u64,
    pub(in crate::pipeline) not_before: Timestamp,
    /// Its lane worked on it last, or does.
    pub(in crate::pipeline) is_in_hand: bool,
    /// The call that ends its window fails.
    pub(in crate::pipeline) is_closing: bool,
}

impl Windows {
    /// The groups that have records.
    pub(in crate::pipeline) fn groups_with_records(
        &self,
        slots: &[Slot],
    ) -> impl Iterator<Item = GroupWithRecords> {
        let lanes = self.by_lane.iter().enumerate();
        let groups = lanes.flat_map(|(lane, groups)| groups.iter().map(move |of| (lane, of)));
        groups.filter_map(move |(lane, (&id, group))| {
            let is_in_hand = self.hands[lane].group == Some(id);
            let held = slots.get(lane).filter(|_| is_in_hand);
            let held = held.into_iter().flat_map(Slot::held);
            let own = group.pieces.iter().flatten().copied();
            let mut records = held.chain(own).chain(group.batcher.iter());
            Some(GroupWithRecords {
                lane,
                first: records.next()?,
                behind: records.count() as u64,
                not_before: group.not_before,
                is_in_hand,
                is_closing: group.close_failure.is_some(),
            })
        })
    }

    /// Windows whose last call fails, the records behind each, and when it is made again.
    /// `version_in` tells which version a lane calls.
    pub(in crate::pipeline) fn failing_closes(
        &self,
        version_in: impl Fn(usize) -> FunctionVersion,
    ) -> impl Iterator<Item = (WaitingWindow, u64, Timestamp)> {
        let lanes = self.by_lane.iter().enumerate();
        let groups = lanes.flat_map(|(lane, groups)| groups.iter().map(move |of| (lane, of)));
        groups.filter_map(move |(lane, (&id, group))| {
            let window = WaitingWindow {
                group: id,
                window: group.known.open.as_ref()?.window,
                attempts: group.failures,
                failure: group.close_failure.clone()?,
                version: version_in(lane),
            };
            let pieces = group.pieces.iter().map(Vec::len).sum::<usize>();
            let behind = pieces + group.batcher.len();
            Some((window, behind as u64, group.not_before))
        })
    }

    /// Whether the last call of some window fails, of the groups that are meant.
    pub(in crate::pipeline) fn has_failed_closes(&self, is_meant: impl Fn(u32) -> bool) -> bool {
        let mut groups = self.by_lane.iter().flatten();
        groups.any(|(&id, group)| group.close_failure.is_some() && is_meant(id))
    }

    /// No group waits longer.
    pub(in crate::pipeline) fn all_due_now(&mut self, now: Timestamp) {
        for group in self.by_lane.iter_mut().flat_map(|lane| lane.values_mut()) {
            group.not_before = group.not_before.min(now);
        }
    }
}

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
        group.is_parked = true;
        self.set_group_aside(id, actions);
    }

    /// What a group has read takes no room of other groups.
    fn set_group_aside(&mut self, id: u32, actions: &mut Vec<Action>) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let group = windows.group_mut(id);
        if std::mem::replace(&mut group.is_aside, true) {
            return;
        }
        for serial in group.batcher.iter() {
            self.waiting.leave(self.backlog.get(serial).bytes);
            self.backlog.place(serial, Place::Parked, actions);
        }
    }

    /// The same of all groups of a lane that have read something.
    pub(in crate::pipeline) fn set_groups_aside(&mut self, lane: usize, actions: &mut Vec<Action>) {
        let groups = self
            .windows
            .iter()
            .flat_map(|windows| &windows.by_lane[lane]);
        let has_room = groups.filter(|(_, group)| !group.is_aside && !group.batcher.is_empty());
        let has_room: Vec<u32> = has_room.map(|(id, _)| *id).collect();
        for id in has_room {
            self.set_group_aside(id, actions);
        }
    }

    /// A group waits for no retry any more.
    pub(super) fn unpark_group(&mut self, id: u32, actions: &mut Vec<Action>) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let group = windows.group_mut(id);
        group.is_parked = false;
        if !std::mem::take(&mut group.is_aside) {
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

    /// The group of a key is the next of its lane, where records are called in windows: which lane that is.
    pub(in crate::pipeline) fn ask_for_group(&mut self, key: KeyHash) -> Option<usize> {
        let windows = self.windows.as_mut().filter(|windows| windows.is_on())?;
        let id = windows.group_of(key);
        windows.asked = Some(id);
        Some(windows.lane_of(id))
    }

    /// Whether the call that ends the window of the group in a lane's hand failed before.
    pub(in crate::pipeline) fn has_failed_to_close(&self, index: usize) -> bool {
        let windows = self.windows.as_ref();
        let group = windows.and_then(|windows| windows.in_hand(index));
        group.is_some_and(|group| group.close_failure.is_some())
    }

    /// A person has a record tried now: its group's wait ends, if it is the record that it waits for.
    pub(in crate::pipeline) fn hurry_the_group(&mut self, serial: Serial, now: Timestamp) {
        let key = self.backlog.get(serial).key;
        if let Some(windows) = &mut self.windows {
            let id = windows.group_of(key);
            let lane = windows.lane_of(id);
            let group = windows.group_mut(id);
            if group.pieces.front().is_some_and(|piece| piece[0] == serial) {
                group.not_before = group.not_before.min(now);
            }
            let slot = &mut self.slots[lane];
            if slot.pieces.front().is_some_and(|piece| piece[0] == serial) {
                slot.not_before = slot.not_before.min(now);
            }
        }
    }
}

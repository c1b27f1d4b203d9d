//! Records in windows that a person gives up: they are taken out of what their group is called with, and its
//! chain of calls goes on without them. What a call has in hand is left to it first; a window that is to close
//! because the mapping has other ones now goes in front.

use std::collections::BTreeSet;

use crate::{
    id::Timestamp,
    pipeline::{Action, ShardPipeline, backlog::Serial, give_up::Room},
};

impl ShardPipeline {
    /// Makes letters of what is to be given up, group by group, in every lane that is free.
    pub(in crate::pipeline) fn take_given_up_of_groups(
        &mut self,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        for index in 0..self.lanes.len() {
            let slot = &mut self.slots[index];
            // A marked record is called in a moment.
            if !slot.is_free() || slot.mark.is_some() {
                continue;
            }
            let Some(windows) = &mut self.windows else {
                return;
            };
            windows.stow(slot, index);
            let taken = self.pull_from_groups(index, now, actions);
            if !taken.is_empty() {
                self.condemn_by_hand(&taken);
                self.begin(index, taken, true, now, actions);
            }
        }
    }

    /// Takes wished records of one group out of what waits, up to a batch, and the group in the lane's hand.
    fn pull_from_groups(
        &mut self,
        index: usize,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Vec<Serial> {
        let Some(windows) = &self.windows else {
            return Vec::new();
        };
        let group_of = |serial| windows.group_of(self.backlog.get(serial).key);
        let groups: BTreeSet<u32> = self.wished().map(group_of).collect();
        let is_here = |id: &u32| windows.lane_of(*id) == index && windows.redriven != Some(*id);
        for id in groups.into_iter().filter(is_here).collect::<Vec<_>>() {
            let taken = self.pull_from_group(id, now, actions);
            if !taken.is_empty() {
                let windows = self.windows.as_mut().expect("it has groups");
                windows.hands[index].group = Some(id);
                windows.hands[index].task = None;
                return taken;
            }
        }
        Vec::new()
    }

    fn pull_from_group(
        &mut self,
        id: u32,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Vec<Serial> {
        let wished: BTreeSet<Serial> = self.wished().collect();
        let backlog = &self.backlog;
        let mut room = Room::of(&self.config.settings, &[], backlog);
        let mut takes =
            |serial: Serial| wished.contains(&serial) && room.takes(backlog.get(serial).bytes);
        let Some(windows) = &mut self.windows else {
            return Vec::new();
        };
        let group = windows.group_mut(id);
        let head = group
            .pieces
            .front()
            .and_then(|piece| piece.first().copied());
        let mut taken = Vec::new();
        group.pieces.retain_mut(|piece| {
            taken.extend(piece.extract_if(.., |serial| takes(*serial)));
            !piece.is_empty()
        });
        group.presumes &= taken.is_empty();
        let chosen: BTreeSet<Serial> = group.batcher.iter().filter(|&at| takes(at)).collect();
        group.batcher.extract(|at| chosen.contains(&at), &mut taken);
        if !group.is_aside {
            for &serial in &chosen {
                self.waiting.leave(backlog.get(serial).bytes);
            }
        }
        if head.is_some_and(|head| taken.contains(&head)) {
            // The group waited for this one. What is behind it waits for its own backoff, and is told so when it
            // begins.
            group.not_before = group.not_before.min(now);
            self.unpark_group(id, actions);
        }
        taken.sort_unstable();
        taken
    }
}

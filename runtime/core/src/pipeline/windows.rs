//! Tumbling windows: records of one group and one window a call, with the state that the calls before
//! left (event source mapping rules §11, commit and storage rules §8).
//!
//! A group is worked on by one slot at a time: by its lane, or by the retry slot for a redriven letter. An
//! attempt that is not a success of all its records changes no state: the record at fault is charged and
//! the *group* parks in its lane, or the record becomes a dead letter and the rest runs again at once. Other
//! groups of the lane go on. State, settled records and rows are one commit.
//!
//! When a window closes is in [`ready`], its last calls are in [`closing`], how a group waits in [`parking`],
//! how a person gives records of it up in [`giving_up`], and what becomes of a state that nobody can read in
//! [`unreadable`].

mod closing;
mod giving_up;
mod parking;
mod ready;
mod redriving;
mod unreadable;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{
    Action, PlannedWindow, ShardPipeline,
    backlog::{Place, Serial},
    judge::{Ending, Judgement},
    slot::{Phase, Slot},
};
use crate::{
    batch::{BatchLimits, Batcher},
    canary::Share,
    id::{FunctionVersion, Ordinal, Timestamp},
    lane::KeyHash,
    mapping::MappingSettings,
    outcome::Cause,
    window::{GroupWindow, OpenWindow, Window, WindowCall, WindowChange, group_of, lane_of},
};

pub(super) use self::parking::GroupWithRecords;
use self::ready::Next;

/// A group of keys.
#[derive(Clone, Debug)]
struct Group {
    /// As accepted.
    known: GroupWindow,
    batcher: Batcher<Serial>,
    /// Pieces of its batch that are to be run (again), in order.
    pieces: VecDeque<Vec<Serial>>,
    presumes: bool,
    /// Nothing of it is called before.
    not_before: Timestamp,
    /// It waits for a retry.
    is_parked: bool,
    /// Its records take no room of those that wait for a call.
    is_aside: bool,
    /// Calls that were to end its window and failed, in a row. Not journaled: another owner counts anew.
    failures: u32,
    /// How the last of them failed, charged or not.
    close_failure: Option<Cause>,
    /// When its window last changed, on the pipeline's clock.
    since: Timestamp,
}

/// Why a window has a call without records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// It is over.
    Final,
    /// Its state is too large.
    Early,
    /// The mapping has no windows any more, or other ones.
    Changed,
}

/// What a slot's call does to the window of the group in its hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Fold(Window),
    Close(Close),
}

/// What a slot has in hand.
#[derive(Clone, Debug, Default)]
struct Hand {
    group: Option<u32>,
    task: Option<Task>,
    /// The state as the slot's last call left it.
    left: Option<Bytes>,
}

/// The groups of a unit with windows, or with open ones from when the mapping had some.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    /// 0: there are no windows any more.
    span_ms: u32,
    groups: u32,
    limits: BatchLimits,
    /// Lanes of the live version; those behind them are the canary's.
    factor: u16,
    share: Option<Share>,
    by_lane: Vec<BTreeMap<u32, Group>>,
    /// One a lane, then the retry slot's.
    hands: Vec<Hand>,
    /// The group that a redrive holds.
    redriven: Option<u32>,
    /// The group that is next in its lane, because a person wants it tried.
    asked: Option<u32>,
    /// Highest arrival that was read: everything in front of it was read too.
    highest: Timestamp,
    /// The last position of a shard that is closed.
    end: Option<Ordinal>,
    /// Some window may be from when the mapping had other ones.
    may_have_old: bool,
    started_at: Timestamp,
}

impl Windows {
    /// The groups of a unit; `None`: it has no windows and none is open.
    pub(super) fn new(
        settings: &MappingSettings,
        (factor, share): (u16, Option<Share>),
        known: BTreeMap<u32, std::sync::Arc<GroupWindow>>,
        end: Option<Ordinal>,
        now: Timestamp,
    ) -> Option<Box<Self>> {
        let has_open = known.values().any(|group| group.open.is_some());
        if !settings.has_windows() && !has_open {
            return None;
        }
        let lanes = usize::from(factor) * if share.is_some() { 2 } else { 1 };
        let mut windows = Self {
            span_ms: settings.tumbling_window_ms,
            groups: settings.window_groups(),
            limits: BatchLimits::of(settings),
            factor,
            share,
            by_lane: vec![BTreeMap::new(); lanes],
            hands: vec![Hand::default(); lanes + 1],
            redriven: None,
            asked: None,
            highest: Timestamp(0),
            end,
            may_have_old: has_open,
            started_at: now,
        };
        for (group, known) in known {
            windows.group_mut(group).known = std::sync::Arc::unwrap_or_clone(known);
        }
        Some(Box::new(windows))
    }

    const fn is_on(&self) -> bool {
        self.span_ms > 0
    }

    fn lane_of(&self, group: u32) -> usize {
        let lane = usize::from(lane_of(group, self.factor));
        match self.share {
            Some(share) if share.takes(group.into()) => usize::from(self.factor) + lane,
            _ => lane,
        }
    }

    fn group_mut(&mut self, group: u32) -> &mut Group {
        let lane = self.lane_of(group);
        let (limits, now) = (self.limits, self.started_at);
        self.by_lane[lane].entry(group).or_insert_with(|| Group {
            known: GroupWindow::default(),
            batcher: Batcher::new(limits),
            pieces: VecDeque::new(),
            presumes: false,
            not_before: Timestamp(0),
            is_parked: false,
            is_aside: false,
            failures: 0,
            close_failure: None,
            since: now,
        })
    }

    fn in_hand(&self, slot: usize) -> Option<&Group> {
        let group = self.hands[slot].group?;
        self.by_lane[self.lane_of(group)].get(&group)
    }

    /// Everything up to here was read.
    pub(super) fn read_through(&mut self, arrival: Timestamp) {
        self.highest = self.highest.max(arrival);
    }

    /// No wait is longer than it would have been had it begun now.
    pub(super) fn clock_went_back(&mut self, now: Timestamp, latest: Timestamp) {
        for group in self.by_lane.iter_mut().flat_map(BTreeMap::values_mut) {
            group.batcher.clock_went_back(now);
            group.not_before = group.not_before.min(latest);
            group.since = group.since.min(now);
        }
    }

    /// Pieces that wait with their groups.
    pub(super) fn stowed(&self) -> impl Iterator<Item = Serial> {
        let groups = self.by_lane.iter().flat_map(BTreeMap::values);
        groups.flat_map(|group| group.pieces.iter().flatten().copied())
    }

    /// Groups that wait for a retry, one whose window is being ended again included, and when the next one
    /// is tried.
    pub(super) fn parked(&self) -> (u64, Option<Timestamp>) {
        let groups = self.by_lane.iter().flatten();
        let parked = || groups.clone().filter(|(_, group)| group.is_parked);
        let is_closing = |id: u32| {
            let hand = &self.hands[self.lane_of(id)];
            hand.group == Some(id) && matches!(hand.task, Some(Task::Close(_)))
        };
        let waiting = parked().filter(|&(&id, _)| !is_closing(id));
        let next = waiting.map(|(_, group)| group.not_before).min();
        (parked().count() as u64, next)
    }

    /// The group of a key, as far as order is concerned.
    pub(super) fn group_of(&self, key: KeyHash) -> u32 {
        group_of(key, self.groups)
    }

    /// Puts a slot's pieces back to their group.
    fn stow(&mut self, slot: &mut Slot, index: usize) {
        let Some(group) = self.hands[index].group else {
            return;
        };
        if slot.pieces.is_empty() {
            return;
        }
        let presumes = std::mem::take(&mut slot.presumes);
        let pieces = std::mem::take(&mut slot.pieces);
        let group = self.group_mut(group);
        debug_assert!(group.pieces.is_empty(), "a group's pieces are in one place");
        group.pieces = pieces;
        group.presumes = presumes;
    }
}

impl ShardPipeline {
    /// Whether records are called in windows.
    pub(super) fn has_windows(&self) -> bool {
        self.windows.as_ref().is_some_and(|windows| windows.is_on())
    }

    /// Whether what fails waits in its slot, in front of all that is behind it: of the shard, or of its
    /// group.
    pub(super) fn waits_in_order(&self) -> bool {
        self.holds_the_shard() || self.has_windows()
    }

    /// A record that was read waits for a call of its group, or with it for a retry.
    pub(super) fn admit_to_group(
        &mut self,
        serial: Serial,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let entry = *self.backlog.get(serial);
        let Some(windows) = &mut self.windows else {
            return;
        };
        let group = windows.group_of(entry.key);
        let group = windows.group_mut(group);
        group.batcher.push(serial, entry.bytes, now);
        if group.is_aside {
            self.backlog.place(serial, Place::Parked, actions);
        } else {
            self.waiting.enter(entry.bytes);
        }
    }

    /// What a free lane calls next: records of one group and one window, or none for the last call of a
    /// window; and whether they are called in a fresh instance.
    pub(super) fn next_in_windows(
        &mut self,
        index: usize,
        is_pressed: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Option<(Vec<Serial>, bool)> {
        let windows = self.windows.as_mut()?;
        if self.slots[index].mark.is_some() {
            // The record that was marked is the next, whatever else is due.
            return Some((self.slots[index].pieces.pop_front()?, true));
        }
        windows.stow(&mut self.slots[index], index);
        let (id, next) = self.next_group(index, is_pressed, now)?;
        let windows = self.windows.as_mut()?;
        windows.asked.take_if(|asked| *asked == id);
        windows.hands[index].group = Some(id);
        windows.hands[index].task = None;
        if let Next::Close(close) = next {
            windows.hands[index].task = Some(Task::Close(close));
            return Some((Vec::new(), windows.group_mut(id).failures > 0));
        }
        self.unpark_group(id, actions);
        let windows = self.windows.as_mut()?;
        let span = windows.span_ms;
        let group = windows.group_mut(id);
        if next == Next::Piece {
            let slot = &mut self.slots[index];
            slot.pieces = std::mem::take(&mut group.pieces);
            slot.presumes = std::mem::take(&mut group.presumes);
            return Some((slot.pieces.pop_front()?, true));
        }
        let backlog = &self.backlog;
        let known = &group.known;
        let sort = |serial| {
            let entry = backlog.get(serial);
            let window = known.window_of(entry.arrival, span);
            (entry.condemned().is_some(), window)
        };
        let mut batch = Vec::new();
        let reason = group.batcher.take(&mut batch, sort);
        for &serial in &batch {
            self.waiting.leave(self.backlog.get(serial).bytes);
        }
        self.flushed(reason);
        Some((batch, false))
    }

    /// What a call of these records of the slot's group is told of their window; `None`: no windows.
    pub(super) fn fold_call(&mut self, index: usize, records: &[Serial]) -> Option<WindowCall> {
        let windows = self.windows.as_mut()?;
        let group = windows.in_hand(index)?;
        let arrival = self.backlog.get(*records.first()?).arrival;
        let window = group.known.window_of(arrival, windows.span_ms);
        let call = group.known.call_in(window);
        windows.hands[index].task = Some(Task::Fold(window));
        Some(call)
    }

    /// The state as a call of the slot left it.
    pub(super) fn state_left(&mut self, index: usize, state: Option<Bytes>) {
        if let Some(windows) = &mut self.windows {
            windows.hands[index].left = state;
        }
    }

    /// What a call of records does to their window: an attempt that is not a success of all of them is
    /// discarded whole.
    pub(super) fn fold(
        &mut self,
        index: usize,
        records: &[Serial],
        judgement: &mut Judgement,
    ) -> Option<PlannedWindow> {
        if !self.has_windows() {
            return None;
        }
        if !judgement.endings.is_empty() {
            self.state_left(index, None);
            judgement.rows.clear();
            for ending in &mut judgement.endings {
                if *ending == Ending::Done {
                    *ending = Ending::Again;
                }
            }
            return None;
        }
        let entries = records.iter().map(|&serial| self.backlog.get(serial));
        let hops = entries.map(|entry| entry.hops).max().unwrap_or_default();
        let last = self.backlog.get(*records.last()?).position;
        let version = self.version_in(index, records);
        self.folded(index, version, hops, last)
    }

    /// The window of the slot's group after a call of a version that succeeded with records up to `last`.
    pub(super) fn folded(
        &mut self,
        index: usize,
        version: FunctionVersion,
        hops: u8,
        last: Ordinal,
    ) -> Option<PlannedWindow> {
        let windows = self.windows.as_mut()?;
        let Some(Task::Fold(window)) = windows.hands[index].task.take() else {
            return None;
        };
        let left = windows.hands[index].left.take();
        let (groups, id) = (windows.groups, windows.hands[index].group?);
        let known = &windows.in_hand(index)?.known;
        let before = known.open.as_ref();
        debug_assert!(
            before.is_none_or(|open| open.window == window),
            "a group has one open window"
        );
        let left_by = match before {
            Some(open) if left.is_none() => open.left_by,
            Some(_) | None => Some(version),
        };
        let state = left.or_else(|| before.map(|open| open.state.clone()));
        let open = OpenWindow {
            window,
            state: state.unwrap_or_default(),
            hops: before.map_or(hops, |open| open.hops.max(hops)),
            last: before.map_or(last, |open| open.last.max(last)),
            groups,
            left_by,
        };
        let becomes = GroupWindow {
            version: known.version + 1,
            closed_through: known.closed_through,
            open: Some(open),
        };
        let change = WindowChange { group: id, becomes };
        Some(PlannedWindow { change, lost: None })
    }

    /// Puts what becomes of a window into the commit that a slot is about to send.
    pub(super) fn plan_window(&mut self, index: usize, planned: Option<PlannedWindow>) {
        let (Some(planned), Some(commit)) = (planned, &mut self.slots[index].unaccepted) else {
            return;
        };
        if let Phase::Queued(plan) = &mut commit.phase {
            let hops = planned.change.becomes.open.as_ref().map(|open| open.hops);
            for source in &mut plan.rows.sources {
                source.hops = source.hops.max(hops.unwrap_or_default());
            }
            plan.window = Some(planned.clone());
        }
        commit.window = Some(planned);
    }

    /// A commit with this change was accepted: a group that the last call of its window rested waits no
    /// longer. What a redrive adds to a window ends no wait.
    pub(super) fn window_changed(
        &mut self,
        change: &WindowChange,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let is_redrive = windows.redriven == Some(change.group);
        let group = windows.group_mut(change.group);
        group.known.clone_from(&change.becomes);
        group.since = now;
        if !is_redrive {
            group.failures = 0;
            group.close_failure = None;
            self.unpark_group(change.group, actions);
        }
    }
}

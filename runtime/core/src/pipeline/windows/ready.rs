//! When a group is due, and for what.
//!
//! A window closes when nothing more can come: a record of a later one arrived in the shard (arrivals never
//! decrease within a shard) or the shard ends, and all that belongs to it is done; and on a quiet shard some
//! time after its end (event source mapping rules §11), or after its length has passed without a record, where
//! a clock went back and the end is far away.

use super::{Close, Group, Windows};
use crate::{
    id::{Ordinal, Timestamp},
    limits,
    pipeline::{ShardPipeline, backlog::Backlog},
    window::OpenWindow,
};

/// What is done next for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The first of its pieces.
    Piece,
    /// A batch.
    Batch,
    /// A call without records.
    Close(Close),
}

/// What readiness depends on, beside the group.
#[derive(Clone, Copy)]
struct Scope<'a> {
    backlog: &'a Backlog,
    tail: Ordinal,
    is_pressed: bool,
}

impl Windows {
    /// Whether a window is from when the mapping had other ones.
    fn is_old(&self, open: &OpenWindow) -> bool {
        open.groups != self.groups || open.window.span_ms() != u64::from(self.span_ms)
    }

    /// None is left that is from when the mapping had other ones.
    pub(super) const fn forget_old(&mut self) {
        self.may_have_old = false;
    }

    /// Whether some window is from when the mapping had other ones: they end before anything is called.
    pub(in crate::pipeline) fn has_old(&self) -> bool {
        let mut groups = self.by_lane.iter().flat_map(|lane| lane.values());
        self.may_have_old
            && groups.any(|group| {
                let open = group.known.open.as_ref();
                open.is_some_and(|open| self.is_old(open))
            })
    }

    /// From when on something is to be done for a group, and what; `None`: not before something happens.
    fn next_of(&self, id: u32, group: &Group, scope: Scope<'_>) -> Option<(Timestamp, Next)> {
        if self.redriven == Some(id) {
            return None;
        }
        let at = group.not_before;
        let open = group.known.open.as_ref();
        if let Some(open) = open {
            if self.is_old(open) {
                return Some((at, Next::Close(Close::Changed)));
            }
            if open.is_full() {
                return Some((at, Next::Close(Close::Early)));
            }
        }
        if !self.is_on() {
            return None;
        }
        if !group.pieces.is_empty() {
            return Some((at, Next::Piece));
        }
        let read = scope.backlog.read_position();
        let has_ended = self.end.is_some_and(|last| read >= last);
        let is_over = |end| self.highest >= end || has_ended;
        if let Some(first) = group.batcher.iter().next() {
            let arrival = scope.backlog.get(first).arrival;
            let window = group.known.window_of(arrival, self.span_ms);
            if open.is_some_and(|open| open.window != window) {
                return Some((at, Next::Close(Close::Final)));
            }
            let is_due = scope.is_pressed || group.batcher.is_due(Timestamp(0));
            let due = match is_due || is_over(window.end) {
                true => at,
                false => at.max(group.batcher.deadline().unwrap_or(at)),
            };
            return Some((due, Next::Batch));
        }
        let window = open?.window;
        let end = window.end;
        if is_over(end) {
            return Some((at, Next::Close(Close::Final)));
        }
        // What is behind may still belong to it.
        let is_read = scope.tail <= read;
        let ends = end.min(group.since.plus_ms(window.span_ms()));
        let idle = ends.plus_ms(limits::WINDOW_IDLE_MS);
        is_read.then_some((at.max(idle), Next::Close(Close::Final)))
    }

    /// The groups of a lane, those behind the one in hand first; that one itself in front of all if it has
    /// pieces left.
    fn in_turn(&self, lane: usize) -> impl Iterator<Item = (u32, &Group)> {
        let groups = &self.by_lane[lane];
        let last = self.hands[lane].group;
        let goes_on = |id: &u32| groups.get(id).is_some_and(|group| !group.pieces.is_empty());
        let first = match last {
            Some(last) if goes_on(&last) => last,
            Some(last) => last.saturating_add(1),
            None => 0,
        };
        let turn = groups.range(first..).chain(groups.range(..first));
        turn.map(|(&id, group)| (id, group))
    }
}

impl ShardPipeline {
    /// The group that a free lane goes on with, and what is done for it.
    pub(super) fn next_group(
        &self,
        lane: usize,
        is_pressed: bool,
        now: Timestamp,
    ) -> Option<(u32, Next)> {
        let windows = self.windows.as_ref()?;
        let scope = self.scope(is_pressed);
        let has_old = windows.has_old();
        windows.in_turn(lane).find_map(|(id, group)| {
            let (at, next) = windows.next_of(id, group, scope)?;
            let is_allowed = !has_old || next == Next::Close(Close::Changed);
            (at <= now && is_allowed).then_some((id, next))
        })
    }

    /// When a free lane has something to do, if nothing happens before.
    pub(in crate::pipeline) fn window_deadline(&self, lane: usize) -> Option<Timestamp> {
        let windows = self.windows.as_ref()?;
        let scope = self.scope(self.is_pressed());
        let has_old = windows.has_old();
        let due = windows.by_lane[lane].iter().filter_map(|(&id, group)| {
            let (at, next) = windows.next_of(id, group, scope)?;
            let is_allowed = !has_old || next == Next::Close(Close::Changed);
            is_allowed.then_some(at)
        });
        due.min()
    }

    fn scope(&self, is_pressed: bool) -> Scope<'_> {
        Scope {
            backlog: &self.backlog,
            tail: self.reading.tail,
            is_pressed,
        }
    }
}

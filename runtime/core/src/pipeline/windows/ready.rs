//! When a group is due, and for what.
//!
//! A window closes when nothing more can come: a record of a later one arrived in the shard (arrivals never
//! decrease within a shard) or the shard ends, and all that belongs to it is done; and on a quiet shard some
//! time after its end (event source mapping rules §11), or after its length has passed without a record, where
//! a clock went back and the end is far away.

use super::{Close, Group, Windows};
use crate::{
    breaker::Probe,
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
        open.is_old(self.span_ms, self.groups)
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
    /// pieces left and is not only probed, and one that a person wants tried in front of that.
    fn in_turn(&self, lane: usize, is_probing: bool) -> impl Iterator<Item = (u32, &Group)> {
        let groups = &self.by_lane[lane];
        let last = self.hands[lane].group;
        let goes_on = |id: &u32| groups.get(id).is_some_and(|group| !group.pieces.is_empty());
        let first = match last {
            Some(last) if !is_probing && goes_on(&last) => last,
            Some(last) => last.saturating_add(1),
            None => 0,
        };
        let asked = self.asked.into_iter();
        let asked = asked.filter_map(|id| groups.get_key_value(&id));
        let turn = groups.range(first..).chain(groups.range(..first));
        asked.chain(turn).map(|(&id, group)| (id, group))
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
        let failed_from = self.failed_groups_from(lane);
        // Probes are each of another group.
        let is_probing = self.circuit.is_open_for(self.is_canary_lane(lane));
        windows.in_turn(lane, is_probing).find_map(|(id, group)| {
            let (at, next) = windows.next_of(id, group, scope)?;
            let at = at.max(self.group_from(group, next, failed_from)?);
            let is_allowed = !has_old || next == Next::Close(Close::Changed);
            (at <= now && is_allowed).then_some((id, next))
        })
    }

    /// When a free lane has something to do, if nothing happens before.
    pub(in crate::pipeline) fn window_deadline(&self, lane: usize) -> Option<Timestamp> {
        let windows = self.windows.as_ref()?;
        let scope = self.scope(self.is_pressed());
        let has_old = windows.has_old();
        let failed_from = self.failed_groups_from(lane);
        let due = windows.by_lane[lane].iter().filter_map(|(&id, group)| {
            let (at, next) = windows.next_of(id, group, scope)?;
            let at = at.max(self.group_from(group, next, failed_from)?);
            let is_allowed = !has_old || next == Next::Close(Close::Changed);
            is_allowed.then_some(at)
        });
        due.min()
    }

    /// From when on a lane may go on with groups that failed: while its circuit recovers, when a probe is due.
    fn failed_groups_from(&self, lane: usize) -> Option<Timestamp> {
        let is_canary = self.is_canary_lane(lane);
        match self.circuit.is_recovering_for(is_canary) {
            true => self.side_from(is_canary, Probe::Tried),
            false => Some(Timestamp(0)),
        }
    }

    /// From when on a group may go on. One that failed does with the record that did, which is the first of its
    /// piece, or with the call that ends its window.
    fn group_from(
        &self,
        group: &Group,
        next: Next,
        failed_from: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let has_failed = match next {
            Next::Close(_) => group.close_failure.is_some(),
            Next::Piece => group.pieces.iter().any(|piece| self.is_any_marked(piece)),
            // An owner before may have charged some of it.
            Next::Batch => {
                let first = group.batcher.iter().next();
                first.is_some_and(|first| self.is_any_marked(&[first]))
            }
        };
        match has_failed {
            true => failed_from,
            false => Some(Timestamp(0)),
        }
    }

    fn scope(&self, is_pressed: bool) -> Scope<'_> {
        Scope {
            backlog: &self.backlog,
            tail: self.reading.tail,
            is_pressed,
        }
    }
}

//! Windows of two versions that are called with the same records, beside the mapping: which records make one call, when
//! a window ends, and what the calls of each version hand on to its next ones.
//!
//! Each version has a state of its own, and begins every window with none, as the mapping does. A window whose
//! beginning was not read is left out: neither version would be given what the mapping's calls were given. One ends when
//! a record of a later one was read in its shard, when the shard ends, and on a quiet shard
//! [`WINDOW_IDLE_MS`](crate::limits::WINDOW_IDLE_MS) behind its end, as in the pipeline.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    id::Timestamp,
    lane::KeyHash,
    limits,
    status::ShadowEnd,
    window::{Window, WindowCall, group_of},
};

/// One of the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowSide {
    /// The one that is live.
    Live,
    /// The one that is compared with it.
    Other,
}

impl ShadowSide {
    /// Both, in the order in which they are called.
    pub const BOTH: [Self; 2] = [Self::Live, Self::Other];
}

/// What both versions are called for next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShadowStep {
    /// Records of one group in one window.
    Fold {
        /// The group.
        group: u32,
        /// The window.
        window: Window,
        /// The records, by their index among those that were planned, ascending.
        records: Vec<usize>,
    },
    /// The end of a group's window.
    Close {
        /// The group.
        group: u32,
        /// The window.
        window: Window,
    },
}

/// What becomes of records that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShadowPlan {
    /// To be done in this order.
    pub steps: Vec<ShadowStep>,
    /// Records of windows whose beginning was not read: no version is given them.
    pub left_out: u64,
}

/// What one version's calls in a window left so far.
#[derive(Clone, Debug, Default)]
struct Carried {
    /// `None`: the window has not begun, or its state was ended early.
    state: Option<Bytes>,
    /// What calls that ended it came to; `None`: there was none.
    end: Option<ShadowEnd>,
}

/// A group of keys.
#[derive(Clone, Debug, Default)]
struct Group {
    /// Its window, as planned.
    window: Option<Window>,
    /// No record belongs to a window in front of this.
    closed_through: Timestamp,
    sides: [Carried; 2],
}

/// The windows of one shard.
#[derive(Clone, Debug)]
pub struct ShadowWindows {
    span_ms: u32,
    groups: u32,
    /// Windows that begin earlier are left out; `None`: so is the one of the first record.
    whole_from: Option<Timestamp>,
    by_group: BTreeMap<u32, Group>,
}

impl ShadowWindows {
    /// Windows of `span_ms` for so many groups of keys. With `is_whole` the first record that is read is the first of
    /// its window; without, that window is left out.
    #[must_use]
    pub const fn new(span_ms: u32, groups: u32, is_whole: bool) -> Self {
        Self {
            span_ms,
            groups,
            whole_from: if is_whole { Some(Timestamp(0)) } else { None },
            by_group: BTreeMap::new(),
        }
    }

    /// Records were missed: what is open is of no use any more, nor is the window that is read next.
    pub fn missed_some(&mut self) {
        *self = Self::new(self.span_ms, self.groups, false);
    }

    /// Plans records, in shard order, by the hashes of their keys and when they arrived. `read` is when the first and the
    /// last arrived that were read, those included that the filter let fall.
    pub fn plan(
        &mut self,
        records: impl IntoIterator<Item = (KeyHash, Timestamp)>,
        read: (Timestamp, Timestamp),
    ) -> ShadowPlan {
        let span_ms = self.span_ms;
        let first = || Window::at(read.0, span_ms).end;
        let whole_from = *self.whole_from.get_or_insert_with(first);
        let mut plan = ShadowPlan::default();
        // Where the last call of a group is, to which more of its records are added.
        let mut folds: BTreeMap<u32, usize> = BTreeMap::new();
        for (index, (key, arrival)) in records.into_iter().enumerate() {
            let id = group_of(key, self.groups);
            let group = self.by_group.entry(id).or_default();
            let open = group.window.map(|window| window.start);
            let from = group.closed_through.max(open.unwrap_or_default());
            let window = Window::at(arrival.max(from), span_ms);
            if window.start < whole_from {
                plan.left_out += 1;
                continue;
            }
            if group.window.is_some_and(|before| before != window) {
                plan.steps.extend(group.close(id));
                folds.remove(&id);
            }
            group.window = Some(window);
            let at = *folds.entry(id).or_insert(plan.steps.len());
            match plan.steps.get_mut(at) {
                Some(ShadowStep::Fold { records, .. }) => records.push(index),
                _ => plan.steps.push(ShadowStep::Fold {
                    group: id,
                    window,
                    records: vec![index],
                }),
            }
        }
        plan.steps.extend(self.close_where(|end| end <= read.1));
        plan
    }

    /// Ends the windows of a shard of which everything was read and nothing came for long.
    pub fn close_quiet(&mut self, now: Timestamp) -> Vec<ShadowStep> {
        self.close_where(|end| end.plus_ms(limits::WINDOW_IDLE_MS) <= now)
    }

    /// When the first of them ends so, if nothing more comes.
    #[must_use]
    pub fn quiet_at(&self) -> Option<Timestamp> {
        let windows = self.by_group.values().filter_map(|group| group.window);
        let first = windows.map(|window| window.end).min()?;
        Some(first.plus_ms(limits::WINDOW_IDLE_MS))
    }

    /// Ends all of them: their shard has ended.
    pub fn close_all(&mut self) -> Vec<ShadowStep> {
        self.close_where(|_| true)
    }

    fn close_where(&mut self, is_over: impl Fn(Timestamp) -> bool) -> Vec<ShadowStep> {
        let groups = self.by_group.iter_mut();
        let over = groups.filter(|(_, group)| group.window.is_some_and(|of| is_over(of.end)));
        over.filter_map(|(&id, group)| group.close(id)).collect()
    }

    /// What a call of records is told.
    #[must_use]
    pub fn fold_call(&self, side: ShadowSide, group: u32, window: Window) -> WindowCall {
        let carried = self.carried(side, group);
        let state = carried.and_then(|carried| carried.state.clone());
        WindowCall {
            window,
            state: state.unwrap_or_default(),
            is_final: false,
            is_terminated_early: false,
        }
    }

    /// A call of records succeeded and left this state. The call that ends it early, where it is too large.
    pub fn folded(
        &mut self,
        side: ShadowSide,
        group: u32,
        window: Window,
        state: Bytes,
    ) -> Option<WindowCall> {
        let is_full = state.len() as u64 > limits::WINDOW_STATE_BYTES_MAX;
        let carried = self.carried_mut(side, group);
        carried.state = Some(state.clone());
        is_full.then_some(WindowCall {
            window,
            state,
            is_final: false,
            is_terminated_early: true,
        })
    }

    /// The call that ends a window; `None`: no record succeeded in it since it began, or was ended early.
    #[must_use]
    pub fn last_call(&self, side: ShadowSide, group: u32, window: Window) -> Option<WindowCall> {
        let state = self.carried(side, group)?.state.clone()?;
        Some(WindowCall {
            window,
            state,
            is_final: true,
            is_terminated_early: false,
        })
    }

    /// A call that ended a state came to this.
    pub fn ended(&mut self, side: ShadowSide, group: u32, end: ShadowEnd) {
        let carried = self.carried_mut(side, group);
        carried.state = None;
        let all = carried.end.get_or_insert_default();
        all.rows.extend(end.rows);
        all.failure = all.failure.take().or(end.failure);
    }

    /// What the ends of a window came to, live and other; `None`: it ended with neither.
    pub fn take_ends(&mut self, group: u32) -> Option<(ShadowEnd, ShadowEnd)> {
        let group = self.by_group.get_mut(&group)?;
        let [live, other] = std::mem::take(&mut group.sides).map(|side| side.end);
        match (live, other) {
            (None, None) => None,
            (live, other) => Some((live.unwrap_or_default(), other.unwrap_or_default())),
        }
    }

    /// Windows that are open with one of the versions or both.
    #[must_use]
    pub fn open(&self) -> u64 {
        let groups = self.by_group.values();
        let is_open = |group: &&Group| {
            let mut sides = group.sides.iter();
            sides.any(|side| side.state.is_some() || side.end.is_some())
        };
        groups.filter(is_open).count() as u64
    }

    /// States and captured rows that are held, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let sides = self.by_group.values().flat_map(|group| &group.sides);
        let of = |side: &Carried| {
            let rows = side.end.iter().flat_map(|end| &end.rows);
            let rows = rows.map(|row| row.data.data.len() + row.partition_key.len());
            side.state.as_ref().map_or(0, Bytes::len) + rows.sum::<usize>()
        };
        sides.map(of).sum()
    }

    fn carried(&self, side: ShadowSide, group: u32) -> Option<&Carried> {
        Some(&self.by_group.get(&group)?.sides[side as usize])
    }

    fn carried_mut(&mut self, side: ShadowSide, group: u32) -> &mut Carried {
        &mut self.by_group.entry(group).or_default().sides[side as usize]
    }
}

impl Group {
    /// Ends its window.
    fn close(&mut self, id: u32) -> Option<ShadowStep> {
        let window = self.window.take()?;
        self.closed_through = self.closed_through.max(window.end);
        Some(ShadowStep::Close { group: id, window })
    }
}

#[cfg(test)]
mod tests;

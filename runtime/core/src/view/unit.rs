//! One unit's progress, and the numbers of its owner's commits.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    breaker::Outages,
    commit::{AttemptMark, UnitTotals},
    id::{LeaseEpoch, MappingId, Ordinal, ShardNumber, SlotId, StreamId, UnitId},
    settled::{Settled, SettledRange},
    window::{GroupWindow, OpenWindow, WindowChange},
};

/// A unit's committed progress: survives restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitView {
    /// The present owner's epoch; 0 before the first owner.
    pub epoch: LeaseEpoch,
    /// What is done.
    pub settled: Settled,
    /// Charged attempts of records still unsettled.
    pub attempts: BTreeMap<Ordinal, AttemptMark>,
    /// Totals since the start or the last seek.
    pub totals: UnitTotals,
    /// Windows of its groups, by group: of those that ever had one since the start or the last seek.
    pub windows: BTreeMap<u32, Arc<GroupWindow>>,
    /// Circuits that are open: its next owner begins with them.
    pub outages: Outages,
}

impl UnitView {
    /// A unit without an owner that starts after `start`.
    pub(super) fn starting_after(start: Ordinal) -> Self {
        Self {
            settled: Settled::starting_after(start),
            ..Self::default()
        }
    }

    /// How many positions up to `last` are unsettled.
    #[must_use]
    pub fn unsettled_through(&self, last: Ordinal) -> u64 {
        self.settled.unsettled_through(last)
    }

    /// Settles a range and forgets the marks of its records.
    pub(super) fn settle(&mut self, range: SettledRange) {
        self.settled.settle(range);
        if self.attempts.is_empty() {
            return;
        }
        let done: Vec<Ordinal> = self
            .attempts
            .range(range.after.next()..=range.through)
            .map(|(&position, _)| position)
            .collect();
        for position in done {
            self.attempts.remove(&position);
        }
    }

    /// The marks that an owner starts from. `died` are those that were in hand when the last process
    /// died ([`super::NodeView::marks_in_hand`] of what a start found after an unclean stop). A mark
    /// in hand that is none of them is of a call that was taken back: it charges nothing.
    #[must_use]
    pub fn marks_at_start(&self, died: &[AttemptMark]) -> Vec<AttemptMark> {
        let marks = self.attempts.values().map(|mark| match mark.is_in_hand {
            true if !died.contains(mark) => AttemptMark {
                count: mark.count - 1,
                is_in_hand: false,
                ..mark.clone()
            },
            _ => mark.clone(),
        });
        marks.filter(|mark| mark.count > 0).collect()
    }

    /// The windows that are open, with their groups.
    pub fn open_windows(&self) -> impl Iterator<Item = (u32, &OpenWindow)> {
        self.windows
            .iter()
            .filter_map(|(&group, window)| Some((group, window.open.as_ref()?)))
    }

    /// Takes a change of a window over.
    pub(super) fn change_window(&mut self, change: &WindowChange) {
        let becomes = Arc::new(change.becomes.clone());
        self.windows.insert(change.group, becomes);
    }

    /// Takes a mark over; one of a settled record is ignored, because redo may bring an old one
    /// over newer values (commit and storage rules §6). A count of 0 takes a mark away.
    pub(super) fn mark(&mut self, mark: AttemptMark) {
        if mark.count == 0 {
            self.attempts.remove(&mark.position);
        } else if !self.settled.contains(mark.position) {
            self.attempts.insert(mark.position, mark);
        }
    }
}

/// A unit as the view keeps it: the durable value, shared with whoever writes an image, and what
/// lives only as long as its owner.
#[derive(Clone, Debug)]
pub(super) struct UnitEntry {
    view: Arc<UnitView>,
    // Few slots ever commit at once: a scan beats a map.
    numbers: Vec<(SlotId, u64)>,
}

impl UnitEntry {
    pub(super) const fn new(view: Arc<UnitView>) -> Self {
        Self {
            view,
            numbers: Vec::new(),
        }
    }

    pub(super) fn view(&self) -> &UnitView {
        &self.view
    }

    pub(super) fn share(&self) -> Arc<UnitView> {
        Arc::clone(&self.view)
    }

    pub(super) fn edit(&mut self) -> &mut UnitView {
        Arc::make_mut(&mut self.view)
    }

    pub(super) fn last_number(&self, slot: SlotId) -> u64 {
        self.numbers
            .iter()
            .find(|(of, _)| *of == slot)
            .map_or(0, |(_, number)| *number)
    }

    pub(super) fn set_number(&mut self, slot: SlotId, number: u64) {
        match self.numbers.iter_mut().find(|(of, _)| *of == slot) {
            Some((_, last)) => *last = number,
            None => self.numbers.push((slot, number)),
        }
    }

    /// Appoints an owner, or fences the last one: numbers start anew.
    pub(super) fn set_epoch(&mut self, epoch: LeaseEpoch) {
        self.edit().epoch = epoch;
        self.numbers.clear();
    }
}

/// The lowest id that a unit of `mapping` can have.
pub(super) const fn first_of(mapping: MappingId) -> UnitId {
    UnitId {
        mapping,
        stream: StreamId(0),
        shard: ShardNumber(0),
    }
}

/// The highest id that a unit of `mapping` can have.
pub(super) const fn last_of(mapping: MappingId) -> UnitId {
    UnitId {
        mapping,
        stream: StreamId(u64::MAX),
        shard: ShardNumber(u32::MAX),
    }
}

//! Sends units elsewhere in their shards, by hand (commit and storage rules §2).
//!
//! A seek replaces what a unit has settled and its attempts, and starts its totals anew, in one entry that
//! also fences the unit's owner: what that had under way is committed before, or never. What the unit had
//! counted is kept beside it: a counter never falls. It is no progress, so a low watermark may go back here and nowhere else. Open windows go without a final call,
//! and so does what was closed: the records that are called again belong to the windows of their time.

use std::sync::Arc;

use super::{NodeView, UnitView, ValueKey, unit::UnitEntry};
use crate::{
    commit::UnitTotals,
    entry::{Entry, UnitChange, UnitSeek},
    id::{Ordinal, UnitId},
};

/// What a seek came to in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    /// The unit.
    pub unit: UnitId,
    /// Everything up to here was settled before, without a gap.
    pub from: Ordinal,
    /// Everything up to here is settled now, and nothing above.
    pub to: Ordinal,
    /// It was to go further back than records are kept.
    pub is_clamped: bool,
    /// Records that are unsettled now.
    pub pending: u64,
    /// Windows that were open.
    pub windows: u64,
}

impl NodeView {
    /// Sends each of these units to the place after a record, so that the one behind it is the next. A
    /// place in front of what the shard still shows is moved there, one behind its end to the end. Units
    /// that do not exist are left out; `None` when none exists.
    ///
    /// The owners of units on shards that descend from one of these are fenced as well: whether their
    /// parents are done is asked anew (commit and storage rules §9).
    #[must_use]
    pub fn evaluate_seek(&self, wishes: &[(UnitId, Ordinal)]) -> Option<(Entry, Vec<Sought>)> {
        let mut seeks: Vec<UnitSeek> = Vec::new();
        let mut sought = Vec::new();
        for &(unit, wish) in wishes {
            let (Some(view), Some(tail)) = (self.unit(unit), self.tail(unit.stream, unit.shard))
            else {
                continue;
            };
            if seeks.iter().any(|seek| seek.unit == unit) {
                continue;
            }
            let before_horizon = Ordinal(tail.horizon.0 - 1);
            let to = wish.clamp(before_horizon, tail.last());
            seeks.push(UnitSeek {
                unit,
                epoch: view.epoch.next(),
                after: to,
            });
            sought.push(Sought {
                unit,
                from: view.settled.low_watermark(),
                to,
                is_clamped: wish < before_horizon,
                pending: tail.last().0 - to.0,
                windows: view.open_windows().count() as u64,
            });
        }
        if seeks.is_empty() {
            return None;
        }
        let entry = Entry::Seek {
            totals: self.totals_with_those_of(&seeks),
            units: self.fence_descendants(&seeks),
            seeks,
        };
        Some((entry, sought))
    }

    /// What each of these units had in front of its seeks, with this one.
    fn totals_with_those_of(&self, seeks: &[UnitSeek]) -> Vec<(UnitId, UnitTotals)> {
        let units = seeks.iter().map(|seek| seek.unit);
        let known = units.filter_map(|id| Some((id, self.unit(id)?.totals)));
        known
            .map(|(id, totals)| (id, self.totals_before_seeks(id) + totals))
            .collect()
    }

    fn fence_descendants(&self, seeks: &[UnitSeek]) -> Vec<UnitChange> {
        let is_sought = |unit: &UnitId| seeks.iter().any(|seek| seek.unit == *unit);
        let family = seeks.iter().flat_map(|seek| self.descendants(seek.unit));
        let units: Vec<UnitId> = family.filter(|unit| !is_sought(unit)).collect();
        self.fence(&units)
    }

    /// Takes a seek over: whole values, so that redo may repeat it.
    pub(super) fn seek(
        &mut self,
        seeks: &[UnitSeek],
        totals: &[(UnitId, UnitTotals)],
        dirty: &mut impl FnMut(ValueKey),
    ) {
        for seek in seeks {
            if let Some(entry) = self.units.get_mut(&seek.unit) {
                let sought = UnitEntry::new(Arc::new(UnitView {
                    epoch: seek.epoch,
                    ..UnitView::starting_after(seek.after)
                }));
                let before = std::mem::replace(entry, sought);
                dirty(ValueKey::Unit(seek.unit));
                for &group in before.view().windows.keys() {
                    dirty(ValueKey::Window(seek.unit, group));
                }
            }
        }
        for &(unit, totals) in totals {
            // A later entry may have deleted it, where redo brings this one over newer values.
            if self.registry.mapping(unit.mapping).is_some() {
                self.before_seeks.insert(unit, totals);
                dirty(ValueKey::BeforeSeeks(unit));
            }
        }
    }
}

//! What of a unit is done: a low watermark and the ranges done above it.

use std::{collections::BTreeMap, ops::Bound};

use crate::id::Ordinal;

/// A run of positions: everything above `after` up to and including `through`. A pair is carried,
/// never computed by adding one, because positions of other sources have gaps
/// (commit and storage rules §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SettledRange {
    /// The position in front of the first one settled.
    pub after: Ordinal,
    /// The last one settled.
    pub through: Ordinal,
}

/// Ranges that a commit settles: ascending, disjoint, none empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SettledRanges(Vec<SettledRange>);

impl SettledRanges {
    /// No range.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends a range, joining it to the last where they touch.
    ///
    /// # Panics
    /// If it is empty or not above the last.
    pub fn push(&mut self, range: SettledRange) {
        assert!(
            range.after < range.through,
            "a settled range is not empty: {range:?}"
        );
        match self.0.last_mut() {
            Some(last) if last.through == range.after => last.through = range.through,
            Some(last) => {
                assert!(
                    last.through < range.after,
                    "settled ranges ascend: {last:?} {range:?}"
                );
                self.0.push(range);
            }
            None => self.0.push(range),
        }
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[SettledRange] {
        &self.0
    }

    /// Whether nothing is settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<SettledRange> for SettledRanges {
    fn from_iter<I: IntoIterator<Item = SettledRange>>(ranges: I) -> Self {
        let mut all = Self::new();
        for range in ranges {
            all.push(range);
        }
        all
    }
}

/// Progress of one unit: all at or below the low watermark is settled, and so is the done-set above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    low_watermark: Ordinal,
    done: BTreeMap<Ordinal, Ordinal>,
    /// Positions in the done-set: what is asked at every look, of thousands of ranges.
    done_positions: u64,
}

impl Settled {
    /// Nothing settled above `start`.
    #[must_use]
    pub const fn starting_after(start: Ordinal) -> Self {
        Self {
            low_watermark: start,
            done: BTreeMap::new(),
            done_positions: 0,
        }
    }

    /// Rebuilds a value from what was stored.
    ///
    /// # Panics
    /// If a range is not above the low watermark or they overlap.
    #[must_use]
    pub fn from_parts(low_watermark: Ordinal, done: &SettledRanges) -> Self {
        let mut settled = Self::starting_after(low_watermark);
        for range in done.as_slice() {
            assert!(
                range.after > low_watermark,
                "the done-set lies above the low watermark"
            );
            settled.insert(range.after, range.through);
        }
        settled
    }

    /// The checkpoint: everything up to here is settled.
    #[must_use]
    pub const fn low_watermark(&self) -> Ordinal {
        self.low_watermark
    }

    /// The ranges done above the low watermark, ascending.
    #[must_use]
    pub fn done(&self) -> SettledRanges {
        self.ranges().collect()
    }

    /// The same, one by one.
    pub fn ranges(&self) -> impl Iterator<Item = SettledRange> + '_ {
        let ranges = self.done.iter();
        ranges.map(|(&after, &through)| SettledRange { after, through })
    }

    /// How many positions up to `last` are unsettled.
    #[must_use]
    pub fn unsettled_through(&self, last: Ordinal) -> u64 {
        let above = last.0.saturating_sub(self.low_watermark.0);
        if self.last() <= last {
            return above - self.done_positions;
        }
        let done = self.ranges().map(|range| {
            let through = range.through.min(last);
            through.0.saturating_sub(range.after.0)
        });
        above - done.sum::<u64>()
    }

    /// Number of ranges above the low watermark: what the bound of the done-set counts.
    #[must_use]
    pub fn gaps(&self) -> usize {
        self.done.len()
    }

    /// Whether the record at `position` is settled.
    #[must_use]
    pub fn contains(&self, position: Ordinal) -> bool {
        position <= self.low_watermark
            || self
                .done
                .range(..position)
                .next_back()
                .is_some_and(|(_, &through)| position <= through)
    }

    /// How far what is settled reaches from `position` without a gap: the end of the range that covers
    /// it, else `position` itself.
    #[must_use]
    pub fn reach(&self, position: Ordinal) -> Ordinal {
        if position <= self.low_watermark {
            return self.low_watermark;
        }
        match self.done.range(..=position).next_back() {
            Some((_, &through)) if position <= through => through,
            _ => position,
        }
    }

    /// The last settled position: nothing above it is settled.
    #[must_use]
    pub fn last(&self) -> Ordinal {
        self.done
            .last_key_value()
            .map_or(self.low_watermark, |(_, &through)| through)
    }

    /// Whether any position of `range` is settled already.
    #[must_use]
    pub fn overlaps(&self, range: SettledRange) -> bool {
        range.after < self.low_watermark
            || self
                .done
                .range(..range.through)
                .next_back()
                .is_some_and(|(_, &through)| through > range.after)
    }

    /// Marks `range` settled. Idempotent: redo applies entries again (commit and storage rules §6).
    pub fn settle(&mut self, range: SettledRange) {
        let (after, mut through) = (range.after.max(self.low_watermark), range.through);
        if after >= through {
            return;
        }
        let behind = (Bound::Excluded(after), Bound::Included(through));
        while let Some((&start, &end)) = self.done.range(behind).next() {
            through = through.max(end);
            self.remove(start);
        }
        if after <= self.low_watermark {
            self.low_watermark = through;
            return;
        }
        // Most go on where another one ends: that grows, and the tree stays as it is.
        let in_front = self.done.range_mut(..=after).next_back();
        match in_front.filter(|(_, end)| **end >= after) {
            Some((_, end)) => {
                let end = std::mem::replace(end, through.max(*end));
                self.done_positions += through.0.saturating_sub(end.0);
            }
            None => self.insert(after, through),
        }
    }

    fn insert(&mut self, after: Ordinal, through: Ordinal) {
        self.done.insert(after, through);
        self.done_positions += through.0 - after.0;
    }

    fn remove(&mut self, after: Ordinal) {
        if let Some(through) = self.done.remove(&after) {
            self.done_positions -= through.0 - after.0;
        }
    }
}

#[cfg(test)]
mod tests;

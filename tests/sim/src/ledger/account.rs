//! The accounts of one unit since its start or last seek.

use std::collections::{BTreeMap, BTreeSet};

use fnctl_core::{
    commit::{Commit, ErrorKind, UnitTotals},
    id::{FunctionVersion, Ordinal, ShardNumber},
    invariants::{self, Violation},
    settled::Settled,
    view::UnitView,
};

use super::{
    broken,
    windowed::{Listed, Windowed},
};

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Rows,
    Letter(ErrorKind),
    /// A letter that found no room.
    Dropped,
    Fallen,
}

/// The accounts of one unit: a seek begins new ones.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Everything up to here was settled when they began.
    pub(crate) start: Ordinal,
    pub(super) ends: BTreeMap<Ordinal, End>,
    pub(crate) settled: Settled,
    pub(crate) totals: UnitTotals,
    /// Charges of records that are not done, with the version that was charged.
    pub(super) charged: BTreeMap<Ordinal, (FunctionVersion, u32)>,
    /// Its filter was another one for a while.
    pub(super) has_other_filter: bool,
    /// Per key, (key, record) in the order of publication.
    pub(super) published: Vec<(u64, Ordinal)>,
    /// Per key, the last record settled, those without a call left out.
    pub(super) settled_of_key: BTreeMap<u64, Ordinal>,
    pub(super) windowed: Windowed,
}

impl Account {
    /// Those of a unit that begins after a record.
    pub(super) fn starting_after(start: Ordinal) -> Self {
        Self {
            start,
            settled: Settled::starting_after(start),
            ..Self::default()
        }
    }

    /// Charges of a record by a version.
    pub(super) fn charged_before(&self, position: Ordinal, version: FunctionVersion) -> u32 {
        match self.charged.get(&position) {
            Some((last, count)) if *last == version => *count,
            _ => 0,
        }
    }

    /// A mark stands for a record that says no more than what was charged before. Another version's mark takes
    /// the place of the one that stood: what that version was charged is forgotten, also when it comes back.
    /// Whether there was any.
    pub(super) fn stand(&mut self, position: Ordinal, version: FunctionVersion) -> bool {
        let is_other = |(last, _): &(FunctionVersion, u32)| *last != version;
        let is_forgotten = self.charged.get(&position).is_some_and(is_other);
        if is_forgotten {
            self.charged.remove(&position);
        }
        is_forgotten
    }

    /// Attempts are counted one by one; another version starts from nothing.
    pub(super) fn charge(
        &mut self,
        position: Ordinal,
        version: FunctionVersion,
        count: u32,
    ) -> Result<(), Violation> {
        let before = match self.charged.insert(position, (version, count)) {
            Some((last, count)) if last == version => count,
            _ => 0,
        };
        if count == before + 1 {
            Ok(())
        } else {
            let words = format!("record {position}: attempt {count} follows {before}");
            Err(broken(words))
        }
    }

    /// A record ends, once.
    pub(super) fn end(&mut self, position: Ordinal, end: End) -> Result<(), Violation> {
        match self.ends.insert(position, end) {
            None => Ok(()),
            Some(before) => Err(broken(format!(
                "record {position} ends again, after {before:?}"
            ))),
        }
    }

    /// What a commit settled is settled in the order of its key: the key of a record, by its position; `None`: it has
    /// no place in that order. With windows letters have none.
    pub(super) fn settle(
        &mut self,
        commit: &Commit,
        has_windows: bool,
        key: impl Fn(Ordinal) -> Option<u64>,
    ) -> Result<(), Violation> {
        for &range in commit.settles.as_slice() {
            self.settled.settle(range);
            for position in (range.after.0 + 1..=range.through.0).map(Ordinal) {
                let end = self.ends.get(&position).copied();
                let end =
                    end.ok_or_else(|| broken(format!("record {position} settled without an end")))?;
                // What no call is made for has no place in the order, unless it grew too old in its place.
                let is_called = match end {
                    End::Rows => true,
                    End::Dropped | End::Fallen => false,
                    End::Letter(_) if has_windows => false,
                    End::Letter(ErrorKind::RecordTooOld) => true,
                    End::Letter(kind) => !kind.is_without_call(),
                };
                let Some(key) = key(position).filter(|_| is_called) else {
                    continue;
                };
                let last = self.settled_of_key.insert(key, position);
                if last.is_some_and(|last| last > position) {
                    return Err(broken(format!(
                        "key {key}: {position} settled after {last:?}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// They end here, with the unit or at a seek.
    pub(super) fn close(&self, shard: ShardNumber) -> Result<(), Violation> {
        invariants::order_per_key(self.published.iter().copied())?;
        self.windowed.check([], self.processed(shard), false)
    }

    /// Records that ended with rows.
    fn processed(&self, shard: ShardNumber) -> impl Iterator<Item = Listed> {
        let with_rows = self.ends.iter().filter(|(_, end)| **end == End::Rows);
        with_rows.map(move |(&position, _)| (shard, position))
    }

    /// Whether a record ended.
    pub(crate) fn has_ended(&self, position: Ordinal) -> bool {
        self.ends.contains_key(&position)
    }

    /// Each record was in windows as often as it was processed; `open` are those in open ones.
    pub(crate) fn check_windows(
        &self,
        shard: ShardNumber,
        open: impl IntoIterator<Item = Listed>,
        is_exact: bool,
    ) -> Result<(), Violation> {
        self.windowed.check(open, self.processed(shard), is_exact)
    }

    /// The unit, with a last record, is what they say, but for what retention took: that it counts itself.
    pub(crate) fn compare(&mut self, view: &UnitView, last: Ordinal) -> Result<(), Violation> {
        let mut expired = 0;
        for position in (1..=last.0).map(Ordinal) {
            let has_ended = self.has_ended(position) || position <= self.start;
            match (has_ended, view.settled.contains(position)) {
                (true, true) | (false, false) => {}
                (false, true) => expired += 1,
                (true, false) => {
                    return Err(broken(format!(
                        "record {position} ended and is not settled"
                    )));
                }
            }
        }
        self.totals.expired = expired;
        match view.totals == self.totals {
            true => Ok(()),
            false => Err(broken(format!(
                "totals are {:?}, the view says {:?}",
                self.totals, view.totals
            ))),
        }
    }
}

/// Rows of no record stand for exactly the records whose rows came with them.
#[derive(Debug, Default)]
pub(super) struct Folds {
    rows: BTreeMap<u64, BTreeSet<u64>>,
    folded: BTreeMap<u64, BTreeSet<u64>>,
}

impl Folds {
    /// A call published a row of a record.
    pub(super) fn row(&mut self, call: u64, position: Ordinal) {
        self.rows.entry(call).or_default().insert(position.0);
    }

    /// A call published a row that stands for these.
    pub(super) fn fold(&mut self, call: u64, folded: BTreeSet<u64>) {
        self.folded.insert(call, folded);
    }

    pub(super) fn close(&self) -> Result<(), Violation> {
        for (call, folded) in &self.folded {
            let rows = self.rows.get(call).cloned().unwrap_or_default();
            if *folded != rows {
                return Err(broken(format!(
                    "call {call} folds {folded:?}, not {rows:?}"
                )));
            }
        }
        Ok(())
    }
}
